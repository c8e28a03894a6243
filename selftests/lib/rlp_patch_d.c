// SPDX-License-Identifier: GPL-2.0
#include "rlp_patch.h"
