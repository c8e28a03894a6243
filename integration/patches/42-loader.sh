# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
for file in $(own 'rust/livepatch/*.rs'); do
	add_rust "$file" "$loader/${file##*/}"
done
edit_new $loader/loader.rs '/^\/\/ test-layers\.sh checks that\.$/d'
add integration/loader/Kconfig $loader/Kconfig
add_makefile integration/loader/Makefile $loader/Makefile
edit kernel/livepatch/Makefile '/^obj-\$\(CONFIG_LIVEPATCH\)/a\
obj-$(CONFIG_RUST_LIVEPATCH) += rust/'
edit kernel/livepatch/Kconfig '$a\
\
source "kernel/livepatch/rust/Kconfig"'
edit rust/bindings/bindings_helper.h '$a\
\
#if IS_ENABLED(CONFIG_RUST_LIVEPATCH)\
#include <linux/rust_livepatch.h>\
#include "../../kernel/livepatch/rust/helpers/helpers.h"\
#endif'
# The folder takes the place of those in it.
edit MAINTAINERS "\\,^F:\t$loader/(helpers|kernel_ext)/\$,d"
maintained $loader/
