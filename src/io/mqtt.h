/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt - a client of an MQTT 3.1.1 broker, by libmosquitto, on the caller's libuv loop.
 *
 * Carries opaque payloads at QoS 0: a message may be lost, and what rides on it repairs that (core/link). Always TLS, always with a
 * certificate of ours; the broker's must be of `ca_file` and name `host`. Not a broker (engine/broker).
 *
 * Loop thread only. libmosquitto is loaded by dlopen at the first mqtt_new(), with libssl, so a node without a link pays nothing. Nothing
 * blocks: names are looked up in a detached thread (io/resolve), because libmosquitto's own look-up would hold the loop up; the rest
 * is its non-blocking connect, driven by uv_poll. Idle, it wakes for the keep-alive and for nothing else.
 *
 * It connects by itself and again after a loss, for ever, with pauses that double from MQTT_PAUSE_MS to MQTT_PAUSE_MAX_MS, each spread
 * by up to a quarter by `seed`. Every connection is a clean session that reads the certificate's files anew.
 *
 * Bounded: payloads both ways, what waits to be sent, what an address answers to before it has taken us in. A broker that sends more than
 * a largest message without one is left.
 */
#ifndef OSIER_IO_MQTT_H
#define OSIER_IO_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

#define MQTT_PAYLOAD_MAX   (256u << 10)
#define MQTT_TOPIC_MAX     200u       /* bytes, without a NUL */
#define MQTT_FILTERS_MAX   8u         /* subscriptions */
#define MQTT_WAITING_MAX   (8u << 20) /* bytes that may wait to be sent */
#define MQTT_WAITING_COUNT 4096u      /* and messages */
#define MQTT_KEEPALIVE_S   10u        /* a broker gives a silent client up after 1.5 of these */
#define MQTT_PONG_MS       5000u      /* within this the broker answers a keep-alive */
#define MQTT_CONNECT_MS    10000u     /* for an address, from its first packet to the subscription */
#define MQTT_PAUSE_MS      250u
#define MQTT_PAUSE_MAX_MS  10000u /* a link that is back is found within this and a try of MQTT_CONNECT_MS */

struct mqtt;

struct mqtt_tls { /* names of PEM files */
	const char *ca_file;
	const char *cert_file; /* with its chain */
	const char *key_file;
};

struct mqtt_message { /* valid during the call */
	const char *topic;
	const void *payload;
	size_t n;
	bool retain; /* received: it was stored at the broker before we came */
};

struct mqtt_down {
	bool was_up; /* on_up() was called for this connection */
	struct err
	        why; /* ERR_CLOSED, ERR_TIMEOUT, ERR_DENIED (a certificate, a right), ERR_CORRUPT (not MQTT), ERR_FULL, ERR_INVALID */
	uint64_t pause_ms; /* until the next try */
	uint32_t in_a_row; /* tries that failed since it was last up */
};

struct mqtt_options { /* copied, all of it */
	uv_loop_t *loop;
	const char *host; /* a name or an address, as the broker's certificate has it */
	uint16_t port;
	const char *id; /* client id: [a-z0-9-], a broker of ours replaces it by the certificate's name */
	const char *user, *password; /* for a broker that wants them beside the certificate; NULL: none */
	struct mqtt_tls tls;
	const char *filters
	        [MQTT_FILTERS_MAX]; /* what is subscribed on each connection before on_up(); NULL ends */
	struct mqtt_message will;   /* published by the broker when we go without a word; topic NULL: none */
	uint64_t seed;
	uint32_t connect_ms, pong_ms; /* 0: MQTT_CONNECT_MS, MQTT_PONG_MS */
	uint16_t keepalive_s;         /* 0: MQTT_KEEPALIVE_S; at least 5 */
	size_t room;                  /* on_room() when less than so many bytes wait and more did */

	/* All from the loop, never from inside a call of ours; everything here may be called in them, mqtt_close(), too. */
	void (*on_up)(void *ctx); /* what is published from now on to a filter arrives */
	void (*on_down)(void *ctx, const struct mqtt_down *d); /* lost, or all addresses tried in vain */
	void (*on_message)(void *ctx, const struct mqtt_message *m);
	void (*on_room)(void *ctx); /* NULL: not wanted */
	void *ctx;
};

/* Begins to connect in the next turn of the loop. ERR_NOTFOUND: libmosquitto is not on this machine. ERR_INVALID: an option; files are
 * read when connecting. */
int mqtt_new(const struct mqtt_options *o, struct mqtt **out, struct err *e);

/* Take leave: what waits is sent if that goes within a second, and the broker is told, so that there is no will. Then `done` from the
 * loop, after which nothing is called and the memory is gone. `done` may be NULL. NULL `m` is fine (and `done` not called). */
void mqtt_close(struct mqtt *m, void (*done)(void *ctx), void *ctx);

bool mqtt_up(const struct mqtt *m);

/* Copied and sent, or queued. ERR_CLOSED: not up. ERR_FULL: MQTT_WAITING_MAX bytes or MQTT_WAITING_COUNT messages wait: go on at on_room().
 * ERR_INVALID: longer than MQTT_PAYLOAD_MAX, or not a topic. 0 is no promise that it arrives. */
int mqtt_publish(struct mqtt *m, const struct mqtt_message *msg, struct err *e);

/* Bytes that were taken by mqtt_publish() and not yet by the system. */
size_t mqtt_waiting(const struct mqtt *m);

/* These files from now on. MQTT_RENEW_NOW takes leave of the broker and connects again with them at once (mqtt_again()); MQTT_RENEW_NEXT leaves a connection as it is: a broker does not look at a certificate twice. */
enum mqtt_renew { MQTT_RENEW_NEXT, MQTT_RENEW_NOW };
int mqtt_renew(struct mqtt *m, const struct mqtt_tls *tls, enum mqtt_renew when, struct err *e);

/* The broker is to be looked for there from now on: after this connection, if it is up. Of a try that is under way nothing comes. pause_ms: until
 * the next try; UINT64_MAX: as it was. To be called in on_down(). ERR_INVALID: no host or port; nothing changed. */
int mqtt_move(struct mqtt *m, const char *host, uint16_t port, uint64_t pause_ms, struct err *e);

/* Take leave of the broker, if it is up, and connect again: on_down() with was_up, without a pause; no will.
 * `why` ends the sentence "left the broker at HOST". */
void mqtt_again(struct mqtt *m, const char *why);

/* Try again now, if it waits in a pause. */
void mqtt_hurry(struct mqtt *m);

/* What the system measured between here and the broker, smoothed; 0: not up. Costs no traffic. */
uint32_t mqtt_rtt_us(const struct mqtt *m);

/* Our own address on the connection to the broker, as text; false: not up. */
bool mqtt_local(const struct mqtt *m, char *out, size_t room);

struct mqtt_counts { /* since mqtt_new() */
	uint64_t ups, tries;
	uint64_t messages_in, bytes_in, messages_out, bytes_out; /* payloads */
};
void mqtt_counts(const struct mqtt *m, struct mqtt_counts *out);

/* The pause after the n-th failure in a row, n >= 1. Pure. */
uint64_t mqtt_pause_ms(uint64_t seed, uint32_t n);

/* Whether `name` may be a part of a topic: 1 to 63 of [a-z0-9-]. */
bool mqtt_name_ok(const char *name);

#endif
