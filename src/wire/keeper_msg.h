/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_msg - what engine and keeper say to each other over their socketpair (SOCK_SEQPACKET).
 *
 * One message a packet, little-endian as the machine is (both ends are one build on one machine; HELLO checks it).
 * A packet is a struct keeper_head, then `count` strings or blobs each as u32 length + bytes. Both sides treat the other's bytes
 * as hostile: keeper_msg_parse() checks every length. Pure.
 *
 * engine -> keeper
 *   HELLO    protocol version, "is this the first engine?"; the keeper answers with one SLOT for each slot in use, one EXITED for
 *            each result it still holds, then READY
 *   START    run this task in this slot when the slot is free (a slot runs its STARTs one after another)
 *   STOP     stop a lease: drop its queued STARTs, signal, after grace KILL the whole cgroup
 *   FOLLOW   write what the running task prints to its spool file from now on, as it comes
 *   ACK      results of the lease up to and including index are durable: forget them, remove their spool files
 *   RELEASE  the slot is not needed any more: kill what is in it, remove the cgroup
 *   SHUTDOWN stop everything (grace), then exit
 * keeper -> engine
 *   READY, SLOT, STARTED (a worker's socket comes with it as SCM_RIGHTS), EXITED (one task's result), STOPPED (nothing of the lease is
 *   left: queued STARTs dropped, processes gone), REFUSED (a START that cannot be: reason)
 *
 * The keeper never loses an EXITED: it is kept until ACK, so an engine that was killed gets it again.
 */
#ifndef OSIER_WIRE_KEEPER_MSG_H
#define OSIER_WIRE_KEEPER_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define KEEPER_PROTOCOL 1u
#define KEEPER_PACKET_MAX (192u * 1024u) /* a START's argv and environment must fit; larger is refused by name */
#define KEEPER_INLINE_MAX (64u * 1024u)  /* of stdout or of stderr in an EXITED; more is in the spool */

/* The engine's author and the keeper's author fill this header in further: structs of each message, parse and build. */

#endif
