// SPDX-License-Identifier: GPL-2.0

//! rlp: live patches, for those who operate machines.
//!
//! A command reads the machine through these modules: `system`, `loader`, `blockers`,
//! `module_file`, `kmsg`, `panics`. `reasons` explains the loader's messages, and `events` explains
//! its events. A command waits with `wait`, and changes the machine with `modules`, `control`,
//! `load`, `unload` and `boot`. It records that with `change` and `history`. The records are a
//! chain (`chain`, `digest`, `lines`, `host`), and are sent to the `journal`, too. `verify` and
//! `export` check the chain with `judge`, `head` and `signature`; `heartbeat` adds a record each
//! day. `report` judges the exports of many hosts. `level` describes a level of patches. `policy`
//! decides about it, with `view`, `clock`, `window` and `policy_file`; `apply` does what was
//! decided, with `store`, `health` and `trial`. `feed` shows whether newer levels can arrive, and
//! `metrics` shows the machine to Prometheus. Each command returns one report, which `output`
//! prints as text or as JSON. `usage` answers wrong arguments, and `peers` answers words of other
//! tools.
//!
//! For publishers, `level_build` makes the package of a `level` from `level_input` and `cve_data`,
//! with `vex`, `provenance` and `deb`.

mod apply;
mod blockers;
mod boot;
mod boot_levels;
mod chain;
mod change;
mod check;
mod cli;
mod clock;
mod control;
mod covers;
mod cve_data;
mod deb;
mod digest;
mod events;
mod export;
mod failure;
mod feed;
mod head;
mod health;
mod heartbeat;
mod history;
mod host;
mod image;
mod info;
mod installed_for;
mod interrupt;
mod journal;
mod judge;
mod kmsg;
mod leftovers;
mod level;
mod level_build;
mod level_hold;
mod level_input;
mod level_losses;
mod level_status;
mod lines;
mod load;
mod loader;
mod locks;
mod manager;
mod metrics;
mod module_file;
mod modules;
mod output;
mod pages;
mod panics;
mod peers;
mod policy;
mod policy_file;
mod program;
mod provenance;
mod prune;
mod publisher;
mod reasons;
mod report;
mod signature;
mod status;
mod store;
mod stored_loader;
mod system;
mod time;
mod trial;
mod trust;
mod units;
mod unload;
mod usage;
mod verify;
mod vex;
mod view;
mod wait;
mod window;

use clap::Parser;
use cli::{
    Cli,
    Command, //
};
use failure::Result;
use output::{
    Outcome,
    Progress, //
};
use std::process::ExitCode;
use system::System;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let asks = usage::Form::of(&arguments);
    let arguments = match peers::translate(arguments) {
        Ok(arguments) => arguments,
        Err(answer) => return ExitCode::from(asks.answer(answer)),
    };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(asks.error(&error)),
    };
    if cli.json
        && matches!(
            cli.command,
            Command::Completion { .. } | Command::Manual { .. }
        )
    {
        return ExitCode::from(asks.answer("this verb does not write JSON: leave out --json"));
    }
    let root = cli
        .root
        .clone()
        .or_else(|| std::env::var_os("RLP_ROOT").map(Into::into));
    // Every user may read the files that this program writes, whatever the umask is.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let system = System::new(root.unwrap_or_else(|| "/".into()));
    let outcome = run(&system, &cli);
    let as_json = cli.json || cli.command.prints_json();
    ExitCode::from(outcome.print(cli.command.name(), as_json))
}

/// A command without a report.
fn silent(result: Result<()>) -> Outcome {
    Outcome {
        report: None,
        failure: result.err(),
    }
}

/// Runs a command that a signal can interrupt while it waits.
fn interruptible(command: impl FnOnce() -> Outcome) -> Outcome {
    match interrupt::watch() {
        Ok(()) => command(),
        Err(failure) => failure.into(),
    }
}

fn run(system: &System, cli: &Cli) -> Outcome {
    let mut progress = Progress::new(cli.json);
    match &cli.command {
        Command::Status(arguments) => status::run(system, arguments),
        Command::Info(arguments) => info::run(system, arguments).into(),
        Command::Load(arguments) => interruptible(|| load::run(system, arguments, &mut progress)),
        Command::Unload(arguments) => {
            interruptible(|| unload::run(system, arguments, &mut progress))
        }
        Command::Confirm(arguments) => control::run_confirm(system, arguments),
        Command::Reverse(arguments) => {
            interruptible(|| control::run_reverse(system, arguments, &mut progress))
        }
        Command::Force(arguments) => control::run_force(system, arguments),
        Command::Check(arguments) => check::run(system, arguments),
        Command::Doctor => check::doctor(system),
        Command::History(arguments) => history::run(system, arguments).into(),
        Command::Verify(arguments) => verify::run(system, arguments).into(),
        Command::Evidence(cli::Evidence::Export(arguments)) => {
            export::run(system, arguments).into()
        }
        Command::Level(cli::Level::Build(arguments)) => level_build::run(arguments).into(),
        Command::Report(arguments) => report::run(arguments, cli.json).into(),
        Command::Level(cli::Level::Apply(arguments)) => {
            interruptible(|| apply::run(system, arguments, &mut progress))
        }
        Command::Level(cli::Level::Status) => level_status::run(system),
        Command::Level(cli::Level::Hold(arguments)) => level_hold::run_hold(system, arguments),
        Command::Level(cli::Level::Release(arguments)) => {
            level_hold::run_release(system, arguments)
        }
        Command::Level(cli::Level::Covers(arguments)) => covers::run(system, arguments),
        Command::Install(arguments) => boot::run_install(system, arguments),
        Command::Uninstall(arguments) => boot::run_uninstall(system, arguments),
        Command::Boot(arguments) => boot::run(system, *arguments, &mut progress),
        Command::Metrics(arguments) => metrics::run(system, arguments),
        Command::Heartbeat(arguments) => heartbeat::run(system, *arguments),
        Command::Event => silent(history::record_event(system)),
        Command::Completion { shell } => silent(pages::completion(*shell)),
        Command::Manual { folder } => silent(pages::write(folder)),
    }
}
