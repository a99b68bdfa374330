/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_int - what the files of the API share. Not for others: they have api.h.
 *
 * A request's way: api.c takes the connection and its bytes, api_router.c finds the route, checks and calls its handler
 * when the body is there. The handler answers at once (answer_*) or keeps the request, whose connection then sleeps, and
 * answers later, from a node_command() callback or a worker thread's end. One request at a time on a connection.
 * Loop thread only.
 */
#ifndef OSIER_ENGINE_API_INT_H
#define OSIER_ENGINE_API_INT_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"
#include "core/engine.h"
#include "core/sched.h"
#include "engine/api.h"
#include "engine/api_path.h"
#include "engine/api_entry.h"
#include "engine/json_out.h"
#include "engine/node.h"
#include "engine/spec_cache.h"
#include "io/growing.h"

#define API_VERSION             1
#define API_CONNECTIONS_MAX     1024u
#define API_CONNECTIONS_SPARE   32u /* above the limit, to say so in */
#define API_CONNECTIONS_PER_UID 768u
#define API_HEADER_BYTES_MAX    (16u << 10)
#define API_POOL_BYTES          (32u << 10)  /* what one connection may take of libmicrohttpd's memory */
#define API_SMALL_BODY_MAX      (1u << 20)   /* of a request that is not a batch of jobs */
#define API_BODY_MAX            (64u << 20)  /* of a batch of jobs */
#define API_BODIES_MAX          (256u << 20) /* of all requests together */
#define API_BACKLOG_MAX                                                                                      \
	(256u << 20) /* not yet durable bytes of the journal beyond which submits wait outside */
#define API_VALUES_MAX       (4u << 20)   /* lists, objects and commas in one body: each may cost 200 bytes */
#define API_PARSED_MAX       (256u << 20) /* of the jobs of one request, read */
#define API_BLOB_MAX         (1ull << 40)
#define API_IDLE_S           30u   /* nothing was read or written */
#define API_HEADER_S         60u   /* for the whole header of a request */
#define API_BODY_S           60u   /* after that, a body must have come at */
#define API_BODY_RATE        1024u /* bytes a second on average */
#define API_JOBS_PER_REQUEST 10000u
#define API_PAGE_MAX         1000u
#define API_PAGE             100u
#define API_SCAN_MAX         500000u /* tasks or jobs looked at for one page */
#define API_EVENT_MS         100u    /* between two events of a stream */
#define API_KEEPALIVE_MS     15000u

struct api;
struct request;

/* A connection, from accept to close. */
enum client_phase { CLIENT_HEADER, CLIENT_BODY, CLIENT_ANSWER };
struct client {
	struct api *api;
	struct client *prev, *next;
	int fd;
	uid_t uid;
	gid_t gid;
	char name[24]; /* "uid:1000" */
	enum client_phase phase;
	uint64_t since_ms; /* when the phase began */
	uint64_t body_bytes;
	bool over; /* one too many */
};

enum body_kind { BODY_NONE, BODY_JSON, BODY_TEXT, BODY_JOBS, BODY_STREAM };
enum route_access { ACCESS_ANY, ACCESS_OWNER }; /* OWNER: root or the node's owner */
/* State that is not durable is not shown. AFTER: the answer waits until what it shows is durable. BEFORE: the handler waits,
 * because it reads the journal. */
enum route_settle { SETTLE_NOT, SETTLE_AFTER, SETTLE_BEFORE };
struct route {
	const char *method, *pattern; /* "{x...}" binds all that is left */
	const char *query;            /* names it takes, with commas around: ",limit,before," */
	enum body_kind body;
	enum route_access access;
	enum route_settle settle;
	void (*handle)(struct request *q);
	/* BODY_STREAM: called for each piece of the body, and with n = 0 by handle's turn; < 0: answered already. */
	int (*piece)(struct request *q, const char *p, size_t n);
};

struct request {
	struct api *api;
	struct client *client;
	struct MHD_Connection *conn;
	struct request *prev, *next; /* of those that sleep */
	const struct route *route;
	const char *bound[PATH_BINDS_MAX];
	bool head; /* HEAD: an answer without its body */
	bool handled, sleeping;
	bool settled;                  /* what it waited for is durable */
	bool at_once;                  /* the answer does not wait for the body */
	struct MHD_Response *response; /* the answer, once there is one */
	unsigned status;
	char *body;
	size_t body_n, body_max;
	bool body_too_large;
	json_t *json; /* the body, parsed on demand */
	void *own;    /* the handler's */
	void (*own_free)(void *own);
	char *query[16]; /* decoded values, freed with the request */
	unsigned n_query;
	struct path path;
	uint8_t salt[16]; /* of principal_of() */
};

