// SPDX-License-Identifier: GPL-2.0

//! Decoding instructions of the kernel.
//!
//! `rust/helpers/arch.h` has the decoder of each architecture.

use core::num::NonZeroUsize;

/// An instruction: only its length and its target, which a search for the targets of jumps needs.
pub struct Insn {
    /// The length in bytes.
    pub len: NonZeroUsize,
    /// The target, if this is a direct jump, conditional or not.
    pub jump: Option<usize>,
}

/// Decodes the instruction at `addr`, which may be any address. `room` is the number of bytes from
/// `addr` that belong to the code.
///
/// Returns `None` if the bytes are not an instruction, or if the kernel lacks the decoder.
///
/// # Context
///
/// Any.
pub fn decode(addr: usize, room: usize) -> Option<Insn> {
    let mut target = 0;
    // SAFETY: The function accepts any address.
    let len = unsafe { rlp_bindings::rlp_insn_decode(addr, room, &raw mut target) };
    Some(Insn {
        len: NonZeroUsize::new(len as usize)?,
        jump: (target != 0).then_some(target),
    })
}
