// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the loader's files that are not explored.

/// The loader's `symbols.rs`, which finds each symbol at a fixed address.
pub(crate) mod symbols {
    use crate::{
        prelude::*,
        ranges::Range,
        small::{
            code_of,
            LEN, //
        },
        str::CStr, //
    };

    pub(crate) struct SymbolQuery<'a>(&'a CStr);

    impl<'a> SymbolQuery<'a> {
        pub(crate) fn new(name: &'a CStr, _sympos: usize) -> Self {
            Self(name)
        }
    }

    pub(crate) struct Found {
        pub(crate) address: usize,
        pub(crate) size: usize,
        pub(crate) code: Range,
        pub(crate) cold: KVec<Range>,
    }

    pub(crate) struct Extents;

    impl Extents {
        pub(crate) fn of_module(_name: &CStr) -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            Ok(Self)
        }

        pub(crate) fn of(&self, addr: usize) -> Option<(usize, usize)> {
            Some((addr, LEN))
        }
    }

    pub(crate) fn find<'a>(
        object: Option<&CStr>,
        wanted: KVec<SymbolQuery<'a>>,
        mut found: impl FnMut(usize, Found) -> Result,
    ) -> Result {
        KBox::new((), GFP_KERNEL)?;
        let address = code_of(0, usize::from(object.is_some()));
        for nr in 0..wanted.len() {
            found(
                nr,
                Found {
                    address,
                    size: LEN,
                    code: Range::of(address, LEN),
                    cold: KVec::new(),
                },
            )?;
        }
        Ok(())
    }
}

/// The loader's `events.rs`. No program waits for the events here.
pub(crate) mod events {
    #[derive(Clone, Copy)]
    pub(crate) enum Event {
        Start,
        Reverse,
        Deadline,
        Force,
        Wait,
        Complete,
        Confirm,
        Expire,
        Restore,
        Leave,
    }

    #[derive(Clone, Copy)]
    pub(crate) enum State {
        Patching,
        Unpatching,
        Enabled,
        Probation,
        Disabled,
    }
}

/// The loader's `parts.rs`: no replacement has parts outside of its symbol.
pub(crate) mod parts {
    use crate::{
        module::Module,
        patch::Object,
        prelude::*,
        symbols::Extents, //
    };

    pub(crate) fn find(_module: Module<'_>, _extents: &Extents, _objects: &mut [Object]) -> Result {
        KBox::new((), GFP_KERNEL)?;
        Ok(())
    }
}

/// The loader's `directory.rs`, which only records which patches have a directory.
pub(crate) mod directory {
    use crate::{
        events::{
            Event,
            State, //
        },
        patch::Patch,
        prelude::*,
        small::machine,
        str::CStr,
        text, //
    };

    /// Whether ftrace is dead, or the machine is switched off.
    fn is_off() -> bool {
        text::text().dead
    }

    pub(crate) struct Root;

    #[derive(Default)]
    pub(crate) struct PatchDirectory(Option<usize>);

    pub(crate) struct Files;

    impl Files {
        pub(crate) fn has(&self, _name: &CStr) -> bool {
            false
        }
    }

    impl PatchDirectory {
        pub(crate) fn fill(&mut self, _root: &Root, _files: &Files, patch: &Patch) -> Result {
            KBox::new((), GFP_KERNEL)?;
            let nr = patch.desc.0;
            machine(|machine| {
                let was = std::mem::replace(&mut machine.modules[nr].directory, true);
                assert!(!was, "two directories");
            });
            self.0 = Some(nr);
            KBox::new((), GFP_KERNEL)?;
            Ok(())
        }

        pub(crate) fn report(&self, _event: Event, _state: State, _us: i64) {}
    }

    impl Drop for PatchDirectory {
        fn drop(&mut self) {
            let Some(nr) = self.0 else { return };
            machine(|machine| machine.modules[nr].directory = false);
            let info = machine(|machine| machine.modules[nr].clone());
            // A program that waits for the removal of the directory unloads the module then.
            let free = info.refs == usize::from(info.in_init) || info.pinned;
            let panicking = std::thread::panicking();
            assert!(
                free || panicking || is_off(),
                "the directory is removed while the module is in use"
            );
        }
    }
}

/// The loader's `worker.rs`. The worker runs when the exploration runs it.
pub(crate) mod worker {
    use crate::small::{
        has_flaw,
        machine,
        Flaw, //
    };

    pub(crate) struct Worker;

    pub(crate) static WORKER: Worker = Worker;

    /// The worker that releases retired patches. In the exploration, this happens after each run of
    /// the other worker.
    pub(crate) struct Retirer;

    pub(crate) static RETIRER: Retirer = Retirer;

    impl Retirer {
        pub(crate) fn after(&self, _ms: u32) {}
    }

    impl Worker {
        pub(crate) fn kick(&self) {
            self.after(0);
        }

        pub(crate) fn after(&self, _ms: u32) {
            machine(|machine| machine.worker_queued = !has_flaw(Flaw::RequestsIgnored));
        }
    }
}
