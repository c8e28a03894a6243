// SPDX-License-Identifier: GPL-2.0

//! The page as PDF. weasyprint(1) makes it: it reads the page from its input.

use crate::failure::{
    error_text,
    Failure,
    Result, //
};
use crate::program;
use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

const PROGRAM: &str = "weasyprint";

/// A report about thousands of hosts takes minutes.
const LIMIT: Duration = Duration::from_secs(1800);

/// The first bytes of each PDF file.
const MAGIC: &[u8] = b"%PDF-";

fn failed(error: &std::io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        return Failure::refused("weasyprint is not installed, and it makes the PDF")
            .next("install it: apt install weasyprint, or use --format html");
    }
    let failure = Failure::error("weasyprint cannot be run").why(error_text(error));
    match error.kind() {
        ErrorKind::TimedOut => failure.next("use --format html"),
        _ => failure,
    }
}

pub(crate) fn make(page: &str) -> Result<Vec<u8>> {
    let mut command = Command::new(PROGRAM);
    command.args(["--encoding", "utf-8", "-", "-"]);
    let output =
        program::output(&mut command, page.as_bytes(), LIMIT).map_err(|error| failed(&error))?;
    if output.status.success() && output.stdout.starts_with(MAGIC) {
        return Ok(output.stdout);
    }
    Err(Failure::error("weasyprint has made no PDF")
        .why(String::from_utf8_lossy(&output.stderr).trim())
        .next("use --format html"))
}
