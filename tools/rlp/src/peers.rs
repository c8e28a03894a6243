// SPDX-License-Identifier: GPL-2.0

//! The words of other tools (kpatch, kcarectl, canonical-livepatch, klp), which are understood, or
//! answered with the verbs of this program.

use std::ffi::OsString;

/// What a word of another tool means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The same as these arguments.
    Same(&'static [&'static str]),
    /// There is no such thing here.
    Answer(&'static str),
}

fn meaning(word: &str) -> Option<Meaning> {
    use Meaning::{Answer, Same};
    Some(match word {
        // kpatch, klp
        "list" | "patches" | "blocking" => Same(&["status"]),
        "signal" => Answer(
            "the loader wakes tasks by itself while a transition runs; rlp status names those that \
             hold it up",
        ),
        // kcarectl
        "--info" | "-i" => Same(&["status"]),
        "--patch-info" => Same(&["info"]),
        "--status" | "-s" => Same(&["status", "--nagios"]),
        "--check" | "-c" => Same(&["check", "--kernel"]),
        "--unload" => Same(&["unload", "--all"]),
        "--update" | "-u" | "--auto-update" | "refresh" | "update" => Answer(
            "rlp fetches nothing: get the patch with apt, and load it with rlp load FILE",
        ),
        "--uname" | "uname" => Answer(
            "rlp does not change what uname prints; rlp info CVE shows whether a problem is fixed",
        ),
        // canonical-livepatch
        "enable" => Answer("rlp load FILE loads a patch, and rlp install FILE loads it at each boot"),
        "disable" => Answer("rlp unload PATCH, or rlp unload --all"),
        "config" => Answer(
            "the loader has parameters (deadline, probation, require_signed), which are set in \
             /etc/modprobe.d",
        ),
        _ => return None,
    })
}

/// The arguments of this program, or the answer to a word of another tool.
pub(crate) fn translate(arguments: Vec<OsString>) -> Result<Vec<OsString>, &'static str> {
    let first = arguments.get(1).and_then(|word| word.to_str());
    match first.and_then(meaning) {
        None => Ok(arguments),
        Some(Meaning::Answer(answer)) => Err(answer),
        Some(Meaning::Same(words)) => {
            let program = arguments[..1].iter().cloned();
            let words = words.iter().map(OsString::from);
            let rest = arguments[2..].iter().cloned();
            Ok(program.chain(words).chain(rest).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    fn translated(words: &[&str]) -> Result<Vec<String>, &'static str> {
        let arguments = words.iter().map(OsString::from).collect();
        let words = translate(arguments)?.into_iter();
        Ok(words.map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn words_of_others() {
        for words in [
            &["rlp", "list"][..],
            &["rlp", "--info", "--json"],
            &["rlp", "--status"],
            &["rlp", "--check"],
            &["rlp", "--unload", "--dry-run"],
        ] {
            Cli::try_parse_from(translated(words).unwrap()).unwrap();
        }
        assert!(translated(&["rlp", "signal"]).is_err());
        assert!(translated(&["rlp", "--uname"]).is_err());
        // The same words elsewhere are the user's.
        let own = ["rlp", "unload", "list"];
        assert_eq!(translated(&own).unwrap(), own);
        assert_eq!(translated(&["rlp"]).unwrap(), ["rlp"]);
    }

    #[test]
    fn own_verbs_are_not_translated() {
        for verb in Cli::command().get_subcommands() {
            assert_eq!(meaning(verb.get_name()), None, "{}", verb.get_name());
        }
        // These are left for later versions.
        for verb in ["apply", "rollback", "hold", "report", "verify", "level"] {
            assert_eq!(meaning(verb), None, "{verb}");
        }
    }
}
