// SPDX-License-Identifier: GPL-2.0

//! The output that a person reads: a line for each step with its time, and the failure.

use crate::refusal::{
    Failure,
    Result, //
};
use anstyle::{
    AnsiColor,
    Style, //
};
use std::io::{
    IsTerminal,
    Write, //
};
use std::time::Instant;

/// The exit statuses that the documentation lists. clap uses 2 for wrong arguments.
pub(crate) const OK: u8 = 0;
pub(crate) const BROKEN: u8 = 1;
pub(crate) const REFUSED: u8 = 3;
/// A prototype differs, which is a refusal too.
pub(crate) const DIFFERS: u8 = REFUSED;

/// Runs a step, and prints its name and its time.
pub(crate) fn step<T>(name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    print!("  {name:<56}");
    // A line that cannot be shown is no reason to stop.
    let _ = std::io::stdout().flush();
    let result = run();
    match &result {
        Ok(_) => println!("{:7.1} s", start.elapsed().as_secs_f64()),
        Err(Failure::Refused(_)) => println!("  refused"),
        Err(Failure::Tool(_)) => println!("   FAILED"),
    }
    result
}

/// Prints one line below a step.
pub(crate) fn note(text: &str) {
    println!("    {text}");
}

/// Prints the failure, and returns the exit status.
pub(crate) fn report(failure: &Failure) -> u8 {
    let colour = if std::io::stderr().is_terminal() {
        Style::new().bold().fg_color(Some(AnsiColor::Red.into()))
    } else {
        Style::new()
    };
    match failure {
        Failure::Refused(refusal) => {
            eprintln!(
                "{colour}refused{colour:#} ({}): {refusal}",
                refusal.reason()
            );
            REFUSED
        }
        Failure::Tool(sentence) => {
            eprintln!("{colour}error{colour:#}: {sentence}");
            BROKEN
        }
    }
}
