/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_broker - `osier hub broker FOLDER`: what a mosquitto that osier did not start must be given to carry this hub's links.
 *
 * Not the hub's own broker (engine/broker.h), and nothing that a running broker is told: whoever runs it has it read the files. In the folder,
 * which belongs to whoever will read it, it leaves
 *	osier.conf                to be included in the broker's configuration
 *	mosquitto.acl             who may do what; nodes that were removed may nothing
 *	ca.crt crl.pem            the hub's authority, and which certificates count no more
 *	server.crt server.key     for the host that `osier hub --broker` named, by that authority: nodes trust no other
 */
#ifndef OSIER_CLI_HUB_BROKER_H
#define OSIER_CLI_HUB_BROKER_H

#include "cli/cli.h"

/* Needs the node up (it knows who is shut out) and the right to read its state folder. Said again it renews what has to be. Returns an exit code. */
int hub_broker(struct cli *c, const char *folder);

#endif
