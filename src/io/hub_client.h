/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_client - what a node asks hubs over HTTPS: the CA before joining, joining and renewing, blobs to and from.
 *
 * Blocking, by io/http (libcurl, loaded when it is used); it runs in the carrier (carrier/main.c), not in the engine. Any thread.
 *
 * Getting: PATH is as long as the blob from the start, PATH.map says of each piece of HUB_PIECE bytes how many of its bytes are there (u32,
 * little-endian), so that a broken connection or a killed process costs nothing that had come. Sources are asked in the order of how fast
 * they answer, each over one connection, each for the next piece that nobody has; what is whole from the beginning is hashed as it grows.
 * No byte is asked for twice, unless the whole turns out to be wrong: then it is asked anew, of one source alone at a time.
 */
#ifndef OSIER_IO_HUB_CLIENT_H
#define OSIER_IO_HUB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HUB_PIECE       (4u << 20)
#define HUB_SOURCES_MAX 8u
#define HUB_BLOB_MAX    (1ull << 40)
#define HUB_TRIES_MAX   5u                      /* without a byte of progress, before a source is given up */
#define HUB_STALL_NS    (30ull * 1000000000ull) /* nothing moves for so long: try again */
#define HUB_ASK_NS      (20ull * 1000000000ull) /* for a question as a whole */

/* Who we are to a hub; names of PEM files. cert and key may be NULL: nobody yet. */
struct hub_self {
	const char *ca, *cert, *key;
	int stop_fd; /* as in http.h */
};

/* The CA of the hub at `origin` (https://HOST:PORT), malloc'd PEM, which has this fingerprint; nothing is said to a hub that has another.
 * *out_ahead_s: how far its clock is before ours. ERR_DENIED: another fingerprint; ERR_CLOSED, ERR_TIMEOUT: cannot be reached. */
int hub_client_ca(const char *origin, const uint8_t fingerprint[16], int stop_fd, char **out_pem,
        int64_t *out_ahead_s, struct err *e);

/* POST JSON to origin + path. The answer malloc'd, with a NUL, whatever its status. */
int hub_client_post(const char *origin, const char *path, const struct hub_self *self, const char *json,
        unsigned *out_status, char **out, struct err *e);

/* POST a file's bytes, of any kind, as hub_client_post(); it may take as long as something moves. ERR_FULL: it is larger than HUB_SEND_MAX. */
#define HUB_SEND_MAX (1u << 20)
int hub_client_send(const char *origin, const char *path, const struct hub_self *self, const char *file,
        unsigned *out_status, char **out, struct err *e);

#define HUB_NEAR_MAX 4u
#define HUB_QUICK_NS                                                                                         \
	(100ull *                                                                                            \
	        1000000ull) /* a neighbour that answers so fast is asked instead of the hub, else beside it */
#define HUB_NEAR_NS                                                                                          \
	(2ull * 1000000000ull) /* for connecting to a neighbour; it is given up when nothing moves for twice as long */
#define HUB_COMING_NS                                                                                        \
	(300ull *                                                                                            \
	        1000000000ull) /* so long a neighbour is waited for that says that it is still getting the blob itself */
#define HUB_BEGIN_NS (3ull * 1000000000ull) /* and one that has not begun */
struct hub_get {
	const char *origin[HUB_SOURCES_MAX];
	unsigned n_origins;
	/* Nodes nearby that may have it, with the hub's word that we may get it there (core/ticket.h, base64). They are asked first; what they
	 * have not given the hub gives. Only for a blob whose size is known. */
	struct {
		const char *name, *at; /* at: HOST:PORT */
		bool coming;           /* it is still getting it: waited for */
	} near[HUB_NEAR_MAX];
	unsigned n_near;
	uint64_t *
	        near_us; /* NULL, or of HUB_NEAR_MAX: there how far each of them was found to be, there and back; 0 not known */
	const char *ticket;
	uint8_t digest[32];
	uint64_t bytes; /* UINT64_MAX: not known */
	const char *path;
};
/* Get the blob into the file, all of it and verified; then only PATH is left. *out_moved: bytes that came over the network; *out_near (may be
 * NULL): of them, from neighbours. ERR_NOTFOUND: no
 * source has it; ERR_CORRUPT: what they gave is not it; others: as http.h. What came stays for the next time, unless it was wrong. */
int hub_client_get(const struct hub_get *g, const struct hub_self *self, uint64_t *out_moved,
        uint64_t *out_near, struct err *e);

/* Put the file there as the blob of this digest, going on where an earlier try ended. ERR_FULL: the hub has no room; ERR_CORRUPT: the file
 * is not that blob. */
int hub_client_put(const char *origin, const uint8_t digest[32], const char *path,
        const struct hub_self *self, uint64_t *out_moved, struct err *e);

/* The error object of an answer that is not 2xx, as an error. Returns -1. */
int hub_client_refused(unsigned status, const char *json, struct err *e);

#endif
