/* SPDX-License-Identifier: Apache-2.0 */
/* hub_get - a blob from several hubs and neighbours at once; see hub_client.h. A thread for each source; everything but the network under one lock. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/clock.h"
#include "io/hub_client_int.h"
#include "io/sha256.h"

#define READ_BYTES (256u << 10)

struct source {
	struct getting *g;
	const char *origin;
	char url[HTTP_URL_MAX];
	struct http *http;
	uint64_t answer_ns; /* how long it took to answer */
	uint64_t rtt_us;    /* how far it is; 0 not known */
	bool near, has, failed;
	struct err why;
	/* the piece that comes now */
	uint64_t piece, at, end;
	bool whole_only; /* it answered a range with everything */
};

struct getting {
	const struct hub_get *get;
	const struct hub_self *self;
	uint64_t bytes, n_pieces, moved, moved_near;
	char ticket[2048]; /* a header */
	int fd, map_fd;
	uint32_t *have; /* of each piece */
	bool *taken;
	uint64_t hashed; /* pieces from the first that are hashed */
	bool hashing, broken;
	struct sha256 *hash;
	struct source source[HUB_NEAR_MAX + HUB_SOURCES_MAX];
	unsigned n_sources;
	struct err why; /* when broken */
	pthread_mutex_t lock;
};

static uint32_t piece_bytes(const struct getting *g, uint64_t i)
{
	uint64_t left = g->bytes - i * HUB_PIECE;

	return left < HUB_PIECE ? (uint32_t)left : HUB_PIECE;
}

static void break_off(struct getting *g)
{
	if (!g->broken)
		(void)err_sys(&g->why, "cannot write '%.160s'", g->get->path);
	if (errno == ENOSPC || errno == EDQUOT)
		g->why.code = ERR_FULL;
	g->broken = true;
}

/* ---- hashing what is whole from the beginning ---- */

static bool hash_piece(struct getting *g, uint64_t i, uint8_t *buf)
{
	uint32_t n = piece_bytes(g, i);

	for (uint32_t at = 0; at < n;) {
		uint32_t want = n - at < READ_BYTES ? n - at : READ_BYTES;
		ssize_t k = pread(g->fd, buf, want, (off_t)(i * HUB_PIECE + at));

		if (k <= 0)
			return false;
		sha256_update(g->hash, buf, (size_t)k);
		at += (uint32_t)k;
	}
	return true;
}

/* With the lock, which is let go meanwhile. */
static void hash_on(struct getting *g)
{
	uint8_t *buf;

	if (g->hashing)
		return;
	buf = malloc(READ_BYTES);
	CHECK(buf);
	g->hashing = true;
	while (g->hashed < g->n_pieces && g->have[g->hashed] == piece_bytes(g, g->hashed) && !g->broken) {
		bool good;

		CHECK(pthread_mutex_unlock(&g->lock) == 0);
		good = hash_piece(g, g->hashed, buf);
		CHECK(pthread_mutex_lock(&g->lock) == 0);
		if (!good)
			break_off(g);
		g->hashed++;
	}
	g->hashing = false;
	free(buf);
}

/* ---- one source ---- */

static void note_have(struct getting *g, uint64_t i, uint32_t n)
{
	uint8_t b[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};

	g->have[i] = n;
	if (pwrite(g->map_fd, b, 4, (off_t)(4 * i)) != 4)
		break_off(g);
}

