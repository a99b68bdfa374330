/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_blobs - blobs that nodes get from the hub, and put there; see hub_listener.h.
 *
 * What comes in part is a file INCOMING/SHA256, as long as what has come, so a broken connection or a killed engine costs nothing that
 * came before. It is hashed on its way; when all is there and right, a thread hands it to the store, which reads it once more before
 * anybody can see it. What was not gone on with for HUB_UPLOAD_AGE goes.
 *
 * Room is looked for with all that comes at the time, so that many together cannot fill the disk. A node has at most HUB_UPLOADS_NODE of them: when it
 * begins more, or needs their room, its own that rest go, the oldest first, never those of others that rested less than HUB_UPLOAD_REST. Only
 * when there are HUB_UPLOADS_MAX of them, one goes of the node that has most. Whose they were is not known any more after a restart.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/hub_int.h"
#include "engine/hub_parse.h"
#include "io/blobs.h"
#include "io/sha256.h"

struct hub_upload {
	struct hub_upload *next;
	char name[SHA256_HEX + 1];
	char node[CERT_NAME_MAX + 1]; /* that sends it, or sent it last; "": an earlier engine knew */
	uint8_t digest[SHA256_BYTES];
	uint64_t at, end, total; /* what has come; where the request ends; the blob's size */
	struct sha256 *hash;     /* of [0, at); NULL: not hashed from the beginning, the store will tell */
	int fd;                  /* while it is being sent, else -1 */
	struct hub_request *owner;
	bool ending; /* with the thread */
	time_t used;
};

struct hub_uploads {
	char *dir;
	struct blobs *blobs;
	struct hub_upload *list;
	unsigned n, ending;
	pthread_cond_t idle;
};

static void path_of(const struct hub_uploads *u, const char *name, char out[4096])
{
	CHECK(snprintf(out, 4096, "%s/%s", u->dir, name) < 4096);
}

/* ---- what there is ---- */

