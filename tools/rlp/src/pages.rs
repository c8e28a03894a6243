// SPDX-License-Identifier: GPL-2.0

//! The manual pages and the completion, made from the same source as the command line.

use crate::cli::{
    Cli,
    STATUSES, //
};
use crate::failure::{
    on_file,
    Result, //
};
use clap::{
    Command,
    CommandFactory, //
};
use clap_mangen::roff::{
    bold,
    roman,
    Roff, //
};
use clap_mangen::Man;
use std::path::Path;

/// The section of commands for administrators.
const SECTION: &str = "8";

/// The verbs that units run, and that help does not list. Operators run them, too.
const UNIT_VERBS: [&str; 2] = ["boot", "heartbeat"];

fn page(command: Command, folder: &Path, related: &[String]) -> Result<()> {
    let name = command.get_name().to_owned();
    let has_verbs = command.has_subcommands();
    let path = folder.join(format!("{name}.{SECTION}"));
    // clap_mangen would put the statuses into a section EXTRA.
    let man = Man::new(command.after_help("")).section(SECTION);
    let mut bytes = b".\\\" SPDX-License-Identifier: GPL-2.0\n".to_vec();
    let render = |bytes: &mut Vec<u8>| -> std::io::Result<()> {
        man.render_title(bytes)?;
        man.render_name_section(bytes)?;
        man.render_synopsis_section(bytes)?;
        man.render_description_section(bytes)?;
        man.render_options_section(bytes)?;
        if has_verbs {
            man.render_subcommands_section(bytes)?;
        }
        statuses().to_writer(bytes)?;
        let mut roff = Roff::new();
        roff.control("SH", ["SEE ALSO"]);
        let mut line = Vec::new();
        for other in related.iter().filter(|other| **other != name) {
            if !line.is_empty() {
                line.push(roman(", "));
            }
            line.push(bold(other.as_str()));
            line.push(roman(format!("({SECTION})")));
        }
        roff.text(line);
        roff.to_writer(bytes)
    };
    render(&mut bytes).map_err(on_file(&path))?;
    std::fs::write(&path, bytes).map_err(on_file(&path))
}

fn statuses() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for line in STATUSES.lines().skip(1) {
        // "  0  done, ...", and one line without a number
        match line.trim().split_once("  ") {
            Some((status, text)) => {
                roff.control("TP", []);
                roff.text([bold(status)]);
                roff.text([roman(text)]);
            }
            None => {
                roff.control("PP", []);
                roff.text([roman(line.trim())]);
            }
        }
    }
    roff
}

/// The verbs below a command, and the names of their pages.
fn verbs(command: &Command, name: &str) -> Vec<(String, Command)> {
    let mut verbs = Vec::new();
    for verb in command.get_subcommands() {
        let is_internal = verb.is_hide_set() && !UNIT_VERBS.contains(&verb.get_name());
        if is_internal || verb.get_name() == "help" {
            continue;
        }
        let name = format!("{name}-{}", verb.get_name());
        verbs.push((name.clone(), verb.clone()));
        verbs.extend(self::verbs(verb, &name));
    }
    verbs
}

/// Writes a page for the program, and one for each verb, into a folder.
pub(crate) fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(on_file(folder))?;
    let mut program = Cli::command();
    program.build();
    let verbs = verbs(&program, "rlp");
    let mut related = vec!["rlp".to_owned()];
    related.extend(verbs.iter().map(|(name, _)| name.clone()));
    for (name, verb) in verbs {
        // clap takes names that live as long as the program.
        page(verb.name(&*name.leak()), folder, &related)?;
    }
    page(program, folder, &related)
}

/// The script that completes this program's arguments in a shell.
pub(crate) fn completion(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rlp", &mut script);
    crate::output::print(&String::from_utf8_lossy(&script))
}