static int on_piece(void *ctx, unsigned status, const uint8_t *p, size_t n)
{
	struct source *s = ctx;
	struct getting *g = s->g;
	size_t room = s->end - s->at;

	if (status != 206) { /* all of it from the beginning, when a part was asked for */
		s->whole_only = true;
		return -1;
	}
	if (n > room)
		return -1;
	for (size_t done = 0; done < n;) {
		ssize_t k = pwrite(g->fd, p + done, n - done, (off_t)(s->at + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			CHECK(pthread_mutex_lock(&g->lock) == 0);
			break_off(g);
			CHECK(pthread_mutex_unlock(&g->lock) == 0);
			return -1;
		}
		done += (size_t)k;
	}
	s->at += n;
	CHECK(pthread_mutex_lock(&g->lock) == 0);
	g->moved += n;
	g->moved_near += s->near ? n : 0;
	note_have(g, s->piece, (uint32_t)(s->at - s->piece * HUB_PIECE));
	CHECK(pthread_mutex_unlock(&g->lock) == 0);
	return 0;
}

/* The rest of a piece. */
static int get_piece(struct source *s, struct err *e)
{
	const struct getting *g = s->g;
	struct http_request r = {.method = HTTP_GET, .url = s->url, .piece = on_piece, .ctx = s};
	char range[80];
	struct http_answer a;

	(void)snprintf(range, sizeof(range), "Range: bytes=%llu-%llu", (unsigned long long)s->at,
	        (unsigned long long)(s->end - 1));
	r.header[0] = range;
	r.header[1] = s->near ? g->ticket : NULL;
	if (http_ask(s->http, &r, &a, e) < 0)
		return s->whole_only
		               ? err_set(e, ERR_INVALID, "%.120s cannot give parts of a blob", s->origin)
		               : -1;
	if (a.status == 404)
		return err_set(e, ERR_NOTFOUND, "%.120s has the blob no more", s->origin);
	if (a.status == 401 || a.status == 403)
		return err_set(e, ERR_DENIED, "%.120s does not take this node's certificate", s->origin);
	if (a.status != 206)
		return err_set(e, ERR_CLOSED, "%.120s answered with status %u", s->origin, a.status);
	return s->at == s->end ? 0 : err_set(e, ERR_CLOSED, "%.120s gave less than was asked for", s->origin);
}

/* The next piece that nobody has or gets; n_pieces: none. With the lock. */
static uint64_t next_piece(struct getting *g)
{
	for (uint64_t i = g->hashed; i < g->n_pieces; i++)
		if (!g->taken[i] && g->have[i] < piece_bytes(g, i))
			return i;
	return g->n_pieces;
}

static bool worth_another(const struct err *e)
{
	return e->code == ERR_CLOSED || e->code == ERR_TIMEOUT;
}

/* Why none of several has it: one that may answer yet says more than one that has said no. A hub's standby has said no of files that came to
 * its hub in the moment before that one died. */
static void note_why(struct err *e, bool *passes, const struct err *why)
{
	if (*passes && !worth_another(why))
		return;
	*passes = worth_another(why);
	*e = *why;
}

static void *run_source(void *ctx)
{
	struct source *s = ctx;
	struct getting *g = s->g;
	unsigned tries = 0;

	CHECK(pthread_mutex_lock(&g->lock) == 0);
	while (!g->broken && !s->failed && !http_stopped(g->self->stop_fd)) {
		uint64_t before;
		int rc;

		s->piece = next_piece(g);
		if (s->piece == g->n_pieces)
			break;
		g->taken[s->piece] = true;
		before = s->at = s->piece * HUB_PIECE + g->have[s->piece];
		s->end = s->piece * HUB_PIECE + piece_bytes(g, s->piece);
		CHECK(pthread_mutex_unlock(&g->lock) == 0);
		rc = get_piece(s, &s->why);
		if (rc < 0 && worth_another(&s->why) && s->at == before)
			hub_pause(tries, g->self->stop_fd);
		CHECK(pthread_mutex_lock(&g->lock) == 0);
		g->taken[s->piece] = false;
		tries = rc == 0 || s->at > before ? 0 : tries + 1;
		s->failed = rc < 0 && (!worth_another(&s->why) || tries >= HUB_TRIES_MAX);
		hash_on(g);
	}
	CHECK(pthread_mutex_unlock(&g->lock) == 0);
	return NULL;
}

/* ---- all of it ---- */

/* Who has it, and how fast they answer. */
static int look(struct source *s, uint64_t *bytes)
{
	struct http_request r = {
	        .method = HTTP_HEAD, .url = s->url, .header = {s->near ? s->g->ticket : NULL}};
	struct http_answer a;
	uint64_t from = clock_mono_ns();

	if (http_ask(s->http, &r, &a, &s->why) < 0)
		return -1;
	s->answer_ns = clock_mono_ns() - from;
	s->rtt_us = a.rtt_us ? a.rtt_us : s->rtt_us;
	if (a.status == 404)
		return err_set(&s->why, ERR_NOTFOUND, "%.120s does not have the blob", s->origin);
	if (a.status == 503 && s->near)
		return err_set(&s->why, ERR_EXISTS, "%.120s is still getting the blob", s->origin);
	if (a.status == 401 || a.status == 403)
		return err_set(
		        &s->why, ERR_DENIED, "%.120s does not take this node's certificate", s->origin);
	if (a.status != 200 || a.length > HUB_BLOB_MAX)
		return err_set(&s->why, ERR_CLOSED, "%.120s answered with status %u", s->origin, a.status);
	if (*bytes != UINT64_MAX && a.length != *bytes)
		return err_set(&s->why, ERR_CORRUPT, "%.100s has %llu bytes under that digest, not %llu",
		        s->origin, (unsigned long long)a.length, (unsigned long long)*bytes);
	*bytes = a.length;
	s->has = true;
	return 0;
}

static int by_speed(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->has != y->has)
		return x->has ? -1 : 1;
	return x->answer_ns < y->answer_ns ? -1 : x->answer_ns > y->answer_ns;
}

