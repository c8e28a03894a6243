// SPDX-License-Identifier: GPL-2.0

//! Makes the module: the differences, the kernel's init code for such modules, and the loader's
//! interface, linked by kbuild.

use crate::command::{
    defined_twice,
    failed,
    output,
    program, //
};
use crate::compile::objcopy;
use crate::objtool::Objtool;
use crate::refusal::{
    io_error_at,
    tool_failure,
    Failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use std::collections::BTreeSet;
use std::path::{
    Path,
    PathBuf, //
};

/// A module's name, its information for modinfo, and whether it is cumulative.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) level: Option<String>,
    pub(crate) cves: Vec<String>,
    /// The patch retires all others when it is complete.
    pub(crate) cumulative: bool,
}

/// The longest value of a field that the loader shows, in bytes (`LONGEST_STRING` in
/// `rust/kernel/module.rs`, without the terminator).
const LONGEST_FIELD: usize = 16 * 1024 - 1;

impl Info {
    /// The CVE numbers, as the module has them.
    fn cves(&self) -> String {
        self.cves.join(" ")
    }

    /// Refuses a field that the loader could not show: its file in sysfs could not be read, and rlp
    /// reads that file with the patch's state.
    pub(crate) fn check_lengths(&self) -> Result {
        let level = self.level.as_ref().map_or(0, String::len);
        let fields = [("level", level), ("cves", self.cves().len())];
        match fields.into_iter().find(|(_, bytes)| *bytes > LONGEST_FIELD) {
            Some((field, bytes)) => Err(Refusal::TooLong {
                field,
                bytes,
                most: LONGEST_FIELD,
            }
            .into()),
            None => Ok(()),
        }
    }
}

/// Links the module, which imports these namespaces, and returns where it is.
pub(crate) fn module(
    tree: &Tree,
    objtool: &Objtool<'_>,
    loader: &Path,
    info: &Info,
    differences: &[(String, PathBuf)],
    namespaces: &BTreeSet<String>,
) -> Result<PathBuf> {
    let folder = tree.folder("module")?;
    let init = tree.source.join("scripts/livepatch/init.c");
    let text = std::fs::read_to_string(&init).map_err(io_error_at(&init))?;
    let write = |name: &str, content: String| {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(io_error_at(&path))
    };
    write("init.c", init_code(&text, info, namespaces)?)?;

    let mut objects = vec!["init.o".to_owned()];
    for (object, file) in differences {
        let name = format!("diff_{object}.o");
        std::fs::copy(file, folder.join(&name)).map_err(io_error_at(file))?;
        // modpost reads the saved command of each object.
        write(&format!(".{name}.cmd"), String::new())?;
        objects.push(name);
    }
    write(
        "Kbuild",
        format!(
            "obj-m := {name}.o\n{name}-y := {objects}\n\
             ccflags-y := -ffunction-sections -fdata-sections{replace}\n\
             include {loader}/livepatch.mk\n",
            name = info.name,
            objects = objects.join(" "),
            replace = if info.cumulative {
                ""
            } else {
                " -DKLP_NO_REPLACE"
            },
            loader = loader.display(),
        ),
    )?;

    let mut make = program("make", &tree.dir);
    make.args(["-s", &format!("-j{}", tree.jobs)])
        .arg(format!("M={}", folder.display()))
        .arg("modules");
    let result = output(&mut make)?;
    if !result.status.success() {
        let text = String::from_utf8_lossy(&result.stderr).into_owned();
        // ERROR: modpost: "name" [path] undefined!
        if let Some(line) = text.lines().find(|line| line.contains("undefined!")) {
            let name = line.split('"').nth(1).unwrap_or(line);
            return Err(Refusal::UnknownPlace {
                symbol: name.to_owned(),
            }
            .into());
        }
        return Err(defined_twice(&result).map_or_else(|| failed(&make, &result), Failure::from));
    }

    let module = folder.join(format!("{}.ko", info.name));
    // Debug information has the paths of this machine. The BTF of a module is valid only with the
    // vmlinux that it was made for, and the shipped vmlinux is not here.
    objcopy(tree, &["-g", "--remove-section=.BTF"], &module)?;
    objtool.post_link(&module)?;
    Ok(module)
}

/// The kernel's init code, with this module's information in place of its own. The loader's header
/// has `RLP_INFO()`: the loader shows these fields while the patch is loaded.
fn init_code(text: &str, info: &Info, namespaces: &BTreeSet<String>) -> Result<String> {
    let own = "MODULE_DESCRIPTION(\"Livepatch module\");";
    if !text.contains(own) {
        return Err(tool_failure(
            "the kernel's scripts/livepatch/init.c does not have the expected MODULE_DESCRIPTION",
        ));
    }
    let mut lines = format!("MODULE_DESCRIPTION({});\n", quoted(&info.description));
    if let Some(level) = &info.level {
        lines += &format!("RLP_INFO(level, {});\n", quoted(level));
    }
    if !info.cves.is_empty() {
        lines += &format!("RLP_INFO(cves, {});\n", quoted(&info.cves()));
    }
    for namespace in namespaces {
        lines += &format!("MODULE_IMPORT_NS({});\n", quoted(namespace));
    }
    Ok(text.replace(own, &lines))
}

/// A C string. Characters that are not printable ASCII are left out.
fn quoted(text: &str) -> String {
    let mut string = String::from("\"");
    for c in text.chars().filter(|c| *c == ' ' || c.is_ascii_graphic()) {
        if matches!(c, '"' | '\\') {
            string.push('\\');
        }
        string.push(c);
    }
    string.push('"');
    string
}

/// A module's name, from the file name of a patch.
pub(crate) fn module_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    let name = name.trim_matches('_').to_owned();
    if name.is_empty() {
        "patch".into()
    } else {
        name.chars().take(50).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_a_c_string() {
        assert_eq!(quoted("net: \"x\" \\ é\n"), "\"net: \\\"x\\\" \\\\ \"");
    }

    /// The loader shows a text of 16,383 bytes, and none that is longer.
    #[test]
    fn a_field_that_the_loader_cannot_show() {
        let info = |level: usize, cves: usize| Info {
            name: "fix".into(),
            description: String::new(),
            level: Some("7".repeat(level)),
            cves: vec!["CVE-2026-12345".into(); cves],
            cumulative: true,
        };
        // 15 bytes each, with the space between two.
        assert!(info(16_383, 1_092).check_lengths().is_ok());
        for (info, what) in [
            (info(1, 1_093), "the module's cves would have 16394 bytes"),
            (info(16_384, 1), "the module's level would have 16384 bytes"),
        ] {
            match info.check_lengths() {
                Err(Failure::Refused(refusal)) => {
                    assert_eq!(refusal.reason(), "too-long");
                    assert!(refusal.to_string().starts_with(what), "{refusal}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_module_is_named_after_its_patch() {
        assert_eq!(
            module_name(Path::new("/x/0001-net-Fix it.patch")),
            "0001_net_fix_it"
        );
        assert_eq!(module_name(Path::new("fixes/")), "fixes");
    }
}
