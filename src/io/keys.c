/* SPDX-License-Identifier: Apache-2.0 */
/* keys - see keys.h. */
#include "io/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "io/disk.h"
#include "io/ed25519.h"

static const char prefix[] = "PRIVATE+KEY+";
static const char sealed[] = "osier sealed key v1\n";

/* As libsodium recommends for interactive use: 64 MiB and two passes, about a tenth of a second. */
#define SEAL_OPERATIONS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define SEAL_BYTES      crypto_pwhash_MEMLIMIT_INTERACTIVE
#define SEAL_BYTES_MAX  (1ull << 30)
#define SEAL_OPS_MAX    16ull

enum {
	LINE_MAX_BYTES = sizeof(prefix) + NOTE_VKEY_MAX + 2,
	BOX_MAX = LINE_MAX_BYTES + crypto_secretbox_MACBYTES
};

void key_forget(struct key *k)
{
	sodium_memzero(k, sizeof(*k));
}

/* ---- text ---- */

static size_t print_line(const struct key *k, char out[LINE_MAX_BYTES])
{
	char b64[BASE64_CHARS(33) + 1];
	uint8_t bytes[33];
	int n;

	bytes[0] = k->pub.type;
	memcpy(bytes + 1, k->seed, sizeof(k->seed));
	(void)base64_write(bytes, sizeof(bytes), b64);
	n = snprintf(out, LINE_MAX_BYTES, "%s%s+%02x%02x%02x%02x+%s\n", prefix, k->pub.name, k->pub.id[0],
	        k->pub.id[1], k->pub.id[2], k->pub.id[3], b64);
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(b64, sizeof(b64));
	return (size_t)n;
}

static int not_a_key(struct err *e)
{
	return err_set(e, ERR_CORRUPT, "not a private key of osier");
}

