/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_read - reading values out of the configuration's document, each mistake told with its line. Pure.
 */
#ifndef OSIER_ENGINE_CONFIG_READ_H
#define OSIER_ENGINE_CONFIG_READ_H

#include <stdbool.h>

#include <sys/socket.h>

#include "core/jobspec.h"
#include "engine/config.h"

struct config_reader {
	struct arena *arena;
	const char *source;
	struct err *err;
};

/* "SOURCE:LINE:COLUMN: 'KEY' is FOUND, expected EXPECTED". Returns -1. */
int config_bad(struct config_reader *r, const struct doc *d, const char *expected);

/* It is a map, with none but these keys (NULL ends them), none of them twice. An unknown one is told with "did you mean". */
int config_map(struct config_reader *r, const struct doc *d, const char *expected, const char *const *keys);
const struct doc *config_child(const struct doc *map, const char *key);

/* A scalar of min to max bytes without control characters, copied into the arena. */
int config_text(struct config_reader *r, const struct doc *d, size_t min, size_t max, const char **out);
int config_text_of(
        struct config_reader *r, const struct doc *map, const char *key, bool required, const char **out);

/* A whole number in [min, max]. */
int config_count(struct config_reader *r, const struct doc *d, uint64_t min, uint64_t max, uint64_t *out);

/* An amount of the resource: a size for memory and disk, else a number with up to three decimals, in thousandths. */
int config_amount_of(struct config_reader *r, const struct doc *d, const char *resource, uint64_t *out);

/* A name: letters, digits, '-', '_', '.', beginning with a letter or digit. key_name checks the key of d. */
int config_name_ok(struct config_reader *r, const struct doc *d, const char *name);
int config_key_name(struct config_reader *r, const struct doc *d, const char *what);

/* Lists and maps: how many children, and zeroed memory for as many items (*out_items is a pointer to them). */
int config_items(struct config_reader *r, const struct doc *d, enum doc_kind kind, size_t item_bytes,
        void *out_items, size_t *out_n);

/* The list of `ledger: anchors` (config_anchors.c). */
struct config_anchor;
int config_anchors(struct config_reader *r, const struct doc *d, struct config_anchor **out, size_t *out_n);
/* `ledger: fabric`, likewise. */
int config_fabric(struct config_reader *r, const struct doc *d, struct config *c);
/* `link` and `scheduling` (config_place.c); no label may have a key that the node gives itself. */
struct config_link;
int config_link_read(struct config_reader *r, const struct doc *d, struct config_link *l);
int config_scheduling_read(struct config_reader *r, const struct doc *d, uint32_t *out_pack);
int config_labels_ok(struct config_reader *r, const struct doc *d);
/* "127.0.0.1:8700", "[::]:8700": < 0 when it is no numeric address with a port (0: any that is free). */
int config_address(const char *text, struct sockaddr_storage *out, socklen_t *out_n);

/* `address` and `gang`: config_place.c. */
int config_reach_read(struct config_reader *r, const struct doc *root, struct config *c);

#endif
