/* SPDX-License-Identifier: Apache-2.0 */
/* cert - see cert.h. */
#include "io/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/cert_int.h"
#include "io/disk.h"
#include "io/sha256.h"

struct cert_request {
	X509_REQ *req;
};

struct cert_trust {
	X509 *ca;
	EVP_PKEY *key;
	char hub[CERT_NAME_MAX + 1];
	uint8_t sha256[32];
};

/* ---- names ---- */

static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool cert_name_ok(const char *name)
{
	size_t n = strnlen(name, CERT_NAME_MAX + 1);

	if (n == 0 || n > CERT_NAME_MAX || !plain(name[0]) || !plain(name[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!plain(name[i]) && name[i] != '-')
			return false;
	return true;
}

void cert_name_from(const char *text, char out[CERT_NAME_MAX + 1])
{
	size_t n = 0;

	for (; *text && n < CERT_NAME_MAX; text++) {
		char c = *text;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (plain(c))
			out[n++] = c;
		else if (n && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n && out[n - 1] == '-')
		n--;
	out[n] = '\0';
	if (n == 0)
		memcpy(out, "node", sizeof("node"));
}

/* ---- files ---- */

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		p += k;
		n -= (size_t)k;
	}
	return fsync(fd);
}

int cert_file_write(const char *path, const void *p, size_t n, unsigned mode, struct err *e)
{
	char tmp[4096], dir[4096];
	int fd, rc;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return err_set(e, ERR_INVALID, "the name '%.80s...' is too long", path);
	(void)snprintf(dir, sizeof(dir), "%s", path);
	(void)unlink(tmp); /* of a crash */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(e, "cannot write '%.200s'", tmp);
	rc = fchmod(fd, mode) < 0 ? -1 : write_all(fd, p, n);
	if (rc < 0)
		(void)err_sys(e, "cannot write '%.200s'", tmp);
	(void)close(fd);
	if (rc == 0 && rename(tmp, path) < 0)
		rc = err_sys(e, "cannot replace '%.200s'", path);
	if (rc < 0) {
		(void)unlink(tmp);
		return -1;
	}
	return disk_sync_folder(dirname(dir), e);
}

int cert_file_read(const char *path, char **out, size_t *out_n, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	size_t n = 0;
	ssize_t got = 1;
	struct stat st;
	char *text;

	if (fd < 0) {
		bool none = errno == ENOENT;

		(void)err_sys(e, "cannot open '%.200s'", path);
		if (none && e)
			e->code = ERR_NOTFOUND;
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)CERT_PEM_MAX) {
		(void)close(fd);
		return err_set(
		        e, ERR_CORRUPT, "'%.200s' is not a file of at most %u bytes", path, CERT_PEM_MAX);
	}
	text = malloc(CERT_PEM_MAX + 1);
	CHECK(text);
	while (n < CERT_PEM_MAX && got > 0) {
		got = read(fd, text + n, CERT_PEM_MAX - n);
		n += got > 0 ? (size_t)got : 0;
	}
	(void)close(fd);
	if (got < 0) {
		free(text);
		return err_sys(e, "cannot read '%.200s'", path);
	}
	text[n] = '\0';
	*out = text;
	*out_n = n;
	return 0;
}

/* ---- shared with ca.c ---- */

/* Never asked for: nothing here is sealed. */
static int no_passphrase(char *buf, int size, int rw, void *u)
{
	(void)buf, (void)size, (void)rw, (void)u;
	return 0;
}

static BIO *reading(const char *pem, size_t n)
{
	BIO *b = n <= CERT_PEM_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;

	ERR_clear_error();
	return b;
}

bool cert_is_ed25519(const EVP_PKEY *k)
{
	return k && EVP_PKEY_get_id(k) == EVP_PKEY_ED25519;
}

X509 *cert_parse(const char *pem, size_t n)
{
	BIO *b = reading(pem, n);
	X509 *x = b ? PEM_read_bio_X509(b, NULL, no_passphrase, NULL) : NULL;

	BIO_free(b);
	ERR_clear_error();
	return x;
}

