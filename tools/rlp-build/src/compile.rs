// SPDX-License-Identifier: GPL-2.0

//! Compiles units. kbuild compiles each unit once, as it was shipped. Then kbuild's own command
//! compiles the unit twice, without and with the patch. In these two objects, each function and
//! each variable has a section of its own.

use crate::command::{
    excerpt,
    output,
    program, //
};
use crate::refusal::{
    io_error_at,
    tool_failure,
    Failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use crate::units::{
    output_of,
    redirected,
    saved_command,
    Unit, //
};
use crate::{
    cache,
    generated,
    listed, //
};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Command;
use std::sync::Mutex;

/// Constants that the kernel writes into its own text at boot.
const RUNTIME_CONST: &str = include_str!("runtime_const.h");

/// The options that give each function and each variable a section of its own.
const SECTIONS: &str = "-ffunction-sections -fdata-sections";

/// The options for debug information that is in the object itself, whatever the kernel's
/// configuration is: layouts are read from it. It does not change the code.
const DEBUG: &str = " -g -gz=none";

/// All that decides how this program compiles a unit.
pub(crate) const RECIPE: [&str; 3] = [RUNTIME_CONST, SECTIONS, DEBUG];

/// The file of a unit in the cache with the state of the files that the unit was made from.
const INPUTS: &str = "inputs";

/// The folder of a unit in the cache.
fn cached(tree: &Tree, source: &str) -> PathBuf {
    tree.cache.join("compiled").join(output_of(source))
}

/// Whether the unit is in the cache, and the files that it was made from are still the same.
fn is_cached(tree: &Tree, source: &str) -> bool {
    let inputs = std::fs::read_to_string(cached(tree, source).join(INPUTS));
    inputs.is_ok_and(|text| cache::is_unchanged(&tree.dir, &text))
}

/// Compiles each unit as the kernel's build does, and returns it with its command. A unit that is
/// in the cache is not compiled again.
pub(crate) fn as_shipped(tree: &Tree, sources: &[String]) -> Result<Vec<Unit>> {
    let compiled = shipped_among(tree, sources)?;
    match compiled.not_made.into_iter().next() {
        Some(unit) => Err(Refusal::NotShipped { unit }.into()),
        None => Ok(compiled.units),
    }
}

/// The units that kbuild compiles.
pub(crate) struct Compiled {
    pub(crate) units: Vec<Unit>,
    /// C files that do not compile, and that kbuild does not make in this configuration. So they
    /// are not in the shipped kernel.
    pub(crate) not_made: Vec<String>,
}

/// Like `as_shipped()`, for units that may be missing in the shipped kernel. Fails if a unit of the
/// shipped kernel cannot be compiled: without the unit, a live patch would be incomplete.
pub(crate) fn shipped_among(tree: &Tree, sources: &[String]) -> Result<Compiled> {
    let not_made = make(tree, sources)?;
    let units = sources
        .iter()
        .filter(|source| !not_made.contains(source))
        .map(|source| Unit::new(source, command(tree, source)?, cached(tree, source)))
        .collect::<Result<_>>()?;
    Ok(Compiled { units, not_made })
}

/// Makes kbuild's outputs of these sources, unless the cache has them. Returns the sources that
/// kbuild does not make. Fails if the shipped kernel has one of them.
pub(crate) fn make(tree: &Tree, sources: &[String]) -> Result<Vec<String>> {
    let missing: Vec<_> = sources
        .iter()
        .filter(|source| !is_cached(tree, source))
        .collect();
    // kbuild may also compile a C file by its own name, with the wrong options, if only a makefile
    // of another folder lists it. So the list comes first.
    let listed = if missing.is_empty() {
        BTreeMap::new()
    } else {
        listed::targets(tree, &missing)?
    };
    let targets = missing
        .iter()
        .map(|source| {
            let target = listed.get(*source).cloned();
            (
                (*source).clone(),
                target.unwrap_or_else(|| output_of(source)),
            )
        })
        .collect();
    let said = make_into_cache(tree, &targets)?;
    let not_made: Vec<_> = missing
        .into_iter()
        .filter(|source| !is_cached(tree, source))
        .cloned()
        .collect();
    if let Some(source) = not_made.iter().find(|source| listed.contains_key(*source)) {
        return Err(not_compiled(source, &said));
    }
    for source in sources.iter().filter(|source| !not_made.contains(source)) {
        generated::restore_headers(tree, &cached(tree, source))?;
    }
    Ok(not_made)
}

/// The command of a source that kbuild has made.
pub(crate) fn command(tree: &Tree, source: &str) -> Result<String> {
    let path = cached(tree, source).join("command");
    std::fs::read_to_string(&path).map_err(io_error_at(&path))
}

/// The failure for a unit of the shipped kernel that kbuild has not compiled.
fn not_compiled(source: &str, said: &str) -> Failure {
    const LINES: usize = 4;
    let stem = source.rsplit_once('.').map_or(source, |(stem, _)| stem);
    let is_error = |line: &&str| line.to_ascii_lowercase().contains("error");
    let mut lines: Vec<_> = said.lines().filter(is_error).collect();
    if lines.iter().any(|line| line.contains(stem)) {
        lines.retain(|line| line.contains(stem));
    }
    lines.truncate(LINES);
    tool_failure(format!(
        "{source} is a part of the shipped kernel, and kbuild has not compiled it without the \
         patch. Without it, the live patch would be incomplete: correct the cause, and build \
         again\n{}",
        lines.join("\n")
    ))
}

/// Compiles units by their targets, as far as kbuild can, and keeps them in the cache. Returns the
/// messages of kbuild, if it fails.
fn make_into_cache(tree: &Tree, targets: &BTreeMap<String, String>) -> Result<String> {
    if targets.is_empty() {
        return Ok(String::new());
    }
    let mut make = program("make", &tree.dir);
    make.args(["-s", "-k", &format!("-j{}", tree.jobs)])
        .args(targets.values());
    let result = output(&mut make)?;
    for (source, target) in targets {
        if tree.dir.join(output_of(source)).exists() {
            copy_to_cache(tree, source, target, &cached(tree, source))?;
        }
    }
    Ok(if result.status.success() {
        String::new()
    } else {
        String::from_utf8_lossy(&result.stderr).into_owned()
    })
}

/// Copies a unit's object and command from kbuild into the cache. Another build may do the same at
/// the same time.
fn copy_to_cache(tree: &Tree, source: &str, target: &str, to: &Path) -> Result {
    let object = tree.dir.join(output_of(source));
    let folder = object.parent().unwrap_or(&tree.dir);
    let name = object.file_name().unwrap_or_default().to_string_lossy();
    let saved = folder.join(format!(".{name}.cmd"));
    let text = std::fs::read_to_string(&saved).map_err(io_error_at(&saved))?;
    let command = saved_command(&text, source)?.replace(
        &format!(" -c -o {target} "),
        &format!(" -c -o {} ", output_of(source)),
    );

    let parent = to.parent().unwrap_or(&tree.cache);
    std::fs::create_dir_all(parent).map_err(io_error_at(parent))?;
    let partial = tempfile::Builder::new()
        .prefix(".partial-")
        .tempdir_in(parent)
        .map_err(io_error_at(parent))?;
    std::fs::copy(&object, partial.path().join("plain.o")).map_err(io_error_at(&object))?;
    std::fs::write(partial.path().join("command"), command).map_err(io_error_at(partial.path()))?;
    generated::save_headers(tree, &text, partial.path())?;
    let inputs = partial.path().join(INPUTS);
    let state = cache::state(&tree.dir, cache::inputs(&text));
    std::fs::write(&inputs, state).map_err(io_error_at(&inputs))?;
    remove_stale(tree, source)?;
    match durable::install(partial.path(), to) {
        // Another build has made the same folder.
        Err(_) if is_cached(tree, source) => Ok(()),
        result => Ok(result?),
    }
}

/// Removes a unit from the cache if a file that it was made from has changed.
fn remove_stale(tree: &Tree, source: &str) -> Result {
    let stale = cached(tree, source);
    if !stale.is_dir() || is_cached(tree, source) {
        return Ok(());
    }
    match std::fs::remove_dir_all(&stale) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error_at(&stale)(error)),
        _ => Ok(()),
    }
}

