// SPDX-License-Identifier: GPL-2.0

//! Functions that jump: a call continues in another function, and no handler runs.
//!
//! The jumps are direct targets of ftrace; see `rust/helpers/direct.c`. While a function jumps, no
//! other user of ftrace can redirect it. Tracers that only observe can share it.
//!
//! C header: [`include/linux/ftrace.h`](srctree/include/linux/ftrace.h)

use crate::ftrace::{
    alive,
    anchor,
    change_result,
    retry_enomem,
    site_of,
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

/// Functions that jump. Jumps are added and removed in batches.
///
/// # Examples
///
/// ```
/// use kernel_ext::{
///     direct::{
///         self,
///         Batches, //
///     },
///     ftrace::{
///         CallTarget,
///         Redirection,
///         Site, //
///     }, //
/// };
///
/// fn jump_once(site: Site, target: CallTarget) -> Result {
///     // ftrace cannot make a function jump to an odd address.
///     if !direct::can_jump_to(target) {
///         return Err(EINVAL);
///     }
///     // The handler redirects the calls before the jump and after it.
///     let _redirection = Redirection::register(&mut [site])?;
///     // `None` if the kernel does not support batches; see [`Jump`].
///     let mut batches = Batches::anchored()?.ok_or(EOPNOTSUPP)?;
///     batches.add(&[site], &[target])?;
///     // All jumps must be removed before the drop.
///     batches.remove(&[site], &[target])
/// }
/// ```
///
/// # Invariants
///
/// `anchor` jumps for as long as this lives, so that `ops` stays registered. ftrace allows one
/// direct target for the anchor, so there is one value of this type at a time. Besides the anchor,
/// at most `others` functions jump, unless ftrace has shut itself down.
pub struct Batches {
    anchor: (Site, CallTarget),
    others: usize,
    /// Freed if ftrace no longer uses it.
    ops: ManuallyDrop<Ops>,
}

type Ops = Pin<KBox<Opaque<bindings::ftrace_ops>>>;

// SAFETY: ftrace locks its accesses to an ops; the methods that change the ops take `&mut self`.
unsafe impl Send for Batches {}

impl Batches {
    /// Makes the anchor jump, and no other function yet. Returns `None` if the kernel does not
    /// support that.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the anchor jumps already, as it does while another value of this type lives;
    /// `ENOMEM`; `ENOENT` if the symbol of the anchor is not found; `ENODEV` if ftrace has shut
    /// itself down.
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
                    // ftrace may still use it.
                    core::mem::forget(ops);
                }
                Err(e)
            }
        }
    }

    /// Makes the functions at `sites` jump to `targets`, all or none. A
    /// [`Redirection`](crate::ftrace::Redirection) must hook each of these functions.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a function has another direct target, such as that of a bpf program, or if the
    /// slices differ in length; `ENOMEM`; `ENODEV` if ftrace has shut itself down: it is unknown
    /// whether the functions jump.
    pub fn add(&mut self, sites: &[Site], targets: &[CallTarget]) -> Result {
        if sites.is_empty() {
            return Ok(());
        }
        self.watch_bpf()?;
        change(&self.ops, sites, targets, true)?;
        self.others = self.others.saturating_add(sites.len());
        Ok(())
    }

    /// Starts to watch bpf: from now on, the function that was given to [`on_direct_target!`] is
    /// called each time before a bpf program is attached to a function. Functions can jump without
    /// this. So if bpf cannot be watched now, this succeeds all the same, and the next call
    /// retries.
    ///
    /// [`on_direct_target!`]: crate::on_direct_target
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` if ftrace has shut itself down.
    fn watch_bpf(&mut self) -> Result {
        // SAFETY: `ops` is registered by the type invariant. ftrace allows one direct target for
        // the anchor, so no other value of this type lives: `update_ftrace_direct_add()` returns
        // `EINVAL` to a second `anchored()`. The `&mut self` serializes the calls.
        match change_result(unsafe { rlp_bindings::rlp_bpf_watch(self.ops.get(), true) }) {
            Err(e) if e == ENODEV => Err(e),
            _ => Ok(()),
        }
    }

    /// Undoes [`add`](Self::add) for sites that were added with these targets, all or none.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the slices differ in length; `ENOMEM`; `ENODEV` if ftrace has shut itself down.
    pub fn remove(&mut self, sites: &[Site], targets: &[CallTarget]) -> Result {
        change(&self.ops, sites, targets, false)?;
        self.others = self.others.saturating_sub(sites.len());
        Ok(())
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        if self.others != 0 {
            pr_err!("jumps that were not removed: {}\n", self.others);
            return;
        }
        let (anchor, target) = self.anchor;
        let stop = || {
            // SAFETY: As in `watch_bpf()`.
            change_result(unsafe { rlp_bindings::rlp_bpf_watch(self.ops.get(), false) })
        };
        let result = retry_enomem(stop)
            .and_then(|()| retry_enomem(|| change(&self.ops, &[anchor], &[target], false)));
        match result {
            // SAFETY: The anchor was the last function: the ops is no longer registered, and it is
            // not used again. The drop runs in process context, so the wait may sleep.
            Ok(()) => unsafe {
                ManuallyDrop::drop(&mut self.ops);
                rlp_bindings::rlp_bpf_wait();
            },
            Err(e) => {
                pr_err!(
                    "the anchor of the jumps was not removed ({})\n",
                    e.to_errno()
                );
                // SAFETY: Serialized by `&mut self`, as in `watch_bpf()`.
                if unsafe { rlp_bindings::rlp_bpf_was_ever_watched() } {
                    pr_err!("the loader is not unloaded, because bpf may still call it\n");
                    // SAFETY: The drop runs in process context, and may sleep.
                    unsafe { rlp_bindings::rlp_bpf_stay() };
                }
            }
        }
    }
}

/// One function that jumps. Dropping it undoes the jump.
///
/// For kernels that do not support [`Batches`]. Each jump costs ftrace some scans of all its
/// records, and the drop waits for RCU-tasks. If ftrace has shut itself down, the drop undoes
/// nothing, and keeps the ops and its filter for good: ftrace may still use them.
///
/// # Examples
///
/// ```
/// use kernel_ext::{
///     direct::{
///         self,
///         Jump, //
///     },
///     ftrace::{
///         CallTarget,
///         Site, //
///     }, //
/// };
///
/// /// Makes a hooked function jump for as long as the returned value lives. Returns `None` if no
/// /// function can be made to jump, in which case the handler redirects the calls.
/// fn jump(site: Site, target: CallTarget) -> Result<Option<Jump>> {
///     match Jump::new(site, target) {
///         Ok(jump) => Ok(Some(jump)),
///         Err(e) if direct::is_unsupported(e) => Ok(None),
///         Err(e) => Err(e),
///     }
/// }
/// ```
pub struct Jump {
    /// `None` during the drop.
    ops: Option<Ops>,
    target: CallTarget,
}

