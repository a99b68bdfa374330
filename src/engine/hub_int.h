/* SPDX-License-Identifier: Apache-2.0 */
/* hub_int - what hub_listener.c and hub_blobs.c share: requests of nodes, in the listener's thread. */
#ifndef OSIER_ENGINE_HUB_INT_H
#define OSIER_ENGINE_HUB_INT_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/identity.h"
#include "engine/hub_listener.h"

#define HUB_UPLOADS_MAX  1024u /* blobs that come in part at a time */
#define HUB_UPLOADS_NODE 16u   /* of one node; it sends 8 at once (carrier.h) */
#define HUB_UPLOAD_REST  3600u /* what has rested for so long gives way when others need room, seconds */
#define HUB_UPLOAD_AGE   (7u * 24u * 3600u) /* of what was begun and not gone on with, seconds */

struct hub_visitor { /* a connection */
	struct hub_visitor *prev, *next;
	int fd;
	bool asked; /* a request of it is being answered */
	time_t since;
};

struct hub_upload;
struct hub_uploads;

struct hub_request {
	struct hub_listener *l;
	struct MHD_Connection *conn;
	struct cert peer; /* name "": shows no certificate that counts */
	char *body;
	size_t n, room; /* room: 0, or what is there for the body */
	bool large; /* it may be as long as a piece of a log: one of the listener's places is its own, or was */
	time_t since; /* it took the place */
	bool too_large;
	bool answered; /* before its body came */
	bool stale;    /* the node goes on with its upload on another connection */
	struct hub_upload *upload;
	struct hub_asked *asked; /* waits for it */
	/* Given by the loop, under the lock. */
	unsigned status;
	char *json;
};

/* ---- for standbys (hub_keys.c), on the loop ---- */

struct node;
int hub_may_have_keys(const struct identity *s, const char *name, struct err *e);
/* What a standby needs to be the hub: JSON, malloc'd; wipe it. NULL: says why. */
char *hub_keys_text(const struct node *n, struct err *e);
/* Is this the digest of the hub's own files, as they are now? */
bool hub_keys_are(const struct node *n, const uint8_t digest[32]);

/* ---- long bodies (hub_large.c), under the listener's lock ---- */

struct hub_large {
	struct hub_request *place[HUB_LARGE_ONCE];
};
/* A place for this one: the node's own from before, which it has left for this; or a free one; or that of the oldest, if it has taken longer
 * than HUB_LARGE_S. Who loses his is `stale`. False: all are taken. */
bool hub_large_take(struct hub_large *h, struct hub_request *q, time_t now);
void hub_large_leave(struct hub_large *h, const struct hub_request *q);

/* ---- answers (hub_listener.c) ---- */

enum MHD_Result hub_reply(struct hub_request *q, unsigned status, struct MHD_Response *r); /* takes r */
enum MHD_Result hub_json(struct hub_request *q, unsigned status, char *json);              /* takes json */
enum MHD_Result hub_error(
        struct hub_request *q, unsigned status, const char *code, const char *message, const char *hint);
enum MHD_Result hub_error_err(struct hub_request *q, const struct err *e);
/* {"error": ...}, malloc'd. */
char *hub_error_text(const char *code, const char *message, const char *hint);
unsigned hub_status(enum err_code code);

/* ---- blobs (hub_blobs.c); all under the listener's lock ---- */

int hub_uploads_new(const char *dir, struct blobs *b, struct hub_uploads **out, struct err *e);
/* Until no thread makes a blob durable. */
void hub_uploads_wait(struct hub_uploads *u, pthread_mutex_t *lock);
void hub_uploads_free(struct hub_uploads *u); /* nothing is being sent any more */
struct hub_uploads *hub_uploads_of(struct hub_request *q);
enum MHD_Result hub_blob_get(struct hub_request *q, const char *name, bool head);
/* With the header of a PUT: q->upload, or q is answered (q->answered). */
enum MHD_Result hub_blob_put(struct hub_request *q, const char *name);
enum MHD_Result hub_blob_piece(struct hub_request *q, const char *p, size_t n);
/* The whole body came. May suspend the connection: a thread makes the blob durable, and sets status and json. */
enum MHD_Result hub_blob_end(struct hub_request *q);
/* The connection ended, whatever came. */
void hub_blob_gone(struct hub_request *q);

/* Under the lock, of a suspended connection: the loop is told, and answers when the file lies at the standbys, too. False: it is stopping. */
bool hub_ask_taken(struct hub_request *q, const uint8_t digest[32], uint64_t bytes);
/* The lock of the listener: held by its callbacks; a thread that makes a blob durable takes it to tell. */
pthread_mutex_t *hub_mutex(struct hub_request *q);

#endif