static int parse_line(const char *p, size_t n, struct key *out, struct err *e)
{
	size_t lead = sizeof(prefix) - 1;
	const char *key;
	uint8_t bytes[33], pub[32], id[4];
	char name[NOTE_NAME_MAX + 1], hex[9];
	const char *plus;

	if (n < lead || memcmp(p, prefix, lead) != 0 || p[n - 1] != '\n')
		return not_a_key(e);
	p += lead;
	n -= lead + 1;
	plus = memchr(p, '+', n);
	if (!plus || (size_t)(plus - p) > NOTE_NAME_MAX ||
	        n - (size_t)(plus - p) != 1 + 8 + 1 + BASE64_CHARS(33) || plus[9] != '+' ||
	        !note_name_ok(p, (size_t)(plus - p)))
		return not_a_key(e);
	memcpy(name, p, (size_t)(plus - p));
	name[plus - p] = '\0';
	key = plus + 10;
	if (base64_read(key, BASE64_CHARS(33), bytes, sizeof(bytes)) != 33 ||
	        (bytes[0] != NOTE_ED25519 && bytes[0] != NOTE_COSIGNATURE))
		return not_a_key(e);
	memcpy(out->seed, bytes + 1, sizeof(out->seed));
	ed25519_public(out->seed, pub);
	note_key_make(name, bytes[0], pub, &out->pub);
	sodium_memzero(bytes, sizeof(bytes));
	memcpy(id, out->pub.id, sizeof(id));
	(void)snprintf(hex, sizeof(hex), "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
	if (memcmp(hex, plus + 1, 8) != 0) {
		key_forget(out);
		return err_set(e, ERR_CORRUPT,
		        "the key does not have the id that it is written with: it is damaged");
	}
	return 0;
}

/* False: not enough memory. */
static bool derive(const char *passphrase, const uint8_t salt[crypto_pwhash_SALTBYTES],
        unsigned long long ops, size_t mem, uint8_t out[crypto_secretbox_KEYBYTES])
{
	return crypto_pwhash(out, crypto_secretbox_KEYBYTES, passphrase, strlen(passphrase), salt, ops, mem,
	               crypto_pwhash_ALG_ARGON2ID13) == 0;
}

size_t key_seal(const char *label, const char *line, size_t n, const char *passphrase, char out[KEY_FILE_MAX])
{
	uint8_t salt[crypto_pwhash_SALTBYTES], nonce[crypto_secretbox_NONCEBYTES],
	        secret[crypto_secretbox_KEYBYTES], box[BOX_MAX];
	char s64[BASE64_CHARS(sizeof(salt)) + 1], n64[BASE64_CHARS(sizeof(nonce)) + 1],
	        b64[BASE64_CHARS(sizeof(box)) + 1];
	int written;

	CHECK(sodium_init() >= 0);
	CHECK(n <= sizeof(box) - crypto_secretbox_MACBYTES);
	randombytes_buf(salt, sizeof(salt));
	randombytes_buf(nonce, sizeof(nonce));
	CHECK(derive(passphrase, salt, SEAL_OPERATIONS, SEAL_BYTES, secret)); /* 64 MiB */
	CHECK(crypto_secretbox_easy(box, (const uint8_t *)line, n, nonce, secret) == 0);
	(void)base64_write(salt, sizeof(salt), s64);
	(void)base64_write(nonce, sizeof(nonce), n64);
	(void)base64_write(box, n + crypto_secretbox_MACBYTES, b64);
	written = snprintf(out, KEY_FILE_MAX, "%s%s\nargon2id %llu %llu %s\n%s %s\n", sealed, label,
	        (unsigned long long)SEAL_OPERATIONS, (unsigned long long)SEAL_BYTES, s64, n64, b64);
	CHECK(written > 0 && (unsigned)written < KEY_FILE_MAX);
	sodium_memzero(secret, sizeof(secret));
	return (size_t)written;
}

static size_t print_sealed(const struct key *k, const char *passphrase, char out[KEY_FILE_MAX])
{
	char line[LINE_MAX_BYTES], vkey[NOTE_VKEY_MAX];
	size_t n = print_line(k, line);

	note_key_print(&k->pub, vkey);
	n = key_seal(vkey, line, n, passphrase, out);
	sodium_memzero(line, sizeof(line));
	return n;
}

size_t key_print(const struct key *k, const char *passphrase, char out[KEY_FILE_MAX])
{
	CHECK(sodium_init() >= 0);
	return passphrase ? print_sealed(k, passphrase, out) : print_line(k, out);
}

struct sealed_key {
	char label[KEY_FILE_MAX + 1];
	unsigned long long ops, mem;
	uint8_t salt[crypto_pwhash_SALTBYTES], nonce[crypto_secretbox_NONCEBYTES], box[BOX_MAX];
	size_t box_n;
};

static int parse_sealed(const char *text, size_t n, struct sealed_key *out, struct err *e)
{
	char copy[KEY_FILE_MAX + 1], s64[KEY_FILE_MAX + 1], n64[KEY_FILE_MAX + 1], b64[KEY_FILE_MAX + 1];
	size_t lead = sizeof(sealed) - 1;
	int end = 0;
	long got;

	memcpy(copy, text + lead, n - lead);
	copy[n - lead] = '\0';
	if (strlen(copy) != n - lead ||
	        sscanf(copy, "%s argon2id %llu %llu %s %s %s%n", out->label, &out->ops, &out->mem, s64, n64,
	                b64, &end) != 6 ||
	        copy[end] != '\n' || copy[end + 1])
		return not_a_key(e);
	got = base64_read(b64, strlen(b64), out->box, sizeof(out->box));
	if (base64_read(s64, strlen(s64), out->salt, sizeof(out->salt)) != sizeof(out->salt) ||
	        base64_read(n64, strlen(n64), out->nonce, sizeof(out->nonce)) != sizeof(out->nonce) ||
	        got <= (long)crypto_secretbox_MACBYTES || out->ops < crypto_pwhash_OPSLIMIT_MIN ||
	        out->ops > SEAL_OPS_MAX || out->mem < crypto_pwhash_MEMLIMIT_MIN || out->mem > SEAL_BYTES_MAX)
		return not_a_key(e);
	out->box_n = (size_t)got;
	return 0;
}

/* `name`: what the key is called in messages. line has room for LINE_MAX_BYTES. */
static int unseal(
        const struct sealed_key *s, const char *name, const char *passphrase, char *line, struct err *e)
{
	uint8_t secret[crypto_secretbox_KEYBYTES];
	int rc;

	if (!passphrase) {
		(void)err_set(e, ERR_DENIED, "the key of '%.150s' is sealed with a passphrase", name);
		return err_hint(e, "give it in the file that OSIER_PASSPHRASE_FILE names");
	}
	if (!derive(passphrase, s->salt, s->ops, (size_t)s->mem, secret))
		return err_set(e, ERR_SYSTEM, "opening the key of '%.100s' needs %llu MiB of memory", name,
		        s->mem >> 20);
	rc = crypto_secretbox_open_easy((uint8_t *)line, s->box, s->box_n, s->nonce, secret);
	sodium_memzero(secret, sizeof(secret));
	if (rc != 0)
		return err_set(e, ERR_DENIED, "the passphrase does not open the key of '%.150s'", name);
	return 0;
}

int key_unseal(const char *text, size_t n, const char *passphrase, char out_label[KEY_FILE_MAX + 1],
        char out_line[KEY_FILE_MAX], size_t *out_n, struct err *e)
{
	struct sealed_key s = {0};

	CHECK(sodium_init() >= 0);
	if (n > KEY_FILE_MAX || !key_is_sealed(text, n))
		return not_a_key(e);
	if (parse_sealed(text, n, &s, e) < 0)
		return -1;
	memcpy(out_label, s.label, sizeof(s.label));
	*out_n = s.box_n - crypto_secretbox_MACBYTES;
	return unseal(&s, s.label, passphrase, out_line, e);
}

/* Of a note's key: the label is its public half. */
static int unseal_key(const struct sealed_key *s, const char *passphrase, struct key *out, struct err *e)
{
	char line[LINE_MAX_BYTES + 1];
	struct note_key pub;
	int rc;

	if (note_key_parse(s->label, strlen(s->label), &pub, e) < 0 ||
	        unseal(s, pub.name, passphrase, line, e) < 0)
		return -1;
	rc = parse_line(line, s->box_n - crypto_secretbox_MACBYTES, out, e);
	sodium_memzero(line, sizeof(line));
	if (rc == 0 && memcmp(&out->pub, &pub, sizeof(pub)) != 0) {
		key_forget(out);
		return err_set(e, ERR_CORRUPT, "the sealed key is not that of '%.150s'", pub.name);
	}
	return rc;
}

bool key_is_sealed(const char *text, size_t n)
{
	return n >= sizeof(sealed) - 1 && memcmp(text, sealed, sizeof(sealed) - 1) == 0;
}

int key_parse(const char *text, size_t n, const char *passphrase, struct key *out, struct err *e)
{
	struct sealed_key s = {0};

	CHECK(sodium_init() >= 0);
	if (n == 0 || n > KEY_FILE_MAX)
		return not_a_key(e);
	if (!key_is_sealed(text, n))
		return parse_line(text, n, out, e);
	return parse_sealed(text, n, &s, e) < 0 ? -1 : unseal_key(&s, passphrase, out, e);
}

/* ---- files ---- */

int key_file_write(const char *path, const char *text, size_t n, struct err *e)
{
	char *copy = strdup(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;

	CHECK(copy);
	if (fd < 0) {
		rc = errno == EEXIST ? err_set(e, ERR_EXISTS, "the key file '%.200s' exists", path)
		                     : err_sys(e, "cannot create '%.200s'", path);
	} else {
		if (write(fd, text, n) != (ssize_t)n || fsync(fd) < 0)
			rc = err_sys(e, "cannot write '%.200s'", path);
		(void)close(fd);
		if (rc < 0)
			(void)unlink(path);
	}
	if (rc == 0)
		rc = disk_sync_folder(dirname(copy), e);
	free(copy);
	return rc;
}

int key_create(const char *path, const char *name, enum note_key_type type, const char *passphrase,
        struct key *out, struct err *e)
{
	char text[KEY_FILE_MAX];
	uint8_t pub[32];
	int rc;

	CHECK(sodium_init() >= 0);
	if (!note_name_ok(name, strlen(name)))
		return err_set(e, ERR_INVALID,
		        "'%.150s' cannot be the name of a key: no spaces, no '+', not empty", name);
	randombytes_buf(out->seed, sizeof(out->seed));
	ed25519_public(out->seed, pub);
	note_key_make(name, type, pub, &out->pub);
	rc = key_file_write(path, text, key_print(out, passphrase, text), e);
	sodium_memzero(text, sizeof(text));
	if (rc < 0)
		key_forget(out);
	return rc;
}

int key_file_read(const char *path, char out[KEY_FILE_MAX + 1], size_t *out_n, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? err_set(e, ERR_NOTFOUND, "there is no key file '%.200s'", path)
		                       : err_sys(e, "cannot open '%.200s'", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		rc = err_set(e, ERR_CORRUPT, "'%.200s' is not a file", path);
	} else if (st.st_mode & 077) {
		(void)err_set(e, ERR_DENIED, "others than its owner may use the key file '%.150s'", path);
		rc = err_hint(e, "chmod 600 it, and think of whether to replace the key");
	} else {
		n = read(fd, out, KEY_FILE_MAX + 1);
		rc = n < 0 ? err_sys(e, "cannot read '%.200s'", path) : 0;
		*out_n = n < 0 ? 0 : (size_t)n;
	}
	(void)close(fd);
	return rc;
}

int key_load(const char *path, const char *passphrase, struct key *out, struct err *e)
{
	char text[KEY_FILE_MAX + 1];
	size_t n = 0;
	int rc = key_file_read(path, text, &n, e);

	if (rc == 0 && key_parse(text, n, passphrase, out, e) < 0)
		rc = err_wrap(e, "'%.100s'", path);
	sodium_memzero(text, sizeof(text));
	return rc;
}

int key_load_public(const char *path, struct note_key *out, bool *out_sealed, struct err *e)
{
	char text[KEY_FILE_MAX + 1];
	struct sealed_key s = {0};
	struct key k;
	size_t n = 0;
	int rc = key_file_read(path, text, &n, e);

	if (rc < 0)
		return -1;
	*out_sealed = key_is_sealed(text, n);
	if (*out_sealed) {
		rc = n > KEY_FILE_MAX ? not_a_key(e) : parse_sealed(text, n, &s, e);
		if (rc == 0)
			rc = note_key_parse(s.label, strlen(s.label), out, e);
	} else {
		rc = key_parse(text, n, NULL, &k, e);
		if (rc == 0)
			*out = k.pub;
		key_forget(&k);
	}
	sodium_memzero(text, sizeof(text));
	return rc < 0 ? err_wrap(e, "'%.100s'", path) : 0;
}

char *key_passphrase(void)
{
	const char *path = getenv(KEY_PASSPHRASE_ENV);
	FILE *f = path && *path ? fopen(path, "re") : NULL;
	char line[1024], *out = NULL;

	if (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\r\n")] = '\0';
		out = strdup(line);
		CHECK(out);
	}
	if (f)
		(void)fclose(f);
	sodium_memzero(line, sizeof(line));
	return out;
}

void key_passphrase_forget(char *passphrase)
{
	if (passphrase)
		sodium_memzero(passphrase, strlen(passphrase));
	free(passphrase);
}