static void sort_sources(struct getting *g)
{
	qsort(g->source, g->n_sources, sizeof(g->source[0]), by_speed);
}

/* As look(); who is still getting it is waited for: the same bytes need not come over the hub's line twice. */
static int look_near(struct source *s, bool coming, uint64_t *bytes)
{
	uint64_t from = clock_mono_ns(), room = HUB_BEGIN_NS;

	for (unsigned tries = 0;; tries++) {
		if (look(s, bytes) == 0)
			return 0;
		if (s->why.code == ERR_EXISTS)
			room = HUB_COMING_NS;
		if (!coming || (s->why.code != ERR_EXISTS && s->why.code != ERR_NOTFOUND) ||
		        clock_mono_ns() - from > room || http_stopped(s->g->self->stop_fd))
			return -1;
		hub_pause(0, s->g->self->stop_fd);
	}
}

/* Neighbours that have it; true: one of them answers fast. */
static bool find_near(struct getting *g)
{
	const struct hub_get *get = g->get;
	bool quick = false;
	struct err e;

	if (!get->ticket || get->bytes == UINT64_MAX ||
	        snprintf(g->ticket, sizeof(g->ticket), "Osier-Ticket: %s", get->ticket) >=
	                (int)sizeof(g->ticket))
		return false;
	for (unsigned i = 0; i < get->n_near && i < HUB_NEAR_MAX; i++) {
		struct source *s = &g->source[g->n_sources];
		char origin[HTTP_ORIGIN_MAX];
		uint64_t bytes = get->bytes;
		int rc;

		*s = (struct source){.g = g, .origin = get->near[i].name, .near = true};
		(void)snprintf(origin, sizeof(origin), "https://%s", get->near[i].at);
		if (hub_blob_url(origin, get->digest, s->url, &e) < 0 ||
		        hub_http_node(g->self, get->near[i].name, &s->http, &e) < 0)
			continue;
		rc = look_near(s, get->near[i].coming, &bytes);
		if (get->near_us)
			get->near_us[i] = s->rtt_us;
		if (rc < 0) {
			http_free(s->http);
			continue;
		}
		g->n_sources++;
		quick |= s->answer_ns <= HUB_QUICK_NS;
	}
	sort_sources(g);
	return quick;
}

