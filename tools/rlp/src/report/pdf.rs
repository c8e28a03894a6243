// SPDX-License-Identifier: GPL-2.0

//! The page as PDF. weasyprint(1) makes it: it reads the page from its input.

use crate::failure::{
    error_text,
    Failure,
    Result, //
};
use std::io::{
    ErrorKind,
    Write, //
};
use std::process::{
    Command,
    Stdio, //
};

const PROGRAM: &str = "weasyprint";

/// The first bytes of each PDF file.
const MAGIC: &[u8] = b"%PDF-";

fn failed(error: &std::io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        return Failure::refused("weasyprint is not installed, and it makes the PDF")
            .next("install it: apt install weasyprint, or use --format html");
    }
    Failure::error("weasyprint cannot be run").why(error_text(error))
}

pub(crate) fn make(page: &str) -> Result<Vec<u8>> {
    let mut child = Command::new(PROGRAM)
        .args(["--encoding", "utf-8", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // If weasyprint does not read all of its input, it prints the reason.
        let _ = stdin.write_all(page.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if output.status.success() && output.stdout.starts_with(MAGIC) {
        return Ok(output.stdout);
    }
    Err(Failure::error("weasyprint has made no PDF")
        .why(String::from_utf8_lossy(&output.stderr).trim())
        .next("use --format html"))
}
