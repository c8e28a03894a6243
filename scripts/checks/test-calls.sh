#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check which functions of the built loader make calls through a pointer. An address that was looked
# up by name must not be called in this way: if the kernel enforces IBT, it crashes at an indirect
# call to a function that is not meant to be called indirectly. The kernel's own paravirtual
# operations do not count. Prints TAP.

. "$(dirname "$0")/../lib/env.sh"
module=$(out_dir)/rust_livepatch.ko

# Print the functions of the loader that may call through a pointer, because they call a callback.
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

# indirect MODULE: print the functions with an indirect call or jump, through a register or through
# memory. Brackets and type parameters are removed from the names.
indirect() {
	"$scripts/root/inroot" objdump -drC --no-show-raw-insn "$1" | awk '
		/^[0-9a-f]+ <.*>:$/ {
			name = substr($0, index($0, "<") + 1)
			sub(/>:$/, "", name)
			while (gsub(/Node<[^<>]*(<[^<>]*>)*[^<>]*>/, "Node", name)) ;
			gsub(/[<>]/, "", name)
			next
		}
		by_memory { by_memory = 0; if (!/pv_ops/) print name }
		/__x86_indirect_(thunk|call_thunk|jump_thunk)/ ||
			/(call|jmp) +(\*|%)?\*%/ { print name; next }
		/(call|jmp) +\*/ { by_memory = 1 }
	' | sort -u
}

if [[ $(uname -m) != x86_64 || ! -e $module ]]; then
	echo "not ok - calls: there is no $module"
elif difference=$(diff <(expected | sort -u) <(indirect "$module")); then
	echo "ok - calls: only callbacks are called through a pointer, by $(expected | wc -l) functions"
else
	sed 's/^/# /' <<<"$difference"
	echo "not ok - calls: < expected, > found"
fi
