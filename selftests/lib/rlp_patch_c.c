// SPDX-License-Identifier: GPL-2.0
#include "rlp_patch.h"

MODULE_INFO(level, "3");
MODULE_INFO(cves, "CVE-2026-0003");
