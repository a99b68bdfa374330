/* SPDX-License-Identifier: Apache-2.0 */
/* record_option - see record_option.h. */
#include "cli/record_option.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/text.h"
#include "io/record.h"

static bool has_journal(const char *dir)
{
	struct text path = {0};
	struct stat st;
	bool there;

	text_addf(&path, "%s/journal.db", dir);
	there = lstat(text_str(&path), &st) == 0;
	text_release(&path);
	return there;
}

/* The engine may be another user, and must read the file. */
static int give(const char *dir, const char *engine_user, struct err *e)
{
	struct text path = {0};
	unsigned uid, gid;
	int rc = 0;

	if (sscanf(engine_user, "%u:%u", &uid, &gid) != 2)
		return 0;
	text_addf(&path, "%s/record", dir);
	if (lchown(text_str(&path), uid, gid) < 0)
		rc = err_sys(e, "cannot give '%.150s' to the engine's user", text_str(&path));
	text_release(&path);
	return rc;
}

int record_option(struct cli *c, const char *engine_user, struct err *e)
{
	return record_keep(c, args_value(&c->args, "record"), args_flag(&c->args, "standby"), engine_user, e);
}

int record_keep(struct cli *c, const char *url, bool standby, const char *engine_user, struct err *e)
{
	struct record r = {.url = ""};
	bool found = false;
	int rc;

	if (!url && !standby)
		return 0;
	rc = record_load(c->state_dir, &r, &found, e);
	if (rc < 0 && !(url && e->code == ERR_CORRUPT))
		return -1;
	if (!url && !found) {
		(void)err_set(e, ERR_INVALID, "--standby needs a record to stand by for");
		return err_hint(e, "say --record postgres://USER@HOST/DB, too");
	}
	if (has_journal(c->state_dir)) {
		(void)err_set(e, ERR_EXISTS, "the node on '%.120s' has a journal of its own", c->state_dir);
		return err_hint(e, "carry it over: osier journal move --to URL");
	}
	if (url && strlen(url) > PG_URL_MAX)
		return err_set(e, ERR_INVALID, "the record's URL is longer than %u bytes", PG_URL_MAX);
	if (url)
		(void)snprintf(r.url, sizeof(r.url), "%s", url);
	if (url || standby)
		r.standby = standby;
	rc = record_save(c->state_dir, &r, e);
	explicit_bzero(r.url, sizeof(r.url));
	return rc < 0 ? -1 : give(c->state_dir, engine_user, e);
}
