/* SPDX-License-Identifier: Apache-2.0 */
/* ca - see ca.h. */
#include "io/ca.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/cert_int.h"

#define PATH_MAX_BYTES 4096u
#define HOST_MAX       253u

struct ca {
	char *dir;
	char hub[CERT_NAME_MAX + 1];
	EVP_PKEY *key;
	X509 *cert;
	char *pem;
	size_t pem_n;
	uint8_t sha256[32];
};

static void path_of(const char *dir, const char *name, char out[PATH_MAX_BYTES])
{
	CHECK(snprintf(out, PATH_MAX_BYTES, "%s/%s", dir, name) < (int)PATH_MAX_BYTES);
}

/* ---- building certificates ---- */

static void set_serial(X509 *x)
{
	uint8_t bytes[CERT_SERIAL];
	BIGNUM *bn;

	CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1);
	bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, and always of this length */
	bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
	CHECK(bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)));
	BN_free(bn);
}

static void set_time(X509 *x, uint64_t now_ns, uint64_t back_s, uint64_t life_s)
{
	time_t now = (time_t)(now_ns / 1000000000u);

	CHECK(ASN1_TIME_set(X509_getm_notBefore(x), now - (time_t)back_s) &&
	        ASN1_TIME_set(X509_getm_notAfter(x), now + (time_t)life_s));
}

static void add_name(X509_NAME *name, const char *field, const char *value)
{
	CHECK(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0) == 1);
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	CHECK(ext && X509_add_ext(x, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

static char *pem_of(const X509 *x, size_t *out_n)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;

	CHECK(b && PEM_write_bio_X509(b, x) == 1);
	text = cert_text_of(b, out_n);
	BIO_free(b);
	return text;
}

/* With all but who and for what. */
static X509 *leaf_new(const struct ca *c, EVP_PKEY *key, const char *cn, uint64_t now_ns, uint64_t life_s)
{
	X509 *x = X509_new();

	CHECK(x && X509_set_version(x, X509_VERSION_3) == 1);
	set_serial(x);
	set_time(x, now_ns, CERT_BACK_S, life_s);
	add_name(X509_get_subject_name(x), "CN", cn);
	CHECK(X509_set_issuer_name(x, X509_get_subject_name(c->cert)) == 1 && X509_set_pubkey(x, key) == 1);
	extend(x, c->cert, NID_basic_constraints, "critical,CA:FALSE");
	extend(x, c->cert, NID_key_usage, "critical,digitalSignature");
	extend(x, c->cert, NID_authority_key_identifier, "keyid:always");
	return x;
}

static void leaf_sign(const struct ca *c, X509 *x)
{
	CHECK(X509_sign(x, c->key, NULL) > 0);
}

/* ---- the authority ---- */

bool ca_exists(const char *dir)
{
	char path[PATH_MAX_BYTES];

	path_of(dir, "ca.crt", path);
	return access(path, F_OK) == 0;
}

static int make(struct ca *c, const char *hub, uint64_t now_ns, struct err *e)
{
	char path[PATH_MAX_BYTES], *pem;
	X509 *x;
	size_t n;
	int rc;

	path_of(c->dir, "ca.key", path);
	if (cert_key_make(path, e) < 0 || cert_key_read(path, &c->key, e) < 0)
		return -1;
	x = X509_new();
	CHECK(x && X509_set_version(x, X509_VERSION_3) == 1);
	set_serial(x);
	set_time(x, now_ns, 86400, (uint64_t)CA_YEARS * 365 * 86400);
	add_name(X509_get_subject_name(x), "O", "osier hub");
	add_name(X509_get_subject_name(x), "CN", hub);
	CHECK(X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 && X509_set_pubkey(x, c->key) == 1);
	extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
	extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign");
	extend(x, x, NID_subject_key_identifier, "hash");
	CHECK(X509_sign(x, c->key, NULL) > 0);
	pem = pem_of(x, &n);
	path_of(c->dir, "ca.crt", path);
	rc = cert_file_write(path, pem, n, 0644, e);
	free(pem);
	X509_free(x);
	EVP_PKEY_free(c->key);
	c->key = NULL;
	return rc;
}

static int load(struct ca *c, struct err *e)
{
	struct cert_trust *t;
	char path[PATH_MAX_BYTES];

	path_of(c->dir, "ca.crt", path);
	if (cert_file_read(path, &c->pem, &c->pem_n, e) < 0)
		return -1;
	if (cert_trust_new(c->pem, c->pem_n, &t, e) < 0) {
		(void)err_wrap(e, "reading '%.160s'", path);
		e->code = ERR_CORRUPT;
		return -1;
	}
	(void)snprintf(c->hub, sizeof(c->hub), "%s", cert_trust_hub(t));
	cert_trust_digest(t, c->sha256);
	cert_trust_free(t);
	c->cert = cert_parse(c->pem, c->pem_n);
	CHECK(c->cert);
	path_of(c->dir, "ca.key", path);
	if (cert_key_read(path, &c->key, e) < 0)
		return -1;
	if (X509_check_private_key(c->cert, c->key) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_CORRUPT, "'%.160s' is not the key of the certificate beside it", path);
	}
	return 0;
}

