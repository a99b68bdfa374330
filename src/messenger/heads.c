/* SPDX-License-Identifier: Apache-2.0 */
/* heads - see heads.h. */
#include "messenger/heads.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "core/note.h"
#include "engine/json_out.h"
#include "io/sha256.h"

#define ASK_NS     (30ull * 1000000000ull) /* the engine may be publishing */
#define ANSWER_MAX (16u << 20)
#define AGAIN_NS   (600ull * 1000000000ull) /* after a failure, unless heads come more often */

int heads_open(const struct messenger *m, struct heads *out, struct err *e)
{
	out->http = engine_connect(m, ASK_NS, ANSWER_MAX, e);
	return out->http ? 0 : -1;
}

void heads_close(struct heads *h)
{
	http_free(h->http);
	h->http = NULL;
}

int heads_ask(
        void *ctx, const char *method, const char *target, const json_t *body, json_t **out, struct err *e)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct heads *h = ctx;
	struct http_answer a;
	int rc;

	CHECK(!body || text);
	rc = engine_ask(h->http, strcmp(method, "POST") == 0 ? HTTP_POST : HTTP_GET, target,
	        text ? "application/json" : NULL, text, text ? strlen(text) : 0, &a, e);
	free(text);
	if (rc < 0)
		return -1;
	*out = json_loadb((const char *)a.body, a.body_n, 0, NULL);
	return *out ? 0 : err_set(e, ERR_CORRUPT, "the engine's answer is not JSON");
}

int heads_newest(struct heads *h, struct head_now *out, struct err *e)
{
	struct checkpoint c;
	struct note note;
	const char *text;
	json_t *j = NULL;
	int rc = -1;

	if (heads_ask(h, "GET", "/v1/ledger", NULL, &j, e) < 0)
		return -1;
	text = json_string_value(json_object_get(j, "note"));
	if (!text || strlen(text) >= sizeof(out->note)) {
		(void)err_set(e, ERR_CORRUPT, "the engine's answer has no signed head");
	} else if (note_parse(text, strlen(text), &note, e) == 0 &&
	           checkpoint_parse(note.text, note.text_n, &c, e) == 0) {
		memcpy(out->note, text, strlen(text) + 1);
		out->size = c.size;
		sha256_of(note.text, note.text_n, out->digest);
		rc = 0;
	}
	json_decref(j);
	return rc;
}

int heads_last(
        struct heads *h, enum anchored_kind kind, const char *place, struct head_news *out, struct err *e)
{
	const char *state, *time;
	uint64_t ns = 0;
	char target[600];
	json_t *j = NULL, *a;
	json_int_t begun;
	int known;

	(void)snprintf(target, sizeof(target), "/v1/ledger/anchors?limit=1&kind=%s&place=%s",
	        anchored_kind_name(kind), place);
	if (heads_ask(h, "GET", target, NULL, &j, e) < 0)
		return -1;
	memset(out, 0, sizeof(*out));
	a = json_array_get(json_object_get(j, "anchors"), 0);
	state = json_string_value(json_object_get(a, "state"));
	time = json_string_value(json_object_get(a, "time"));
	known = state ? anchored_state_of(state) : -1;
	if (a && known >= 0 && time && jo_time_parse(time, &ns) == 0) {
		out->any = true;
		out->size = (uint64_t)json_integer_value(json_object_get(a, "size"));
		out->time_s = ns / 1000000000u;
		/* The next one is due so long after this one began, however long the chain took to be sure of it. */
		begun = json_integer_value(json_object_get(json_object_get(a, "details"), "begun"));
		if (begun > 0 && (uint64_t)begun < out->time_s)
			out->time_s = (uint64_t)begun;
		out->state = (enum anchored_state)known;
	}
	json_decref(j);
	return 0;
}

uint64_t head_due_ns(const struct head_news *last, uint64_t size, uint64_t every_ns, uint64_t now_s)
{
	bool failed = last->any && last->state == ANCHORED_FAILED;
	uint64_t pause = failed && every_ns > AGAIN_NS ? AGAIN_NS : every_ns, ago;

	if (!last->any)
		return 0;
	if (last->size >= size && !failed)
		return UINT64_MAX;
	if (now_s < last->time_s) /* the clock went back: so long at most */
		return pause;
	ago = now_s - last->time_s;
	return ago >= pause / 1000000000u ? 0 : pause - ago * 1000000000u;
}

int heads_stamp(struct heads *h, enum anchored_kind kind, const char *place, enum anchored_state state,
        const char *note, const uint8_t *proof, size_t n, json_t *details_taken, struct err *e)
{
	char *text = malloc(BASE64_CHARS(n) + 1);
	json_t *body, *answer = NULL;
	int rc;

	CHECK(text);
	(void)base64_write(proof, n, text);
	body = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "kind", anchored_kind_name(kind), "state",
	        anchored_state_name(state), "place", place, "note", note, "proof", text, "details",
	        details_taken);
	free(text);
	CHECK(body);
	rc = heads_ask(h, "POST", "/v1/ledger/anchors", body, &answer, e);
	json_decref(answer);
	json_decref(body);
	return rc;
}
