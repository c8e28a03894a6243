// SPDX-License-Identifier: GPL-2.0
/* A module that does not say that it is a patch. */
#define RLP_UNTAGGED
#include "rlp_patch.h"
