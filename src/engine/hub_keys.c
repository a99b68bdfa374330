/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_keys - what a hub tells of those that stand by for it, and what it gives them.
 *
 *	POST /v1/hub/keys    by a standby, or by a machine that was the hub (it shows the hub's own certificate: it has the authority already):
 *	                     {hub, certificates, broker, record, hubs, files}; files as io/handover.h has them
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/hub.h"
#include "engine/hub_int.h"
#include "engine/node_int.h"
#include "io/handover.h"
#include "io/record.h"

static void add_place(json_t *list, const char *origin, const char *broker, unsigned port)
{
	json_t *at;
	size_t i;

	json_array_foreach(list, i, at)
	{
		if (strcmp(json_string_value(json_object_get(at, "origin")), origin) == 0)
			return;
	}
	json_array_append_new(list,
	        json_pack("{s:s, s:s, s:i}", "origin", origin, "broker", broker, "broker_port", (int)port));
}

static json_t *places(const struct node *n)
{
	const struct hub_settings *s = hub_settings(n);
	struct identity_standby v;
	char origin[JOIN_URL_MAX];
	json_t *list = json_array();

	CHECK(list && s);
	join_origin(s->addresses[0], hub_port(n), origin);
	add_place(list, origin, s->broker, s->broker_port);
	for (uint32_t i = 0; identity_standby(engine_identity(n->engine), i, &v); i++)
		add_place(list, v.origin, s->broker, v.broker_port);
	return list;
}

char *hub_places(const struct node *n)
{
	json_t *list = places(n);
	char *text = json_dumps(list, JSON_COMPACT);

	CHECK(text);
	json_decref(list);
	return text;
}

int hub_may_have_keys(const struct identity *s, const char *name, struct err *e)
{
	if (strcmp(name, CERT_HUB) == 0 || identity_stands_by(s, name))
		return 0;
	(void)err_set(e, ERR_DENIED, "'%.63s' does not stand by for this hub", name);
	return err_hint(e, "'osier hub token --standby' on the hub lets a machine do that");
}

char *hub_keys_text(const struct node *n, struct err *e)
{
	const struct hub_settings *s = hub_settings(n);
	json_t *files = handover_read(n->state_dir, e), *j;
	struct record *r;
	bool found = false;
	char *text = NULL;

	if (!files)
		return NULL;
	r = calloc(1, sizeof(*r));
	CHECK(r);
	if (record_load(n->state_dir, r, &found, e) == 0) {
		j = json_pack("{s:s, s:I, s:s, s:s, s:o, s:O}", "hub", s->name, "certificates",
		        (json_int_t)s->life_s, "broker", s->broker, "record", found ? r->url : "", "hubs",
		        places(n), "files", files);
		text = j ? json_dumps(j, JSON_COMPACT) : NULL;
		CHECK(text);
		json_decref(j);
	}
	explicit_bzero(r, sizeof(*r));
	free(r);
	json_decref(files);
	return text;
}

bool hub_keys_are(const struct node *n, const uint8_t digest[32])
{
	json_t *files = handover_read(n->state_dir, NULL);
	uint8_t own[32] = {0};

	if (files)
		handover_digest(files, own);
	json_decref(files);
	return files && memcmp(own, digest, 32) == 0;
}
