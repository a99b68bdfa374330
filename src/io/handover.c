/* SPDX-License-Identifier: Apache-2.0 */
/* handover - see handover.h. */
#include "io/handover.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "io/cert.h"
#include "io/disk.h"
#include "io/sha256.h"

#define PATH_BYTES 4200u

static const char *const authority[] = {"hub/ca.key", "hub/ca.crt"};

/* ROLE.key, ROLE.key.N, ROLE.key.new, and not the witness's. */
static bool key_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz");
	const char *tail = name + n;

	if (n == 0 || strncmp(name, "witness", 7) == 0 || strncmp(tail, ".key", 4) != 0)
		return false;
	tail += 4;
	if (*tail == '\0' || strcmp(tail, ".new") == 0)
		return true;
	n = strspn(tail + 1, "0123456789");
	return *tail == '.' && n >= 1 && n <= 3 && tail[1 + n] == '\0';
}

static bool name_ok(const char *name)
{
	return strcmp(name, authority[0]) == 0 || strcmp(name, authority[1]) == 0 ||
	       (strncmp(name, "keys/", 5) == 0 && key_name_ok(name + 5));
}

static int path_of(const char *dir, const char *name, char out[PATH_BYTES], struct err *e)
{
	if (snprintf(out, PATH_BYTES, "%s/%s", dir, name) < (int)PATH_BYTES)
		return 0;
	return err_set(e, ERR_INVALID, "the state folder's name is too long");
}

/* ---- reading ---- */

static int add_file(const char *dir, const char *name, json_t *out, struct err *e)
{
	char path[PATH_BYTES], *text, *b64;
	size_t n;

	if (path_of(dir, name, path, e) < 0 || cert_file_read(path, &text, &n, e) < 0)
		return -1;
	b64 = calloc(1, BASE64_CHARS(n) + 1);
	CHECK(b64);
	(void)base64_write((const uint8_t *)text, n, b64);
	json_object_set_new(out, name, json_string(b64));
	explicit_bzero(text, n);
	explicit_bzero(b64, BASE64_CHARS(n));
	free(text);
	free(b64);
	return 0;
}

static int add_keys(const char *dir, json_t *out, struct err *e)
{
	char path[PATH_BYTES], name[300];
	struct dirent *f;
	int rc = 0;
	DIR *d;

	if (path_of(dir, "keys", path, e) < 0)
		return -1;
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, "cannot read '%.180s'", path);
	while (rc == 0 && (f = readdir(d))) {
		if (!key_name_ok(f->d_name))
			continue;
		(void)snprintf(name, sizeof(name), "keys/%s", f->d_name);
		rc = add_file(dir, name, out, e);
	}
	(void)closedir(d);
	return rc;
}

json_t *handover_read(const char *state_dir, struct err *e)
{
	json_t *out = json_object();
	int rc = 0;

	CHECK(out);
	for (unsigned i = 0; i < ARRAY_LEN(authority) && rc == 0; i++)
		rc = add_file(state_dir, authority[i], out, e);
	if (rc == 0)
		rc = add_keys(state_dir, out, e);
	if (rc == 0 && json_object_size(out) > HANDOVER_FILES_MAX)
		rc = err_set(e, ERR_FULL, "there are more than %u files of keys", HANDOVER_FILES_MAX);
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}

void handover_digest(const json_t *files, uint8_t out[32])
{
	char *text = json_dumps(files, JSON_COMPACT | JSON_SORT_KEYS);

	CHECK(text);
	sha256_of(text, strlen(text), out);
	explicit_bzero(text, strlen(text));
	free(text);
}

/* ---- writing ---- */

/* The bytes of one, malloc'd with a NUL; NULL: not such a file. */
static char *bytes_of(const json_t *v, size_t *out_n)
{
	const char *b64 = json_string_value(v);
	size_t len = json_string_length(v);
	char *text;
	long n;

	if (!b64 || len > BASE64_CHARS(CERT_PEM_MAX))
		return NULL;
	text = malloc(len + 1);
	CHECK(text);
	n = base64_read(b64, len, (uint8_t *)text, len);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	*out_n = (size_t)n;
	return text;
}

