// SPDX-License-Identifier: GPL-2.0

//! The input of a level for one kernel: a folder with the patch, its proof, and the loader. All
//! rules that a single kernel must follow are checked here, before anything is written.

use crate::digest::{
    is_hex, //
    Digest,
};
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::level::{
    is_cve,
    Kernel,
    Loader,
    Number,
    Patch, //
};
use crate::loader;
use crate::module_file::{
    ModuleFile,
    TargetLoader, //
};
use crate::system::{
    self,
    names_in, //
};
use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{
    Endianness,
    Object,
    ObjectSection, //
};
use serde::Deserialize;
use std::path::Path;

/// The only format of proofs that this program knows.
const PROOF_FORMAT: u32 = 1;

/// A file of the package: its path below the folder of the level, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
}

/// Everything about one kernel.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) kernel: Kernel,
    /// The patch, the loader, and the proof if there is one.
    pub(crate) files: Vec<File>,
    /// The CVEs that the patch itself names, sorted.
    pub(crate) cves: Vec<String>,
    /// The hash of the source patches, if the proof has it.
    pub(crate) source: Option<Digest>,
    /// Remarks for the publisher. None of them keeps the level from being built.
    pub(crate) notes: Vec<String>,
}

/// The members of a proof that this program needs. rlp-build writes it.
#[derive(Debug, Deserialize)]
struct Proof {
    format: u32,
    module: String,
    level: Option<String>,
    cves: Vec<String>,
    patch: Digest,
    kernel: ProofKernel,
    functions: Vec<ProofFunction>,
}

#[derive(Debug, Deserialize)]
struct ProofFunction {
    object: String,
    name: String,
    position: u32,
}

impl Proof {
    /// The functions that the patch replaces, sorted.
    fn replaced(&self) -> Vec<String> {
        let functions = self.functions.iter();
        let mut names: Vec<_> = functions
            .map(|it| format!("{}:{},{}", it.object, it.name, it.position))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

#[derive(Debug, Deserialize)]
struct ProofKernel {
    release: String,
    build_id: Option<String>,
}

/// The file of a module and its content.
struct Module {
    info: ModuleFile,
    content: Vec<u8>,
}

fn refused(path: &Path, why: impl Into<String>) -> Failure {
    Failure::refused(format!("{} cannot be in a level", path.display())).why(why)
}

impl Module {
    fn read(path: &Path) -> Result<Self> {
        let content = std::fs::read(path).map_err(on_file(path))?;
        let info = ModuleFile::parse(path, &content)?;
        if info.has_debug {
            return Err(
                refused(path, "it has debug information, which no kernel reads")
                    .next("strip --strip-debug FILE, and sign it after that"),
            );
        }
        if info.build_id.is_none() {
            return Err(refused(
                path,
                "it has no build id, so no machine could recognise it when it is loaded",
            )
            .next("link it with --build-id, and keep the section .note.gnu.build-id"));
        }
        Ok(Self { info, content })
    }

    fn note_signature(&self, notes: &mut Vec<String>) {
        if !self.info.is_signed {
            notes.push(format!(
                "{} is not signed: machines with Secure Boot refuse it",
                self.info.path.display()
            ));
        }
    }
}

/// Finds the loader and the patch among the modules of a folder.
fn modules(folder: &Path) -> Result<(Module, Module)> {
    let (mut loaders, mut patches) = (Vec::new(), Vec::new());
    let names = std::fs::read_dir(folder).map_err(on_file(folder));
    names?;
    for name in names_in(folder)? {
        if !name.ends_with(".ko") {
            continue;
        }
        let module = Module::read(&folder.join(&name))?;
        if module.info.name == loader::MODULE {
            loaders.push(module);
        } else {
            patches.push(module);
        }
    }
    let only = |mut found: Vec<Module>, what: &str, next: &str| {
        let count = found.len();
        match (found.pop(), count) {
            (Some(module), 1) => Ok(module),
            _ => Err(refused(folder, format!("it has {count} modules that are {what}")).next(next)),
        }
    };
    let next = "put the loader that was built for this kernel there: rust_livepatch.ko";
    let loader = only(loaders, "the loader", next)?;
    let next = "put one patch there that has all fixes for this kernel";
    Ok((loader, only(patches, "patches", next)?))
}

/// Checks that the patch and the loader are for the same kernel.
fn check_kernel(loader: &ModuleFile, patch: &ModuleFile) -> Result<()> {
    // If the module is no patch for this loader, the failure says what it is.
    if let Some(misfit) = patch.misfit(&patch.release, None) {
        return Err(misfit);
    }
    if loader.target != TargetLoader::None {
        return Err(refused(
            &loader.path,
            "it is a patch with the name of the loader",
        ));
    }
    if loader.vermagic != patch.vermagic {
        return Err(refused(
            &patch.path,
            format!(
                "its vermagic is '{}', and that of the loader is '{}'",
                patch.vermagic.trim_end(),
                loader.vermagic.trim_end()
            ),
        )
        .next("build both for the same kernel"));
    }
    Ok(())
}

/// Checks the fields of the patch that the loader shows on each machine.
fn check_fields(patch: &ModuleFile, level: Number) -> Result<()> {
    match &patch.level {
        Some(own) if *own == level.to_string() => (),
        own => {
            let own = own.as_deref().unwrap_or_default();
            return Err(refused(
                &patch.path,
                format!("its field level is '{own}', and not {level}"),
            )
            .next(format!("build the patch with the level {level}")));
        }
    }
    if let Some(cve) = patch.cves.iter().find(|cve| !is_cve(cve)) {
        return Err(refused(
            &patch.path,
            format!("'{cve}' in its field cves is no CVE number"),
        )
        .next("build the patch with CVE numbers such as CVE-2026-0001"));
    }
    if let Some(field) = patch.not_shown.first() {
        return Err(refused(
            &patch.path,
            format!("the loader cannot show its field {field}: a symbol is missing"),
        )
        .next("build it with the loader's header or with livepatch::info!"));
    }
    Ok(())
}

/// Reads the proof beside a patch. It must have the patch's name, release, level and CVEs.
/// `ModuleFile` has compared the build id of the module in the proof with that of the patch.
fn proof(patch: &ModuleFile) -> Result<Option<(Proof, Vec<u8>)>> {
    let path = patch.path.with_extension("proof.json");
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(on_file(&path))?,
    };
    let proof: Proof = serde_json::from_slice(&text)
        .map_err(|error| refused(&path, error.to_string()).next("build the patch again"))?;
    let differs = if proof.format != PROOF_FORMAT {
        Some(format!(
            "it has the format {}, which this program does not know",
            proof.format
        ))
    } else if proof.module != patch.name {
        Some(format!("it is the proof of {}", proof.module))
    } else if proof.kernel.release != patch.release {
        Some(format!("it is a proof for {}", proof.kernel.release))
    } else if proof.level != patch.level {
        Some("its level is not that of the patch".to_owned())
    } else if proof.cves != patch.cves {
        Some("its CVEs are not those of the patch".to_owned())
    } else {
        None
    };
    match differs {
        Some(why) => Err(refused(&path, why).next("use the proof that was written with the patch")),
        None => Ok(Some((proof, text))),
    }
}

/// The build id in a copy of `/sys/kernel/notes`, or in vmlinux.
fn build_id_in(folder: &Path) -> Result<Option<String>> {
    for name in ["notes", "vmlinux"] {
        let path = folder.join(name);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            bytes => bytes.map_err(on_file(&path))?,
        };
        let id = system::build_id(&bytes).or_else(|| {
            let elf = ElfFile::<FileHeader64<Endianness>>::parse(&bytes[..]).ok()?;
            system::build_id(elf.section_by_name(".notes")?.data().ok()?)
        });
        return match id {
            Some(id) => Ok(Some(id)),
            None => Err(refused(&path, "it has no build id")
                .next("copy /sys/kernel/notes of a machine with this kernel, or use its vmlinux")),
        };
    }
    Ok(None)
}

