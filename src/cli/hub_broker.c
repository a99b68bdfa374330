/* SPDX-License-Identifier: Apache-2.0 */
/* hub_broker - see hub_broker.h. */
#include "cli/hub_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/nodeproc.h"
#include "engine/broker.h"
#include "engine/hub_settings.h"
#include "io/disk.h"
#include "io/sha256.h"

#define PATH_BYTES 4200u
#define FILE_MAX   (16u << 20) /* a list of all that a hub may revoke is shorter */

static const char *const files[] = {
        "ca.crt", "crl.pem", "server.crt", "server.key", "mosquitto.acl", "osier.conf"};

struct foreign {
	char hub[PATH_BYTES - 100], folder[PATH_BYTES - 100], host[254];
	uint16_t port;
	struct hub_settings settings;
	struct stat owner;
};

static void path_of(const char *dir, const char *name, char out[PATH_BYTES])
{
	(void)snprintf(out, PATH_BYTES, "%s/%s", dir, name);
}

/* A whole file, malloc'd. */
static int slurp(const char *path, char **out, size_t *out_n, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t got = -1;
	char *text;

	if (fd < 0)
		return err_sys(e, "cannot open '%.180s'", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX) {
		(void)close(fd);
		return err_set(e, ERR_CORRUPT, "'%.180s' is no file that a hub wrote", path);
	}
	text = malloc((size_t)st.st_size + 1);
	CHECK(text);
	got = read(fd, text, (size_t)st.st_size);
	(void)close(fd);
	if (got != (ssize_t)st.st_size) {
		free(text);
		return err_set(e, ERR_SYSTEM, "cannot read '%.180s'", path);
	}
	*out = text;
	*out_n = (size_t)got;
	return 0;
}

/* Of all that the broker reads. */
static void digest(const struct foreign *f, uint8_t out[32])
{
	struct sha256 *s = sha256_new();
	char path[PATH_BYTES], *text;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		path_of(f->folder, files[i], path);
		if (slurp(path, &text, &n, NULL) < 0)
			continue;
		sha256_update(s, text, n);
		free(text);
	}
	sha256_end(s, out);
	sha256_free(s);
}

static int copy(const struct foreign *f, const char *name, struct err *e)
{
	char path[PATH_BYTES], *text;
	size_t n;
	int rc;

	path_of(f->hub, name, path);
	if (slurp(path, &text, &n, e) < 0)
		return -1;
	path_of(f->folder, name, path);
	rc = cert_file_write(path, text, n, 0644, e);
	free(text);
	return rc;
}

/* The folder's owner gets what root has put there: through a descriptor, since he may exchange names. */
static int give(const struct foreign *f, const char *name, struct err *e)
{
	char path[PATH_BYTES];
	struct stat st;
	int fd, rc = 0;

	if (geteuid() == f->owner.st_uid)
		return 0;
	path_of(f->folder, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = err_sys(e, "cannot open '%.180s'", path);
	else if (S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid() &&
	         fchown(fd, f->owner.st_uid, f->owner.st_gid) < 0)
		rc = err_sys(e, "cannot give '%.180s' to the folder's owner", path);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int write_rights(const struct foreign *f, const json_t *hub, struct err *e)
{
	const json_t *nodes = json_object_get(hub, "nodes"), *n;
	const char **denied = calloc(json_array_size(nodes) + 1, sizeof(*denied));
	size_t i, n_denied = 0;
	int rc;

	CHECK(denied);
	json_array_foreach(nodes, i, n)
	{
		if (j_bool(n, "removed"))
			denied[n_denied++] = j_str(n, "name");
	}
	rc = broker_write_acl(f->folder, f->settings.name, denied, n_denied, e);
	free(denied);
	return rc;
}

static int write_all(const struct foreign *f, const json_t *hub, struct err *e)
{
	struct broker_options o = {.dir = f->folder, .hub = f->settings.name, .port = f->port};
	const char *names[] = {f->host};
	struct ca *ca;
	bool changed;
	int rc;

	if (ca_open(f->hub, f->settings.name, cli_now_ns(), &ca, e) < 0)
		return -1;
	rc = ca_broker(ca, f->folder, names, 1, cli_now_ns(), &changed, e);
	ca_close(ca);
	if (rc < 0 || copy(f, "ca.crt", e) < 0 || copy(f, "crl.pem", e) < 0 || write_rights(f, hub, e) < 0 ||
	        broker_write_include(&o, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (give(f, files[i], e) < 0)
			return -1;
	return disk_sync_folder(f->folder, e);
}

static int prepare(struct cli *c, const char *folder, struct foreign *f, struct err *e)
{
	char path[PATH_BYTES], *whole;

	if (!c->state_dir && state_folder(args_value(&c->args, "state"), &c->state_dir, e) < 0)
		return -1;
	(void)snprintf(f->hub, sizeof(f->hub), "%.4000s/hub", c->state_dir);
	path_of(f->hub, "hub.yaml", path);
	if (hub_settings_load(path, &f->settings, e) < 0)
		return e->code == ERR_NOTFOUND ? err_hint(e, "'osier hub' makes this node a hub") : -1;
	if (!f->settings.broker[0]) {
		(void)err_set(e, ERR_INVALID, "the hub '%s' has a broker of its own", f->settings.name);
		return err_hint(e, "'osier hub --broker mqtts://HOST:8883' says where yours is");
	}
	if (hub_broker_url(f->settings.broker, f->host, &f->port, e) < 0)
		return -1;
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make the folder '%.180s'", folder);
	whole = realpath(folder, NULL);
	if (!whole || stat(whole, &f->owner) < 0 || !S_ISDIR(f->owner.st_mode) ||
	        strlen(whole) >= sizeof(f->folder)) {
		free(whole);
		return err_set(e, ERR_INVALID, "'%.180s' is no folder", folder);
	}
	memcpy(f->folder, whole, strlen(whole) + 1);
	free(whole);
	if (strcmp(f->folder, f->hub) == 0)
		return err_set(e, ERR_INVALID, "that is the hub's own folder");
	if (f->owner.st_mode & (S_IWGRP | S_IWOTH)) {
		(void)err_set(e, ERR_DENIED, "others may write into '%.160s'", f->folder);
		return err_hint(e, "it will hold a key: 'chmod 700' it");
	}
	return 0;
}

int hub_broker(struct cli *c, const char *folder)
{
	struct foreign *f = calloc(1, sizeof(*f));
	uint8_t before[32], after[32];
	struct err e = {0};
	json_t *hub = NULL;
	bool same;
	int rc;

	CHECK(f);
	rc = cli_connect(c, &e);
	if (rc == 0 && !(hub = ask_get(c, &e, "/v1/hub")))
		rc = -1;
	if (rc == 0)
		rc = prepare(c, folder, f, &e);
	if (rc == 0) {
		digest(f, before);
		rc = write_all(f, hub, &e);
		digest(f, after);
	}
	json_decref(hub);
	if (rc == 0) {
		same = memcmp(before, after, 32) == 0;
		if (c->json) {
			json_print(hub = json_pack("{s:s, s:s, s:b}", "folder", f->folder, "broker",
			                   f->settings.broker, "changed", !same));
			json_decref(hub);
		} else {
			(void)printf("'%s' %s what the broker at %s needs\n", f->folder,
			        same ? "still holds" : "now holds", f->settings.broker);
		}
		if (!same)
			term_hint("include %s/osier.conf in its configuration, and have it read its files "
			          "again: systemctl reload mosquitto",
			        f->folder);
	}
	free(f);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}