static struct hub_upload *find(const struct hub_uploads *u, const char *name)
{
	for (struct hub_upload *p = u->list; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static void forget(struct hub_uploads *u, struct hub_upload *p, bool drop)
{
	struct hub_upload **at = &u->list;
	char path[4096];

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	u->n--;
	path_of(u, p->name, path);
	if (drop)
		(void)unlink(path);
	if (p->fd >= 0)
		(void)close(p->fd);
	sha256_free(p->hash);
	free(p);
}

static bool rests(const struct hub_upload *p)
{
	return !p->owner && !p->ending;
}

static unsigned count_of(const struct hub_uploads *u, const char *node)
{
	unsigned n = 0;

	for (const struct hub_upload *p = u->list; p; p = p->next)
		n += strcmp(p->node, node) == 0;
	return n;
}

/* The oldest of this node's that rest; node NULL: of anybody's, unused since `before`. */
static struct hub_upload *oldest(
        const struct hub_uploads *u, const struct hub_upload *but, const char *node, time_t before)
{
	struct hub_upload *best = NULL;

	for (struct hub_upload *p = u->list; p; p = p->next)
		if (p != but && rests(p) && (node ? strcmp(p->node, node) == 0 : p->used < before) &&
		        (!best || p->used <= best->used)) /* of one second: who came first is last */
			best = p;
	return best;
}

/* The oldest that rests of the node that has most. */
static struct hub_upload *of_most(const struct hub_uploads *u)
{
	struct hub_upload *best = NULL;
	unsigned most = 0;

	for (struct hub_upload *p = u->list; p; p = p->next) {
		unsigned n = rests(p) ? count_of(u, p->node) : 0;

		if (n > most || (best && n == most && p->used <= best->used)) {
			best = p;
			most = n;
		}
	}
	return best;
}

/* For one more of this node ("": of nobody's). */
static bool make_place(struct hub_uploads *u, const struct hub_upload *but, const char *node)
{
	struct hub_upload *p = NULL;

	if (*node && count_of(u, node) >= HUB_UPLOADS_NODE)
		p = oldest(u, but, node, 0);
	else if (but || u->n < HUB_UPLOADS_MAX)
		return true;
	else
		p = of_most(u);
	if (p)
		forget(u, p, true);
	return p != NULL;
}

static struct hub_upload *add(
        struct hub_uploads *u, const char *name, const char *node, uint64_t at, time_t used)
{
	struct hub_upload *p;

	if (!make_place(u, NULL, node))
		return NULL;
	p = calloc(1, sizeof(*p));
	CHECK(p && sha256_unhex(name, p->digest) == 0);
	memcpy(p->name, name, SHA256_HEX + 1);
	(void)snprintf(p->node, sizeof(p->node), "%s", node);
	p->at = at;
	p->used = used;
	p->fd = -1;
	p->next = u->list;
	u->list = p;
	u->n++;
	return p;
}

/* What an earlier engine left. */
static void look(struct hub_uploads *u)
{
	DIR *d = opendir(u->dir);
	struct dirent *f;
	uint8_t digest[32];
	char path[4096];
	struct stat st;

	while (d && (f = readdir(d))) {
		if (f->d_name[0] == '.')
			continue;
		path_of(u, f->d_name, path);
		if (sha256_unhex(f->d_name, digest) < 0 || lstat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
		        st.st_size == 0 || time(NULL) - st.st_mtime > (time_t)HUB_UPLOAD_AGE)
			(void)unlink(path);
		else
			(void)add(u, f->d_name, "", (uint64_t)st.st_size, st.st_mtime);
	}
	if (d)
		(void)closedir(d);
}

int hub_uploads_new(const char *dir, struct blobs *b, struct hub_uploads **out, struct err *e)
{
	struct hub_uploads *u;

	if (strlen(dir) > 4000)
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make the folder '%.180s'", dir);
	u = calloc(1, sizeof(*u));
	CHECK(u && pthread_cond_init(&u->idle, NULL) == 0);
	u->dir = strdup(dir);
	CHECK(u->dir);
	u->blobs = b;
	look(u);
	*out = u;
	return 0;
}

void hub_uploads_wait(struct hub_uploads *u, pthread_mutex_t *lock)
{
	CHECK(pthread_mutex_lock(lock) == 0);
	while (u && u->ending)
		(void)pthread_cond_wait(&u->idle, lock);
	CHECK(pthread_mutex_unlock(lock) == 0);
}

void hub_uploads_free(struct hub_uploads *u)
{
	if (!u)
		return;
	while (u->list)
		forget(u, u->list, false);
	(void)pthread_cond_destroy(&u->idle);
	free(u->dir);
	free(u);
}

/* ---- getting ---- */

static enum MHD_Result missing(struct hub_request *q, const char *name, const struct err *e)
{
	const struct hub_upload *p = find(hub_uploads_of(q), name);
	char *json = hub_error_text(err_code_name(e->code), e->msg, e->hint), offset[24];
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(json), json, MHD_RESPMEM_MUST_FREE);

	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "application/json");
	if (p) {
		(void)snprintf(offset, sizeof(offset), "%llu", (unsigned long long)p->at);
		MHD_add_response_header(r, "Upload-Offset", offset);
	}
	return hub_reply(q, hub_status(e->code), r);
}

static int digest_of(struct hub_request *q, const char *name, uint8_t out[32], enum MHD_Result *done)
{
	if (sha256_unhex(name, out) == 0)
		return 0;
	*done = hub_error(q, 400, "invalid", "a blob is named by its SHA-256: 64 hexadecimal digits", NULL);
	return -1;
}

