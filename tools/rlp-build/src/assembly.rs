// SPDX-License-Identifier: GPL-2.0

//! Assembly code and linker scripts that include a header which the patch changes.
//!
//! A live patch cannot replace them. So each of them is compiled without and with the patch, and
//! the patch is refused if one of them changes.

use crate::command::{
    excerpt,
    output,
    program, //
};
use crate::compile;
use crate::elf::Elf;
use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use crate::units::output_of;
use std::path::{
    Path,
    PathBuf, //
};

/// The folders of the outputs without and with the patch.
const ORIG: &str = "assembly/orig";
const PATCHED: &str = "assembly/patched";

/// The files, and the commands that compile them.
pub(crate) struct Assembly {
    files: Vec<File>,
}

struct File {
    source: String,
    command: String,
}

impl Assembly {
    /// Compiles the files. The patch is not in the source yet. A file that kbuild does not make in
    /// this configuration is left out.
    pub(crate) fn as_shipped(tree: &Tree, sources: &[String]) -> Result<Self> {
        let not_made = compile::make(tree, sources)?;
        let made = sources.iter().filter(|source| !not_made.contains(source));
        let file = |source: &String| {
            Ok(File {
                source: source.clone(),
                command: compile::command(tree, source)?,
            })
        };
        let this = Self {
            files: made.map(file).collect::<Result<_>>()?,
        };
        this.compile(tree, ORIG)?;
        Ok(this)
    }

    /// Compiles the files again. The patch is in the source now. It is refused if one of the files
    /// changes.
    pub(crate) fn refuse_changes(&self, tree: &Tree) -> Result {
        self.compile(tree, PATCHED)?;
        let (orig, patched) = (tree.work.join(ORIG), tree.work.join(PATCHED));
        for file in &self.files {
            if !file.is_same([&orig, &patched])? {
                return Err(Refusal::UnsupportedFile {
                    file: file.source.clone(),
                    kind: file.kind(),
                }
                .into());
            }
        }
        Ok(())
    }

    fn compile(&self, tree: &Tree, folder: &str) -> Result {
        let folder = tree.folder(folder)?;
        compile::for_each(tree.jobs, &self.files, |file| file.compile(tree, &folder))
    }
}

impl File {
    fn place(&self, folder: &Path) -> PathBuf {
        folder.join(output_of(&self.source))
    }

    fn compile(&self, tree: &Tree, folder: &Path) -> Result {
        let place = self.place(folder);
        let parent = place.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(io_error_at(parent))?;
        let from = format!(" -o {} ", output_of(&self.source));
        if !self.command.contains(&from) {
            return Err(tool_failure(format!(
                "{}: kbuild's command does not have the expected form",
                self.source
            )));
        }
        let command = self
            .command
            .replace(&from, &format!(" -o {} ", place.display()));
        let result = output(program("sh", &tree.dir).args(["-c", &command]))?;
        if !result.status.success() {
            return Err(Refusal::DoesNotCompile {
                unit: self.source.clone(),
                detail: excerpt(&result, 1),
            }
            .into());
        }
        Ok(())
    }

    fn kind(&self) -> &'static str {
        if self.is_script() {
            "a linker script that a header of the patch changes"
        } else {
            "assembly code that a header of the patch changes"
        }
    }

    fn is_script(&self) -> bool {
        self.source.ends_with(".lds.S")
    }

    /// Whether the outputs in both folders are equal.
    fn is_same(&self, [before, after]: [&Path; 2]) -> Result<bool> {
        let (before, after) = (self.place(before), self.place(after));
        if self.is_script() {
            let read = |path: &Path| std::fs::read(path).map_err(io_error_at(path));
            return Ok(read(&before)? == read(&after)?);
        }
        Ok(Elf::read(&before)?.same_code(&Elf::read(&after)?))
    }
}