struct stream;

struct api {
	struct node *node;
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	char *socket_path;
	uint64_t socket_dev, socket_ino;
	uv_poll_t poll;
	uv_timer_t timer;    /* libmicrohttpd's timeout */
	uv_timer_t sweep;    /* slow requests, only while there are connections */
	uv_timer_t pulse;    /* streams: coalescing and keep-alive, only while one is due */
	uv_fs_event_t spool; /* only while somebody reads logs */
	struct logs *logs;
	unsigned n_logs;
	unsigned handles; /* of the above that are not closed yet */
	struct client *clients;
	unsigned n_clients;
	struct request *sleepers;
	struct stream *streams;
	struct spec_cache *specs;
	struct growing mem;   /* of the handler that runs; cleared by who uses it */
	struct logstore *log; /* opened when it is first asked for */
	struct json_out out;  /* every answer is written here */
	size_t bodies;        /* bytes of bodies held */
	uid_t owner;
	uint64_t started_ns;
	bool closing;
	uint64_t served[6]; /* answers by status / 100, for the metrics */
	uint64_t dropped;   /* connections closed for being slow or too many */
};

/* ---- answering (api_router.c) ---- */
extern const struct route api_routes[];
extern const size_t api_n_routes;

/* The JSON in q->api->out becomes the answer. */
void answer_json(struct request *q, unsigned status);
void answer_response(struct request *q, unsigned status, struct MHD_Response *r); /* takes r */
void request_wake(struct request *q);                                             /* one that sleeps */
void answer_error(
        struct request *q, unsigned status, const char *code, const char *message, const char *hint);