static enum MHD_Result give(struct hub_request *q, const char *name, int fd, uint64_t size, uint64_t first,
        uint64_t count, bool part)
{
	struct MHD_Response *r = count ? MHD_create_response_from_fd_at_offset64(count, fd, first)
	                               : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	char tag[SHA256_HEX + 3], range[80];

	CHECK(r);
	if (!count)
		(void)close(fd);
	(void)snprintf(tag, sizeof(tag), "\"%s\"", name);
	(void)snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)first,
	        (unsigned long long)(first + count - 1), (unsigned long long)size);
	MHD_add_response_header(r, "ETag", tag);
	MHD_add_response_header(r, "Accept-Ranges", "bytes");
	MHD_add_response_header(r, "Content-Type", "application/octet-stream");
	if (part)
		MHD_add_response_header(r, "Content-Range", range);
	return hub_reply(q, part ? 206 : 200, r);
}

enum MHD_Result hub_blob_get(struct hub_request *q, const char *name, bool head)
{
	const char *range = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Range"),
	           *only_if = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "If-Range");
	struct hub_uploads *u = hub_uploads_of(q);
	uint64_t size, first = 0, count;
	enum MHD_Result done = MHD_NO;
	uint8_t digest[32];
	enum hub_range kind;
	struct err e;
	int fd;

	if (digest_of(q, name, digest, &done) < 0)
		return done;
	if (blobs_open_read(u->blobs, digest, &fd, &size, &e) < 0)
		return missing(q, name, &e);
	blobs_touch(u->blobs, digest);
	if (head || (only_if && (strlen(only_if) != SHA256_HEX + 2 ||
	                                memcmp(only_if + 1, name, SHA256_HEX) != 0)))
		range = NULL;
	count = size;
	kind = hub_range(range, size, &first, &count);
	if (kind != RANGE_BAD)
		return give(q, name, fd, size, first, count, kind == RANGE_PART);
	(void)close(fd);
	return hub_error(q, 416, "invalid", "the blob is not that long", NULL);
}

/* ---- putting ---- */

static uint64_t sum_of(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Is there room for this one (NULL: a new one) of `total` bytes, from `first` on, with all that others have brought and are bringing? */
static int has_room(const struct hub_uploads *u, const struct hub_upload *it, uint64_t first, uint64_t total,
        struct err *e)
{
	uint64_t beside = 0, coming = total - first;

	for (const struct hub_upload *p = u->list; p; p = p->next) {
		if (p == it)
			continue;
		beside = sum_of(beside, p->owner ? p->end : p->at);
		coming = sum_of(coming, p->owner ? p->end - p->at : 0);
	}
	return blobs_room(u->blobs, total, beside, coming, e);
}

/* The same; what rests goes for it, as far as it may. */
static int room_for(struct hub_uploads *u, const char *node, const struct hub_upload *it, uint64_t first,
        uint64_t total, struct err *e)
{
	struct hub_upload *p;

	while (has_room(u, it, first, total, e) < 0) {
		p = oldest(u, it, node, 0);
		if (!p)
			p = oldest(u, it, NULL, time(NULL) - (time_t)HUB_UPLOAD_REST);
		if (!p || e->code != ERR_FULL || blobs_room(u->blobs, total, 0, 0, NULL) < 0) {
			if (e->code == ERR_FULL)
				blobs_press(u->blobs, total - first); /* and it comes again */
			return -1;                                    /* nothing else would help */
		}
		forget(u, p, true);
	}
	return 0;
}

static enum MHD_Result not_from_there(struct hub_request *q, const struct hub_upload *p)
{
	char *json = hub_error_text("exists", "this is not where the blob goes on",
	             "HEAD says in Upload-Offset how much has come"),
	     offset[24];
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(json), json, MHD_RESPMEM_MUST_FREE);

	CHECK(r);
	(void)snprintf(offset, sizeof(offset), "%llu", (unsigned long long)(p ? p->at : 0));
	MHD_add_response_header(r, "Content-Type", "application/json");
	MHD_add_response_header(r, "Upload-Offset", offset);
	return hub_reply(q, 409, r);
}

