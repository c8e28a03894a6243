// SPDX-License-Identifier: GPL-2.0
/* tracepoint_synchronize_unregister() is inline. */
#include <linux/tracepoint.h>

#include "helpers.h"

void rlp_tracepoint_synchronize(void)
{
	tracepoint_synchronize_unregister();
}
