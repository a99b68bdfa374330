/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links - many light children of a real hub in one process: each has an engine of its own, a real end of a link, and a client of the hub's
 * broker with a certificate of its own; its journal is memory, and its executor gives the results of a lease at once.
 *
 *	bench-links DIR CHILDREN CPUS WALL_US	DIR: for keys and certificates; WALL_US: what each task says it took
 *
 * Reads what `osier hub token` prints, a line for each child, joins each over HTTPS, and goes on with lines from then on:
 *	look	how many links are up, results said so far
 *	flap N	the first child says N times that it is gone and here again, each time when the link is up
 * and ends with its input. Each is answered by a line of JSON; so is the joining, when all links are up.
 */
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "core/jobspec.h"
#include "core/link.h"
#include "io/cert.h"
#include "io/clock.h"
#include "io/ed25519.h"
#include "io/hub_client.h"
#include "io/join.h"
#include "io/mqtt.h"
#include "io/sha256.h"

enum { ENTRIES = 4096, ARENA = 16 << 20, EFFECTS = 4 * EFFECTS_PER_APPLY_MAX, MEMORY = 24 << 20 };
#define ROOM (1u << 20)

struct child {
	char name[32], up[MQTT_TOPIC_MAX + 1], state[MQTT_TOPIC_MAX + 1];
	struct engine *engine;
	struct link_end *end;
	struct mqtt *m;
	uv_timer_t timer;
	uint64_t size;          /* entries of its journal, all of them durable */
	uint64_t granted, said; /* tasks of leases here; rows of results said to the hub */
	struct effect *fx;
	size_t n_fx, max_fx;
	uint8_t seed[32], key[32], journal[32];
	bool touched;
};

static uv_loop_t loop;
static uv_check_t after;
static uv_prepare_t before;
static uv_poll_t input;
static struct child *children, **touched;
static size_t n_children, n_touched;
static uint64_t cpus, wall_us, flaps_left, begun_ns;
static char dir[256], ca_file[300], line[1024];
static size_t n_line;
static bool joined;
static uint8_t ca_sha256[32], frame[FRAME_BYTES_MAX], *scratch, *decided_mem, *spec_mem;
static const Wire__Entry *entries[ENTRIES];

static uint64_t now_ns(void)
{
	return clock_wall_ns();
}

static void must(int rc, const char *what, const struct err *e)
{
	if (rc >= 0)
		return;
	(void)fprintf(stderr, "bench-links: %s: %s\n", what, e->msg);
	exit(1);
}

static void touch(struct child *c)
{
	if (c->touched)
		return;
	c->touched = true;
	touched[n_touched++] = c;
}

/* ---- its engine ---- */

static void keep_effects(struct child *c, const struct effect_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].kind != EFFECT_START && l->v[i].kind != EFFECT_STOP &&
		        l->v[i].kind != EFFECT_DELEGATED)
			continue;
		if (c->n_fx == c->max_fx) {
			c->max_fx = c->max_fx ? 2 * c->max_fx : 16;
			c->fx = realloc(c->fx, c->max_fx * sizeof(*c->fx));
			CHECK(c->fx);
		}
		c->fx[c->n_fx++] = l->v[i];
	}
}

/* Decide and apply; how many entries came. */
static size_t ask(struct child *c, const struct command *cmd, struct err *why)
{
	static struct effect fx[EFFECTS];
	struct arena a;
	struct entry_list list = {.arena = &a, .v = entries, .max = ENTRIES};

	arena_init(&a, decided_mem, ARENA);
	engine_decide(c->engine, now_ns(), cmd, &list);
	CHECK(!list.full);
	for (size_t i = 0; i < list.n; i++) {
		struct effect_list out = {fx, 0, EFFECTS};

		if (entries[i]->body_case == WIRE__ENTRY__BODY_REFUSED && why)
			(void)err_set(why, ERR_INVALID, "%s", entries[i]->refused->reason);
		engine_apply(c->engine, entries[i], &out);
		c->size++;
		keep_effects(c, &out);
	}
	return list.n;
}

static void must_do(struct child *c, const struct command *cmd, const char *what)
{
	struct err e = {0};

	(void)ask(c, cmd, &e);
	must(e.code == ERR_NONE ? 0 : -1, what, &e);
}