/// Compiles units with each function and each variable in a section of its own.
pub(crate) fn in_sections(tree: &Tree, loader: &Path, units: &[Unit], folder: &Path) -> Result {
    let header = tree.work.join("runtime_const.h");
    std::fs::write(&header, RUNTIME_CONST).map_err(io_error_at(&header))?;
    for_each(tree.jobs, units, |unit| {
        let mut options = SECTIONS.to_owned() + DEBUG;
        if unit.command.contains(" -gsplit-dwarf ") {
            options += " -gno-split-dwarf";
        }
        if !unit.is_module() {
            options += &format!(" -include {}", header.display());
        }
        let object = place_for(folder, unit)?;
        let mut command = redirected(unit, &options, &object)?;
        // A unit that includes <linux/livepatch.h> calls the loader's functions. The units of
        // in-tree livepatch are an exception: they define the kernel's functions of these names.
        if !unit.source.starts_with("kernel/livepatch/") {
            let include = format!(" -nostdinc -I{}/include ", loader.display());
            command = command.replacen(" -nostdinc ", &include, 1);
        }
        let result = output(program("sh", &tree.dir).args(["-c", &command]))?;
        if !result.status.success() {
            return Err(Refusal::DoesNotCompile {
                unit: unit.source.clone(),
                detail: excerpt(&result, 1),
            }
            .into());
        }
        Ok(())
    })
}

