/* SPDX-License-Identifier: Apache-2.0 */
/* services - the list of what the messenger does. */
#ifndef OSIER_MESSENGER_SERVICES_H
#define OSIER_MESSENGER_SERVICES_H

#include "messenger/messenger.h"

extern const struct service service_witnesses; /* asks witnesses to cosign the log's head */
extern const struct service service_anchors;   /* puts heads onto chains */
extern const struct service service_stamps;    /* has heads stamped: authorities, calendars */

#endif
