// SPDX-License-Identifier: GPL-2.0

//! Runs the program on folders with copies of the files of a machine.

mod changes;
mod common;
mod cut;
mod elf;
mod evidence;
mod feeds;
mod fleet;
mod hostile;
mod level;
mod levels;
mod loaders;
mod metrics;
mod readers;
mod report;
mod report_tampering;
mod schema;
mod trust;