/* A lease: all of its tasks have succeeded. */
static void run(struct child *c, lease_id lease)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	Wire__LeaseEnded ended = WIRE__LEASE_ENDED__INIT;
	struct lease_view v;

	if (!engine_lease(c->engine, lease, &v))
		return;
	r.lease = ended.lease = lease.v;
	r.first = v.cursor;
	r.count = v.first + v.count - v.cursor;
	r.n_wall_us = 1;
	r.wall_us = &wall_us;
	c->granted += r.count;
	if (r.count && !v.stopping)
		(void)ask(c, &(struct command){.kind = CMD_RESULTS, .u.results = &r}, NULL);
	if (v.stopping)
		ended.reason = v.reason;
	if (engine_lease(c->engine, lease, &v))
		(void)ask(c, &(struct command){.kind = CMD_LEASE_ENDED, .u.ended = &ended}, NULL);
}

static void effect(struct child *c, const struct effect *fx)
{
	if (fx->kind == EFFECT_DELEGATED)
		link_effect(c->end, now_ns(), fx);
	else
		run(c, fx->lease);
}

/* ---- what its end asks ---- */

static bool on_command(void *ctx, const struct command *cmd, struct err *why)
{
	struct command mine = *cmd;
	Wire__Principal by = WIRE__PRINCIPAL__INIT;

	by.name = (char[]){"bench"};
	by.uid = by.gid = 65534;
	if (cmd->kind == CMD_DELEGATED)
		mine.by = &by;
	why->code = ERR_NONE;
	(void)ask(ctx, &mine, why);
	return why->code == ERR_NONE;
}

static uint64_t on_size(void *ctx)
{
	return ((const struct child *)ctx)->size;
}

static const Wire__JobSpec *on_spec(void *ctx, job_id job)
{
	const struct child *c = ctx;
	const Wire__JobSpec *spec;
	struct job_view v;
	struct arena a;

	arena_init(&a, spec_mem, ARENA);
	if (!engine_job(c->engine, job, &v) || jobspec_decode(&a, v.spec, v.spec_bytes, &spec, NULL) < 0)
		return NULL;
	return spec;
}

/* A time for each task, as real ones have. */
static void on_results(void *ctx, job_id job, uint64_t first, uint64_t most, size_t room_bytes,
        struct arena *a, struct link_results *out)
{
	struct child *c = ctx;
	uint64_t n = room_bytes / 24;

	(void)job;
	n = n == 0 ? 1 : n < most ? n : most;
	out->columns->count = n;
	out->columns->wall_us = arena_alloc(a, n * sizeof(uint64_t));
	CHECK(out->columns->wall_us);
	out->columns->n_wall_us = n;
	for (uint64_t i = 0; i < n; i++)
		out->columns->wall_us[i] = wall_us + (first + i) % 7;
	c->said += n;
}

/* ---- rounds ---- */

static void on_timer(uv_timer_t *t)
{
	touch(t->data);
}

static void say(struct child *c)
{
	struct mqtt_message msg = {.topic = c->up, .payload = frame};

	while (mqtt_up(c->m) && mqtt_waiting(c->m) < ROOM) {
		msg.n = link_next(c->end, now_ns(), frame);
		if (!msg.n || mqtt_publish(c->m, &msg, NULL) < 0)
			break;
	}
}

static void round_of(struct child *c)
{
	struct command tick = {.kind = CMD_TICK};
	uint64_t now, due, at;

	do {
		for (size_t i = 0; i < c->n_fx; i++) {
			struct effect fx = c->fx[i];

			effect(c, &fx);
		}
		c->n_fx = 0;
		while (ask(c, &tick, NULL))
			;
	} while (c->n_fx);
	link_durable(c->end, now_ns());
	say(c);
	now = now_ns();
	due = link_deadline_ns(c->end, now);
	at = engine_deadline_ns(c->engine, now);
	due = at < due ? at : due;
	if (due == UINT64_MAX)
		(void)uv_timer_stop(&c->timer);
	else
		(void)uv_timer_start(&c->timer, on_timer, due > now ? (due - now) / 1000000 + 1 : 1, 0);
}

static void answer(struct child *flapped);

static void flush(void)
{
	for (size_t i = 0; i < n_touched; i++) {
		struct child *c = touched[i];

		c->touched = false;
		round_of(c);
	}
	n_touched = 0;
	answer(children);
}

static void on_after(uv_check_t *h)
{
	(void)h;
	flush();
}

static void on_before(uv_prepare_t *h)
{
	(void)h;
	flush();
}

/* ---- its client ---- */