static int open_part(struct hub_uploads *u, struct hub_upload *p, uint64_t first, struct err *e)
{
	char path[4096];

	path_of(u, p->name, path);
	p->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->fd < 0)
		return err_sys(e, "cannot open '%.180s'", path);
	if (ftruncate(p->fd, (off_t)first) < 0 || lseek(p->fd, (off_t)first, SEEK_SET) < 0) {
		(void)close(p->fd);
		p->fd = -1;
		return err_sys(e, "cannot write '%.180s'", path);
	}
	if (first == 0 || first != p->at) {
		sha256_free(p->hash);
		p->hash = first == 0 ? sha256_new() : NULL;
	}
	p->at = first;
	return 0;
}

static enum MHD_Result there_already(struct hub_request *q, const char *name, uint64_t size, unsigned status)
{
	char json[160];

	(void)snprintf(
	        json, sizeof(json), "{\"sha256\":\"%s\",\"bytes\":%llu}", name, (unsigned long long)size);
	return hub_json(q, status, strdup(json));
}

static void take_over(struct hub_upload *p)
{
	struct hub_request *old = p->owner;

	old->upload = NULL;
	old->stale = true;
	p->owner = NULL;
	(void)close(p->fd);
	p->fd = -1;
}

enum MHD_Result hub_blob_put(struct hub_request *q, const char *name)
{
	struct hub_uploads *u = hub_uploads_of(q);
	enum MHD_Result done = MHD_NO;
	uint64_t first, end, total, size;
	struct hub_upload *p;
	uint8_t digest[32];
	struct err e;

	if (digest_of(q, name, digest, &done) < 0)
		return done;
	if (hub_content_range(MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Content-Range"),
	            MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Content-Length"), &first, &end,
	            &total) < 0)
		return hub_error(q, 400, "invalid", "the request does not say what comes",
		        "give Content-Length, and Content-Range 'bytes FIRST-LAST/SIZE' to go on");
	if (blobs_has(u->blobs, digest, &size))
		return there_already(q, name, size, 200);
	p = find(u, name);
	if (p && p->owner && strcmp(p->owner->peer.name, q->peer.name) == 0)
		take_over(p); /* a cable was pulled: nobody told the connection */
	if (p && (p->owner || p->ending))
		return hub_error(
		        q, 409, "exists", "another connection is sending this blob", "ask again later");
	if (first > (p ? p->at : 0))
		return not_from_there(q, p);
	if (room_for(u, q->peer.name, p, first, total, &e) < 0)
		return hub_error_err(q, &e);
	if (p && strcmp(p->node, q->peer.name) != 0 && !make_place(u, p, q->peer.name))
		p = NULL;
	else if (!p)
		p = add(u, name, q->peer.name, 0, time(NULL));
	if (!p)
		return hub_error(q, 503, "full", "too many blobs are being sent", "ask again later");
	memcpy(p->node, q->peer.name, sizeof(p->node));
	if (open_part(u, p, first, &e) < 0)
		return hub_error_err(q, &e);
	p->end = end;
	p->total = total;
	p->owner = q;
	q->upload = p;
	return MHD_YES;
}

/* It cannot go on; what has come stays. */
static enum MHD_Result let_go(struct hub_request *q, const struct err *e)
{
	hub_blob_gone(q);
	return hub_error_err(q, e);
}

enum MHD_Result hub_blob_piece(struct hub_request *q, const char *bytes, size_t n)
{
	struct hub_upload *p = q->upload;
	struct err e;

	if (n > p->end - p->at) {
		(void)err_set(&e, ERR_INVALID, "more bytes come than the request said");
		return let_go(q, &e);
	}
	p->used = time(NULL);
	while (n > 0) {
		ssize_t k = write(p->fd, bytes, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			(void)err_sys(&e, "cannot write the blob");
			if (errno == ENOSPC || errno == EDQUOT)
				e.code = ERR_FULL;
			return let_go(q, &e);
		}
		if (p->hash)
			sha256_update(p->hash, bytes, (size_t)k);
		p->at += (uint64_t)k;
		bytes += k;
		n -= (size_t)k;
	}
	return MHD_YES;
}