int ca_open(const char *dir, const char *hub, uint64_t now_ns, struct ca **out, struct err *e)
{
	struct ca *c;

	CHECK(cert_name_ok(hub));
	if (strlen(dir) > PATH_MAX_BYTES - 64)
		return err_set(e, ERR_INVALID, "the folder's name is too long");
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make the folder '%.180s'", dir);
	c = calloc(1, sizeof(*c));
	CHECK(c);
	c->dir = strdup(dir);
	CHECK(c->dir);
	if ((!ca_exists(dir) && make(c, hub, now_ns, e) < 0) || load(c, e) < 0) {
		ca_close(c);
		return -1;
	}
	if (strcmp(c->hub, hub) != 0) {
		(void)err_set(e, ERR_EXISTS, "this hub was made as '%s', not as '%s'", c->hub, hub);
		(void)err_hint(e,
		        "nodes know it by that name; keep it, or remove '%.60s' and let all join anew", dir);
		ca_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

void ca_close(struct ca *c)
{
	if (!c)
		return;
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
	free(c->pem);
	free(c->dir);
	free(c);
}

const char *ca_hub(const struct ca *c)
{
	return c->hub;
}

const char *ca_pem(const struct ca *c, size_t *out_n)
{
	*out_n = c->pem_n;
	return c->pem;
}

void ca_fingerprint(const struct ca *c, uint8_t out[32])
{
	memcpy(out, c->sha256, 32);
}

/* ---- servers ---- */

static bool is_address(const char *host)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

bool ca_host_ok(const char *host)
{
	size_t n = strnlen(host, HOST_MAX + 1);

	if (is_address(host))
		return true;
	if (n == 0 || n > HOST_MAX || host[0] == '-' || host[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		char ch = host[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		            ch == '-' || ch == '.' || ch == '_'))
			return false;
	}
	return true;
}

static void alt_names(X509 *x, const struct ca *c, const char *const *names, size_t n)
{
	char text[CA_NAMES_MAX * (HOST_MAX + 6) + CERT_NAME_MAX + 16];
	size_t at = (size_t)snprintf(text, sizeof(text), "URI:osier://%s", c->hub);

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, ",%s:%s",
		        is_address(names[i]) ? "IP" : "DNS", names[i]);
	CHECK(at < sizeof(text));
	extend(x, c->cert, NID_subject_alt_name, text);
}

/* Does the certificate in the file serve: by us, for a third of its life yet, and for exactly these names? */
static bool serves(const struct ca *c, const char *dir, const char *file, const char *const *names, size_t n,
        uint64_t now_ns)
{
	char path[PATH_MAX_BYTES], *pem = NULL;
	size_t len;
	struct cert says;
	GENERAL_NAMES *have = NULL;
	X509 *x = NULL;
	bool good = false;

	path_of(dir, file, path);
	if (cert_file_read(path, &pem, &len, NULL) < 0)
		return false;
	x = cert_parse(pem, len);
	if (x && cert_read(pem, len, &says, NULL) == 0 && X509_verify(x, c->key) == 1 &&
	        now_ns >= says.not_before_ns && now_ns < cert_renew_ns(&says)) {
		have = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
		good = have && (size_t)sk_GENERAL_NAME_num(have) == n + 1;
		for (size_t i = 0; i < n && good; i++)
			good = is_address(names[i]) ? X509_check_ip_asc(x, names[i], 0) == 1
			                            : X509_check_host(x, names[i], 0, 0, NULL) == 1;
	}
	ERR_clear_error();
	GENERAL_NAMES_free(have);
	X509_free(x);
	free(pem);
	return good;
}

static int write_leaf(struct ca *c, const char *dir, const char *what, const char *cn,
        const char *const *names, size_t n, uint64_t now_ns, struct err *e)
{
	char path[PATH_MAX_BYTES], file[16], uri[2 * CERT_NAME_MAX + 32], *pem;
	EVP_PKEY *key;
	X509 *x;
	size_t len;
	int rc;

	(void)snprintf(file, sizeof(file), "%s.key", what);
	path_of(dir, file, path);
	if (cert_key_make(path, e) < 0 || cert_key_read(path, &key, e) < 0)
		return -1;
	x = leaf_new(c, key, cn, now_ns, CA_SERVER_S);
	if (names) {
		extend(x, c->cert, NID_ext_key_usage, "serverAuth");
		alt_names(x, c, names, n);
	} else {
		(void)snprintf(uri, sizeof(uri), "URI:osier://%s/%s", c->hub, cn);
		extend(x, c->cert, NID_ext_key_usage, "clientAuth");
		extend(x, c->cert, NID_subject_alt_name, uri);
	}
	leaf_sign(c, x);
	pem = pem_of(x, &len);
	(void)snprintf(file, sizeof(file), "%s.crt", what);
	path_of(dir, file, path);
	rc = cert_file_write(path, pem, len, 0644, e);
	free(pem);
	X509_free(x);
	EVP_PKEY_free(key);
	return rc;
}

int ca_broker(struct ca *c, const char *dir, const char *const *names, size_t n, uint64_t now_ns,
        bool *out_changed, struct err *e)
{
	bool changed;

	if (n > CA_NAMES_MAX)
		return err_set(
		        e, ERR_INVALID, "a hub has at most %u names and addresses, not %zu", CA_NAMES_MAX, n);
	for (size_t i = 0; i < n; i++)
		if (!ca_host_ok(names[i]))
			return err_set(e, ERR_INVALID, "'%.80s' is not a host name or an address", names[i]);
	changed = !serves(c, dir, "server.crt", names, n, now_ns);
	if (changed && write_leaf(c, dir, "server", c->hub, names, n, now_ns, e) < 0)
		return -1;
	*out_changed = changed;
	return 0;
}

int ca_server(
        struct ca *c, const char *const *names, size_t n, uint64_t now_ns, bool *out_changed, struct err *e)
{
	bool changed;

	if (ca_broker(c, c->dir, names, n, now_ns, &changed, e) < 0)
		return -1;
	if (!serves(c, c->dir, "client.crt", NULL, 0, now_ns)) {
		if (write_leaf(c, c->dir, "client", CERT_HUB, NULL, 0, now_ns, e) < 0)
			return -1;
		changed = true;
	}
	*out_changed = changed;
	return 0;
}

/* ---- nodes ---- */

int ca_issue(struct ca *c, const struct cert_request *r, const char *node, uint64_t now_ns, uint64_t life_s,
        char **out_pem, struct cert *out, struct err *e)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(cert_request_of(r));
	char uri[2 * CERT_NAME_MAX + 32], *pem;
	X509 *x;
	size_t n;

	if (!cert_name_ok(node) || strcmp(node, CERT_HUB) == 0)
		return err_set(e, ERR_INVALID, "'%.80s' is not a name for a node", node);
	CHECK(key && cert_is_ed25519(key));
	x = leaf_new(c, key, node, now_ns, life_s);
	(void)snprintf(uri, sizeof(uri), "URI:osier://%s/%s", c->hub, node);
	extend(x, c->cert, NID_ext_key_usage, "clientAuth");
	extend(x, c->cert, NID_subject_alt_name, uri);
	leaf_sign(c, x);
	pem = pem_of(x, &n);
	X509_free(x);
	CHECK(cert_read(pem, n, out, NULL) == 0);
	*out_pem = pem;
	return 0;
}

