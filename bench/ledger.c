/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-ledger - what the log costs. Prints one line of JSON.
 *	append DIR ENTRIES BYTES    entries added, hashed, durable, read back, hashed again, under a signed head: all at once, as a node does it
 *	proof DIR COUNT             inclusion proofs of entries drawn by chance, each as a stranger's first question
 *	audit DIR                   everything again from the stored bytes
 *	verify POLICY COUNT FILE... receipts, one after another on one processor, then on all
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/proof.h"
#include "core/receipt.h"
#include "io/audit.h"
#include "io/ed25519.h"
#include "io/growing.h"
#include "io/journal.h"
#include "io/keys.h"
#include "io/logstore.h"
#include "io/sha256.h"

#define ORIGIN "bench.example/log"

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(int rc, const struct err *e)
{
	if (rc >= 0)
		return;
	(void)fprintf(stderr, "%s\n", e->msg);
	exit(1);
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- append ---- */

struct publisher {
	const char *dir;
	struct key key;
	atomic_uint_fast64_t durable, signed_to, heads;
	uint64_t all;
};

static void on_durable(void *ctx, uint64_t last)
{
	struct publisher *p = ctx;

	atomic_store(&p->durable, last + 1);
}

static void on_failed(void *ctx, const struct err *e)
{
	(void)ctx;
	must(-1, e);
}

/* As the node's: whatever is durable by now is one pass. */
static void *publish(void *ctx)
{
	struct publisher *p = ctx;
	struct logstore *l = NULL;
	struct err e;
	uint64_t at = 0;

	must(logstore_open(p->dir, ORIGIN, false, &l, &e), &e);
	while (at < p->all) {
		uint64_t to = atomic_load(&p->durable);

		if (to == at) {
			struct timespec t = {.tv_nsec = 1000000};

			(void)nanosleep(&t, NULL);
			continue;
		}
		must(logstore_publish(l, to, 1700000000, &p->key, &e), &e);
		at = to;
		atomic_store(&p->signed_to, at);
		(void)atomic_fetch_add(&p->heads, 1);
	}
	logstore_close(l);
	return NULL;
}

static void append(const char *dir, uint64_t n, size_t bytes)
{
	struct publisher p = {.dir = dir, .all = n};
	struct journal_options o = {.on_durable = on_durable, .on_failed = on_failed, .ctx = &p};
	struct journal *j;
	pthread_t thread;
	uint8_t entry[65536], pub[32];
	uint64_t begin;
	struct err e;

	CHECK(bytes >= 8 && bytes <= sizeof(entry));
	memset(entry, 7, sizeof(entry));
	for (unsigned i = 0; i < 32; i++)
		p.key.seed[i] = (uint8_t)i;
	ed25519_public(p.key.seed, pub);
	note_key_make(ORIGIN, NOTE_ED25519, pub, &p.key.pub);
	(void)mkdir(dir, 0700);
	must(journal_open(dir, &o, &j, &e), &e);
	begin = now_ns();
	CHECK(pthread_create(&thread, NULL, publish, &p) == 0);
	for (uint64_t i = 0; i < n; i++) {
		memcpy(entry, &i, 8);
		(void)journal_add(j, entry, bytes, NULL);
		if (i % 256 == 255)
			journal_flush(j);
		while (journal_backlog_bytes(j) > 8u << 20) {
			struct pollfd f = {.fd = journal_fd(j), .events = POLLIN};

			(void)poll(&f, 1, -1);
			journal_poll(j);
		}
	}
	journal_flush(j);
	while (atomic_load(&p.durable) < n) {
		struct pollfd f = {.fd = journal_fd(j), .events = POLLIN};

		(void)poll(&f, 1, 100);
		journal_poll(j);
	}
	(void)pthread_join(thread, NULL);
	(void)printf("{\"entries\": %llu, \"entries_per_s\": %.0f, \"heads\": %llu}\n", (unsigned long long)n,
	        (double)n * 1e9 / (double)(now_ns() - begin), (unsigned long long)atomic_load(&p.heads));
	journal_close(j);
}

/* ---- proof ---- */

static void proofs(const char *dir, uint64_t count)
{
	uint64_t *ns = calloc(count, sizeof(*ns)), *cpu = calloc(count, sizeof(*cpu));
	struct logstore *l;
	struct log_head head;
	struct merkle_hash h;
	struct proof_source s;
	struct prng r;
	struct err e;

	CHECK(ns && cpu);
	must(logstore_open(dir, NULL, true, &l, &e), &e);
	must(logstore_head(l, &head, &e), &e);
	h = logstore_hash(l);
	s = logstore_source(l);
	prng_init(&r, 1);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t index = prng_below(&r, head.size), begin = now_ns(), busy = cpu_ns();
		uint8_t leaf[1][32];
		struct proof p;

		must(logstore_head(l, &head, &e), &e);
		must(logstore_hashes(l, 0, index, 1, leaf, &e), &e);
		must(proof_inclusion(&h, &s, index, head.size, &p, &e), &e);
		ns[i] = now_ns() - begin;
		cpu[i] = cpu_ns() - busy;
		must(proof_inclusion_verify(
		             &h, leaf[0], index, head.size, (const uint8_t(*)[32])p.hash, p.n, head.root, &e),
		        &e);
	}
	qsort(ns, count, sizeof(*ns), by_time);
	qsort(cpu, count, sizeof(*cpu), by_time);
	(void)printf("{\"size\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu, \"cpu_p99_ns\": %llu}\n",
	        (unsigned long long)head.size, (unsigned long long)ns[count / 2],
	        (unsigned long long)ns[count * 99 / 100], (unsigned long long)cpu[count * 99 / 100]);
	logstore_close(l);
	free(ns);
	free(cpu);
}

