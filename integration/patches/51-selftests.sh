# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
suite=tools/testing/selftests/livepatch-rust
for file in Makefile config settings test-rust-livepatch.sh test_modules/Makefile; do
	add integration/selftests/$file $suite/$file
done
add integration/selftests/gitignore $suite/.gitignore
add selftests/upstream/bin/dmesg $suite/dmesg
chmod 644 "$repo/$suite/dmesg"
edit tools/testing/selftests/Makefile 's/^TARGETS \+= livepatch$/&\nTARGETS += livepatch-rust/'
maintained $suite/