/* ---- the end ---- */

struct ending {
	struct hub_request *q;
	struct hub_uploads *u;
	struct hub_upload *p;
};

/* A thread of its own: reading and syncing a large file takes its time. */
static void *make_durable(void *ctx)
{
	struct ending *it = ctx;
	struct hub_request *q = it->q;
	struct hub_upload *p = it->p;
	pthread_mutex_t *lock = hub_mutex(q);
	uint8_t digest[32];
	char path[4096], json[160];
	uint64_t bytes = 0;
	struct err e = {0};
	bool right, waits;
	int rc;

	path_of(it->u, p->name, path);
	rc = blobs_take_file(it->u->blobs, path, digest, &bytes, &e);
	right = rc == 0 && memcmp(digest, p->digest, 32) == 0;
	CHECK(pthread_mutex_lock(lock) == 0);
	waits = right && hub_ask_taken(q, p->digest, bytes);
	(void)snprintf(
	        json, sizeof(json), "{\"sha256\":\"%s\",\"bytes\":%llu}", p->name, (unsigned long long)bytes);
	if (!waits)
		q->status = right ? 201 : rc == 0 ? 422 : hub_status(e.code);
	if (!waits)
		q->json = right     ? strdup(json)
		          : rc == 0 ? hub_error_text("invalid", "the bytes are not those of that digest",
		                              "send it anew")
		                    : hub_error_text(err_code_name(e.code), e.msg, e.hint);
	CHECK(waits || q->json);
	forget(it->u, p, true);
	CHECK(pthread_mutex_unlock(lock) == 0);
	if (!waits)
		MHD_resume_connection(q->conn);
	/* From here on q may be gone. */
	CHECK(pthread_mutex_lock(lock) == 0);
	if (--it->u->ending == 0)
		(void)pthread_cond_broadcast(&it->u->idle);
	CHECK(pthread_mutex_unlock(lock) == 0);
	free(it);
	return NULL;
}

static enum MHD_Result start_ending(struct hub_request *q, struct hub_upload *p)
{
	struct hub_uploads *u = hub_uploads_of(q);
	struct ending *it = malloc(sizeof(*it));
	pthread_attr_t attr;
	pthread_t t;

	CHECK(it);
	*it = (struct ending){.q = q, .u = u, .p = p};
	p->ending = true;
	u->ending++;
	MHD_suspend_connection(q->conn);
	CHECK(pthread_attr_init(&attr) == 0 &&
	        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
	        pthread_attr_setstacksize(&attr, 256u << 10) == 0 &&
	        pthread_create(&t, &attr, make_durable, it) == 0);
	(void)pthread_attr_destroy(&attr);
	return MHD_YES;
}

enum MHD_Result hub_blob_end(struct hub_request *q)
{
	struct hub_upload *p = q->upload;
	struct hub_uploads *u = hub_uploads_of(q);
	uint8_t digest[32];
	char json[80];

	(void)close(p->fd);
	p->fd = -1;
	p->owner = NULL;
	q->upload = NULL;
	if (p->at < p->total) {
		(void)snprintf(json, sizeof(json), "{\"received\":%llu}", (unsigned long long)p->at);
		return hub_json(q, 202, strdup(json));
	}
	if (p->hash) {
		sha256_end(p->hash, digest);
		if (memcmp(digest, p->digest, 32) != 0) {
			forget(u, p, true);
			return hub_error(
			        q, 422, "invalid", "the bytes are not those of that digest", "send it anew");
		}
	}
	return start_ending(q, p);
}

void hub_blob_gone(struct hub_request *q)
{
	struct hub_upload *p = q->upload;

	if (!p)
		return;
	q->upload = NULL;
	p->owner = NULL;
	(void)close(p->fd);
	p->fd = -1;
	if (p->at == 0)
		forget(hub_uploads_of(q), p, true);
}