static void tell_state(struct child *c, const char *word)
{
	(void)mqtt_publish(c->m,
	        &(struct mqtt_message){.topic = c->state, .payload = word, .n = strlen(word), .retain = true},
	        NULL);
}

static void on_up(void *ctx)
{
	struct child *c = ctx;

	tell_state(c, "here");
	touch(c);
}

static void on_down(void *ctx, const struct mqtt_down *d)
{
	struct child *c = ctx;

	if (d->was_up)
		link_disconnected(c->end, now_ns());
	(void)fprintf(stderr, "bench-links: %s: %s\n", c->name, d->why.msg);
	touch(c);
}

static void set_here(struct child *c, bool here)
{
	struct link_view v;

	link_look(c->end, &v);
	if (here && v.state == LINK_DOWN)
		link_connected(c->end, now_ns(), engine_epoch(c->engine) << 32);
	else if (!here && v.state != LINK_DOWN)
		link_disconnected(c->end, now_ns());
	touch(c);
}

static void on_message(void *ctx, const struct mqtt_message *m)
{
	struct child *c = ctx;
	const char *last = strrchr(m->topic, '/');

	if (strcmp(last, "/hub") == 0) {
		set_here(c, m->n == 4 && memcmp(m->payload, "here", 4) == 0);
	} else {
		set_here(c, true);
		link_receive(c->end, now_ns(), m->payload, m->n);
	}
}

static void on_room(void *ctx)
{
	touch(ctx);
}

/* ---- beginning ---- */

static void engine_begin(struct child *c, const char *hub, Wire__NodeSet *offer, struct arena *a)
{
	struct engine_limits l = {.memory_bytes = MEMORY,
	        .jobs_max = 64,
	        .groups_max = 64,
	        .leases_max = 64,
	        .nodes_max = 4,
	        .namespaces_max = 16,
	        .delayed_max = 64};
	Wire__Boot boot = WIRE__BOOT__INIT;
	Wire__NodeSet node = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, mem = WIRE__NEED__INIT, *needs[2] = {&cpu, &mem};
	Wire__LinkSet set = WIRE__LINK_SET__INIT;
	void *p = mmap(
	        NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	c->engine = engine_new(p, &l);
	CHECK(c->engine);
	boot.version = (char[]){"bench"};
	must_do(c, &(struct command){.kind = CMD_BOOT, .u.boot = &boot}, "boot");
	cpu.name = (char[]){"cpu"};
	cpu.amount = cpus * 1000;
	mem.name = (char[]){"memory"};
	mem.amount = 1ull << 40;
	node.node = 1;
	node.name = c->name;
	node.n_capacity = 2;
	node.capacity = needs;
	must_do(c, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &node}, "the node");
	set.name = (char *)(uintptr_t)hub;
	set.key = (ProtobufCBinaryData){32, ca_sha256};
	must_do(c, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &set}, "the parent");
	CHECK(link_sum(c->engine, c->name, a, offer) == 0);
}

