// SPDX-License-Identifier: GPL-2.0

//! --explain: a function as it was compiled here, beside the shipped one.

use crate::command::{
    program,
    run, //
};
use crate::refusal::{
    io_error_at,
    Result, //
};
use crate::tree::Tree;
use crate::verify::{
    Difference,
    Verified, //
};
use std::fmt::Write as _;

/// The width of one side.
const WIDTH: usize = 58;

/// Prints how a function of a unit differs, if there is a function to compare it with.
pub(crate) fn show(
    tree: &Tree,
    verified: &Verified<'_>,
    index: usize,
    difference: &Difference,
) -> Result {
    let Some(addr) = difference.addr else {
        return Ok(());
    };
    let symbol = &verified.object.symbols[index];
    let (here, shipped) = verified.bytes_to_compare(symbol, addr);
    let text = side_by_side(tree, &symbol.name, addr, &here, &shipped)?;
    println!("\n{text}");
    Ok(())
}

/// Both disassemblies, side by side. If two lines differ, a mark stands between them. The operands
/// of relocations are zero on both sides.
fn side_by_side(
    tree: &Tree,
    function: &str,
    addr: u64,
    here: &[u8],
    shipped: &[u8],
) -> Result<String> {
    let left = disassembly(tree, addr, here)?;
    let right = disassembly(tree, addr, shipped)?;
    let mut text = format!(
        "{:WIDTH$}   {function}() as it was shipped\n",
        format!("{function}() as compiled here")
    );
    for line in 0..left.len().max(right.len()) {
        let side = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
        let (left, right) = (side(&left), side(&right));
        let mark = if left == right { ' ' } else { '|' };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{left:WIDTH$.WIDTH$} {mark} {right:.WIDTH$}");
    }
    Ok(text)
}

fn disassembly(tree: &Tree, addr: u64, code: &[u8]) -> Result<Vec<String>> {
    let file = tree.work.join("code");
    std::fs::write(&file, code).map_err(io_error_at(&file))?;
    let printed = run(program("objdump", &tree.work)
        .args([
            "-D",
            "-b",
            "binary",
            "-m",
            "i386:x86-64",
            "--no-show-raw-insn",
        ])
        .arg(format!("--adjust-vma={addr:#x}"))
        .arg(&file))?;
    Ok(printed
        .lines()
        .filter(|line| line.contains(":\t"))
        .map(|line| line.trim().replace('\t', " "))
        .collect())
}
