// SPDX-License-Identifier: GPL-2.0

//! Tests of the drawing, on small sources and on the loader's own. `RLP_TOP` is the tree.

use crate::{
    collect,
    draw,
    mutant::{
        Kind,
        Mutant, //
    },
    tree, //
};
use proc_macro2::{
    TokenStream,
    TokenTree, //
};
use std::{
    collections::{
        BTreeSet,
        HashMap, //
    },
    env,
    fs,
    path::PathBuf, //
};

/// Returns the changes of a source, as kind, code before and code after.
fn changes(source: &str) -> Vec<(Kind, String, String)> {
    collect::mutants("test.rs", source)
        .unwrap()
        .into_iter()
        .map(|mutant| (mutant.kind, mutant.before, mutant.after))
        .collect()
}

/// Whether the source has this change.
fn has(source: &str, kind: Kind, before: &str, after: &str) -> bool {
    let found = changes(source);
    let expected = (kind, before.to_owned(), after.to_owned());
    let has = found.contains(&expected);
    if !has {
        println!("{found:#?}");
    }
    has
}

#[test]
fn conditions_are_turned() {
    let is = |source, before, after| assert!(has(source, Kind::Condition, before, after));
    is("fn f(a: bool) { if a { g(); } }", "a", "!(a)");
    is("fn f(a: bool) { while a { g(); } }", "a", "!(a)");
    is("fn f(a: bool) { if !a { g(); } }", "!", "");
    is("fn f() -> u8 { if a == b { 1 } else { 2 } }", "==", "!=");
    is("const A: bool = b && c;", "&&", "||");
    is("const A: bool = b.is_some();", "is_some", "is_none");
    is(
        "fn f() { x = matches!(y, A | B); }",
        "matches!(y, A | B)",
        "!matches!(y, A | B)",
    );
    is(
        "fn f() { match y { a if b => c(), _ => d() } }",
        "b",
        "!(b)",
    );
    is("fn f() { match y { A => c(), _ => d() } }", "A => c(),", "");
}

#[test]
fn statements_are_left_out() {
    let is = |source, before| assert!(has(source, Kind::Statement, before, ""));
    is("fn f() { g(); h(); }", "g();");
    is(
        "fn f() { let _guard = lock(); h(); }",
        "let _guard = lock();",
    );
    is("fn f() { a += 1; h(); }", "a += 1;");
    is("fn f() { if a { return; } h(); }", "return;");
    is(
        "fn f() { pr_warn!(\"text\\n\"); h(); }",
        "pr_warn!(\"text\\n\");",
    );
    is("fn f() { unsafe { g() }; h(); }", "unsafe { g() };");
}

#[test]
fn bounds_are_moved() {
    let is = |source, before, after| assert!(has(source, Kind::Bound, before, after));
    is("const A: bool = b < c;", "<", "<=");
    is("const A: bool = b >= c;", ">=", ">");
    is("fn f() { for i in 0..n { g(i); } }", "..", "..=");
    is("const A: usize = 0x10usize;", "0x10usize", "17usize");
    is("const A: usize = b + c;", "+", "-");
    is(
        "const A: usize = b.saturating_add(c);",
        "saturating_add",
        "saturating_sub",
    );
}

#[test]
fn results_are_replaced() {
    let is = |source, before, after| assert!(has(source, Kind::Result, before, after));
    is("fn f() -> bool { g() }", "{ g() }", "{ false }");
    is("fn f() -> bool { g() }", "{ g() }", "{ true }");
    is("fn f() -> Result { g() }", "{ g() }", "{ Ok(()) }");
    is("fn f() -> Result<bool> { g() }", "{ g() }", "{ Ok(false) }");
    is("fn f() -> Option<Site> { g() }", "{ g() }", "{ None }");
    is("fn f() { g(); h(); }", "{ g(); h(); }", "{}");
    is("fn f() -> Result<Site> { Err(ENOENT) }", "ENOENT", "EINVAL");
    is("fn f() -> Result<Site> { Err(EINVAL) }", "EINVAL", "EBUSY");
    is(
        "fn f() -> Result<Site> { g().ok_or(ENOENT) }",
        "ENOENT",
        "EINVAL",
    );
}

#[test]
fn literals_are_replaced() {
    let is = |source, before, after| assert!(has(source, Kind::Literal, before, after));
    is(
        "const COLD: &[u8] = b\".cold\";",
        "b\".cold\"",
        "b\".dold\"",
    );
    is(
        "const A: &CStr = c\"vmlinux\";",
        "c\"vmlinux\"",
        "c\"wmlinux\"",
    );
    is("const A: u8 = b'.';", "b'.'", "b'_'");
    is("const A: bool = true;", "true", "false");
    is(
        "fn f() { g(fmt!(\"{a}.cold\", b)); }",
        "\"{a}.cold\"",
        "\"{a}.dold\"",
    );
    is("const A: &str = \"\\n\\tz\";", "\"\\n\\tz\"", "\"\\n\\ta\"");
}

