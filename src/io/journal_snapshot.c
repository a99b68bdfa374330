/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_snapshot - a state of the engine in a file, and the tree at that entry. See journal_int.h.
 *
 *   "osiersnp"                 8 bytes
 *   u32 version = 1, u32 count of hashes
 *   u64 seq                    entries that the state has seen
 *   leaf hash of entry seq - 1 32 bytes (zeros when seq is 0), so that a snapshot of another journal is noticed
 *   count * 32 bytes           the frontier: count = popcount(seq)
 *   SHA-256 of the above       32 bytes
 *   the state                  n bytes
 *   u64 n, SHA-256 of the state
 *
 * Numbers are little-endian. Written as snapshot-<seq>.tmp and renamed when whole and when its entries are durable.
 */
#include "io/journal_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/fault.h"

#define MAGIC         "osiersnp"
#define VERSION       1u
#define FIXED_BYTES   (8 + 4 + 4 + 8 + 32)
#define TRAILER_BYTES (8u + 32u)
#define BUFFER_BYTES  (64u << 10)
#define KEPT          2

struct journal_snapshot {
	struct journal *j;
	uint64_t seq, state_bytes;
	uint64_t written; /* to the file, by this process */
	char *tmp, *path;
	int fd;
	struct sha256 *sha;
	uint8_t *buffer;
	size_t used;
	bool begun, sealed;
	struct err failure; /* the first */
};

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

int snapshot_header_parse(const uint8_t *bytes, size_t n, struct snapshot_header *out, struct err *e)
{
	struct snapshot_header h = {0};
	uint8_t digest[SHA256_BYTES];
	uint32_t count;
	size_t body;

	if (n < FIXED_BYTES || memcmp(bytes, MAGIC, 8) != 0)
		return err_set(e, ERR_CORRUPT, "it is not a snapshot");
	if (get_u32(bytes + 8) > VERSION)
		return err_set(e, ERR_VERSION, "it has format %u, and this osier (%s) knows up to %u",
		        get_u32(bytes + 8), OSIER_VERSION, VERSION);
	count = get_u32(bytes + 12);
	h.seq = get_u64(bytes + 16);
	memcpy(h.last_leaf, bytes + 24, sizeof(h.last_leaf));
	if (count > 64 || count != (uint32_t)__builtin_popcountll(h.seq))
		return err_set(e, ERR_CORRUPT, "its tree does not fit its number of entries");
	body = FIXED_BYTES + (size_t)count * MERKLE_HASH_BYTES;
	if (n < body + SHA256_BYTES)
		return err_set(e, ERR_CORRUPT, "it is cut short");
	sha256_of(bytes, body, digest);
	if (memcmp(digest, bytes + body, sizeof(digest)) != 0)
		return err_set(e, ERR_CORRUPT, "its header is damaged");
	h.frontier.size = h.seq;
	memcpy(h.frontier.hash, bytes + FIXED_BYTES, (size_t)count * MERKLE_HASH_BYTES);
	h.bytes = body + SHA256_BYTES;
	*out = h;
	return 0;
}

static size_t header_write(const struct snapshot_header *h, uint8_t out[SNAPSHOT_HEADER_MAX])
{
	uint32_t count = merkle_count(&h->frontier);
	size_t n = FIXED_BYTES + (size_t)count * MERKLE_HASH_BYTES;

	memcpy(out, MAGIC, 8);
	put_u32(out + 8, VERSION);
	put_u32(out + 12, count);
	put_u64(out + 16, h->seq);
	memcpy(out + 24, h->last_leaf, sizeof(h->last_leaf));
	memcpy(out + FIXED_BYTES, h->frontier.hash, (size_t)count * MERKLE_HASH_BYTES);
	sha256_of(out, n, out + n);
	return n + SHA256_BYTES;
}

/* ---- the folder ---- */

static char *snapshot_path(const char *dir, uint64_t seq, const char *suffix)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "snapshot-%llu%s", (unsigned long long)seq, suffix);
	return path_in(dir, name);
}

