// SPDX-License-Identifier: GPL-2.0

//! rlp-build check: whether the replacements of a patch have the prototypes of the kernel's
//! functions.
//!
//! A patch that was written by hand has only the name of a function to be replaced. The compiler
//! cannot know the type of that function, so a replacement with other arguments compiles and loads,
//! and reads registers that its callers did not set. The kernel's BTF has the types of its
//! functions.

use crate::btf::Btf;
use crate::cli::Check;
use crate::declared::{
    self,
    Declared,
    Sizes, //
};
use crate::elf::Elf;
use crate::image::Image;
use crate::kernel_paths::{
    shipped_module,
    KernelPaths, //
};
use crate::output::{
    DIFFERS,
    OK, //
};
use crate::prototype::{
    Language,
    Prototype, //
};
use crate::refusal::{
    tool_failure,
    Failure,
    Result, //
};
use crate::signatures::{
    self,
    Function, //
};
use std::collections::BTreeMap;
use std::path::Path;

/// Compares the replacements of each module, and returns the exit status.
pub(crate) fn run(arguments: &Check) -> Result<u8> {
    let paths = KernelPaths::find(&arguments.kernel)?;
    let image = Image::kernel(&paths.image)?;
    let btf = match image.elf.section(".BTF") {
        Some(section) => Btf::parse(image.elf.bytes(section), None)?,
        None => {
            return Err(tool_failure(format!(
                "{} has no BTF, so the prototypes of its functions are not known",
                paths.image.display()
            )))
        }
    };
    let mut shipped = Shipped {
        paths: &paths,
        kernel: &image,
        btf: &btf,
        modules: BTreeMap::new(),
    };
    let mut status = OK;
    for file in &arguments.modules_to_check {
        status = status.max(check(file, &arguments.allow, &mut shipped)?);
    }
    Ok(status)
}

/// The result for one replacement.
enum Outcome {
    Agrees,
    /// The kernel's prototype, that of the patch, and the difference.
    Differs(Prototype, Prototype, String),
    /// There is no such function to replace.
    Missing,
    /// The reason why the prototypes cannot be compared.
    Unknown(String),
}

fn check(file: &Path, allowed: &[String], shipped: &mut Shipped<'_>) -> Result<u8> {
    let module = Elf::read(file)?;
    if module.section(".init.klp_objects").is_some() {
        println!(
            "{}: was built from a source patch, so it declares no prototype by hand",
            file.display()
        );
        return Ok(OK);
    }
    check_release(file, &module, shipped.kernel)?;
    // A module that was built outside of the kernel's tree may have its own copy of the base.
    let base = match module.section(".BTF.base") {
        Some(section) => Some(Btf::parse(module.bytes(section), None)?),
        None => None,
    };
    let patch = Patch::read(file, &module, base.as_ref(), shipped.btf)?;
    let declared = declared::replacements(&module, patch.sizes);
    if declared.is_empty() {
        println!(
            "{}: has no static table of replacements, so nothing can be compared",
            file.display()
        );
        return Ok(OK);
    }

    println!("{}:", file.display());
    let (mut agree, mut differ, mut allow, mut unknown) = (0, 0, 0, 0);
    for declared in &declared {
        let function = format!("{} {}", declared.object, declared.name);
        match compare(declared, &patch, shipped)? {
            Outcome::Agrees => {
                agree += 1;
                println!("  {function}: agrees");
            }
            Outcome::Differs(_, _, difference) if allowed.contains(&declared.name) => {
                allow += 1;
                println!("  {function}: differs, which is allowed: {difference}");
            }
            Outcome::Differs(kernel, replacement, difference) => {
                differ += 1;
                println!("  {function}: DIFFERS: {difference}");
                println!(
                    "      in the kernel  {}",
                    kernel.declaration(&declared.name)
                );
                println!(
                    "      in the patch   {}",
                    replacement.declaration(&patch.name_of(declared))
                );
            }
            Outcome::Missing => {
                differ += 1;
                println!(
                    "  {function}: IS MISSING: the shipped {} has no function of this name",
                    declared.object
                );
            }
            Outcome::Unknown(reason) => {
                unknown += 1;
                println!("  {function}: not compared: {reason}");
            }
        }
    }
    let allow = match allow {
        0 => String::new(),
        n => format!("{n} allowed to differ, "),
    };
    println!("  {agree} agree, {differ} differ, {allow}{unknown} not compared");
    if differ == 0 {
        return Ok(OK);
    }
    println!(
        "  correct each declaration that differs. If the patch replaces all callers of a function \
         too, the function may differ: name it with --allow"
    );
    Ok(DIFFERS)
}

/// The patch must be for the kernel of the image.
fn check_release(file: &Path, module: &Elf, kernel: &Image) -> Result {
    let modinfo = module
        .section(".modinfo")
        .map_or(&[][..], |section| module.bytes(section));
    let vermagic = modinfo
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"vermagic="))
        .ok_or_else(|| tool_failure(format!("{} is not a kernel module", file.display())))?;
    let vermagic = String::from_utf8_lossy(vermagic);
    let built = vermagic.split(' ').next().unwrap_or_default();
    match kernel.release() {
        Some(release) if release != built => Err(tool_failure(format!(
            "{} is for the kernel {built}, and the image is of {release}: name the right image \
             with --image or --release",
            file.display()
        ))),
        _ => Ok(()),
    }
}