// SAFETY: ftrace locks its accesses to an ops; shared references to a `Jump` give no access to it.
unsafe impl Send for Jump {}

impl Jump {
    /// Makes the function at `site`, which is hooked by a
    /// [`Redirection`](crate::ftrace::Redirection), jump to `target`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the function has another direct target, such as that of a bpf program; `ENOMEM`;
    /// `EOPNOTSUPP` if the kernel does not support jumps; `ENODEV` if ftrace has shut itself down:
    /// it is unknown whether the function jumps.
    pub fn new(site: Site, target: CallTarget) -> Result<Self> {
        let ops = zeroed_ops()?;
        // SAFETY: `ops` is zeroed and pinned, and is only freed if ftrace no longer uses it.
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
        // After ftrace has shut itself down, the ops stays registered, and
        // `unregister_ftrace_direct()` would still clear its handler.
        let result = alive().and_then(|()| {
            // SAFETY: Registered in `new()`, with this target.
            let ret =
                unsafe { rlp_bindings::rlp_direct_remove_one(ops.get(), self.target.address()) };
            change_result(ret)
        });
        match result {
            // SAFETY: The ops is not registered any more, and ftrace is alive: it no longer uses
            // the filter.
            Ok(()) => unsafe { bindings::ftrace_free_filter(ops.get()) },
            Err(e) => {
                pr_err!("a jump was not removed ({})\n", e.to_errno());
                core::mem::forget(ops);
            }
        }
    }
}

/// The functions to which another user wants to attach a direct target.
#[derive(Clone, Copy)]
pub enum AttachRequest {
    /// The function at this site.
    One(Site),
    /// Any number of functions.
    Any,
}

impl AttachRequest {
    /// Makes the value for `rlp_rust_before_attach()`. Returns `None` for a function without a
    /// site.
    #[doc(hidden)]
    pub fn from_address(function: usize) -> Option<Self> {
        /// The size in bytes of the start of a function, which contains the site.
        const START: usize = 16;
        match function {
            0 => Some(Self::Any),
            _ => site_of(function, START).map(Self::One),
        }
    }

    /// Whether the function at `site` can be among the functions of this request.
    pub fn includes(self, site: Site) -> bool {
        match self {
            Self::One(requested) => requested == site,
            Self::Any => true,
        }
    }
}

/// Emits a function that calls `$before_attach(request: AttachRequest)`. The emitted function is
/// called when bpf is about to attach a program to a function. bpf attaches the program afterwards.
///
/// # Context
///
/// The function is called in process context, and may sleep. Locks of bpf are held.
#[macro_export]
macro_rules! on_direct_target {
    ($before_attach:path) => {
        #[no_mangle]
        extern "C" fn rlp_rust_before_attach(function: usize) {
            if let Some(request) = $crate::direct::AttachRequest::from_address(function) {
                $before_attach(request)
            }
        }
    };
}

/// Whether a function can be made to jump to `target`. That is not possible if the address is odd.
///
/// ftrace uses the lowest bit of the address as a flag (`ftrace_jmp_set()` in
/// `include/linux/ftrace.h`). A compiler that has no minimum alignment for cold functions can put a
/// cold function at an odd address.
pub fn can_jump_to(target: CallTarget) -> bool {
    target.address() & 1 == 0
}

/// Whether `error` means that the kernel does not support jumps.
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
    // SAFETY: `ops` is pinned, was zeroed before its first use, and is only freed if ftrace no
    // longer uses it. Both arrays have `nr` elements.
    change_result(unsafe { rlp_bindings::rlp_direct_change(ops.get(), sites, targets, nr, add) })
}