/* "snapshot-<digits>" as we write it, and nothing else. */
static bool parse_name(const char *name, uint64_t *out)
{
	char again[64];
	unsigned long long n;

	if (sscanf(name, "snapshot-%llu", &n) != 1)
		return false;
	(void)snprintf(again, sizeof(again), "snapshot-%llu", n);
	*out = n;
	return strcmp(again, name) == 0;
}

static int newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? -1 : x < y;
}

int snapshot_list(const char *dir, uint64_t **out, size_t *out_n, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	uint64_t *list = NULL, seq;
	size_t n = 0, cap = 0;

	if (!d)
		return err_sys(e, "cannot open the folder '%s'", dir);
	while ((entry = readdir(d))) {
		if (!parse_name(entry->d_name, &seq))
			continue;
		if (n == cap) {
			cap = cap ? 2 * cap : 8;
			list = must_grow(list, cap * sizeof(*list));
		}
		list[n++] = seq;
	}
	(void)closedir(d);
	if (n > 0)
		qsort(list, n, sizeof(*list), newest_first);
	*out = list;
	*out_n = n;
	return 0;
}

void snapshot_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		size_t n = strlen(entry->d_name);

		if (strncmp(entry->d_name, "snapshot-", 9) == 0 && n > 4 &&
		        strcmp(entry->d_name + n - 4, ".tmp") == 0)
			(void)unlinkat(dirfd(d), entry->d_name, 0);
	}
	if (d)
		(void)closedir(d);
}

static int read_all(int fd, uint8_t *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t got = pread(fd, p, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		p += got;
		n -= (size_t)got;
		at += got;
	}
	return 0;
}

/* Open and check the header. < 0: not usable. */
static int open_checked(const char *dir, uint64_t seq, struct snapshot_header *out, int *out_fd,
        off_t *out_size, struct err *e)
{
	uint8_t head[SNAPSHOT_HEADER_MAX];
	char *path = snapshot_path(dir, seq, "");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc = -1;
	struct stat st;
	size_t n;

	free(path);
	if (fd < 0)
		return err_sys(e, "cannot open it");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		rc = err_set(e, ERR_CORRUPT, "it is not a file");
		goto out;
	}
	n = st.st_size < (off_t)sizeof(head) ? (size_t)st.st_size : sizeof(head);
	if (read_all(fd, head, n, 0) < 0) {
		rc = err_sys(e, "cannot read it");
		goto out;
	}
	rc = snapshot_header_parse(head, n, out, e);
	if (rc == 0 && (out->seq != seq || (size_t)st.st_size < out->bytes + TRAILER_BYTES))
		rc = err_set(e, ERR_CORRUPT, "it is cut short");
out:
	if (rc < 0) {
		(void)close(fd);
		return -1;
	}
	*out_fd = fd;
	*out_size = st.st_size;
	return 0;
}

