// SPDX-License-Identifier: GPL-2.0

//! The prepared kernel tree that a patch is compiled in, and the folders of one build.

use crate::command::{
    program,
    run, //
};
use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use crate::{
    cache,
    namespace, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// A prepared tree, its source, and where this build keeps its files.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The tree with .config, include/generated and tools/objtool.
    pub(crate) dir: PathBuf,
    /// The kernel's source; the tree itself if it was not made with O=.
    pub(crate) source: PathBuf,
    pub(crate) release: String,
    /// The folder of the build's own files. Its path is the same for all builds, because the
    /// compiler writes the path into its output. The overlay makes it a different folder for each
    /// build.
    pub(crate) work: PathBuf,
    /// Compiled units, for later builds.
    pub(crate) cache: PathBuf,
    pub(crate) jobs: usize,
}

impl Tree {
    /// Covers the tree and its source, so that the build can write to both.
    pub(crate) fn cover(
        dir: &Path,
        source: Option<&Path>,
        loader: &Path,
        cache: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let dir = dir.canonicalize().map_err(io_error_at(dir))?;
        let source = match source {
            Some(source) => source.canonicalize().map_err(io_error_at(source))?,
            None => dir
                .join("source")
                .canonicalize()
                .unwrap_or_else(|_| dir.clone()),
        };
        let release_file = dir.join("include/config/kernel.release");
        let release = std::fs::read_to_string(&release_file)
            .map_err(io_error_at(&release_file))?
            .trim()
            .to_owned();
        if !source.join("scripts/livepatch/init.c").exists() {
            return Err(tool_failure(format!(
                "{} is not the source of a kernel with scripts/livepatch: name the right source \
                 with --source",
                source.display()
            )));
        }
        if let Some(version) = version(&source) {
            if !release.starts_with(&format!("{version}.")) {
                return Err(Refusal::WrongSource {
                    release,
                    part: "source",
                    other: version,
                }
                .into());
            }
        }

        namespace::cover(&dir, &folder.join("tree"))?;
        if source != dir {
            namespace::cover(&source, &folder.join("source"))?;
        }
        let work = dir.join(".rlp-build");
        std::fs::create_dir_all(&work).map_err(io_error_at(&work))?;

        let cache = cache::folder(cache, &release, &dir, &source, loader)?;
        let jobs = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            dir,
            source,
            release,
            work,
            cache,
            jobs,
        })
    }

    pub(crate) fn objtool(&self) -> PathBuf {
        self.dir.join("tools/objtool/objtool")
    }

    /// The compiler must be the one that the configuration names.
    pub(crate) fn check_compiler(&self) -> Result {
        let path = self.dir.join(".config");
        let config = std::fs::read_to_string(&path).map_err(io_error_at(&path))?;
        let wanted = config
            .lines()
            .find_map(|line| {
                line.strip_prefix("CONFIG_CC_VERSION_TEXT=\"")?
                    .strip_suffix('"')
            })
            .unwrap_or_default();
        let name = if wanted.contains("clang") {
            "clang"
        } else {
            "gcc"
        };
        let printed = run(program(name, &self.dir).arg("--version"))?;
        let here = printed.lines().next().unwrap_or_default();
        // "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0": names differ, versions must not.
        let version = |text: &str| text.split_once(' ').map(|(_, version)| version.to_owned());
        if version(wanted) != version(here) {
            return Err(Refusal::WrongCompiler {
                tree: wanted.into(),
                here: here.into(),
            }
            .into());
        }
        let help = crate::command::output(program(self.objtool(), &self.dir).arg("klp"))?;
        let help = format!(
            "{}{}",
            String::from_utf8_lossy(&help.stdout),
            String::from_utf8_lossy(&help.stderr)
        );
        if !help.contains("checksum") {
            return Err(tool_failure(format!(
                "{} has no \"klp\": install libxxhash-dev, and prepare the tree again",
                self.objtool().display()
            )));
        }
        Ok(())
    }

    pub(crate) fn compiler(&self) -> Result<String> {
        let path = self.dir.join(".config");
        let config = std::fs::read_to_string(&path).map_err(io_error_at(&path))?;
        let text = config.lines().find_map(|line| {
            line.strip_prefix("CONFIG_CC_VERSION_TEXT=\"")?
                .strip_suffix('"')
        });
        Ok(text.unwrap_or_default().to_owned())
    }

    /// Makes a folder below the build's own, unless it exists already.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.work.join(name);
        std::fs::create_dir_all(&folder).map_err(io_error_at(&folder))?;
        Ok(folder)
    }
}

/// The version in the source's Makefile, without the number of the stable release: some
/// distributions count stable releases differently.
fn version(source: &Path) -> Option<String> {
    let makefile = std::fs::read_to_string(source.join("Makefile")).ok()?;
    let value = |name: &str| {
        makefile.lines().find_map(|line| {
            let (variable, value) = line.split_once('=')?;
            (variable.trim() == name).then(|| value.trim().to_owned())
        })
    };
    Some(format!("{}.{}", value("VERSION")?, value("PATCHLEVEL")?))
}

/// Hexadecimal digits of a hash.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}
