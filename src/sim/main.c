/* SPDX-License-Identifier: Apache-2.0 */
/* main - osier-sim: `osier-sim --seeds N --seed S`, `--story NAME`, `--stories`; --tap for the test suite, --trace to be told. */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "sim/fleet.h"
#include "sim/sim.h"

static const char *self;

/* Any text is a seed: a number, or a commit's hash. */
static uint64_t seed_of(const char *text)
{
	uint64_t h = 1469598103934665603u;
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	if (*text && !*end)
		return v;
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 1099511628211u;
	return h;
}

/* The same of a fleet. */
static bool fleet_day(uint64_t seed, bool trace, struct fleet_counts *sum)
{
	int pipefd[2], status;
	struct fleet_counts c = {0};
	pid_t pid;

	CHECK(pipe(pipefd) == 0);
	(void)fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		fleet_chaos(seed, trace ? stdout : NULL, &c);
		(void)fflush(stdout);
		_exit(write(pipefd[1], &c, sizeof(c)) == sizeof(c) ? 0 : 1);
	}
	(void)close(pipefd[1]);
	if (read(pipefd[0], &c, sizeof(c)) != sizeof(c))
		memset(&c, 0, sizeof(c));
	(void)close(pipefd[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	for (size_t i = 0; i < sizeof(c) / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)&c)[i];
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int fleet_days(uint64_t seed, uint64_t n, bool trace, bool tap)
{
	struct fleet_counts sum = {0};
	uint64_t bad = 0;

	for (uint64_t i = 0; i < n && bad < 10; i++) {
		if (fleet_day(seed + i, trace, &sum))
			continue;
		bad++;
		(void)printf("%s%s --fleet --seed %" PRIu64 " --trace\n",
		        tap ? "not ok - again: " : "again: ", self, seed + i);
	}
	(void)printf("%s%" PRIu64 " days of fleets: %" PRIu64 " steps, %" PRIu64 " frames (%" PRIu64
	             " lost), %" PRIu64 " sessions, %" PRIu64 " results over links, %" PRIu64
	             " cuts, %" PRIu64 " kills, %" PRIu64 " disks rolled back, %" PRIu64
	             " take-overs, %" PRIu64 " links refused, %" PRIu64 " files ahead of leases, %" PRIu64
	             " heads cosigned, %" PRIu64 " alarms, %" PRIu64 " results compared, %" PRIu64
	             " leases for a class below a node\n",
	        tap ? (bad ? "# " : "ok - ") : "", n, sum.steps, sum.frames, sum.lost, sum.sessions,
	        sum.tasks, sum.cuts, sum.kills, sum.rollbacks, sum.take_overs, sum.refused, sum.ahead,
	        sum.heads, sum.alarms, sum.compared, sum.below);
	return bad != 0;
}

static int usage(FILE *to)
{
	(void)fprintf(to,
	        "usage: %s [--fleet] [--seeds N] [--seed S] [--trace]   N random days, from seed S on\n"
	        "       %s --story NAME [--trace] | --stories [--tap]\n",
	        self, self);
	return to == stderr ? 2 : 0;
}

static bool tell(const struct story *s, bool trace)
{
	char *said = NULL;
	size_t n;
	FILE *f = open_memstream(&said, &n);
	bool same;

	CHECK(f);
	s->tell(f);
	(void)fclose(f);
	same = !strcmp(said, s->expect);
	if (trace || !same)
		(void)fputs(said, stdout);
	if (!same)
		(void)printf("# but expected:\n%s# again: %s --story %s\n", s->expect, self, s->name);
	free(said);
	return same;
}

/* A seed runs in a child, so that a broken invariant is told with its seed and the others go on. */
static bool day(uint64_t seed, bool trace, struct world_counts *sum)
{
	int pipefd[2], status;
	struct world_counts c = {0};
	pid_t pid;

	CHECK(pipe(pipefd) == 0);
	(void)fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		chaos(seed, trace ? stdout : NULL, &c);
		(void)fflush(stdout);
		_exit(write(pipefd[1], &c, sizeof(c)) == sizeof(c) ? 0 : 1);
	}
	(void)close(pipefd[1]);
	if (read(pipefd[0], &c, sizeof(c)) != sizeof(c))
		memset(&c, 0, sizeof(c));
	(void)close(pipefd[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	sum->steps += c.steps;
	sum->entries += c.entries;
	sum->kills += c.kills;
	sum->keeper_kills += c.keeper_kills;
	sum->acked += c.acked;
	sum->forgotten += c.forgotten;
	sum->results += c.results;
	sum->stale += c.stale;
	sum->leases += c.leases;
	sum->late += c.late;
	sum->cuts += c.cuts;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int days(uint64_t seed, uint64_t n, bool trace, bool tap)
{
	struct world_counts sum = {0};
	uint64_t bad = 0;

	for (uint64_t i = 0; i < n && bad < 10; i++) {
		if (day(seed + i, trace, &sum))
			continue;
		bad++;
		(void)printf("%s%s --seed %" PRIu64 " --trace\n", tap ? "not ok - again: " : "again: ", self,
		        seed + i);
	}
	(void)printf("%s%" PRIu64 " days: %" PRIu64 " steps, %" PRIu64 " entries, %" PRIu64 " jobs (%" PRIu64
	             " forgotten), %" PRIu64 " results, %" PRIu64 " leases, %" PRIu64
	             " kills of the engine, %" PRIu64 " of the keeper, %" PRIu64 " cuts, %" PRIu64
	             " results too late, %" PRIu64 " refusals\n",
	        tap ? (bad ? "# " : "ok - ") : "", n, sum.steps, sum.entries, sum.acked, sum.forgotten,
	        sum.results, sum.leases, sum.kills, sum.keeper_kills, sum.cuts, sum.late, sum.stale);
	return bad != 0;
}

static int all_stories(const char *one, bool trace, bool tap)
{
	static const struct story_book *const books[] = {&stories_engine, &stories_verify,
	        &stories_disconnect, &stories_alone, &stories_place, &stories_fleet, &stories_quota,
	        &stories_commit, &stories_gang, &stories_ledger};
	int bad = 0, found = 0;

	for (size_t i = 0; i < ARRAY_LEN(books); i++)
		for (size_t k = 0; k < books[i]->n; k++) {
			const struct story *s = &books[i]->v[k];
			bool good;

			if (one && strcmp(one, s->name))
				continue;
			found = 1;
			good = tell(s, trace);
			bad |= !good;
			if (tap || !good)
				(void)printf("%s - %s\n", good ? "ok" : "not ok", s->name);
		}
	if (!found)
		(void)fprintf(stderr, "osier-sim: there is no story '%s'\n", one ? one : "");
	return bad || !found;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
	        {"seeds", required_argument, NULL, 'n'}, {"story", required_argument, NULL, 'y'},
	        {"stories", no_argument, NULL, 'a'}, {"trace", no_argument, NULL, 't'},
	        {"tap", no_argument, NULL, 'p'}, {"fleet", no_argument, NULL, 'f'},
	        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	uint64_t seed = 1, n = 1;
	bool trace = false, tap = false, every = false, fleet = false;
	const char *story = NULL;
	int c;

	self = argv[0];
	(void)setvbuf(
	        stdout, NULL, _IOLBF, 0); /* a broken invariant aborts: what was told until then counts */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seed = seed_of(optarg);
			break;
		case 'n':
			n = strtoull(optarg, NULL, 10);
			break;
		case 'y':
			story = optarg;
			break;
		case 'a':
			every = true;
			break;
		case 't':
			trace = true;
			break;
		case 'p':
			tap = true;
			break;
		case 'f':
			fleet = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (story || every)
		return all_stories(story, trace, tap);
	return fleet ? fleet_days(seed, n, trace, tap) : days(seed, n, trace, tap);
}