int snapshot_find(const char *dir, uint64_t at, struct snapshot_header *out, bool *out_found, struct err *e)
{
	uint64_t *list;
	size_t n;

	*out_found = false;
	if (snapshot_list(dir, &list, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n && !*out_found; i++) {
		int fd;
		off_t size;

		if (list[i] > at || open_checked(dir, list[i], out, &fd, &size, NULL) < 0)
			continue;
		(void)close(fd);
		*out_found = true;
	}
	free(list);
	return 0;
}

/* NULL: damaged. */
static uint8_t *load_state(int fd, const struct snapshot_header *h, off_t size, size_t *out_n)
{
	size_t n = (size_t)size - h->bytes - TRAILER_BYTES;
	uint8_t trailer[TRAILER_BYTES], digest[SHA256_BYTES];
	uint8_t *state;

	if (read_all(fd, trailer, sizeof(trailer), size - (off_t)sizeof(trailer)) < 0 ||
	        get_u64(trailer) != n)
		return NULL;
	state = must_grow(NULL, n + 1);
	if (read_all(fd, state, n, (off_t)h->bytes) == 0) {
		sha256_of(state, n, digest);
		if (memcmp(digest, trailer + 8, sizeof(digest)) == 0) {
			*out_n = n;
			return state;
		}
	}
	free(state);
	return NULL;
}

int journal_snapshot_load(
        struct journal *j, uint64_t at, uint8_t **out, size_t *out_n, uint64_t *out_seq, struct err *e)
{
	struct snapshot_header *h = must_grow(NULL, sizeof(*h));
	uint64_t *list = NULL;
	size_t n = 0;
	uint8_t *state = NULL;
	int rc = snapshot_list(j->dir, &list, &n, e);

	*out = NULL;
	*out_n = 0;
	*out_seq = 0;
	for (size_t i = 0; rc == 0 && i < n && !state; i++) {
		off_t size;
		int fd;

		if (list[i] > at || list[i] > journal_durable(j) ||
		        open_checked(j->dir, list[i], h, &fd, &size, NULL) < 0)
			continue;
		state = load_state(fd, h, size, out_n);
		(void)close(fd);
		if (!state)
			continue;
		*out = state;
		*out_seq = h->seq;
	}
	free(list);
	free(h);
	return rc;
}

/* ---- writing ---- */

static int write_fd(struct journal_snapshot *s, const uint8_t *p, size_t n)
{
	while (n > 0) {
		int sys = fault_hit(FAULT_SNAPSHOT_WRITE);
		ssize_t put = sys ? -1 : write(s->fd, p, n);

		if (sys)
			errno = sys;
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_sys(&s->failure, "cannot write '%s'", s->tmp);
		p += put;
		n -= (size_t)put;
		s->written += (uint64_t)put;
	}
	return 0;
}

static int flush_buffer(struct journal_snapshot *s)
{
	size_t n = s->used;

	s->used = 0;
	return write_fd(s, s->buffer, n);
}

static void drop(struct journal_snapshot *s)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	sha256_free(s->sha);
	free(s->buffer);
	free(s->tmp);
	free(s->path);
	free(s);
}

int journal_snapshot_begin(struct journal *j, uint64_t seq, struct journal_snapshot **out, struct err *e)
{
	struct journal_snapshot *s;
	struct snapshot_header h = {.seq = seq, .frontier = j->tree};

	CHECK(!j->read_only);
	if (seq != j->tree.size)
		return err_set(e, ERR_INVALID, "a snapshot of entry %llu was asked for, but there are %llu",
		        (unsigned long long)seq, (unsigned long long)j->tree.size);
	memcpy(h.last_leaf, j->last_leaf, sizeof(h.last_leaf));
	s = must_grow(NULL, sizeof(*s));
	memset(s, 0, sizeof(*s));
	s->j = j;
	s->seq = seq;
	s->tmp = snapshot_path(j->dir, seq, ".tmp");
	s->path = snapshot_path(j->dir, seq, "");
	s->sha = sha256_new();
	s->buffer = must_grow(NULL, BUFFER_BYTES);
	s->fd = open(s->tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s->fd < 0) {
		(void)err_sys(e, "cannot create '%s'", s->tmp);
		drop(s);
		return -1;
	}
	s->used = header_write(&h, s->buffer);
	*out = s;
	return 0;
}

/* A forked child must not keep the lock when its parent is killed: the next engine comes at once. */
static void leave_lock(struct journal_snapshot *s)
{
	struct journal *j = s->j;

	s->begun = true;
	if (getpid() == j->pid || j->lock_fd < 0)
		return;
	(void)close(j->lock_fd); /* the parent's own descriptor goes on holding it */
	j->lock_fd = -1;
}

int journal_snapshot_fd(const struct journal_snapshot *s)
{
	return s->fd;
}

int journal_snapshot_put(void *snapshot, const void *p, size_t n)
{
	struct journal_snapshot *s = snapshot;

	CHECK(!s->sealed);
	if (!s->begun)
		leave_lock(s);
	if (s->failure.code != ERR_NONE)
		return -1;
	sha256_update(s->sha, p, n);
	s->state_bytes += n;
	if (s->used + n > BUFFER_BYTES && flush_buffer(s) < 0)
		return -1;
	if (n > BUFFER_BYTES)
		return write_fd(s, p, n);
	if (n > 0)
		memcpy(s->buffer + s->used, p, n);
	s->used += n;
	return 0;
}

