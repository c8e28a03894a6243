# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
export_symbol kernel/bpf/trampoline.c bpf_trampoline_link_prog
export_symbol kernel/bpf/trampoline.c bpf_trampoline_multi_attach
