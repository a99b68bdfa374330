/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_settings - STATE/hub/hub.yaml: what a hub is called, where it is reached. Read by the engine, written by it and by `osier hub --standby`.
 *
 *	name: plant                          # of the hub, for life: it is in every certificate and topic
 *	addresses: [plant.example, 10.0.0.1] # by which nodes reach it; the first stands in the line that is printed
 *	listen: "::"                         # where; numeric
 *	port: 7443
 *	broker: mqtts://mqtt.example:8883    # somebody else's; without it the hub's own, at its addresses
 *	broker_port: 8883                    # of its own
 *	certificates: 24h                    # how long those of nodes are valid (at least 10s: for tests of renewal)
 */
#ifndef OSIER_ENGINE_HUB_SETTINGS_H
#define OSIER_ENGINE_HUB_SETTINGS_H

#include "io/ca.h"

#define HUB_BROKER_PORT 8883u
#define HUB_LIFE_MIN_S  10u
#define HUB_LIFE_MAX_S  (90u * 86400u)
#define HUB_BROKER_MAX  288u

struct hub_settings {
	char name[CERT_NAME_MAX + 1];
	char addresses[CA_NAMES_MAX][254];
	size_t n_addresses;
	char listen[64];
	unsigned port, broker_port;
	char broker[HUB_BROKER_MAX]; /* "": its own */
	uint64_t life_s;
};

/* What a hub is called when nobody says: by the node's name; reached by this machine's addresses and name. */
void hub_settings_default(const char *node_name, struct hub_settings *out);
/* ERR_INVALID: says what. */
int hub_settings_check(const struct hub_settings *s, struct err *e);
/* mqtts://HOST[:PORT]; HUB_BROKER_PORT if it does not say one. ERR_INVALID. */
int hub_broker_url(const char *url, char out_host[254], uint16_t *out_port, struct err *e);
/* The broker of that URL, which always says its port from then on; "": the hub's own. */
int hub_broker_set(struct hub_settings *s, const char *url, struct err *e);
/* Read and write hub.yaml. ERR_NOTFOUND: there is none. */
int hub_settings_load(const char *path, struct hub_settings *out, struct err *e);
int hub_settings_save(const char *path, const struct hub_settings *s, struct err *e);

#endif