/* ---- audit ---- */

static void audit_dir(const char *dir, struct policy *policy)
{
	struct audit_options o = {.policy = policy};
	struct audit_report r;
	uint64_t begin = now_ns();
	struct err e;

	must(audit_state(dir, &o, &r, &e), &e);
	(void)printf("{\"entries\": %llu, \"size\": %llu, \"entries_per_s\": %.0f}\n",
	        (unsigned long long)r.entries, (unsigned long long)r.size,
	        (double)r.entries * 1e9 / (double)(now_ns() - begin));
}

/* ---- verify ---- */

struct file {
	char *bytes;
	size_t n;
};

struct verifying {
	const struct policy *policy;
	const struct file *file;
	size_t files;
	uint64_t count;
	pthread_t thread;
	uint64_t *ns; /* of each; NULL: not wanted */
};

static struct file slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	struct file out = {.bytes = malloc(1 << 20)};

	CHECK(f && out.bytes);
	out.n = fread(out.bytes, 1, 1 << 20, f);
	(void)fclose(f);
	return out;
}

static void *verify(void *ctx)
{
	struct verifying *v = ctx;
	struct note_verifier nv = ed25519_verifier();
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct receipt_view *view = malloc(sizeof(*view));
	struct growing g;
	struct err e;

	CHECK(view);
	growing_init(&g, 1u << 20, 64u << 20);
	for (uint64_t i = 0; i < v->count; i++) {
		const struct file *f = &v->file[i % v->files];
		uint64_t begin = now_ns();

		growing_clear(&g);
		must(receipt_verify(&g.arena, &h, &nv, v->policy, f->bytes, f->n, view, &e), &e);
		if (v->ns)
			v->ns[i] = now_ns() - begin;
	}
	growing_release(&g);
	sha256_free(sha);
	free(view);
	return NULL;
}

static void receipts(const char *policy_path, uint64_t count, char **paths, size_t n)
{
	struct policy *policy = malloc(sizeof(*policy));
	struct file text = slurp(policy_path), *file = calloc(n, sizeof(*file));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct verifying one = {.policy = policy, .file = file, .files = n, .count = 2000}, *all;
	uint64_t begin, each = (count + (uint64_t)cpus - 1) / (uint64_t)cpus;
	struct err e;

	CHECK(policy && file && cpus > 0);
	must(policy_parse(text.bytes, text.n, policy, &e), &e);
	for (size_t i = 0; i < n; i++)
		file[i] = slurp(paths[i]);
	one.ns = calloc(one.count, sizeof(*one.ns));
	all = calloc((size_t)cpus, sizeof(*all));
	CHECK(one.ns && all);
	(void)verify(&one);
	qsort(one.ns, one.count, sizeof(*one.ns), by_time);
	begin = now_ns();
	for (long i = 0; i < cpus; i++) {
		all[i] = (struct verifying){.policy = policy, .file = file, .files = n, .count = each};
		CHECK(pthread_create(&all[i].thread, NULL, verify, &all[i]) == 0);
	}
	for (long i = 0; i < cpus; i++)
		(void)pthread_join(all[i].thread, NULL);
	(void)printf("{\"files\": %zu, \"bytes\": %zu, \"one_us\": %.1f, \"all_s\": %.3f, \"count\": %llu}\n",
	        n, file[0].n, (double)one.ns[one.count / 2] / 1e3, (double)(now_ns() - begin) / 1e9,
	        (unsigned long long)(each * (uint64_t)cpus));
}

int main(int argc, char **argv)
{
	static struct policy policy;
	uint8_t seed[32], pub[32];
	char text[NOTE_VKEY_MAX + 64], vkey[NOTE_VKEY_MAX];
	struct note_key k;
	struct err e;

	for (unsigned i = 0; i < 32; i++)
		seed[i] = (uint8_t)i;
	ed25519_public(seed, pub);
	note_key_make(ORIGIN, NOTE_ED25519, pub, &k);
	note_key_print(&k, vkey);
	must(policy_parse(
	             text, (size_t)snprintf(text, sizeof(text), "log %s\nquorum none\n", vkey), &policy, &e),
	        &e);
	if (argc == 5 && strcmp(argv[1], "append") == 0)
		append(argv[2], strtoull(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	else if (argc == 4 && strcmp(argv[1], "proof") == 0)
		proofs(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "audit") == 0)
		audit_dir(argv[2], &policy);
	else if (argc >= 5 && strcmp(argv[1], "verify") == 0)
		receipts(argv[2], strtoull(argv[3], NULL, 10), argv + 4, (size_t)argc - 4);
	else
		return 2;
	return 0;
}
