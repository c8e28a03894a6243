// SPDX-License-Identifier: GPL-2.0

//! The file of a patch module: what it is for, and what it needs.

use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::installed_for;
use crate::level::Number;
use crate::system;
use crate::trust::{
    self,
    Signer, //
};
use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{
    Endianness,
    Object,
    ObjectSection,
    ObjectSymbol, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// The end of a signed module.
pub(crate) const SIGNED: &[u8] = b"~Module signature appended~\n";

/// The loader that a module is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetLoader {
    ThisLoader,
    /// In-tree livepatch.
    InTree,
    /// It is no live patch.
    None,
}

#[derive(Debug, Clone)]
pub(crate) struct ModuleFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// The release of the kernel that it was built for.
    pub(crate) release: String,
    /// The whole vermagic: the release, and options of the kernel that the module depends on.
    pub(crate) vermagic: String,
    /// Whether it has the debug information of the compiler, which no kernel reads.
    pub(crate) has_debug: bool,
    pub(crate) target: TargetLoader,
    pub(crate) is_signed: bool,
    /// The key that it is signed with, if the signature is of a kind that this program knows.
    pub(crate) signer: Option<Signer>,
    pub(crate) level: Option<String>,
    pub(crate) cves: Vec<String>,
    /// The fields of modinfo that the loader cannot show. The kernel does not keep modinfo, so the
    /// loader reads a symbol for each field. The module lacks the symbols for these fields.
    pub(crate) not_shown: Vec<&'static str>,
    pub(crate) build_id: Option<String>,
    /// The build id of the kernel that it was proved for, from the proof beside the file.
    pub(crate) kernel_build_id: Option<String>,
    /// The build id of the kernel that it was installed for, if it is an installed file.
    pub(crate) installed_for: Option<String>,
}

impl ModuleFile {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(on_file(path))?;
        Self::parse(path, &bytes)
    }

    /// Parses the content of the file at `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refused =
            |why: String| Failure::refused(format!("{} is not a module", path.display())).why(why);
        let compressed: [(&[u8], &str); 3] = [
            (b"\x1f\x8b", "gunzip"),
            (b"\xfd7zXZ\0", "unxz"),
            (b"\x28\xb5\x2f\xfd", "unzstd"),
        ];
        for (magic, program) in compressed {
            if bytes.starts_with(magic) {
                return Err(refused("it is compressed".to_owned())
                    .next(format!("decompress it with {program}")));
            }
        }
        let elf = ElfFile::<FileHeader64<Endianness>>::parse(bytes)
            .map_err(|error| refused(error.to_string()))?;
        let section = |name: &str| elf.section_by_name(name)?.data().ok();
        let modinfo =
            section(".modinfo").ok_or_else(|| refused("it has no section .modinfo".to_owned()))?;
        let mut info: Vec<_> = modinfo
            .split(|&byte| byte == 0)
            .filter_map(|field| {
                String::from_utf8_lossy(field)
                    .split_once('=')
                    .map(printable_field)
            })
            .collect();
        let mut field = |key: &str| {
            let at = info.iter().position(|(name, _)| name == key)?;
            Some(info.swap_remove(at).1)
        };
        let needs = |symbol: &str| {
            elf.symbols()
                .any(|found| found.is_undefined() && found.name() == Ok(symbol))
        };
        let has = |symbol: &str| {
            elf.symbols()
                .any(|found| found.is_definition() && found.name() == Ok(symbol))
        };
        let name = field("name").ok_or_else(|| refused("it has no name".to_owned()))?;
        let vermagic = field("vermagic").ok_or_else(|| refused("it names no kernel".to_owned()))?;
        let release = vermagic.split(' ').next().unwrap_or_default().to_owned();
        // This program uses both as names of files, and prints both as words of its output.
        if !is_name(&name) || !is_name(&release) {
            return Err(refused("its name or its release is not valid".to_owned()));
        }
        let (level, cves) = (field("level"), field("cves"));
        let build_id = section(".note.gnu.build-id").and_then(system::build_id);
        let mut not_shown = Vec::new();
        for (key, field, symbol) in [
            ("level", &level, "rlp_info_level"),
            ("cves", &cves, "rlp_info_cves"),
        ] {
            if field.is_some() && !has(symbol) {
                not_shown.push(key);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            name,
            release,
            vermagic,
            has_debug: section(".debug_info").is_some(),
            not_shown,
            target: if needs("rlp_enable_patch") {
                TargetLoader::ThisLoader
            } else if needs("klp_enable_patch") {
                TargetLoader::InTree
            } else {
                TargetLoader::None
            },
            is_signed: bytes.ends_with(SIGNED),
            signer: trust::signer(bytes),
            level,
            cves: cves
                .unwrap_or_default()
                .split([' ', ','])
                .filter(|cve| !cve.is_empty())
                .map(str::to_owned)
                .collect(),
            kernel_build_id: proof_build_id(path, build_id.as_deref())?,
            build_id,
            installed_for: installed_for::read(path, bytes)?,
        })
    }

    /// The number of the level that the patch belongs to, if it belongs to one.
    pub(crate) fn level_number(&self) -> Option<Number> {
        self.level.as_deref()?.parse().ok()
    }

    /// Why this module is no patch for this loader and this kernel.
    pub(crate) fn misfit(&self, release: &str, kernel_build_id: Option<&str>) -> Option<Failure> {
        let refused = |why: String| {
            Failure::refused(format!("{} does not fit", self.path.display())).why(why)
        };
        match self.target {
            TargetLoader::ThisLoader => (),
            TargetLoader::InTree => {
                return Some(
                    refused("it is built for in-tree livepatch".to_owned())
                        .next("convert it with klp-takeover, or load it with insmod"),
                )
            }
            TargetLoader::None => return Some(refused("it is not a live patch".to_owned())),
        }
        if self.release != release {
            return Some(
                refused(format!(
                    "it is built for {}, and the kernel is {release}",
                    self.release
                ))
                .next("get the patch for the running kernel"),
            );
        }
        let running = kernel_build_id?;
        let is_other = |wanted: &&String| *wanted != running;
        if let Some(wanted) = self.kernel_build_id.as_ref().filter(is_other) {
            return Some(
                refused(format!(
                    "its proof is for another build of {release}: the kernel's build id is \
                     {running}, the proof has {wanted}"
                ))
                .next("build the patch again for the running kernel"),
            );
        }
        let wanted = self.installed_for.as_ref().filter(is_other)?;
        Some(
            refused(format!(
                "it was installed for another build of {release}: the kernel's build id is \
                 {running}, and it was installed for {wanted}"
            ))
            .next("install the patch for the running kernel: rlp install FILE"),
        )
    }
}

