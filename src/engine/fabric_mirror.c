/* SPDX-License-Identifier: Apache-2.0 */
/* fabric_mirror - a node's log on its way to its hub, which keeps a copy: see fabric.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "core/logpiece.h"
#include "engine/carrier.h"
#include "engine/fabric_int.h"
#include "engine/hub_int.h"
#include "engine/links.h"
#include "engine/node_int.h"
#include "engine/parent.h"
#include "io/clock.h"
#include "io/disk.h"

#define S_NS       1000000000ull
#define MS_NS      1000000ull
#define FAILS_MAX  4u            /* pauses double so often */
#define QUICK_NS   (250 * MS_NS) /* a piece that took less may be followed by a larger one */
#define SLOW_NS    S_NS          /* and one that took more by a smaller one */
#define BUSY_MS    2000u         /* while files move, or we ask the hub for something else */
#define SWEEP_MS   (60u * 1000u) /* after the start, and then every day: what is too old goes */
#define SWEEP_EACH (24u * 3600u * 1000u)
#define RESERVES   4u
#define AT_ONCE                                                                                              \
	2u /* pieces that are looked at: the pool has four threads, and the log is published there, too */
#define PATH_ROOM FABRIC_MIRROR_PATH

_Static_assert(
        HUB_LARGE_MAX >= LOGPIECE_BYTES_MAX && HUB_SEND_MAX >= LOGPIECE_BYTES_MAX, "a piece fits a request");

static void on_timer(uv_timer_t *t);
static void on_sweep(uv_timer_t *t);

void fabric_mirror_path(
        const struct node *n, const char *name, const char *origin, char out[FABRIC_MIRROR_PATH])
{
	char folder[MIRRORED_NAME];

	out[0] = '\0';
	if (!n->config.mirror_bytes || !origin[0])
		return;
	mirrored_name(name, origin, folder);
	(void)snprintf(out, FABRIC_MIRROR_PATH, "%.4000s/mirrors/%s", n->state_dir, folder);
}

static struct mirrored_limits limits_of(const struct node *n)
{
	return (struct mirrored_limits){.bytes_max = n->config.mirror_bytes,
	        .age_s = n->config.history_age_ns / S_NS,
	        .now_s = clock_wall_ns() / S_NS,
	        /* Work is refused below the reserve itself: copies stop well before that. */
	        .reserve_bytes = RESERVES * n->config.disk_reserve_bytes};
}

/* ---- the node's side: a piece after another, while the hub has less than it cosigned ---- */

/* A piece that is made in the pool. */
struct fabric_piece {
	uv_work_t work;
	struct fabric *f;
	uint64_t from, cosigned;
	char *note;
	size_t max;
	char path[PATH_ROOM];
	bool later; /* we have published more, and need its head to be cosigned first */
	struct err why;
};

/* A link with a budget is for work, unless the configuration says otherwise. */
static bool may(const struct node *n)
{
	const struct config_link *l = &n->config.link;

	return n->config.mirror_bytes &&
	       (n->config.mirror_said || !(l->bytes || l->cost || l->from_min != l->to_min));
}

void fabric_mirror_told(struct fabric *f, const json_t *answer, const char *note)
{
	struct fabric_mirror *m = &f->mirror;
	const json_t *have = json_object_get(answer, "mirrored");

	m->wanted = json_is_integer(have) && json_integer_value(have) >= 0;
	m->have = m->wanted ? (uint64_t)json_integer_value(have) : 0;
	if (!note || !*note)
		return;
	free(m->note);
	m->note = strdup(note);
	CHECK(m->note);
	m->of = f->parent->ours;
}

void fabric_mirror_forget(struct fabric *f)
{
	struct fabric_mirror *m = &f->mirror;

	m->wanted = false;
	m->have = m->of = 0;
	m->fails = 0;
	m->max = LOGPIECE_BYTES_MIN;
	free(m->note);
	m->note = NULL;
}

static bool wants(const struct fabric *f)
{
	const struct fabric_mirror *m = &f->mirror;
	struct link_view v;

	return !f->stopped && m->wanted && f->parent && m->have < f->parent->ours && may(f->node) &&
	       parent_is(f->node) && links_parent(f->node, &v) && v.state == LINK_UP;
}

static void soon(struct fabric *f, uint64_t ns)
{
	uv_update_time(&f->node->loop);
	(void)uv_timer_start(&f->mirror.timer, on_timer, ns / MS_NS + 1, 0);
}

void fabric_mirror_look(struct fabric *f)
{
	struct fabric_mirror *m = &f->mirror;

	if (!wants(f) || uv_is_active((uv_handle_t *)&m->timer))
		return;
	soon(f, m->fails ? f->node->config.fabric_ns << m->fails : m->pause_ns);
}

