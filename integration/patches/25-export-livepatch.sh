# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
export_symbol kernel/livepatch/core.c klp_apply_section_relocs
export_symbol arch/x86/kernel/module.c clear_relocate_add
