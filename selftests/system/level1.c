// SPDX-License-Identifier: GPL-2.0
#define LEVEL 1
#define FIXED "CVE-2026-0001"
#include "level.h"
