/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A patch that replaces the functions that its parameters select. The replacements behave as the
 * originals do. Examples:
 *
 *	insmod rlp_everything.ko match='__x64_sys_*;schedule' skip='__x64_sys_n*'
 *	insmod rlp_everything.ko random=300 seed=4711
 *
 * match=PATTERN;...
 *	Select all functions of vmlinux with an fentry site whose name matches a pattern. "*" and
 *	"?" are as in the shell.
 * random=NUMBER seed=NUMBER
 *	Select this number of other functions at random.
 * skip=PATTERN;...
 *	Select no function whose name matches a pattern.
 * replace=Y
 *	The patch replaces all other patches.
 *
 *	cat /proc/rlp_everything
 *		a line "CALLS NAME" for each function
 *
 * The replacement of each function is a stub of its own. The stub counts the call, and jumps to
 * the original function behind its fentry site. All registers and the stack are as at the entry of
 * the original. So any function with an fentry site can be replaced, whatever its type is, and in
 * whatever context it is called.
 *
 * The jump of a stub has the form of a static call's trampoline, with a key of its own: the kernel
 * itself sets its destination. The destination is reached by a direct jump, so it needs no ENDBR.
 * The prefix __SCT__ makes objtool accept the bytes behind the jump.
 *
 * The including file defines NR_STUBS.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ftrace.h>
#include <linux/glob.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/static_call.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/stringify.h>
#include <linux/vmalloc.h>
#include <asm/ibt.h>
#include <asm/text-patching.h>

/* The "incl" in front of the jump has 6 bytes: opcode, ModRM, and a displacement of 32 bits. */
#define STUB_JUMP	(ENDBR_INSN_SIZE + 6)

/*
 * Each stub increments its own counter. If two CPUs call the stub at the same time, one of the
 * calls may not be counted, which does no harm.
 */
extern unsigned int rlp_stub_calls[NR_STUBS];
unsigned int rlp_stub_calls[NR_STUBS];
extern void *const rlp_stubs[NR_STUBS];

/* The destination of a stub until it has another. */
void rlp_stub_unset(void);
void rlp_stub_unset(void)
{
	WARN_ONCE(1, "a stub without a destination was called\n");
}

asm(".altmacro\n"
    ".macro rlp_stub number\n"
    ".pushsection .text\n"
    ".balign 16, 0xcc\n"
    ".globl __SCT__rlp_stub_\\number\n"
    ".type __SCT__rlp_stub_\\number, @function\n"
    "__SCT__rlp_stub_\\number:\n"
    ASM_ENDBR
    "incl rlp_stub_calls + 4 * \\number(%rip)\n"
    ".byte 0xe9\n"
    ".long rlp_stub_unset - . - 4\n"
    ".byte 0x0f, 0xb9, 0xcc\n"		/* the mark of a static call's trampoline */
    ".size __SCT__rlp_stub_\\number, . - __SCT__rlp_stub_\\number\n"
    ".popsection\n"
    ".quad __SCT__rlp_stub_\\number\n"
    ".endm\n"
    ".pushsection .rodata, \"a\"\n"
    ".balign 8\n"
    "rlp_stubs:\n"
    ".set rlp_stub_next, 0\n"
    ".rept " __stringify(NR_STUBS) "\n"
    "rlp_stub %rlp_stub_next\n"
    ".set rlp_stub_next, rlp_stub_next + 1\n"
    ".endr\n"
    ".popsection\n"
    ".noaltmacro\n");

static struct static_call_key keys[NR_STUBS];
static unsigned long sites[NR_STUBS];
static unsigned int nr_stubs;

static struct klp_func funcs[NR_STUBS + 1];
static struct klp_object objs[] = {
	{ .funcs = funcs },
	{ }
};
static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

/* The names of the functions. */
static char names[64 * NR_STUBS];
static size_t names_len;

static char match[8192];
module_param_string(match, match, sizeof(match), 0);

static char skip[16384];
module_param_string(skip, skip, sizeof(skip), 0);

static unsigned int random;
module_param(random, uint, 0);

static unsigned int seed;
module_param(seed, uint, 0);

static bool replace;
module_param(replace, bool, 0);

/*
 * Functions of the kernel that are not exported. As in the loader, a kprobe finds the address of
 * kallsyms_lookup_name(), which finds the other functions. This module calls all of them by static
 * calls.
 */
static unsigned long closed_lookup(const char *name)
{
	return 0;
}

static int closed_each(int (*fn)(void *, const char *, unsigned long), void *data)
{
	return -ENOENT;
}

static int closed_each_match(int (*fn)(void *, unsigned long), const char *name, void *data)
{
	return -ENOENT;
}

static unsigned long closed_location(unsigned long ip)
{
	return 0;
}

DEFINE_STATIC_CALL(rlp_every_lookup, closed_lookup);
DEFINE_STATIC_CALL(rlp_every_each, closed_each);
DEFINE_STATIC_CALL(rlp_every_each_match, closed_each_match);
DEFINE_STATIC_CALL(rlp_every_location, closed_location);

/* Returns the start of a function. The address of its kprobe may be behind the ENDBR. */
static unsigned long start_of(unsigned long addr)
{
#ifdef CONFIG_X86_KERNEL_IBT
	u32 insn;

	if (!get_kernel_nofault(insn, (u32 *)(addr - ENDBR_INSN_SIZE)) && __is_endbr(insn))
		addr -= ENDBR_INSN_SIZE;
#endif
	return addr;
}

