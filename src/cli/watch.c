/* SPDX-License-Identifier: Apache-2.0 */
/* watch - see watch.h. The report is in report.c. */
#include "cli/watch.h"

#include <time.h>

#include "cli/nodeproc.h"
#include "cli/show.h"

enum { ROWS = 24 };
#define REDRAW_NS    (500ull * 1000000ull)
#define RECONNECT_NS (5ull * 1000000000ull)

struct watch {
	struct cli *c;
	const char *job;
	const struct watch_options *o;
	json_t *last;
	uint64_t until_ns, last_ns;
	int interrupts;
	bool cancelled;
};

static void draw(struct watch *w)
{
	struct progress_row rows[ROWS];
	size_t n;

	if (w->o->quiet || w->c->json || !w->last)
		return;
	n = progress_rows(w->last, rows, ROWS);
	if (strcmp(rows[0].state, "running") == 0)
		rows[0].elapsed_ns += cli_mono_ns() - w->last_ns;
	progress_draw(rows, n);
}

/* Has the node gone for good? While its keeper lives, an engine that died comes back, however often it dies: a keeper
 * that starts one in vain waits up to 10 s before the next. */
static bool gone(const struct watch *w, uint64_t since)
{
	if (w->c->node)
		return nodeproc_ended(w->c->node) || cli_mono_ns() > since + RECONNECT_NS;
	return (w->c->host || !state_kept(w->c->state_dir)) && cli_mono_ns() > since + RECONNECT_NS;
}

/* Connect again after the node went away. ERR_TIMEOUT: interrupted, or out of time. */
static int again(struct watch *w, struct err *e)
{
	uint64_t since = cli_mono_ns();
	struct timespec pause = {.tv_nsec = 20000000};
	struct cli *c = w->c;
	int rc;

	for (;;) {
		client_close(c->client);
		c->client = NULL;
		c->impatient = true;
		rc = cli_connect(c, e);
		c->impatient = false;
		if (rc == 0)
			return 0;
		if (term_interrupts() > w->interrupts || (w->until_ns && cli_mono_ns() >= w->until_ns))
			return err_set(e, ERR_TIMEOUT, "interrupted");
		if (gone(w, since))
			break;
		/* Nothing tells when a socket begins to listen; this is rare. */
		(void)nanosleep(&pause, NULL);
	}
	if (!w->o->reconnect)
		return -1;
	return w->o->reconnect(c, e);
}

static int open_stream(struct watch *w, struct err *e)
{
	struct text t = {0};
	struct response r = {0};
	int rc;

	job_target(&t, w->job);
	text_add(&t, "/events");
	rc = client_stream(w->c->client, text_str(&t), 0, &r, e);
	if (rc < 0 && r.status)
		rc = ask_error(&r, e);
	response_release(&r);
	text_release(&t);
	return rc;
}

/* The first Ctrl-C of a job that it cancels. The stream uses up the connection, so this opens one of its own. */
static void cancel(struct watch *w)
{
	struct cli other = {.state_dir = w->c->state_dir, .host = w->c->host, .args = w->c->args};
	json_t *body = json_pack("{s:s}", "reason", "interrupted"), *j = NULL;
	struct text t = {0};
	struct err e = {0};

	w->cancelled = true;
	term_note("cancelling %s; Ctrl-C again kills it at once", w->job);
	job_target(&t, w->job);
	text_add(&t, "/cancel");
	if (cli_connect(&other, &e) == 0)
		j = ask(&other, "POST", text_str(&t), body, &e);
	if (!j)
		term_note("could not cancel it: %s", e.msg);
	json_decref(j);
	json_decref(body);
	text_release(&t);
	client_close(other.client);
}

/* What a Ctrl-C means now: true when watching ends by it. */
static bool interrupted(struct watch *w, enum watch_end *out)
{
	int n = term_interrupts();

	if (n == w->interrupts)
		return false;
	w->interrupts = n;
	if (w->o->mode == WATCH_DETACHES) {
		*out = WATCH_INTERRUPTED;
		return true;
	}
	if (w->cancelled) {
		*out = WATCH_KILLED;
		return true;
	}
	cancel(w);
	return false;
}

static void take(struct watch *w, const struct event *ev)
{
	json_t *j = ask_event(ev->data, NULL);

	if (!j)
		return;
	json_decref(w->last);
	w->last = j;
	w->last_ns = cli_mono_ns();
	if (w->c->json && !w->o->quiet) {
		json_print_line(j);
		return;
	}
	draw(w);
}

static bool finished_state(const json_t *j)
{
	const char *s = j_str(j, "state");

	return strcmp(s, "succeeded") == 0 || strcmp(s, "failed") == 0 || strcmp(s, "cancelled") == 0;
}

static bool out_of_time(const struct watch *w, enum watch_end *out)
{
	if (!w->until_ns || cli_mono_ns() < w->until_ns)
		return false;
	*out = WATCH_TIMEOUT;
	return true;
}

/* Read one stream to its end. True: watching is over, *out says how. */
static bool follow(struct watch *w, enum watch_end *out, struct err *e)
{
	for (;;) {
		uint64_t now = cli_mono_ns(), wait = REDRAW_NS;
		struct event ev;

		if (interrupted(w, out))
			return true;
		if (out_of_time(w, out))
			return true;
		if (w->until_ns && w->until_ns - now < wait)
			wait = w->until_ns - now;
		switch (client_event(w->c->client, wait, &ev, e)) {
		case STREAM_EVENT:
			take(w, &ev);
			if (strcmp(ev.name, "end") == 0) {
				*out = WATCH_FINISHED;
				return true;
			}
			break;
		case STREAM_TIMEOUT:
			draw(w);
			break;
		case STREAM_INTERRUPTED:
			break;
		case STREAM_END:
		case STREAM_FAILED:
			*out = WATCH_FINISHED;
			return w->last && finished_state(w->last);
		}
	}
}

enum watch_end watch_job(
        struct cli *c, const char *job, const struct watch_options *o, json_t **out_last, struct err *e)
{
	struct watch w = {.c = c, .job = job, .o = o}; /* a Ctrl-C may have come before */
	enum watch_end end = WATCH_FAILED;

	*out_last = NULL;
	term_catch_interrupts();
	if (o->timeout_ns)
		w.until_ns = cli_mono_ns() + o->timeout_ns;
	for (;;) {
		int rc = c->client || again(&w, e) == 0 ? open_stream(&w, e) : -1;

		if (rc == 0 && follow(&w, &end, e))
			break;
		if (rc < 0 && e->code == ERR_TIMEOUT && (interrupted(&w, &end) || out_of_time(&w, &end)))
			break;
		if (rc < 0 && e->code != ERR_TIMEOUT &&
		        (!c->client || (e->code != ERR_CLOSED && e->code != ERR_SYSTEM)))
			break;
		if (c->client && (rc == 0 || e->code != ERR_TIMEOUT)) {
			client_close(c->client);
			c->client = NULL;
		}
	}
	if (end == WATCH_FINISHED && !o->quiet && !c->json)
		progress_keep();
	else
		progress_clear();
	if (end == WATCH_FINISHED)
		*out_last = w.last;
	else
		json_decref(w.last);
	return end;
}