static int check_authority(const json_t *files, const uint8_t *sha, size_t sha_n, struct err *e)
{
	size_t n, key_n;
	char *pem = bytes_of(json_object_get(files, authority[1]), &n),
	     *key = bytes_of(json_object_get(files, authority[0]), &key_n);
	struct cert_trust *t = NULL;
	uint8_t digest[32];
	int rc = -1;

	if (!pem || !key || cert_trust_new(pem, n, &t, e) < 0) {
		(void)err_set(e, ERR_CORRUPT, "what the hub gave is not its authority");
	} else {
		cert_trust_digest(t, digest);
		if (memcmp(digest, sha, sha_n) != 0)
			(void)err_set(e, ERR_DENIED, "the authority that came is not this hub's");
		else if (!cert_key_of(key, key_n, pem, n))
			(void)err_set(e, ERR_CORRUPT,
			        "the key that the hub gave is not that of its authority: hub/ca.key is "
			        "damaged "
			        "there");
		else
			rc = 0;
	}
	if (key)
		explicit_bzero(key, key_n);
	cert_trust_free(t);
	free(key);
	free(pem);
	return rc;
}

static int check(const json_t *files, struct err *e)
{
	const char *name;
	json_t *v;

	if (!json_is_object(files) || json_object_size(files) > HANDOVER_FILES_MAX)
		return err_set(e, ERR_CORRUPT, "what the hub gave are not its keys");
	json_object_foreach((json_t *)(uintptr_t)files, name, v)
	{
		size_t n;
		char *text = bytes_of(v, &n);
		bool fine = text && n > 0 && name_ok(name);

		if (text)
			explicit_bzero(text, n);
		free(text);
		if (!fine)
			return err_set(e, ERR_CORRUPT, "the hub gave '%.60s', which is no key", name);
	}
	return 0;
}

/* 1: it was another. */
static int write_file(const char *dir, const char *name, const json_t *v, struct err *e)
{
	char path[PATH_BYTES], *text, *old = NULL;
	size_t n, old_n = 0;
	int rc;

	if (path_of(dir, name, path, e) < 0)
		return -1;
	text = bytes_of(v, &n);
	CHECK(text);
	if (cert_file_read(path, &old, &old_n, NULL) == 0 && old_n == n && memcmp(old, text, n) == 0)
		rc = 0;
	else
		rc = cert_file_write(path, text, n, 0600, e) < 0 ? -1 : 1;
	if (old)
		explicit_bzero(old, old_n);
	explicit_bzero(text, n);
	free(old);
	free(text);
	return rc;
}

static int make_folder(const char *dir, const char *name, struct err *e)
{
	char path[PATH_BYTES];

	if (path_of(dir, name, path, e) < 0)
		return -1;
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : err_sys(e, "cannot make '%.180s'", path);
}

/* Did the hub give a key of this one's role that it signs with? If not it has lost that, and this may be the last one there is. */
static bool role_came(const json_t *files, const char *name)
{
	char current[300];

	(void)snprintf(current, sizeof(current), "keys/%.*s.key",
	        (int)strspn(name, "abcdefghijklmnopqrstuvwxyz"), name);
	return json_object_get(files, current) != NULL;
}

/* A rotation gave files other names: a key that is there twice does no harm, until then. */
static int drop_others(const char *dir, const json_t *files, bool *changed, struct err *e)
{
	char path[PATH_BYTES], name[300];
	struct dirent *f;
	DIR *d;

	if (path_of(dir, "keys", path, e) < 0)
		return -1;
	d = opendir(path);
	if (!d)
		return err_sys(e, "cannot read '%.180s'", path);
	while ((f = readdir(d))) {
		(void)snprintf(name, sizeof(name), "keys/%s", f->d_name);
		if (!key_name_ok(f->d_name) || json_object_get(files, name) || !role_came(files, f->d_name))
			continue;
		if (unlinkat(dirfd(d), f->d_name, 0) == 0)
			*changed = true;
	}
	(void)closedir(d);
	return disk_sync_folder(path, e);
}

int handover_write(const char *state_dir, const json_t *files, const uint8_t *ca_sha256, size_t sha_n,
        bool *out_changed, struct err *e)
{
	bool changed = false;
	const char *name;
	json_t *v;

	if (check(files, e) < 0 || check_authority(files, ca_sha256, sha_n, e) < 0 ||
	        make_folder(state_dir, "hub", e) < 0 || make_folder(state_dir, "keys", e) < 0)
		return -1;
	json_object_foreach((json_t *)(uintptr_t)files, name, v)
	{
		int rc = write_file(state_dir, name, v, e);

		if (rc < 0)
			return -1;
		changed |= rc > 0;
	}
	if (drop_others(state_dir, files, &changed, e) < 0)
		return -1;
	*out_changed = changed;
	return 0;
}
