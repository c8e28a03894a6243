// SPDX-License-Identifier: GPL-2.0
/*
 * Make room for bpf programs on functions that jump.
 *
 * ftrace allows one direct target for each function. A function that jumps has the loader's
 * direct target, and the trampoline of a bpf program is a direct target, too: bpf gets
 * -EINVAL for a function that jumps. The kernel does not ask the owner of a direct target
 * to make room for another one.
 *
 * So the loader watches the functions with which bpf attaches programs. It does not watch
 * bpf_trampoline_link_cgroup_shim(), which attaches programs only to functions bpf_lsm_*().
 * Each watched function gets a direct target of the loader: a stub that calls the loader and
 * then returns to the function. In the call, the loader demotes the function to which bpf is
 * about to attach a program. The handler and the bpf program can share the function.
 */
#include <linux/bpf.h>
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/linkage.h>
#include <linux/rcupdate.h>

#include "arch.h"
#include "bpf.h"
#include "gate.h"
#include "helpers.h"

#ifdef RLP_WATCHES_BPF

#include <asm/asm-offsets.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>

/* The number of tasks that call the loader. */
static atomic_t callers = ATOMIC_INIT(0);

/* For the meaning of @function see rlp_rust_before_attach(). */
static void call_loader(unsigned long function)
{
	/* No ordering: RCU-tasks orders this before the read in rlp_bpf_wait(). */
	atomic_inc(&callers);
	rlp_rust_before_attach(function);
	/* Release, pairs with the acquire in rlp_bpf_wait(): the loader is not in use any more. */
	(void)atomic_fetch_dec_release(&callers);
}

/*
 * The arguments are those of bpf_trampoline_link_prog(). bpf_trampoline_get() has set the
 * address of the function to which the program is to be attached. It does not change.
 */
void rlp_before_link(void *node, const struct bpf_trampoline *trampoline)
{
	call_loader((unsigned long)trampoline->func.addr);
}

/* bpf_trampoline_multi_attach() attaches one program to any number of functions. */
void rlp_before_multi_attach(void)
{
	call_loader(0);
}

/*
 * Define a stub that calls @callee with the arguments of the watched function, and then
 * returns to that function, with the same arguments. The stub returns to the address on the
 * stack. If the watched function is live patched, ftrace has put the address of the
 * replacement there.
 *
 * The address must be even. ftrace takes the lowest bit for a flag: the watched function would
 * jump to the stub, which would return to the caller of that function.
 */
#define DEFINE_STUB(stub, callee)					\
	asm("	.pushsection .text, \"ax\", @progbits\n"		\
	    "	" ASM_FUNC_ALIGN "\n"					\
	    "	.type	" #stub ", @function\n"				\
	    "	.globl	" #stub "\n"					\
	    #stub ":\n"							\
	    ASM_ENDBR							\
	    "	pushq	%rbp\n"						\
	    "	movq	%rsp, %rbp\n"					\
	    CALL_DEPTH_ACCOUNT						\
	    "	pushq	%rdi\n"						\
	    "	pushq	%rsi\n"						\
	    "	pushq	%rdx\n"						\
	    "	pushq	%rcx\n"						\
	    "	pushq	%r8\n"						\
	    "	pushq	%r9\n"						\
	    "	call	" #callee "\n"					\
	    "	popq	%r9\n"						\
	    "	popq	%r8\n"						\
	    "	popq	%rcx\n"						\
	    "	popq	%rdx\n"						\
	    "	popq	%rsi\n"						\
	    "	popq	%rdi\n"						\
	    "	leave\n"						\
	    ASM_RET							\
	    "	.size	" #stub ", . - " #stub "\n"			\
	    "	.popsection\n")

DEFINE_STUB(rlp_stub_link, rlp_before_link);
DEFINE_STUB(rlp_stub_multi_attach, rlp_before_multi_attach);

static const struct watch {
	void **function;
	void (*stub)(void);
} watches[] = {
	{ &rlp_gate_addr_bpf_trampoline_link_prog, rlp_stub_link },
	{ &rlp_gate_addr_bpf_trampoline_multi_attach, rlp_stub_multi_attach },
};

/* Return: the site of the watched function, or 0 if the kernel has no such function. */
static unsigned long site_of(const struct watch *watch)
{
	unsigned long addr = (unsigned long)*watch->function;

	return addr ? rlp_ftrace_site(addr, RLP_ARCH_MAX_SITE_OFFSET + 1) : 0;
}

