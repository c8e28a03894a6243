# SPDX-License-Identifier: GPL-2.0
#
# Rules for the Makefile of a patch module. With this file, the whole Makefile is:
#
#	KDIR ?= /lib/modules/$(shell uname -r)/build
#	obj-m := my_patch.o
#	include /usr/share/rust_livepatch/livepatch.mk
#
# Then `make`, `make modules_install`, `make clean` and `make CLIPPY=1` work:
#
# - C sources can include <rust_livepatch.h>. <linux/livepatch.h> declares the loader's functions,
#   too, so a patch for in-tree livepatch needs no change.
# - Rust sources can use the crate `livepatch`. It is compiled here, because the metadata of a
#   crate only fit one compiler and one kernel.

livepatch-dir := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))

# rmmod and modprobe read a dot in a name as the start of a file suffix. So they cannot find a
# module that has a dot in its name.
livepatch-dotted = $(strip $(foreach object,$(notdir $(filter %.o,$(obj-m))), \
	$(if $(findstring .,$(basename $(object))),$(basename $(object)))))
livepatch-check-names = $(if $(livepatch-dotted),$(error livepatch.mk: a module with a dot in its \
	name cannot be unloaded: $(livepatch-dotted)))

ifeq ($(KERNELRELEASE),)

KDIR ?= /lib/modules/$(shell uname -r)/build

# If there is a file Kbuild, the kernel's build reads it instead of the Makefile that includes this
# file. Without the include path that this file sets, <linux/livepatch.h> is the kernel's own
# header, and the build would make patches for in-tree livepatch.
livepatch-check-kbuild = $(if $(wildcard $(CURDIR)/Kbuild),$(error livepatch.mk: $(CURDIR)/Kbuild \
	is read instead of the Makefile beside it: remove one of the two))

# The recipe has the checks, because the Makefile may set obj-m after it includes this file.
.PHONY: modules modules_install clean
modules modules_install clean:
	$(livepatch-check-kbuild)$(livepatch-check-names)
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

else # Kbuild reads the same Makefile again.

$(livepatch-check-names)

# In an installation the header and the loader's symbols are next to this file. In the loader's own
# tree the header is elsewhere, and the build has the symbols.
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

# Before the kernel's own include path, because of <linux/livepatch.h>.
NOSTDINC_FLAGS += -I$(livepatch-include)

rustflags-y += -L $(obj) --extern livepatch

# Without an object file, the metadata would lack the bodies of inline functions. So the object file
# is made. It is not linked: a patch needs nothing of it.
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
