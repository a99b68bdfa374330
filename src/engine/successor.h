/* SPDX-License-Identifier: Apache-2.0 */
/*
 * successor - what a standby keeps current so that it can be the hub: the hub's keys, its own certificates, where the others are.
 *
 * Not following the record (standby.c), nor the first time (cli/hub_standby.h). It asks POST /v1/hub/keys when it starts, soon after an entry of
 * the hub says that keys have changed, and every SUCCESSOR_LOOK_S; at each place where the hub may be, in turn. It says which it has, so after new
 * ones came it asks once more: then the hub knows, and answers who has rotated a key (hub_keys_wait()). A hub that dies
 * before that leaves a standby without the newest key: then it signs with those that it has, if the log lets them, or says
 * that it signs nothing. Loop thread.
 */
#ifndef OSIER_ENGINE_SUCCESSOR_H
#define OSIER_ENGINE_SUCCESSOR_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define SUCCESSOR_LOOK_S 600u

struct node;

/* A node that stands by begins. It is one of a hub only if its folder has the authority; else nothing is done. */
void successor_open(struct node *n);
/* An entry of the hub's. */
void successor_entry(struct node *n, const uint8_t *bytes, size_t size);
/* It takes over, or ends. */
void successor_close(struct node *n);

/* Where else than at `own` the hub may be or may have been, as texts "https://HOST:PORT": what the hub said last while this machine stood by, and
 * all that stand by now. To be freed. */
json_t *successor_places(const struct node *n, const char *own);

#endif
