// SPDX-License-Identifier: GPL-2.0
#define LEVEL 3
#define FIXED "CVE-2026-0001 CVE-2026-0002 CVE-2026-0003"
#include "level.h"