static int open_kallsyms(void)
{
	struct kprobe probe = {
		.symbol_name = "kallsyms_lookup_name",
		.flags = KPROBE_FLAG_DISABLED,
	};
	unsigned long each_addr, each_match_addr, location_addr;
	int ret = register_kprobe(&probe);

	if (ret)
		return ret;
	static_call_update(rlp_every_lookup,
			   (typeof(&closed_lookup))start_of((unsigned long)probe.addr));
	unregister_kprobe(&probe);
	each_addr = static_call(rlp_every_lookup)("kallsyms_on_each_symbol");
	each_match_addr = static_call(rlp_every_lookup)("kallsyms_on_each_match_symbol");
	location_addr = static_call(rlp_every_lookup)("ftrace_location");
	if (!each_addr || !each_match_addr || !location_addr)
		return -ENOENT;
	static_call_update(rlp_every_each, (typeof(&closed_each))each_addr);
	static_call_update(rlp_every_each_match, (typeof(&closed_each_match))each_match_addr);
	static_call_update(rlp_every_location, (typeof(&closed_location))location_addr);
	return 0;
}

/* Check whether @name matches one of @patterns, which are separated by semicolons. */
static bool matches(const char *patterns, const char *name)
{
	char pattern[KSYM_NAME_LEN];

	while (*patterns) {
		size_t len = strcspn(patterns, ";");

		if (len < sizeof(pattern)) {
			memcpy(pattern, patterns, len);
			pattern[len] = 0;
			if (glob_match(pattern, name))
				return true;
		}
		patterns += len;
		patterns += *patterns == ';';
	}
	return false;
}

struct position {
	unsigned long addr, sympos;
};

static int count_position(void *data, unsigned long addr)
{
	struct position *position = data;

	position->sympos++;
	return addr == position->addr;
}

static int add_function(unsigned long addr)
{
	struct position position = { .addr = addr };
	unsigned long site = static_call(rlp_every_location)(addr);
	struct klp_func *func = &funcs[nr_stubs];
	char text[KSYM_SYMBOL_LEN];
	unsigned int nr;
	ssize_t len;

	if (!site)
		return 0;
	/* A function with several names is passed once for each name. */
	for (nr = 0; nr < nr_stubs; nr++)
		if (sites[nr] == site)
			return 0;
	if (nr_stubs == NR_STUBS)
		return -ENOSPC;
	sprint_symbol_no_offset(text, addr);
	if (matches(skip, text))
		return 0;
	if (static_call(rlp_every_each_match)(count_position, text, &position) != 1)
		return -ENOENT;
	len = strscpy(names + names_len, text, sizeof(names) - names_len);
	if (len < 0)
		return -ENOSPC;
	func->old_name = names + names_len;
	func->old_sympos = position.sympos;
	func->new_func = rlp_stubs[nr_stubs];
	sites[nr_stubs++] = site;
	names_len += len + 1;
	return 0;
}

#define MAX_CANDIDATES	(1U << 20)

struct candidates {
	unsigned long *addrs;
	unsigned int nr;
};

/* Symbols are passed in the order of their addresses, so aliases follow each other. */
static int collect(void *data, const char *name, unsigned long addr)
{
	struct candidates *all = data;

	if (matches(match, name))
		return add_function(addr);
	if (!random)
		return 0;
	if (all->nr && all->addrs[all->nr - 1] == addr)
		return 0;
	if (all->nr == MAX_CANDIDATES)
		return -ENOSPC;
	all->addrs[all->nr++] = addr;
	return 0;
}

static int choose_functions(void)
{
	struct candidates all = {
		.addrs = vmalloc_array(MAX_CANDIDATES, sizeof(*all.addrs)),
	};
	struct rnd_state rnd;
	unsigned int nr, wanted;
	int ret;

	if (!all.addrs)
		return -ENOMEM;
	prandom_seed_state(&rnd, seed);
	ret = static_call(rlp_every_each)(collect, &all);
	wanted = nr_stubs + random;
	while (!ret && all.nr && nr_stubs < wanted) {
		nr = prandom_u32_state(&rnd) % all.nr;
		ret = add_function(all.addrs[nr]);
		all.addrs[nr] = all.addrs[--all.nr];
		cond_resched();
	}
	vfree(all.addrs);
	return ret;
}

static int calls_show(struct seq_file *m, void *v)
{
	unsigned int nr;

	for (nr = 0; nr < nr_stubs; nr++)
		seq_printf(m, "%u %s\n", READ_ONCE(rlp_stub_calls[nr]), funcs[nr].old_name);
	return 0;
}

static int __init everything_init(void)
{
	unsigned int nr;
	int ret;

	ret = open_kallsyms() ?: choose_functions();
	if (ret)
		return ret;
	for (nr = 0; nr < nr_stubs; nr++) {
		void *jump = rlp_stubs[nr] + STUB_JUMP;

		__static_call_update(&keys[nr], jump, (void *)sites[nr] + CALL_INSN_SIZE);
	}
	if (!proc_create_single(KBUILD_MODNAME, 0400, NULL, calls_show))
		return -ENOMEM;
	patch.replace = replace;
	ret = klp_enable_patch(&patch);
	if (ret)
		remove_proc_entry(KBUILD_MODNAME, NULL);
	return ret;
}

static void __exit everything_exit(void)
{
	remove_proc_entry(KBUILD_MODNAME, NULL);
}

module_init(everything_init);
module_exit(everything_exit);
MODULE_DESCRIPTION("Selftest: any functions are replaced by stubs");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
