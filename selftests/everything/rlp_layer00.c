// SPDX-License-Identifier: GPL-2.0
/* everything.h, small: a test loads many copies of this module, each with a name of its own. */
#define NR_STUBS 32
#include "everything.h"
