/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_tls - the TLS of a connection to a broker, and the words for what went wrong.
 *
 * The context is ours, not libmosquitto's: it is told an address (mqtt.h says why), and its own check would compare the certificate with
 * that. Here OpenSSL checks the name, SNI carries the name, and alerts and verdicts are noted for whoever must explain a failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base/check.h"
#include "io/mqtt_int.h"

_Thread_local struct mqtt_conn *mqtt_tls_current;

static int on_verify(int ok, X509_STORE_CTX *s)
{
	if (!ok && mqtt_tls_current && !mqtt_tls_current->verify)
		mqtt_tls_current->verify = X509_STORE_CTX_get_error(s);
	return ok;
}

/* Before each read of the socket: libmosquitto reads on for as long as there is something, whatever the size. */
static long on_bytes(BIO *b, int what, const char *p, size_t n, int i, long l, int ret, size_t *done)
{
	struct mqtt_conn *c = (struct mqtt_conn *)(void *)BIO_get_callback_arg(b);

	(void)p, (void)n, (void)i, (void)l, (void)done;
	return what == BIO_CB_READ && mqtt_conn_too_much(c, BIO_number_read(b)) ? -1 : ret;
}

static void begins(struct mqtt_conn *c, SSL *ssl)
{
	const char *host = c->m->o.host;

	/* libmosquitto said the address in SNI: before anything is sent, put the name there, or nothing. */
	(void)c->lib->SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
	        resolve_is_ip(host) ? NULL : (void *)(uintptr_t)host);
	CHECK(c->lib->SSL_up_ref(ssl) == 1);
	c->held = ssl;
	BIO_set_callback_ex(c->lib->SSL_get_rbio(ssl), on_bytes);
	BIO_set_callback_arg(c->lib->SSL_get_rbio(ssl), (char *)c);
	c->fd = fcntl((int)BIO_get_fd(c->lib->SSL_get_rbio(ssl), NULL), F_DUPFD_CLOEXEC, 0);
}

void mqtt_tls_last_word(struct mqtt_conn *c)
{
	char byte;

	if (!c->held || c->fd < 0 || c->alert || c->verify || !c->lib->SSL_is_init_finished(c->held))
		return;
	(void)BIO_set_fd(c->lib->SSL_get_rbio(c->held), c->fd, BIO_NOCLOSE); /* its own is closed */
	(void)c->lib->SSL_read(c->held, &byte, 1);
	ERR_clear_error();
}

void mqtt_tls_let_go(struct mqtt_conn *c)
{
	c->lib->SSL_free(c->held);
	c->held = NULL;
}

static void on_info(const SSL *ssl, int where, int what)
{
	struct mqtt_conn *c = mqtt_tls_current;

	if (!c)
		return;
	if (where == SSL_CB_READ_ALERT && (what >> 8) == SSL3_AL_FATAL && !c->alert)
		c->alert = what & 0xff;
	if (where == SSL_CB_HANDSHAKE_START && !c->held && c->phase <= CONN_TLS)
		begins(c, (SSL *)(uintptr_t)ssl); /* the callback has it const */
}

/* A key with a pass phrase is not ours: never ask the terminal. */
static int no_pass_phrase(char *buf, int size, int rw, void *ctx)
{
	(void)buf, (void)size, (void)rw, (void)ctx;
	return 0;
}

static int load_files(const struct mqtt_tls *t, const struct mqtt_lib *lib, SSL_CTX *ctx, struct err *e)
{
	ERR_clear_error();
	if (lib->SSL_CTX_load_verify_locations(ctx, t->ca_file, NULL) != 1)
		return err_set(e, ERR_INVALID, "cannot read the authority's certificate '%s'", t->ca_file);
	if (lib->SSL_CTX_use_certificate_chain_file(ctx, t->cert_file) != 1)
		return err_set(e, ERR_INVALID, "cannot read our certificate '%s'", t->cert_file);
	if (lib->SSL_CTX_use_PrivateKey_file(ctx, t->key_file, SSL_FILETYPE_PEM) != 1 ||
	        lib->SSL_CTX_check_private_key(ctx) != 1)
		return err_set(
		        e, ERR_INVALID, "'%s' does not hold the key of '%s'", t->key_file, t->cert_file);
	return 0;
}

SSL_CTX *mqtt_tls_new(const struct mqtt *m, const struct mqtt_lib *lib, struct err *e)
{
	SSL_CTX *ctx = lib->SSL_CTX_new(lib->TLS_client_method());
	X509_VERIFY_PARAM *param;

	CHECK(ctx);
	CHECK(lib->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) == 1);
	(void)lib->SSL_CTX_ctrl(ctx, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL);
	/* Messages say how long they are: an end without close_notify is an end like another. */
	(void)lib->SSL_CTX_set_options(
	        ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	lib->SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
	lib->SSL_CTX_set_info_callback(ctx, on_info);
	lib->SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
	param = lib->SSL_CTX_get0_param(ctx);
	CHECK((resolve_is_ip(m->o.host) ? X509_VERIFY_PARAM_set1_ip_asc(param, m->o.host)
	                                : X509_VERIFY_PARAM_set1_host(param, m->o.host, 0)) == 1);
	if (load_files(&m->o.tls, lib, ctx, e) == 0)
		return ctx;
	ERR_clear_error();
	lib->SSL_CTX_free(ctx);
	return NULL;
}

/* ---- words ---- */

