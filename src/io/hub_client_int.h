/* SPDX-License-Identifier: Apache-2.0 */
/* hub_client_int - what hub_client.c and hub_get.c share. */
#ifndef OSIER_IO_HUB_CLIENT_INT_H
#define OSIER_IO_HUB_CLIENT_INT_H

#include "io/http.h"
#include "io/hub_client.h"

/* stall_ns as in http_options. */
int hub_http(
        const struct hub_self *self, uint64_t stall_ns, bool unverified, struct http **out, struct err *e);
int hub_http_node(const struct hub_self *self, const char *node, struct http **out, struct err *e);
int hub_url(const char *origin, const char *path, char out[HTTP_URL_MAX], struct err *e);
int hub_blob_url(const char *origin, const uint8_t digest[32], char out[HTTP_URL_MAX], struct err *e);
/* Longer with each try; ends early when stopped. */
void hub_pause(unsigned tries, int stop_fd);

#endif