/// Whether a text can be the name of a module or of a release. In the kernel, both have only these
/// characters. A release has at most 64 bytes (`__NEW_UTS_LEN`), and a module's name has fewer.
pub(crate) fn is_name(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "_-+.~".contains(c);
    !text.is_empty() && text.len() < 65 && !text.starts_with('.') && text.chars().all(is_fine)
}

/// A field of modinfo. A file must not be able to send control characters to a terminal.
fn printable_field((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.replace(char::is_control, "?"))
}

/// The kernel's build id in the proof that rlp-build writes beside a module, if there is one. The
/// proof must be that of the module: it has the module's build id. A proof of an older version has
/// none.
fn proof_build_id(path: &Path, build_id: Option<&str>) -> Result<Option<String>> {
    let proof = path.with_extension("proof.json");
    let text = match std::fs::read_to_string(&proof) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(on_file(&proof))?,
    };
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure::error(format!("{}: {error}", proof.display())))?;
    match (value["build_id"].as_str(), build_id) {
        (Some(proved), own) if own != Some(proved) => {
            let own = own.unwrap_or("none");
            Err(Failure::refused(format!(
                "{} is the proof of another build of the patch",
                proof.display()
            ))
            .why(format!(
                "the module's build id is {own}, and the proof has {proved}"
            ))
            .next("use the proof that was written with the patch"))
        }
        _ => Ok(value["kernel"]["build_id"].as_str().map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    fn why(bytes: &[u8]) -> String {
        let failure = ModuleFile::parse(Path::new("x.ko"), bytes).unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        failure.why.unwrap()
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(why(b"\x1f\x8b\x08"), "it is compressed");
        assert_eq!(why(b"\xfd7zXZ\0"), "it is compressed");
        assert!(!why(b"").is_empty());
        assert!(!why(b"#!/bin/sh\n").is_empty());
        assert!(!why(b"\x7fELF\x02\x01\x01").is_empty());
    }

    #[test]
    fn misfits() {
        let mut module = ModuleFile {
            path: "x.ko".into(),
            name: "x".into(),
            release: "7.3".into(),
            vermagic: "7.3 SMP".into(),
            has_debug: false,
            target: TargetLoader::ThisLoader,
            is_signed: false,
            not_shown: Vec::new(),
            signer: None,
            level: None,
            cves: Vec::new(),
            build_id: None,
            kernel_build_id: Some("aa".into()),
            installed_for: None,
        };
        assert!(module.misfit("7.3", Some("aa")).is_none());
        assert!(module.misfit("7.3", None).is_none());
        let why =
            |module: &ModuleFile, release, id| module.misfit(release, id).unwrap().why.unwrap();
        assert!(why(&module, "7.4", Some("aa")).contains("the kernel is 7.4"));
        assert!(why(&module, "7.3", Some("ab")).contains("its proof is for another build"));
        (module.kernel_build_id, module.installed_for) = (None, Some("aa".into()));
        assert!(module.misfit("7.3", Some("aa")).is_none());
        assert!(why(&module, "7.3", Some("ab")).contains("installed for another build"));
        module.target = TargetLoader::InTree;
        assert!(why(&module, "7.3", None).contains("in-tree"));
        module.target = TargetLoader::None;
        assert!(why(&module, "7.3", None).contains("not a live patch"));
    }
}
