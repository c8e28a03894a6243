// SPDX-License-Identifier: GPL-2.0
#define TAG 1
#include "moves_patch.h"
