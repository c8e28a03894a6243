// SPDX-License-Identifier: GPL-2.0

//! The files from which kbuild makes other source files.
//!
//! kbuild makes flask.h from classmap.h, with a program that includes classmap.h, and
//! oid_registry_data.c from oid_registry.h, with a script. A unit is compiled without the patch
//! first, so the made files are those of the shipped kernel. A change of the file that they are
//! made from would have no effect on them.
//!
//! kbuild also includes some headers into each unit, such as linux/kconfig.h. No unit names them.
//!
//! The makefiles show these files: a rule or a variable names the file, or a program that runs on
//! the machine of the build includes the file.

use crate::headers;
use crate::refusal::{
    io_error_at,
    Refusal,
    Result, //
};
use std::collections::BTreeSet;
use std::path::Path;

/// Refuses a change of a file from which kbuild makes other source files.
pub(crate) fn refuse_inputs(source: &Path, changed: &BTreeSet<String>) -> Result {
    for makefile in headers::files(source, is_makefile)? {
        let path = source.join(&makefile);
        let text = std::fs::read(&path).map_err(io_error_at(&path))?;
        let text = String::from_utf8_lossy(&text).replace("\\\n", " ");
        let folder = makefile.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (forced, named): (Vec<_>, Vec<_>) = named(&text, folder)
            .into_iter()
            .partition(|(_, is_forced)| *is_forced);
        let programs: Vec<_> = host_sources(&text)
            .iter()
            .map(|program| headers::resolved(folder, program))
            .collect();
        let is_in =
            |list: &[(String, bool)], file: &str| list.iter().any(|(name, _)| matches(name, file));
        for file in changed {
            let mut is_input = is_in(&named, file) || programs.contains(file);
            for program in &programs {
                is_input = is_input || headers::quotes(source, program, file)?;
            }
            let kind = if is_input {
                "a file from which kbuild makes other source files"
            } else if is_in(&forced, file) {
                "a header that kbuild includes into units by itself"
            } else {
                continue;
            };
            return Err(Refusal::UnsupportedFile {
                file: file.clone(),
                kind,
            }
            .into());
        }
    }
    Ok(())
}

pub(crate) fn is_makefile(name: &str) -> bool {
    name == "Kbuild" || name == "Makefile" || name.starts_with("Makefile.")
}

/// The C files and headers that a makefile names by their place in the source, and whether the
/// compiler gets the file with -include.
fn named(text: &str, folder: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    for line in lines {
        let mut before = "";
        for word in line.split_whitespace() {
            let path = word
                .trim_end_matches([')', ','])
                .rsplit_once("$(srctree)/")
                .map(|(_, path)| headers::resolved("", path))
                .or_else(|| {
                    let (_, path) = word.trim_end_matches([')', ',']).rsplit_once("$(src)/")?;
                    Some(headers::resolved(folder, path))
                });
            let path = path.filter(|path| path.ends_with(".h") || path.ends_with(".c"));
            found.extend(path.map(|path| (path, before == "-include")));
            before = word;
        }
    }
    found
}

/// The C files of the programs that run on the machine of the build.
fn host_sources(text: &str) -> Vec<String> {
    let assigned = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = name
            .trim_end_matches([' ', '\t', ':', '+', '?'])
            .trim()
            .to_owned();
        let words: Vec<_> = value.split_whitespace().map(str::to_owned).collect();
        Some((name, words))
    };
    let variables: Vec<(String, Vec<String>)> = text.lines().filter_map(assigned).collect();
    let programs: Vec<&String> = variables
        .iter()
        .filter(|(name, _)| name == "hostprogs" || name.starts_with("hostprogs-always-"))
        .flat_map(|(_, words)| words)
        .collect();
    let mut sources: Vec<_> = programs
        .iter()
        .map(|program| format!("{program}.c"))
        .collect();
    for (name, words) in &variables {
        let is_program = |program: &&String| name.strip_suffix("-objs") == Some(program.as_str());
        if programs.iter().any(is_program) {
            let objects = words.iter().filter_map(|word| word.strip_suffix(".o"));
            sources.extend(objects.map(|object| format!("{object}.c")));
        }
    }
    sources
}

/// Whether a name, which may have one "*", is that of the file.
fn matches(name: &str, file: &str) -> bool {
    match name.split_once('*') {
        Some((before, after)) => {
            file.len() >= before.len() + after.len()
                && file.starts_with(before)
                && file.ends_with(after)
        }
        None => name == file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Failure;

    #[test]
    fn a_file_that_kbuild_reads_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            (
                "security/selinux/Makefile",
                "hostprogs := genheaders\n# $(srctree)/no/comment.h\n\
                 $(obj)/flask.h: $(obj)/genheaders FORCE\n",
            ),
            (
                "security/selinux/genheaders.c",
                "#include <stdio.h>\n#include \"classmap.h\"\n",
            ),
            (
                "security/selinux/include/classmap.h",
                "#include <linux/x.h>\n",
            ),
            ("security/selinux/avc.c", "#include \"classmap.h\"\n"),
            (
                "lib/Makefile",
                "$(obj)/data.c: $(srctree)/include/linux/oid.h \\\n\t$(src)/gen.h\n\
                 flags := -include $(srctree)/include/linux/kconfig.h\n\
                 $(out)/x.h: $(srctree)/include/xen/xen*.h\n",
            ),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let is_refused =
            |file: &str| match refuse_inputs(folder.path(), &BTreeSet::from([file.to_owned()])) {
                Ok(()) => false,
                Err(Failure::Refused(refusal)) => refusal.reason() == "unsupported-file",
                Err(Failure::Tool(sentence)) => panic!("{sentence}"),
            };
        for file in [
            "security/selinux/include/classmap.h",
            "security/selinux/genheaders.c",
            "include/linux/oid.h",
            "lib/gen.h",
            "include/xen/xen-x.h",
            "include/linux/kconfig.h",
        ] {
            assert!(is_refused(file), "{file}");
        }
        for file in [
            "security/selinux/avc.c",
            "include/linux/x.h",
            "no/comment.h",
            "include/xen/events.h",
        ] {
            assert!(!is_refused(file), "{file}");
        }
    }
}
