/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_handover - any object as the keys that a hub hands to its standby: what is written lies in hub/ or keys/, as its owner's alone, and the
 * authority stays what it is. The input is JSON; the authority is added where it is missing, so that names and contents come as far as files.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "io/ca.h"
#include "io/clock.h"
#include "io/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static uint8_t ca_sha256[32];
static json_t *authority;
static char *crt;

static void path_of(const char *name, char out[400])
{
	CHECK(snprintf(out, 400, "%s/%s", dir, name) < 400);
}

static void drop(void)
{
	char cmd[100];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	(void)!system(cmd);
}

static void begin(void)
{
	char path[400], cmd[200];
	struct err e;
	struct ca *ca;
	size_t n;

	(void)snprintf(dir, sizeof(dir), "/tmp/osier-fuzz-XXXXXX");
	CHECK(mkdtemp(dir));
	(void)atexit(drop);
	path_of("hub", path);
	CHECK(ca_open(path, "plant", clock_wall_ns(), &ca, &e) == 0);
	ca_fingerprint(ca, ca_sha256);
	ca_close(ca);
	path_of("hub/ca.crt", path);
	CHECK(cert_file_read(path, &crt, &n, &e) == 0);
	authority = handover_read(dir, &e);
	CHECK(authority);
	(void)snprintf(cmd, sizeof(cmd), "mkdir '%s/s'", dir);
	CHECK(system(cmd) == 0);
}

/* Nothing but files of 0600 in the folder. */
static void look(const char *name)
{
	char path[400];
	struct dirent *f;
	struct stat st;
	DIR *d;

	path_of(name, path);
	d = opendir(path);
	while (d && (f = readdir(d))) {
		if (f->d_name[0] == '.')
			continue;
		CHECK(fstatat(dirfd(d), f->d_name, &st, 0) == 0 && S_ISREG(st.st_mode));
		CHECK((st.st_mode & 07777) == 0600 && strncmp(f->d_name, "witness", 7) != 0);
	}
	if (d)
		(void)closedir(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char state[100], path[400], *text = NULL;
	json_t *files, *v;
	struct err e = {0};
	bool changed, whole;
	const char *name;
	size_t n;
	int rc;

	if (!authority)
		begin();
	files = json_loadb((const char *)data, size, 0, NULL);
	if (!files)
		return 0;
	whole = json_is_object(files);
	json_object_foreach(authority, name, v)
	{
		if (whole && !json_object_get(files, name))
			json_object_set(files, name, v);
	}
	(void)snprintf(state, sizeof(state), "%s/s", dir);
	rc = handover_write(state, files, ca_sha256, 32, &changed, &e);
	json_decref(files);
	CHECK(rc == 0 || e.msg[0]);
	look("s/hub");
	look("s/keys");
	path_of("s/hub/ca.crt", path);
	if (cert_file_read(path, &text, &n, NULL) == 0)
		CHECK(strcmp(text, crt) == 0 || rc == 0);
	free(text);
	return 0;
}
