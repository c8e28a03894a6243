// SPDX-License-Identifier: GPL-2.0

//! The command line.

use clap::{
    Args,
    Parser,
    Subcommand,
    ValueEnum, //
};
use clap_complete::Shell;
use std::path::PathBuf;

/// The exit statuses, after the options in the help and in the manual page.
pub(crate) const STATUSES: &str = "\
Exit status:
  0  done, or nothing was to be done
  1  the machine or a program failed
  2  wrong arguments
  3  refused: the refused action has changed nothing
  4  not complete yet: the transition continues
  5  taken back: the machine is as before
  6  the answer is no (info CVE, check, doctor, verify, report,
     level covers)
  status --nagios: 0 ok, 1 warning, 2 critical, 3 unknown";

/// Loads live patches, shows what they do, and takes them back.
#[derive(Debug, Parser)]
#[command(version, after_help = STATUSES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Look at the files of a machine below this folder; for tests
    #[arg(long, global = true, hide = true, value_name = "FOLDER")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is in effect, what is in transition, and what blocks it
    Status(Status),
    /// Show a patch in detail, or which patch fixes a CVE
    Info(Info),
    /// Load patches, and wait until they are in effect
    Load(Load),
    /// Disable patches, wait until they are removed, and unload them
    Unload(Unload),
    /// Confirm patches that are on probation
    Confirm(Confirm),
    /// Reverse a transition
    Reverse(Reverse),
    /// End a transition without proof that it is safe
    Force(Force),
    /// Check a kernel or the file of a patch, and change nothing
    Check(Check),
    /// Look for everything that is wrong, and say what to do
    Doctor,
    /// Show what was done, by whom, and what the loader did by itself
    History(History),
    /// Check that no record was changed, left out or moved
    Verify(Verify),
    /// Export the records for auditors
    #[command(subcommand)]
    Evidence(Evidence),
    /// Print metrics for Prometheus
    Metrics(Metrics),
    /// Build, apply and show levels: a patch for each kernel
    #[command(subcommand)]
    Level(Level),
    /// Show when each host was protected, from exported records
    Report(Report),
    /// Install a patch, to be loaded at each boot of its kernel
    Install(Install),
    /// Remove a patch from those that are loaded at boot
    Uninstall(Uninstall),
    /// Load the installed patches; for rlp-boot.service
    #[command(hide = true)]
    Boot(Boot),
    /// Record what is in effect; for rlp-heartbeat.timer
    #[command(hide = true)]
    Heartbeat(Heartbeat),
    /// Record an event of the loader; for udev
    #[command(hide = true)]
    Event,
    /// Print the completion for a shell
    #[command(hide = true)]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Manual {
        /// The folder for the pages
        folder: PathBuf,
    },
}