/* Hubs that have it. */
static int find_hubs(struct getting *g, struct err *e)
{
	unsigned n = 0;
	bool passes = false;

	for (unsigned i = 0; i < g->n_sources; i++) {
		g->source[i].has = g->source[i].has && !g->source[i].failed;
		n += g->source[i].has;
	}
	for (unsigned i = 0; i < g->get->n_origins && g->n_sources < ARRAY_LEN(g->source); i++) {
		struct source *s = &g->source[g->n_sources];

		*s = (struct source){.g = g, .origin = g->get->origin[i]};
		if (hub_blob_url(s->origin, g->get->digest, s->url, e) < 0 ||
		        hub_http(g->self, HUB_STALL_NS, false, &s->http, e) < 0)
			return -1;
		g->n_sources++;
		for (unsigned tries = 0; tries < HUB_TRIES_MAX && !s->has; tries++) {
			if (look(s, &g->bytes) == 0 || !worth_another(&s->why) ||
			        http_stopped(g->self->stop_fd) || n)
				break;
			hub_pause(tries, g->self->stop_fd);
		}
		n += s->has;
		if (!s->has)
			note_why(e, &passes, &s->why);
	}
	sort_sources(g);
	return n ? 0 : -1;
}

static void drop_files(const struct hub_get *get, bool whole)
{
	char map[4096];

	(void)snprintf(map, sizeof(map), "%s.map", get->path);
	(void)unlink(map);
	if (whole)
		(void)unlink(get->path);
}

