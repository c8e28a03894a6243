#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check live patches from source patches (scripts/livepatch): which source patches are built,
# which are refused and for which reason, and that a build leaves nothing behind. This script
# makes the source patches by editing copies of the fetched source. The built modules are loaded
# in the guest (selftests/patches/test-source-patches.sh).

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/edit.sh"
. "$scripts/lib/tap.sh"
suite=livepatch
test=$(out_dir)/test-livepatch
source=$(kernel_source)

uses_build_root || {
	echo "ok - livepatch # SKIP with KDIR= there is no shipped kernel to compare with"
	exit 0
}

# edit NAME FILE SED-SCRIPT: run the sed script on a copy of the file, and add the difference to
# NAME.patch.
edit() {
	diff_of_edit "$source" "$2" "$3" >>"$test/$1.patch"
}

builds() { # NAME ARGUMENT...
	local patch=$test/$1.patch
	[[ ! -d $test/$1 ]] || patch=$test/$1
	shift
	SRCPATCH=$patch NAME='' OUT=$test "$scripts/livepatch" --built "$@"
}

# refuses NAME REASON ARGUMENT...: the build must end with status 3 and print this reason, and must
# write nothing.
refuses() {
	local before output rc=0

	before=$(ls -lA --ignore=cache "$test")
	output=$(builds "$1" "${@:3}" 2>&1) || rc=$?
	echo "$output"
	((rc == 3)) && grep -qF "($2): " <<<"$output" &&
		[[ $(ls -lA --ignore=cache "$test") == "$before" ]]
}

# replaces NAME OBJECT FUNCTION...: build the patch. Its proof must name these functions of the
# object. A function whose name is not unique has its position behind a comma.
replaces() {
	local name=$1 object=$2 function functions

	builds "$name" || return
	# object, name and position of each function
	functions=$(sed -nE 's/^ *"(object|name|position)": "?([^",]*)"?,$/\2/p' \
		"$test/$name.proof.json" |
		paste -d, - - -)
	for function in "${@:3}"; do
		[[ $function == *,* ]] || function+=,0
		grep -qxF "$object,$function" <<<"$functions" || {
			echo "$function of $object is not in the proof:"$'\n'"$functions"
			return 1
		}
	done
}

has_symbol() { # NAME SYMBOL
	tool readelf -sW "$test/$1.ko" | grep -qE " $2\$"
}

is_what_it_says() {
	local ko=$test/src_cmdline.ko proof=$test/src_cmdline.proof.json id

	# A signature and strip keep the build id, so it binds the proof to its module.
	id=$(tool readelf -n "$ko" | sed -n 's/^ *Build ID: //p')
	[[ $id ]] && grep -qx "  \"build_id\": \"$id\"," "$proof" || return
	[[ $(tool modinfo -F cves "$ko") == "CVE-2026-0001 CVE-2026-0002" &&
		$(tool modinfo -F level "$ko") == 7 &&
		$(tool modinfo -F description "$ko") == "proc: say what was done" &&
		$(tool modinfo -F depends "$ko") == rust_livepatch ]] &&
		has_symbol src_cmdline rlp_info_level && has_symbol src_cmdline rlp_info_cves &&
		grep -q '"name": "cmdline_proc_show"' "$proof" &&
		grep -qE '"sha256": "[0-9a-f]{64}"' "$proof"
}

same_bytes() {
	cp "$test/src_cmdline.ko" "$test/first" &&
		builds src_cmdline "${described[@]}" &&
		cmp "$test/first" "$test/src_cmdline.ko"
}

loads_alone() { # NAME
	[[ $(tool modinfo -F depends "$test/$1.ko") == rust_livepatch ]]
}

source_is_untouched() {
	[[ ! $(find "$source/fs/proc" "$source/net/core" "$kernel/fs" "$kernel/net" \
		-newer "$test/begun" 2>/dev/null) &&
		! -e $kernel/.rlp-build ]]
}

