/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_msg - what engine and worker say to each other over the worker's socket (SOCK_SEQPACKET, fd 3).
 *
 * Little-endian, one message a packet: struct worker_head, then its body; integers unaligned as u64 unless said. A long
 * list is cut into several packets. Also spoken by sdk/python. Both sides treat the other's bytes as hostile. Pure.
 *
 * worker -> engine   HELLO     u32 version, u32 n, then n function names (u32 length + bytes)
 * engine -> worker   BATCH     lease, first, count, u32 flags, function name, then either nothing (args are the same for all
 *                              tasks: one u32 length + bytes) or (flag VARIES) count x (u32 length + bytes). May come in
 *                              several packets: each carries its own first and count; the last has flag LAST
 *                    INPUT     for reduce and declared inputs: lease, index, u32 n, n x (u8 inline? bytes : path)
 *                    ACK       lease, cursor: results before cursor are durable, forget them
 *                    RESUME    lease, cursor: a new engine asks for the results from cursor on, again
 *                    CANCEL    lease: drop what has not begun; the running task may finish
 * worker -> engine   RESULTS   lease, first, count, u32 flags (ALL_OK_EMPTY: nothing follows), else count x (u8 status 0 ok 1 error,
 *                              u32 wall_us, u32 cpu_us, u32 length + bytes; flag in the length's top bit: the bytes are the path
 *                              of a file in the scratch folder that is the output)
 *                    PROGRESS  lease, index: this task has begun (sent only when the previous one took over 1 ms, and at once before
 *                              a task when asked to by flag TELL, which bisection of a poison task sets)
 *
 * A worker keeps the results of a lease until ACK, so an engine that was killed loses nothing.
 */
#ifndef OSIER_WIRE_WORKER_MSG_H
#define OSIER_WIRE_WORKER_MSG_H

#include <stdint.h>

#define WORKER_PROTOCOL 1u
#define WORKER_PACKET_MAX (64u * 1024u)
#define WORKER_FD 3

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

#endif
