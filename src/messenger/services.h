/* SPDX-License-Identifier: Apache-2.0 */
/* services - the list of what the messenger does. */
#ifndef OSIER_MESSENGER_SERVICES_H
#define OSIER_MESSENGER_SERVICES_H

#include "messenger/messenger.h"

extern const struct service service_witnesses; /* asks witnesses to cosign the log's head */

#endif