static void end_begin(struct child *c, const char *hub)
{
	static uint8_t mem[64 << 10];
	struct link_shell shell = {.ctx = c,
	        .command = on_command,
	        .appended = on_size,
	        .durable = on_size,
	        .spec = on_spec,
	        .results = on_results};
	Wire__NodeSet offer;
	struct link_self self = {.side = LINK_TO_HUB,
	        .name = c->name,
	        .key = c->key,
	        .journal = c->journal,
	        .secret = c->key,
	        .offer = &offer};
	struct arena a;
	void *p = mmap(NULL, link_bytes(LINK_TO_HUB), PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	arena_init(&a, mem, sizeof(mem));
	engine_begin(c, hub, &offer, &a);
	shell.engine = c->engine;
	c->end = link_init(p, &self, &shell, scratch, FRAME_ARENA_BYTES);
	CHECK(uv_timer_init(&loop, &c->timer) == 0);
	c->timer.data = c;
}

static void client_begin(struct child *c, const json_t *told, const char *host)
{
	const char *topics = json_string_value(json_object_get(told, "topics"));
	char down[MQTT_TOPIC_MAX + 1], hub[MQTT_TOPIC_MAX + 1], crt[320], key[320];
	struct mqtt_options o = {.loop = &loop,
	        .host = host,
	        .port = (uint16_t)json_integer_value(json_object_get(told, "broker_port")),
	        .id = c->name,
	        .tls = {ca_file, crt, key},
	        .filters = {down, hub},
	        .will = {.topic = c->state, .payload = "gone", .n = 4, .retain = true},
	        .seed = (uint64_t)(c - children),
	        .room = ROOM / 2,
	        .on_up = on_up,
	        .on_down = on_down,
	        .on_message = on_message,
	        .on_room = on_room,
	        .ctx = c};
	struct err e;

	(void)snprintf(crt, sizeof(crt), "%s/%s.crt", dir, c->name);
	(void)snprintf(key, sizeof(key), "%s/%s.key", dir, c->name);
	(void)snprintf(down, sizeof(down), "%s/%s/down", topics, c->name);
	(void)snprintf(hub, sizeof(hub), "%s/hub", topics);
	(void)snprintf(c->up, sizeof(c->up), "%s/%s/up", topics, c->name);
	(void)snprintf(c->state, sizeof(c->state), "%s/%s/state", topics, c->name);
	must(mqtt_new(&o, &c->m, &e), "the client", &e);
}

static char *body_of(const struct child *c, const struct join_line *l)
{
	char key[320], *csr, statement[JOIN_STATEMENT_MAX], key64[BASE64_CHARS(32) + 1],
	        sig64[BASE64_CHARS(64) + 1], hex[65], token[33], *text;
	uint8_t digest[32], sig[64];
	struct cert_request *r;
	struct err e;
	json_t *body;
	size_t n;

	(void)snprintf(key, sizeof(key), "%s/%s.key", dir, c->name);
	must(cert_key_make(key, &e), "a key", &e);
	must(cert_request_make(key, c->name, &csr, &e), "a request", &e);
	must(cert_request_read(csr, strlen(csr), &r, &e), "a request", &e);
	cert_request_digest(r, digest);
	cert_request_free(r);
	n = join_statement(JOIN_JOIN, l->token.fingerprint, c->name, c->journal, digest, statement);
	ed25519_sign(c->seed, statement, n, sig);
	(void)base64_write(c->key, 32, key64);
	(void)base64_write(sig, 64, sig64);
	sha256_hex(c->journal, hex);
	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(token + 2 * i, 3, "%02x", l->token.secret[i]);
	body = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s}", "version", JOIN_VERSION, "token", token,
	        "name", c->name, "csr", csr, "key", key64, "journal", hex, "signature", sig64);
	CHECK(body);
	text = json_dumps(body, JSON_COMPACT);
	CHECK(text);
	json_decref(body);
	free(csr);
	return text;
}

static void hub_certificate(const struct join_line *l)
{
	struct cert_trust *t;
	struct err e;
	int64_t ahead;
	char *pem;

	must(hub_client_ca(l->origin, l->token.fingerprint, -1, &pem, &ahead, &e), "the hub's certificate",
	        &e);
	must(cert_trust_new(pem, strlen(pem), &t, &e), "the hub's certificate", &e);
	cert_trust_digest(t, ca_sha256);
	cert_trust_free(t);
	(void)snprintf(ca_file, sizeof(ca_file), "%s/ca.crt", dir);
	must(cert_file_write(ca_file, pem, strlen(pem), 0600, &e), "the hub's certificate", &e);
	free(pem);
}

static void join(struct child *c, const char *text)
{
	struct hub_self self = {.stop_fd = -1};
	struct join_line l;
	struct err e = {0};
	char crt[320], host[256], *body, *told;
	const char *pem;
	unsigned status;
	json_t *j;

	must(join_line_parse(text, &l, &e), "a token", &e);
	if (!ca_file[0])
		hub_certificate(&l);
	self.ca = ca_file;
	(void)snprintf(c->name, sizeof(c->name), "light-%zu", (size_t)(c - children));
	sha256_of(c->name, strlen(c->name), c->journal);
	memcpy(c->seed, c->journal, 32);
	ed25519_public(c->seed, c->key);
	body = body_of(c, &l);
	must(hub_client_post(l.origin, "/v1/hub/join", &self, body, &status, &told, &e), "joining", &e);
	if (status != 201)
		must(hub_client_refused(status, told, &e), "joining", &e);
	j = json_loads(told, 0, NULL);
	pem = json_string_value(json_object_get(j, "certificate"));
	CHECK(pem);
	(void)snprintf(crt, sizeof(crt), "%s/%s.crt", dir, c->name);
	must(cert_file_write(crt, pem, strlen(pem), 0600, &e), "a certificate", &e);
	(void)snprintf(host, sizeof(host), "%.255s", l.origin + strlen("https://"));
	*strrchr(host, ':') = '\0';
	end_begin(c, json_string_value(json_object_get(j, "hub")));
	client_begin(c, j, host);
	json_decref(j);
	free(told);
	free(body);
}

