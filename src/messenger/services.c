/* SPDX-License-Identifier: Apache-2.0 */
/* services - what the messenger does; one file each. */
#include "messenger/services.h"

#include <stddef.h>

const struct service *const messenger_services[] = {
        &service_anchors,
        &service_stamps,
        &service_witnesses,
        NULL,
};
