// SPDX-License-Identifier: GPL-2.0
/* A patch for in-tree livepatch. */
#define RLP_IN_TREE
#include "rlp_patch.h"
