/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_msg - what engine and worker say to each other over the worker's socket (SOCK_SEQPACKET, fd 3).
 *
 * Also spoken by sdk/python/osier/worker.py. One message a packet of at most WORKER_PACKET_MAX bytes: a struct worker_head, then a
 * body; integers little-endian and unaligned; a "text" is u32 length + bytes. Both sides treat the other's bytes as hostile.
 * Pure; header only.
 *
 *   kind      from    lease first     count    flags            body
 *   HELLO     worker  0     version   names n                   n texts: the functions it offers
 *   INPUT     engine  lease task      inputs n  FRESH           n x (u8 0 inline | 1 path of a file, text). Sent before the BATCH with
 *                                                               that task; several for one task append, FRESH (of the
 *                                                               first) forgets what came for it before
 *   BATCH     engine  lease first     tasks n  VARIES LAST TELL u64 tasks of the step, text function, then one text: arguments of all,
 *                                                               or with VARIES n texts. Batches of a lease continue each other (the
 *                                                               first of the next = first + count); LAST: no more will come.
 *   ACK       engine  lease cursor    0                         results before cursor are durable: forget them
 *   RESUME    engine  lease cursor    0                         a new engine: drop the tasks that have not begun, send the results from
 *                                                               cursor on again, then RESULTS with CANCELLED (or UNKNOWN); the
 *                                                               engine sends BATCHes from where that says
 *   CANCEL    engine  lease 0         0                         drop the tasks that have not begun
 *   RESULTS   worker  lease first     n        EMPTY UNKNOWN    n x (u8 status, u8 code, u16 0, u32 wall_us, u32 cpu_us, u32 length,
 *                                              CANCELLED        bytes). Status OK: bytes are the output; or length is just
 *                                                               WORKER_OUTPUT_FILE and the output is the next of the file
 *                                                               descriptors that come with the packet (SCM_RIGHTS, at most
 *                                                               WORKER_FDS_MAX; read it from 0 to its size, it does not change any
 *                                                               more). FAILED and NO_FUNCTION: bytes say why. EMPTY: no body, all
 *                                                               succeeded in under 1 us each with no output. UNKNOWN: answer to
 *                                                               RESUME for a lease it does not have. CANCELLED: answer to CANCEL and
 *                                                               RESUME, n = 0, first: the next task it has not run
 *   PROGRESS  worker  lease task      0                         this task begins (with TELL: sent before every task, so that a task
 *                                                               that kills its worker is known by name; else when the one before
 *                                                               took over 1 ms)
 *
 * A worker keeps the results of a lease until ACK, so an engine that was killed loses nothing (packets sent again may begin before the
 * cursor: skip what is known). Inputs and outputs as files travel as descriptors or paths it can read, since the engine may run under
 * another user. It exits when the socket closes.
 */
#ifndef OSIER_WIRE_WORKER_MSG_H
#define OSIER_WIRE_WORKER_MSG_H

#include <stdint.h>

#define WORKER_PROTOCOL      1u
#define WORKER_PACKET_MAX    (64u * 1024u)
#define WORKER_FD            3
#define WORKER_INLINE_MAX    (32u * 1024u) /* of one output or argument in a packet; larger outputs are files */
#define WORKER_OUTPUT_FILE   0x80000000u   /* as a result's length: the output came as a descriptor */
#define WORKER_FDS_MAX       32u           /* descriptors with one packet */
#define WORKER_FUNCTIONS_MAX 64u

enum worker_kind {
	WORKER_HELLO = 1,
	WORKER_BATCH,
	WORKER_INPUT,
	WORKER_ACK,
	WORKER_RESUME,
	WORKER_CANCEL,
	WORKER_RESULTS,
	WORKER_PROGRESS,
};

enum worker_flag {
	WORKER_VARIES = 1,     /* BATCH */
	WORKER_LAST = 2,       /* BATCH */
	WORKER_TELL = 4,       /* BATCH */
	WORKER_EMPTY = 8,      /* RESULTS */
	WORKER_UNKNOWN = 16,   /* RESULTS */
	WORKER_CANCELLED = 32, /* RESULTS */
	WORKER_FRESH = 64      /* INPUT */
};

enum worker_status { WORKER_OK = 0, WORKER_FAILED = 1, WORKER_NO_FUNCTION = 2 };

struct worker_head { /* 32 bytes */
	uint32_t kind, flags;
	uint64_t lease, first, count;
};

struct worker_result { /* 16 bytes, then the output */
	uint8_t status, code;
	uint16_t zero;
	uint32_t wall_us, cpu_us, length;
};

#endif
