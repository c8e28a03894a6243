// SPDX-License-Identifier: GPL-2.0

//! rlp-build build: all steps, in order.

use crate::assembly::Assembly;
use crate::cli::Build;
use crate::exports::Exports;
use crate::image::Image;
use crate::kernel_paths::{
    open_image,
    shipped_module,
    KernelPaths, //
};
use crate::link::{
    self,
    Info, //
};
use crate::objtool::Objtool;
use crate::output::{
    note,
    step,
    OK, //
};
use crate::patch::{
    self,
    Series, //
};
use crate::positions::{
    Positions,
    Replaced, //
};
use crate::proof::{
    self,
    Proof, //
};
use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use crate::units::Unit;
use crate::verify::{
    Presence,
    Verified, //
};
use crate::{
    compile,
    elf::Elf,
    explain,
    generators,
    headers,
    inlined,
    layout,
    namespace, //
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::path::Path;

/// Builds a module. Returns the exit status.
pub(crate) fn run(arguments: &Build) -> Result<u8> {
    let paths = KernelPaths::find(&arguments.kernel)?;
    let Some(folder) = namespace::folder() else {
        return namespace::enter(&paths.cache);
    };

    let series = Series::read(&arguments.patches)?;
    let info = info(arguments, &series);
    info.check_lengths()?;
    let tree = Tree::cover(
        &paths.tree,
        arguments.kernel.source.as_deref(),
        &arguments.kernel.loader,
        &paths.cache,
        &folder,
    )?;
    tree.check_compiler()?;

    let patched_source = step("apply the patch to a copy", || series.prepare(&tree))?;
    let to_compile = UnitsToCompile::of_series(&tree, &series, arguments.units)?;
    let users = &to_compile.users;
    let (mut units, not_made) = step("compile the units as they were shipped", || {
        let mut units = compile::as_shipped(&tree, &to_compile.sources)?;
        let compiled = compile::shipped_among(&tree, users)?;
        units.extend(compiled.units);
        Ok((units, compiled.not_made))
    })?;
    note_left_out("kbuild does not make it for this configuration", &not_made);
    let assembly = Assembly::as_shipped(&tree, &to_compile.assembly)?;

    let (orig, patched) = (tree.folder("orig")?, tree.folder("patched")?);
    step("compile each function in its own section", || {
        compile::originals_in_sections(&tree, &arguments.kernel.loader, &units, &orig)
    })?;
    step("compile the patched units in the same way", || {
        patch::install(&tree, &patched_source, &series.files)?;
        assembly.refuse_changes(&tree)?;
        compile::in_sections(&tree, &arguments.kernel.loader, &units, &patched)
    })?;

    let both = |unit: &Unit| -> Result<(Elf, Elf)> {
        let object = |folder: &Path| Elf::read(&folder.join(unit.output()));
        Ok((object(&orig)?, object(&patched)?))
    };
    step("compare the structures' layout", || {
        for unit in &units {
            let (before, after) = both(unit)?;
            if let Some(change) = layout::change(&before, &after)? {
                return Err(Refusal::ChangedLayout {
                    objects: change.objects,
                    detail: change.detail,
                }
                .into());
            }
        }
        Ok(())
    })?;

    // Leave out the users whose code does not change.
    let (mut changed, mut same) = (Vec::new(), BTreeSet::new());
    for unit in units {
        let is_same = || -> Result<bool> {
            let (before, after) = both(&unit)?;
            Ok(before.same_code(&after))
        };
        if users.contains(&unit.source) && is_same()? {
            same.insert(unit.source);
        } else {
            changed.push(unit);
        }
    }
    units = changed;

    step("compare what is inlined in the units", || {
        compile::for_each(tree.jobs, &units, |unit| inlined::check(&tree, unit))
    })?;
    let objtool = Objtool::new(&tree)?;
    step("run objtool on the units", || objtool.shipped(&units))?;
    let kernel = step("decode the shipped image", || open_image(&paths, &tree))?;
    let mut exports = Exports::read(&tree, &arguments.kernel.loader)?;
    for unit in &units {
        let (before, after) = both(unit)?;
        exports.add_new(&unit.object, &before, &after);
    }

    let mut by_object: BTreeMap<&str, Vec<Unit>> = BTreeMap::new();
    for unit in &units {
        by_object
            .entry(&unit.object)
            .or_default()
            .push(unit.clone());
    }
    let mut shipped: BTreeSet<String> = same;
    let mut replaced = Vec::new();
    let (mut differences, mut namespaces) = (Vec::new(), BTreeSet::new());
    for (object, units) in &by_object {
        let module = match *object {
            "vmlinux" => None,
            _ => Some(shipped_module(&paths, object)?),
        };
        let image = module.as_ref().unwrap_or(&kernel);
        let (left, verified) = step(&format!("compare with the shipped {object}"), || {
            let explain = arguments.explain.then_some(&tree);
            verify_units(units, &to_compile, image, explain)
        })?;
        let absent = to_compile.left_out(units, &left);
        note_left_out(
            &format!("the shipped {object} has none of its functions"),
            &absent,
        );
        refuse_data(&absent)?;
        let units = left;
        shipped.extend(units.iter().map(|unit| unit.source.clone()));
        if units.is_empty() {
            continue;
        }
        let difference = step(&format!("find what changes in {object}"), || {
            objtool.difference(image, &units, &orig, &patched, &exports)
        })?;
        for sentence in &difference.notes {
            note(sentence);
        }
        let Some(file) = &difference.file else {
            continue;
        };
        let functions = Positions {
            explain: arguments.explain,
            tree: &tree,
            image,
            kernel: &kernel,
            units: &units,
            verified: &verified,
        }
        .correct_positions(&difference, file)?;
        for function in &functions {
            note(&format!(
                "{} at {} is as it was shipped",
                function.name, function.place
            ));
        }
        namespaces.extend(exports.namespaces(&Elf::read(file)?));
        replaced.extend(functions);
        differences.push(((*object).to_owned(), file.clone()));
    }
    to_compile.check_included_are_shipped(&shipped)?;
    if replaced.is_empty() {
        return Err(Refusal::ChangesNothing.into());
    }
    if let Some(function) = replaced_twice(&replaced) {
        return Err(Refusal::ReplacedTwice {
            function: function.name.clone(),
            object: function.object.clone(),
        }
        .into());
    }

    let module = step("link the module", || {
        link::module(
            &tree,
            &objtool,
            &arguments.kernel.loader,
            &info,
            &differences,
            &namespaces,
        )
    })?;

    let compiler = tree.compiler()?;
    let proof = Proof::new(
        &info,
        Elf::read(&module)?.build_id(),
        &series.header.fixes,
        &series.hash,
        proof::Kernel {
            release: &tree.release,
            build_id: kernel.elf.build_id(),
            source: arguments
                .kernel
                .source_version
                .as_deref()
                .unwrap_or(&tree.release),
            compiler: &compiler,
        },
        &replaced,
    );
    write(&arguments.output, &info.name, &module, &proof)?;
    Ok(OK)
}

/// The files to compile.
struct UnitsToCompile {
    /// Units that the patch changes. Each must be a part of the shipped kernel.
    sources: Vec<String>,
    /// Units whose code may change, if they are a part of the shipped kernel: users of changed
    /// headers, users of changed C files, and changed C files that other files include.
    users: Vec<String>,
    /// Each changed C file that other files include, and these files. Such a C file may be a unit
    /// itself, too.
    included: BTreeMap<String, BTreeSet<String>>,
    /// Assembly code and linker scripts that may include changed headers.
    assembly: Vec<String>,
}

impl UnitsToCompile {
    /// The files to compile for a series.
    fn of_series(tree: &Tree, series: &Series, limit: usize) -> Result<Self> {
        let (changed, mut headers): (BTreeSet<_>, BTreeSet<_>) = series
            .files
            .iter()
            .cloned()
            .partition(|file| file.ends_with(".c"));
        let mut included = BTreeMap::new();
        step("look for files that include the C files", || {
            for source in &changed {
                let file = BTreeSet::from([source.clone()]);
                let files = headers::users_of_sources(&tree.source, &tree.cache, &file)?;
                if !files.is_empty() {
                    included.insert(source.clone(), files);
                }
            }
            Ok(())
        })?;
        let (mut users, sources): (BTreeSet<_>, BTreeSet<_>) = changed
            .into_iter()
            .partition(|source| included.contains_key(source));
        for file in included.values().flatten() {
            if file.ends_with(".h") {
                headers.insert(file.clone());
            } else {
                users.insert(file.clone());
            }
        }
        let mut assembly = Vec::new();
        if !headers.is_empty() {
            let found = step("look for the users of the headers", || {
                header_users(tree, &headers, &sources, limit)
            })?;
            users.extend(found.units);
            assembly.extend(found.assembly);
        }
        users.retain(|unit| !sources.contains(unit));
        Ok(Self {
            sources: sources.into_iter().collect(),
            users: users.into_iter().collect(),
            included,
            assembly,
        })
    }

    /// The units that are not a part of the shipped object. A C file that is compiled as a part of
    /// other units is not left out.
    fn left_out(&self, all: &[Unit], left: &[Unit]) -> Vec<String> {
        let is_left = |unit: &Unit| left.iter().any(|other| other.source == unit.source);
        all.iter()
            .filter(|unit| !is_left(unit) && !self.included.contains_key(&unit.source))
            .map(|unit| unit.source.clone())
            .collect()
    }

    /// Refuses a C file that is not a part of a unit of the shipped kernel.
    fn check_included_are_shipped(&self, shipped: &BTreeSet<String>) -> Result {
        match self.included.iter().find(|(source, files)| {
            let headers = files.iter().any(|file| file.ends_with(".h"));
            !headers && !shipped.contains(*source) && files.is_disjoint(shipped)
        }) {
            Some((source, _)) => Err(Refusal::NotShipped {
                unit: source.clone(),
            }
            .into()),
            None => Ok(()),
        }
    }
}

/// The files that may include the headers, except the units that the patch itself changes.
fn header_users(
    tree: &Tree,
    headers: &BTreeSet<String>,
    sources: &BTreeSet<String>,
    limit: usize,
) -> Result<headers::Users> {
    generators::refuse_inputs(&tree.source, headers)?;
    let mut users = headers::users(&tree.source, &tree.dir, headers)?;
    users.units.retain(|unit| !sources.contains(unit));
    if users.units.len() > limit {
        let list: Vec<_> = headers.iter().map(String::as_str).collect();
        return Err(Refusal::TooManyUsers {
            headers: list.join(" or "),
            units: users.units.len(),
        }
        .into());
    }
    Ok(users)
}

/// Says which users of a changed file are left out, and why.
fn note_left_out(reason: &str, units: &[String]) {
    for unit in units {
        note(&format!("{unit} is left out: {reason}"));
    }
}

/// Refuses a patch that changes, by a header, code that the image has only as data: the vDSO, and
/// the constants that kbuild makes for assembly code.
fn refuse_data(absent: &[String]) -> Result {
    let kind = absent
        .iter()
        .find_map(|unit| Some((unit, patch::refused_kind(unit)?)));
    match kind {
        Some((unit, kind)) => Err(Refusal::UnsupportedFile {
            file: unit.clone(),
            kind,
        }
        .into()),
        None => Ok(()),
    }
}

/// The first function that two units replace.
fn replaced_twice(replaced: &[Replaced]) -> Option<&Replaced> {
    let mut places = BTreeSet::new();
    replaced
        .iter()
        .find(|function| !places.insert((&function.object, &function.place)))
}

/// Compares the units of one object with its shipped image. A unit that is not a part of the image
/// is left out if it is one of `UnitsToCompile::users`. Otherwise it is refused. A unit that is a
/// part of the image, but was compiled differently, is refused, too. `explain` is given to show the
/// difference.
fn verify_units<'a>(
    units: &[Unit],
    to_compile: &UnitsToCompile,
    image: &'a Image,
    explain: Option<&Tree>,
) -> Result<(Vec<Unit>, Vec<Verified<'a>>)> {
    let mut list = Vec::new();
    for unit in units {
        let object = Elf::read(&unit.cached.join("shipped.o"))?;
        let verified = Verified::new(&unit.source, object, image);
        if !matches!(verified.presence(), Presence::Absent) {
            list.push((unit.clone(), verified));
        } else if !to_compile.users.contains(&unit.source) {
            return Err(Refusal::NotShipped {
                unit: unit.source.clone(),
            }
            .into());
        }
    }
    // A C file that was compiled by itself here may be only an included file of another unit in the
    // shipped kernel. The functions of both are then at the same places in the image. Leave out the
    // included file.
    let pieces: BTreeSet<_> = list
        .iter()
        .filter(|(unit, verified)| {
            let files = to_compile.included.get(&unit.source);
            let mut places = verified.places();
            if places.is_empty() {
                places = verified.places_of_names();
            }
            let is_in = |whole: &Verified<'_>| places.is_subset(&whole.places());
            !places.is_empty()
                && list.iter().any(|(other, whole)| {
                    files.is_some_and(|files| files.contains(&other.source)) && is_in(whole)
                })
        })
        .map(|(unit, _)| unit.source.clone())
        .collect();
    list.retain(|(unit, _)| !pieces.contains(&unit.source));
    for (unit, verified) in &list {
        if let Presence::Differs { index, difference } = verified.presence() {
            if let Some(tree) = explain {
                explain::show(tree, verified, index, &difference)?;
            }
            let symbol = &verified.object.symbols[index];
            let function = symbol.name.clone();
            return Err(if symbol.bind == object::elf::STB_WEAK {
                Refusal::OverriddenWeak { function }
            } else {
                Refusal::Differs {
                    function,
                    unit: unit.source.clone(),
                    detail: difference.detail,
                }
            }
            .into());
        }
    }
    Ok(list.into_iter().unzip())
}