/// The place of a unit's object in a folder for the objects of all units. The object has the path
/// of the unit there, so no other unit has the same place.
fn place_for(folder: &Path, unit: &Unit) -> Result<PathBuf> {
    let place = folder.join(unit.output());
    let parent = place.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(io_error_at(parent))?;
    Ok(place)
}

/// Like `in_sections()`, for the source without the patch. The objects are kept for later builds.
pub(crate) fn originals_in_sections(
    tree: &Tree,
    loader: &Path,
    units: &[Unit],
    folder: &Path,
) -> Result {
    let missing: Vec<_> = units
        .iter()
        .filter(|unit| !unit.cached.join("sections.o").exists())
        .cloned()
        .collect();
    in_sections(tree, loader, &missing, folder)?;
    for unit in units {
        let (here, kept) = (place_for(folder, unit)?, unit.cached.join("sections.o"));
        if kept.exists() {
            std::fs::copy(&kept, &here).map_err(io_error_at(&kept))?;
        } else {
            let partial =
                tempfile::NamedTempFile::new_in(&unit.cached).map_err(io_error_at(&unit.cached))?;
            std::fs::copy(&here, partial.path()).map_err(io_error_at(&here))?;
            durable::install(partial.path(), &kept)?;
        }
    }
    Ok(())
}

/// Runs something for each unit or each file, on all processors.
pub(crate) fn for_each<T: Sync>(
    jobs: usize,
    list: &[T],
    run: impl Fn(&T) -> Result + Sync,
) -> Result {
    let queue = Mutex::new(list.iter());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1))
            .map(|_| {
                scope.spawn(|| loop {
                    let next = queue
                        .lock()
                        .map_err(|_| tool_failure("a worker has panicked"))?
                        .next();
                    match next {
                        Some(one) => run(one)?,
                        None => return Ok(()),
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| tool_failure("a worker has panicked"))?
        })
    })
}

/// Runs objcopy on an object.
pub(crate) fn objcopy(tree: &Tree, arguments: &[&str], object: &Path) -> Result {
    let mut command: Command = program("objcopy", &tree.work);
    command.args(arguments).arg(object);
    crate::command::run(&mut command).map(drop)
}

