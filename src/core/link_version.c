/* SPDX-License-Identifier: Apache-2.0 */
/* link_version - alone in its file: a program that defines it itself is one of another version (test/fleet/meson.build). Pure. */
#include "core/link.h"

const uint32_t link_version = LINK_VERSION;