# Change one byte of a function in a copy of the image. The function then differs from the
# compiled source: the patch must be refused, and --explain must show both versions.
differs() {
	local addr section offset output rc=0

	tool "$source/scripts/extract-vmlinux" "$kernel/vmlinuz" >"$test/vmlinux"
	addr=$(sed -n 's/^ *"address": "0x\(.*\)",$/\1/p' "$test/src_cmdline.proof.json")
	# "[ 1] .text PROGBITS ffffffff81000000 200000 ..."
	read -r section offset < <(tool readelf -SW "$test/vmlinux" |
		sed -n 's/.* \.text  *PROGBITS  *\([0-9a-f]*\) \([0-9a-f]*\) .*/\1 \2/p')
	# The byte to change is behind endbr64 and the fentry call.
	printf '\xcc' | dd of="$test/vmlinux" bs=1 conv=notrunc status=none \
		seek=$((0x$addr - 0x$section + 0x$offset + 12))
	output=$(builds src_cmdline --image "$test/vmlinux" --output "$test/differs" \
		--explain 2>&1) || rc=$?
	rm "$test/vmlinux"
	echo "$output"
	((rc == 3)) && grep -qF "(differs): cmdline_proc_show()" <<<"$output" &&
		grep -qE '^[0-9a-f]+: .* \| [0-9a-f]+: ' <<<"$output" && [[ ! -e $test/differs ]]
}

# Change the release in a copy of the image.
other_image() {
	tool "$source/scripts/extract-vmlinux" "$kernel/vmlinuz" |
		sed "s/Linux version $release /Linux version 9${release:1} /" >"$test/other-image"
	refuses refused_image wrong-source --image "$test/other-image" || return
	rm "$test/other-image"
}

# A source of another version.
other_source() {
	mkdir -p "$test/other-source/scripts/livepatch"
	touch "$test/other-source/scripts/livepatch/init.c"
	printf '%s\n' 'VERSION = 6' 'PATCHLEVEL = 12' >"$test/other-source/Makefile"
	refuses refused_image wrong-source --source "$test/other-source"
}

# A tree that was prepared for another compiler.
other_compiler() {
	mkdir "$test/other-tree"
	ln -s "$kernel"/* "$test/other-tree/"
	sed '/^CONFIG_CC_VERSION_TEXT=/s/[0-9.]*"$/1.0"/' \
		"$kernel/.config" >"$test/other-tree/.config"
	refuses refused_image wrong-compiler --tree "$test/other-tree"
}

# recompile UNIT OBJECT OPTION...: make a cache with the units of fs/proc, and compile one of them
# in it with more options.
recompile() {
	local about command key object

	# Each build writes the file "about" of its folder.
	about=$(find "$CACHE_DIR/rlp-build/" -path "*/$release-*/about" -printf '%T@ %p\n' |
		sort -n | tail -n 1)
	key=$(basename "${about%/about}")
	rm -rf "$test/cache"
	mkdir -p "$test/cache/$key/compiled/fs"
	cp -r "$CACHE_DIR/rlp-build/$key/compiled/fs/proc" "$test/cache/$key/compiled/fs/"
	object=$test/cache/$key/compiled/$1/$2
	command=$(<"${object%/*}/command")
	tool sh -c "cd $kernel && ${command/"-c -o $1"/"${*:3} -c -o $object"}"
}

# A unit in which no function is inlined.
other_inlining() {
	recompile fs/proc/array.o sections.o -fno-inline -ffunction-sections -fdata-sections &&
		refuses refused_inlined inlined --cache "$test/cache"
}

# A unit all of whose functions differ from the shipped ones.
other_code() { # UNIT NAME
	recompile "$1" shipped.o -fno-omit-frame-pointer &&
		refuses "$2" differs --cache "$test/cache"
}

