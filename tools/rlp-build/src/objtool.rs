// SPDX-License-Identifier: GPL-2.0

//! The kernel's objtool: it checks objects, finds the changes of a patch, and makes an object for a
//! live-patch module from them.

use crate::command::{
    defined_twice,
    excerpt,
    failed,
    output,
    program,
    run, //
};
use crate::compile::{
    for_each,
    kbuild_object,
    objcopy, //
};
use crate::elf::Elf;
use crate::exports::Exports;
use crate::image::Image;
use crate::refusal::{
    io_error_at,
    Failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use crate::units::Unit;
use crate::{
    boot_tables,
    keys,
    unnoticed, //
};
use std::collections::BTreeSet;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Output;

/// A makefile that prints the arguments with which kbuild runs objtool on vmlinux.o, except the
/// arguments that need the whole vmlinux.o.
const ARGUMENTS: &str = "\
include include/config/auto.conf
include $(srctree)/scripts/Kbuild.include
include $(srctree)/scripts/Makefile.lib
rlp-build-arguments:
\t@echo $(objtool-args-y) --link
";

/// objtool with the arguments of this configuration.
#[derive(Debug)]
pub(crate) struct Objtool<'a> {
    tree: &'a Tree,
    arguments: Vec<String>,
}

/// The units of one object, merged before and after the patch, and what differs.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) object: String,
    pub(crate) original: Elf,
    /// The object file to link into the module; none if nothing changes.
    pub(crate) file: Option<PathBuf>,
    /// Parts of the patch that have no effect.
    pub(crate) notes: Vec<String>,
}

impl<'a> Objtool<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Result<Self> {
        let makefile = tree.work.join("arguments.mk");
        std::fs::write(&makefile, ARGUMENTS).map_err(io_error_at(&makefile))?;
        let printed = run(program("make", &tree.dir)
            .args(["-s", "--no-print-directory", "objtree=."])
            .arg(format!("srctree={}", tree.source.display()))
            .arg("-f")
            .arg(&makefile)
            .arg("rlp-build-arguments"))?;
        Ok(Self {
            tree,
            arguments: printed.split_whitespace().map(str::to_owned).collect(),
        })
    }

    fn check(&self, module: bool, object: &Path) -> Result {
        let mut command = program(self.tree.objtool(), &self.tree.dir);
        command.args(&self.arguments);
        if module {
            command.arg("--module");
        }
        run(command.arg(object)).map(drop)
    }

    fn klp(&self, what: &str) -> std::process::Command {
        let mut command = program(self.tree.objtool(), &self.tree.dir);
        command.args(["klp", what]);
        command
    }

    /// Makes the object of each unit as it was shipped: removes the debug information, and runs
    /// objtool unless kbuild has run it already. The result is kept for later builds.
    pub(crate) fn shipped(&self, units: &[Unit]) -> Result {
        for_each(self.tree.jobs, units, |unit| {
            let checked = unit.cached.join("shipped.o");
            if checked.exists() {
                return Ok(());
            }
            let partial =
                tempfile::NamedTempFile::new_in(&unit.cached).map_err(io_error_at(&unit.cached))?;
            std::fs::copy(kbuild_object(unit), partial.path())
                .map_err(io_error_at(partial.path()))?;
            objcopy(self.tree, &["-g", "--keep-file-symbols"], partial.path())?;
            if Elf::read(partial.path())?.section(".orc_unwind").is_none() {
                self.check(unit.is_module(), partial.path())?;
            }
            Ok(durable::install(partial.path(), &checked)?)
        })
    }

    /// Merges the units of one object as the kernel's link would, without and with the patch. Runs
    /// objtool on both results, and finds the differences. `orig` and `patched` are the folders of
    /// the units, compiled in sections.
    pub(crate) fn difference(
        &self,
        image: &Image,
        units: &[Unit],
        orig: &Path,
        patched: &Path,
        exports: &Exports,
    ) -> Result<Difference> {
        let object = image.object.as_str();
        let folder = self.tree.folder(&format!("objects/{object}"))?;
        let (before, after) = (
            self.tree.folder(&format!("objects/{object}/orig"))?,
            folder.join("patched"),
        );
        std::fs::create_dir_all(&after).map_err(io_error_at(&after))?;
        let module = object != "vmlinux";
        let names: Vec<_> = units.iter().map(Unit::output).collect();

        make_section_names_unique(self.tree, &names, &[orig, patched])?;
        let (original_file, patched_file) = (before.join(object), after.join(object));
        let mut link = program("ld", patched);
        link.args(["-r", "-o"]).arg(&patched_file).args(&names);
        let result = output(&mut link)?;
        if !result.status.success() {
            return Err(
                defined_twice(&result).map_or_else(|| failed(&link, &result), Failure::from)
            );
        }
        // The original object gets the undefined symbols of the patched one, so that both refer to
        // the same symbols.
        let wanted: BTreeSet<_> = Elf::read(&patched_file)?
            .symbols
            .into_iter()
            .filter(|symbol| symbol.section == 0 && !symbol.name.is_empty())
            .map(|symbol| symbol.name)
            .collect();
        exports.check_dependencies(image, &wanted)?;
        run(program("ld", orig)
            .arg("-r")
            .args(wanted.iter().map(|name| format!("--undefined={name}")))
            .arg("-o")
            .arg(&original_file)
            .args(&names))?;

        // If .modinfo has no name, objtool takes the object's name from the file name. With the
        // file name vmlinux.o, objtool would need the linked vmlinux beside it. Here, the positions
        // are found in the shipped image instead.
        let modinfo = folder.join("modinfo");
        std::fs::write(&modinfo, b"x=\0").map_err(io_error_at(&modinfo))?;
        let add = format!(".modinfo={}", modinfo.display());
        for file in [&original_file, &patched_file] {
            objcopy(self.tree, &["-g", "--keep-file-symbols"], file)?;
            objcopy(
                self.tree,
                &["--remove-section=.modinfo", "--add-section", &add],
                file,
            )?;
            self.check(module, file)?;
            run(self.klp("checksum").arg(file))?;
        }
        let mut original = Elf::read(&original_file)?;
        let mut marked = Elf::read(&patched_file)?;
        let mut notes = boot_tables::check(&original, &marked)?;
        unnoticed::mark(&original, &mut marked);
        keys::set_types(&mut original, &mut marked);
        for (file, object) in [(&original_file, &original), (&patched_file, &marked)] {
            std::fs::write(file, &object.data).map_err(io_error_at(file))?;
        }

        let path = before.join("Module.symvers");
        std::fs::write(&path, exports.for_object(image, &wanted)).map_err(io_error_at(&path))?;

        let file = folder.join("diff.o");
        let mut command = program(self.tree.objtool(), &before);
        command
            .args(["klp", "diff", object])
            .arg(format!("../patched/{object}"))
            .arg(&file);
        let result = output(&mut command)?;
        if !result.status.success() {
            return Err(refused(&result).map_or_else(|| failed(&command, &result), Failure::from));
        }
        notes.extend(
            lines(&result)
                .filter(|line| line.contains("disabling unsupported"))
                .map(str::to_owned),
        );
        Ok(Difference {
            object: object.into(),
            original,
            file: file.exists().then_some(file),
            notes,
        })
    }

    /// Converts the relocations and symbols that `objtool klp diff` has made to the form that live
    /// patching requires. The linker cannot process that form, so this is done after the link.
    pub(crate) fn post_link(&self, module: &Path) -> Result {
        run(self.klp("post-link").arg(module)).map(drop)
    }
}