static void refused_by_alert(const struct mqtt_conn *c, struct err *out)
{
	const char *why = NULL;

	switch (c->alert) { /* RFC 8446, 6.2; not an enum */
	case SSL_AD_CERTIFICATE_REVOKED:
		why = "it is revoked";
		break;
	case SSL_AD_CERTIFICATE_EXPIRED:
		why = "it has expired, or a clock is wrong";
		break;
	case SSL_AD_UNKNOWN_CA:
		why = "it is of another authority";
		break;
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_DECRYPT_ERROR:
	case SSL_AD_ACCESS_DENIED:
	case TLS13_AD_CERTIFICATE_REQUIRED:
		why = c->lib->SSL_alert_desc_string_long(c->alert);
		break;
	default: /* not an enum */
		break;
	}
	if (!why) {
		(void)err_set(out, ERR_CLOSED, "the broker at %s broke off TLS: %s", c->m->o.host,
		        c->lib->SSL_alert_desc_string_long(c->alert));
		return;
	}
	(void)err_set(out, ERR_DENIED, "the broker at %s refused our certificate: %s", c->m->o.host, why);
	(void)err_hint(out, "'osier join' again gets another");
}

static void not_trusted(const struct mqtt_conn *c, struct err *out)
{
	const char *host = c->m->o.host;

	if (c->verify == X509_V_ERR_HOSTNAME_MISMATCH || c->verify == X509_V_ERR_IP_ADDRESS_MISMATCH)
		(void)err_set(out, ERR_DENIED, "the broker at %s has a certificate for another name", host);
	else if (c->verify == X509_V_ERR_CERT_HAS_EXPIRED || c->verify == X509_V_ERR_CERT_NOT_YET_VALID)
		(void)err_set(out, ERR_DENIED, "the certificate of the broker at %s %s, or a clock is wrong",
		        host, c->verify == X509_V_ERR_CERT_HAS_EXPIRED ? "has expired" : "is not valid yet");
	else
		(void)err_set(out, ERR_DENIED,
		        "the certificate of the broker at %s is not of our authority (%s)", host,
		        X509_verify_cert_error_string(c->verify));
}

static void refused_connack(const struct mqtt_conn *c, struct err *out)
{
	static const char *const words[] = {[1] = "it does not speak MQTT 3.1.1",
	        "it does not take our name",
	        "it is not available",
	        "it does not take our user or password",
	        "we are not authorized"};
	enum err_code code = c->refused >= 4 ? ERR_DENIED : ERR_CLOSED;

	if (c->refused < (int)ARRAY_LEN(words))
		(void)err_set(out, code, "the broker at %s refused us: %s", c->m->o.host, words[c->refused]);
	else
		(void)err_set(out, ERR_CORRUPT, "the broker at %s refused us with a code of its own, %d",
		        c->m->o.host, c->refused);
}

static void by_errno(const struct mqtt_conn *c, int sys, struct err *out)
{
	const char *host = c->m->o.host;
	unsigned port = c->m->o.port;

	switch (sys) {
	case ECONNREFUSED:
		(void)err_set(out, ERR_CLOSED, "nobody listens at %s, port %u", host, port);
		break;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
		(void)err_set(out, ERR_CLOSED, "there is no route to %s", host);
		break;
	case ETIMEDOUT:
		(void)err_set(out, ERR_TIMEOUT, "%s does not answer any more", host);
		break;
	case ECONNRESET:
	case EPIPE:
	case 0:
		if (c->phase == CONN_UP)
			(void)err_set(out, ERR_CLOSED, "the connection to the broker at %s broke", host);
		else
			(void)err_set(out, ERR_CLOSED, "the broker at %s hung up before it took us in", host);
		break;
	default: /* not an enum */
		errno = sys;
		(void)err_sys(out, "the connection to the broker at %s failed", host);
		break;
	}
	out->sys = sys;
}

/* "OpenSSL Error[0]: error:0A00010B:SSL routines::wrong version number" */
static void by_openssl(const struct mqtt_conn *c, struct err *out)
{
	const char *last = strrchr(c->says, ':');

	if (strstr(c->says, "wrong version number") || strstr(c->says, "packet length too long") ||
	        strstr(c->says, "record layer failure") || strstr(c->says, "http request"))
		(void)err_set(out, ERR_CORRUPT, "%s does not speak TLS at port %u", c->m->o.host,
		        (unsigned)c->m->o.port);
	else
		(void)err_set(out, ERR_CLOSED, "TLS with the broker at %s failed%s%s", c->m->o.host,
		        last ? ": " : "", last ? last + 1 : "");
}

void mqtt_tls_why(struct mqtt_conn *c, int rc, int sys, struct err *out)
{
	if (c->refused)
		refused_connack(c, out);
	else if (c->verify)
		not_trusted(c, out);
	else if (c->alert)
		refused_by_alert(c, out);
	else if (rc == MOSQ_ERR_PROTOCOL || rc == MOSQ_ERR_MALFORMED_PACKET ||
	         rc == MOSQ_ERR_MALFORMED_UTF8 || rc == MOSQ_ERR_NOT_SUPPORTED)
		(void)err_set(out, ERR_CORRUPT, "%s does not speak MQTT at port %u", c->m->o.host,
		        (unsigned)c->m->o.port);
	else if (rc == MOSQ_ERR_NOMEM)
		(void)err_set(out, ERR_FULL, "no memory for a message of the broker at %s", c->m->o.host);
	else if (rc == MOSQ_ERR_KEEPALIVE)
		(void)err_set(out, ERR_TIMEOUT, "the broker at %s does not answer any more", c->m->o.host);
	else if (c->says[0] && (rc == MOSQ_ERR_TLS || (rc == MOSQ_ERR_ERRNO && sys == EPROTO)))
		by_openssl(c, out);
	else
		by_errno(c, rc == MOSQ_ERR_ERRNO && sys != EPROTO ? sys : 0,
		        out); /* TLS without a reason: it is gone */
}
