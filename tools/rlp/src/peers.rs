// SPDX-License-Identifier: GPL-2.0

//! The words of other tools (kpatch, kcarectl, canonical-livepatch, klp), which are understood, or
//! answered with the verbs of this program.

use std::ffi::OsString;

/// What a word of another tool means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The same as these arguments.
    Same(&'static [&'static str]),
    /// This answer: the word has no equivalent here.
    Answer(&'static str),
}

fn meaning(word: &str) -> Option<Meaning> {
    use Meaning::{Answer, Same};
    Some(match word {
        "help" => Same(&["--help"]),
        "version" => Same(&["--version"]),
        // kpatch, klp, uptrack
        "list" | "patches" | "blocking" | "show" => Same(&["status"]),
        "signal" => Answer(
            "the loader wakes tasks by itself while a transition runs; rlp status names those that \
             hold it up",
        ),
        "downgrade" | "remove" => Answer(
            "rlp unload PATCH; a cumulative patch on probation falls back to what it has replaced",
        ),
        // kcarectl
        "--info" | "-i" => Same(&["status"]),
        "--patch-info" | "--latest-patch-info" => Same(&["info"]),
        "--status" | "-s" => Same(&["status", "--nagios"]),
        "--check" | "-c" => Same(&["check", "--kernel"]),
        "--doctor" => Same(&["doctor"]),
        "--unload" => Same(&["unload", "--all"]),
        "--update" | "-u" | "--smart-update" | "-q" | "--auto-update" | "--force-update"
        | "refresh" | "update" | "upgrade" => Answer(
            "rlp fetches nothing: get the patch with apt, and load it with rlp load FILE",
        ),
        "--uname" | "uname" => Answer(
            "rlp does not change what uname prints; rlp info CVE shows whether a problem is fixed",
        ),
        "--register" | "--unregister" | "--license-info" | "--plugin-info" | "--server-info" => {
            Answer("rlp needs no registration and no server: rlp load FILE loads a patch")
        }
        "--set-patch-level" | "--set-sticky-patch" => Answer(
            "the file decides: rlp load FILE loads that level, and rlp install FILE keeps it for \
             each boot",
        ),
        // canonical-livepatch
        "enable" => Answer("rlp load FILE loads a patch, and rlp install FILE loads it at each boot"),
        "disable" => Answer("rlp unload PATCH, or rlp unload --all"),
        "kernel-upgrade-required" => Answer(
            "rlp check --kernel shows whether this kernel can be patched, and rlp info CVE whether a \
             problem is fixed in it",
        ),
        "config" => Answer(
            "the loader has parameters (deadline, probation, require_signed), which are set in \
             /etc/modprobe.d",
        ),
        _ => return None,
    })
}

/// The arguments of this program, or the answer to a word of another tool.
pub(crate) fn translate(arguments: Vec<OsString>) -> Result<Vec<OsString>, &'static str> {
    // The verb may follow the option that all verbs have.
    let mut words = arguments.iter().enumerate().skip(1);
    let Some((at, verb)) = words.find(|(_, word)| *word != "--json") else {
        return Ok(arguments);
    };
    match verb.to_str().and_then(meaning) {
        None => Ok(arguments),
        Some(Meaning::Answer(answer)) => Err(answer),
        Some(Meaning::Same(words)) => {
            let mut arguments = arguments;
            arguments.splice(at..=at, words.iter().map(OsString::from));
            Ok(arguments)
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

    /// What users of other tools type after the name of the tool.
    const TYPED: [(&str, &str); 4] = [
        (
            "kpatch",
            "help version list info|fix load|fix.ko load|--all unload|fix unload|--all \
             install|fix.ko uninstall|fix force|fix signal",
        ),
        (
            "kcarectl",
            "--help --version -h -V --info -i --patch-info --latest-patch-info --status -s --check -c \
             --doctor --unload --update -u --smart-update -q --auto-update --force-update --uname \
             --register|KEY --unregister --license-info --plugin-info --server-info \
             --set-patch-level|7 --set-sticky-patch|K20",
        ),
        (
            "canonical-livepatch",
            "help version status status|--json enable|TOKEN disable refresh config|x=y \
             kernel-upgrade-required",
        ),
        (
            "klp and uptrack",
            "status patches blocking downgrade show remove|fix upgrade uname",
        ),
    ];

    #[test]
    fn words_of_others() {
        use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
        let (mut same, mut answered) = (0, 0);
        for (tool, lines) in TYPED {
            for line in lines.split_whitespace() {
                let typed: Vec<_> = std::iter::once("rlp").chain(line.split('|')).collect();
                let Ok(words) = translated(&typed) else {
                    answered += 1;
                    continue;
                };
                same += 1;
                match Cli::try_parse_from(words) {
                    Ok(_) => (),
                    Err(error) if matches!(error.kind(), DisplayHelp | DisplayVersion) => (),
                    // kpatch loads all patches of a folder. rlp has no such folder, and its usage
                    // asks for a file.
                    Err(error) if typed == ["rlp", "load", "--all"] => {
                        assert!(error.to_string().contains("<FILE>"), "{error}");
                    }
                    Err(error) => panic!("{tool} {line}: {error}"),
                }
            }
        }
        assert!(same > 25 && answered > 12, "{same} {answered}");
        assert_eq!(
            translated(&["rlp", "--json", "list"]).unwrap(),
            ["rlp", "--json", "status"]
        );
        assert!(translated(&["rlp", "signal"])
            .unwrap_err()
            .contains("rlp status"));
        // After a verb, such a word is an argument of the user. It is not translated.
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
