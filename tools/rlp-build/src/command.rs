// SPDX-License-Identifier: GPL-2.0

//! Runs other programs, and waits until they end.

use crate::refusal::{
    tool_failure,
    Failure,
    Refusal,
    Result, //
};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{
    Command,
    Output,
    Stdio, //
};

/// A program without the variables of the caller's environment that change a build. Its messages
/// are not translated.
pub(crate) fn program(name: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .current_dir(dir)
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    for variable in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "MAKEOVERRIDES",
        "KBUILD_OUTPUT",
        "KCFLAGS",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs a program, and returns its output even if it fails.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .output()
        .map_err(|error| tool_failure(format!("{name} cannot be run: {error}")))
}

/// Runs a program that must succeed, and returns what it prints.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The symbol that the linker has found in two of its files.
pub(crate) fn defined_twice(output: &Output) -> Option<Refusal> {
    let text = String::from_utf8_lossy(&output.stderr);
    let (_, rest) = text.split_once("multiple definition of `")?;
    let (symbol, _) = rest.split_once('\'')?;
    Some(Refusal::DefinedTwice {
        symbol: symbol.to_owned(),
    })
}

/// The failure of a program, with the lines of its output that matter.
pub(crate) fn failed(command: &Command, output: &Output) -> Failure {
    let name = command.get_program().to_string_lossy().into_owned();
    let words: Vec<_> = command
        .get_args()
        .take(3)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    tool_failure(format!(
        "{name} {} failed: {}",
        words.join(" "),
        excerpt(output, 12)
    ))
}

/// The first lines that name an error, or the last lines if no line names an error. Lines of make
/// itself are left out, except "No rule to make target".
pub(crate) fn excerpt(output: &Output, lines: usize) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let own = |line: &str| line.starts_with("make") && !line.contains("*** No rule");
    let all: Vec<_> = text
        .lines()
        .filter(|line| !own(line) && !line.is_empty())
        .collect();
    let errors: Vec<_> = all
        .iter()
        .copied()
        .filter(|line| line.to_ascii_lowercase().contains("error"))
        .take(lines)
        .collect();
    if !errors.is_empty() {
        return errors.join("\n");
    }
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Compiles a C text.
#[cfg(test)]
pub(crate) fn compile_for_test(text: &str, options: &[&str], object: &Path) {
    let source = object.with_extension("c");
    std::fs::write(&source, text).unwrap();
    let result = program("gcc", object.parent().unwrap())
        .args(["-O1", "-Werror", "-c", "-o"])
        .arg(object)
        .args(options)
        .arg(&source)
        .output()
        .unwrap();
    assert!(result.status.success(), "{text}\n{result:?}");
}
