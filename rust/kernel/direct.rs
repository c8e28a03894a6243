// SPDX-License-Identifier: GPL-2.0

//! Functions that jump: calls go on in another function without any handler.
//!
//! ftrace keeps them as direct targets; see `rust/helpers/direct.c`. A function that jumps refuses
//! whoever else wants to change where its calls go; tracers that only look may share it.
//!
//! C header: [`include/linux/ftrace.h`](srctree/include/linux/ftrace.h)

use crate::ftrace::{
    anchor,
    change_result,
    retry_enomem,
    CallTarget,
    Site, //
};
use core::mem::ManuallyDrop;
use kernel::{
    bindings,
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};

/// Functions that are made to jump, and back, a batch at a time.
///
/// # Invariants
///
/// `anchor` jumps as long as this lives, so that `ops` stays registered. At most `others` jump
/// besides.
pub struct Batches {
    anchor: (Site, CallTarget),
    others: usize,
    /// Freed when ftrace has let go of it, if it does.
    ops: ManuallyDrop<Ops>,
}

type Ops = Pin<KBox<Opaque<bindings::ftrace_ops>>>;

// SAFETY: ftrace locks what it does with an ops; the methods that change it take `&mut self`.
unsafe impl Send for Batches {}

impl Batches {
    /// None yet, but for the anchor; `None` where the kernel has no means. Context: may sleep.
    /// `ENOMEM`.
    pub fn anchored() -> Result<Option<Self>> {
        let anchor = anchor(rlp_bindings::rlp_anchor_jump)?;
        let target = CallTarget::of_anchor()?;
        let ops = zeroed_ops()?;
        match change(&ops, &[anchor], &[target], true) {
            Ok(()) => Ok(Some(Self {
                anchor: (anchor, target),
                others: 0,
                ops: ManuallyDrop::new(ops),
            })),
            Err(e) if is_unsupported(e) => Ok(None),
            Err(e) => {
                if e == ENODEV {
                    // ftrace may have kept it.
                    core::mem::forget(ops);
                }
                Err(e)
            }
        }
    }

    /// Makes the functions at `sites`, all hooked by a
    /// [`Redirection`](crate::ftrace::Redirection), jump to `targets`; all or
    /// none.
    ///
    /// Context: may sleep. `EINVAL` if one of them has another direct target, as of a bpf program;
    /// `ENOMEM`; `ENODEV` if ftrace has shut itself down meanwhile: they may jump or not.
    pub fn add(&mut self, sites: &[Site], targets: &[CallTarget]) -> Result {
        change(&self.ops, sites, targets, true)?;
        self.others = self.others.saturating_add(sites.len());
        Ok(())
    }

    /// Undoes [`add`](Self::add) for those it was done for, with the same targets; all or none.
    ///
    /// Context: may sleep, also to wait for memory. Fails where ftrace has shut itself down.
    pub fn remove(&mut self, sites: &[Site], targets: &[CallTarget]) -> Result {
        retry_enomem(|| change(&self.ops, sites, targets, false))?;
        self.others = self.others.saturating_sub(sites.len());
        Ok(())
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        if self.others != 0 {
            pr_err!("{} jumps stay behind\n", self.others);
            return;
        }
        let (anchor, target) = self.anchor;
        match retry_enomem(|| change(&self.ops, &[anchor], &[target], false)) {
            // SAFETY: It was the last: the ops is not registered any more, and not used again.
            Ok(()) => unsafe { ManuallyDrop::drop(&mut self.ops) },
            Err(e) => pr_err!("the anchor of jumps stays behind ({})\n", e.to_errno()),
        }
    }
}

/// One function that jumps. Dropping it undoes that.
///
/// For kernels without what [`Batches`] needs: each costs ftrace some scans of all its records, and
/// its drop waits for RCU-tasks.
pub struct Jump {
    /// `None` while it is dropped.
    ops: Option<Ops>,
    target: CallTarget,
}

// SAFETY: ftrace locks what it does with an ops; nothing is done with a shared reference.
unsafe impl Send for Jump {}

impl Jump {
    /// Makes the function at `site`, hooked by a [`Redirection`](crate::ftrace::Redirection), jump
    /// to `target`.
    ///
    /// Context: may sleep. `EBUSY` if it has another direct target, as of a bpf program; `ENOMEM`;
    /// `EOPNOTSUPP` where the kernel has no means; `ENODEV` if ftrace has shut itself down meanwhile:
    /// it may jump or not.
    pub fn new(site: Site, target: CallTarget) -> Result<Self> {
        let ops = zeroed_ops()?;
        // SAFETY: `ops` is zeroed and pinned; it is freed when ftrace has let go of it.
        let ret = unsafe {
            rlp_bindings::rlp_direct_add_one(ops.get(), site.address(), target.address())
        };
        match change_result(ret) {
            Ok(()) => Ok(Self {
                ops: Some(ops),
                target,
            }),
            Err(e) => {
                if e == ENODEV {
                    core::mem::forget(ops);
                }
                Err(e)
            }
        }
    }
}

impl Drop for Jump {
    fn drop(&mut self) {
        let Some(ops) = self.ops.take() else { return };
        // SAFETY: Registered in `new()`, with this target.
        let ret = unsafe { rlp_bindings::rlp_direct_remove_one(ops.get(), self.target.address()) };
        if let Err(e) = change_result(ret) {
            pr_err!("a jump stays behind ({})\n", e.to_errno());
            core::mem::forget(ops);
        }
    }
}

/// Whether a function can be made to jump to `target`. To an odd address it cannot: in its lowest bit
/// ftrace keeps a flag (`ftrace_jmp_set()` in `include/linux/ftrace.h`). Compilers put functions there
/// that they take to be cold, where they have no minimum alignment for those.
pub fn can_jump_to(target: CallTarget) -> bool {
    target.address() & 1 == 0
}

/// Whether `error` says that the kernel has no means to make functions jump.
pub fn is_unsupported(error: Error) -> bool {
    error.to_errno() == -(bindings::EOPNOTSUPP as c_int)
}

fn zeroed_ops() -> Result<Ops> {
    Ok(KBox::pin(
        Opaque::new(bindings::ftrace_ops::default()),
        GFP_KERNEL,
    )?)
}

fn change(ops: &Ops, sites: &[Site], targets: &[CallTarget], add: bool) -> Result {
    if sites.len() != targets.len() {
        return Err(EINVAL);
    }
    let nr = u32::try_from(sites.len())?;
    if nr == 0 {
        return Ok(());
    }
    // CAST: `Site` and `CallTarget` are transparent over the address.
    let (sites, targets) = (sites.as_ptr().cast(), targets.as_ptr().cast());
    // SAFETY: `ops` is pinned, was zeroed at first, and is freed when ftrace has let go of it. Both
    // arrays have `nr` elements.
    change_result(unsafe { rlp_bindings::rlp_direct_change(ops.get(), sites, targets, nr, add) })
}
