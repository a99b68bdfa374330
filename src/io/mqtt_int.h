/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_int - the inside of the MQTT client, for mqtt*.c alone: mqtt.c tries, pauses and keeps the books, mqtt_conn.c is one connection,
 * mqtt_tls.c its TLS and the words for what went wrong, mqtt_lib.c the libraries.
 */
#ifndef OSIER_IO_MQTT_INT_H
#define OSIER_IO_MQTT_INT_H

#include <mosquitto.h>
#include <openssl/ssl.h>

#include "io/mqtt.h"
#include "io/resolve.h"

#undef SSL_CTX_load_verify_locations

/* ---- the libraries ---- */

#define MQTT_LIB_FUNCTIONS(F)                                                                                \
	F(mosquitto_lib_init)                                                                                \
	F(mosquitto_new)                                                                                     \
	F(mosquitto_destroy)                                                                                 \
	F(mosquitto_int_option)                                                                              \
	F(mosquitto_void_option)                                                                             \
	F(mosquitto_will_set)                                                                                \
	F(mosquitto_username_pw_set)                                                                         \
	F(mosquitto_connect_async)                                                                           \
	F(mosquitto_disconnect)                                                                              \
	F(mosquitto_publish)                                                                                 \
	F(mosquitto_subscribe_multiple)                                                                      \
	F(mosquitto_loop_read)                                                                               \
	F(mosquitto_loop_write)                                                                              \
	F(mosquitto_loop_misc)                                                                               \
	F(mosquitto_socket)                                                                                  \
	F(mosquitto_want_write)                                                                              \
	F(mosquitto_ssl_get)                                                                                 \
	F(mosquitto_strerror)                                                                                \
	F(mosquitto_connect_callback_set)                                                                    \
	F(mosquitto_subscribe_callback_set)                                                                  \
	F(mosquitto_message_callback_set)                                                                    \
	F(mosquitto_publish_callback_set)                                                                    \
	F(mosquitto_log_callback_set)                                                                        \
	F(TLS_client_method)                                                                                 \
	F(SSL_CTX_new)                                                                                       \
	F(SSL_CTX_free)                                                                                      \
	F(SSL_CTX_ctrl)                                                                                      \
	F(SSL_CTX_set_options)                                                                               \
	F(SSL_CTX_set_verify)                                                                                \
	F(SSL_CTX_set_default_passwd_cb)                                                                     \
	F(SSL_CTX_load_verify_locations)                                                                     \
	F(SSL_CTX_use_certificate_chain_file)                                                                \
	F(SSL_CTX_use_PrivateKey_file)                                                                       \
	F(SSL_CTX_check_private_key)                                                                         \
	F(SSL_CTX_get0_param)                                                                                \
	F(SSL_CTX_set_info_callback)                                                                         \
	F(SSL_ctrl)                                                                                          \
	F(SSL_up_ref)                                                                                        \
	F(SSL_free)                                                                                          \
	F(SSL_read)                                                                                          \
	F(SSL_want)                                                                                          \
	F(SSL_is_init_finished)                                                                              \
	F(SSL_get_rbio)                                                                                      \
	F(SSL_get_wbio)                                                                                      \
	F(SSL_alert_desc_string_long)

struct mqtt_lib {
#define MQTT_LIB_MEMBER(name) __typeof__(name) *name;
	MQTT_LIB_FUNCTIONS(MQTT_LIB_MEMBER)
#undef MQTT_LIB_MEMBER
};

/* Loaded once for the process, and for good. ERR_NOTFOUND: not on this machine. */
const struct mqtt_lib *mqtt_lib(struct err *e);

/* ---- one connection ---- */

enum conn_phase { CONN_TCP, CONN_TLS, CONN_CONNACK, CONN_SUBACK, CONN_UP, CONN_LEAVING };

