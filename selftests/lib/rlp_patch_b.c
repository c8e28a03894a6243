// SPDX-License-Identifier: GPL-2.0
#include "rlp_patch.h"

RLP_INFO(level, "7");
RLP_INFO(cves, "CVE-2026-0001 CVE-2026-0002");
