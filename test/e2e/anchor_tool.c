/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor_tool - io/anchor and io/anchor_verify as a program, for anchor_chain.py. Prints a line of JSON for each look.
 *
 *	anchor-tool run|verify NAME=VALUE...
 *	url (repeat)  chain  contract  secret  state (file)  origin  size  root  deploy=1  confirmations  poll_ms  replace_ms
 *	timeout_ms  fee_max  tip_least  account  hash  ca  die (2n-1: killed before the n-th keeping is done, 2n: after it)
 *
 * SIGTERM stops it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "io/anchor.h"
#include "io/anchor_verify.h"
#include "io/sha256.h"

static const char *urls[8];
static struct anchor_options o = {.urls = urls, .stop_fd = -1, .timeout_ns = 5000000000};
static struct anchor_target target = {.what = ANCHOR_HEAD};
static struct anchor_claim claim;
static const char *state;
static uint8_t secret[32];
static uint64_t die_at, points;

static void die(const char *what)
{
	(void)fprintf(stderr, "anchor-tool: %s\n", what);
	exit(2);
}

static void hex(const char *v, uint8_t *out, size_t n)
{
	if (!evm_data_exact(v, strlen(v), out, n))
		die(v);
}

static void keys(const char *k, const char *v)
{
	if (strcmp(k, "contract") == 0)
		hex(v, o.chain.contract, 20);
	else if (strcmp(k, "secret") == 0)
		hex(v, secret, 32);
	else if (strcmp(k, "root") == 0)
		hex(v, target.root, 32);
	else if (strcmp(k, "account") == 0)
		hex(v, claim.account, 20);
	else if (strcmp(k, "hash") == 0) {
		hex(v, claim.hash, 32);
		claim.has_hash = true;
	} else if (strcmp(k, "origin") == 0)
		sha256_of(v, strlen(v), target.origin);
	else if (strcmp(k, "state") == 0)
		state = v;
	else if (strcmp(k, "ca") == 0)
		o.ca_file = v;
	else
		die(k);
}

static void option(char *arg)
{
	char *v = strchr(arg, '=');
	uint64_t n;

	if (!v)
		die(arg);
	*v++ = '\0';
	n = strtoull(v, NULL, 10);
	if (strcmp(arg, "url") == 0)
		urls[o.n_urls++] = v;
	else if (strcmp(arg, "chain") == 0)
		o.chain.chain_id = n;
	else if (strcmp(arg, "size") == 0)
		target.size = n;
	else if (strcmp(arg, "deploy") == 0)
		target.what = ANCHOR_DEPLOY;
	else if (strcmp(arg, "confirmations") == 0)
		o.chain.confirmations = n;
	else if (strcmp(arg, "poll_ms") == 0)
		o.chain.poll_ns = n * 1000000;
	else if (strcmp(arg, "replace_ms") == 0)
		o.chain.replace_ns = n * 1000000;
	else if (strcmp(arg, "timeout_ms") == 0)
		o.timeout_ns = n * 1000000;
	else if (strcmp(arg, "die") == 0)
		die_at = n;
	else if (strcmp(arg, "fee_max") == 0)
		o.chain.fee_max = n;
	else if (strcmp(arg, "tip_least") == 0)
		o.chain.tip_least = n;
	else
		keys(arg, v);
}

/* kill -9, at one of the points that a kill from outside hardly hits. */
static void point(void)
{
	if (++points == die_at)
		(void)kill(getpid(), SIGKILL);
}

/* As a caller should: a new file, synced, in place of the old one. */
static int save(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
	char path[512];
	int fd;

	(void)ctx;
	(void)snprintf(path, sizeof(path), "%s.new", state);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || fsync(fd) < 0 || close(fd) < 0)
		return err_sys(e, "cannot write '%s'", path);
	point();
	if (rename(path, state) < 0)
		return err_sys(e, "cannot rename '%s'", path);
	point();
	return 0;
}

static void tell(void *ctx, const struct anchor_view *v)
{
	static const char *const outcomes[] = {"open", "done", "already", "failed"};
	char hash[2 + 64 + 1], contract[EVM_ADDRESS_TEXT], block_hash[2 + 64 + 1];

	(void)ctx;
	(void)evm_data_print(v->hash, 32, hash);
	(void)evm_data_print(v->mined.block_hash, 32, block_hash);
	evm_address_print(v->contract, contract);
	(void)printf("{\"outcome\": \"%s\", \"tries\": %u, \"reorganised\": %u, \"nonce\": %" PRIu64
	             ", \"hash\": \"%s\", "
	             "\"mined\": %d, \"ok\": %d, \"block\": %" PRIu64
	             ", \"block_hash\": \"%s\", \"gas\": %" PRIu64 ", \"final\": %" PRIu64
	             ", \"contract\": \"%s\", \"there\": %" PRIu64 ", \"why\": \"%s\"}\n",
	        outcomes[v->outcome], v->tries, v->reorganised, v->nonce, hash, v->mined.is, v->mined.ok,
	        v->mined.block, block_hash, v->mined.gas_used, v->final, contract, v->there.size,
	        v->troubled ? v->why.msg : "");
	(void)fflush(stdout);
}

static int run(void)
{
	uint8_t saved[ANCHOR_SAVE_MAX];
	struct anchor_view v;
	struct err e = {0};
	ssize_t n = 0;
	sigset_t term;
	int fd = open(state, O_RDONLY | O_CLOEXEC);

	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &term, NULL);
	o.stop_fd = signalfd(-1, &term, SFD_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, saved, sizeof(saved));
		(void)close(fd);
	}
	o.save = save;
	o.tell = tell;
	o.secret = secret;
	if (anchor_run(&o, &target, saved, n > 0 ? (size_t)n : 0, &v, &e) < 0) {
		(void)fprintf(stderr, "anchor-tool: %s%s%s\n", e.msg, e.hint[0] ? "; " : "", e.hint);
		return 1;
	}
	return 0;
}

static int verify(void)
{
	static const char *const standing[] = {"absent", "recent", "final"};
	struct http_options ho = {
	        .timeout_ns = o.timeout_ns, .answer_max = 1 << 20, .ca_file = o.ca_file, .stop_fd = -1};
	struct anchor_proof p;
	struct err e = {0};
	char hash[2 + 64 + 1];
	struct http *h;

	claim.chain_id = o.chain.chain_id;
	memcpy(claim.contract, o.chain.contract, 20);
	memcpy(claim.origin, target.origin, 32);
	memcpy(claim.root, target.root, 32);
	claim.size = target.size;
	if (http_new(&ho, &h, &e) < 0 ||
	        anchor_verify(h, urls[0], &claim, o.chain.confirmations, &p, &e) < 0) {
		(void)fprintf(stderr, "anchor-tool: %s\n", e.msg);
		return 1;
	}
	(void)evm_data_print(p.hash, 32, hash);
	(void)printf("{\"standing\": \"%s\", \"block\": %" PRIu64 ", \"confirmations\": %" PRIu64
	             ", \"hash\": \"%s\", "
	             "\"time\": %" PRIu64 "}\n",
	        standing[p.standing], p.block, p.confirmations, hash, p.time_s);
	http_free(h);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("what?");
	anchor_config_usual(&o.chain);
	for (int i = 2; i < argc; i++)
		option(argv[i]);
	return strcmp(argv[1], "run") == 0 ? run() : verify();
}
