// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the imports of `symbols.rs`. The symbol tables are those of the test.

/// `kernel::page`
pub(crate) mod page {
    pub(crate) const PAGE_SIZE: usize = 4096;
}

/// `kernel::str`
pub(crate) mod str {
    use crate::prelude::*;
    use std::ops::Deref;

    pub(crate) use std::ffi::CStr;

    pub(crate) struct CString(std::ffi::CString);

    impl CString {
        pub(crate) fn try_from_fmt(text: String) -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            Ok(Self(std::ffi::CString::new(text).map_err(|_| EINVAL)?))
        }
    }

    impl Deref for CString {
        type Target = CStr;

        fn deref(&self) -> &CStr {
            &self.0
        }
    }
}

/// `kernel_ext::kallsyms`
pub(crate) mod kallsyms {
    use crate::{
        prelude::*,
        str::CStr, //
    };
    use std::{
        cell::Cell,
        ffi::CString, //
    };

    /// A symbol table: names and addresses, in the order in which kallsyms passes them.
    pub(crate) type Symbols = &'static [(&'static str, usize)];

    thread_local! {
        static VMLINUX: Cell<Symbols> = const { Cell::new(&[]) };
        static MODULE: Cell<Symbols> = const { Cell::new(&[]) };
    }

    /// The size that [`extent_of`] knows for each symbol.
    pub(crate) const SIZE: usize = 0x30;

    /// From now on, vmlinux and the module "module" have these symbols.
    pub(crate) fn set(vmlinux: Symbols, module: Symbols) {
        VMLINUX.set(vmlinux);
        MODULE.set(module);
    }

    pub(crate) fn each_in_vmlinux(name: &CStr, mut found: impl FnMut(usize) -> bool) {
        let name = name.to_str().unwrap();
        let symbols = VMLINUX.get();
        let _ = symbols
            .iter()
            .filter(|symbol| symbol.0 == name)
            .all(|symbol| found(symbol.1));
    }

    pub(crate) fn each_in_module(
        module: &CStr,
        mut found: impl FnMut(&CStr, usize) -> bool,
    ) -> Result {
        if module != c"module" {
            return Err(ENOENT);
        }
        let symbols = MODULE.get();
        let _ = symbols.iter().all(|&(name, address)| {
            let name = CString::new(name).unwrap();
            found(&name, address)
        });
        Ok(())
    }

    /// Returns nothing for symbols at odd addresses.
    pub(crate) fn extent_of(addr: usize) -> Option<(usize, usize)> {
        let symbols = [VMLINUX.get(), MODULE.get()].concat();
        let start = symbols
            .iter()
            .map(|symbol| symbol.1)
            .filter(|&start| start <= addr && addr < start + SIZE)
            .max()?;
        (start % 2 == 0).then_some((start, SIZE))
    }
}