#[test]
fn nothing_else_is_changed() {
    let unchanged = |source| assert_eq!(changes(source), []);
    unchanged("// if a == b { g(); }\n/* a && b */\n//! true\n/// 1 + 1\nfn f() {}");
    unchanged("#[doc = \"text\"]\n#[repr(align(8))]\nstruct A([u8; 8]);");
    unchanged("#[cfg(test)]\nmod tests { fn f() -> bool { a == b } }");
    unchanged("#[test]\nfn f() { g(); h(); }");
    unchanged("const _: () = assert!(1 + 1 == 2, \"text\");");
    unchanged("macro_rules! m { () => { if a == b { 1 } }; }");
    unchanged("fn f() { debug_assert!(a == b); }");
    // No two mutants are the same code.
    assert_eq!(changes("fn f() -> bool { true }").len(), 1);
    // The text of a message is not changed, but the message is left out.
    assert_eq!(changes("fn f() { pr_err!(\"text {}\\n\", 1); }").len(), 1);
    // An else of a let has to end in a jump.
    assert_eq!(
        changes("fn f() { let Some(a) = b else { return; }; }").len(),
        1
    );
}

#[test]
fn a_change_is_applied_in_its_place() {
    let source = "fn f() -> u8 {\n    // \u{2192} a < b\n    g(a < b)\n}\n";
    let mutants = collect::mutants("test.rs", source).unwrap();
    let bound = mutants.iter().find(|mutant| mutant.before == "<").unwrap();
    assert_eq!(bound.name(), "test.rs:3:9:bound");
    assert_eq!(bound.function, "f");
    assert_eq!(
        bound.applied_to(source),
        "fn f() -> u8 {\n    // \u{2192} a < b\n    g(a <= b)\n}\n"
    );
}

fn top() -> PathBuf {
    PathBuf::from(env::var_os("RLP_TOP").expect("RLP_TOP is the tree"))
}

fn loaders_mutants() -> Vec<Mutant> {
    tree::mutants(&top()).unwrap()
}

#[test]
fn the_loader_has_mutants_of_each_kind_in_each_file() {
    let mutants = loaders_mutants();
    assert!(mutants.len() > 1000, "{}", mutants.len());
    for kind in [
        Kind::Condition,
        Kind::Statement,
        Kind::Bound,
        Kind::Result,
        Kind::Literal,
    ] {
        assert!(mutants.iter().any(|mutant| mutant.kind == kind), "{kind}");
    }
    let without: Vec<String> = tree::files(&top())
        .unwrap()
        .into_iter()
        .filter(|file| !mutants.iter().any(|mutant| mutant.file == *file))
        .collect();
    // These have only declarations, macros and calls of one function.
    assert_eq!(
        without,
        [
            "rust/kernel/atomic.rs",
            "rust/kernel/clock.rs",
            "rust/livepatch/debug.rs",
            "rust/livepatch/worker.rs"
        ]
    );
}

#[test]
fn the_suffix_of_cold_parts_is_among_the_mutants() {
    let symbols = loaders_mutants();
    assert!(symbols.iter().any(|mutant| {
        mutant.file == "rust/livepatch/symbols.rs"
            && mutant.function == "COLD"
            && mutant.after == "b\".dold\""
    }));
}

#[test]
fn each_name_is_the_name_of_one_mutant() {
    let mutants = loaders_mutants();
    let names: BTreeSet<String> = mutants.iter().map(Mutant::name).collect();
    assert_eq!(names.len(), mutants.len());
}

#[test]
fn the_seed_decides() {
    let drawn = |seed| draw::draw(loaders_mutants(), seed);
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1)[..60], drawn(2)[..60]);
    let mut sorted = drawn(1);
    sorted.sort_by_key(|mutant| (mutant.file.clone(), mutant.range.start, mutant.name()));
    let mut all = loaders_mutants();
    all.sort_by_key(|mutant| (mutant.file.clone(), mutant.range.start, mutant.name()));
    assert_eq!(sorted, all);
}

/// The tokens of a source: comments are not among them, but those that rustdoc reads are.
fn tokens(source: &str, file: &str) -> Vec<String> {
    let stream: TokenStream = source
        .parse()
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut tokens = Vec::new();
    add_tokens(stream, &mut tokens);
    tokens
}

fn add_tokens(stream: TokenStream, tokens: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                tokens.push(format!("{:?}", group.delimiter()));
                add_tokens(group.stream(), tokens);
            }
            other => tokens.push(other.to_string()),
        }
    }
}

/// Each change of the loader gives a file that can be parsed, and that differs in code.
#[test]
fn each_mutant_is_other_code() {
    let mut sources: HashMap<String, (String, Vec<String>)> = HashMap::new();
    for mutant in draw::draw(loaders_mutants(), 1).iter().take(500) {
        let (source, original) = sources.entry(mutant.file.clone()).or_insert_with(|| {
            let source = fs::read_to_string(top().join(&mutant.file)).unwrap();
            let tokens = tokens(&source, &mutant.file);
            (source, tokens)
        });
        assert_eq!(source[mutant.range.clone()], mutant.before);
        let changed = mutant.applied_to(source);
        assert!(syn::parse_file(&changed).is_ok(), "{mutant}");
        assert_ne!(tokens(&changed, &mutant.file), *original, "{mutant}");
        proc_macro2::extra::invalidate_current_thread_spans();
    }
}
