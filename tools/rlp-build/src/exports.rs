// SPDX-License-Identifier: GPL-2.0

//! The symbols that a unit of a module may refer to, although another object defines them.
//!
//! The kernel and its modules export symbols to modules. A unit of a module may also refer to a
//! symbol that the patch adds to vmlinux or to another module: both are then a part of the live
//! patch. "objtool klp diff" reads the list of exported symbols from a file Module.symvers.

use crate::elf::Elf;
use crate::image::Image;
use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::path::Path;

/// The exported symbols, and those that the patch adds.
#[derive(Debug)]
pub(crate) struct Exports {
    /// Module.symvers of the kernel, and the loader's symbols.
    symvers: String,
    /// Each global symbol that the patch adds, and the object that defines it.
    new: BTreeMap<String, String>,
}

impl Exports {
    pub(crate) fn read(tree: &Tree, loader: &Path) -> Result<Self> {
        let path = tree.dir.join("Module.symvers");
        let symvers = std::fs::read_to_string(&path).map_err(io_error_at(&path))?;
        Ok(Self {
            symvers: symvers + &loader_exports(loader, &tree.release)?,
            new: BTreeMap::new(),
        })
    }

    /// Adds the global symbols that only the patched unit of an object defines.
    pub(crate) fn add_new(&mut self, object: &str, original: &Elf, patched: &Elf) {
        let old: BTreeSet<_> = globals(original).collect();
        for name in globals(patched).filter(|name| !old.contains(name)) {
            self.new.insert(name.to_owned(), object.to_owned());
        }
    }

    /// Refuses a patch that uses a module on which the shipped object does not depend. Nothing
    /// would load that module before the object.
    pub(crate) fn check_dependencies(&self, image: &Image, wanted: &BTreeSet<String>) -> Result {
        let exporters: BTreeMap<&str, &str> = self
            .symvers
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('\t').skip(1);
                Some((fields.next()?, fields.next()?))
            })
            .collect();
        let exporter = |name: &str| {
            let path = match self.new.get(name) {
                Some(object) => object,
                None => *exporters.get(name)?,
            };
            let file = path.rsplit('/').next().unwrap_or(path);
            let module = file.replace('-', "_");
            (module != "vmlinux" && module != image.object).then_some(module)
        };
        let used: BTreeSet<_> = image
            .elf
            .symbols
            .iter()
            .filter(|symbol| symbol.section == 0 && symbol.bind == object::elf::STB_GLOBAL)
            .filter_map(|symbol| exporter(&symbol.name))
            .collect();
        match wanted
            .iter()
            .filter_map(|name| exporter(name))
            .find(|module| !used.contains(module))
        {
            Some(needs) => Err(Refusal::NewDependency {
                object: image.object.clone(),
                needs,
            }
            .into()),
            None => Ok(()),
        }
    }

    /// The namespaces of the exported symbols that an object needs. A module must import them.
    pub(crate) fn namespaces(&self, object: &Elf) -> BTreeSet<String> {
        let needed: BTreeSet<_> = object
            .symbols
            .iter()
            .filter(|symbol| symbol.section == 0)
            .map(|symbol| symbol.name.as_str())
            .collect();
        self.symvers
            .lines()
            .filter_map(|line| {
                let fields: Vec<_> = line.split('\t').collect();
                let (name, namespace) = (fields.get(1)?, *fields.get(4)?);
                let is_imported = !namespace.is_empty() && !namespace.starts_with("module:");
                (is_imported && needed.contains(name)).then(|| namespace.to_owned())
            })
            .collect()
    }

    /// The text of Module.symvers for the units of an object, which need the symbols `wanted`.
    pub(crate) fn for_object(&self, image: &Image, wanted: &BTreeSet<String>) -> String {
        let mut text = self.symvers.clone();
        if image.is_kernel() {
            return text;
        }
        let exported: BTreeSet<_> = self
            .symvers
            .lines()
            .filter_map(|line| line.split('\t').nth(1))
            .collect();
        for name in wanted
            .iter()
            .filter(|name| !exported.contains(name.as_str()))
        {
            if self.new.get(name).is_some_and(|by| *by != image.object) {
                // The link of the live patch resolves an ordinary relocation.
                text += &line(name, "");
            } else if image.names.global(name).is_none() {
                // vmlinux has the symbol, and does not export it. Another unit of the module does
                // not define it.
                text += &line(name, "module:rlp");
            }
        }
        text
    }
}

/// The loader's symbols, listed as symbols of vmlinux. The module depends on the loader, so
/// ordinary relocations suffice for them.
fn loader_exports(loader: &Path, release: &str) -> Result<String> {
    let path = loader.join(release).join("Module.symvers");
    let text = std::fs::read_to_string(&path).map_err(|_| {
        tool_failure(format!(
            "{} is missing: install the loader for {release}, or name it with --loader",
            path.display()
        ))
    })?;
    let names = text.lines().filter_map(|line| line.split('\t').nth(1));
    Ok(names.map(|name| line(name, "")).collect())
}

/// A line of Module.symvers for a symbol of vmlinux, in this namespace.
fn line(name: &str, namespace: &str) -> String {
    format!("0x00000000\t{name}\tvmlinux\tEXPORT_SYMBOL_GPL\t{namespace}\n")
}

/// The names of the global symbols that an object defines.
fn globals(elf: &Elf) -> impl Iterator<Item = &str> {
    let is_global = |symbol: &&crate::elf::Symbol| symbol.is_defined() && !symbol.is_local();
    let symbols = elf.symbols.iter().filter(is_global);
    symbols.map(|symbol| symbol.name.as_str())
}
