// SPDX-License-Identifier: GPL-2.0

//! The program in a hostile world: odd names, links, a full or read-only disk, a huge history, a
//! terminal that is gone, several users at once, and a user that is not root.

use crate::common::{Machine, Output, RELEASE};
use std::process::Command;

/// Runs a command of the shell, in which "rlp" is the program.
fn shell(machine: &Machine, command: &str) -> Output {
    let script = format!(
        "rlp() {{ {} \"$@\"; }}\n{command}",
        env!("CARGO_BIN_EXE_rlp")
    );
    machine.run_with(Command::new("bash").args(["-o", "pipefail", "-c", &script]))
}

#[test]
fn an_output_that_cannot_be_written() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    let output = shell(&machine, "rlp status --json >/dev/full");
    output.fails(1, "the output cannot be written: No space left on device");
    shell(&machine, "rlp completion bash >/dev/full").fails(1, "the output cannot be written");
    machine.set("live_fix", "confirmed", "0");
    shell(&machine, "rlp confirm >/dev/full").fails(1, "the output cannot be written");
    assert_eq!(machine.get("live_fix", "confirmed"), "1");
    // A terminal that is gone ends nothing half-way.
    machine.set("live_fix", "transition", "1");
    let output = shell(&machine, "rlp reverse --timeout 6 2>/dev/full");
    assert_eq!(output.status, 4, "{output:?}");
    let records = machine.json(&["history"])["records"].clone();
    assert_eq!(
        records.as_array().unwrap().last().unwrap()["result"],
        "not complete"
    );
    let output = shell(&machine, "rlp force live_fix 2>/dev/full");
    assert_eq!(output.status, 3, "{output:?}");
    let output = shell(&machine, "rlp signal 2>/dev/full");
    assert_eq!(output.status, 2, "{output:?}");
}
