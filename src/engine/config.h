/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - the node's own configuration, STATE/config.yaml: strict, every mistake with its line.
 *
 * Not job files (core/jobspec). Everything has a default, so an absent file is a complete configuration.
 * Pure but for config_load(), which reads one file. Keys:
 *
 *	name: press-4                       # the node's name; default: the host name
 *	labels: {hall: north}
 *	ledger:
 *	  origin: example.com/press-4       # the log's name for life, before the first start; default: NAME/osier-XXXXXXXX
 *	  policy: trust.policy              # whose cosignatures are asked for: a tlog-policy with witnesses and their addresses
 *	  witness: logs.policy              # which logs of others this node cosigns: lines 'log VKEY'; both in the state folder
 *	  fabric: {every: 60s}              # how often, at most, hub and node cosign each other's log when it has grown; no: never
 *	  listen: 127.0.0.1:8700            # where strangers read the log over HTTP; default: nowhere
 *	  entries: public                   # with its entries, which hold commands; default: owner, only hashes
 *	  # heads of the log for strangers to find: on a chain, stamped by an authority (RFC 3161), in OpenTimestamps' calendars
 *	  anchors: [{chain: {rpc: https://HOST, id: 1, contract: 0x..., every: 1h, fee: 50gwei}}, {authority: {url: https://HOST, ca: /FILE}},
 *	            {calendars: {urls: [https://HOST]}}]
 *	record: postgres://osier@db.example.com/osier   # where a hub's journal lies; default: in the state folder
 *	standby: yes                        # while another engine holds the record, follow it, and take over when that one is gone
 *	address: 10.0.0.4                   # by which other nodes reach this one; default: from where it reaches its hub
 *	gang: {ports: 7500-7999}            # where the first member of a gang may listen for the others
 *	capacity: {cpu: 6, memory: 12GiB}   # instead of what was probed; named pools are made here too: {licence: 3}
 *	devices:
 *	  add: [{resource: laser, id: L-17, model: TruMark 6030, share: 1}]   # share: how much of 1 it offers
 *	  hide: [GPU-3f2a, gpu/1]           # by id or resource/index, as `osier nodes --resources` shows them
 *	  rename: {gpu/0: vision, fpga: accel}   # a device, or a whole resource
 *	namespaces: {team-a: {weight: 3, quota: {cpu: 8, memory: 16GiB}}}
 *	history: {age: 30d, bytes: 1GiB}    # finished jobs beyond either are forgotten, oldest first
 *	blobs: {age: 7d, bytes: 10GiB}      # blobs that no kept job names go at this age; no more than so many bytes are stored
 *	                                    # (default: what the disk holds)
 *	link: {bytes: 2GiB, per: 1d, hours: 22-06, cost: 5}   # what tasks' files may come over it; hours in UTC, cost of a GiB in points;
 *	                                    # neighbours: no, or the port where other nodes of the hub get files from here
 *	scheduling: {pack: balance}         # of jobs that do not say: binpack, spread or balance; default: the first node that fits
 *	limits: {memory: 8GiB, jobs: 100000, leases: 65536, reserve: 64MiB}
 */
#ifndef OSIER_ENGINE_CONFIG_H
#define OSIER_ENGINE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/anchor.h"
#include "core/jobspec.h"

#define CONFIG_NAME_MAX    63u
#define CONFIG_ANCHORS_MAX 8u
#define CONFIG_URLS_MAX    8u
#define ORIGIN_MAX         120u /* bytes of a log's name */
#define LISTEN_MAX         64u  /* of an address and a port */

struct config_amount {
	const char *resource;
	uint64_t amount; /* memory, disk: bytes; else thousandths */
};

struct config_device {
	const char *resource, *id, *model;
	uint64_t milli;
};

struct config_rename {
	const char *from, *to;
};

struct config_namespace {
	const char *name;
	uint32_t weight;
	struct config_amount *quota, *local;
	size_t n_quota, n_local;
	uint64_t lend_ns; /* 0: as the core has it */
};

enum config_anchor_kind { CONFIG_CHAIN, CONFIG_AUTHORITY, CONFIG_CALENDARS };
struct config_anchor {
	enum config_anchor_kind kind;
	const char **urls; /* of the chain's nodes, of the authority (one), of the calendars */
	size_t n_urls;
	uint64_t every_ns, timeout_ns;
	const char *ca;             /* PEM: an authority's roots; else of TLS; NULL: the system's */
	struct anchor_config chain; /* CONFIG_CHAIN; `from` is not filled in */
	bool has_contract;
	uint32_t least; /* CONFIG_CALENDARS: so many must answer */
};

struct config_link {
	uint64_t bytes, per_ns;    /* bytes 0: no limit */
	uint32_t from_min, to_min; /* of the day, UTC; equal: always */
	uint32_t cost;
	uint32_t
	        neighbours; /* the port where they get blobs; 0: 7444, or any when that is taken; CONFIG_NO_NEIGHBOURS */
};
#define CONFIG_NO_NEIGHBOURS UINT32_MAX
#define CONFIG_MIRROR        (1ull << 30) /* bytes */

struct config {
	const char *name;             /* "": the host name */
	const char *origin;           /* of the ledger's log; "": made from the name */
	const char *policy, *witness; /* files; "": none */
	uint64_t fabric_ns;           /* hub and node cosign each other's heads so often, at most; 0: not */
	uint64_t mirror_bytes; /* a hub keeps so much of each node's log, and a node shows its own; 0: not */
	bool mirror_said;      /* also over a link with a budget */
	struct config_anchor *anchors;
	size_t n_anchors;
	const char *record; /* where the journal lies, "postgres://..."; "": as the state folder says */
	bool standby;       /* of the record: wait while another engine holds it */
	const char *ledger_listen;      /* "ADDRESS:PORT" where strangers read the log; "": nowhere */
	bool ledger_entries_public;     /* its entries, too */
	const char *address;            /* "": as it is found out */
	uint32_t gang_port, gang_ports; /* so many ports from that one on; 0: the usual ones */
	struct config_rename *labels;   /* from: key, to: value */
	size_t n_labels;
	struct config_amount *capacity;
	size_t n_capacity;
	struct config_device *add;
	size_t n_add;
	const char **hide;
	size_t n_hide;
	struct config_rename *rename;
	size_t n_rename;
	struct config_namespace *namespaces;
	size_t n_namespaces;
	uint64_t history_age_ns, history_bytes;
	uint64_t blobs_age_ns, blobs_bytes;
	uint64_t memory_bytes;         /* address space of the core; pages are used as needed */
	uint32_t jobs_max, leases_max; /* 0: engine_limits_default() */
	struct config_link link;
	uint32_t pack;               /* Wire__JobSpec__Pack of jobs that do not say */
	uint64_t disk_reserve_bytes; /* submissions are refused when less is free */
};

void config_default(struct config *c);

/* Fill in *c from a document (NULL: the defaults); lists live in the arena, names are
 * the document's. < 0: ERR_INVALID, the message begins
 * with "SOURCE:LINE:COLUMN: ", or ERR_FULL. */
int config_from_doc(
        struct arena *a, const struct doc *root, const char *source, struct config *c, struct err *e);

/* Read the file. `optional`: an absent file gives the defaults. */
int config_load(struct arena *a, const char *path, bool optional, struct config *c, struct err *e);

/* "1.5", "12GiB", "30d": < 0 when it is none. Bytes take K, M, G, T with iB or B or nothing (all binary but KB, MB, GB, TB);
 * times ms, s, m, h, d. */
int config_bytes(const char *text, uint64_t *out);
/* "22-06", "22:30-06:00": minutes of the day. */
int config_hours(const char *text, uint32_t *out_from, uint32_t *out_to);
bool config_label_reserved(const char *key);
int config_milli(const char *text, uint64_t *out);
int config_ns(const char *text, uint64_t *out);

#endif
