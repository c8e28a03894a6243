// SPDX-License-Identifier: GPL-2.0
#define LEVEL 4
#define FIXED "CVE-2026-0001 CVE-2026-0002 CVE-2026-0004"
#define TARGET
#include "level.h"
