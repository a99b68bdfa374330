/* SPDX-License-Identifier: Apache-2.0 */
/* hub_standby - see hub_standby.h. */
#include "cli/hub_standby.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "cli/record_option.h"
#include "engine/config.h"
#include "engine/hub_settings.h"
#include "io/ed25519.h"
#include "io/handover.h"
#include "io/hub_client.h"
#include "io/join.h"
#include "io/keys.h"
#include "io/sha256.h"

#define CONFIG_BYTES (8u << 20)
#define PATH_BYTES   4200u
#define CLOCK_S      300 /* clocks may differ by so much */

struct standing {
	struct cli *c;
	char dir[PATH_BYTES - 100]; /* STATE/standby */
	struct join_line line;
	char name[CERT_NAME_MAX + 1];
	struct hub_settings own;
	char ca[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES], signer[PATH_BYTES];
};

/* ---- who this machine is ---- */

/* The node's name: of config.yaml, else of the machine. */
static int node_name(const struct cli *c, char out[CERT_NAME_MAX + 1], struct err *e)
{
	void *mem = mmap(NULL, CONFIG_BYTES, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char path[PATH_BYTES], host[256] = "node";
	struct config config;
	struct arena a;
	int rc;

	CHECK(mem != MAP_FAILED);
	arena_init(&a, mem, CONFIG_BYTES);
	(void)snprintf(path, sizeof(path), "%s/config.yaml", c->state_dir);
	rc = config_load(&a, path, true, &config, e);
	if (rc == 0) {
		(void)gethostname(host, sizeof(host) - 1);
		cert_name_from(config.name[0] ? config.name : host, out);
	}
	(void)munmap(mem, CONFIG_BYTES);
	return rc;
}

static void own_settings(struct standing *s, const json_t *o)
{
	const json_t *list = json_object_get(o, "addresses"), *v;
	size_t i;

	hub_settings_default(s->name, &s->own);
	if (json_array_size(list))
		s->own.n_addresses = 0;
	json_array_foreach(list, i, v)
	{
		if (s->own.n_addresses < CA_NAMES_MAX)
			(void)snprintf(s->own.addresses[s->own.n_addresses++], sizeof(s->own.addresses[0]),
			        "%s", json_string_value(v));
	}
	if (json_object_get(o, "listen"))
		(void)snprintf(s->own.listen, sizeof(s->own.listen), "%s", j_str(o, "listen"));
	if (json_object_get(o, "port"))
		s->own.port = (unsigned)j_uint(o, "port");
	if (json_object_get(o, "broker_port"))
		s->own.broker_port = (unsigned)j_uint(o, "broker_port");
}

static int prepare(struct standing *s, const char *line, const json_t *settings, struct err *e)
{
	const char *name = j_str(settings, "name");

	if (join_line_parse(line, &s->line, e) < 0 || node_name(s->c, s->name, e) < 0)
		return -1;
	if (*name && (!cert_name_ok(name) || strcmp(name, CERT_HUB) == 0))
		return err_set(e, ERR_INVALID, "'%.63s' cannot be the name of a standby", name);
	if (*name)
		memcpy(s->name, name, strlen(name) + 1);
	own_settings(s, settings);
	if (hub_settings_check(&s->own, e) < 0)
		return -1;
	if (snprintf(s->dir, sizeof(s->dir), "%s/standby", s->c->state_dir) >= (int)sizeof(s->dir))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	if (mkdir(s->dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make '%.180s'", s->dir);
	(void)snprintf(s->ca, sizeof(s->ca), "%s/ca.crt", s->dir);
	(void)snprintf(s->cert, sizeof(s->cert), "%s/client.crt", s->dir);
	(void)snprintf(s->key, sizeof(s->key), "%s/client.key", s->dir);
	(void)snprintf(s->signer, sizeof(s->signer), "%s/standby.key", s->dir);
	return cert_key_make(s->key, e);
}

/* ---- what is said to the hub ---- */

static int get_ca(struct standing *s, struct err *e)
{
	int64_t ahead;
	char *pem;
	int rc;

	if (hub_client_ca(s->line.origin, s->line.token.fingerprint, -1, &pem, &ahead, e) < 0)
		return -1;
	if (ahead > CLOCK_S || ahead < -CLOCK_S) {
		(void)err_set(e, ERR_DENIED, "the clocks of this machine and the hub differ by %lld s",
		        (long long)(ahead < 0 ? -ahead : ahead));
		rc = err_hint(e, "set the one that is wrong; certificates are valid for a time");
	} else {
		rc = cert_file_write(s->ca, pem, strlen(pem), 0644, e);
	}
	free(pem);
	return rc;
}

static int signer(const struct standing *s, struct key *out, struct err *e)
{
	char name[NOTE_NAME_MAX + 1];

	if (access(s->signer, F_OK) == 0)
		return key_load(s->signer, NULL, out, e);
	(void)snprintf(name, sizeof(name), "%s/standby", s->name);
	return key_create(s->signer, name, NOTE_ED25519, NULL, out, e);
}

static json_t *join_body(const struct standing *s, struct err *e)
{
	char *csr, statement[JOIN_STATEMENT_MAX], token[33], key64[BASE64_CHARS(32) + 1],
	        sig64[BASE64_CHARS(64) + 1], none[65], origin[JOIN_URL_MAX];
	static const uint8_t no_journal[32];
	struct cert_request *r;
	uint8_t digest[32], sig[64];
	json_t *body;
	struct key k;
	size_t n;

	if (signer(s, &k, e) < 0 || cert_request_make(s->key, s->name, &csr, e) < 0)
		return NULL;
	CHECK(cert_request_read(csr, strlen(csr), &r, NULL) == 0);
	cert_request_digest(r, digest);
	cert_request_free(r);
	n = join_statement(JOIN_JOIN, s->line.token.fingerprint, s->name, no_journal, digest, statement);
	ed25519_sign(k.seed, statement, n, sig);
	(void)base64_write(k.pub.key, 32, key64);
	(void)base64_write(sig, 64, sig64);
	key_forget(&k);
	sha256_hex(no_journal, none);
	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(token + 2 * i, 3, "%02x", s->line.token.secret[i]);
	join_origin(s->own.addresses[0], s->own.port, origin);
	body = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:i}}", "version", JOIN_VERSION,
	        "token", token, "name", s->name, "csr", csr, "key", key64, "journal", none, "signature",
	        sig64, "standby", "origin", origin, "broker_port", (int)s->own.broker_port);
	free(csr);
	CHECK(body);
	return body;
}

