// SPDX-License-Identifier: GPL-2.0

//! The command line.

use clap::{
    Args,
    Parser,
    Subcommand, //
};
use std::ffi::OsString;
use std::path::PathBuf;

/// Builds a live patch for a shipped kernel from a source patch, and proves that each function that
/// it replaces is the shipped one.
#[derive(Debug, Parser)]
#[command(
    version,
    args_override_self = true,
    after_help = "Exit status: 0 done, 1 a tool failed, 2 wrong arguments, 3 the patch is refused, \
                  or a prototype differs."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build one cumulative module from a patch or a series
    #[command(args_override_self = true)]
    Build(Build),
    /// Compare the prototypes of a patch's replacements with those of the kernel's functions
    #[command(args_override_self = true)]
    Check(Check),
    /// Build each fix of a series by itself, and then all that can be built together
    #[command(args_override_self = true)]
    Triage(Triage),
    /// Draw functions at random, and write patches that make each of them count its calls
    Corpus(Corpus),
}

/// The kernel, and the paths of its parts.
#[derive(Debug, Clone, Args)]
pub(crate) struct Kernel {
    /// The kernel's release [default: that of the running kernel]
    #[arg(long)]
    pub(crate) release: Option<String>,
    /// The prepared tree [default: /lib/modules/RELEASE/build]
    #[arg(long)]
    pub(crate) tree: Option<PathBuf>,
    /// The kernel's source [default: the tree's]
    #[arg(long)]
    pub(crate) source: Option<PathBuf>,
    /// The shipped image [default: TREE/vmlinuz, or /boot/vmlinuz-RELEASE]
    #[arg(long)]
    pub(crate) image: Option<PathBuf>,
    /// The folder of the shipped modules [default: /lib/modules/RELEASE]
    #[arg(long)]
    pub(crate) modules: Option<PathBuf>,
    /// The folder with the loader's livepatch.mk
    #[arg(long, default_value = "/usr/share/rust_livepatch")]
    pub(crate) loader: PathBuf,
    /// Where compiled units are kept [default: ~/.cache/rlp-build]
    #[arg(long)]
    pub(crate) cache: Option<PathBuf>,
    /// The version of the source package, for the proof [default: RELEASE]
    #[arg(long)]
    pub(crate) source_version: Option<String>,
}

impl Kernel {
    /// The arguments that name the same kernel again.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut list = Vec::new();
        let mut add = |option: &str, value: Option<OsString>| {
            list.extend(value.into_iter().flat_map(|value| [option.into(), value]));
        };
        let path = |path: &Option<PathBuf>| path.clone().map(PathBuf::into_os_string);
        add("--release", self.release.clone().map(OsString::from));
        add("--tree", path(&self.tree));
        add("--source", path(&self.source));
        add("--image", path(&self.image));
        add("--modules", path(&self.modules));
        add("--loader", Some(self.loader.clone().into_os_string()));
        add("--cache", path(&self.cache));
        add(
            "--source-version",
            self.source_version.clone().map(OsString::from),
        );
        list
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) kernel: Kernel,
    /// Patches, or folders with a file "series"
    #[arg(required = true)]
    pub(crate) patches: Vec<PathBuf>,
    /// Where the module and its proof are written
    #[arg(short, long, default_value = ".")]
    pub(crate) output: PathBuf,
    /// The module's name [default: that of the patch]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A level, which modinfo shows
    #[arg(long)]
    pub(crate) level: Option<String>,
    /// A CVE number, in addition to those that the patch names
    #[arg(long)]
    pub(crate) cve: Vec<String>,
    /// The purpose of the module [default: the patch's subject]
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// How many units may be compiled for headers that the patch changes
    #[arg(long, default_value_t = 64)]
    pub(crate) units: usize,
    /// Disassemble the first function that differs, side by side with the shipped one
    #[arg(long)]
    pub(crate) explain: bool,
    /// Leave other patches enabled
    #[arg(long)]
    pub(crate) no_replace: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) kernel: Kernel,
    /// A function whose prototype changes, because the patch replaces all of its callers too
    #[arg(long, value_name = "FUNCTION", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// Patch modules, as they were built
    #[arg(required = true, value_name = "MODULE")]
    pub(crate) modules_to_check: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Triage {
    #[command(flatten)]
    pub(crate) kernel: Kernel,
    /// Patches, or folders of patches; a file "series" gives their order [default: by name]
    #[arg(required = true)]
    pub(crate) series: Vec<PathBuf>,
    /// Where the modules, the logs and triage.json are written
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// The name of the module of all fixes
    #[arg(long, default_value = "together")]
    pub(crate) name: String,
    /// How many units may be compiled for headers that a fix changes
    #[arg(long, default_value_t = 64)]
    pub(crate) units: usize,
    /// How many builds run at the same time [default: the number of processors]
    #[arg(long)]
    pub(crate) jobs: Option<usize>,
    /// Build each fix by itself only
    #[arg(long)]
    pub(crate) no_together: bool,
    /// Make modules that leave other patches enabled
    #[arg(long)]
    pub(crate) no_replace: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Corpus {
    #[command(flatten)]
    pub(crate) kernel: Kernel,
    /// The number of functions to draw
    #[arg(long, default_value_t = 30)]
    pub(crate) count: usize,
    /// The same seed draws the same functions of the same kernel
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The folder for the patches
    #[arg(short, long)]
    pub(crate) output: PathBuf,
}