# A module in which the function has another name.
not_in_image() {
	mkdir "$test/other-modules"
	tool objcopy --redefine-sym pgctrl_show=rlp_other "$test/pktgen.ko" \
		"$test/other-modules/pktgen.ko"
	refuses refused_module not-in-image --modules "$test/other-modules"
}

# Two files of one module, and no list of depmod. The list decides which of them is compared.
two_modules() {
	local folder=$test/two-modules

	mkdir -p "$folder/kernel" "$folder/updates"
	cp "$test/pktgen.ko" "$folder/kernel/"
	cp "$test/other-modules/pktgen.ko" "$folder/updates/"
	refuses refused_module two-modules --modules "$folder" || return
	echo "updates/pktgen.ko:" >"$folder/modules.dep"
	refuses refused_module not-in-image --modules "$folder" || return
	echo "kernel/pktgen.ko:" >"$folder/modules.dep"
	builds src_module --modules "$folder"
}

release=$(kernel_release)
rm -rf "$test"
mkdir -p "$test"
touch "$test/begun"

cat >"$test/src_cmdline.patch" <<'END'
From 0123456789abcdef Mon Sep 17 00:00:00 2001
Subject: [PATCH] proc: say what was done

This is CVE-2026-0001.

Fixes: 0123456789ab ("proc: say nothing")
---
END
edit src_cmdline fs/proc/cmdline.c \
	's/^\tseq_puts\(m, saved_command_line\);/\tseq_puts(m, "live patched: ");\n&/'
# A series whose second patch changes the line that the first patch has added.
mkdir "$test/src_series"
cp "$test/src_cmdline.patch" "$test/src_series/first.patch"
sed -E 's/^\+(.*)live patched: (.*)/-\1live patched: \2\n+\1patched by a series: \2/
	s/^@@ -([0-9]+),[0-9]+ \+[0-9]+,([0-9]+) @@/@@ -\1,\2 +\1,\2 @@/' \
	"$test/src_cmdline.patch" >"$test/src_series/second.patch"
printf '%s\n' '# in order' first.patch second.patch >"$test/src_series/series"
edit src_module net/core/pktgen.c \
	's/^\tseq_puts\(seq, version\);/\tseq_puts(seq, "live patched\\n");/'

shown='^\tseq_printf\(m, linux_proc' # in version_proc_show()
edit src_multi fs/proc/loadavg.c 's/^static int loadavg_proc_show/int rlp_seen = 40;\
void rlp_mark(struct seq_file *m);\
void rlp_mark(struct seq_file *m)\
{\
	static int calls;\
\
	seq_printf(m, "mark %d ", calls++ % 9 + rlp_seen);\
}\
\
&/
s/^\tget_avenrun/\trlp_mark(m);\n&/'
edit src_multi fs/proc/version.c "s/$shown"'/\
	{\
		extern void rlp_mark(struct seq_file *m);\
		extern unsigned int nr_running(void);\
\
		rlp_mark(m);\
		seq_puts(m, nr_running() < 1000 ? "few " : "many ");\
	}\
&/'
# vmlinux gets a new function only, and a module calls it. The module also calls a function that is
# exported in a namespace.
edit src_export fs/proc/version.c \
	's/^static int version_proc_show/void rlp_exported(struct seq_file *m);\
void rlp_exported(struct seq_file *m)\
{\
	seq_puts(m, "exported ");\
}\
EXPORT_SYMBOL_GPL(rlp_exported);\
\
&/'
edit src_export net/core/pktgen.c 's/^\tseq_puts\(seq, version\);/\
	{\
		extern void rlp_exported(struct seq_file *m);\
		extern void dma_buf_put(void *);\
\
		rlp_exported(seq);\
		if (!seq)\
			dma_buf_put(seq);\
	}\
&/'
edit src_dup crypto/proc.c 's/^\tseq_printf\(m, "name    /\tseq_puts(m, "live patched\\n");\n&/'
edit src_hot fs/dcache.c \
	's/^static noinline struct dentry \*__d_lookup_rcu_op/unsigned long rlp_lookups;\n&/
