// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the parts of `kernel_ext` that handle modules, and the patches in them.

/// `kernel_ext::params`
pub(crate) mod params {
    use crate::small::machine;

    pub(crate) fn debug() -> bool {
        false
    }

    pub(crate) fn require_signed() -> bool {
        false
    }

    pub(crate) fn promote() -> bool {
        machine(|machine| machine.promote)
    }

    pub(crate) fn deadline() -> u32 {
        0
    }

    pub(crate) fn probation() -> u32 {
        machine(|machine| machine.probation)
    }
}

/// `kernel_ext::kallsyms`
pub(crate) mod kallsyms {
    use crate::prelude::*;

    pub(crate) const NAME_LEN: usize = 512;

    pub(crate) struct Name;

    impl Name {
        pub(crate) fn as_str(&self) -> &str {
            ""
        }
    }

    pub(crate) fn extent_of(_addr: usize) -> Option<(usize, usize)> {
        None
    }

    pub(crate) fn name_of(_addr: usize) -> Result<Name> {
        Ok(Name)
    }
}

/// `kernel_ext::module`
pub(crate) mod module {
    use crate::{
        prelude::*,
        small::{
            has_flaw,
            machine,
            Flaw,
            APART,
            MODULE, //
        },
        str::CStr,
        text, //
    };
    use std::marker::PhantomData;

    pub(crate) const MODULE_NAME_LEN: usize = 56;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum State {
        Live,
        Coming,
        Going,
        Unformed,
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Module<'a>(pub(crate) usize, pub(crate) PhantomData<&'a ()>);

    impl<'a> Module<'a> {
        pub(crate) fn name(self) -> &'a CStr {
            [c"module", c"patch1", c"patch2"][self.0]
        }

        pub(crate) fn is_livepatch(self) -> bool {
            true
        }

        pub(crate) fn is_used(self) -> bool {
            machine(|machine| machine.modules[self.0].refs > 0)
        }

        pub(crate) fn is_live(self) -> bool {
            has_flaw(Flaw::FailedInitLive)
                || machine(|machine| machine.modules[self.0].state.is_none())
        }

        pub(crate) fn lacks_sites(self) -> bool {
            machine(|machine| machine.modules[self.0].lacks_sites)
        }

        pub(crate) fn check_signature(self) -> Result {
            Ok(())
        }

        pub(crate) fn text(self) -> (usize, usize) {
            (APART * (self.0 + 1), APART)
        }

        /// # Safety
        ///
        /// As for the kernel's.
        pub(crate) unsafe fn apply_relocations(self, _object: &CStr) -> Result {
            KBox::new((), GFP_KERNEL)?;
            machine(|machine| {
                let was = std::mem::replace(&mut machine.modules[self.0].relocated, true);
                assert!(!was, "relocated twice");
            });
            Ok(())
        }

        /// # Safety
        ///
        /// As for the kernel's.
        pub(crate) unsafe fn clear_relocations(self, _object: &CStr) {
            machine(|machine| {
                let was = std::mem::take(&mut machine.modules[self.0].relocated);
                assert!(was, "relocations that were not applied are cleared");
            });
        }

        pub(crate) fn stall(self) -> Option<Stall> {
            machine(|machine| machine.modules[self.0].stalled = true);
            Some(Stall(self.0))
        }

