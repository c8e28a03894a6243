// SPDX-License-Identifier: GPL-2.0
/* everything.h, with room for all system calls, or for thousands of functions. */
#define NR_STUBS 2560
#include "everything.h"
