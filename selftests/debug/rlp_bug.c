// SPDX-License-Identifier: GPL-2.0
/*
 * Commits one bug on purpose in its init function:
 *
 *	insmod rlp_bug.ko what=use-after-free
 *
 * Loading succeeds, unless there is no bug with this name. The test checks what the
 * kernel logs.
 */
#include <linux/debugobjects.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static char *what = "";
module_param(what, charp, 0444);

static volatile unsigned int sink;
static unsigned int shared;

/* Hide the read from the compiler. */
static noinline unsigned char read_byte(const unsigned char *at)
{
	return READ_ONCE(*at);
}

static void use_after_free(void)
{
	unsigned char *mem = kmalloc(128, GFP_KERNEL);

	kfree(mem);
	sink = read_byte(mem + 8);
}

static void beyond_the_end(void)
{
	unsigned char *mem = kmalloc(123, GFP_KERNEL);

	sink = read_byte(mem + 123);
	kfree(mem);
}

static void beyond_vmalloc(void)
{
	unsigned char *mem = vmalloc(2 * PAGE_SIZE - 64);

	sink = read_byte(mem + 2 * PAGE_SIZE - 60);
	vfree(mem);
}

static void sleep_in_atomic(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static void bad_list(void)
{
	LIST_HEAD(head);
	struct list_head entry;

	list_add(&entry, &head);
	list_add(&entry, &head);
}

static void empty_callback(struct timer_list *timer)
{
}

static void freed_timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	timer_setup(timer, empty_callback, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	/* The timer is still active. Debug objects report this, and remove the timer. */
	kfree(timer);
}

static void bad_shift(void)
{
	static volatile int width = 40;

	sink = 1 << width;
}

static void no_read_side(void)
{
	static void __rcu *pointer;

	sink = rcu_dereference(pointer) != NULL;
}

static void leak(void)
{
	static void *volatile mem;

	mem = kmalloc(200, GFP_KERNEL);
	mem = NULL;
}

static void lock_order(void)
{
	static DEFINE_MUTEX(one);
	static DEFINE_MUTEX(two);

	mutex_lock(&one);
	mutex_lock(&two);
	mutex_unlock(&two);
	mutex_unlock(&one);
	mutex_lock(&two);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&two);
}

static int count_up(void *unused)
{
	while (!kthread_should_stop()) {
		shared++;
		cond_resched();
	}
	return 0;
}

static void race(void)
{
	struct task_struct *other = kthread_run(count_up, NULL, "rlp_bug");
	unsigned long end = jiffies + 5 * HZ;

	if (IS_ERR(other))
		return;
	while (time_before(jiffies, end)) {
		shared++;
		cond_resched();
	}
	kthread_stop(other);
}

static const struct {
	const char *name;
	void (*commit)(void);
} bugs[] = {
	{ "use-after-free", use_after_free },
	{ "beyond-the-end", beyond_the_end },
	{ "beyond-vmalloc", beyond_vmalloc },
	{ "sleep-in-atomic", sleep_in_atomic },
	{ "bad-list", bad_list },
	{ "freed-timer", freed_timer },
	{ "bad-shift", bad_shift },
	{ "no-read-side", no_read_side },
	{ "leak", leak },
	{ "lock-order", lock_order },
	{ "race", race },
};

static int __init bug_init(void)
{
	for (int i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!strcmp(bugs[i].name, what)) {
			bugs[i].commit();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit bug_exit(void)
{
}

module_init(bug_init);
module_exit(bug_exit);
MODULE_DESCRIPTION("Selftest: bugs that a debug kernel finds");
MODULE_LICENSE("GPL");