        pub(crate) fn get(self) -> Result<ModuleRef> {
            machine(|machine| machine.modules[self.0].refs += 1);
            Ok(ModuleRef(self.0))
        }
    }

    pub(crate) struct ModuleRef(usize);

    impl ModuleRef {
        pub(crate) fn module(&self) -> Module<'_> {
            Module(self.0, PhantomData)
        }

        pub(crate) fn pin(&self) {
            machine(|machine| {
                let module = &mut machine.modules[self.0];
                module.refs += 1;
                module.pinned = true;
            });
        }
    }

    impl Drop for ModuleRef {
        fn drop(&mut self) {
            machine(|machine| machine.modules[self.0].refs -= 1);
        }
    }

    /// When this is dropped, the module is freed.
    pub(crate) struct Stall(usize);

    impl Stall {
        pub(crate) fn keep(self) {
            std::mem::forget(self);
        }
    }

    impl Drop for Stall {
        fn drop(&mut self) {
            // The machine may be switched off with the patch enabled.
            let is_off = text::text().dead;
            machine(|machine| {
                let module = &mut machine.modules[self.0];
                let free = module.refs == 0 && !module.relocated;
                assert!(free || is_off, "the module is freed too early");
                module.stalled = false;
                module.state = None;
            });
        }
    }

    pub(crate) struct FoundModule {
        pub(crate) state: State,
    }

    pub(crate) fn find(_name: &CStr) -> Option<FoundModule> {
        let state = machine(|machine| machine.modules[MODULE].state)?;
        Some(FoundModule { state })
    }

    pub(crate) fn is_init_text(_name: &CStr, _addr: usize) -> bool {
        false
    }

    pub(crate) type NotifiedModule<'a> = Module<'a>;

    pub(crate) trait Events {
        fn coming(module: Module<'_>) -> Result;
        fn going(module: Module<'_>);
    }
}

impl crate::address::CallTarget {
    /// # Safety
    ///
    /// None: nothing is called here.
    pub(crate) unsafe fn new(module: module::Module<'_>, address: usize) -> Option<Self> {
        let (start, size) = module.text();
        Self::at(address).filter(|_| address.wrapping_sub(start) < size)
    }
}

/// `kernel_ext::klp`
pub(crate) mod klp {
    use crate::{
        module::{
            FoundModule,
            Module,
            ModuleRef, //
        },
        prelude::*,
        small::{
            code_of,
            machine,
            Phase, //
        },
        str::CStr, //
    };
    use std::{
        marker::PhantomData,
        rc::Rc, //
    };

    /// A patch by its number, and a reference to its module.
    #[derive(Clone)]
    pub(crate) struct PatchDesc(pub(crate) usize, Rc<ModuleRef>);

    pub(crate) struct StatePtr;

    pub(crate) struct CallbackToken;

    impl CallbackToken {
        pub(crate) fn claim() -> Result<Self> {
            Ok(Self)
        }
    }

    impl PatchDesc {
        pub(crate) fn checked(patch: usize) -> Result<Self> {
            let module = Module(patch, PhantomData).get()?;
            Ok(Self(patch, Rc::new(module)))
        }

        pub(crate) fn module(&self) -> Module<'_> {
            self.1.module()
        }

        pub(crate) fn pin(&self) {
            self.1.pin();
        }

        pub(crate) fn replaces(&self) -> bool {
            self.0 == 2
        }

        pub(crate) fn objects(&self) -> Option<impl Iterator<Item = ObjectDesc>> {
            let patch = self.clone();
            Some((0..2).map(move |nr| ObjectDesc {
                patch: patch.0,
                nr,
                _desc: patch.clone(),
            }))
        }

        /// A patch may walk complete lists at any time, so they must not be made again.
        pub(crate) fn make_lists(&self, _token: &CallbackToken) {
            machine(|machine| {
                let lists = &mut machine.modules[self.0].lists;
                assert!(!*lists, "the lists are made twice");
                *lists = true;
            });
        }

        pub(crate) fn empty_lists(&self, _token: &CallbackToken) {
            machine(|machine| machine.modules[self.0].lists = false);
        }

        pub(crate) fn states(&self) -> impl Iterator<Item = (usize, u32)> {
            std::iter::once((1, 1))
        }

        pub(crate) fn state(&self, _id: usize) -> Option<StatePtr> {
            Some(StatePtr)
        }
    }

    /// An object of a patch: number 0 is the kernel, number 1 is the module.
    #[derive(Clone)]
    pub(crate) struct ObjectDesc {
        patch: usize,
        nr: usize,
        _desc: PatchDesc,
    }

    impl ObjectDesc {
        pub(crate) fn name(&self) -> Option<&'static CStr> {
            (self.nr != 0).then_some(c"module")
        }

        pub(crate) fn funcs(&self) -> Option<impl Iterator<Item = FuncDesc<'_>>> {
            Some(std::iter::once(FuncDesc(self)))
        }

        /// # Safety
        ///
        /// None: it does nothing.
        pub(crate) unsafe fn set_module(&self, _module: Module<'_>, _token: &CallbackToken) {}

        /// # Safety
        ///
        /// None: it does nothing.
        pub(crate) unsafe fn set_found_module(
            &self,
            _module: &FoundModule,
            _token: &CallbackToken,
        ) {
        }

        pub(crate) fn clear_module(&self, _token: &CallbackToken) {}

        /// Checks that the object is in one of the phases `from`, and changes its phase to `to`.
        fn call(&self, from: &[Phase], to: Phase) {
            machine(|machine| {
                let phase = &mut machine.modules[self.patch].phases[self.nr];
                assert!(from.contains(phase), "from {phase:?} to {to:?}");
                *phase = to;
            });
        }

        /// Stands for a callback that walks the lists of its patch.
        fn walk_lists(&self) {
            machine(|machine| assert!(machine.modules[self.patch].lists, "no lists to walk"));
        }

        fn set_post_unpatch(&self, enabled: bool) {
            machine(|machine| machine.modules[self.patch].post_unpatch[self.nr] = enabled);
        }

        pub(crate) fn pre_patch(&self, _token: &CallbackToken) -> Result {
            self.walk_lists();
            let refused = machine(|machine| {
                let left = machine.refuse;
                machine.refuse = left.and_then(|n| n.checked_sub(1));
                left == Some(0)
            });
            self.set_post_unpatch(!refused);
            if refused {
                return Err(EINVAL);
            }
            self.call(&[Phase::Idle], Phase::Patching);
            Ok(())
        }

        pub(crate) fn forget_pre_patch(&self, _token: &CallbackToken) {
            self.set_post_unpatch(false);
            // The callbacks of a replaced patch are not called: its objects are still patched.
            self.call(&[Phase::Idle, Phase::Patched], Phase::Idle);
        }

        pub(crate) fn post_patch(&self, _token: &CallbackToken) {
            self.walk_lists();
            self.call(&[Phase::Patching, Phase::Unpatching], Phase::Patched);
        }

        pub(crate) fn pre_unpatch(&self, _token: &CallbackToken) {
            self.walk_lists();
            self.call(&[Phase::Patched], Phase::Unpatching);
        }

        pub(crate) fn post_unpatch(&self, token: &CallbackToken) {
            if machine(|machine| machine.modules[self.patch].post_unpatch[self.nr]) {
                self.walk_lists();
                self.call(&[Phase::Patching, Phase::Unpatching], Phase::Idle);
            }
            self.forget_pre_patch(token);
        }
    }

    pub(crate) struct FuncDesc<'a>(&'a ObjectDesc);

    impl FuncDesc<'_> {
        pub(crate) fn name(&self) -> Option<&'static CStr> {
            Some([c"function", c"module_function"][self.0.nr])
        }

        pub(crate) fn replacement(&self) -> usize {
            code_of(self.0.patch, self.0.nr)
        }

        pub(crate) fn sympos(&self) -> usize {
            0
        }
    }
}