fn info(arguments: &Build, series: &Series) -> Info {
    let name = arguments
        .name
        .clone()
        .unwrap_or_else(|| link::module_name(&arguments.patches[0]));
    let mut cves = series.header.cves.clone();
    cves.extend(arguments.cve.iter().cloned());
    Info {
        description: arguments
            .description
            .clone()
            .or_else(|| series.header.description.clone())
            .unwrap_or_else(|| format!("live patch {name}")),
        name,
        level: arguments.level.clone(),
        cves: cves.into_iter().collect(),
        cumulative: !arguments.no_replace,
    }
}

/// Writes the results, each complete or not at all.
fn write(folder: &Path, name: &str, module: &Path, proof: &Proof<'_>) -> Result {
    std::fs::create_dir_all(folder).map_err(io_error_at(folder))?;
    let mut json = serde_json::to_vec_pretty(proof)
        .map_err(|error| tool_failure(format!("the proof: {error}")))?;
    json.push(b'\n');
    let put = |extension: &str, content: &[u8]| {
        let path = folder.join(format!("{name}.{extension}"));
        durable::replace(&path, content)?;
        println!("{}", path.display());
        Ok(())
    };
    put("ko", &std::fs::read(module).map_err(io_error_at(module))?)?;
    put("proof.json", &json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::compile_for_test;
    use crate::kallsyms::{
        Ksym,
        Names, //
    };
    use crate::refusal::Failure;
    use object::elf;
    use std::collections::HashMap;

    const ADDR: u64 = 0xffff_ffff_8100_0000;

    /// Units as they were compiled here: with functions, or with a variable.
    const SOURCES: [(&str, &str); 4] = [
        (
            "weak.c",
            "int f(void);\n__attribute__((weak)) int f(void) { return 5; }\n",
        ),
        (
            "whole.c",
            "int f(int a);\nint f(int a) { return a + 1; }\n\
             __attribute__((used)) static int g(int a) { return a - 7; }\n",
        ),
        (
            "local.c",
            "__attribute__((used)) static int g(int a) { return a - 7; }\n",
        ),
        ("data.c", "const int table[2] = { 1, 2 };\n"),
    ];

    /// Verifies units against an image. Returns the units that are not left out, or the reason of
    /// the refusal. `shipped` has the image's symbols, each with a name, a type, and whether its
    /// bytes are those of `whole.c`.
    fn verified(
        source: &str,
        users: &[&str],
        included: &[(&str, &str)],
        shipped: &[(&str, char, bool)],
    ) -> std::result::Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut units = Vec::new();
        for (name, text) in SOURCES {
            let cached = folder.path().join(name);
            std::fs::create_dir(&cached).unwrap();
            compile_for_test(text, &["-fcf-protection=none"], &cached.join("shipped.o"));
            units.push(Unit::new(name, String::new(), cached).unwrap());
        }
        let whole = Elf::read(&units[1].cached.join("shipped.o")).unwrap();
        let mut code = Vec::new();
        let mut names = Vec::new();
        for (name, kind, is_equal) in shipped {
            names.push(Ksym {
                addr: ADDR + code.len() as u64,
                kind: *kind,
                name: (*name).into(),
            });
            let bytes = whole
                .functions()
                .find(|(_, symbol)| symbol.name == *name && *is_equal)
                .map(|(_, symbol)| {
                    let range = symbol.value as usize..(symbol.value + symbol.size) as usize;
                    whole.bytes(symbol.section)[range].to_vec()
                });
            code.extend(bytes.unwrap_or_else(|| vec![0xcc; 32]));
        }
        let flags = elf::SHF_ALLOC | elf::SHF_EXECINSTR;
        let image = Image {
            object: "vmlinux".into(),
            elf: Elf::for_test(
                &[(".text", flags, 0, ADDR, &code)],
                Vec::new(),
                HashMap::new(),
            ),
            names: Names::new(names),
        };
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut included_by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, by) in included {
            included_by
                .entry((*file).into())
                .or_default()
                .insert((*by).into());
        }
        let to_compile = UnitsToCompile {
            sources: Vec::new(),
            users: list(users),
            included: included_by,
            assembly: Vec::new(),
        };
        units.retain(|unit| unit.source == source || included.iter().any(|i| i.1 == unit.source));
        match verify_units(&units, &to_compile, &image, None) {
            Ok((units, _)) => Ok(units.into_iter().map(|unit| unit.source).collect()),
            Err(Failure::Refused(refusal)) => Err(refusal.reason().into()),
            Err(Failure::Tool(sentence)) => panic!("{sentence}"),
        }
    }

    #[test]
    fn a_unit_of_the_image_is_compared_or_refused() {
        let kept = |source: &str| Ok(vec![source.to_owned()]);
        let differs = Err("differs".to_owned());
        let absent = Err("not-shipped".to_owned());
        let whole = |shipped: &[_]| verified("whole.c", &[], &[], shipped);
        // One function that is equal shows that the unit is there.
        assert_eq!(
            whole(&[("f", 'T', true), ("g", 't', true)]),
            kept("whole.c")
        );
        assert_eq!(
            whole(&[("f", 'T', false), ("g", 't', true)]),
            kept("whole.c")
        );
        // The name of a global function shows that, too. A local function of that name may be in
        // another unit.
        assert_eq!(whole(&[("f", 'T', false), ("g", 't', false)]), differs);
        assert_eq!(whole(&[("f", 'W', false)]), differs);
        assert_eq!(whole(&[("f", 't', false), ("g", 't', false)]), absent);
        assert_eq!(whole(&[("h", 'T', false)]), absent);
        // Two places are equal.
        let local = |shipped: &[_]| verified("local.c", &[], &[], shipped);
        assert_eq!(local(&[("g", 't', true)]), kept("local.c"));
        assert_eq!(local(&[("g", 't', true), ("g", 't', true)]), differs);
        assert_eq!(local(&[("g", 't', false)]), differs);
        assert_eq!(local(&[("h", 't', false)]), absent);
        let weak = |shipped: &[_]| verified("weak.c", &[], &[], shipped);
        assert_eq!(weak(&[("f", 'T', false)]), Err("overridden-weak".into()));
        // A unit without functions.
        let data = |shipped: &[_]| verified("data.c", &[], &[], shipped);
        assert_eq!(data(&[("table", 'D', false)]), kept("data.c"));
        assert_eq!(data(&[("other", 'D', false)]), absent);
    }

    #[test]
    fn only_a_user_that_is_not_in_the_image_is_left_out() {
        let user = |shipped: &[_]| verified("whole.c", &["whole.c"], &[], shipped);
        assert_eq!(user(&[("h", 'T', false)]), Ok(Vec::new()));
        assert_eq!(user(&[("f", 'T', false)]), Err("differs".into()));
        assert_eq!(user(&[("f", 'T', true)]), Ok(vec!["whole.c".into()]));
    }

    #[test]
    fn an_included_file_is_left_out_if_its_functions_are_those_of_the_unit() {
        let piece = |shipped: &[_]| {
            let included = [("local.c", "whole.c")];
            verified("local.c", &["local.c", "whole.c"], &included, shipped)
        };
        let whole = Ok(vec!["whole.c".to_owned()]);
        assert_eq!(piece(&[("f", 'T', true), ("g", 't', true)]), whole);
        // The function of the included file differs, and is not that of the unit.
        assert_eq!(
            piece(&[("f", 'T', true), ("g", 't', false)]),
            Err("differs".into())
        );
    }

    fn replaced(object: &str, name: &str, place: &str) -> Replaced {
        Replaced {
            object: object.into(),
            unit: "x.c".into(),
            name: name.into(),
            position: 0,
            place: place.into(),
            size: 1,
            sha256: String::new(),
            relocations: 0,
            constants: 0,
        }
    }

    #[test]
    fn a_function_is_replaced_once() {
        let mut list = vec![
            replaced("vmlinux", "show", "0xffffffff81000000"),
            replaced("vmlinux", "show", "0xffffffff81000100"),
            replaced("minix", "show", ".text+0x10"),
            replaced("ext4", "show", ".text+0x10"),
        ];
        assert!(replaced_twice(&list).is_none());
        list.push(replaced("minix", "other", ".text+0x10"));
        assert_eq!(
            replaced_twice(&list).map(|function| &function.name[..]),
            Some("other")
        );
    }
}
