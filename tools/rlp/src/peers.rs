// SPDX-License-Identifier: GPL-2.0

//! The words of other tools (kpatch, kcarectl, canonical-livepatch, klp, kgr, uptrack). Each is
//! understood, or answered with the verb of this program.
//!
//! The words are those that the tools themselves document: the usage of kpatch 0.9 and of the
//! versions before 0.4, the table "kcarectl" of TuxCare's manual of KernelCare, klp(8) and kgr(8)
//! of SUSE, `canonical-livepatch help`, and Oracle's commands of Ksplice (`uptrack-show` and
//! others). Some options of kcarectl are in `kcarectl --help` only.

use std::ffi::{
    OsStr,
    OsString, //
};

/// The meaning of a word of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The same as these arguments.
    Replacement(&'static [&'static str]),
    /// The word has no equivalent here. This explains what to use.
    Explanation(&'static str),
}

const NO_FEED: &str = "rlp fetches nothing: get the patch with apt, and load it with rlp load FILE";

fn meaning(word: &str) -> Option<Meaning> {
    use Meaning::{
        Explanation,
        Replacement, //
    };
    Some(match word {
        "help" => Replacement(&["--help"]),
        "version" => Replacement(&["--version"]),
        // kpatch
        "list" => Replacement(&["status"]),
        "signal" | "poke" => Explanation(
            "the loader wakes tasks by itself while a transition runs; rlp status names those that \
             hold it up",
        ),
        "replace" => Explanation(
            "rlp load FILE: a patch that is cumulative replaces all others by itself",
        ),
        // klp, kgr, uptrack
        "patches" | "blocking" | "blocking_threads" | "show" => Replacement(&["status"]),
        "downgrade" | "remove" => Explanation(
            "rlp unload PATCH; a cumulative patch on probation falls back to what it has replaced",
        ),
        // kcarectl
        "--info" | "-i" => Replacement(&["status"]),
        "--patch-info" | "--latest-patch-info" => Replacement(&["info"]),
        "--status" | "-s" => Replacement(&["status", "--nagios"]),
        "--doctor" => Replacement(&["doctor"]),
        "--unload" => Replacement(&["unload", "--all"]),
        "--check" | "-c" => Explanation(
            "rlp fetches nothing: apt knows whether there is a newer patch, and rlp check --kernel \
             whether this kernel can be patched",
        ),
        "--update" | "-u" | "--smart-update" | "-q" | "--auto-update" | "--force-update"
        | "--enable-auto-update" | "--disable-auto-update" | "--local" | "refresh" | "update"
        | "upgrade" => Explanation(NO_FEED),
        "--test" | "--prefix" => Explanation(
            "the repository of apt decides which patches are test builds; rlp load --test COMMAND \
             tests a patch, and takes it back if that fails",
        ),
        "--force" => Explanation(
            "a transition waits until it is safe; rlp force PATCH ends one without proof",
        ),
        "--freezer" | "--nofreeze" => Explanation(
            "no task is frozen: each task is switched when it is in none of the functions that \
             change",
        ),
        "--uname" | "uname" => Explanation(
            "rlp does not change what uname prints; rlp info CVE shows whether a problem is fixed",
        ),
        "--register" | "--register-autoretry" | "--unregister" | "--license-info"
        | "--plugin-info" | "--app-info" | "--server-info" | "--set-monitoring-key" | "--tag" => {
            Explanation("rlp needs no registration and no server: rlp load FILE loads a patch")
        }
        "--import-key" | "--nosignature" => Explanation(
            "the kernel checks the signatures of modules: see integration.rst for its keys",
        ),
        "--userspace-update" | "--enable-libcare" | "--disable-libcare" => {
            Explanation("rlp patches the kernel only")
        }
        "--set-patch-level" | "--set-sticky-patch" | "--set-patch-type" => Explanation(
            "each patch file has one level: rlp load FILE loads the patch, and rlp install FILE \
             loads it at each boot",
        ),
        // canonical-livepatch
        "enable" => Explanation(
            "rlp load FILE loads a patch, and rlp install FILE loads it at each boot",
        ),
        "disable" => Explanation("rlp unload PATCH, or rlp unload --all"),
        "kernel-upgrade-required" => Explanation(
            "rlp check --kernel shows whether this kernel can be patched, and rlp info CVE whether \
             a problem is fixed in it",
        ),
        "config" | "--set-config" => Explanation(
            "the loader has parameters (deadline, probation, require_signed), which are set in \
             /etc/modprobe.d",
        ),
        _ => return None,
    })
}

/// The meaning of a verb of this program with another tool's option behind it.
fn meaning_with(verb: &str, option: &str) -> Option<Meaning> {
    use Meaning::{
        Explanation,
        Replacement, //
    };
    Some(match (verb, option) {
        // kpatch
        ("load", "--all") => {
            Explanation("rlp boot loads the installed patches, as at boot; rlp boot -n says which")
        }
        ("install" | "uninstall", "-k" | "--kernel-version") => Replacement(&["--release"]),
        // canonical-livepatch
        ("status", "--verbose") => Replacement(&[]),
        ("status", "--format=json") => Replacement(&["--json"]),
        ("status", "--format") => Explanation("rlp status --json prints JSON, and rlp status text"),
        _ => return None,
    })
}

