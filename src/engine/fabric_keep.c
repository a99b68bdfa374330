/* SPDX-License-Identifier: Apache-2.0 */
/* fabric_keep - what is known of those whose logs are witnessed, in files; see fabric.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "engine/fabric_int.h"
#include "io/disk.h"
#include "io/sha256.h"

#define PATH_ROOM 4400u

int fabric_folder(const char *state_dir, struct err *e)
{
	char path[PATH_ROOM];

	(void)snprintf(path, sizeof(path), "%.4000s/fabric", state_dir);
	if (mkdir(path, 0700) == 0)
		return disk_sync_folder(state_dir, e);
	return errno == EEXIST ? 0 : err_sys(e, "cannot make the folder '%.180s'", path);
}

static void path_of(const char *state_dir, const struct fabric_peer *p, char out[PATH_ROOM])
{
	(void)snprintf(out, PATH_ROOM, "%.4000s/fabric/%s%s.json", state_dir, p->parent ? "" : "child-",
	        p->parent ? "parent" : p->name);
}

const char *fabric_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int fabric_said(const json_t *o, struct fabric_keys *out, struct err *e)
{
	const json_t *list = json_object_get(o, "keys"), *at;
	size_t i;

	memset(out, 0, sizeof(*out));
	json_array_foreach(list, i, at)
	{
		if (!json_is_string(at))
			return err_set(e, ERR_INVALID, "'keys' is not a list of texts");
		if (fabric_keys_add(out, json_string_value(at), e) < 0)
			return -1;
	}
	return out->n ? 0 : err_set(e, ERR_INVALID, "'keys' names no key of a log");
}

void fabric_load(const char *state_dir, struct fabric_peer *p)
{
	char path[PATH_ROOM], *text;
	uint8_t id[32];
	struct err e;
	json_t *j;
	size_t n;

	path_of(state_dir, p, path);
	if (cert_file_read(path, &text, &n, NULL) < 0)
		return;
	j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (sha256_unhex(fabric_text(j, "id"), id) == 0 && memcmp(id, p->id, 32) == 0) {
		if (fabric_said(j, &p->keys, &e) < 0)
			p->keys.n = 0;
		fabric_origin(&p->keys, p->origin);
		(void)snprintf(p->witness, sizeof(p->witness), "%s", fabric_text(j, "witness"));
		(void)snprintf(p->alarm, sizeof(p->alarm), "%s", fabric_text(j, "alarm"));
		(void)snprintf(p->evidence, sizeof(p->evidence), "%s", fabric_text(j, "evidence"));
		p->alarm_s = (uint64_t)json_integer_value(json_object_get(j, "time"));
		p->forked = json_is_true(json_object_get(j, "forked"));
	}
	json_decref(j);
}

int fabric_save(const char *state_dir, const struct fabric_peer *p, struct err *e)
{
	char path[PATH_ROOM], hex[SHA256_HEX + 1], *text;
	json_t *keys = json_array(), *j;
	int rc;

	sha256_hex(p->id, hex);
	for (unsigned i = 0; i < p->keys.n; i++)
		json_array_append_new(keys, json_string(p->keys.vkey[i]));
	j = json_pack("{s:s, s:o, s:s, s:s, s:s, s:I, s:b}", "id", hex, "keys", keys, "witness", p->witness,
	        "alarm", p->alarm, "evidence", p->evidence, "time", (json_int_t)p->alarm_s, "forked",
	        p->forked);
	text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	CHECK(text);
	path_of(state_dir, p, path);
	rc = fabric_folder(state_dir, e) < 0 ? -1 : cert_file_write(path, text, strlen(text), 0600, e);
	free(text);
	return rc;
}

static int keep(const char *dir, const char *name, const char *p, size_t n, struct err *e)
{
	char path[PATH_ROOM];

	(void)snprintf(path, sizeof(path), "%.4300s/%s", dir, name);
	return cert_file_write(path, p, n, 0600, e);
}

void fabric_evidence(const char *state_dir, const char *kind, const char *name, const char *ours,
        size_t ours_n, const char *theirs, size_t theirs_n, const char *proof, size_t proof_n,
        char out[FABRIC_FILE])
{
	char path[PATH_ROOM];
	struct err e;

	/* One of each kind: who has two histories can show any number of heads. */
	(void)snprintf(out, FABRIC_FILE, "fabric/%s-%.63s", kind, name);
	(void)snprintf(path, sizeof(path), "%.4000s/%s", state_dir, out);
	if (fabric_folder(state_dir, &e) == 0 && (mkdir(path, 0700) == 0 || errno == EEXIST) &&
	        keep(path, "ours", ours, ours_n, &e) == 0 &&
	        keep(path, "theirs", theirs, theirs_n, &e) == 0 &&
	        keep(path, "proof", proof, proof_n, &e) == 0)
		return;
	(void)fprintf(stderr, "osier: the evidence of another history of '%s' cannot be kept in '%s'\n", name,
	        path);
	out[0] = '\0';
}
