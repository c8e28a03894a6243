// SPDX-License-Identifier: GPL-2.0

//! Compiles units. kbuild compiles each unit once, as it was shipped. Then kbuild's own command
//! compiles the unit twice, without and with the patch. In these two objects, each function and
//! each variable has a section of its own.

use crate::command::{
    excerpt,
    failed,
    output,
    program, //
};
use crate::generated;
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
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Command;
use std::sync::Mutex;

/// Constants that the kernel writes into its own text at boot.
const RUNTIME_CONST: &str = include_str!("runtime_const.h");

/// The folder of a unit in the cache.
fn cached(tree: &Tree, source: &str) -> PathBuf {
    tree.cache.join("compiled").join(output_of(source))
}

/// Compiles each unit as the kernel's build does, and returns it with its command. A unit that is
/// in the cache is not compiled again.
pub(crate) fn as_shipped(tree: &Tree, sources: &[String]) -> Result<Vec<Unit>> {
    let (units, failure) = compile_into_cache(tree, sources)?;
    let mut missing = sources
        .iter()
        .filter(|source| !units.iter().any(|unit| unit.source == **source));
    let Some(first) = missing.next() else {
        return Ok(units);
    };
    let not_shipped = |unit: &String| Refusal::NotShipped { unit: unit.clone() }.into();
    Err(match failure {
        None => not_shipped(first),
        Some((text, _)) if text.contains("No rule to make target") => not_shipped(first),
        Some((text, failure)) => std::iter::once(first)
            .chain(missing)
            .find(|source| text.contains(source.as_str()))
            .map_or(failure, not_shipped),
    })
}

/// Like `as_shipped()`, for units that may be missing in the shipped kernel. Leaves out each unit
/// that kbuild does not compile. In most cases such a unit is not in the shipped kernel. A unit is
/// also left out if its compilation fails for another reason, such as a full disk.
pub(crate) fn shipped_among(tree: &Tree, sources: &[String]) -> Result<Vec<Unit>> {
    compile_into_cache(tree, sources).map(|(units, _)| units)
}

/// kbuild's messages, and the failure that they are about.
type Messages = (String, Failure);

/// The units that kbuild compiles. If it does not compile all of them: also its messages, and the
/// failure.
fn compile_into_cache(tree: &Tree, sources: &[String]) -> Result<(Vec<Unit>, Option<Messages>)> {
    let command = |source: &str| cached(tree, source).join("command");
    let missing: Vec<_> = sources
        .iter()
        .filter(|source| !command(source).exists())
        .collect();
    let mut failure = None;
    if !missing.is_empty() {
        let mut make = program("make", &tree.dir);
        make.args(["-s", "-k", &format!("-j{}", tree.jobs)])
            .args(missing.iter().map(|source| output_of(source)));
        let result = output(&mut make)?;
        if !result.status.success() {
            let text = String::from_utf8_lossy(&result.stderr).into_owned();
            failure = Some((text, failed(&make, &result)));
        }
        for source in missing {
            if tree.dir.join(output_of(source)).exists() {
                if let Err(error) = copy_to_cache(tree, source, &cached(tree, source)) {
                    failure.get_or_insert((String::new(), error));
                }
            }
        }
    }
    let units = sources
        .iter()
        .filter(|source| command(source).exists())
        .map(|source| {
            generated::restore_headers(tree, &cached(tree, source))?;
            let path = command(source);
            let text = std::fs::read_to_string(&path).map_err(io_error_at(&path))?;
            Unit::new(source, text, cached(tree, source))
        })
        .collect::<Result<_>>()?;
    Ok((units, failure))
}

/// Copies a unit's object and command from kbuild into the cache. Another build may do the same at
/// the same time.
fn copy_to_cache(tree: &Tree, source: &str, to: &Path) -> Result {
    let object = tree.dir.join(output_of(source));
    let folder = object.parent().unwrap_or(&tree.dir);
    let name = object.file_name().unwrap_or_default().to_string_lossy();
    let saved = folder.join(format!(".{name}.cmd"));
    let text = std::fs::read_to_string(&saved).map_err(io_error_at(&saved))?;
    let command = saved_command(&text, source)?;

    let parent = to.parent().unwrap_or(&tree.cache);
    std::fs::create_dir_all(parent).map_err(io_error_at(parent))?;
    let partial = tempfile::Builder::new()
        .prefix(".partial-")
        .tempdir_in(parent)
        .map_err(io_error_at(parent))?;
    std::fs::copy(&object, partial.path().join("plain.o")).map_err(io_error_at(&object))?;
    std::fs::write(partial.path().join("command"), command).map_err(io_error_at(partial.path()))?;
    generated::save_headers(tree, &text, partial.path())?;
    match durable::install(partial.path(), to) {
        // Another build has made the same folder.
        Err(_) if to.join("command").exists() => Ok(()),
        result => Ok(result?),
    }
}

/// Compiles units with each function and each variable in a section of its own.
pub(crate) fn in_sections(tree: &Tree, loader: &Path, units: &[Unit], folder: &Path) -> Result {
    let header = tree.work.join("runtime_const.h");
    std::fs::write(&header, RUNTIME_CONST).map_err(io_error_at(&header))?;
    for_each_unit(tree.jobs, units, |unit| {
        let mut options = "-ffunction-sections -fdata-sections".to_owned();
        options += debug_options(&unit.command);
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

/// Options for debug information that is in the object itself, whatever the kernel's configuration
/// is: layouts are read from it. It does not change the code.
fn debug_options(command: &str) -> &'static str {
    if command.contains(" -gsplit-dwarf ") {
        " -g -gz=none -gno-split-dwarf"
    } else {
        " -g -gz=none"
    }
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

/// Runs something for each unit, on all processors.
pub(crate) fn for_each_unit(
    jobs: usize,
    units: &[Unit],
    run: impl Fn(&Unit) -> Result + Sync,
) -> Result {
    let queue = Mutex::new(units.iter());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1))
            .map(|_| {
                scope.spawn(|| loop {
                    let next = queue
                        .lock()
                        .map_err(|_| tool_failure("a worker has panicked"))?
                        .next();
                    match next {
                        Some(unit) => run(unit)?,
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