/// Splits an argument "--option=value" into "--option" and "=value".
fn split(argument: &OsStr) -> (&str, &str) {
    let text = argument.to_str().unwrap_or_default();
    match text.find('=') {
        Some(at) if text.starts_with("--") => text.split_at(at),
        _ => (text, ""),
    }
}

/// The arguments of this program, or the explanation of a word of another tool.
pub(crate) fn translate(arguments: Vec<OsString>) -> Result<Vec<OsString>, &'static str> {
    // `--json` may stand before the verb.
    let mut words = arguments.iter().enumerate().skip(1);
    let Some((at, verb)) = words.find(|(_, word)| *word != "--json") else {
        return Ok(arguments);
    };
    let (verb, _) = split(verb);
    if let Some(meaning) = meaning(verb) {
        return replace(arguments.clone(), at, meaning, "");
    }
    let found = words.find_map(|(at, option)| {
        let whole = meaning_with(verb, option.to_str()?).map(|meaning| (at, meaning, ""));
        let (name, value) = split(option);
        whole.or_else(|| Some((at, meaning_with(verb, name)?, value)))
    });
    match found {
        Some((at, meaning, value)) => replace(arguments.clone(), at, meaning, value),
        None => Ok(arguments),
    }
}

/// Replaces an argument by what it means. `value` is what the argument has after its name.
fn replace(
    mut arguments: Vec<OsString>,
    at: usize,
    meaning: Meaning,
    value: &str,
) -> Result<Vec<OsString>, &'static str> {
    match meaning {
        Meaning::Explanation(text) => Err(text),
        Meaning::Replacement(words) => {
            let words = words
                .iter()
                .map(|word| OsString::from(format!("{word}{value}")));
            arguments.splice(at..=at, words);
            Ok(arguments)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{
        CommandFactory,
        Parser, //
    };

    fn translated(words: &[&str]) -> Result<Vec<String>, &'static str> {
        let arguments = words.iter().map(OsString::from).collect();
        let words = translate(arguments)?.into_iter();
        Ok(words.map(|word| word.into_string().unwrap()).collect())
    }

    /// The words that users of other tools type after the name of the tool.
    const TYPED: [(&str, &str); 4] = [
        (
            "kpatch",
            "help -h --help version list info|fix load|fix.ko load|--all unload|fix unload|--all \
             install|fix.ko install|-k|7.3|fix.ko install|--kernel-version=7.3|fix.ko \
             install|--kernel-version|7.3|fix.ko uninstall|fix uninstall|-k|7.3|fix \
             uninstall|--kernel-version=7.3|fix replace|fix.ko force force|fix signal",
        ),
        (
            "kcarectl",
            "--help --version -h -V --info -i --patch-info --latest-patch-info --status -s --check \
             -c --doctor --unload --update -u --update|--force --smart-update -q --auto-update \
             --force-update --force --uname --register|KEY --register-autoretry --unregister \
             --license-info --plugin-info --app-info --server-info --set-monitoring-key|KEY \
             --set-patch-level|7 --set-patch-type|extra --set-sticky-patch|010126 \
             --set-sticky-patch=KEY --userspace-update|libs --test --prefix|test --prefix=test \
             --import-key|PATH --freezer|smart --tag|x --local --set-config|A=b --enable-libcare \
             --nofreeze --nosignature --enable-auto-update --disable-auto-update",
        ),
        (
            "canonical-livepatch",
            "help version status status|--json status|--verbose status|--format|json \
             status|--format=json enable|TOKEN disable refresh config|x=y kernel-upgrade-required",
        ),
        (
            "klp, kgr and uptrack",
            "status patches blocking blocking_threads poke downgrade show remove|fix upgrade uname",
        ),
    ];

    #[test]
    fn words_of_others() {
        use clap::error::ErrorKind::{
            DisplayHelp,
            DisplayVersion, //
        };
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
                    Err(error) => panic!("{tool} {line}: {error}"),
                }
            }
        }
        assert!(same > 35 && answered > 40, "{same} {answered}");
        assert!(translated(&["rlp", "load", "--all"])
            .unwrap_err()
            .contains("rlp boot"));
        assert_eq!(
            translated(&["rlp", "install", "--kernel-version=7.3", "x.ko"]).unwrap(),
            ["rlp", "install", "--release=7.3", "x.ko"]
        );
        assert_eq!(
            translated(&["rlp", "status", "--format=json"]).unwrap(),
            ["rlp", "status", "--json"]
        );
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
        for verb in ["apply", "rollback", "hold", "level"] {
            assert_eq!(meaning(verb), None, "{verb}");
        }
    }
}