s/^\tstruct hlist_bl_head \*b = d_hash\(hash(len)?\);/&\n\trlp_lookups++;/'
edit src_hot fs/proc/version.c "s/$shown"'/\
	{\
		extern unsigned long rlp_lookups;\
\
		seq_puts(m, rlp_lookups ? "lookups " : "none ");\
	}\
&/'
edit src_syscall kernel/sys.c \
	's/^SYSCALL_DEFINE1\(umask, int, mask\)/#include <linux\/livepatch_helpers.h>\
KLP_SYSCALL_DEFINE1(umask, int, mask)/
s/xchg\(&current->fs->umask, mask/xchg(\&current->fs->umask, (mask | 0070)/'
edit src_callback fs/proc/version.c \
	's/^static int version_proc_show/#include <linux\/livepatch_helpers.h>\
static int rlp_pre(struct klp_object *obj)\
{\
	int *count = klp_shadow_alloc(\&init_task, 77, sizeof(*count), GFP_KERNEL, NULL, NULL);\
\
	pr_info("source patch: pre_patch\\n");\
	return count ? 0 : -ENOMEM;\
}\
KLP_PRE_PATCH_CALLBACK(rlp_pre);\
static void rlp_post(struct klp_object *obj)\
{\
	klp_shadow_free(\&init_task, 77, NULL);\
	pr_info("source patch: post_unpatch\\n");\
}\
KLP_POST_UNPATCH_CALLBACK(rlp_post);\
&/
s/'"$shown"'/\
	{\
		int *count = klp_shadow_get(\&init_task, 77);\
\
		if (count)\
			seq_printf(m, "shadow %d ", ++*count);\
	}\
&/'

# Clones of functions that the compiler has made. The two last functions also have a cold part.
edit src_clones fs/proc/array.c \
	'/^static void collect_sigign_sigcatch/,/^}/s/^\tk = p->sighand->action;/&\n\tsigaddset(sigign, 64);/'
edit src_clones fs/proc/task_mmu.c \
	'/^static void get_vma_name/,/^}/s/"\[stack\]"/"[patched stack]"/'
edit src_clones kernel/sys.c \
	's/^\tinfo->procs = nr_threads;/&\n\tinfo->loads[0] = 42UL << SI_LOAD_SHIFT;/'
edit src_clones fs/filesystems.c \
	'/^static int filesystems_proc_show/,/^}/s/^\tfor \(;;\) \{/\tseq_puts(m, "patched\\n");\n&/'

# The code of these functions does not change. Only the key of a static branch does, and the flags
# of a warning.
edit src_beside kernel/rseq.c \
	's/^\tbool on = static_branch_unlikely\(&rseq_debug_enabled\);/\
	extern struct static_key_false sched_schedstats;\
	bool on = static_branch_unlikely(\&sched_schedstats);/'
edit src_beside fs/proc/proc_sysctl.c '/^void retire_sysctl_set/,/^}/s/WARN_ON\(/WARN_ON_ONCE(/'

# The code refers to a table with a second name, which MODULE_DEVICE_TABLE() makes and the shipped
# kernel does not have.
edit src_alias drivers/char/tpm/tpm_tis.c \
	's/^\tif \(!aid \|\| aid->driver_data/\tif (!aid || !dev->driver || aid->driver_data/'

# The function has a tracepoint, whose keys are in another unit of the module.
edit src_trace fs/jbd2/commit.c \
	'/^int jbd2_submit_inode_data/,/^}/s/^\ttrace_jbd2_submit/\tif (!journal)\n\t\treturn -EINVAL;\n&/'

# The same code in a unit of vmlinux and in a unit of a module. Most of its statements make an entry
# in one of the kernel's special sections.
cat >"$test/declarations" <<'END'
#include <linux/jump_label.h>
#include <linux/percpu.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <asm/alternative.h>
#include <asm/timer.h>
#include <trace/events/task.h>

extern struct static_key_false sched_schedstats;
DECLARE_STATIC_CALL(pv_sched_clock, native_sched_clock);
static DEFINE_STATIC_KEY_FALSE(rlp_own_key);
static DEFINE_PER_CPU(unsigned int, rlp_reads);

static const char *rlp_word(unsigned int n)
{
	switch (n) {
	case 1: return "one";
	case 2: return "two";
	case 3: return "three";
	case 4: return "four";
	case 5: return "five";
	case 6: return "six";
	default: return "many";
	}
}

/* Reads user memory that is not there. */
static __always_inline bool rlp_faults(void)
{
	const unsigned long __user *nowhere = (void __user *)PAGE_SIZE;
	unsigned long word;

	if (!user_read_access_begin(nowhere, sizeof(word)))
		return false;
	unsafe_get_user(word, nowhere, fault);
	user_read_access_end();
	return false;
fault:
	user_read_access_end();
	return true;
}

static __always_inline void rlp_show(struct seq_file *m)
{
	unsigned int alternative, reads = 0;
	int cpu;

	this_cpu_inc(rlp_reads);
	for_each_possible_cpu(cpu)
		reads += per_cpu(rlp_reads, cpu);
	asm volatile(ALTERNATIVE("movl $1, %0", "movl $2, %0", X86_FEATURE_ALWAYS)
		     : "=r" (alternative));
	trace_task_rename(current, "source_patch");
	pr_debug("source patch: debug\n");
	WARN(reads == 3, "source patch: on purpose\n");
	seq_printf(m, "key %d own %d clock %d alternative %u fault %d %s ",
		   static_branch_unlikely(&sched_schedstats) ? 1 : 0,
		   static_branch_unlikely(&rlp_own_key) ? 1 : 0,
		   static_call(pv_sched_clock)() > 0, alternative, rlp_faults(), rlp_word(reads));
	static_branch_enable(&rlp_own_key);
}

END
edit src_sections fs/proc/version.c "/^static int version_proc_show/e cat '$test/declarations'
s/$shown/\trlp_show(m);\n&/"
edit src_sections net/core/pktgen.c "/^static int pgctrl_show/e cat '$test/declarations'
s/^\tseq_puts\(seq, version\);/\trlp_show(seq);\n&/"

# Two units include this C file, so the module has each function of the file twice.
edit src_included fs/minix/itree_common.c \
	'/^static int get_block/,/^}/s/^\tif \(depth == 0\)/\tif (create \&\& block >= 8)\n\t\treturn -EFBIG;\n&/'

# The first unit gets a reference to a function of garp. Before, only other units of its module
# (8021q) referred to garp. The second unit has a static key of its own. A patch that keeps the
# static branch is refused (refused_key). This patch uses static_key_enabled() instead, as the
# message of that refusal recommends.
edit src_depends net/8021q/vlanproc.c \
	's/^static int vlan_seq_show\(struct seq_file \*seq, void \*v\)$/#include <net\/garp.h>\n&/
s/^\t\tseq_puts\(seq, "VLAN Dev name/\t\tseq_printf(seq, "%ps ", garp_unregister_application);\n&/'
edit src_depends drivers/md/dm-bufio.c \
	's/static_branch_unlikely\(&no_sleep_enabled\)/static_key_enabled(\&no_sleep_enabled)/'

# Ten changes in the shape of security fixes, each in another subsystem.
mkdir "$test/src_fixes"
edit src_fixes/bounds ipc/shm.c \
	's/^\tif \(size < SHMMIN \|\| size > ns->shm_ctlmax/& || size > (64UL << 20)/'
edit src_fixes/reference net/core/net-procfs.c 's/^\t\tdev_seq_printf_stats\(seq, v\);/\t{\
\t\tstruct net_device *dev = v;\
\
\t\tdev_hold(dev);\
\t\tseq_puts(seq, "held ");\
&\
\t\tdev_put(dev);\
\t}/'
edit src_fixes/lock drivers/char/misc.c 's/^static int misc_seq_show/static DEFINE_MUTEX(rlp_lock);\
static unsigned int rlp_shown;\
&/
s/^\tseq_printf\(seq, "%3i %s/\tmutex_lock(\&rlp_lock);\
\tseq_printf(seq, "%u ", ++rlp_shown);\
\tmutex_unlock(\&rlp_lock);\
&/'
edit src_fixes/error drivers/char/random.c \
	'/^\tcase RNDADDTOENTCNT:/,/^\tcase RNDADDENTROPY/s/return -EINVAL;/return -ERANGE;/'
edit src_fixes/initialisation net/netlink/af_netlink.c \
	's/^\tnladdr->nl_pad = 0;/\tnladdr->nl_pad = 42;/'
edit src_fixes/length fs/xattr.c 's/ctx->size > XATTR_SIZE_MAX/ctx->size > 4096/'
edit src_fixes/race mm/mlock.c '/^static __must_check int do_mlock/,/^}/s/^\tlocked \+= .*/&\
\tif (READ_ONCE(current->mm->locked_vm)) {\
\t\tmmap_write_unlock(current->mm);\
\t\treturn -EAGAIN;\
\t}/'
edit src_fixes/use-after-free security/keys/proc.c \
	's/^\tseq_printf\(m, "%5u: %5d/\tif (!refcount_inc_not_zero(\&user->usage))\n\t\treturn 0;\n&/
s/^\t\t   maxbytes\);/&\n\tkey_user_put(user);/'
edit src_fixes/width net/ipv4/ip_sockglue.c \
	's/^\t\tip_sock_set_tos\(sk, val\);/\t\tif (val \& ~0xff)\n\t\t\treturn -EINVAL;\n&/'
edit src_fixes/capability block/ioprio.c \
	's/^\t\tcase IOPRIO_CLASS_IDLE:/&\
\t\t\tif (class == IOPRIO_CLASS_IDLE \&\& !capable(CAP_SYS_NICE))\
\t\t\t\treturn -EPERM;/'
(cd "$test/src_fixes" && ls *.patch >series)

edit src_header fs/proc/fd.h 's/return PROC_I\(inode\)->fd;/return PROC_I(inode)->fd ^ 1;/'

# The loader's header renames functions that this unit defines.
edit src_livepatch kernel/livepatch/core.c \
	'/ klp_find_object_symbol\(/,/^}/s/^\tif \(args\.addr == 0\)/\tif (args.addr == 0 || !name)/'
edit refused_init fs/proc/cmdline.c 's/^\tpde_make_permanent\(pde\);//'
edit refused_initcall fs/proc/version.c "s/$shown/\tseq_puts(m, \"live patched \");\n&/"'
$s/$/\n\nstatic int rlp_late(void)\n{\n\treturn 0;\n}\nlate_initcall(rlp_late);/'
edit refused_parameter net/core/pktgen.c 's/^\tseq_puts\(seq, version\);/\tseq_puts(seq, "live patched\\n");/
$s/$/\nstatic int rlp_new;\nmodule_param(rlp_new, int, 0);/'
# The exit code of a module stays in memory until the module is unloaded, but __exit is notrace.
edit refused_exit net/core/pktgen.c \
	'/^static void __exit pg_cleanup/,/^}/s/^\tunregister_netdevice/\tpr_info("exit\\n");\n&/'
edit refused_assembly arch/x86/lib/memcpy_64.S '1s/^/\n/'
# Assembly code includes this header. With another blank line, the code stays as it is.
edit refused_entry_code arch/x86/entry/calling.h 's/^\tpushq +%rdi.*/&\n\tnop/'
edit src_blank arch/x86/entry/calling.h '$s/$/\n/'
edit src_blank fs/proc/version.c "s/$shown/\tseq_puts(m, \"blank \");\n&/"
edit refused_same fs/proc/version.c 's/^static int version_proc_show/static int rlp_count = 1;\n&/'
edit refused_data net/core/pktgen.c \
	's/^static int pg_count_d.*=/static int pg_count_d __read_mostly = 7 +/'
edit refused_layout net/core/pktgen.c 's/^struct pktgen_thread \{/&\n\tint rlp_new;/
s/^\tseq_puts\(seq, version\);/\tseq_puts(seq, "live patched\\n");/'
# Two bit-fields of one byte change places.
edit refused_bits fs/fs-writeback.c 's/^(\tunsigned int )tagged_writepages:1;/\1rlp_bit:1;/
s/^(\tunsigned int )for_kupdate:1;/\1tagged_writepages:1;/
s/^(\tunsigned int )rlp_bit:1;/\1for_kupdate:1;/'
edit refused_variable fs/coredump.c \
	's/^static unsigned int core_pipe_limit;/static unsigned long core_pipe_limit;/'
edit refused_entry kernel/trace/trace_clock.c \
	's/clock = sched_clock\(\);/clock = sched_clock() + 1;/'
# A copy. fs/proc/fd.h itself stays as it is.
edit refused_copy fs/proc/fd.h 's/return PROC_I\(inode\)->fd;/return PROC_I(inode)->fd ^ 1;/'
sed -i 's:^+++ b/fs/proc/fd.h:+++ b/fs/proc/other.h:' "$test/refused_copy.patch"
# Only through a header that kbuild has made, asm/mmiowb.h, do units include this header.
edit refused_generated include/asm-generic/mmiowb.h '$s/$/\n/'
# kbuild makes flask.h from this header.
edit refused_made security/selinux/include/classmap.h '1s/^/\n/'
edit refused_users include/linux/sched.h '$s/^/\n/'
edit refused_weak kernel/kprobes.c '/__weak arch_adjust_kprobe_addr/,/^}/s/^\{/{\n\toffset++;/'
edit refused_off mm/kmsan/core.c 's/^\treturn /\tbarrier();\n&/'
edit refused_needs net/core/pktgen.c 's/^\tseq_puts\(seq, version\);/\
	{\
		extern void nf_conntrack_lock(void *);\
\
		nf_conntrack_lock(seq);\
	}\
&/'
edit refused_key drivers/md/dm-bufio.c \
	's/^\tif \(static_branch_unlikely\(&no_sleep_enabled/\tasm volatile("nop");\n&/'
edit refused_const fs/proc/version.c "s/$shown"'/\
	{\
		extern char *rlp_nothing;\
\
		seq_puts(m, runtime_const_ptr(rlp_nothing));\
	}\
&/'
edit refused_place fs/proc/version.c "s/$shown"'/\
	{\
		extern void rlp_nowhere(void);\
\
		rlp_nowhere();\
	}\
&/'
for unit in version loadavg; do
	edit refused_twice fs/proc/$unit.c "s/^static int ${unit}_proc_show/int rlp_new = 1;\n&/
		s/^\t(seq_printf\(m, linux_proc|get_avenrun)/\tseq_printf(m, \"%d\", rlp_new);\n&/"
done
edit refused_inlined fs/proc/array.c \
	'/^static void collect_sigign_sigcatch/,/^}/s/^\tk = p->sighand->action;/&\n\tbarrier();/'
edit refused_context fs/proc/version.c "s/$shown/\tm = m;\n&/"
sed -i 's/linux_proc_banner/another_banner/' "$test/refused_context.patch"
edit refused_code fs/proc/version.c "s/$shown/\tthis is no C;\n&/"
edit refused_vdso arch/x86/entry/vdso/vma.c '1s/^/\n/'
echo "no patch" >"$test/refused_text.patch"
edit refused_user fs/minix/minix.h \
	's/return DIV_ROUND_UP_POW2\(bits, blocksize \* 8\);/return DIV_ROUND_UP_POW2(bits, blocksize * 8) + 1;/'

described=(--cve CVE-2026-0002 --level 7)
result "a unit of vmlinux builds" builds src_cmdline "${described[@]}"
result "the module and the proof say what they are" is_what_it_says
result "the same input gives the same bytes" same_bytes
result "a function that differs is refused and shown" differs
result "a unit of a module builds" builds src_module
for name in series multi export alias dup hot syscall callback header blank; do
	result "src_$name builds" builds src_$name
done
result "src_clones builds" replaces src_clones vmlinux collect_sigign_sigcatch.constprop.0.isra.0 \
	get_vma_name.part.0 do_sysinfo.isra.0 filesystems_proc_show
for name in do_sysinfo.isra.0 filesystems_proc_show; do
	result "the new $name has a cold part" has_symbol src_clones $name.cold
done
result "src_beside builds" replaces src_beside vmlinux rseq_debug_show retire_sysctl_set
result "src_trace builds" replaces src_trace jbd2 jbd2_submit_inode_data
result "src_sections builds" replaces src_sections pktgen pgctrl_show
result "src_sections replaces functions of two objects" grep -q '"version_proc_show"' \
	"$test/src_sections.proof.json"
result "src_included builds" replaces src_included minix get_block,1 get_block,2
result "src_livepatch builds" replaces src_livepatch vmlinux klp_find_object_symbol
result "src_depends builds" replaces src_depends 8021q vlan_seq_show
result "src_depends can be loaded before the modules that it patches" loads_alone src_depends
result "src_fixes builds" \
	replaces src_fixes vmlinux newseg dev_seq_show misc_seq_show random_ioctl \
	netlink_getname setxattr_copy do_mlock proc_key_users_show do_ip_setsockopt ioprio_check_cap
while read -r name reason; do
	result "refused: $reason ($name)" refuses "refused_$name" "$reason"
done <<-END
	text not-a-patch
	context does-not-apply
	code does-not-compile
	same changes-nothing
	assembly unsupported-file
	entry_code unsupported-file
	vdso unsupported-file
	made unsupported-file
	copy unsupported-file
	off not-shipped
	init init
	initcall boot-table
	parameter boot-table
	data changed-data
	layout changed-layout
	bits changed-layout
	variable changed-layout
	entry no-fentry
	exit no-fentry
	weak overridden-weak
	needs new-dependency
	users too-many-users
	generated too-many-users
	key module-key
	const runtime-const
	place unknown-place
	twice defined-twice
END
mapfile -t many < <(seq -f '--cve=CVE-2026-%05.0f' 1093)
result "refused: too-long" refuses src_cmdline too-long "${many[@]}"
# The guest needs the modules that are patched, and the modules that these need.
for name in pktgen jbd2 minix loop llc stp garp mrp 8021q dm_mod dm_bufio; do
	result "the shipped module $name is unpacked" \
		"$scripts/kernel/shipped-module" $name "$test/$name.ko"
	result "the shipped module $name is there" test -s "$test/$name.ko"
done
cp "$test/src_module.patch" "$test/refused_module.patch"
cp "$test/src_cmdline.patch" "$test/refused_image.patch"
result "refused: no-module" refuses refused_module no-module --modules "$test/none"
result "refused: not-in-image" not_in_image
result "refused: two-modules" two_modules
# The code of a module changes, because a header changes.
result "refused: a user of a header, in a module that is missing" \
	refuses refused_user no-module --modules "$test/none"
result "refused: inlined" other_inlining
result "refused: a unit that differs" other_code fs/proc/cmdline.o src_cmdline
result "refused: a user of a header that differs" other_code fs/proc/fd.o src_header
result "refused: wrong-compiler" other_compiler
result "refused: wrong-source (source)" other_source
result "refused: wrong-source (image)" other_image
result "the tree and the source are untouched" source_is_untouched
exit $rc
