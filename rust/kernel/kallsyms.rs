// SPDX-License-Identifier: GPL-2.0

//! Finding symbols by their names, and names by addresses.
//!
//! C header: [`include/linux/kallsyms.h`](srctree/include/linux/kallsyms.h)

use core::ffi::c_void;
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    str::CStr, //
};

/// The maximum size of a symbol name with its terminator, `KSYM_NAME_LEN`.
pub const NAME_LEN: usize = 512;

/// At least `KSYM_SYMBOL_LEN`: room for name, module, offset, size and build id.
const SYMBOL_LEN: usize = NAME_LEN + 192;

/// Calls `found` with the address of every symbol of vmlinux that is named `name`, in the order of
/// addresses, until it returns `false`.
///
/// # Context
///
/// May sleep.
pub fn each_in_vmlinux<F: FnMut(usize) -> bool>(name: &CStr, mut found: F) {
    /// # Safety
    ///
    /// `data` is an `F` that no other code uses during the call.
    unsafe extern "C" fn thunk<F: FnMut(usize) -> bool>(data: *mut c_void, addr: usize) -> c_int {
        // SAFETY: By the contract.
        let found = unsafe { &mut *data.cast::<F>() };
        c_int::from(!found(addr))
    }
    // SAFETY: `thunk` is called with the closure, which outlives the call; `name` is terminated.
    unsafe {
        rlp_bindings::rlp_kallsyms_on_each_match_symbol(
            Some(thunk::<F>),
            name.as_char_ptr(),
            (&raw mut found).cast(),
        );
    }
}

/// Calls `found` with the name and the address of every symbol of the loaded module `module`, in
/// the order of its symbol table, until it returns `false`.
///
/// # Context
///
/// May sleep. `found` runs with `module_mutex` held.
///
/// # Errors
///
/// The error of `module_kallsyms_on_each_symbol()`; `ENOENT` until the [gate](crate::gate) is open.
pub fn each_in_module<F: FnMut(&CStr, usize) -> bool>(module: &CStr, mut found: F) -> Result {
    /// # Safety
    ///
    /// `data` is an `F` that no other code uses during the call; `name` is terminated.
    unsafe extern "C" fn thunk<F: FnMut(&CStr, usize) -> bool>(
        data: *mut c_void,
        name: *const c_char,
        addr: usize,
    ) -> c_int {
        // SAFETY: By the contract. The names in the symbol table live while the walk holds the
        // module.
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
    // A positive value is the thunk's, which has stopped the walk.
    to_result(ret.min(0))
}

/// Returns the start and the size in bytes of the symbol that `addr` is in.
///
/// # Context
///
/// Any.
pub fn extent_of(addr: usize) -> Option<(usize, usize)> {
    let (mut size, mut offset) = (0, 0);
    // SAFETY: The function accepts any address, and writes both results if it returns 1.
    let known = unsafe {
        rlp_bindings::rlp_kallsyms_lookup_size_offset(addr, &raw mut size, &raw mut offset)
    };
    (known != 0).then(|| (addr.wrapping_sub(offset), size))
}

/// The name of a symbol, for messages.
pub struct Name {
    // KSYM_SYMBOL_LEN: the name, " [module buildid]", offset and size.
    buf: [u8; SYMBOL_LEN],
    len: usize,
}

impl Name {
    /// Returns the text, which never contains an address.
    pub fn as_str(&self) -> &str {
        let bytes = self.buf.get(..self.len).unwrap_or_default();
        match core::str::from_utf8(bytes) {
            // sprint_symbol() prints the address if it finds no symbol.
            Ok(name) if !name.starts_with("0x") => name,
            _ => "?",
        }
    }
}

/// Returns the name of the function that `addr` is in, as "function+offset/size [module]".
///
/// The text never contains the address itself, which must not leak to user space.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM`.
pub fn name_of(addr: usize) -> Result<KBox<Name>> {
    let mut name = KBox::new(
        Name {
            buf: [0; SYMBOL_LEN],
            len: 0,
        },
        GFP_KERNEL,
    )?;
    // SAFETY: The buffer has at least KSYM_SYMBOL_LEN bytes.
    let len = unsafe { bindings::sprint_symbol(name.buf.as_mut_ptr(), addr) };
    name.len = usize::try_from(len).unwrap_or(0);
    Ok(name)
}