impl Command {
    /// The name in JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Info(_) => "info",
            Self::Load(_) => "load",
            Self::Unload(_) => "unload",
            Self::Confirm(_) => "confirm",
            Self::Reverse(_) => "reverse",
            Self::Force(_) => "force",
            Self::Check(_) => "check",
            Self::Doctor => "doctor",
            Self::History(_) => "history",
            Self::Verify(_) => "verify",
            Self::Evidence(_) => "evidence",
            Self::Metrics(_) => "metrics",
            Self::Level(level) => level.name(),
            Self::Report(_) => "report",
            Self::Install(_) => "install",
            Self::Uninstall(_) => "uninstall",
            Self::Boot(_) => "boot",
            Self::Heartbeat(_) => "heartbeat",
            Self::Event => "event",
            Self::Completion { .. } => "completion",
            Self::Manual { .. } => "manual",
        }
    }

    /// Whether the command itself is told to print JSON.
    pub(crate) fn prints_json(&self) -> bool {
        match self {
            Self::Report(report) => report.output.is_none() && report.format == Format::Json,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Status {
    /// Print one line, and exit with the status of a Nagios plugin
    #[arg(long)]
    pub(crate) nagios: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Info {
    /// A patch, or a CVE number [default: all patches]
    #[arg(value_name = "PATCH|CVE")]
    pub(crate) what: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// The modules, in the order in which they are loaded
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Confirm each patch as soon as it is in effect
    #[arg(long, conflicts_with = "test")]
    pub(crate) confirm: bool,
    /// Run this command when a patch is in effect.
    /// Confirm the patch if the command succeeds,
    /// take it back if not
    #[arg(long, value_name = "COMMAND", verbatim_doc_comment)]
    pub(crate) test: Option<String>,
    /// The loader takes the patch back if it is not
    /// confirmed in this time
    #[arg(
        long,
        value_name = "SECONDS",
        verbatim_doc_comment,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) probation: Option<u32>,
    /// The loader reverses a transition that is not
    /// complete in this time
    #[arg(long, value_name = "SECONDS", verbatim_doc_comment)]
    pub(crate) deadline: Option<u32>,
    /// A parameter for the modules
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    /// Stop waiting after this time. The transition
    /// continues
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        verbatim_doc_comment
    )]
    pub(crate) timeout: u64,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Dry {
    /// Check what rlp itself can check, say what
    /// would be done, and change nothing
    #[arg(short = 'n', long, verbatim_doc_comment)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Unload {
    /// The patches
    #[arg(required_unless_present = "all", value_name = "PATCH")]
    pub(crate) patches: Vec<String>,
    /// Unload all patches, the newest first
    #[arg(long, conflicts_with = "patches")]
    pub(crate) all: bool,
    /// The loader reverses a transition that is not
    /// complete in this time
    #[arg(long, value_name = "SECONDS", verbatim_doc_comment)]
    pub(crate) deadline: Option<u32>,
    #[command(flatten)]
    pub(crate) wait: Wait,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Confirm {
    /// The patches [default: all that are not confirmed]
    #[arg(value_name = "PATCH")]
    pub(crate) patches: Vec<String>,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Reverse {
    /// The patch [default: the one that is in transition]
    #[arg(value_name = "PATCH")]
    pub(crate) patch: Option<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Force {
    /// The patch [default: the one that is in transition]
    #[arg(value_name = "PATCH")]
    pub(crate) patch: Option<String>,
    /// Accept that the patch loses its consistency,
    /// and that modules may stay until the next boot
    #[arg(long, verbatim_doc_comment)]
    pub(crate) yes_i_know: bool,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// The modules of patches
    #[arg(required_unless_present = "kernel", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Whether the running kernel can be live patched
    #[arg(long)]
    pub(crate) kernel: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct History {
    /// Only this patch
    #[arg(long, value_name = "PATCH")]
    pub(crate) patch: Option<String>,
    /// Only records from this time on, such as
    /// 2026-11-30 or 2026-11-30T12:00:00Z
    #[arg(long, verbatim_doc_comment, value_name = "TIME", value_parser = crate::time::parse)]
    pub(crate) since: Option<String>,
    /// Only the newest COUNT records
    #[arg(long, value_name = "COUNT")]
    pub(crate) last: Option<usize>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Verify {
    /// The records [default: those of this machine]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The file must have this record: HASH or
    /// NUMBER:HASH
    #[arg(long, value_name = "HEAD", verbatim_doc_comment, value_parser = crate::head::parse)]
    pub(crate) head: Option<crate::judge::Anchor>,
    /// The signature of a head. The file of the head
    /// must be beside it. The records must include
    /// the record that the head names
    #[arg(long, value_name = "FILE", verbatim_doc_comment, requires = "key")]
    pub(crate) signature: Option<PathBuf>,
    /// The keys of the hosts, as in ssh-keygen's list
    /// of allowed signers
    #[arg(
        long,
        value_name = "FILE",
        verbatim_doc_comment,
        requires = "signature"
    )]
    pub(crate) key: Option<PathBuf>,
    /// The records must be of this host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Evidence {
    /// Write the records and their head to a folder, and sign the head
    Export(Export),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Export {
    /// The folder
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Sign with this key [default: the host's key]
    #[arg(long, value_name = "FILE", conflicts_with = "unsigned")]
    pub(crate) key: Option<PathBuf>,
    /// Do not sign
    #[arg(long)]
    pub(crate) unsigned: bool,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Csv,
    Json,
    Html,
    Pdf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Report {
    /// Exported records, or folders with them
    #[arg(required = true, value_name = "FILE|FOLDER")]
    pub(crate) evidence: Vec<PathBuf>,
    /// From this time on, such as 2026-06-01
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    pub(crate) from: String,
    /// Up to this time, such as 2026-11-30, which
    /// includes that day
    #[arg(long, value_name = "TIME", verbatim_doc_comment, value_parser = crate::time::parse)]
    pub(crate) to: String,
    /// The hosts that must have evidence
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
    /// The level.json of a level, or a folder with several
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) level: Vec<PathBuf>,
    /// The days in which a CVE must be fixed,
    /// exceptions, and control numbers
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) policy: Option<PathBuf>,
    /// The keys of the hosts, as for verify. Each host
    /// must have signed the head of its records
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) key: Option<PathBuf>,
    /// text, csv, json, html or pdf
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
    /// Write the report to this file
    #[arg(long, value_name = "FILE", required_if_eq("format", "pdf"))]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Metrics {
    /// Write them to this file, which node_exporter's
    /// textfile collector reads
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Heartbeat {
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Level {
    /// Build the package of a level, for those who run the repository
    Build(LevelBuild),
    /// Apply the installed level, if the policy says so
    Apply(LevelApply),
    /// Show the levels of this machine, and the decision
    Status,
    /// Apply no level until a time
    Hold(LevelHold),
    /// End a hold, or let a level be applied that has failed
    Release(LevelRelease),
    /// Whether the installed level covers another kernel
    Covers(LevelCovers),
}

impl Level {
    /// The name in JSON.
    fn name(&self) -> &'static str {
        match self {
            Self::Build(_) => "level build",
            Self::Apply(_) => "level apply",
            Self::Status => "level status",
            Self::Hold(_) => "level hold",
            Self::Release(_) => "level release",
            Self::Covers(_) => "level covers",
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LevelBuild {
    /// For each kernel a folder with the patch, its proof
    /// if there is one, and rust_livepatch.ko. Without a
    /// proof, vmlinux or a copy of /sys/kernel/notes, too
    #[arg(required = true, value_name = "KERNEL-FOLDER", verbatim_doc_comment)]
    pub(crate) folders: Vec<PathBuf>,
    /// The number of the level
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) level: u32,
    /// The folder for the package and its documents
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Facts about CVEs: severity, disclosed, fixed_in
    #[arg(long, value_name = "FILE")]
    pub(crate) cve_data: Option<PathBuf>,
    /// level.json of the level before: refuse to build a level
    /// that lacks one of its fixes, functions or blocks
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) previous: Option<PathBuf>,
    /// Build the level nevertheless, with a note of each loss
    #[arg(long, requires = "previous")]
    pub(crate) allow_losses: bool,
    /// Take this earlier level back where it is in effect
    #[arg(long, value_name = "N")]
    pub(crate) block: Vec<u32>,
    /// The maintainer of the package, and the author of
    /// its documents
    #[arg(
        long,
        value_name = "NAME <EMAIL>",
        verbatim_doc_comment,
        default_value = "rlp level build <root@localhost>"
    )]
    pub(crate) publisher: crate::publisher::Publisher,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LevelApply {
    /// Wait neither for the delay of the ring nor for the
    /// window. A hold and a block remain in force
    #[arg(long, verbatim_doc_comment)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LevelHold {
    /// The end of the hold, such as 2026-12-24 or
    /// 2026-12-24T12:00:00Z, in UTC
    #[arg(long, verbatim_doc_comment, value_name = "TIME", value_parser = crate::time::moment)]
    pub(crate) until: u64,
    /// The reason, which status and the history show
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LevelRelease {
    /// Release this level, which has failed on this machine
    /// [default: end the hold of rlp level hold]
    #[arg(long, verbatim_doc_comment, value_name = "N")]
    pub(crate) level: Option<u32>,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LevelCovers {
    /// The kernel's release, as uname -r would print it
    pub(crate) release: String,
    /// The kernel's image, whose build id is compared
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Install {
    /// The modules, in the order in which they are loaded
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Refuse a file that is not for this release
    #[arg(long)]
    pub(crate) release: Option<String>,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Uninstall {
    /// The patches
    #[arg(required = true, value_name = "PATCH")]
    pub(crate) patches: Vec<String>,
    /// The kernel's release [default: the running one]
    #[arg(long)]
    pub(crate) release: Option<String>,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Boot {
    /// The machine has survived the boot with these patches
    #[arg(long)]
    pub(crate) survived: bool,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[cfg(test)]
mod tests {
    use super::{
        Cli,
        STATUSES, //
    };
    use crate::failure::{
        Kind,
        ANSWER_IS_NO, //
    };
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    /// The numbers at the beginning of lines.
    fn numbers<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<u8> {
        let words = lines.filter_map(|line| line.split_whitespace().next());
        words.filter_map(|word| word.parse().ok()).collect()
    }

    #[test]
    fn the_exit_statuses_are_documented() {
        let kinds = [
            Kind::Error,
            Kind::Refused,
            Kind::InProgress,
            Kind::TakenBack,
        ];
        let mut used: BTreeSet<u8> = kinds.iter().map(|kind| kind.status()).collect();
        used.extend([0, crate::usage::STATUS, ANSWER_IS_NO]);
        assert_eq!(numbers(STATUSES.lines()), used);
        let guide = include_str!("../../../Documentation/operating.rst");
        let (_, guide) = guide.split_once("\nStatus Meaning\n").unwrap();
        let (table, _) = guide.split_once("\n\n").unwrap();
        assert_eq!(numbers(table.lines()), used);
    }

    #[test]
    fn help_is_one_page() {
        let mut program = Cli::command();
        program.build();
        let fits = |text: &str, most: usize| {
            assert!(text.lines().count() <= most, "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        };
        let page = program.render_help().to_string();
        fits(&page, 40);
        assert!(page.lines().count() >= 24, "{page}");
        for verb in program.get_subcommands_mut() {
            if !verb.is_hide_set() {
                assert!(page.contains(verb.get_name()), "{page}");
                fits(&verb.render_help().to_string(), 30);
            }
        }
    }
}
