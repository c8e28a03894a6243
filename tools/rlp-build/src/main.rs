// SPDX-License-Identifier: GPL-2.0

//! rlp-build: from a source patch to a live patch for a kernel that is already shipped.
//!
//! Only the units whose code the patch may change are compiled, with the kernel's own source,
//! configuration and compiler. Each replaced function is proved to be the shipped one.
//! A patch passes through the modules of this program in this order:
//! patch, headers, units, compile, layout, inlined, objtool, image and kallsyms, verify, positions,
//! link, proof.

mod assembly;
mod boot_tables;
mod btf;
mod build;
mod cache;
mod check;
mod cli;
mod command;
mod compile;
mod concerns;
mod content;
mod corpus;
mod declared;
mod dwarf;
mod elf;
mod explain;
mod exports;
mod functions;
mod generated;
mod generators;
mod headers;
mod image;
mod inlined;
mod kallsyms;
mod kernel_paths;
mod keys;
mod layout;
mod link;
mod listed;
mod locks;
mod modules;
mod namespace;
mod objtool;
mod output;
mod patch;
mod positions;
mod proof;
mod prototype;
mod refusal;
mod signatures;
mod structures;
mod tree;
mod triage;
mod unified;
mod units;
mod unnoticed;
mod verify;

use clap::Parser;
use cli::{
    Cli,
    Command, //
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Build(arguments) => build::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Corpus(arguments) => corpus::run(arguments),
        Command::Triage(arguments) => triage::run(arguments),
    };
    ExitCode::from(match result {
        Ok(status) => status,
        Err(failure) => output::report(&failure),
    })
}
