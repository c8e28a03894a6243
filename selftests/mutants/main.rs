// SPDX-License-Identifier: GPL-2.0

//! Draws mutants of the loader: copies of its source that differ in one place.
//!
//! `mutants TOP list` prints all mutants of the tree `TOP` in the order of the source, and
//! `mutants TOP draw SEED` prints them in an order that the seed decides. A line has the name of
//! the mutant, its function, the code before and the code after, separated by tabs.
//! `mutants TOP apply NAME` changes the file in `TOP`.

mod bounds;
mod collect;
mod conditions;
mod draw;
mod literals;
mod mutant;
mod results;
mod statements;
#[cfg(test)]
mod tests;
mod tree;

use mutant::Mutant;
use std::{
    env,
    fs,
    io::{
        self,
        ErrorKind,
        Write, //
    },
    path::Path,
    process::ExitCode, //
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: mutants TOP list | draw SEED | apply NAME";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result {
    match *arguments {
        [top, "list"] => print(&tree::mutants(Path::new(top))?),
        [top, "draw", seed] => {
            let seed = seed.parse().map_err(|_| "the seed is not a number")?;
            print(&draw::draw(tree::mutants(Path::new(top))?, seed))
        }
        [top, "apply", name] => apply(Path::new(top), name),
        _ => Err(USAGE.into()),
    }
}

/// Prints a line for each mutant. The reader may stop early.
fn print(mutants: &[Mutant]) -> Result {
    let mut out = io::stdout().lock();
    for mutant in mutants {
        match writeln!(out, "{mutant}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            result => result?,
        }
    }
    Ok(())
}

/// Changes the file of the mutant `name`.
fn apply(top: &Path, name: &str) -> Result {
    let mutants = tree::mutants(top)?;
    let mutant = mutants
        .iter()
        .find(|mutant| mutant.name() == name)
        .ok_or_else(|| format!("no mutant has the name {name}"))?;
    let path = top.join(&mutant.file);
    let source = fs::read_to_string(&path)?;
    fs::write(&path, mutant.applied_to(&source))?;
    Ok(())
}
