// SPDX-License-Identifier: GPL-2.0
#define LEVEL 2
#define FIXED "CVE-2026-0001 CVE-2026-0002"
#include "level.h"
