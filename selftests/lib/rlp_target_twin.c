// SPDX-License-Identifier: GPL-2.0
/* The second function with the name twin_show in the module. The first is in rlp_target_main.c. */
#include <linux/seq_file.h>

#include "rlp_target.h"

static noinline __noclone int twin_show(struct seq_file *m, void *v)
{
	seq_puts(m, "second twin\n");
	return 0;
}

int (*const rlp_target_second_twin)(struct seq_file *m, void *v) = twin_show;
