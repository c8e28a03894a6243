// SPDX-License-Identifier: GPL-2.0

//! rlp-build corpus: patches for functions that are drawn at random.
//!
//! Units are drawn from the kernel's source. If a unit is in the shipped kernel, one of its
//! functions is drawn. The function must begin with a call of ftrace, and its name must be in the
//! symbol table of the shipped object. The patch makes the function count its calls in a new
//! variable. A unit that no function can be drawn from is counted with the reason.

use crate::cli::Corpus;
use crate::command::{
    output,
    program, //
};
use crate::dwarf::{
    self,
    name,
    number, //
};
use crate::elf::Elf;
use crate::image::Image;
use crate::kernel_paths::{
    open_image,
    shipped_module,
    KernelPaths, //
};
use crate::objtool::Objtool;
use crate::refusal::{
    io_error_at,
    tool_failure,
    Failure,
    Result, //
};
use crate::tree::Tree;
use crate::units::Unit;
use crate::verify::Verified;
use crate::{
    compile,
    namespace, //
};
use gimli::AttributeValue;
use std::collections::BTreeMap;
use std::path::Path;

/// Folders of the source that have code of the running kernel.
const FOLDERS: [&str; 13] = [
    "arch/x86", "block", "crypto", "drivers", "fs", "io_uring", "ipc", "kernel", "lib", "mm",
    "net", "security", "sound",
];

/// How many units are compiled at once.
const BATCH: usize = 12;

/// How many units may be drawn for each function that is wanted.
const TRIES: usize = 12;

