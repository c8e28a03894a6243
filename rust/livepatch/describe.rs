// SPDX-License-Identifier: GPL-2.0

//! Checking the description in a patch module, and making the model of a patch from it.

use crate::{
    parts,
    patch::{
        Func,
        Object,
        Patch,
        Presence,
        Probation, //
    },
    ranges::Range,
    step::PatchId,
    symbols::Extents, //
};
use kernel::{
    prelude::*,
    str::{
        BStr,
        CStr,
        CString, //
    }, //
};
use kernel_ext::{
    atomic::{
        AtomicUsize,
        Ordering, //
    },
    ftrace::CallTarget,
    kallsyms,
    klp::{
        FuncDesc,
        ObjectDesc,
        PatchDesc, //
    },
    module::{
        Module,
        MODULE_NAME_LEN, //
    },
    params,
    sort, //
};

/// Returns a number that no other patch has.
fn next_id() -> PatchId {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // ORDERING: Relaxed. The partner is this line on other CPUs: each caller gets a number of its
    // own, in any order.
    PatchId(NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Patch {
    /// Checks the description in a patch module.
    ///
    /// Refuses an object if `is_reserved` returns true for its name: a file in the patch's
    /// directory has that name. Nothing in the system is changed.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` or `ENOENT` with a line in the log, `ENOMEM`.
    pub(crate) fn new(desc: PatchDesc, is_reserved: impl Fn(&CStr) -> bool) -> Result<Self> {
        let module = desc.module();
        let name = module.name();
        let descs = desc.objects().ok_or(EINVAL).inspect_err(|_| {
            pr_err!("patch '{}' has no array of objects\n", name);
        })?;
        if !module.is_livepatch() {
            pr_err!("module {} is not marked as a livepatch module\n", name);
            return Err(EINVAL);
        }

        let extents = Extents::of_module(name)?;
        let mut objects = KVec::new();
        for desc in descs {
            let object = Object::new(module, &extents, desc, &is_reserved)?;
            if objects
                .iter()
                .any(|other: &Object| other.has_same_name(&object))
            {
                pr_err!("patch '{}' names object '{}' twice\n", name, object.label());
                return Err(EINVAL);
            }
            objects.push(object, GFP_KERNEL)?;
        }
        parts::find(module, &extents, &mut objects)?;
        Ok(Self {
            id: next_id(),
            objects,
            replace: desc.replaces(),
            last_transition: None,
            deadline_s: params::deadline(),
            probation_s: params::probation(),
            probation: Probation::Ahead,
            desc,
            stall: None,
        })
    }
}

impl Object {
    fn new(
        module: Module<'_>,
        extents: &Extents,
        desc: ObjectDesc,
        is_reserved: impl Fn(&CStr) -> bool,
    ) -> Result<Self> {
        let patch = module.name();
        let name = match desc.name() {
            Some(name) => Some(checked_name(module, name, is_reserved)?),
            None => None,
        };
        let label = name.as_deref().unwrap_or(c"vmlinux");
        let descs = desc.funcs().ok_or(EINVAL).inspect_err(|_| {
            pr_err!(
                "patch '{}': object '{}' has no array of functions\n",
                patch,
                label
            );
        })?;

        let mut funcs = KVec::new();
        for desc in descs {
            funcs.push(Func::new(module, extents, &desc)?, GFP_KERNEL)?;
        }
        check_unique(patch, label, &funcs)?;
        Ok(Self {
            name,
            funcs,
            presence: Presence::Absent,
            relocated: false,
            desc,
        })
    }

    fn has_same_name(&self, other: &Self) -> bool {
        self.name.as_deref() == other.name.as_deref()
    }
}

impl Func {
    fn new(module: Module<'_>, extents: &Extents, desc: &FuncDesc<'_>) -> Result<Self> {
        let patch = module.name();
        let name = desc.name().ok_or(EINVAL).inspect_err(|_| {
            pr_err!("patch '{}' has a function without a name\n", patch);
        })?;
        if name.to_bytes().len() >= kallsyms::NAME_LEN || name.is_empty() {
            pr_err!(
                "patch '{}' has a function whose name is empty or too long\n",
                patch
            );
            return Err(EINVAL);
        }
        let start = desc.replacement();
        if start == 0 {
            pr_err!(
                "patch '{}': function '{}' has no replacement\n",
                patch,
                name
            );
            return Err(EINVAL);
        }
        #[expect(unsafe_code, reason = "an address in the view has no lifetime")]
        // SAFETY: The author of the patch promises that a function begins here and can be called in
        // place of the function that it names (the contract of klp_enable_patch()). The plan uses
        // the target for the site of that function alone, and each view, hook and jump is made from
        // the plan. The module's reference is put when no view, hook or jump has the target any
        // more, no task is in the patch, and no task is in a trampoline: see `retire.rs`. If the
        // module is unloaded earlier, `evict.rs` ensures the same.
        let target = unsafe { CallTarget::new(module, start) };
        let target = target.ok_or(EINVAL).inspect_err(|_| {
            pr_err!(
                "patch '{}': the replacement for '{}' is not in the text of the patch module\n",
                patch,
                name
            );
        })?;
        let size = match extents.of(start) {
            Some((symbol, size)) if symbol == start => size,
            _ => {
                pr_err!(
                    "patch '{}': kallsyms size lookup failed for '{}' replacement\n",
                    patch,
                    name
                );
                return Err(ENOENT);
            }
        };
        Ok(Self {
            name: CString::try_from(name)?,
            sympos: desc.sympos(),
            replacement: Range::of(start, size),
            parts: KVec::new(),
            target,
            original: None,
        })
    }
}

/// Checks that no function is named twice. A position of 0 is the same as 1.
///
/// # Errors
///
/// `EINVAL`, with a line in the log, if a function is named twice; `ENOMEM`.
fn check_unique(patch: &CStr, object: &CStr, funcs: &[Func]) -> Result {
    let mut keys = KVec::with_capacity(funcs.len(), GFP_KERNEL)?;
    for func in funcs {
        keys.push((func.name.to_bytes(), func.position()), GFP_KERNEL)?;
    }
    sort::by_key(&mut keys, |&key| key);
    for pair in keys.windows(2) {
        let [a, b] = pair else { continue };
        if a == b {
            let name = BStr::from_bytes(a.0);
            pr_err!(
                "patch '{}' names function '{}' of '{}' twice\n",
                patch,
                name,
                object
            );
            return Err(EINVAL);
        }
    }
    Ok(())
}

/// Checks that `name` can be the name of a module, and copies it.
///
/// # Errors
///
/// `EINVAL`, with a line in the log, if it cannot; `ENOMEM`.
fn checked_name(
    patch: Module<'_>,
    name: &CStr,
    is_reserved: impl Fn(&CStr) -> bool,
) -> Result<CString> {
    let bytes = name.to_bytes();
    let why = if bytes.is_empty() {
        "is empty"
    } else if bytes.len() >= MODULE_NAME_LEN {
        "is too long"
    } else if bytes.contains(&b'/') {
        "contains a slash"
    } else if bytes == b"vmlinux" {
        "is 'vmlinux': leave the name out to patch the kernel"
    } else if is_reserved(name) {
        "is the name of a file in the patch's directory"
    } else {
        return Ok(CString::try_from(name)?);
    };
    let patch = patch.name();
    // The name itself is not logged, since it may be too long.
    pr_err!("patch '{}': an object's name {}\n", patch, why);
    Err(EINVAL)
}
