// SPDX-License-Identifier: GPL-2.0

//! A live-patch loader as a module.
//!
//! The life of a patch, by file. [`describe`] checks what a patch module says of itself and makes a
//! [`patch`] of it; [`resolve`], with [`symbols`], finds what that replaces. [`enable`] lets it into the [`registry`]; [`plan`] derives
//! what each [`universe`] calls, and [`hooks`] hooks the functions. [`transition`] moves every task,
//! by its record in [`records`], while the ftrace handler in [`view`] asks [`redirects`] where a
//! call goes. [`complete`] ends that, and [`settle`] lets functions be [`jumps`] when nothing moves.
//! [`control`] is what operators do through [`sysfs`]; [`modules`] that come and go are patched and
//! let go in between. [`leave`] parts with a patch; [`evict`] makes it go when its module does.

#![deny(unsafe_code)]

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
    statics::MutexOwner,
    worker::StartedWorker, //
};

// The layers, lowest first. A file uses files of lower layers, and of its own as long as that is no
// circle. `test-layers.sh` checks that.

// Layer: leaves, which know nothing of the loader.
mod debug;
mod ranges;
mod shadow;
mod step;
mod table;
mod universe;
mod worker;

// Layer: the model of a patch, as described and resolved.
mod describe;
mod patch;
mod resolve;
mod states;
mod symbols;

// Layer: the engine, which hooks functions and moves tasks.
mod handlers;
mod hooks;
mod jumps;
mod plan;
mod records;
mod redirects;
mod transition;
mod view;

// Layer: the registry of patches, and those that leave it.
mod directory;
mod registry;
mod retire;

// Layer: operations on the registry.
mod complete;
mod control;
mod enable;
mod evict;
mod modules;
mod settle;

// Layer: what calls in from outside.
mod notifier;
mod sysfs;

module! {
    type: RustLivepatch,
    name: "rust_livepatch",
    authors: ["The rust_livepatch authors"],
    description: "Live-patch loader in Rust",
    license: "GPL",
}

/// The loaded module. Fields in the order in which they are taken down: first what calls in from
/// outside, last what that uses. Patch modules hold references to this module, so that none is left
/// when it is dropped.
struct RustLivepatch {
    _parameters: params::Registration,
    _notifier: Notifier<notifier::Watcher>,
    _worker: StartedWorker,
    _registry: MutexOwner<registry::Registry>,
    _shadows: shadow::Variables,
    _view: PublishedView,
    _gate: OpenGate,
}

impl kernel::Module for RustLivepatch {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Self::start().inspect_err(|e| pr_err!("the loader does not load ({})\n", e.to_errno()))
    }
}

impl RustLivepatch {
    fn start() -> Result<Self> {
        let gate = gate::open()?;
        ftrace::alive().inspect_err(|_| {
            pr_err!("ftrace has shut itself down, until the next boot\n");
        })?;
        let view = PublishedView;
        let root = directory::root(gate.gate())?;
        let registry = registry::Registry::new(gate.gate(), root)?;
        let registry = registry::REGISTRY.init(registry)?;
        let worker = worker::WORKER.start(work)?;
        let this = Self {
            _notifier: Notifier::register()?,
            _parameters: params::Registration::register(),
            _worker: worker,
            _registry: registry,
            _shadows: shadow::Variables,
            _view: view,
            _gate: gate,
        };
        pr_info!("ready\n");
        Ok(this)
    }
}

/// What the worker does.
extern "C" fn work() {
    complete::advance();
}

/// After everything else: no reader of a view may need this module's code.
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
