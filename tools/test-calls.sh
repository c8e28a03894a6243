#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Where does the built loader call through a pointer? An address that was looked up by name
# must be in none of them: a kernel that enforces IBT dies of a call to a function that
# nobody meant to be called so. The paravirtual operations of the kernel itself do not
# count. Prints TAP lines.

. "$(dirname "$0")/env.sh"
module=$(out_dir)/rust_livepatch.ko

# Functions of the loader that call what somebody hands to them for that.
expected() {
	cat <<-END
		kernel_ext::klp::ObjectDesc::post_patch
		kernel_ext::klp::ObjectDesc::post_unpatch
		kernel_ext::klp::ObjectDesc::pre_patch
		kernel_ext::klp::ObjectDesc::pre_unpatch
		kernel_ext::klp_shadow::NewVariable::construct
		kernel_ext::klp_shadow::Destructor::run
		kernel_ext::kobject::Node::show
		kernel_ext::kobject::Node::store
		rlp_for_each_task
		worker_run
	END
}

# The functions in which a call or a jump goes where a register or memory says. Their names
# without brackets and type parameters.
indirect() {
	"$tools/inroot" objdump -drC --no-show-raw-insn "$1" | awk '
		/^[0-9a-f]+ <.*>:$/ {
			name = substr($0, index($0, "<") + 1)
			sub(/>:$/, "", name)
			while (gsub(/Node<[^<>]*(<[^<>]*>)*[^<>]*>/, "Node", name)) ;
			gsub(/[<>]/, "", name)
			next
		}
		by_memory { by_memory = 0; if (!/pv_ops/) print name }
		/__x86_indirect_(thunk|call_thunk|jump_thunk)/ || /(call|jmp) +(\*|%)?\*%/ { print name; next }
		/(call|jmp) +\*/ { by_memory = 1 }
	' | sort -u
}

if [[ $(uname -m) != x86_64 || ! -e $module ]]; then
	echo "not ok - calls: there is no $module"
elif difference=$(diff <(expected | sort -u) <(indirect "$module")); then
	echo "ok - calls: none through a pointer but to callbacks: $(expected | wc -l) functions"
else
	sed 's/^/# /' <<<"$difference"
	echo "not ok - calls: < expected, > found"
fi