int cert_key_read(const char *path, EVP_PKEY **out, struct err *e)
{
	EVP_PKEY *k = NULL;
	struct stat st;
	size_t n;
	char *pem;
	BIO *b;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		return err_set(
		        e, ERR_DENIED, "others may read the key '%.180s': its mode must be 0600", path);
	if (cert_file_read(path, &pem, &n, e) < 0)
		return -1;
	b = reading(pem, n);
	if (b)
		k = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
	BIO_free(b);
	OPENSSL_cleanse(pem, n);
	free(pem);
	ERR_clear_error();
	if (!cert_is_ed25519(k)) {
		EVP_PKEY_free(k);
		return err_set(e, ERR_CORRUPT, "'%.200s' is not an Ed25519 key in PEM", path);
	}
	*out = k;
	return 0;
}

char *cert_text_of(BIO *b, size_t *out_n)
{
	char *p, *copy;
	long n = BIO_get_mem_data(b, &p);

	CHECK(n > 0);
	copy = malloc((size_t)n + 1);
	CHECK(copy);
	memcpy(copy, p, (size_t)n);
	copy[n] = '\0';
	if (out_n)
		*out_n = (size_t)n;
	return copy;
}

/* ---- keys and requests ---- */

int cert_key_make(const char *path, struct err *e)
{
	EVP_PKEY *k = NULL;
	struct err why;
	BIO *b;
	char *pem;
	size_t n;
	int rc;

	if (cert_key_read(path, &k, &why) == 0) {
		EVP_PKEY_free(k);
		return 0;
	}
	if (why.code != ERR_NOTFOUND) {
		if (e)
			*e = why;
		return -1;
	}
	k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	b = BIO_new(BIO_s_secmem());
	CHECK(k && b && PEM_write_bio_PKCS8PrivateKey(b, k, NULL, NULL, 0, NULL, NULL) == 1);
	pem = cert_text_of(b, &n);
	rc = cert_file_write(path, pem, n, 0600, e);
	OPENSSL_cleanse(pem, n);
	free(pem);
	BIO_free(b);
	EVP_PKEY_free(k);
	return rc;
}

int cert_request_make(const char *key_path, const char *name, char **out_pem, struct err *e)
{
	X509_REQ *r = X509_REQ_new();
	BIO *b = BIO_new(BIO_s_mem());
	X509_NAME *subject = X509_NAME_new();
	EVP_PKEY *k = NULL;
	int rc = -1;

	CHECK(r && b && subject && cert_name_ok(name));
	if (cert_key_read(key_path, &k, e) < 0)
		goto out;
	CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1, 0) ==
	        1);
	CHECK(X509_REQ_set_version(r, 0) == 1 && X509_REQ_set_subject_name(r, subject) == 1 &&
	        X509_REQ_set_pubkey(r, k) == 1 && X509_REQ_sign(r, k, NULL) > 0);
	CHECK(PEM_write_bio_X509_REQ(b, r) == 1);
	*out_pem = cert_text_of(b, NULL);
	rc = 0;
out:
	X509_NAME_free(subject);
	X509_REQ_free(r);
	BIO_free(b);
	EVP_PKEY_free(k);
	return rc;
}

int cert_request_read(const char *pem, size_t n, struct cert_request **out, struct err *e)
{
	BIO *b = reading(pem, n);
	X509_REQ *r = b ? PEM_read_bio_X509_REQ(b, NULL, no_passphrase, NULL) : NULL;
	EVP_PKEY *k = r ? X509_REQ_get0_pubkey(r) : NULL;
	bool right = cert_is_ed25519(k), there = r != NULL, signed_ = right && X509_REQ_verify(r, k) == 1;

	BIO_free(b);
	ERR_clear_error();
	if (signed_) {
		*out = calloc(1, sizeof(**out));
		CHECK(*out);
		(*out)->req = r;
		return 0;
	}
	X509_REQ_free(r);
	if (!there)
		return err_set(e, ERR_INVALID, "'csr' is not a certificate request (PKCS#10) in PEM");
	if (!right)
		return err_set(e, ERR_INVALID, "the certificate request is not for an Ed25519 key");
	return err_set(e, ERR_INVALID, "the certificate request is not signed with its own key");
}

void cert_request_free(struct cert_request *r)
{
	if (!r)
		return;
	X509_REQ_free(r->req);
	free(r);
}

X509_REQ *cert_request_of(const struct cert_request *r)
{
	return r->req;
}

