// SPDX-License-Identifier: GPL-2.0
#include "../lib/rlp_patch.h"