/// The result of a draw from one unit.
enum Draw {
    /// This function, with this patch.
    Function(String, Vec<u8>),
    /// No function, for this reason.
    Nothing(&'static str),
}

/// Writes the patches and the file `drawn`, with a line for each: patch, object, unit, function.
pub(crate) fn run(arguments: &Corpus) -> Result<u8> {
    let paths = KernelPaths::find(&arguments.kernel)?;
    let Some(folder) = namespace::folder() else {
        return namespace::enter(&paths.cache);
    };
    let tree = Tree::cover(
        &paths.tree,
        arguments.kernel.source.as_deref(),
        &arguments.kernel.loader,
        &paths.cache,
        &folder,
    )?;
    tree.check_compiler()?;
    let kernel = open_image(&paths, &tree)?;
    let objtool = Objtool::new(&tree)?;
    let sources = sources(&tree.source)?;
    std::fs::create_dir_all(&arguments.output).map_err(io_error_at(&arguments.output))?;

    let mut random = Random(arguments.seed);
    let mut drawn = Vec::new();
    let mut left_out = BTreeMap::<_, usize>::new();
    let mut tries = arguments.count * TRIES;
    while drawn.len() < arguments.count && tries > 0 {
        // kbuild takes some seconds for any number of units, so units are compiled in batches.
        let batch: Vec<_> = (0..BATCH)
            .map(|_| sources[random.below(sources.len())].clone())
            .collect();
        tries = tries.saturating_sub(BATCH);
        for unit in compile::shipped_among(&tree, &batch)?.units {
            if drawn.len() == arguments.count {
                break;
            }
            let choice = random.next();
            let name = format!("corpus_{:04}", drawn.len() + 1);
            let counter = format!("rlp_calls_{:04}", drawn.len() + 1);
            match draw(&paths, &tree, &kernel, &objtool, &unit, choice, &counter)? {
                Draw::Function(function, patch) => {
                    let path = arguments.output.join(format!("{name}.patch"));
                    std::fs::write(&path, patch).map_err(io_error_at(&path))?;
                    let entry = format!("{name}\t{}\t{}\t{function}\n", unit.object, unit.source);
                    print!("{entry}");
                    drawn.push(entry);
                }
                Draw::Nothing(reason) => *left_out.entry(reason).or_default() += 1,
            }
        }
    }
    for (reason, count) in left_out {
        println!("# {count} units left out: {reason}");
    }
    let list = arguments.output.join("drawn");
    std::fs::write(&list, drawn.concat()).map_err(io_error_at(&list))?;
    if drawn.len() < arguments.count {
        return Err(tool_failure(format!(
            "only {} functions could be drawn",
            drawn.len()
        )));
    }
    Ok(crate::output::OK)
}

/// Draws a function of a unit, and makes the patch that counts its calls.
fn draw(
    paths: &KernelPaths,
    tree: &Tree,
    kernel: &Image,
    objtool: &Objtool<'_>,
    unit: &Unit,
    choice: u64,
    counter: &str,
) -> Result<Draw> {
    if objtool.shipped(std::slice::from_ref(unit)).is_err() {
        return Ok(Draw::Nothing("objtool reports an error"));
    }
    let module = if unit.is_module() {
        match shipped_module(paths, &unit.object) {
            Ok(module) => Some(module),
            Err(Failure::Refused(_)) => {
                return Ok(Draw::Nothing("the module is not in the package"))
            }
            Err(failure) => return Err(failure),
        }
    } else {
        None
    };
    let image = module.as_ref().unwrap_or(kernel);
    let verified = Verified::new(
        &unit.source,
        Elf::read(&unit.cached.join("shipped.o"))?,
        image,
    );
    let functions: Vec<_> = verified
        .object
        .functions()
        .filter(|(_, symbol)| {
            !image.has_freed(&verified.object.sections[symbol.section])
                && verified.has_entry(symbol)
                && !image.names.addrs(&symbol.name).is_empty()
        })
        .map(|(_, symbol)| symbol.name.clone())
        .collect();
    if functions.is_empty() {
        return Ok(Draw::Nothing("no function has an fentry site and a name"));
    }
    let function = &functions[(choice % functions.len() as u64) as usize];
    let base = function.split('.').next().unwrap_or(function);
    let Some(line) = line_of_definition(&Elf::read(&compile::kbuild_object(unit))?, base)? else {
        return Ok(Draw::Nothing("a macro or a header defines the function"));
    };
    let path = tree.source.join(&unit.source);
    let text = std::fs::read_to_string(&path).map_err(io_error_at(&path))?;
    let Some(edited) = with_counter(&text, line, counter) else {
        return Ok(Draw::Nothing("the function's body has another form"));
    };
    Ok(Draw::Function(
        function.clone(),
        patch(tree, &unit.source, &edited)?,
    ))
}

/// All C files that may be part of the running kernel, in a fixed order.
fn sources(source: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders: Vec<_> = FOLDERS.iter().map(|folder| (*folder).to_owned()).collect();
    while let Some(folder) = folders.pop() {
        let path = source.join(&folder);
        for entry in std::fs::read_dir(&path).map_err(io_error_at(&path))? {
            let entry = entry.map_err(io_error_at(&path))?;
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                if !["vdso", "realmode", "boot", "tools"]
                    .iter()
                    .any(|part| name.ends_with(part))
                {
                    folders.push(name);
                }
            } else if name.ends_with(".c") && !name.ends_with(".mod.c") {
                files.push(name);
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The line of the unit's own file where a function is defined.
fn line_of_definition(object: &Elf, function: &str) -> Result<Option<usize>> {
    let sections = dwarf::sections(object);
    let dwarf = dwarf::load(&sections)?;
    let search = || -> gimli::Result<Option<u64>> {
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            let unit = dwarf.unit(header)?;
            let mut tree = unit.entries_tree(None)?;
            let root = tree.root()?;
            let mut children = root.children();
            while let Some(child) = children.next()? {
                let entry = child.entry();
                let own = matches!(
                    entry.attr_value(gimli::DW_AT_decl_file)?,
                    Some(AttributeValue::FileIndex(0 | 1))
                );
                if own
                    && entry.tag() == gimli::DW_TAG_subprogram
                    && entry.attr(gimli::DW_AT_declaration)?.is_none()
                    && name(&dwarf, &unit, entry)?.as_deref() == Some(function)
                {
                    return number(entry, gimli::DW_AT_decl_line);
                }
            }
        }
        Ok(None)
    };
    Ok(search().map_err(dwarf::failed)?.map(|line| line as usize))
}

/// The text with a counter in the function that is defined at a line.
fn with_counter(text: &str, line: usize, counter: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().collect();
    let begin = line.checked_sub(1)?;
    let body = begin
        + lines
            .get(begin..)?
            .iter()
            .take(25)
            .position(|line| *line == "{")?;
    if lines[begin..body].iter().any(|line| line.starts_with('}')) {
        return None;
    }
    let mut edited: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    edited.insert(
        body + 1,
        format!("\t{{ extern unsigned long {counter}; {counter}++; }}"),
    );
    edited.push(format!("unsigned long {counter};"));
    Some(edited.join("\n") + "\n")
}

/// The unified diff that makes the edited text of a file.
fn patch(tree: &Tree, source: &str, edited: &str) -> Result<Vec<u8>> {
    let place = tree.folder("drawn")?.join("edited");
    std::fs::write(&place, edited).map_err(io_error_at(&place))?;
    let mut diff = program("diff", &tree.work);
    diff.args([
        "-u",
        "--label",
        &format!("a/{source}"),
        "--label",
        &format!("b/{source}"),
    ])
    .arg(tree.source.join(source))
    .arg(&place);
    Ok(output(&mut diff)?.stdout)
}

/// splitmix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_put_behind_the_brace() {
        let text = "int f(int a,\n\tint b)\n{\n\treturn 0;\n}\n";
        let edited = with_counter(text, 1, "rlp_calls_0007").unwrap();
        assert_eq!(
            edited,
            "int f(int a,\n\tint b)\n{\n\
             \t{ extern unsigned long rlp_calls_0007; rlp_calls_0007++; }\n\treturn 0;\n}\n\
             unsigned long rlp_calls_0007;\n"
        );
        assert_eq!(with_counter("int x;\n}\n{\n", 1, "c"), None);
    }

    #[test]
    fn the_seed_decides() {
        let draw = |seed| {
            let mut random = Random(seed);
            [random.below(1000), random.below(1000), random.below(1000)]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
