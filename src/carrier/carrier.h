/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier - `osier carrier`, the process that talks HTTPS to hubs for its node: joining, renewing, blobs.
 *
 * A process of its own and not a service of the messenger: it is wanted by nodes that have no ledger to show, comes when there is something
 * to carry and goes when there was nothing for CARRIER_IDLE_S; libcurl and TLS (11 MB) cost an idle node nothing, and what the network sends
 * is not parsed where the journal is written. It knows nothing of the node but what it is told, writes to the paths it is told, and ends
 * when its engine does (the socket closes, and PR_SET_PDEATHSIG).
 *
 * On stdin, a socket, a line of JSON each way: {"id": N, "do": ...} and {"id": N, "error": {code, message, hint}} or its result:
 *	ca    origin, fingerprint (32 hexadecimal digits)   pem, ahead (seconds that the hub's clock is before ours)
 *	post  origin, path, body (an object), self          status, body (text)
 *	send  origin, path, file, self                      as post; the file's bytes are the body
 *	get   origins, sha256, bytes (-1: not known), path, self    moved (bytes over the network)
 *	      idly: true, of one at a time: until it is to be dropped
 *	drop  sha256: of that                               (nothing)
 *	put   origin, sha256, path, self                    moved
 * self: {ca, cert, key}, names of files. At most CARRIER_AT_ONCE are worked on at a time, each in a thread; others wait in order.
 */
#ifndef OSIER_CARRIER_CARRIER_H
#define OSIER_CARRIER_CARRIER_H

#define CARRIER_IDLE_S   30u
#define CARRIER_AT_ONCE  8u
#define CARRIER_LINE_MAX (256u << 10)

int carrier_main(int argc, char **argv);

#endif
