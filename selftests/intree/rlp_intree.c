// SPDX-License-Identifier: GPL-2.0
/* A patch for in-tree livepatch. */
#include "../lib/rlp_patch.h"
