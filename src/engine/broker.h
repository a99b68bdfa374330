/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker - the hub's own mosquitto: its configuration, its process, its rights.
 *
 * Not the client (io/mqtt). A broker that somebody else runs is only told what it needs (broker_write_include(), for `osier hub broker`). In the hub's folder (STATE/hub, where io/ca keeps certificates) lie
 *	mosquitto.conf   written here, from scratch at each start
 *	mosquitto.acl    who may do what: by the name in the certificate, and nobody else is let in
 *	mosquitto.log    errors and warnings, cut at BROKER_LOG_MAX
 *	mosquitto.pid    PID and start time of the process
 *
 * A node named N publishes to osier/HUB/N/up and osier/HUB/N/state and reads osier/HUB/N/down, osier/HUB/hub and osier/HUB/hubs; the hub (CERT_HUB) may all below
 * osier/HUB. A client's id is its certificate's name, so nobody can push another off. TLS with certificates of the hub's authority only;
 * QoS 0; packets, queues and memory are bounded; nothing is stored.
 *
 * The broker is a child of the engine but in a session of its own, and outlives it: an engine that was killed must not cost a thousand
 * links. So the next engine finds it by the pid file (a pidfd, and the process's start time, so it is no other process), and starts one
 * only when there is none or its configuration is another one. Why not under the keeper: the keeper knows tasks and the engine, and
 * reads nothing that a hub needs; it is the subreaper, so it is parent to the broker when the engine is gone, and that is enough.
 *
 * Loop thread only.
 */
#ifndef OSIER_ENGINE_BROKER_H
#define OSIER_ENGINE_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

#define BROKER_PORT    8883u
#define BROKER_LOG_MAX (1u << 20)
/* Packets that wait for one slow client, at most 257 KiB each; what comes then is dropped, and the link repairs it. */
#define BROKER_QUEUED_MAX   1024u
#define BROKER_MEMORY_MAX   (768u << 20) /* of the broker's heap */
#define BROKER_CLIENTS_MAX  20000u
#define BROKER_PAUSE_MS     250u
#define BROKER_PAUSE_MAX_MS 30000u

struct broker;

struct broker_down {
	struct err why; /* with the last it said in its log */
	uint64_t pause_ms;
};

struct broker_options { /* copied */
	uv_loop_t *loop;
	const char *dir;     /* STATE/hub, with ca.crt, crl.pem, server.crt, server.key of io/ca */
	const char *hub;     /* its name */
	const char *address; /* to listen at; NULL: every one */
	uint16_t port;
	const char *program; /* NULL: mosquitto where it usually is */

	/* From the loop, never from inside a call of ours. */
	void (*on_up)(void *ctx); /* it listens; also when it was found running */
	void (*on_down)(void *ctx,
	        const struct broker_down *d); /* it ended or cannot be started, and is tried again */
	void *ctx;
};

/* Find it running, or start it. ERR_NOTFOUND: mosquitto is not on this machine; ERR_INVALID: an option; ERR_SYSTEM: the folder. */
int broker_open(const struct broker_options *o, struct broker **out, struct err *e);

/* These nodes are shut out from now on, connected or not, and those before them no more; certificates and crl.pem are read again. Also to be
 * called, with the same names, when only those changed. Why beside the CRL: that is asked at the handshake, so it does not touch who is in. */
int broker_reload(struct broker *b, const char *const *denied, size_t n, struct err *e);

/* BROKER_KEEP: leave it to the next engine. BROKER_END: end it, by force after two seconds. `done` (may be NULL) comes from the loop when all is
 * over and the memory gone. NULL `b` is fine (and `done` not called). */
enum broker_close { BROKER_KEEP, BROKER_END };
void broker_close(struct broker *b, enum broker_close how, void (*done)(void *ctx), void *ctx);

/* The one that an engine before us left in this folder is to end: who was the hub and stands by now must not keep nodes at a broker where no
 * hub answers. */
void broker_end_left(const char *dir);

/* Its process, 0 while there is none. */
int broker_pid(const struct broker *b);

/* Write mosquitto.conf and mosquitto.acl, and nothing else: for broker_open(), and for tests. *out_changed: mosquitto.conf was another one. */
int broker_write_conf(const struct broker_options *o, bool *out_changed, struct err *e);
/* osier.conf: the same listener for a broker of somebody else's, to be included in its configuration. */
int broker_write_include(const struct broker_options *o, struct err *e);
int broker_write_acl(const char *dir, const char *hub, const char *const *denied, size_t n, struct err *e);

#endif
