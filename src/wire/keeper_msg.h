/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_msg - what engine and keeper say to each other over their socketpair (SOCK_SEQPACKET).
 *
 * Not the socket itself (io/keeper_link, keeper/). Pure. Both sides treat the other's bytes as hostile:
 * keeper_msg_next() checks every length, count and enum, and that texts hold no NUL.
 *
 * Bytes: little-endian as the machine is (both ends are one build on one machine; HELLO checks the version). A packet is one
 * or more messages, each starting at a multiple of 8: struct keeper_head, a fixed struct for its kind, then its texts and lists, each
 * u32 length + bytes + NUL, zeros up to the next multiple of 8. A packet with a descriptor (SCM_RIGHTS, at most one) has exactly
 * one message: a STARTED or a SLOT with KEEPER_WORKER.
 *
 * engine -> keeper
 *   HELLO    the first message of every engine; the keeper answers with one SLOT for what runs in a slot and one for
 *            each lease whose STARTs wait there, one EXITED for
 *            each result it still holds (per lease in index order), then READY. A STOPPED is not said again: send STOP again
 *   START    run this task in this slot when the slot is free (a slot runs its STARTs one after another). From a keeper that leaves
 *            there is no answer: it has gone with the keeper
 *   STOP     stop a lease: drop its queued STARTs, signal, after grace KILL the whole cgroup; answered by STOPPED when nothing is
 *            left (at once when nothing of it is known)
 *   ADJUST   a new attempt timeout for the running and the queued tasks of a lease
 *   FOLLOW   write what the running task (and those after it) of the lease prints to its spool file from now on, as it comes
 *   ADOPT    the worker in this slot now serves another lease: EXITED, SLOT, STOP go by that lease from now on
 *   ACK      results of the lease up to and including index are durable: forget them, remove their spool files
 *   RELEASE  the slot is not needed any more: kill what is in it, drop its queue, remove the cgroup. No answer, no EXITED
 *   SHUTDOWN stop everything (grace), then exit; held results are lost unless ACKed before
 *   RESUMED  once, when it is durable that the leases of the journal which this keeper does not know are over: a lease that a later
 *            engine misses here has not begun, and until then another keeper may have run some of it
 * keeper -> engine
 *   READY    after HELLO: what this keeper can enforce
 *   SLOT     after HELLO: a slot in use
 *   STARTED  a task runs; for a worker its socket comes with it as SCM_RIGHTS
 *   EXITED   one task's result; kept until ACK, so an engine that was killed gets it again
 *   STOPPED  nothing of the lease is left: queued STARTs dropped, processes gone, EXITED of the running one sent before
 *   REFUSED  this START cannot be taken (malformed, doubled, no such slot, queue full): nothing of it runs, there will be no EXITED
 *
 * Spool files of a task: spool/LEASE-INDEX.out, .err, and .o0 .o1 ... for its declared outputs (N: position in START's list),
 * owned by the engine's uid. They are complete when EXITED comes; the engine may rename them away before ACK.
 */
#ifndef OSIER_WIRE_KEEPER_MSG_H
#define OSIER_WIRE_KEEPER_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

#define KEEPER_PROTOCOL 2u
#define KEEPER_PACKET_MAX                                                                                    \
	(192u * 1024u) /* a START's argv and environment must fit; larger is refused by name */
#define KEEPER_INLINE_MAX   (64u * 1024u) /* of stdout or of stderr in an EXITED; more is in the spool */
#define KEEPER_SLOTS_MAX    1024u         /* slots are 0 .. KEEPER_SLOTS_MAX - 1 */
#define KEEPER_QUEUE_MAX    256u          /* STARTs waiting in one slot */
#define KEEPER_STRINGS_MAX  8192u         /* argv and environment strings of a START, each */
#define KEEPER_FILES_MAX    2048u         /* inputs, and outputs, of a START, each */
#define KEEPER_PATH_MAX     1024u /* bytes of a path of an input or output, of a blob's name, of workdir */
#define KEEPER_INDEX_WORKER UINT64_MAX /* the index of a worker's START, by habit: it is no task */
#define KEEPER_MISSING      UINT64_MAX /* in EXITED.output_bytes: an optional output that was not there */

enum keeper_kind {
	KEEPER_HELLO = 1,
	KEEPER_START,
	KEEPER_STOP,
	KEEPER_ADJUST,
	KEEPER_FOLLOW,
	KEEPER_ADOPT,
	KEEPER_ACK,
	KEEPER_RELEASE,
	KEEPER_SHUTDOWN,
	KEEPER_RESUMED,
	KEEPER_READY = 32,
	KEEPER_SLOT,
	KEEPER_STARTED,
	KEEPER_EXITED,
	KEEPER_STOPPED,
	KEEPER_REFUSED,
};

/* head.flags; unknown bits are refused */
enum keeper_flag {
	KEEPER_WORKER = 1,      /* START, SLOT, STARTED, EXITED: it is a worker, with a socket on its fd 3 */
	KEEPER_FOLLOWED = 2,    /* START, SLOT, FOLLOW: output goes to the spool as it comes */
	KEEPER_OUT_SPOOLED = 4, /* EXITED: stdout is in the spool, not inline */
	KEEPER_ERR_SPOOLED = 8, /* EXITED: stderr likewise */
	KEEPER_RUNNING = 16,    /* SLOT: a task runs in it now */
};

struct keeper_head {
	uint32_t bytes; /* of this message with head, without the padding after it */
	uint16_t kind, flags;
	uint32_t slot;
	uint32_t zero;
	uint64_t lease, index; /* 0 where the kind has none */
};

/* Bytes in the packet (parsed) or the caller's (built). p[n] is NUL after parsing; p is never NULL after parsing. */
struct keeper_text {
	const char *p;
	uint32_t n;
};

/* n strings, each ended by NUL, one after another. */
struct keeper_list {
	const char *p;
	uint32_t bytes, n;
};

/* n files, see keeper_file_next(). */
struct keeper_files {
	const uint8_t *p;
	uint32_t bytes, n;
};

enum keeper_file_flag {
	KEEPER_FILE_EXECUTABLE = 1, /* input */
	KEEPER_FILE_INLINE =
	        2, /* input: data is the file's bytes; otherwise data names the file below blobs/ */
	KEEPER_FILE_OPTIONAL = 4, /* output: may be missing */
};

struct keeper_file {
	uint32_t flags;
	struct keeper_text
	        path; /* in the scratch folder: relative, no empty part, no '.' or '..' (checked by the parser) */
	struct keeper_text data; /* may hold any byte when INLINE; otherwise as path */
};

enum keeper_stdin { KEEPER_STDIN_NULL, KEEPER_STDIN_TEXT, KEEPER_STDIN_BLOB };

struct keeper_hello {
	uint32_t version; /* KEEPER_PROTOCOL */
	uint32_t zero;
};

struct keeper_start {
	uint32_t uid, gid;
	uint32_t cpu_milli;      /* the share of the CPU when it is scarce; 0: 1000 */
	uint32_t cpu_max_milli;  /* at most so much CPU; 0 no limit */
	uint64_t memory_bytes;   /* the limit; 0 none */
	uint64_t file_bytes_max; /* of the scratch folder as it is measured, and RLIMIT_FSIZE; 0 none */
	uint64_t timeout_ns;     /* from the start of the process; 0 none */
	uint64_t grace_ns;       /* between TERM and KILL on timeout */
	uint64_t
	        output_bytes_max; /* of each of stdout and stderr; the rest is dropped and counted; 0: nothing is kept */
	uint32_t pids_max;            /* processes and threads; 0 no limit */
	uint32_t files_max;           /* RLIMIT_NOFILE; 0: 1024 */
	uint32_t umask;               /* 0 .. 0777 */
	uint32_t stdin_kind;          /* enum keeper_stdin */
	uint32_t worker_buffer_bytes; /* SO_SNDBUF of both ends of a worker's socket; 0: 1 MiB */
	uint32_t zero;
	/* after the fixed part */
	struct keeper_list argv; /* at least one; argv[0] without '/' is looked up in the PATH of env */
	struct keeper_list
	        env; /* "KEY=VALUE", all of it: the keeper adds only OSIER_STATE, OSIER_KEPT, OSIER_SCRATCH, TMPDIR unless it
				      * is there (the scratch folder too), and for a worker OSIER_WORKER_FD=3 */
	struct keeper_text workdir;  /* absolute; "" the scratch folder */
	struct keeper_text stdin_;   /* TEXT: the bytes; BLOB: the name below blobs/ */
	struct keeper_files inputs;  /* put into the scratch folder before the start */
	struct keeper_files outputs; /* taken from it after an exit with code 0 */
};

struct keeper_stop {
	uint32_t signal; /* sent first; 0: SIGTERM. SIGKILL: at once, no grace */
	uint32_t zero;
	uint64_t grace_ns;
};

struct keeper_adjust {
	uint64_t timeout_ns; /* from the start of the process; 0 none */
};

struct keeper_shutdown {
	uint64_t grace_ns;
};

/* READY.enforced: what this keeper can hold tasks to. */
enum keeper_enforced {
	KEEPER_CAN_CGROUP_V1 = 1,
	KEEPER_CAN_CGROUP_V2 = 2,
	KEEPER_CAN_CPU = 4,       /* weight and quota */
	KEEPER_CAN_MEMORY = 8,    /* the limit holds for all processes of a task together, and OOM is told */
	KEEPER_CAN_PIDS = 16,     /* likewise */
	KEEPER_CAN_KILL_ALL = 32, /* no process of a task can escape a kill */
	KEEPER_CAN_USERS =
	        64, /* tasks run as the uid that is asked for; otherwise only as the keeper's own */
	KEEPER_CAN_ROOT = 128, /* ... even uid 0 */
};

struct keeper_ready {
	uint32_t version;
	uint32_t enforced; /* enum keeper_enforced */
	uint32_t pid;      /* of the keeper */
	uint32_t uid;      /* the keeper's */
	uint32_t resumed;  /* 1: an engine said RESUMED to it */
	uint32_t zero;
	uint64_t
	        started_ns; /* since 1970; with pid it names this keeper: another one has lost what the last one ran */
	struct keeper_text notice; /* what is not enforced and why, for the user; "" all is */
};

struct keeper_slot {
	uint32_t pid;        /* 0: nothing runs now */
	uint32_t queued;     /* STARTs that wait */
	uint64_t started_ns; /* since 1970, of the running task */
	uint64_t last_index; /* of the last START taken for the lease (running or queued) */
	                     /* head: lease and index of the running task, else of the first queued one */
};

struct keeper_started {
	uint32_t pid;
	uint32_t zero;
	uint64_t started_ns; /* since 1970 */
};

enum keeper_end {
	KEEPER_END_EXIT,    /* code: the exit code */
	KEEPER_END_SIGNAL,  /* code: the signal that ended it, not sent by us */
	KEEPER_END_TIMEOUT, /* we stopped it; code: exit code, or minus the signal */
	KEEPER_END_MEMORY, /* the kernel killed it (or a child) at the memory limit; note tells limit and peak */
	KEEPER_END_CANNOT_START, /* code: errno; note: "no such file 'x'" */
	KEEPER_END_OUTPUT_MISSING, /* exit code 0 but a declared output was not there or is not a file of the task; note */
	KEEPER_END_STOPPED, /* by STOP or SHUTDOWN; code: exit code, or minus the signal */
	KEEPER_END_DISK,    /* we killed it: its scratch folder held more than it may; note tells how much */
};

struct keeper_exited {
	uint32_t end; /* enum keeper_end */
	int32_t code;
	uint64_t started_ns; /* since 1970; 0: never started */
	uint64_t wall_us, user_us, system_us;
	uint64_t memory_bytes;             /* peak: of the cgroup, else of the largest process */
	uint64_t memory_limit_bytes;       /* 0 none */
	uint64_t read_bytes, write_bytes;  /* of storage, by the processes waited for */
	uint64_t out_bytes, err_bytes;     /* kept: inline or in the spool */
	uint64_t out_dropped, err_dropped; /* past output_bytes_max, counted while the task lived */
	uint32_t n_outputs;
	uint32_t leftovers; /* processes that lived on after the task's own and were killed */
	/* after the fixed part */
	struct keeper_text note;
	struct keeper_text out, err; /* any bytes; empty when spooled */
	const void *
	        output_bytes; /* n_outputs uint64_t sizes, as declared, or KEEPER_MISSING; unaligned: memcpy */
};

/* The size of output i < n_outputs, or KEEPER_MISSING. */
static inline uint64_t keeper_output_bytes(const struct keeper_exited *x, uint32_t i)
{
	uint64_t n;

	memcpy(&n, (const uint8_t *)x->output_bytes + i * sizeof(n), sizeof(n));
	return n;
}

struct keeper_stopped {
	uint64_t dropped; /* STARTs that never began */
};

struct keeper_msg {
	enum keeper_kind kind;
	uint32_t flags; /* enum keeper_flag */
	uint32_t slot;  /* START, ADOPT, RELEASE, SLOT, STARTED, EXITED, REFUSED */
	uint64_t lease; /* all but HELLO, RELEASE, SHUTDOWN, READY */
	uint64_t index; /* START, ACK, SLOT, STARTED, EXITED, REFUSED */
	union {
		struct keeper_hello hello;
		struct keeper_start start;
		struct keeper_stop stop;
		struct keeper_adjust adjust;
		struct keeper_shutdown shutdown;
		struct keeper_ready ready;
		struct keeper_slot slot;
		struct keeper_started started;
		struct keeper_exited exited;
		struct keeper_stopped stopped;
		struct keeper_text refused; /* why */
	} u;
};

/* Append one message to the packet in out[0..max) of which *n bytes are used (0 at first), and move *n on; pads first.
 * ERR_FULL: no room (send what is there, or tell the user that it is too large); ERR_INVALID: a count or length past its limit.
 * Nothing of the packet is changed by a failure. max: KEEPER_PACKET_MAX at most. */
int keeper_msg_build(uint8_t *out, size_t max, size_t *n, const struct keeper_msg *m, struct err *e);

/* Whether a START with this body has room in a packet of its own; ERR_FULL says how much it takes. */
int keeper_start_fits(const struct keeper_start *s, struct err *e);

/* Read the message at *at (0 at first) of packet[0..n) and move *at on. 1: *m filled in, it borrows from the packet; 0: the packet
 * ends here; < 0 with ERR_CORRUPT or ERR_VERSION: drop the packet and the other end. On failure of a START's body, m->kind,
 * slot, lease and index are filled in all the same (and kind is 0 otherwise), so that the keeper can REFUSE it. */
int keeper_msg_next(const uint8_t *packet, size_t n, size_t *at, struct keeper_msg *m, struct err *e);

/* The string after `prev` (NULL: the first), or NULL at the end. */
const char *keeper_list_next(const struct keeper_list *l, const char *prev);

/* Append a string to a list laid in mem[0..max). Start with *l = {0}. ERR_FULL when mem or KEEPER_STRINGS_MAX is. */
int keeper_list_add(struct keeper_list *l, char *mem, size_t max, const char *s, struct err *e);

/* The file at *at (0 at first); false at the end. */
bool keeper_file_next(const struct keeper_files *f, size_t *at, struct keeper_file *out);

/* Append a file to a list laid in mem[0..max). Start with *f = {0}. ERR_INVALID: not a path as keeper_file says. */
int keeper_file_add(
        struct keeper_files *f, uint8_t *mem, size_t max, const struct keeper_file *in, struct err *e);

/* Whether p is a relative path without empty, '.' or '..' parts, at most KEEPER_PATH_MAX bytes, no part over 255. */
bool keeper_path_ok(const char *p, size_t n);

/* "start", "exited" ... for messages. Never NULL. */
const char *keeper_kind_name(enum keeper_kind k);

#endif