fn compare(declared: &Declared, patch: &Patch<'_>, shipped: &mut Shipped<'_>) -> Result<Outcome> {
    let kernel = match shipped.prototype(declared)? {
        Ok(prototype) => prototype,
        Err(outcome) => return Ok(outcome),
    };
    let Some((language, replacement)) = patch.prototype(declared) else {
        return Ok(Outcome::Unknown(
            "the patch has no prototype of its replacement, which the compiler may have merged \
             with another function"
                .into(),
        ));
    };
    Ok(match kernel.difference(&replacement, language) {
        None => Outcome::Agrees,
        Some(difference) => Outcome::Differs(kernel, replacement, difference),
    })
}

/// The patch, and what it says about its own functions.
struct Patch<'a> {
    module: &'a Elf,
    bases: Vec<u64>,
    functions: Vec<Function>,
    btf: Option<Btf<'a>>,
    sizes: Sizes,
}

impl<'a> Patch<'a> {
    fn read(
        file: &Path,
        module: &'a Elf,
        base: Option<&'a Btf<'a>>,
        kernel: &'a Btf<'a>,
    ) -> Result<Self> {
        let bases = signatures::section_addresses(module);
        let debug = module.section(".debug_info").is_some();
        let (mut functions, mut sizes) = (Vec::new(), BTreeMap::new());
        if debug {
            functions = signatures::functions(module, &bases, |_, _| true)?;
            sizes = signatures::sizes(module, &["klp_object", "klp_func"])?;
        }
        let btf = match module.section(".BTF") {
            Some(section) => Some(Btf::parse(
                module.bytes(section),
                Some(base.unwrap_or(kernel)),
            )?),
            None => None,
        };
        if !debug && btf.is_none() {
            return Err(tool_failure(format!(
                "{} has neither debug information nor BTF: check it as it was built, before it is \
                 stripped",
                file.display()
            )));
        }
        let size = |name: &str| {
            let own = sizes.get(name).copied();
            own.or_else(|| btf.as_ref()?.size_of(name))
                .or_else(|| kernel.size_of(name))
                .ok_or_else(|| {
                    tool_failure(format!(
                        "{}: the size of struct {name} is not known",
                        file.display()
                    ))
                })
        };
        let sizes = Sizes {
            object: size("klp_object")?,
            func: size("klp_func")?,
        };
        Ok(Self {
            module,
            bases,
            functions,
            btf,
            sizes,
        })
    }

    fn debug_info_of(&self, declared: &Declared) -> Option<&Function> {
        let (section, offset) = declared.code;
        let addr = self.bases[section] + offset;
        self.functions.iter().find(|function| function.addr == addr)
    }

    fn prototype(&self, declared: &Declared) -> Option<(Language, Prototype)> {
        if let Some(function) = self.debug_info_of(declared) {
            return Some((function.language, function.prototype.clone()));
        }
        let symbol = declared::symbol_at(self.module, declared.code)?;
        Some((Language::C, self.btf.as_ref()?.function(&symbol.name)?))
    }

    fn name_of(&self, declared: &Declared) -> String {
        let described = self
            .debug_info_of(declared)
            .map(|function| function.name.clone());
        let symbol = || declared::symbol_at(self.module, declared.code).map(|s| s.name.clone());
        described.or_else(symbol).unwrap_or_default()
    }
}

/// The kernel and its modules.
struct Shipped<'a> {
    paths: &'a KernelPaths,
    kernel: &'a Image,
    btf: &'a Btf<'a>,
    /// The modules that were looked for. None for a module that is not there.
    modules: BTreeMap<String, Option<Image>>,
}

impl Shipped<'_> {
    /// The prototype of a function that is replaced, or the reason why it is not known.
    fn prototype(
        &mut self,
        declared: &Declared,
    ) -> Result<std::result::Result<Prototype, Outcome>> {
        let name = declared.name.as_str();
        if declared.object == "vmlinux" {
            return Ok(prototype_or_outcome(
                self.btf.function(name),
                self.kernel,
                name,
            ));
        }
        if !self.modules.contains_key(&declared.object) {
            let module = match shipped_module(self.paths, &declared.object) {
                Ok(module) => Some(module),
                Err(Failure::Refused(_)) => None,
                Err(failure) => return Err(failure),
            };
            self.modules.insert(declared.object.clone(), module);
        }
        let Some(Some(image)) = self.modules.get(&declared.object) else {
            return Ok(Err(Outcome::Unknown(format!(
                "there is no module {} in {}: name its folder with --modules",
                declared.object,
                self.paths.modules.display()
            ))));
        };
        let module = &image.elf;
        let bytes = |name: &str| module.section(name).map(|section| module.bytes(section));
        let prototype = if let Some(types) = bytes(".BTF") {
            match bytes(".BTF.base") {
                Some(base) => {
                    let base = Btf::parse(base, None)?;
                    Btf::parse(types, Some(&base))?.function(name)
                }
                None => Btf::parse(types, Some(self.btf))?.function(name),
            }
        } else if module.section(".debug_info").is_some() {
            let bases = signatures::section_addresses(module);
            let mut functions = signatures::functions(module, &bases, |own, _| own == name)?;
            let first = functions.pop().map(|function| function.prototype);
            first.filter(|first| functions.iter().all(|other| other.prototype == *first))
        } else {
            None
        };
        Ok(prototype_or_outcome(prototype, image, name))
    }
}

fn prototype_or_outcome(
    prototype: Option<Prototype>,
    image: &Image,
    name: &str,
) -> std::result::Result<Prototype, Outcome> {
    if image.names.addrs(name).is_empty() {
        return Err(Outcome::Missing);
    }
    prototype.ok_or_else(|| {
        Outcome::Unknown(format!(
            "{} has no prototype of it: the compiler has changed its arguments, or several \
             functions have this name",
            image.object
        ))
    })
}