void cert_request_digest(const struct cert_request *r, uint8_t out[32])
{
	unsigned char *der = NULL;
	int n = i2d_X509_REQ(r->req, &der);

	CHECK(n > 0);
	sha256_of(der, (size_t)n, out);
	OPENSSL_free(der);
}

/* ---- what a certificate says ---- */

static uint64_t time_of(const ASN1_TIME *t)
{
	struct tm tm;
	time_t s;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	s = timegm(&tm);
	return s > 0 ? (uint64_t)s * 1000000000u : 0;
}

void cert_digest(const X509 *x, uint8_t out[32])
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	CHECK(n > 0);
	sha256_of(der, (size_t)n, out);
	OPENSSL_free(der);
}

/* Text of an ASN.1 string of at most CERT_NAME_MAX bytes without NULs inside. */
static bool name_from(const ASN1_STRING *s, const char *after, char out[CERT_NAME_MAX + 1])
{
	const char *p = s ? (const char *)ASN1_STRING_get0_data(s) : NULL;
	size_t n = s ? (size_t)ASN1_STRING_length(s) : 0, skip = strlen(after);

	if (!p || n < skip || memcmp(p, after, skip) != 0)
		return false;
	p += skip;
	n -= skip;
	if (n == 0 || n > CERT_NAME_MAX || memchr(p, '\0', n))
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

static bool common_name(const X509 *x, char out[CERT_NAME_MAX + 1])
{
	const X509_NAME *subject = X509_get_subject_name(x);
	int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return i >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, i) < 0 &&
	       name_from(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)), "", out);
}

/* osier://HUB or osier://HUB/NODE: the hub, and whether the node is `name`. */
static bool uri_says(const X509 *x, const char *name, char hub[CERT_NAME_MAX + 1])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char text[2 * CERT_NAME_MAX + 16];
	bool found = false;

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s = g->type == GEN_URI ? g->d.uniformResourceIdentifier : NULL;
		size_t n = s ? (size_t)ASN1_STRING_length(s) : 0;
		char *slash;

		if (n < 9 || n >= sizeof(text) || memcmp(ASN1_STRING_get0_data(s), "osier://", 8) != 0)
			continue;
		memcpy(text, ASN1_STRING_get0_data(s), n);
		text[n] = '\0';
		slash = strchr(text + 8, '/');
		if (strlen(text) != n || (slash && strcmp(slash + 1, name) != 0))
			continue;
		if (slash)
			*slash = '\0';
		found = cert_name_ok(text + 8);
		if (found)
			memcpy(hub, text + 8, strlen(text + 8) + 1);
	}
	GENERAL_NAMES_free(names);
	return found;
}

static int says(const X509 *x, struct cert *out, struct err *e)
{
	struct cert c = {0};
	BIGNUM *serial = x ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL) : NULL;
	int bad = !serial || BN_is_negative(serial) || BN_bn2binpad(serial, c.serial, CERT_SERIAL) < 0;

	BN_free(serial);
	ERR_clear_error();
	if (!x || bad || !common_name(x, c.name))
		return err_set(e, ERR_INVALID, "the bytes are not a certificate of osier");
	c.not_before_ns = time_of(X509_get0_notBefore(x));
	c.not_after_ns = time_of(X509_get0_notAfter(x));
	cert_digest(x, c.sha256);
	(void)uri_says(x, c.name, c.hub);
	*out = c;
	return 0;
}

int cert_read(const char *pem, size_t n, struct cert *out, struct err *e)
{
	X509 *x = cert_parse(pem, n);
	int rc = says(x, out, e);

	X509_free(x);
	return rc;
}

bool cert_key_of(const char *key, size_t key_n, const char *pem, size_t n)
{
	X509 *x = cert_parse(pem, n);
	BIO *b = reading(key, key_n);
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
	bool good = x && cert_is_ed25519(k) && X509_check_private_key(x, k) == 1;

	ERR_clear_error();
	BIO_free(b);
	EVP_PKEY_free(k);
	X509_free(x);
	return good;
}

static X509 *parse_der(const uint8_t *der, size_t n)
{
	X509 *x = n <= CERT_PEM_MAX ? d2i_X509(NULL, &der, (long)n) : NULL;

	ERR_clear_error();
	return x;
}

int cert_read_der(const uint8_t *der, size_t n, struct cert *out, struct err *e)
{
	X509 *x = parse_der(der, n);
	int rc = says(x, out, e);

	X509_free(x);
	return rc;
}

