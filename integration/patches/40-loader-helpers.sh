# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
add integration/loader/gate.c $loader/helpers/gate.c
add integration/loader/gate_symbols.h $loader/helpers/gate_symbols.h
for file in $(own 'rust/helpers/*.[ch]'); do
	case $file in
	*/gate.c | */gate_symbols.h) ;;
	*/tracepoint.c) ;; # a helper of the kernel crate
	*) add_c "$file" "$loader/helpers/${file##*/}" ;;
	esac
done
edit_new $loader/helpers/helpers.h '/^\/\* tracepoint\.c \*\/$/,/^$/d'
edit_new $loader/helpers/ftrace.c '/^#include <linux\/version.h>$/d
	s/^ \* Since 7\.3, (ftrace_enable_sysctl\(\) refuses that\.).*/ * \1/
	/^ \* this returns true, which is safe\.$/d
	s/return LINUX_VERSION_CODE < .*/return false;/'
add_header integration/loader/rust_livepatch.h include/linux/rust_livepatch.h
maintained include/linux/rust_livepatch.h $loader/helpers/
