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
 *	  listen: 127.0.0.1:8700            # where strangers read the log over HTTP; default: nowhere
 *	  entries: public                   # with its entries, which hold commands; default: owner, only hashes
 *	  # heads of the log for strangers to find: on a chain, stamped by an authority (RFC 3161), in OpenTimestamps' calendars
 *	  anchors: [{chain: {rpc: https://HOST, id: 1, contract: 0x..., every: 1h, fee: 50gwei}}, {authority: {url: https://HOST, ca: /FILE}},
 *	            {calendars: {urls: [https://HOST]}}]
 *	capacity: {cpu: 6, memory: 12GiB}   # instead of what was probed; named pools are made here too: {licence: 3}
 *	devices:
 *	  add: [{resource: laser, id: L-17, model: TruMark 6030, share: 1}]   # share: how much of 1 it offers
 *	  hide: [GPU-3f2a, gpu/1]           # by id or resource/index, as `osier nodes --resources` shows them
 *	  rename: {gpu/0: vision, fpga: accel}   # a device, or a whole resource
 *	namespaces: {team-a: {weight: 3, quota: {cpu: 8, memory: 16GiB}}}
 *	history: {age: 30d, bytes: 1GiB}    # finished jobs beyond either are forgotten, oldest first
 *	blobs: {age: 7d, bytes: 10GiB}      # blobs that no kept job names go at this age; no more than so many bytes are stored
 *	                                    # (default: what the disk holds)
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
	struct config_amount *quota;
	size_t n_quota;
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

struct config {
	const char *name;             /* "": the host name */
	const char *origin;           /* of the ledger's log; "": made from the name */
	const char *policy, *witness; /* files; "": none */
	struct config_anchor *anchors;
	size_t n_anchors;
	const char *ledger_listen;    /* "ADDRESS:PORT" where strangers read the log; "": nowhere */
	bool ledger_entries_public;   /* its entries, too */
	struct config_rename *labels; /* from: key, to: value */
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
	uint64_t disk_reserve_bytes;   /* submissions are refused when less is free */
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
int config_milli(const char *text, uint64_t *out);
int config_ns(const char *text, uint64_t *out);

#endif
