# SPDX-License-Identifier: GPL-2.0
# bindgen uses libclang, which does not know all flags of gcc. The kernel's rust/Makefile has the
# list of the flags to leave out. The list is read from there, not copied.

rlp-bindgen-flags := $(obj)/rust/bindings/bindgen_flags.mk
$(shell mkdir -p $(dir $(rlp-bindgen-flags)) && \
	sed -n '/^ifdef CONFIG_CC_IS_CLANG/,/^bindgen_c_flags_final/p' \
	$(srctree)/rust/Makefile > $(rlp-bindgen-flags))
include $(rlp-bindgen-flags)

# Bindings are only made for the loader's own types: kernel::bindings has the others, and two
# definitions of one struct are two types to Rust.
quiet_cmd_rlp_bindgen = BINDGEN $@
      cmd_rlp_bindgen = \
	$(BINDGEN) $< --use-core --ctypes-prefix ::kernel::ffi \
		--no-layout-tests --no-debug '.*' --no-doc-comments \
		--no-recursive-allowlist \
		--allowlist-function 'rlp_.*|sort_r' \
		--allowlist-type '(rlp|klp)_.*|(cmp|swap)_r_func_t' \
		--raw-line '\#![allow(missing_docs, non_camel_case_types, clippy::all, improper_ctypes, unreachable_pub, unsafe_op_in_unsafe_fn)]' \
		--raw-line 'use kernel::bindings::*;' \
		-o $@ -- $(bindgen_c_flags_final) -I$(src)/include -DMODULE