uint64_t cert_renew_ns(const struct cert *c)
{
	uint64_t made = c->not_before_ns + CERT_BACK_S * 1000000000ull;

	return c->not_after_ns > made ? made + (c->not_after_ns - made) / 3 * 2 : c->not_after_ns;
}

/* ---- trust ---- */

int cert_trust_new(const char *pem, size_t n, struct cert_trust **out, struct err *e)
{
	X509 *x = cert_parse(pem, n);
	EVP_PKEY *k = x ? X509_get0_pubkey(x) : NULL;
	struct cert_trust *t = calloc(1, sizeof(*t));

	CHECK(t);
	if (!cert_is_ed25519(k) || X509_check_ca(x) != 1 || X509_verify(x, k) != 1 ||
	        !common_name(x, t->hub) || !cert_name_ok(t->hub)) {
		ERR_clear_error();
		X509_free(x);
		free(t);
		return err_set(e, ERR_INVALID, "the bytes are not the certificate of a hub");
	}
	t->ca = x;
	t->key = k;
	cert_digest(x, t->sha256);
	*out = t;
	return 0;
}

void cert_trust_free(struct cert_trust *t)
{
	if (!t)
		return;
	X509_free(t->ca);
	free(t);
}

void cert_trust_digest(const struct cert_trust *t, uint8_t out[32])
{
	memcpy(out, t->sha256, 32);
}

const char *cert_trust_hub(const struct cert_trust *t)
{
	return t->hub;
}

char *cert_trust_pem(const struct cert_trust *t)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;

	CHECK(b && PEM_write_bio_X509(b, t->ca) == 1);
	text = cert_text_of(b, NULL);
	BIO_free(b);
	return text;
}

/* One level below the CA: no chain to build, so no more of X.509 than is needed. now_ns 0: at any time. */
static int check(const struct cert_trust *t, X509 *x, uint64_t now_ns, struct cert *out, struct err *e)
{
	if (says(x, out, e) < 0)
		return -1;
	if (X509_check_issued(t->ca, x) != X509_V_OK || X509_verify(x, t->key) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_DENIED, "the certificate was not issued by the hub '%s'", t->hub);
	}
	if (X509_check_purpose(x, X509_PURPOSE_SSL_CLIENT, 0) != 1 || strcmp(out->hub, t->hub) != 0 ||
	        !cert_name_ok(out->name))
		return err_set(e, ERR_DENIED, "the certificate is not a node's");
	if (now_ns == 0)
		return 0;
	if (now_ns < out->not_before_ns)
		return err_set(e, ERR_DENIED, "the certificate of '%s' is not valid yet: a clock is wrong",
		        out->name);
	if (now_ns > out->not_after_ns) {
		(void)err_set(e, ERR_DENIED, "the certificate of '%s' has expired", out->name);
		return err_hint(e, "join again with a new token: 'osier hub token' prints one");
	}
	return 0;
}

static int checked(const struct cert_trust *t, X509 *x, uint64_t now_ns, struct cert *out, struct err *e)
{
	struct err why = {0};
	struct cert c;
	int rc = check(t, x, now_ns, &c, &why);

	X509_free(x);
	if (rc == 0) {
		*out = c;
		return 0;
	}
	why.code = ERR_DENIED;
	if (e)
		*e = why;
	return -1;
}

int cert_trust_check(const struct cert_trust *t, const uint8_t *der, size_t n, uint64_t now_ns,
        struct cert *out, struct err *e)
{
	CHECK(now_ns > 0);
	return checked(t, parse_der(der, n), now_ns, out, e);
}

int cert_trust_holds(const struct cert_trust *t, const char *pem, size_t n, struct cert *out, struct err *e)
{
	return checked(t, cert_parse(pem, n), 0, out, e);
}

bool cert_trust_signed(const struct cert_trust *t, const uint8_t *bytes, size_t n, const uint8_t sig[64])
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	bool good;

	CHECK(m);
	good = EVP_DigestVerifyInit(m, NULL, NULL, NULL, t->key) == 1 &&
	       EVP_DigestVerify(m, sig, 64, bytes, n) == 1;
	ERR_clear_error();
	EVP_MD_CTX_free(m);
	return good;
}
