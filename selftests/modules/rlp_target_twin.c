// SPDX-License-Identifier: GPL-2.0
/* The second function of this name in the module. */
#include <linux/seq_file.h>

#include "rlp_target.h"

static noinline __noclone int twin_show(struct seq_file *m, void *v)
{
	seq_puts(m, "second twin\n");
	return 0;
}

int (*const rlp_target_second_twin)(struct seq_file *m, void *v) = twin_show;
