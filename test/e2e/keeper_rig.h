/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_rig - the real keeper with an engine that the test plays.
 *
 * The keeper starts this very program as its engine (`--fake-engine SOCKET`); that process hands its end of the keeper's
 * socket to the test and waits. The test talks through io/keeper_link and kills the process to play a crash. Options of the test
 * programs: `--cgroup 0|1|2`, `--as-nobody`, and names of tests to run only those.
 */
#ifndef OSIER_TEST_KEEPER_RIG_H
#define OSIER_TEST_KEEPER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "io/keeper_link.h"
#include "wire/keeper_msg.h"

struct got { /* one message that came, with its own copy of the bytes */
	struct got *next;
	struct keeper_msg m;
	int fd;
	_Alignas(8) uint8_t bytes[];
};

struct rig {
	char dir[64];
	int listen_fd, hand_fd; /* hand_fd: to the process that plays the engine */
	pid_t keeper, engine;
	struct keeper_link *link;
	struct got *first, *last;
	uint32_t enforced;
	char notice[512];
	int lost;
};

/* From the command line. */
extern const char *rig_cgroup; /* or NULL */
extern int rig_as_nobody;

/* A state folder, a keeper on it (more: further options, NULL-ended, or NULL; `--no-root` first
 * leaves --allow-root away), an engine, HELLO and READY. Fails the test otherwise. */
struct rig *rig_open(const char *const *more);
/* The same without HELLO; the keeper is started, the engine has handed its socket over. */
void rig_start_keeper(struct rig *r, const char *const *more);
void rig_meet_engine(struct rig *r); /* wait for the (next) engine */
void rig_hello(struct rig *r);       /* HELLO, then messages until READY */
void rig_kill_engine(struct rig *r);
/* SHUTDOWN, wait for its exit, check exit code 0, remove the folder. */
void rig_close(struct rig *r);
int rig_wait_keeper(struct rig *r, int seconds); /* its wait status, or -1: lives on */
void rig_forget(struct rig *r);                  /* free without asking; kills it if it lives */

void rig_send(struct rig *r, const struct keeper_msg *m);
struct keeper_start rig_task(void); /* sensible limits, this user */
void rig_start(struct rig *r, uint32_t slot, uint64_t lease, uint64_t index, uint32_t flags,
        const struct keeper_start *s, const char *const *argv);
/* sh -c script */
void rig_shell(struct rig *r, uint32_t slot, uint64_t lease, uint64_t index, const struct keeper_start *s,
        const char *script);
/* The first message of the kind for the lease (0: any) and index; fails the test after some seconds. For free(). */
struct got *rig_wait(struct rig *r, enum keeper_kind kind, uint64_t lease, uint64_t index);
/* Whether such a message comes within ms. */
struct got *rig_try(struct rig *r, enum keeper_kind kind, uint64_t lease, uint64_t index, int ms);
/* Run a script as task (lease, 0) in slot 0 and wait for its result. */
struct got *rig_run(struct rig *r, uint64_t lease, const struct keeper_start *s, const char *script);
void rig_ack(struct rig *r, uint64_t lease, uint64_t index);
void rig_stop(struct rig *r, uint64_t lease, uint32_t sig, uint64_t grace_ms);
/* A file of the state folder as text, for free(); NULL not there. */
char *rig_file(struct rig *r, const char *path, size_t *out_n);
void rig_blob(struct rig *r, const char *name, const void *p, size_t n);
void rig_path(struct rig *r, const char *path, char out[256]);
int rig_processes(const char *needle); /* how many processes have it in their command line */
uint64_t rig_now_ms(void);

/* Runs the tests (those named on the command line, or all). To be called first in main(). */
int rig_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n);

#endif
