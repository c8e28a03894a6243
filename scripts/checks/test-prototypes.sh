#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check that "rlp-build check" finds replacements whose prototype is not that of the kernel's
# function, in C and in Rust, and that it accepts the patches of this tree. The prototype of a
# replacement is read from the debug information, or from BTF if there is none.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=prototypes
out=$(out_dir)
test=$out/test-prototypes

uses_build_root || {
	echo "ok - prototypes # SKIP with KDIR= there is no shipped kernel to compare with"
	exit 0
}

# patch_dir NAME FILE: make a folder for a patch. Its source is read from standard input.
patch_dir() {
	mkdir -p "$test/$1"
	cat >"$test/$1/$2"
	cat >"$test/$1/Makefile" <<-END
		KDIR ?= /lib/modules/\$(shell uname -r)/build
		obj-m := ${2%.*}.o
		include /usr/share/rust_livepatch/livepatch.mk
	END
}

check() { # ARGUMENT...
	"$scripts/kernel/run-rlp-build" "$test" check "$@"
}

# make_patch_fails NAME: make patch must print this patch's prototypes, and fail. The output is
# kept.
make_patch_fails() {
	local rc=0

	PATCH=$test/$1 "$scripts/patch" --built >"$test/$1.log" 2>&1 || rc=$?
	cat "$test/$1.log"
	((rc == 3))
}

# says NAME TEXT: the output that was kept has this line.
says() {
	cat "$test/$1.log"
	grep -qxF "  $2" "$test/$1.log"
}

# Check a module, and keep the output. The status must be STATUS.
checks() { # STATUS NAME MODULE ARGUMENT...
	local status=$1 name=$2 rc=0
	shift 2

	check "$@" >"$test/$name.log" 2>&1 || rc=$?
	cat "$test/$name.log"
	((rc == status))
}

# Remove a module's debug information, as a distribution's build does. The module keeps the BTF that
# "make patch" has added.
with_btf() { # FROM TO
	cp "$1" "$2"
	tool strip -g "$2" &&
		tool readelf -SW "$2" | grep -q ' \.BTF ' &&
		! tool readelf -SW "$2" | grep -q ' \.debug_info '
}

without_types() { # FROM TO
	cp "$1" "$2"
	tool strip -g -R .BTF -R .BTF.base "$2"
}

# Each difference must be reported for its function, and no other function may differ.
functions_c=(
	"vmlinux cmdline_proc_show: agrees"
	"vmlinux version_proc_show: DIFFERS: argument 1 is \`struct file *\` instead of \`struct seq_file *\`"
	"vmlinux loadavg_proc_show: DIFFERS: it has 1 argument instead of 2 arguments"
	"vmlinux uptime_proc_show: DIFFERS: it returns \`long\` instead of \`int\`"
	"vmlinux meminfo_proc_show: DIFFERS: argument 2 is \`int\` instead of \`void *\`"
	"vmlinux rlp_no_such_function: IS MISSING: the shipped vmlinux has no function of this name"
	"pktgen pgctrl_show: DIFFERS: it has 3 arguments instead of 2 arguments"
	"rlp_no_such_module f: not compared: there is no module rlp_no_such_module in"
)
functions_rust=(
	"vmlinux cmdline_proc_show: agrees"
	"vmlinux version_proc_show: DIFFERS: argument 2 is \`u32\` instead of \`void *\`"
	"vmlinux loadavg_proc_show: DIFFERS: it returns \`u64\` instead of \`int\`"
	"vmlinux uptime_proc_show: DIFFERS: it has 1 argument instead of 2 arguments"
	"vmlinux meminfo_proc_show: agrees"
)

# reports NAME LINE...: the output that was kept has these lines for the functions, and no others.
reports() {
	local name=$1
	shift

	diff -u <(printf '  %s\n' "$@") <(grep -E '^  [a-z_]+ [a-z_]+: ' "$test/$name.log" |
		sed 's, in /.*, in,')
}

rm -rf "$test"
mkdir -p "$test"

patch_dir wrong_c wrong_c.c <<'END'
// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <rust_livepatch.h>

/* The compiler merges functions with equal code, so each returns another number. */
static int right(struct seq_file *m, void *v) { return 0; }
static int other_pointer(struct file *f, void *v) { return 1; }
static int too_few(struct seq_file *m) { return 2; }
static long other_return(struct seq_file *m, void *v) { return 3; }
static int no_pointer(struct seq_file *m, int v) { return v; }
static int too_many(struct seq_file *m, void *v, long n) { return n; }

static struct klp_func kernel_funcs[] = {
	{ .old_name = "cmdline_proc_show", .new_func = right, },
	{ .old_name = "version_proc_show", .new_func = other_pointer, },
	{ .old_name = "loadavg_proc_show", .new_func = too_few, },
	{ .old_name = "uptime_proc_show", .new_func = other_return, },
	{ .old_name = "meminfo_proc_show", .new_func = no_pointer, },
	{ .old_name = "rlp_no_such_function", .new_func = right, },
	{ }
};

static struct klp_func pktgen_funcs[] = {
	{ .old_name = "pgctrl_show", .new_func = too_many, },
	{ }
};

