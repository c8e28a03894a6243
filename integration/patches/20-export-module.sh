# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
export_symbol kernel/kallsyms.c kallsyms_on_each_match_symbol
export_symbol kernel/kallsyms.c kallsyms_lookup_size_offset
export_symbol kernel/module/kallsyms.c module_kallsyms_on_each_symbol
export_symbol kernel/module/main.c find_module