int journal_snapshot_seal(struct journal_snapshot *s, struct err *e)
{
	uint8_t trailer[TRAILER_BYTES];
	int sys;

	put_u64(trailer, s->state_bytes);
	sha256_end(s->sha, trailer + 8);
	if (s->failure.code == ERR_NONE && flush_buffer(s) == 0 &&
	        write_fd(s, trailer, sizeof(trailer)) == 0) {
		sys = fault_hit(FAULT_SNAPSHOT_SYNC);
		errno = sys;
		if (sys || fsync(s->fd) < 0)
			(void)err_sys(&s->failure, "cannot sync '%s'", s->tmp);
	}
	s->sealed = true;
	if (s->failure.code == ERR_NONE)
		return 0;
	if (e)
		*e = s->failure;
	return -1;
}

/* Whether a forked child has put and sealed: its buffers are not ours, but the file is. A child that died half-way leaves a
 * failure. */
static bool sealed_by_child(struct journal_snapshot *s)
{
	struct snapshot_header h;
	uint8_t head[SNAPSHOT_HEADER_MAX], trailer[TRAILER_BYTES];
	struct stat st;
	size_t n;

	if (s->failure.code != ERR_NONE)
		return false;
	if (fstat(s->fd, &st) < 0) {
		(void)err_sys(&s->failure, "cannot look at '%s'", s->tmp);
		return false;
	}
	if ((uint64_t)st.st_size == s->written)
		return false; /* nobody but us */
	n = st.st_size < (off_t)sizeof(head) ? (size_t)st.st_size : sizeof(head);
	if (read_all(s->fd, head, n, 0) == 0 && snapshot_header_parse(head, n, &h, NULL) == 0 &&
	        (size_t)st.st_size >= h.bytes + TRAILER_BYTES &&
	        read_all(s->fd, trailer, sizeof(trailer), st.st_size - (off_t)sizeof(trailer)) == 0 &&
	        get_u64(trailer) == (uint64_t)st.st_size - h.bytes - TRAILER_BYTES)
		return true;
	(void)err_set(&s->failure, ERR_CLOSED, "whoever wrote '%s' left before it was whole", s->tmp);
	return false;
}

int snapshot_publish(struct journal_snapshot *s, struct err *e)
{
	struct journal *j = s->j;
	uint64_t *list = NULL;
	size_t n = 0;
	int rc = 0, fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || rename(s->tmp, s->path) < 0 || fsync(fd) < 0)
		rc = err_sys(e, "cannot put '%s' in its place", s->path);
	/* The others go only after this one is sure to stay. */
	if (rc == 0 && snapshot_list(j->dir, &list, &n, e) == 0) {
		for (size_t i = KEPT; i < n; i++) {
			char *old = snapshot_path(j->dir, list[i], "");

			(void)unlink(old);
			free(old);
		}
		j->oldest_snapshot = list[n < KEPT ? n - 1 : KEPT - 1];
	}
	if (fd >= 0)
		(void)close(fd);
	free(list);
	drop(s);
	return rc;
}

int journal_snapshot_end(struct journal_snapshot *s, bool commit, struct err *e)
{
	struct journal *j = s->j;

	if (commit && !s->sealed && !sealed_by_child(s))
		(void)journal_snapshot_seal(s, NULL);
	if (!commit || s->failure.code != ERR_NONE) {
		int rc = commit ? -1 : 0;

		if (rc < 0 && e)
			*e = s->failure;
		(void)unlink(s->tmp);
		drop(s);
		return rc;
	}
	if (journal_durable(j) >= s->seq)
		return snapshot_publish(s, e);
	if (j->pending) /* a newer one makes it needless */
		(void)journal_snapshot_end(j->pending, false, NULL);
	j->pending = s;
	j->pending_seq = s->seq;
	return 0;
}
