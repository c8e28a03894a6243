// SPDX-License-Identifier: GPL-2.0
/* A patch module without the "livepatch" tag in its modinfo section. */
#define RLP_UNTAGGED
#include "../lib/rlp_patch.h"
