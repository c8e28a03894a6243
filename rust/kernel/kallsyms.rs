// SPDX-License-Identifier: GPL-2.0

//! Finding symbols by name, and names by address.
//!
//! C header: [`include/linux/kallsyms.h`](srctree/include/linux/kallsyms.h)

use core::ffi::c_void;
use kernel::{
    bindings,
    error::to_result,
    ffi::{c_char, c_int},
    prelude::*,
    str::CStr, //
};

/// Longest symbol name with its end, `KSYM_NAME_LEN`.
pub const NAME_LEN: usize = 512;

/// `KSYM_SYMBOL_LEN`, with room to spare: name, module, offset, size and build id.
const SYMBOL_LEN: usize = NAME_LEN + 192;

/// Calls `found` with the address of every symbol of vmlinux that is named `name`, in the order of
/// addresses, until it returns `false`.
///
/// Context: may sleep.
pub fn each_in_vmlinux<F: FnMut(usize) -> bool>(name: &CStr, mut found: F) {
    /// # Safety
    ///
    /// `data` is an `F` that nobody else uses during the call.
    unsafe extern "C" fn thunk<F: FnMut(usize) -> bool>(data: *mut c_void, addr: usize) -> c_int {
        // SAFETY: By the contract.
        let found = unsafe { &mut *data.cast::<F>() };
        c_int::from(!found(addr))
    }
    // SAFETY: `thunk` gets back the closure, which outlives the call; `name` is terminated.
    unsafe {
        rlp_bindings::rlp_kallsyms_on_each_match_symbol(
            Some(thunk::<F>),
            name.as_char_ptr(),
            (&raw mut found).cast(),
        );
    }
}

/// Calls `found` with name and address of every symbol of the loaded module `module`, in the order
/// of its symbol table, until it returns `false`.
///
/// Context: may sleep; `found` runs with `module_mutex` held. Returns `ENOENT` and the like where
/// the walk failed.
pub fn each_in_module<F: FnMut(&CStr, usize) -> bool>(module: &CStr, mut found: F) -> Result {
    /// # Safety
    ///
    /// `data` is an `F` that nobody else uses during the call; `name` is terminated.
    unsafe extern "C" fn thunk<F: FnMut(&CStr, usize) -> bool>(
        data: *mut c_void,
        name: *const c_char,
        addr: usize,
    ) -> c_int {
        // SAFETY: By the contract. The symbol table's names live while the walk holds the module.
        let (found, name) = unsafe { (&mut *data.cast::<F>(), CStr::from_char_ptr(name)) };
        c_int::from(!found(name, addr))
    }
    // SAFETY: As in `each_in_vmlinux()`.
    let ret = unsafe {
        rlp_bindings::rlp_module_kallsyms_on_each_symbol(
            module.as_char_ptr(),
            Some(thunk::<F>),
            (&raw mut found).cast(),
        )
    };
    // A positive value is the thunk's own: the walk was ended early.
    to_result(ret.min(0))
}

/// Start and size in bytes of the symbol that `addr` lies in.
pub fn extent_of(addr: usize) -> Option<(usize, usize)> {
    let (mut size, mut offset) = (0, 0);
    // SAFETY: Any address may be asked for; both results are written if 1 is returned.
    let known = unsafe {
        rlp_bindings::rlp_kallsyms_lookup_size_offset(addr, &raw mut size, &raw mut offset)
    };
    (known != 0).then(|| (addr.wrapping_sub(offset), size))
}

/// A symbol's name, for messages.
pub struct Name {
    // KSYM_SYMBOL_LEN: the name, " [module buildid]", offset and size.
    buf: [u8; SYMBOL_LEN],
    len: usize,
}

impl Name {
    /// The text, without any address in it.
    pub fn as_str(&self) -> &str {
        let bytes = self.buf.get(..self.len).unwrap_or_default();
        match core::str::from_utf8(bytes) {
            // sprint_symbol() prints the raw address of what it does not know.
            Ok(name) if !name.starts_with("0x") => name,
            _ => "?",
        }
    }
}

/// The name of the function that `addr` lies in, "function+offset/size [module]".
///
/// Never the address itself: kernel pointers are no business of user space. Context: may sleep.
pub fn name_of(addr: usize) -> Result<KBox<Name>> {
    let mut name = KBox::new(
        Name {
            buf: [0; SYMBOL_LEN],
            len: 0,
        },
        GFP_KERNEL,
    )?;
    // SAFETY: The buffer has KSYM_SYMBOL_LEN bytes and more.
    let len = unsafe { bindings::sprint_symbol(name.buf.as_mut_ptr(), addr) };
    name.len = usize::try_from(len).unwrap_or(0);
    Ok(name)
}