/* The answer's object. */
static json_t *post(const struct standing *s, const char *path, const json_t *body, bool shown, struct err *e)
{
	struct hub_self self = {
	        .ca = s->ca, .cert = shown ? s->cert : NULL, .key = shown ? s->key : NULL, .stop_fd = -1};
	char *text = json_dumps(body, JSON_COMPACT), *answer = NULL;
	json_t *j = NULL;
	unsigned status;

	CHECK(text);
	if (hub_client_post(s->line.origin, path, &self, text, &status, &answer, e) < 0) {
		free(text);
		return NULL;
	}
	free(text);
	if (status / 100 != 2) {
		(void)hub_client_refused(status, answer, e);
	} else {
		j = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(j))
			(void)err_set(e, ERR_CORRUPT, "the hub's answer makes no sense");
	}
	explicit_bzero(answer, strlen(answer));
	free(answer);
	return j;
}

static int get_certificate(struct standing *s, struct err *e)
{
	json_t *body = join_body(s, e), *j;
	const char *pem;
	int rc;

	if (!body)
		return -1;
	j = post(s, "/v1/hub/join", body, false, e);
	json_decref(body);
	if (!j)
		return -1;
	pem = j_str(j, "certificate");
	rc = *pem ? cert_file_write(s->cert, pem, strlen(pem), 0644, e)
	          : err_set(e, ERR_CORRUPT, "the hub did not answer with a certificate");
	json_decref(j);
	return rc;
}

/* ---- what is left here ---- */

static int take(struct standing *s, const json_t *j, struct err *e)
{
	const char *record = args_value(&s->c->args, "record");
	char path[PATH_BYTES], *text;
	bool changed;
	int rc;

	(void)snprintf(s->own.name, sizeof(s->own.name), "%s", j_str(j, "hub"));
	(void)snprintf(s->own.broker, sizeof(s->own.broker), "%s", j_str(j, "broker"));
	s->own.life_s = j_uint(j, "certificates");
	if (handover_write(s->c->state_dir, json_object_get(j, "files"), s->line.token.fingerprint, 16,
	            &changed, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/hub/hub.yaml", s->c->state_dir);
	if (hub_settings_save(path, &s->own, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/standby/hubs.json", s->c->state_dir);
	text = json_dumps(json_object_get(j, "hubs"), JSON_COMPACT);
	rc = text ? cert_file_write(path, text, strlen(text), 0600, e)
	          : err_set(e, ERR_CORRUPT, "the hub does not say where it is");
	free(text);
	if (rc < 0)
		return -1;
	return record_keep(s->c, record ? record : j_str(j, "record"), true, "", e);
}

int hub_standby_join(struct cli *c, const char *line, const json_t *settings, struct err *e)
{
	struct standing *s = calloc(1, sizeof(*s));
	json_t *none = json_object(), *j = NULL;
	int rc;

	CHECK(s && none);
	s->c = c;
	rc = prepare(s, line, settings, e);
	if (rc == 0)
		rc = get_ca(s, e);
	if (rc == 0)
		rc = get_certificate(s, e);
	if (rc == 0) {
		j = post(s, "/v1/hub/keys", none, true, e);
		rc = j ? take(s, j, e) : -1;
	}
	json_decref(j);
	json_decref(none);
	explicit_bzero(s, sizeof(*s));
	free(s);
	return rc;
}
