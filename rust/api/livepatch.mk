# SPDX-License-Identifier: GPL-2.0
#
# What the Makefile of a patch module needs to know of the loader. With it, all of that
# Makefile is
#
#	KDIR ?= /lib/modules/$(shell uname -r)/build
#	obj-m := my_patch.o
#	include /usr/share/rust_livepatch/livepatch.mk
#
# after which `make`, `make modules_install`, `make clean` and `make CLIPPY=1` work, and
#
# - C sources find <rust_livepatch.h>, and get the loader's functions from <linux/livepatch.h>
#   too: a patch for in-tree livepatch needs no change;
# - Rust sources have the crate `livepatch`, compiled here by the compiler of this kernel, since
#   the metadata of a crate are good for one compiler and one kernel only.

livepatch-dir := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))

ifeq ($(KERNELRELEASE),)

KDIR ?= /lib/modules/$(shell uname -r)/build

.PHONY: modules modules_install clean
modules modules_install clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

else # Kbuild reads the same Makefile again.

# Installed, the header and the loader's symbols are next to this file; the loader's own tree has
# the header elsewhere, and the symbols come with the build.
ifneq ($(wildcard $(livepatch-dir)/include),)
livepatch-include := $(livepatch-dir)/include
livepatch-symvers := $(livepatch-dir)/$(KERNELRELEASE)/Module.symvers
ifeq ($(wildcard $(livepatch-symvers)),)
$(warning rust_livepatch is not installed for $(KERNELRELEASE): there is no $(livepatch-symvers))
endif
KBUILD_EXTRA_SYMBOLS += $(livepatch-symvers)
else
livepatch-include := $(livepatch-dir)/../../include
endif

# In front of the kernel's own include path, for the sake of <linux/livepatch.h>.
NOSTDINC_FLAGS += -I$(livepatch-include)

rustflags-y += -L $(obj) --extern livepatch

# The object file is a by-product, asked for because rustc leaves out the bodies of inline
# functions otherwise. It is not linked: there is nothing in it that a patch would need.
quiet_cmd_livepatch_rmeta = $(RUSTC_OR_CLIPPY_QUIET) [M] $@
      cmd_livepatch_rmeta = $(rust_common_cmd) --crate-name livepatch \
		--emit=metadata=$@ --emit=obj=$(@:.rmeta=.o) $<

$(obj)/liblivepatch.rmeta: private part-of-module := y
$(obj)/liblivepatch.rmeta: $(livepatch-dir)/livepatch.rs FORCE
	+$(call if_changed_dep,livepatch_rmeta)
targets += liblivepatch.rmeta

livepatch-rust := $(wildcard $(src)/*.rs $(src)/*/*.rs)
$(livepatch-rust:$(src)/%.rs=$(obj)/%.o): $(obj)/liblivepatch.rmeta

endif
