// SPDX-License-Identifier: GPL-2.0

//! The file of a shipped module.
//!
//! A folder of modules may have several files for one module, such as a copy of DKMS in `updates`.
//! modprobe loads the file that depmod has listed in `modules.dep`. The comparison must be with
//! this file, because a comparison with another one proves nothing about the running machine.
//!
//! Without the list, the folder must have one file for the module.

use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// The file of the module of this name in a folder of modules.
pub(crate) fn file(modules: &Path, object: &str) -> Result<PathBuf> {
    let listed = listed(modules, object)?;
    if let Some(path) = listed {
        return Ok(path);
    }
    let mut found = if modules.exists() {
        search(modules, object)?
    } else {
        Vec::new()
    };
    found.sort();
    match &found[..] {
        [] => Err(Refusal::NoModule {
            object: object.into(),
        }
        .into()),
        [path, ..] if modules.join(LIST).exists() => Err(tool_failure(format!(
            "{} is not in {}, so modprobe does not load it: run depmod",
            path.display(),
            modules.join(LIST).display()
        ))),
        [path] => Ok(path.clone()),
        [first, second, ..] => Err(Refusal::TwoModules {
            object: object.into(),
            first: first.display().to_string(),
            second: second.display().to_string(),
        }
        .into()),
    }
}

/// depmod's list, in the folder of modules.
const LIST: &str = "modules.dep";

/// The file that depmod has listed for the module, if there is a list.
fn listed(modules: &Path, object: &str) -> Result<Option<PathBuf>> {
    let list = modules.join(LIST);
    let text = match std::fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error_at(&list)(error)),
    };
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, _)| modules.join(path))
        .find(|path| is_of(path, object)))
}

/// All files of the module, below a folder.
fn search(modules: &Path, object: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![modules.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(io_error_at(&folder))? {
            let entry = entry.map_err(io_error_at(&folder))?;
            let path = entry.path();
            if entry.file_type().map_err(io_error_at(&path))?.is_dir() {
                folders.push(path);
            } else if is_of(&path, object) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether a file is the module of this name: `ext4.ko`, `ext4.ko.xz`.
fn is_of(path: &Path, object: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split_once(".ko").is_some_and(|(stem, suffix)| {
        (suffix.is_empty() || suffix.starts_with('.')) && stem.replace('-', "_") == object
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Failure;

    /// A folder with two files of one module.
    fn two_files() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for place in ["kernel/fs", "updates/dkms"] {
            std::fs::create_dir_all(folder.path().join(place)).unwrap();
            std::fs::write(folder.path().join(place).join("a-b.ko.xz"), place).unwrap();
        }
        folder
    }

    fn reason(result: Result<PathBuf>) -> &'static str {
        match result {
            Ok(path) => panic!("{}", path.display()),
            Err(Failure::Refused(refusal)) => refusal.reason(),
            Err(Failure::Tool(_)) => "failure",
        }
    }

    #[test]
    fn the_file_is_the_one_that_modprobe_loads() {
        let folder = two_files();
        for place in ["updates/dkms/a-b.ko.xz", "kernel/fs/a-b.ko.xz"] {
            let list = format!("kernel/x.ko.xz: {place}\n{place}: kernel/x.ko.xz\n");
            std::fs::write(folder.path().join(LIST), list).unwrap();
            assert_eq!(
                file(folder.path(), "a_b").unwrap(),
                folder.path().join(place)
            );
        }
    }

    #[test]
    fn two_files_without_a_list_are_refused() {
        let folder = two_files();
        assert_eq!(reason(file(folder.path(), "a_b")), "two-modules");
        std::fs::remove_dir_all(folder.path().join("updates")).unwrap();
        assert_eq!(
            file(folder.path(), "a_b").unwrap(),
            folder.path().join("kernel/fs/a-b.ko.xz")
        );
        assert_eq!(reason(file(folder.path(), "a")), "no-module");
        assert_eq!(reason(file(&folder.path().join("none"), "a")), "no-module");
    }

    #[test]
    fn a_list_without_the_module_is_out_of_date() {
        let folder = two_files();
        std::fs::write(folder.path().join(LIST), "kernel/x.ko:\n").unwrap();
        assert_eq!(reason(file(folder.path(), "a_b")), "failure");
        assert_eq!(reason(file(folder.path(), "c")), "no-module");
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_a_failure() {
        let folder = two_files();
        let place = folder.path().join("file");
        std::fs::write(&place, "").unwrap();
        assert_eq!(reason(file(&place, "a_b")), "failure");
    }
}