/* A file from its beginning, by sendfile(); takes the descriptor. digest may be NULL. */
void answer_file(struct request *q, int fd, uint64_t bytes, const uint8_t *digest);
/* Whether the stored bytes of a small output are still what the task wrote. */
struct result_output;
bool output_sound(const struct result_output *o, const uint8_t *bytes);
void answer_errf(struct request *q, unsigned status, const char *code, const char *hint, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
void answer_err(struct request *q, const struct err *e); /* status by its code */
unsigned status_of(enum err_code code);
/* Bytes (copied) of a type; cache: the Cache-Control, or NULL. */
void answer_copy(struct request *q, const void *p, size_t n, const char *type, const char *cache);
/* {"error": ...} written to o; hint may be NULL. */
void error_json(struct json_out *o, const char *code, const char *message, const char *hint);
/* Cleared and ready. */
struct json_out *answer_out(struct request *q);
/* Keep a request that is answered later; call it in the handler, before the answer can come. */
void request_sleep(struct request *q);

/* The header came: find the route, check who asks and what it brings; may answer. */
void request_begin(struct request *q, const char *method, const char *url);
/* The body came: call the handler. */
void request_handle(struct request *q);

/* ---- what a request says (api_router.c) ---- */
const char *query_text(struct request *q, const char *name); /* NULL: not given; valid as long as q */
/* Numbers: *out is untouched when not given; < 0: answered with 400. */
int query_u64(struct request *q, const char *name, uint64_t min, uint64_t max, uint64_t *out);
/* The body as a JSON object; an absent one is {} when `optional`. NULL: answered with 400. */
json_t *body_json(struct request *q, bool optional);
/* < 0: answered with 400, naming the unknown key; keys with commas around. */
int body_keys(struct request *q, json_t *o, const char *known);
bool is_node_owner(const struct request *q);
bool may_change(const struct request *q, const struct job_view *v);
/* The job of the first binding; < 0: answered (404, 409 with candidates). */
int request_job(struct request *q, struct job_view *out);
int job_by_name(struct request *q, const char *name, struct job_view *out);
/* As request_job(), and the caller may change it (or read what it wrote): else 403. */
int request_own_job(struct request *q, struct job_view *out);
/* Job, step and index of the first three bindings; *spec held: spec_release(). < 0: answered. */
int request_task(struct request *q, struct job_view *job, uint32_t *out_step, uint64_t *out_index,
        struct spec_ref *spec);
int find_step(struct request *q, const Wire__JobSpec *spec, const char *name, uint32_t *out);

/* ---- commands (api_command.c) ---- */
/* Give the core a command and answer by `done` when it is durable or refused. */
void request_command(struct request *q, const struct command *c, job_id subject,
        void (*done)(struct request *q, const struct node_answer *a));
/* Until all that was decided so far is durable the request sleeps, and goes on then: with its answer, or its handler. False: it
 * is durable already. */
bool request_settle(struct request *q);
job_id request_subject(const struct request *q); /* within `done` */

/* ---- pieces of answers (api_view.c) ---- */
uint64_t count_done(const struct step_counts *c);
void counts_json(struct json_out *o, const struct step_counts *c);
void needs_json(struct json_out *o, Wire__Need *const *v, size_t n);
void amount_json(struct json_out *o, const char *resource, uint64_t amount);
void amount_i64_json(struct json_out *o, const char *resource, int64_t amount);
bool in_bytes(const char *resource);
void labels_json(struct json_out *o, Wire__Pair *const *v, size_t n); /* the key too */
void owner_json(struct json_out *o, uint32_t uid, uint32_t gid);
void job_id_json(struct json_out *o, const struct job_view *v); /* the string NAME-N */
void job_summary_json(struct json_out *o, const struct engine *e, const struct job_view *v, uint64_t now_ns);
void seconds_or_null(struct json_out *o, uint64_t ns);
const char *task_state_text(const struct task_view *t);
bool job_is_active(enum job_state s);
/* Tasks done per second in thousandths, over the whole run. */
uint64_t job_rate_milli(const struct job_view *v, uint64_t now_ns);
void rate_eta_json(struct json_out *o, const struct job_view *v, uint64_t rate_milli);
void job_json(struct request *q, const struct job_view *v); /* the whole Job, into q's output */
void answer_job(struct request *q, unsigned status, job_id id);
/* Newest job below `before` (0: the newest). */
bool job_below(const struct engine *e, uint64_t before, struct job_view *out);
/* Text for humans: "1.5", "12 GiB", "3.2 s", "4 min". */
void api_amount_text(const char *resource, uint64_t amount, char *out, size_t room);
void api_duration_text(uint64_t ns, char *out, size_t room);
const char *api_user_name(uint32_t uid, char *out, size_t room);
/* Who asks, with a salt of its own, for one command: the next needs another. Lives as long as q. */
void principal_of(struct request *q, Wire__Principal *out);

/* ---- the journal (api_journal.c) ---- */
/* What LeaseGranted said about a lease. */
struct lease_found {
	uint64_t lease;
	bool found;
	uint64_t time_ns;
	uint64_t job;
	uint32_t step;
	char node[64];
	uint32_t variant, n_devices, devices[DEVICES_PER_LEASE_MAX];
};
/* Of a verified step (api_votes.c): who agrees and who differs, in words ("" when all that ended agree), and as members of an open
 * object: disagreement and votes. */
void votes_text(const struct engine *en, job_id job, uint32_t step, uint64_t task, char *out, size_t room);
void votes_json(struct json_out *o, const struct engine *en, job_id job, uint32_t step, uint64_t task);

/* What came too late for a task (api_late.c), in words ("" when nothing did), and as a member of an open object. */
void late_text(struct request *q, job_id job, uint32_t step, uint64_t task, char *out, size_t room);
void late_json(struct request *q, struct json_out *o, job_id job, uint32_t step, uint64_t task);
/* Of an attempt on a node that cannot be reached; false: it can. */
bool away_text(const struct engine *en, const struct lease_view *l, uint64_t now, char *out, size_t room);

/* Find the entry that granted the lease, before entry `before`: a search by halves, since leases are numbered in order.
 * Not found when that history was dropped. */
void lease_find(struct api *a, uint64_t lease, uint64_t before, struct lease_found *out);

/* The published log (api_ledger.c) with its last head; < 0: answered. */
struct logstore;
struct log_head;
int open_log(struct request *q, struct logstore **out, struct log_head *head);

/* ---- streams (api_stream.c) ---- */
enum stream_more { STREAM_MORE, STREAM_WAIT, STREAM_END };
enum stream_when { STREAM_SOON, STREAM_NOW };
struct stream {
	struct api *api;
	struct stream *prev, *next;
	struct MHD_Connection *conn;
	struct json_out out; /* what was made and not yet sent */
	size_t sent;
	bool asleep, ended;
	bool dirty, urgent; /* fill() is wanted; without waiting for API_EVENT_MS to pass */
	uint64_t at_ms;     /* set by fill(): it is wanted then too (loop time), 0 never */
	uint64_t last_ms;   /* when something was made last */
	bool settled;       /* what stream_settle() waited for is durable */
	struct settling *settling;
	/* Append the next events to out. MORE: call again; WAIT: nothing now, until stream_wake() or at_ms. */
	enum stream_more (*fill)(struct stream *s);
	void (*close)(struct stream *s);
	void *ctx;
};
/* Answer with server-sent events made by fill(); close(s) is called once, whatever happens, and frees ctx. */
struct stream *answer_stream(struct request *q, enum stream_more (*fill)(struct stream *),
        void (*close)(struct stream *), void *ctx);
/* Something changed: fill() is called; SOON: not before API_EVENT_MS since the last event. */
void stream_wake(struct stream *s, enum stream_when when);
/* In fill(): false when all that was decided so far is durable; else return STREAM_WAIT, and `settled` is set in the next call. */
bool stream_settle(struct stream *s);
/* "event: NAME\ndata: " ... then the JSON, then event_end(). */
void event_begin(struct json_out *o, const char *name);
void event_end(struct json_out *o);
void streams_pulse(uv_timer_t *t);
void streams_close(struct api *a); /* all of them end */

/* ---- pieces of events (api_events.c), and of nodes (api_nodes.c) ---- */
void job_event_json(struct api *a, struct json_out *o, const struct job_view *v, uint64_t rate_milli);
void totals_json(struct json_out *o, const struct engine *en); /* the key too */
void nodes_json(struct api *a, struct json_out *o);            /* the key too */
struct sched_node_view;
void node_view_json(struct api *a, struct json_out *o, const struct sched_node_view *v);
/* The key `runs`: which steps have leases there, in short: what is being looked at all the time (events) goes without. */
void runs_json(struct api *a, struct json_out *o, uint32_t node);
/* What was last said about the node; NULL: nothing. For node_set_free(). */
Wire__NodeSet *node_set_of(struct api *a, uint32_t node);
void node_set_free(Wire__NodeSet *m);

/* ---- connections (api.c) ---- */
void api_kick(struct api *a); /* libmicrohttpd has something to do */

/* The newest checkpoint with its cosignatures (api_ledger.c). */
void answer_checkpoint(struct request *q);

/* ---- handlers ---- */
void h_version(struct request *q);
void h_metrics(struct request *q);
void h_shutdown(struct request *q);
void h_nodes(struct request *q);
void h_node(struct request *q);
void h_node_patch(struct request *q);
void h_drain(struct request *q);
void h_node_remove(struct request *q);
void h_resume(struct request *q);
void h_namespaces(struct request *q);
void h_namespace_put(struct request *q);
void h_jobs(struct request *q);
void h_submit(struct request *q);
void h_plan(struct request *q);
void h_resolve(struct request *q);
void h_job(struct request *q);
void h_spec(struct request *q);
void h_adjust(struct request *q);
void h_cancel(struct request *q);
void h_retry(struct request *q);
void h_release(struct request *q);
void h_why_job(struct request *q);
void h_why(struct request *q);
void h_job_events(struct request *q);
void h_node_events(struct request *q);
void h_logs(struct request *q);
void h_tasks(struct request *q);
void h_task(struct request *q);
void h_output(struct request *q);
void h_blob_put(struct request *q);
int h_blob_piece(struct request *q, const char *p, size_t n);
void h_blob_get(struct request *q);
void h_blobs_missing(struct request *q);
void h_head(struct request *q);
void h_entries(struct request *q);
void h_history(struct request *q);
void h_state(struct request *q);
void h_ledger(struct request *q);
void h_checkpoint(struct request *q);
void h_tile(struct request *q);
void h_proof(struct request *q);
void h_consistency(struct request *q);
void h_keys(struct request *q);
void h_receipt(struct request *q);
void h_publish(struct request *q);
void h_key_rotate(struct request *q);
void h_key_revoke(struct request *q);
void h_witnesses(struct request *q);
void h_witnesses_failed(struct request *q);
void h_cosignatures(struct request *q);
void h_witness(struct request *q);
void h_fabric(struct request *q);
void h_add_checkpoint(struct request *q);
void h_witness_checkpoint(struct request *q);
void h_anchors(struct request *q);
void h_anchor_put(struct request *q);
void h_hub(struct request *q);
void h_hub_set(struct request *q);
void h_hub_token(struct request *q);
void h_hub_revoke(struct request *q);
void h_parent(struct request *q);
void h_join(struct request *q);
void h_leave(struct request *q);
void h_blob_fetch(struct request *q);
void h_blob_send(struct request *q);

#endif
