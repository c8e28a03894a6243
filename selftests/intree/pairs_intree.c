// SPDX-License-Identifier: GPL-2.0
#include "../transition/pairs_patch.c"