struct mqtt_conn {
	struct mqtt *m;
	const struct mqtt_lib *lib;
	struct mosquitto *mosq;
	uv_poll_t poll;
	int fd; /* a duplicate of libmosquitto's, so that it stays while libuv has it, and for a last word */
	SSL *held; /* until it is up */
	int events;
	enum conn_phase phase;
	unsigned depth; /* calls of libmosquitto that we are inside of */

	bool failed; /* with `why` */
	struct err why;
	int refused, alert, verify; /* CONNACK's code, TLS alert received, X509_V_ERR_*; 0: none */
	char says[160];             /* libmosquitto's last error */

	uint64_t read_mark; /* bytes of the socket when the last message was whole */
	uint64_t bytes_in;  /* seen at the last event */
	uint64_t last_in_ms, last_out_ms, ping_ms, ping_in, up_ms;
};

/* Begin to connect to `ip`. On failure nothing is left. */
int mqtt_conn_start(struct mqtt *m, const char *ip, struct mqtt_conn **out, struct err *e);
/* Nothing is called any more. mqtt_handle_closed(m) when it is out of the loop. */
void mqtt_conn_free(struct mqtt_conn *c);
/* Send what waits, then leave. */
void mqtt_conn_leave(struct mqtt_conn *c);
int mqtt_conn_publish(struct mqtt_conn *c, const struct mqtt_message *msg, struct err *e);
/* The keep-alive. Milliseconds until the next. */
uint64_t mqtt_conn_tick(struct mqtt_conn *c);
/* Where it stands, for "did not answer within": "TCP", "TLS" ... */
const char *mqtt_conn_waits_for(const struct mqtt_conn *c);
/* Whether `bytes` of the socket are more than a largest message since the last one; then it has failed. */
bool mqtt_conn_too_much(struct mqtt_conn *c, uint64_t bytes);
void mqtt_conn_fail(struct mqtt_conn *c, const struct err *why);

/* mqtt_tls.c */
SSL_CTX *mqtt_tls_new(const struct mqtt *m, const struct mqtt_lib *lib, struct err *e);
extern _Thread_local struct mqtt_conn *mqtt_tls_current; /* whose TLS runs: set around each call */
/* A broker that refuses our certificate says why and hangs up while we still write: the write fails first, and libmosquitto lets go of the TLS
 * in which the reason waits. So TLS is held from its first moment, and read once more here. */
void mqtt_tls_last_word(struct mqtt_conn *c);
void mqtt_tls_let_go(struct mqtt_conn *c);
/* What libmosquitto's answer `rc`, with errno as `sys`, was about. */
void mqtt_tls_why(struct mqtt_conn *c, int rc, int sys, struct err *out);

/* ---- the client ---- */

enum mqtt_state {
	MQTT_PAUSE, /* until the timer */
	MQTT_RESOLVING,
	MQTT_CONNECTING,
	MQTT_IS_UP,
	MQTT_LEAVING, /* to come again, for what `leaving` says */
	MQTT_CLOSING,
};

struct mqtt {
	struct mqtt_options o; /* with strings of its own */
	enum mqtt_state state;
	uv_timer_t timer;
	unsigned handles;

	struct resolve *resolve;
	struct resolved addresses;
	unsigned next; /* address */
	struct mqtt_conn *conn;
	uint32_t in_a_row;
	struct err last; /* why the address before failed */
	char leaving[160];

	uint32_t *sizes; /* of the messages that wait, a ring */
	uint32_t first, count;
	size_t waiting;
	bool over; /* on_room() is due when less than o.room wait */

	struct mqtt_counts counts;
	void (*done)(void *ctx);
	void *done_ctx;
};

/* From mqtt_conn.c, never inside a call of libmosquitto, but for message and sent. */
void mqtt_conn_is_up(struct mqtt_conn *c);
void mqtt_conn_is_down(struct mqtt_conn *c);
void mqtt_conn_message(struct mqtt_conn *c, const struct mqtt_message *msg);
void mqtt_conn_sent(struct mqtt_conn *c);
void mqtt_conn_worked(struct mqtt_conn *c); /* after each event: room, timers */
void mqtt_handle_closed(struct mqtt *m);

#endif
