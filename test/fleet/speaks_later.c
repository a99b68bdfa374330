/* SPDX-License-Identifier: Apache-2.0 */
/* speaks_later - makes an osier whose links speak two minor versions later, for tests of upgrades: the linker takes this for that of core/link_version.c. */
#include "core/link.h"

const uint32_t link_version = LINK_VERSION + 2;