/*
 * Whether the stubs are attached. The caller of rlp_bpf_watch() serializes the writers. A writer
 * sets this after the stubs were attached, and clears it before they are detached. ftrace calls
 * the reader, rlp_bpf_is_watched(), when another user redirects a function that has a stub. During
 * a change of the stubs, the reader may see false: that user gets -EBUSY then.
 */
static bool watching;
/* Whether the stubs were ever attached. The caller of rlp_bpf_watch() serializes the accesses. */
static bool was_ever_watching;

/* Whether the function at the fentry site @ip has a stub. Context: any. */
bool rlp_bpf_is_watched(unsigned long ip)
{
	/* Pairs with the WRITE_ONCE() in rlp_bpf_watch(). No other data depends on it. */
	if (!READ_ONCE(watching))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(watches); i++)
		if (site_of(&watches[i]) == ip)
			return true;
	return false;
}

/**
 * rlp_bpf_watch() - watch the functions that attach bpf programs, or stop that
 * @ops: registered by rlp_direct_change(), and stays so
 * @on: whether they are to be watched
 *
 * Does nothing if @on changes nothing. After a stop, a task may still be in a stub, see
 * rlp_bpf_wait().
 *
 * Context: process context, sleeps. The caller serializes the calls, and those of
 * rlp_bpf_wait(): there is one Batches (rust/kernel/direct.rs) at a time, and its methods take
 * it exclusively.
 * Return: 0; -EOPNOTSUPP if the kernel has no such functions; -ENOMEM; -EINVAL if another
 * user has a direct target on one of the functions; -ENODEV if ftrace has shut itself down.
 */
int rlp_bpf_watch(struct ftrace_ops *ops, bool on)
{
	struct ftrace_hash *hash;
	int ret = -EOPNOTSUPP;

	if (watching == on)
		return 0;
	if (!rlp_gate_has_direct())
		return ret;
	hash = rlp_alloc_ftrace_hash(1);
	if (!hash)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(watches); i++) {
		unsigned long site = site_of(&watches[i]);

		if (!site)
			continue;
		ret = 0;
		if (!rlp_add_ftrace_hash_entry_direct(hash, site,
						      (unsigned long)watches[i].stub)) {
			ret = -ENOMEM;
			break;
		}
	}
	if (!ret && on) {
		ret = rlp_update_ftrace_direct_add(ops, hash);
		if (!ret) {
			was_ever_watching = true;
			WRITE_ONCE(watching, true);
		}
	} else if (!ret) {
		WRITE_ONCE(watching, false);
		ret = rlp_update_ftrace_direct_del(ops, hash);
		if (ret)
			WRITE_ONCE(watching, true);
	}
	rlp_free_ftrace_hash(hash);
	return ret;
}

/**
 * rlp_bpf_wait() - wait until no task is in a stub any more
 *
 * Called after rlp_bpf_watch() has stopped watching. A task in a stub may be in the call of
 * the loader. It is counted there, and may sleep. Otherwise the task is in the part of the
 * stub before or after that call. It does not sleep there, and RCU-tasks waits for it. After
 * the first wait, no task is before the call any more. After the loop, no task is in the call.
 * After the second wait, no task is in the part after the call.
 *
 * Context: process context, sleeps.
 */
void rlp_bpf_wait(void)
{
	if (!was_ever_watching)
		return;
	synchronize_rcu_tasks();
	/* Acquire, pairs with the release in call_loader(). */
	while (atomic_read_acquire(&callers))
		fsleep(1000);
	synchronize_rcu_tasks();
}

/* Whether the stubs were ever attached. Context: any; serialized as in rlp_bpf_watch(). */
bool rlp_bpf_was_ever_watched(void)
{
	return was_ever_watching;
}

/**
 * rlp_bpf_stay() - never return, if the stubs were ever attached
 *
 * Called while the loader is unloaded, if ftrace has shut itself down. ftrace changes no text
 * then, so the stubs stay attached, and their text must not be freed. The task sleeps like an idle
 * kthread, so it is not reported as hung. For objtool, the function may return: its prototype has
 * no __noreturn, because the function returns in other configurations.
 *
 * Context: process context, sleeps for ever.
 */
void rlp_bpf_stay(void)
{
	while (READ_ONCE(was_ever_watching))
		schedule_timeout_idle(MAX_SCHEDULE_TIMEOUT);
}

#else

bool rlp_bpf_was_ever_watched(void)
{
	return false;
}

void rlp_bpf_stay(void)
{
}

bool rlp_bpf_is_watched(unsigned long ip)
{
	return false;
}

int rlp_bpf_watch(struct ftrace_ops *ops, bool on)
{
	return -EOPNOTSUPP;
}

void rlp_bpf_wait(void)
{
}

#endif