/* ---- revocation ---- */

static void add_revoked(X509_CRL *crl, const struct ca_revoked *v)
{
	X509_REVOKED *r = X509_REVOKED_new();
	BIGNUM *bn = BN_bin2bn(v->serial, CERT_SERIAL, NULL);
	ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(bn, NULL);
	ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)(v->at_ns / 1000000000u));

	CHECK(r && bn && serial && at);
	CHECK(X509_REVOKED_set_serialNumber(r, serial) == 1 && X509_REVOKED_set_revocationDate(r, at) == 1);
	CHECK(X509_CRL_add0_revoked(crl, r) == 1);
	ASN1_TIME_free(at);
	ASN1_INTEGER_free(serial);
	BN_free(bn);
}

int ca_crl(struct ca *c, const struct ca_revoked *v, size_t n, uint64_t now_ns, struct err *e)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)(now_ns / 1000000000u));
	BIO *b = BIO_new(BIO_s_mem());
	char path[PATH_MAX_BYTES], *pem;
	size_t len;
	int rc;

	CHECK(crl && now && b && n <= CA_REVOKED_MAX);
	CHECK(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
	        X509_CRL_set_issuer_name(crl, X509_get_subject_name(c->cert)) == 1 &&
	        X509_CRL_set1_lastUpdate(crl, now) == 1 &&
	        X509_CRL_set1_nextUpdate(crl, X509_get0_notAfter(c->cert)) == 1);
	for (size_t i = 0; i < n; i++)
		add_revoked(crl, &v[i]);
	CHECK(X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, c->key, NULL) > 0);
	CHECK(PEM_write_bio_X509_CRL(b, crl) == 1);
	pem = cert_text_of(b, &len);
	path_of(c->dir, "crl.pem", path);
	rc = cert_file_write(path, pem, len, 0644, e);
	free(pem);
	BIO_free(b);
	ASN1_TIME_free(now);
	X509_CRL_free(crl);
	return rc;
}

void ca_sign(const struct ca *c, const uint8_t *bytes, size_t n, uint8_t out[64])
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	size_t len = 64;

	CHECK(m && n > 6 && memcmp(bytes, "osier ", 6) == 0);
	CHECK(EVP_DigestSignInit(m, NULL, NULL, NULL, c->key) == 1 &&
	        EVP_DigestSign(m, out, &len, bytes, n) == 1 && len == 64);
	EVP_MD_CTX_free(m);
}
