// SPDX-License-Identifier: GPL-2.0
/* everything.h, with room for a few functions. */
#define NR_STUBS 32
#include "everything.h"
