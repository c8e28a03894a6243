// SPDX-License-Identifier: GPL-2.0

//! The units that kbuild makes in the configuration of the shipped kernel.
//!
//! kbuild compiles any C file that somebody asks for, even if the configuration does not have it.
//! Such a file may not compile. A file that does not compile, but that kbuild lists, is a part of
//! the shipped kernel: to leave it out would make an incomplete live patch.
//!
//! A makefile may list objects of another folder, such as `../../../virt/kvm/kvm_main.o`. kbuild
//! makes such an object only by this name.

use crate::command::{
    program,
    run, //
};
use crate::generators::is_makefile;
use crate::headers;
use crate::refusal::{
    io_error_at,
    Result, //
};
use crate::tree::Tree;
use crate::units::output_of;
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::path::Path;

/// A target of a folder, with a suffix for which kbuild goes down to the folder.
const TARGET: &str = ".rlp-build-listed.lst";

/// The beginning of the lines that list objects.
const MARK: &str = "rlp-build-listed:";

/// Those of the C files that kbuild makes in this configuration, each with kbuild's name of the
/// object.
pub(crate) fn targets(tree: &Tree, sources: &[&String]) -> Result<BTreeMap<String, String>> {
    let mut folders = folders_with_far_objects(&tree.source)?;
    folders.extend(sources.iter().filter_map(|source| folder_of(source)));
    // The rule is in each makefile below, so the last folder on the way that kbuild goes down to
    // answers.
    let rule = format!(
        "%/{TARGET}: ; @echo {MARK} $(real-obj-y) $(real-obj-m) $(lib-y) $(extra-y) $(always-y)"
    );
    let printed = run(program("make", &tree.dir)
        .args(["-s", &format!("-j{}", tree.jobs), "--eval", &rule])
        .args(folders.iter().map(|folder| format!("{folder}/{TARGET}"))))?;
    let listed: BTreeMap<String, &str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix(MARK))
        .flat_map(str::split_whitespace)
        .map(|target| (headers::resolved("", target), target))
        .collect();
    Ok(sources
        .iter()
        .filter_map(|source| {
            let target = listed.get(&output_of(source))?;
            Some(((*source).clone(), (*target).to_owned()))
        })
        .collect())
}

fn folder_of(file: &str) -> Option<String> {
    file.rsplit_once('/').map(|(folder, _)| folder.to_owned())
}

/// The folders whose makefile, or a file that it includes, may list objects of other folders.
fn folders_with_far_objects(source: &Path) -> Result<BTreeSet<String>> {
    let mut folders = BTreeSet::new();
    for file in headers::files(source, is_makefile)? {
        let path = source.join(&file);
        let text = std::fs::read(&path).map_err(io_error_at(&path))?;
        let name = file.rsplit('/').next().unwrap_or_default();
        if may_list_far_objects(&String::from_utf8_lossy(&text)) && !name.contains('.') {
            folders.extend(folder_of(&file).filter(|folder| !folder.starts_with("arch/x86/boot")));
        }
    }
    Ok(folders)
}

fn may_list_far_objects(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with("include ")
            || line
                .split_whitespace()
                .take_while(|word| !word.starts_with('#'))
                .any(|word| word.contains("..") && !word.contains("-I") && !word.contains("..."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makefile_may_list_objects_of_another_folder() {
        for text in [
            "drm-y += ../../accel/drm_accel.o\n",
            "FULL_AMD_PATH=$(src)/..\n",
            "include $(srctree)/virt/kvm/Makefile.kvm\n",
        ] {
            assert!(may_list_far_objects(text), "{text}");
        }
        for text in [
            "ccflags-y := -I$(src)/../common\n",
            "# see ../x\n",
            "obj-y := a.o\n",
        ] {
            assert!(!may_list_far_objects(text), "{text}");
        }
    }
}
