// SPDX-License-Identifier: GPL-2.0
/* on_each_cpu() is inline, and local_irq_save() is a macro. */
#include <linux/irqflags.h>
#include <linux/smp.h>

#include "helpers.h"

unsigned long notrace rlp_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void notrace rlp_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

/* Context: process context, interrupts on. Waits until every online CPU has run @fn. */
void rlp_on_each_cpu(void (*fn)(void *info), void *info)
{
	on_each_cpu(fn, info, 1);
}
