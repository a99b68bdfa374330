/* SPDX-License-Identifier: Apache-2.0 */
/* client_events - server-sent events out of a body: see client.h. */
#include "cli/client_internal.h"

#include "base/check.h"
#include "cli/term.h"

enum { LINE_MAX_BYTES = 16 * 1024 * 1024 };

/* Take in one line of the stream; true when it ends an event (WHATWG HTML 9.2.6). */
static bool event_line(struct client *c)
{
	const char *line = text_str(&c->line), *value = strchr(line, ':');
	size_t n = value ? (size_t)(value - line) : strlen(line);

	if (!*line)
		return c->event_data.n > 0 || c->event_name.n > 0;
	if (value) {
		value++;
		value += *value == ' ';
	} else {
		value = "";
	}
	if (n == 5 && strncmp(line, "event", 5) == 0) {
		text_clear(&c->event_name);
		text_add(&c->event_name, value);
	} else if (n == 4 && strncmp(line, "data", 4) == 0) {
		if (c->event_data.n)
			text_add(&c->event_data, "\n");
		text_add(&c->event_data, value);
	}
	return false;
}

/* Consume what is at hand up to the end of an event; true when there is one. */
static bool event_scan(struct client *c)
{
	while (c->piece_n) {
		const char *nl = memchr(c->piece, '\n', c->piece_n);
		size_t take = nl ? (size_t)(nl - c->piece) : c->piece_n;
		bool whole;

		text_add_n(&c->line, c->piece, take);
		take += nl != NULL;
		c->piece += take;
		c->piece_n -= take;
		if (!nl)
			return false;
		if (c->line.n && c->line.p[c->line.n - 1] == '\r')
			c->line.p[--c->line.n] = '\0';
		whole = event_line(c);
		text_clear(&c->line);
		if (whole)
			return true;
	}
	return false;
}

enum stream_result client_event(struct client *c, uint64_t wait_ns, struct event *out, struct err *e)
{
	uint64_t until = wait_ns == UINT64_MAX ? UINT64_MAX : cli_mono_ns() + wait_ns;

	CHECK(c->streaming);
	if (c->event_done) {
		text_clear(&c->event_name);
		text_clear(&c->event_data);
		c->event_done = false;
	}
	while (!event_scan(c)) {
		uint64_t now = cli_mono_ns();
		enum fill f;
		int rc;

		if (c->line.n > LINE_MAX_BYTES || c->event_data.n > LINE_MAX_BYTES) {
			(void)err_set(e, ERR_CORRUPT, "the node sent an event that is too long");
			return STREAM_FAILED;
		}
		rc = client_piece(c,
		        until == UINT64_MAX ? UINT64_MAX
		        : until > now       ? until - now
		                            : 0,
		        &c->piece, &c->piece_n, &f, e);
		if (rc == 0)
			return STREAM_END;
		if (rc < 0) {
			c->piece_n = 0;
			return f == FILL_TIMEOUT       ? STREAM_TIMEOUT
			       : f == FILL_INTERRUPTED ? STREAM_INTERRUPTED
			                               : STREAM_FAILED;
		}
	}
	c->event_done = true;
	out->name = c->event_name.n ? text_str(&c->event_name) : "message";
	out->data = text_str(&c->event_data);
	return STREAM_EVENT;
}
