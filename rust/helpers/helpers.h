/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions for the Rust side that stand for inline functions, macros, and functions that
 * are not exported. bindgen reads this file. Functions that the ftrace handler and the
 * scheduler probe call are notrace.
 */
#ifndef _RLP_HELPERS_H
#define _RLP_HELPERS_H

#include <linux/ftrace.h>
#include <linux/irq_work.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

/* gate.c and gate_calls.c: symbols that vmlinux has but does not export */
struct rlp_gate_symbol {
	const char *name;
	const char *without;	/* what is lost without it; NULL: required */
	bool found;
};

int rlp_gate_open(void);
const struct rlp_gate_symbol *rlp_gate_symbol(unsigned int nr);

int rlp_kallsyms_on_each_match_symbol(int (*fn)(void *data, unsigned long addr),
				      const char *name, void *data);
int rlp_module_kallsyms_on_each_symbol(const char *modname,
				       int (*fn)(void *data, const char *name,
						 unsigned long addr),
				       void *data);
int rlp_kallsyms_lookup_size_offset(unsigned long addr, unsigned long *size,
				    unsigned long *offset);
bool rlp_ftrace_may_have_direct(unsigned long ip);
unsigned long rlp_ftrace_location_range(unsigned long start, unsigned long end);
struct module *rlp_find_module(const char *name, enum module_state *state);
int rlp_stack_walk_reliable(bool (*fn)(void *cookie, unsigned long addr),
			    void *cookie, struct task_struct *task);
int rlp_task_call_func(struct task_struct *task,
		       int (*fn)(struct task_struct *task, void *arg),
		       void *arg);
struct task_struct *rlp_idle_task(int cpu);

/* ftrace.c: the handler, which calls rlp_ftrace_target() or rlp_ftrace_target_unwatched() */
void rlp_ftrace_handler(unsigned long ip, unsigned long parent_ip,
			struct ftrace_ops *ops, struct ftrace_regs *fregs);
unsigned long rlp_ftrace_target(unsigned long ip, struct task_struct *task);
unsigned long rlp_ftrace_target_unwatched(unsigned long ip, struct task_struct *task);
unsigned long rlp_ftrace_holder(unsigned long ip, struct ftrace_ops *ours);
bool rlp_ftrace_alive(void);
bool rlp_ftrace_has_switch(void);
unsigned long rlp_ftrace_site(unsigned long addr, unsigned long size);

/* anchors.c: never called */
void rlp_anchor_handler(void);
void rlp_anchor_jump(void);

/* insn.c */
unsigned int rlp_insn_decode(unsigned long addr, unsigned long room, unsigned long *target);

/* direct.c: makes functions jump */
int rlp_direct_add_one(struct ftrace_ops *ops, unsigned long site, unsigned long target);
int rlp_direct_remove_one(struct ftrace_ops *ops, unsigned long target);
int rlp_direct_change(struct ftrace_ops *ops, const unsigned long *sites,
		      const unsigned long *targets, unsigned int nr, bool add);

/* bpf.c: room for bpf programs on functions that jump */
bool rlp_bpf_is_watched(unsigned long ip);
int rlp_bpf_watch(struct ftrace_ops *ops, bool on);
void rlp_bpf_wait(void);
bool rlp_bpf_was_ever_watched(void);
void rlp_bpf_stay(void);
/* @function: the address of a function, or 0 for all functions. */
void rlp_rust_before_attach(unsigned long function);

/* params.c */
bool rlp_param_debug(void);
bool rlp_param_require_signed(void);
bool rlp_param_promote(void);
unsigned int rlp_param_deadline(void);
unsigned int rlp_param_probation(void);
void rlp_params_set_registered(bool on);
void rlp_rust_params_changed(void);

/* task.c */
void rlp_tasklist_read_lock(void);
void rlp_tasklist_read_unlock(void);
void rlp_visit_tasks(bool (*fn)(void *cookie, struct task_struct *task),
		     void *cookie);
bool rlp_task_is_dead(struct task_struct *task);
bool rlp_task_is_exiting(struct task_struct *task);
int rlp_exiting_on(void);
int rlp_task_runs_on(struct task_struct *task);
bool rlp_task_is_kthread(struct task_struct *task);
void rlp_task_comm(struct task_struct *task, char *buf);
void rlp_task_nudge(struct task_struct *task);
void rlp_task_get(struct task_struct *task);
unsigned long rlp_new_tasks_lock(void);
void rlp_new_tasks_unlock(unsigned long flags);

/* tracepoint.c */
void rlp_tracepoint_synchronize(void);

/* module.c */
bool rlp_pin_loader(void);
bool rlp_module_kobject_get(struct module *mod);
void rlp_module_kobject_put(struct module *mod);
const char *rlp_module_name(const struct module *mod);
bool rlp_module_is_livepatch(const struct module *mod);
bool rlp_module_is_live(const struct module *mod);
bool rlp_module_lacks_sites(const struct module *mod);
bool rlp_module_sig_ok(const struct module *mod);
unsigned long rlp_module_text(const struct module *mod, unsigned long *size);
bool rlp_module_is_init_text(const char *name, unsigned long addr);

/* lists.c */
struct klp_patch;

void rlp_klp_make_lists(struct klp_patch *patch);
void rlp_klp_empty_lists(struct klp_patch *patch);

/* relocs.c */
int rlp_module_relocate(struct module *patch, const char *object, bool apply);

/* worker.c: runs one function in process context, at the request of any context */
struct rlp_worker {
	struct work_struct work;
	struct timer_list timer;
	struct irq_work kick;
	void (*run)(void);
	bool started;
};

void rlp_worker_start(struct rlp_worker *worker, void (*run)(void));
void rlp_worker_kick(struct rlp_worker *worker);
void rlp_worker_after(struct rlp_worker *worker, unsigned int ms);
void rlp_worker_close(struct rlp_worker *worker);
void rlp_worker_stop(struct rlp_worker *worker);

/*
 * shadow.c: the header of memory that is attached to an address. The memory follows the
 * header, and is aligned to 16 bytes. In-tree it has the same alignment, because the header
 * there has 48 bytes.
 */
struct rlp_side {
	struct rcu_head rcu;
	struct rlp_side *next;
	void *obj;
	unsigned long id;
} __aligned(16);

unsigned long rlp_side_lock(void);
void rlp_side_unlock(unsigned long flags);
struct rlp_side *rlp_side_alloc(size_t size, gfp_t gfp);
void rlp_side_free(struct rlp_side *side);
void rlp_side_free_rcu(struct rlp_side *side);
void rlp_shadow_report_duplicate(void *obj, unsigned long id);
void rlp_shadow_report_constructor(void *obj, unsigned long id, int err);

/* audit.c */
void rlp_audit(const char *patch, const char *event, const char *state, s64 us);

/* mark.c: names the patch on probation in the log of a panic */
void rlp_mark_patch(const char *name);
void rlp_mark_register(void);
void rlp_mark_unregister(void);

/* cpu.c */
unsigned long rlp_irq_save(void);
void rlp_irq_restore(unsigned long flags);
void rlp_on_cpus(const struct cpumask *cpus, void (*fn)(void *info), void *info);
bool rlp_is_preemptible_here(const struct task_struct *caller);
void rlp_resched_here(void);
bool rlp_resched_is_pending(int cpu);

#endif /* _RLP_HELPERS_H */