/// The build id of the kernel: that of the proof, or that of a file beside the patch.
fn kernel_build_id(folder: &Path, proof: Option<&Proof>) -> Result<String> {
    let proved = proof.and_then(|proof| proof.kernel.build_id.clone());
    match (proved, build_id_in(folder)?) {
        (Some(proved), Some(own)) if proved != own => Err(refused(
            folder,
            format!(
                "the proof is for the kernel with the build id {proved}, and the file beside it \
                 has {own}"
            ),
        )
        .next("build the patch again for this build of the kernel")),
        (Some(id), _) | (None, Some(id)) if is_hex(&id, id.len()) => Ok(id),
        _ => Err(refused(folder, "the build id of the kernel is not known").next(
            "put the proof of rlp-build there, or vmlinux, or a copy of /sys/kernel/notes: notes",
        )),
    }
}

impl Input {
    pub(crate) fn read(folder: &Path, level: Number) -> Result<Self> {
        let (loader, patch) = modules(folder)?;
        check_kernel(&loader.info, &patch.info)?;
        check_fields(&patch.info, level)?;
        let proof = proof(&patch.info)?;
        let build_id = kernel_build_id(folder, proof.as_ref().map(|(proof, _)| proof))?;
        let mut notes = Vec::new();
        loader.note_signature(&mut notes);
        patch.note_signature(&mut notes);
        if proof.is_none() {
            notes.push(format!(
                "{} has no proof beside it",
                patch.info.path.display()
            ));
        }
        let release = &patch.info.release;
        let below = |name: &str| format!("{release}/{name}");
        let patch_file = below(&format!("{}.ko", patch.info.name));
        let loader_file = below(&format!("{}.ko", loader::MODULE));
        let kernel = Kernel {
            release: release.clone(),
            build_id,
            vermagic: patch.info.vermagic.clone(),
            patch: Patch {
                name: patch.info.name.clone(),
                file: patch_file.clone(),
                sha256: Digest::of(&patch.content),
                build_id: patch.info.build_id.clone(),
                functions: proof
                    .as_ref()
                    .and_then(|(proof, _)| u32::try_from(proof.functions.len()).ok()),
                replaced: proof.as_ref().map(|(proof, _)| proof.replaced()),
            },
            loader: Loader {
                file: loader_file.clone(),
                sha256: Digest::of(&loader.content),
                build_id: loader.info.build_id.clone(),
            },
        };
        let source = proof.as_ref().map(|(proof, _)| proof.patch);
        let mut files = vec![
            File {
                path: patch_file,
                content: patch.content,
            },
            File {
                path: loader_file,
                content: loader.content,
            },
        ];
        files.extend(proof.map(|(_, content)| File {
            path: below(&format!("{}.proof.json", patch.info.name)),
            content,
        }));
        let mut cves = patch.info.cves;
        cves.sort();
        cves.dedup();
        Ok(Self {
            kernel,
            files,
            cves,
            source,
            notes,
        })
    }
}
