// SPDX-License-Identifier: GPL-2.0
#define TAG 2
#include "moves_patch.h"