/* ---- what it is asked ---- */

static size_t links_up(void)
{
	struct link_view v;
	size_t n = 0;

	for (size_t i = 0; i < n_children; i++) {
		if (!children[i].end)
			continue;
		link_look(children[i].end, &v);
		n += v.state == LINK_UP;
	}
	return n;
}

static void look(void)
{
	uint64_t granted = 0, said = 0, sent = 0, received = 0, sessions = 0;
	struct link_view v;
	struct rusage u;

	for (size_t i = 0; i < n_children; i++) {
		granted += children[i].granted;
		said += children[i].said;
		link_look(children[i].end, &v);
		sent += v.sent;
		received += v.received;
		sessions += v.sessions;
	}
	(void)getrusage(RUSAGE_SELF, &u);
	(void)printf("{\"s\": %.3f, \"up\": %zu, \"granted\": %" PRIu64 ", \"said\": %" PRIu64
	             ", \"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"sessions\": %" PRIu64
	             ", \"cpu_s\": %.3f}\n",
	        (double)(now_ns() - begun_ns) / 1e9, links_up(), granted, said, sent, received, sessions,
	        (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

/* The first child is gone, and here again. */
static void flap(struct child *c)
{
	tell_state(c, "gone");
	set_here(c, false);
	tell_state(c, "here");
	set_here(c, true);
}

/* What was asked is done. */
static void answer(struct child *flapped)
{
	struct link_view v;

	if (!joined || !flaps_left)
		return;
	link_look(flapped->end, &v);
	if (v.state != LINK_UP)
		return;
	if (--flaps_left)
		flap(flapped);
	else
		look();
}

static void obey(const char *text)
{
	if (strcmp(text, "look") == 0) {
		look();
	} else if (strncmp(text, "flap ", 5) == 0) {
		begun_ns = now_ns();
		flaps_left = strtoull(text + 5, NULL, 10) + 1;
		flap(children);
		touch(children);
	} else {
		(void)fprintf(stderr, "bench-links: what is '%s'?\n", text);
	}
}

static void on_input(uv_poll_t *p, int status, int events)
{
	ssize_t n = read(0, line + n_line, sizeof(line) - 1 - n_line);
	char *end;

	(void)p;
	(void)status;
	(void)events;
	if (n <= 0)
		exit(0); /* its children are gone, without a word */
	n_line += (size_t)n;
	line[n_line] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		obey(line);
		n_line -= (size_t)(end + 1 - line);
		memmove(line, end + 1, n_line + 1);
	}
}

static void join_all(void)
{
	begun_ns = now_ns();
	for (size_t i = 0; i < n_children; i++) {
		if (!fgets(line, sizeof(line), stdin)) {
			(void)fprintf(stderr, "bench-links: %zu tokens for %zu children\n", i, n_children);
			exit(1);
		}
		line[strcspn(line, "\n")] = '\0';
		join(&children[i], line);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	while (links_up() < n_children)
		(void)uv_run(&loop, UV_RUN_ONCE);
	joined = true;
	look();
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (argc != 5) {
		(void)fprintf(stderr, "usage: bench-links DIR CHILDREN CPUS WALL_US\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	(void)snprintf(dir, sizeof(dir), "%s", argv[1]);
	n_children = strtoull(argv[2], NULL, 10);
	cpus = strtoull(argv[3], NULL, 10);
	wall_us = strtoull(argv[4], NULL, 10);
	CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	children = calloc(n_children, sizeof(*children));
	touched = calloc(n_children, sizeof(struct child *));
	scratch = aligned_alloc(16, FRAME_ARENA_BYTES);
	decided_mem = aligned_alloc(16, ARENA);
	spec_mem = aligned_alloc(16, ARENA);
	CHECK(children && touched && scratch && decided_mem && spec_mem && n_children &&
	        uv_loop_init(&loop) == 0);
	(void)uv_check_init(&loop, &after);
	(void)uv_check_start(&after, on_after);
	(void)uv_prepare_init(&loop, &before);
	(void)uv_prepare_start(&before, on_before);
	join_all();
	(void)uv_poll_init(&loop, &input, 0);
	(void)uv_poll_start(&input, UV_READABLE, on_input);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}
