# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests that put stubs in place of the kernel's functions (everything.h), on top
# of ../transition/moves.sh.
# shellcheck disable=SC2034 # used by the tests

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/../transition/moves.sh"

tracing=/sys/kernel/tracing

# Functions on the stacks of the idle tasks. These tasks have no file /proc/PID/stack, so the names
# are listed here. Most other functions of the idle loop are notrace.
idle_functions='do_idle;cpu_startup_entry;start_secondary;rest_init;start_kernel;schedule_idle;cpuidle_idle_call;cpuidle_enter;cpuidle_enter_state;call_cpuidle;default_idle_call;flush_smp_call_function_queue'

# RCU's kthread waits in one of these.
rcu_functions='rcu_gp_kthread;rcu_gp_init;rcu_gp_fqs_loop;rcu_gp_cleanup'

# load_everything: load the loader, and the module moves_target, which start_load() needs. Set
# "busy" to the functions that are always on the stack of a kthread or an idle task: a transition
# that changes one of them does not complete.
load_everything() {
	local stat fields

	load_moves
	busy="$idle_functions;$rcu_functions"
	for stat in /proc/[0-9]*/stat; do
		{ read -r fields <"$stat"; } 2>/dev/null || continue
		read -ra fields <<<"${fields##*) }"
		# PF_KTHREAD
		((fields[6] & 0x200000)) || continue
		add_busy "${stat%stat}stack"
	done
}

# add_busy STACK: add the functions in this file of a task to "busy".
add_busy() {
	local lines line

	{ mapfile -t lines <"$1"; } 2>/dev/null || return 0
	for line in "${lines[@]}"; do
		line=${line#*] }
		line=${line%%+*}
		[[ ";$busy;" == *";$line;"* ]] || busy+=";$line"
	done
}

# load_stubs MODULE [PARAMETER=VALUE...]: load the module, with stubs for functions that are not
# always on a stack.
load_stubs() {
	local module=$1
	shift

	load_module "$module" "skip=$busy" "$@" || fail "cannot load $module"
}

# replace_functions MODULE [PARAMETER=VALUE...]: the same; then wait until all tasks are switched,
# and check that the loader and ftrace have all of these functions. Set "count" to their number.
replace_functions() {
	load_stubs "$@"
	wait_settled "$1" 60
	count=$(wc -l <"/proc/$1")
	expect_replaced "$1" "$count"
}

expect_replaced() { # MODULE COUNT
	local modes=("$RLP/$1"/vmlinux/*/mode) hooked

	((${#modes[@]} == $2)) || fail "$1 has ${#modes[@]} functions, not $2"
	hooked=$(wc -l <$tracing/enabled_functions)
	((hooked >= $2)) || fail "ftrace has hooked $hooked functions, not $2"
}

# disable_and_unload MODULE: disable the patch and unload it. After that, no function may be hooked
# except those that the loader always hooks (see hooked()).
disable_and_unload() {
	disable_patch "$1"
	unload_module "$1"
	wait_until "[[ ! \$(hooked) ]]" || fail "hooks are left: $(hooked | head)"
}

# Print the lines of ftrace about functions that the loader has hooked, without those that it always
# hooks: its anchors (design.rst, "Redirection and promotion"), and the functions that attach bpf
# programs (rust/helpers/bpf.c). Functions that rlp_fail has hooked are left out, too.
hooked() {
	grep -e rlp_ -e rust_livepatch $tracing/enabled_functions |
		grep -vE '^rlp_anchor_|^[[:space:]]*direct(\(jmp\))?-->(rlp_anchor_|rlp_stub_(link|multi_attach)\+)|\[rlp_fail\]'
}

# count_promoted MODULE: print how many of its functions jump.
count_promoted() {
	cat "$RLP/$1"/vmlinux/*/mode 2>/dev/null | grep -c '^jump$' || true
}

# settled_modes MODULE: whether none of its functions is settling.
settled_modes() {
	! cat "$RLP/$1"/vmlinux/*/mode | grep -q settling
}

# count_called MODULE [PATTERN]: print how many of its functions were called. With PATTERN, count
# only the functions whose names match.
count_called() {
	awk -v pattern="^(${2:-.*})$" '$1 > 0 && $2 ~ pattern { n++ } END { print n + 0 }' \
		"/proc/$1"
}

# expect_called MODULE NAME...: each of these functions must have been called through its stub.
expect_called() {
	local module=$1 name missed=()
	shift

	for name; do
		(($(count_called "$module" "$name"))) || missed+=("$name")
	done
	((${#missed[@]} == 0)) || fail "the stubs of these functions were not called: ${missed[*]}"
}

# One round of operations that use many parts of the kernel: processes, pipes, files, signals.
exercise() {
	local dir
	dir=$(mktemp -d)
	mkdir "$dir/a" && echo text >"$dir/a/file" && ln -s a/file "$dir/link" &&
		ln "$dir/a/file" "$dir/hard" && mv "$dir/hard" "$dir/moved" &&
		[[ $(cat "$dir/link" | tr a-z A-Z | sort) == TEXT ]] && chmod 600 "$dir/moved" &&
		truncate -s 100K "$dir/moved" && sync "$dir/moved" && ls -l "$dir" >/dev/null &&
		[[ $(stat -c %s "$dir/moved") == 102400 ]] && timeout 5 sleep 0.01 &&
		rm -r "$dir" && [[ ! -e $dir ]] && cat /proc/self/{maps,status,mountinfo} >/dev/null
}

# repeat_exercise: for start_worker, which fails the test if this process ends.
repeat_exercise() {
	trap - EXIT
	while exercise; do
		:
	done
}

# Start tasks that make many calls while functions are replaced.
start_load() {
	start_worker repeat_exercise
	start_worker nice -n 10 moves forks 1
	start_worker nice -n 10 moves threads 1
	start_worker nice -n 10 moves execs 1
}