/// The object of a unit as kbuild has made it. objtool may not have processed it yet: see
/// `Objtool::shipped()`.
pub(crate) fn kbuild_object(unit: &Unit) -> PathBuf {
    unit.cached.join("plain.o")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A makefile that does what kbuild does. kbuild lists `a`, `broken` and `far`.
    const KBUILD: &str = "
real-obj-y := fs/a.o fs/../virt/far.o
real-obj-m := fs/broken.o
fs/a.o fs/off.o fs/../virt/far.o virt/far.o:
\t@echo object >$@
\t@echo 'savedcmd_$@ := gcc -DMODFILE=$@ -c -o $@ /s/x.c ' >$(@D)/.$(@F).cmd
\t@echo 'source_$@ := fs/input' >>$(@D)/.$(@F).cmd
fs/broken.o fs/wrong.o:
\t@echo 'gcc: fatal error: Killed signal terminated program cc1 ($@)' >&2; exit 1
";

    /// A tree with this makefile.
    fn tree(path: &Path) -> Tree {
        for part in ["fs", "virt", "none", "cache"] {
            std::fs::create_dir(path.join(part)).unwrap();
        }
        std::fs::write(path.join("Makefile"), KBUILD).unwrap();
        std::fs::write(path.join("fs/Makefile"), "x-y := ../virt/far.o\n").unwrap();
        Tree {
            dir: path.to_owned(),
            source: path.to_owned(),
            release: "1".into(),
            work: path.to_owned(),
            cache: path.join("cache"),
            jobs: 1,
        }
    }

    /// Compiles units in such a tree. Returns the units and those that are left out,
    /// or the sentence of the failure. `prepare` may change the cache before.
    fn compiled(
        sources: &[&str],
        prepare: impl Fn(&Path),
    ) -> std::result::Result<(Vec<String>, Vec<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        prepare(&tree.cache);
        let sources: Vec<_> = sources.iter().map(|source| (*source).to_owned()).collect();
        match shipped_among(&tree, &sources) {
            Ok(compiled) => {
                for unit in &compiled.units {
                    // The command of `far` is that of the folder that lists it.
                    let by = match unit.source.as_str() {
                        "virt/far.c" => "fs/../virt/far.o".to_owned(),
                        _ => unit.output(),
                    };
                    let expected = format!("-DMODFILE={by} -c -o {} ", unit.output());
                    assert!(unit.command.contains(&expected), "{unit:?}");
                }
                let units = compiled.units.into_iter().map(|unit| unit.source).collect();
                Ok((units, compiled.not_made))
            }
            Err(Failure::Tool(sentence)) => Err(sentence),
            Err(Failure::Refused(refusal)) => panic!("{refusal}"),
        }
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_a_unit_that_kbuild_does_not_make_is_left_out() {
        let sources = ["fs/a.c", "fs/off.c", "fs/wrong.c", "none/x.c"];
        assert_eq!(
            compiled(&sources, |_| ()),
            Ok((
                list(&["fs/a.c", "fs/off.c"]),
                list(&["fs/wrong.c", "none/x.c"])
            ))
        );
    }

    #[test]
    fn a_unit_of_the_kernel_that_does_not_compile_is_a_failure() {
        let sentence = compiled(&["fs/a.c", "fs/broken.c"], |_| ()).unwrap_err();
        assert!(
            sentence.starts_with("fs/broken.c is a part of"),
            "{sentence}"
        );
        assert!(sentence.contains("Killed signal"), "{sentence}");
    }

    #[test]
    fn a_unit_is_compiled_again_if_its_source_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let object = tree.dir.join("fs/a.o");
        // Whether kbuild makes the unit.
        let is_made = || {
            let _ = std::fs::remove_file(&object);
            shipped_among(&tree, &list(&["fs/a.c"])).unwrap();
            object.exists()
        };
        assert!(is_made());
        assert!(!is_made());
        std::fs::write(tree.dir.join("fs/input"), "changed").unwrap();
        assert!(is_made());
        assert!(!is_made());
    }

    #[test]
    fn a_unit_that_cannot_be_kept_is_a_failure() {
        let place = |cache: &Path| {
            let folder = cache.join("compiled/fs");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("a.o"), "in the way").unwrap();
        };
        let sentence = compiled(&["fs/a.c"], place).unwrap_err();
        assert!(sentence.contains("compiled/fs/a.o"), "{sentence}");
    }

    #[test]
    fn an_object_of_another_folder_is_compiled_by_the_name_that_lists_it() {
        assert_eq!(
            compiled(&["virt/far.c"], |_| ()),
            Ok((list(&["virt/far.c"]), Vec::new()))
        );
    }

    #[test]
    fn each_unit_has_a_place_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let place = |source| {
            let unit = Unit::new(source, String::new(), PathBuf::new()).unwrap();
            place_for(folder.path(), &unit).unwrap()
        };
        let places = ["a/b_c.c", "a/b/c.c", "a_b/c.c", "a_b_c.c"].map(place);
        for (number, path) in places.iter().enumerate() {
            assert!(!path.exists(), "{}", path.display());
            std::fs::write(path, number.to_string()).unwrap();
        }
    }
}
