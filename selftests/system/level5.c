// SPDX-License-Identifier: GPL-2.0
/* The kernel panics 30 s after this patch was enabled. */
#include <linux/panic.h>
#include <linux/workqueue.h>

static void level_panics(struct work_struct *work)
{
	panic("level 5 panics");
}

static DECLARE_DELAYED_WORK(panic_work, level_panics);

#define LEVEL 5
#define FIXED "CVE-2026-0001 CVE-2026-0002 CVE-2026-0005"
#define ON_INIT schedule_delayed_work(&panic_work, 30 * HZ)
#define ON_EXIT cancel_delayed_work_sync(&panic_work)
#include "level.h"
