# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
# tools/objtool/sync-check.sh compares the file with its copy in tools/, except for such lines.
edit arch/x86/lib/insn.c '/^#include <linux\/unaligned.h>/i\
#include <linux/export.h> /* __ignore_sync_check__ */'
export_symbol arch/x86/lib/insn.c insn_decode ' /* __ignore_sync_check__ */'
