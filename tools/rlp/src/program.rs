// SPDX-License-Identifier: GPL-2.0

//! Runs a program of the system that does one thing and asks nothing.

use crate::failure::error_text;
use std::process::{
    Command,
    Stdio, //
};

/// Runs a program, and returns its messages. If it fails, the error is the reason.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {}", error_text(&error)))?;
    let messages = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() {
        Ok(messages)
    } else {
        Err(messages)
    }
}