/* Open the file and what is known of it; of another size it is begun anew. */
static int open_files(struct getting *g, struct err *e)
{
	char map[4096];
	struct stat st, mst;
	uint8_t b[4];

	g->n_pieces = (g->bytes + HUB_PIECE - 1) / HUB_PIECE;
	g->have = calloc(g->n_pieces + 1, sizeof(*g->have));
	g->taken = calloc(g->n_pieces + 1, sizeof(*g->taken));
	CHECK(g->have && g->taken);
	(void)snprintf(map, sizeof(map), "%s.map", g->get->path);
	g->fd = open(g->get->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	g->map_fd = open(map, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (g->fd < 0 || g->map_fd < 0 || fstat(g->fd, &st) < 0 || fstat(g->map_fd, &mst) < 0)
		return err_sys(e, "cannot open '%.180s'", g->get->path);
	if ((uint64_t)st.st_size != g->bytes || (uint64_t)mst.st_size > 4 * g->n_pieces) {
		if (ftruncate(g->map_fd, 0) < 0 || ftruncate(g->fd, 0) < 0 ||
		        ftruncate(g->fd, (off_t)g->bytes) < 0)
			return err_sys(e, "cannot write '%.180s'", g->get->path);
		return 0;
	}
	for (uint64_t i = 0; i < g->n_pieces && pread(g->map_fd, b, 4, (off_t)(4 * i)) == 4; i++) {
		g->have[i] =
		        (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
		if (g->have[i] > piece_bytes(g, i))
			g->have[i] = 0;
	}
	return 0;
}

/* Each source that has not failed, in a thread of its own; it ends when the others have taken what is left. True: one of them failed meanwhile,
 * and others have not, who shall get what it left behind. */
static bool fetch_round(struct getting *g, unsigned first, unsigned count)
{
	pthread_t thread[HUB_NEAR_MAX + HUB_SOURCES_MAX];
	struct source *who[HUB_NEAR_MAX + HUB_SOURCES_MAX];
	unsigned n = 0, failed = 0;

	for (unsigned i = 0; i < count; i++)
		if (!g->source[first + i].failed)
			who[n++] = &g->source[first + i];
	if (n == 0)
		return false;
	for (unsigned i = 1; i < n; i++)
		CHECK(pthread_create(&thread[i], NULL, run_source, who[i]) == 0);
	(void)run_source(who[0]);
	for (unsigned i = 1; i < n; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	for (unsigned i = 0; i < n; i++)
		failed += who[i]->failed;
	return !g->broken && failed > 0 && failed < n;
}

static int fetch(struct getting *g, unsigned first, unsigned count, struct err *e)
{
	uint8_t digest[32];
	bool passes = false;

	CHECK(pthread_mutex_lock(&g->lock) == 0);
	hash_on(g); /* what an earlier try left */
	CHECK(pthread_mutex_unlock(&g->lock) == 0);
	while (fetch_round(g, first, count) && g->hashed < g->n_pieces)
		;
	if (g->broken) {
		*e = g->why;
		return -1;
	}
	if (g->hashed < g->n_pieces) {
		if (http_stopped(g->self->stop_fd))
			return err_set(e, ERR_CLOSED, "stopped while the blob came");
		for (unsigned i = 0; i < count; i++)
			if (g->source[first + i].failed)
				note_why(e, &passes, &g->source[first + i].why);
		return -1;
	}
	sha256_end(g->hash, digest);
	g->hashed = 0;
	if (memcmp(digest, g->get->digest, 32) == 0)
		return 0;
	return err_set(
	        e, ERR_CORRUPT, "what %.120s gave is not the blob with that digest", g->source[first].origin);
}

static void begin_anew(struct getting *g)
{
	memset(g->have, 0, g->n_pieces * sizeof(*g->have));
	if (ftruncate(g->map_fd, 0) < 0)
		break_off(g);
	g->hashed = 0;
	sha256_begin(g->hash);
	for (unsigned i = 0; i < g->n_sources; i++)
		g->source[i].failed = false;
}

static unsigned count_sources(const struct getting *g)
{
	unsigned n = 0;

	while (n < g->n_sources && g->source[n].has)
		n++;
	return n;
}

/* What came was not it: anew, of each source alone, hubs first. */
static int get_alone(struct getting *g, struct err *e)
{
	unsigned n = count_sources(g);
	int rc = -1;

	for (unsigned near = 0; near < 2; near++)
		for (unsigned i = 0; rc < 0 && e->code == ERR_CORRUPT && i < n; i++) {
			if (g->source[i].near != near)
				continue;
			begin_anew(g);
			rc = fetch(g, i, 1, e);
		}
	return rc;
}

/* Of neighbours that are near; then what is missing of all; and when that is wrong, of each alone. */
static int get_all(struct getting *g, struct err *e)
{
	bool quick = find_near(g);
	int rc = -1;

	g->bytes = g->get->bytes;
	if (quick) {
		if (open_files(g, e) < 0)
			return -1;
		rc = fetch(g, 0, count_sources(g), e);
	}
	if (rc < 0 && !g->broken) {
		bool wrong = quick && e->code == ERR_CORRUPT;

		if (find_hubs(g, e) < 0 || (!quick && open_files(g, e) < 0))
			return -1;
		if (wrong)
			(void)err_set(
			        e, ERR_CORRUPT, "what neighbours gave is not the blob with that digest");
		else
			rc = fetch(g, 0, count_sources(g), e);
	}
	if (rc < 0 && e->code == ERR_CORRUPT && !g->broken)
		rc = get_alone(g, e);
	if (rc == 0 && fsync(g->fd) < 0)
		rc = err_sys(e, "cannot write '%.180s'", g->get->path);
	if (rc == 0 || e->code == ERR_CORRUPT)
		drop_files(g->get, rc < 0);
	return rc;
}

int hub_client_get(const struct hub_get *get, const struct hub_self *self, uint64_t *out_moved,
        uint64_t *out_near, struct err *e)
{
	struct getting *g = calloc(1, sizeof(*g));
	int rc = -1;

	CHECK(g && pthread_mutex_init(&g->lock, NULL) == 0);
	g->get = get;
	g->self = self;
	g->fd = g->map_fd = -1;
	g->hash = sha256_new();
	(void)err_set(e, ERR_NOTFOUND, "there is no source to ask for the blob");
	if (strlen(get->path) > 4000)
		(void)err_set(e, ERR_INVALID, "the name of the file is too long");
	else
		rc = get_all(g, e);
	*out_moved = g->moved;
	if (out_near)
		*out_near = g->moved_near;
	for (unsigned i = 0; i < g->n_sources; i++)
		http_free(g->source[i].http);
	if (g->fd >= 0)
		(void)close(g->fd);
	if (g->map_fd >= 0)
		(void)close(g->map_fd);
	sha256_free(g->hash);
	free(g->have);
	free(g->taken);
	(void)pthread_mutex_destroy(&g->lock);
	free(g);
	return rc;
}