static int write_piece(const char *path, const uint8_t *p, size_t n, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;
	size_t at = 0;
	ssize_t k = 0;

	while (fd >= 0 && at < n && (k = write(fd, p + at, n - at)) > 0)
		at += (size_t)k;
	if (fd < 0 || at < n)
		rc = err_sys(e, "cannot write '%.180s'", path);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int make(struct fabric_piece *s, struct err *e)
{
	struct log_head *head = calloc(1, sizeof(*head));
	const char *note = s->note;
	struct logstore *l = NULL;
	uint8_t *p = NULL;
	size_t n;
	int rc;

	CHECK(head);
	rc = logstore_open(s->f->node->state_dir, NULL, true, &l, e) < 0 || logstore_head(l, head, e) < 0 ? -1
	                                                                                                  : 0;
	if (rc == 0 && !note && head->size != s->cosigned)
		s->later = true;
	else if (rc == 0) {
		note = note ? note : head->note;
		rc = logstore_piece(l, s->from, note, strlen(note), s->max, &p, &n, e);
	}
	if (p)
		rc = write_piece(s->path, p, n, e);
	logstore_close(l);
	free(p);
	free(head);
	return rc;
}

static void make_work(uv_work_t *w)
{
	struct fabric_piece *s = w->data;

	if (make(s, &s->why) == 0)
		s->why.code = ERR_NONE;
}

/* The piece is over, well or not. */
static void over(struct fabric *f, const struct err *e)
{
	struct fabric_mirror *m = &f->mirror;

	f->busy = false;
	if (f->stopped || !f->parent)
		return;
	if (e) {
		m->fails += m->fails < FAILS_MAX;
		m->max = m->max / 2 > LOGPIECE_BYTES_MIN ? m->max / 2 : LOGPIECE_BYTES_MIN;
		(void)snprintf(
		        f->parent->error, sizeof(f->parent->error), "its mirror of this log: %.300s", e->msg);
	} else if (m->fails) {
		m->fails = 0;
		f->parent->error[0] = '\0';
	}
	fabric_mirror_look(f);
	fabric_look(f->node);
}

static void piece_path(const struct node *n, char out[PATH_ROOM])
{
	(void)snprintf(out, PATH_ROOM, "%.4000s/fabric/piece", n->state_dir);
}

/* It brought the hub forward, or did not. */
static void on_brought(void *ctx, const struct err *why, const json_t *answer)
{
	struct fabric *f = ctx;
	struct fabric_mirror *m = &f->mirror;
	json_t *in = why ? NULL : json_loads(fabric_text(answer, "body"), JSON_REJECT_DUPLICATES, NULL);
	const json_t *now = json_object_get(in, "mirrored");
	uint64_t was = m->have, took = round_now_ns(f->node) - m->began_ns;
	char path[PATH_ROOM];
	struct err e;

	piece_path(f->node, path);
	(void)unlink(path);
	m->pause_ns = took;
	if (!why && json_is_integer(now) && json_integer_value(now) >= 0) {
		m->have = (uint64_t)json_integer_value(now);
		if (took < QUICK_NS && 2 * m->max <= LOGPIECE_BYTES_MAX)
			m->max *= 2;
		if (took > SLOW_NS && m->max / 2 >= LOGPIECE_BYTES_MIN)
			m->max /= 2;
	}
	if (!why && *fabric_text(in, "error"))
		(void)err_set(&e, ERR_DENIED, "%.220s", fabric_text(in, "error"));
	else if (!why && m->have == was)
		(void)err_set(&e, ERR_CORRUPT, "the hub took a piece, and does not have it");
	else if (!why)
		e.code = ERR_NONE;
	json_decref(in);
	over(f, why ? why : e.code == ERR_NONE ? NULL : &e);
}

static void make_done(uv_work_t *w, int status)
{
	struct fabric_piece *s = w->data;
	struct fabric *f = s->f;
	struct err why = s->why;
	bool later = s->later;
	char path[PATH_ROOM];

	(void)status;
	memcpy(path, s->path, sizeof(path));
	free(s->note);
	free(s);
	if (f->stopped || why.code != ERR_NONE) {
		over(f, &why);
		return;
	}
	if (later) { /* the next heads bring it */
		f->busy = false;
		fabric_look(f->node);
		return;
	}
	f->mirror.began_ns = round_now_ns(f->node);
	carrier_ask(f->node,
	        json_pack("{s:s, s:s, s:s, s:s, s:o}", "do", "send", "origin", parent_origin(f->node), "path",
	                "/v1/hub/mirror", "file", path, "self", fabric_self(f->node)),
	        on_brought, f);
}

static void on_timer(uv_timer_t *t)
{
	struct fabric *f = t->data;
	struct fabric_mirror *m = &f->mirror;
	struct fabric_piece *s;
	struct err e;

	if (!wants(f))
		return;
	if (f->busy || carrier_busy(f->node)) {
		soon(f, BUSY_MS * MS_NS);
		return;
	}
	s = calloc(1, sizeof(*s));
	CHECK(s);
	s->f = f;
	s->work.data = s;
	s->from = m->have;
	s->cosigned = f->parent->ours;
	s->max = m->max;
	if (m->note && m->of == s->cosigned) {
		s->note = strdup(m->note);
		CHECK(s->note);
	}
	piece_path(f->node, s->path);
	f->busy = true;
	(void)fabric_folder(f->node->state_dir, &e); /* else writing tells */
	CHECK(uv_queue_work(&f->node->loop, &s->work, make_work, make_done) == 0);
}

/* ---- the hub's side ---- */

struct fabric_brought {
	uv_work_t work;
	struct fabric_brought *next;
	struct fabric *f;
	struct fabric_peer *peer;
	uint8_t id[32];
	struct hub_asked *a; /* NULL: the hub stops */
	struct witness *w;
	struct fabric_keys keys;
	char origin[NOTE_NAME_MAX + 1], dir[PATH_ROOM];
	uint8_t *body;
	size_t n;
	struct mirrored_limits limits;
	/* out */
	struct mirrored_seen seen;
	bool begun, failed;
	struct err why;
};

static int folder(const char *state_dir, struct err *e)
{
	char path[PATH_ROOM];

	(void)snprintf(path, sizeof(path), "%.4000s/mirrors", state_dir);
	if (mkdir(path, 0700) == 0)
		return disk_sync_folder(state_dir, e);
	return errno == EEXIST ? 0 : err_sys(e, "cannot make the folder '%.180s'", path);
}

static int take(struct fabric_brought *b, struct err *e)
{
	struct policy *p = calloc(1, sizeof(*p));
	struct mirrored *m = NULL;
	struct witness_seen last;
	int rc = -1;

	CHECK(p);
	fabric_policy(&b->keys, p);
	if (!witness_last_of(b->w, b->origin, &last))
		(void)err_set(e, ERR_DENIED, "no head of its log was cosigned here yet");
	else if (folder(b->f->node->state_dir, e) == 0 && mirrored_open(b->dir, &m, e) == 0)
		rc = mirrored_take(m, b->body, b->n, p, &last.last, &b->limits, e);
	mirrored_close(m);
	free(p);
	return rc;
}

static void take_work(uv_work_t *w)
{
	struct fabric_brought *b = w->data;
	struct err e;

	b->failed = take(b, &b->why) < 0;
	(void)mirrored_look(b->dir, &b->seen, &e);
}

static void brought_free(struct fabric_brought *b)
{
	struct fabric_brought **at = &b->f->brought;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	b->peer->bringing = false;
	mirrored_seen_release(&b->seen);
	free(b->body);
	free(b);
}

static void take_done(uv_work_t *w, int status);

/* Those that came first, first. */
static void begin(struct fabric *f)
{
	for (;;) {
		struct fabric_brought *next = NULL;
		unsigned busy = 0;

		for (struct fabric_brought *b = f->brought; b; b = b->next) {
			busy += b->begun;
			next = b->begun ? next : b; /* the list begins with the newest */
		}
		if (!next || busy >= AT_ONCE)
			return;
		next->begun = true;
		CHECK(uv_queue_work(&f->node->loop, &next->work, take_work, take_done) == 0);
	}
}

static void take_done(uv_work_t *w, int status)
{
	struct fabric_brought *b = w->data;
	struct fabric_peer *p = b->peer;
	struct fabric *f = b->f;
	bool tell = b->failed && b->why.code != ERR_EXISTS; /* it hears where to go on */
	char *text;
	json_t *o;

	(void)status;
	if (memcmp(p->id, b->id, 32) == 0) {
		p->mirrored = b->seen.size;
		p->mirror_bytes = b->seen.bytes;
		p->error[0] = '\0';
		if (tell)
			(void)snprintf(
			        p->error, sizeof(p->error), "what it brings of its log: %.300s", b->why.msg);
	}
	if (b->a) {
		o = json_pack("{s:I, s:s*}", "mirrored", (json_int_t)b->seen.size, "error",
		        tell ? b->why.msg : NULL);
		text = o ? json_dumps(o, JSON_COMPACT) : NULL;
		CHECK(text);
		hub_listener_answer(b->a, 200, text, false);
		json_decref(o);
		free(text);
	}
	brought_free(b);
	begin(f);
}

static int bring(struct fabric *f, struct hub_asked *a, struct err *e)
{
	struct identity_node v;
	struct fabric_brought *b;
	struct fabric_peer *p;
	struct witness *w = fabric_witness(f, e);

	if (!w)
		return -1;
	if (!identity_node_named(engine_identity(f->node->engine), a->name, &v) || v.removed)
		return err_set(e, ERR_DENIED, "'%.63s' is no node of this hub", a->name);
	if (!f->node->config.mirror_bytes)
		return err_set(e, ERR_DENIED, "this hub keeps no mirrors: ledger.fabric.mirror says no");
	p = fabric_peer_of(f, &f->children, false, a->name, v.journal);
	if (!p->keys.n || !p->origin[0])
		return err_set(e, ERR_DENIED, "'%s' has shown no head of its log yet", p->name);
	if (fabric_peer_busy(f, p))
		return err_set(e, ERR_CLOSED, "what came last of '%s' is still looked at", p->name);
	b = calloc(1, sizeof(*b));
	CHECK(b);
	*b = (struct fabric_brought){.next = f->brought,
	        .f = f,
	        .peer = p,
	        .a = a,
	        .w = w,
	        .keys = p->keys,
	        .n = a->body_n,
	        .limits = limits_of(f->node)};
	memcpy(b->id, p->id, 32);
	memcpy(b->origin, p->origin, sizeof(b->origin));
	fabric_mirror_path(f->node, p->name, p->origin, b->dir);
	mirrored_name(p->name, p->origin, p->mirror);
	b->body = malloc(b->n + 1); /* its request may end before the pool has looked at it */
	CHECK(b->body);
	memcpy(b->body, a->body, b->n);
	b->work.data = b;
	p->bringing = true;
	f->brought = b;
	return 0;
}

void fabric_bring(struct node *n, struct hub_asked *a)
{
	struct fabric *f = n->fabric;
	struct err e = {0};

	if (!f || f->stopped)
		(void)err_set(&e, ERR_CLOSED, "this hub cosigns no logs over links: ledger.fabric says no");
	else if (bring(f, a, &e) == 0) {
		begin(f);
		return;
	}
	fabric_refuse(a, &e);
}

/* ---- what is too old ---- */

struct sweeping {
	uv_work_t work;
	struct mirrored_limits limits;
	char dir[PATH_ROOM];
};

static void sweep_work(uv_work_t *w)
{
	struct sweeping *s = w->data;
	DIR *d = opendir(s->dir);
	char path[PATH_ROOM + 260];
	struct mirrored *m;
	struct dirent *at;
	struct err e;

	while (d && (at = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/%s", s->dir, at->d_name);
		if (at->d_name[0] == '.' || mirrored_open(path, &m, &e) < 0)
			continue; /* in use: then it is swept by who uses it */
		(void)mirrored_sweep(m, &s->limits, &e);
		mirrored_close(m);
	}
	if (d)
		(void)closedir(d);
}

static void sweep_done(uv_work_t *w, int status)
{
	(void)status;
	free(w->data);
}

static void on_sweep(uv_timer_t *t)
{
	struct fabric *f = t->data;
	struct sweeping *s = calloc(1, sizeof(*s));

	CHECK(s);
	s->limits = limits_of(f->node);
	if (!s->limits.bytes_max) /* none are kept from now on; those that are here stay, by age */
		s->limits.bytes_max = UINT64_MAX;
	(void)snprintf(s->dir, sizeof(s->dir), "%.4000s/mirrors", f->node->state_dir);
	s->work.data = s;
	if (access(s->dir, F_OK) < 0)
		free(s);
	else
		CHECK(uv_queue_work(&f->node->loop, &s->work, sweep_work, sweep_done) == 0);
}

/* ---- the beginning, and the end ---- */

void fabric_mirror_init(struct fabric *f)
{
	struct fabric_mirror *m = &f->mirror;

	CHECK(uv_timer_init(&f->node->loop, &m->timer) == 0 && uv_timer_init(&f->node->loop, &f->sweep) == 0);
	m->timer.data = f->sweep.data = f;
	uv_unref((uv_handle_t *)&m->timer);
	uv_unref((uv_handle_t *)&f->sweep);
	(void)uv_timer_start(&f->sweep, on_sweep, SWEEP_MS, SWEEP_EACH);
	fabric_mirror_forget(f);
}

void fabric_mirror_stop(struct fabric *f)
{
	struct err e;

	(void)uv_timer_stop(&f->mirror.timer);
	(void)uv_timer_stop(&f->sweep);
	(void)err_set(&e, ERR_CLOSED, "the hub is stopping");
	for (struct fabric_brought *b = f->brought, *next; b; b = next) {
		next = b->next;
		if (b->a)
			fabric_refuse(b->a, &e);
		b->a = NULL;
		if (!b->begun)
			brought_free(b);
	}
}

void fabric_mirror_close(struct fabric *f)
{
	free(f->mirror.note);
}
