// SPDX-License-Identifier: GPL-2.0
#include "rlp_patch.h"

MODULE_INFO(level, "3");
/* More than a page of text. */
#define CVES_10(n) \
	" CVE-2026-" n "0 CVE-2026-" n "1 CVE-2026-" n "2 CVE-2026-" n "3 CVE-2026-" n "4" \
	" CVE-2026-" n "5 CVE-2026-" n "6 CVE-2026-" n "7 CVE-2026-" n "8 CVE-2026-" n "9"
#define CVES_100(n) \
	CVES_10(n "0") CVES_10(n "1") CVES_10(n "2") CVES_10(n "3") CVES_10(n "4") \
	CVES_10(n "5") CVES_10(n "6") CVES_10(n "7") CVES_10(n "8") CVES_10(n "9")
MODULE_INFO(cves, "CVE-2026-0003" CVES_100("10") CVES_100("11") CVES_100("12") CVES_100("13"));