static struct klp_func absent_funcs[] = {
	{ .old_name = "f", .new_func = right, },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = kernel_funcs, },
	{ .name = "pktgen", .funcs = pktgen_funcs, },
	{ .name = "rlp_no_such_module", .funcs = absent_funcs, },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs, };

/* Not the table of a patch, although it has a similar layout. */
static struct { const char *name; void *function; long number; } table[] = {
	{ "not_a_replacement", too_few, },
	{ }
};

static int __init wrong_init(void)
{
	pr_info("%s\n", table[0].name);
	return klp_enable_patch(&patch);
}

static void __exit wrong_exit(void) { }

module_init(wrong_init);
module_exit(wrong_exit);
MODULE_DESCRIPTION("Replacements with a wrong prototype, in C");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
END

patch_dir wrong_rust wrong_rust.rs <<'END'
// SPDX-License-Identifier: GPL-2.0

//! Replacements with a wrong prototype, in Rust.

use kernel::{
    prelude::*,
    seq_file::SeqFile, //
};

module! {
    type: Wrong,
    name: "wrong_rust",
    authors: ["The rust_livepatch authors"],
    description: "Replacements with a wrong prototype, in Rust",
    license: "GPL",
}

livepatch::patch! {
    struct Wrong;

    vmlinux {
        // SAFETY: Never loaded.
        unsafe fn cmdline_proc_show(m: &SeqFile, v: *mut c_void) -> c_int = right;
        // SAFETY: Never loaded.
        unsafe fn version_proc_show(m: &SeqFile, v: u32) -> c_int = no_pointer;
        // SAFETY: Never loaded.
        unsafe fn loadavg_proc_show(m: &SeqFile, v: *mut c_void) -> u64 = other_return;
        // SAFETY: Never loaded.
        unsafe fn uptime_proc_show(m: &SeqFile) -> c_int = too_few;
        // SAFETY: Never loaded.
        unsafe fn meminfo_proc_show(m: &SeqFile, v: Option<KBox<u32>>) -> c_int = wrapped;
    }
}

extern "C" fn right(_m: &SeqFile, _v: *mut c_void) -> c_int {
    0
}

extern "C" fn no_pointer(_m: &SeqFile, v: u32) -> c_int {
    v as c_int
}

extern "C" fn other_return(_m: &SeqFile, v: *mut c_void) -> u64 {
    v as u64
}

extern "C" fn too_few(_m: &SeqFile) -> c_int {
    0
}

extern "C" fn wrapped(_m: &SeqFile, v: Option<KBox<u32>>) -> c_int {
    v.map_or(0, |v| *v as c_int)
}
END

result "make patch fails for a wrong prototype in C" make_patch_fails wrong_c
result "each difference in C is named" reports wrong_c "${functions_c[@]}"
result "the kernel's prototype is shown" grep -qxF \
	"      in the kernel  int version_proc_show(struct seq_file *, void *)" "$test/wrong_c.log"
result "the prototype of the patch is shown" grep -qxF \
	"      in the patch   int other_pointer(struct file *, void *)" "$test/wrong_c.log"
result "the numbers are shown" says wrong_c "1 agree, 6 differ, 1 not compared"
result "make patch fails for a wrong prototype in Rust" make_patch_fails wrong_rust
result "each difference in Rust is named" reports wrong_rust "${functions_rust[@]}"

# With BTF, the functions have the same prototypes as with debug information.
result "the module has BTF" with_btf "$test/wrong_c/wrong_c.ko" "$test/btf.ko"
result "a wrong prototype is found by BTF" checks 3 btf "$test/btf.ko"
result "each difference is named by BTF" reports btf "${functions_c[@]}"
without_types "$test/wrong_c/wrong_c.ko" "$test/no-types.ko"
result "a module without types cannot be checked" checks 1 no-types "$test/no-types.ko"
result "the reason is printed" grep -qF "has neither debug information nor BTF" "$test/no-types.log"

# The prototypes of the samples agree with those of the original functions. For the samples and
# their target module, the prototypes are read from debug information.
mkdir "$test/modules" "$test/samples"
for module in "$out"/samples/*/*.ko; do
	case ${module##*/} in
	*_target.ko) cp "$module" "$test/modules/" ;;
	*) cp "$module" "$test/samples/" ;;
	esac
done
result "the samples agree" \
	checks 0 samples "$test"/samples/*.ko --modules "$test/modules" --allow name_get
# This sample replaces a function and its only caller, and changes the prototype of the function.
result "a changed prototype must be allowed" \
	checks 3 pair "$test/samples/rust_livepatch_pair.ko" --modules "$test/modules"
result "only this function differs" says pair "1 agree, 1 differ, 0 not compared"
compared() {
	cat "$test/samples.log"
	! grep -E 'DIFFERS|MISSING|not compared: ' "$test/samples.log" &&
		grep -qF "name_get: differs, which is allowed: " "$test/samples.log" &&
		(($(grep -c ': agrees$' "$test/samples.log") >= 7))
}
result "each replacement of the samples is compared" compared
exit $rc
