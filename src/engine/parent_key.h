/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parent_key - by which of its keys the hub knows this node: kept beside the certificate, and how a new one follows.
 *
 * A node that rotates its key is known to its hub by the one it joined with until the hub has taken the new one. It asks for a certificate
 * under the new key, for which the old one vouches (io/join.h); when that has come the new one is said. Blocking; loop thread.
 */
#ifndef OSIER_ENGINE_PARENT_KEY_H
#define OSIER_ENGINE_PARENT_KEY_H

#include <jansson.h>

#include "engine/node_int.h"
#include "engine/parent.h"

/* DIR/node.pub: the key in hexadecimal. false: it is not there, as in folders of before; then it is the node's own. */
bool parent_key_load(const char *dir, uint8_t out[32]);
/* The hub knows us by this key from now on. */
int parent_key_keep(const char *dir, const uint8_t key[32], struct parent_info *i, struct err *e);

/* Into the body of a renewal under another key than the hub knows: that one vouches for it. Without a file of it nothing is added, and the
 * hub refuses in words. */
void parent_key_vouch(struct node *n, const struct parent_info *i, const uint8_t key[32], json_t *body);

/* The certificates in the folder: ours by the CA beside it, for info's node at info's hub, and for our key. Fills in the cert and hub_sha256
 * of info; when it fails nothing of it. told: not client.crt, but this text, which may become it. */
int parent_certificates(const char *dir, const char *told, struct parent_info *info, struct err *e);

#endif
