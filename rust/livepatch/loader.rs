// SPDX-License-Identifier: GPL-2.0

//! The live-patch loader as a module.
//!
//! The life of a patch, by file:
//!
//! - [`describe`] checks the description in a patch module and makes a [`patch`] of it.
//! - [`resolve`] finds the functions that the patch replaces, with [`symbols`].
//! - [`enable`] adds the patch to the [`registry`]. [`plan`] derives what each [`universe`] calls,
//!   and [`hooks`] hooks the functions.
//! - [`transition`] switches every task, by its record in [`records`]. Meanwhile the ftrace handler
//!   in [`view`] looks up the destination of a call in [`redirects`].
//! - [`complete`] ends the transition, and [`settle`] lets functions become [`jumps`] afterwards.
//! - [`deadline`] reverses a transition that takes too long. [`probation`] takes back a patch that
//!   is not confirmed.
//! - [`control`] has the operations that operators request through [`sysfs`], and [`events`]
//!   reports to them.
//! - [`modules`] patches late modules, and reverts their patches when they are unloaded.
//! - [`retire`] releases a patch. [`evict`] removes a patch whose module is being unloaded.

#![deny(unsafe_code)]
#![warn(clippy::match_bool)]

use kernel::prelude::*;
use kernel_ext::{
    ftrace,
    gate::{
        self,
        OpenGate, //
    },
    klp::{
        Loader,
        PatchDesc,
        StatePtr, //
    },
    module::Notifier,
    params,
    sched::TaskNewtask,
    statics::MutexOwner,
    worker::StartedWorker, //
};

// The layers, lowest first. A file imports files of lower layers. It may import files of its own
// layer, but not in a circle.
// test-layers.sh checks that.

// Layer: leaves, which import no layer below.
mod debug;
mod ranges;
mod shadow;
mod step;
mod table;
mod universe;
mod worker;

// Layer: the model of a patch, as described and resolved.
mod describe;
mod parts;
mod patch;
mod resolve;
mod states;
mod symbols;

// Layer: the engine, which hooks functions and switches tasks.
mod blockers;
mod handlers;
mod hooks;
mod jumps;
mod plan;
mod records;
mod redirects;
mod transition;
mod view;

// Layer: the registry of patches, and the patches that have left it.
mod directory;
mod events;
mod registry;
mod retire;

// Layer: operations on the registry.
mod complete;
mod control;
mod deadline;
mod enable;
mod evict;
mod modules;
mod probation;
mod settle;

// Layer: entry points, which the kernel calls.
mod notifier;
mod sysfs;

module! {
    type: RustLivepatch,
    name: "rust_livepatch",
    authors: ["The rust_livepatch authors"],
    description: "Live-patch loader in Rust",
    license: "GPL",
}

/// The loaded module.
///
/// The fields are in the order of their drops: first the entry points, then what they use. `_gate`
/// is the last field, as [`gate::open`] requires. Patch modules hold references to this module, so
/// no patch is left when it is dropped.
struct RustLivepatch {
    _parameters: params::Registration,
    _notifier: Notifier<notifier::Watcher>,
    // Requests runs of `_worker`.
    _new_tasks: TaskNewtask<transition::Probe>,
    // Requests runs of `_retirer`.
    _worker: StartedWorker,
    _retirer: StartedWorker,
    _registry: MutexOwner<registry::Registry>,
    _shadows: shadow::Variables,
    _view: PublishedView,
    _gate: OpenGate,
}

impl kernel::Module for RustLivepatch {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Self::start()
            .inspect_err(|e| pr_err!("failed to initialize the loader ({})\n", e.to_errno()))
    }
}

impl RustLivepatch {
    fn start() -> Result<Self> {
        #[expect(unsafe_code, reason = "a copy of the gate has no lifetime")]
        // SAFETY: The values that are made with a `Gate` are fields of `this` before `_gate`, or
        // are in the registry, which is such a field. Copies of the `Gate` are in the registry and
        // its transition. If this function fails, `gate` is dropped last, because it is the first
        // variable. The kernel frees the module's text after the drop.
        let gate = unsafe { gate::open() }?;
        ftrace::alive().inspect_err(|_| {
            pr_err!("ftrace has shut itself down, until the next boot\n");
        })?;
        let view = PublishedView;
        let root = directory::root(gate.gate())?;
        let registry = registry::Registry::new(gate.gate(), root)?;
        let registry = registry::REGISTRY.init(registry)?;
        let retirer = worker::RETIRER.start(release_retired)?;
        let worker = worker::WORKER.start(work)?;
        let this = Self {
            _new_tasks: transition::watch_new_tasks(gate.gate())?,
            // Before all others: no other notifier sees a module that is only partly patched.
            _notifier: Notifier::register(i32::MAX)?,
            _parameters: params::Registration::register(),
            _worker: worker,
            _retirer: retirer,
            _registry: registry,
            _shadows: shadow::Variables,
            _view: view,
            _gate: gate,
        };
        pr_info!("ready\n");
        Ok(this)
    }
}

/// The function of the worker.
extern "C" fn work() {
    complete::advance();
}

/// The function of the worker for retired patches.
extern "C" fn release_retired() {
    complete::release_retired();
}

/// The published view. The drop withdraws it, and waits until no reader needs this module's code.
/// The fields of [`RustLivepatch`] that use the view are dropped earlier.
struct PublishedView;

impl Drop for PublishedView {
    fn drop(&mut self) {
        drop(view::VIEW.publish(None));
    }
}

kernel_ext::export_klp!(RustLivepatch);
kernel_ext::export_klp_shadow!(shadow::Variables);

impl Loader for RustLivepatch {
    fn enable(patch: PatchDesc) -> Result {
        enable::enable(patch, &sysfs::FILES)
    }

    fn prev_state(id: usize) -> Option<StatePtr> {
        states::previous(id)
    }
}
