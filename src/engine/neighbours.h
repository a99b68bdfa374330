/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neighbours - the HTTPS server of a node that has joined a hub: it gives blobs to other nodes of that hub, and nothing else.
 *
 *	GET, HEAD /v1/blobs/SHA256   Range (RFC 9110). Osier-Ticket: the hub's word for it (core/ticket.h), base64
 *
 * Both ends show the certificate that the hub gave them; the one who asks is who the ticket is for, and the blob is one that it names.
 * A node does not know whom its hub has shut out: such a one gets no new tickets, and an old one ends after TICKET_LIFE_S. A thread of its
 * own; the functions are called on the loop thread.
 */
#ifndef OSIER_ENGINE_NEIGHBOURS_H
#define OSIER_ENGINE_NEIGHBOURS_H

#include "base/err.h"
#include "io/blobs.h"

#define NEIGHBOURS_PORT        7444u /* or any, when that is taken */
#define NEIGHBOURS_CONNECTIONS 256u  /* at once; of one address a sixteenth of them */

struct neighbours;

/* parts: the folder where files lie while they come, by their SHA-256. port 0: NEIGHBOURS_PORT, or any; else that one (ERR_EXISTS: taken). dir: where ca.crt, client.crt and client.key are (engine/parent.h); hub: its name. They are read now, and again by opening anew. */
int neighbours_open(const char *dir, const char *hub, unsigned port, struct blobs *blobs, const char *parts,
        struct neighbours **out, struct err *e);
/* The blob was asked for and will be on its way to here: who asks for it meanwhile is told to wait (503). Of many only the latest are
 * known. NULL s is fine. */
#define NEIGHBOURS_EXPECTED 64u
void neighbours_expect(struct neighbours *s, const uint8_t digest[32]);
/* How often somebody was told to wait. Any thread. */
uint64_t neighbours_waited(struct neighbours *s);
unsigned neighbours_port(const struct neighbours *s);
void neighbours_close(struct neighbours *s); /* NULL is fine */

#endif