/// Gives each function of the units a section name of its own, in all folders alike. If functions
/// of two units have the same name, their sections have the same name, too. "objtool klp diff"
/// would then put both functions into one section, with zeros between them, which are no
/// instructions.
fn make_section_names_unique(tree: &Tree, names: &[String], folders: &[&Path]) -> Result {
    let mut taken = BTreeSet::new();
    for (number, name) in names.iter().enumerate() {
        let mut own = BTreeSet::new();
        for folder in folders {
            let sections = Elf::read(&folder.join(name))?.sections;
            own.extend(sections.into_iter().map(|section| section.name));
        }
        own.retain(|section| section.starts_with(".text."));
        let renames: Vec<_> = own
            .intersection(&taken)
            .map(|section| format!("--rename-section={section}={section}.{number}"))
            .collect();
        if !renames.is_empty() {
            let arguments: Vec<_> = renames.iter().map(String::as_str).collect();
            for folder in folders {
                objcopy(tree, &arguments, &folder.join(name))?;
            }
        }
        taken.extend(own);
    }
    Ok(())
}

fn lines(result: &Output) -> impl Iterator<Item = &str> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    text(&result.stderr)
        .lines()
        .chain(text(&result.stdout).lines())
}

/// Converts an error message of "objtool klp diff" to a refusal.
fn refused(result: &Output) -> Option<Refusal> {
    let line = lines(result).find(|line| line.contains("error: objtool"))?;
    let detail = line
        .rsplit("objtool: ")
        .next()
        .unwrap_or(line)
        .trim()
        .to_owned();
    Some(
        if detail.contains("static branch key") || detail.contains("static call key") {
            Refusal::ModuleKey { detail }
        } else if detail.contains("changed data") {
            Refusal::ChangedData { detail }
        } else if detail.contains("init code/data") {
            Refusal::Discarded {
                function: detail.split(':').next().unwrap_or(&detail).into(),
            }
        } else {
            let detail = if detail.is_empty() {
                excerpt(result, 1)
            } else {
                detail
            };
            Refusal::Unsupported { detail }
        },
    )
}
