// SPDX-License-Identifier: GPL-2.0

use crate::{
    kallsyms::{
        self,
        Symbols,
        SIZE, //
    },
    prelude::*,
    ranges::Range,
    str::CStr,
    symbols::{
        find,
        Extents,
        SymbolQuery, //
    }, //
};

/// The values that [`find`] passes for one query: the address, the size, the code and the cold
/// parts.
type Place = (usize, usize, Range, Vec<Range>);

fn search(module: Option<&CStr>, queries: &[(&'static CStr, usize)]) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let queries = queries
        .iter()
        .map(|&(name, sympos)| SymbolQuery::new(name, sympos))
        .collect::<Vec<_>>();
    find(module, queries.into(), |nr, found| {
        assert_eq!(nr, places.len());
        places.push((
            found.address,
            found.size,
            found.code,
            found.cold.iter().copied().collect(),
        ));
        Ok(())
    })?;
    Ok(places)
}

/// Searches `symbols` first as the table of vmlinux and then as that of a module. The results must
/// be alike.
fn search_both(symbols: Symbols, queries: &[(&'static CStr, usize)]) -> Result<Vec<Place>> {
    kallsyms::set(symbols, symbols);
    let places = search(None, queries);
    assert_eq!(places, search(Some(c"module"), queries));
    places
}

/// The code of a symbol whose next symbol is right behind it.
fn code(start: usize) -> Range {
    Range::of(start, SIZE)
}

#[test]
fn a_function_has_its_cold_parts() {
    let symbols = &[
        ("a", 0x1000),
        ("b", 0x1030),
        ("bb", 0x1060),
        ("end", 0x1090),
        ("a.cold", 0x9000),
        ("b.cold", 0x9030),
        ("b.cold", 0x9060),
        ("bb.cold", 0x9090),
        ("b.colder", 0x90c0),
        ("b.kold", 0x90f0),
        ("b.cold.0", 0x9120),
    ];
    let places = search_both(symbols, &[(c"b", 0)]).unwrap();
    let cold = vec![code(0x9030), code(0x9060)];
    assert_eq!(places, [(0x1030, SIZE, code(0x1030), cold)]);
    let places = search_both(symbols, &[(c"end", 0)]).unwrap();
    assert_eq!(places[0].3, []);
}

#[test]
fn positions_count_from_one() {
    let symbols = &[
        ("twin", 0x1000),
        ("a", 0x1030),
        ("twin", 0x1060),
        ("twin", 0x1090),
        ("end", 0x10c0),
    ];
    for (sympos, address) in [(1, 0x1000), (2, 0x1060), (3, 0x1090)] {
        let places = search_both(symbols, &[(c"twin", sympos)]).unwrap();
        assert_eq!(places, [(address, SIZE, code(address), vec![])]);
    }
    assert_eq!(search_both(symbols, &[(c"twin", 4)]), Err(EINVAL));
    assert_eq!(
        search_both(symbols, &[(c"twin", 0)]),
        Err(EINVAL),
        "ambiguous"
    );
    assert_eq!(search_both(symbols, &[(c"a", 1)]).unwrap()[0].0, 0x1030);
    assert_eq!(search_both(symbols, &[(c"a", 2)]), Err(EINVAL));
    assert_eq!(search_both(symbols, &[(c"b", 0)]), Err(EINVAL), "missing");
}

#[test]
fn the_results_have_the_order_of_the_queries() {
    let symbols = &[("c", 0x1000), ("a", 0x1030), ("b", 0x1060), ("end", 0x1090)];
    let queries = [(c"b", 0), (c"c", 1), (c"a", 0), (c"b", 1)];
    let places = search_both(symbols, &queries).unwrap();
    let addresses: Vec<_> = places.iter().map(|place| place.0).collect();
    assert_eq!(addresses, [0x1060, 0x1000, 0x1030, 0x1060]);
}

#[test]
fn the_next_symbol_of_a_module_ends_a_function() {
    kallsyms::set(
        &[],
        &[
            ("after", 0x1020),
            ("f", 0x1000),
            ("", 0x1004),
            (".Llabel", 0x1008),
            ("L0", 0x100c),
            ("$x", 0x1010),
            ("near", 0x2000),
            ("far", 0x2ffe),
            ("end", 0x3ffe),
        ],
    );
    let size_of = |name| search(Some(c"module"), &[(name, 0)]).map(|places| places[0].1);
    assert_eq!(size_of(c"f"), Ok(0x20));
    assert_eq!(size_of(c"near"), Ok(0xffe));
    // The next symbol may be in another section, so kallsyms is asked.
    assert_eq!(size_of(c"far"), Ok(SIZE));
    assert_eq!(size_of(c"end"), Ok(SIZE));
    assert_eq!(search(Some(c"absent"), &[(c"f", 0)]), Err(ENOENT));

    let extents = Extents::of_module(c"module").unwrap();
    assert_eq!(extents.of(0x0fff), None);
    assert_eq!(extents.of(0x1000), Some((0x1000, 0x20)));
    assert_eq!(extents.of(0x101f), Some((0x1000, 0x20)));
    assert_eq!(extents.of(0x2ffd), Some((0x2000, 0xffe)));
}

#[test]
fn far_symbols_need_kallsyms() {
    kallsyms::set(
        &[("odd", 0x5001)],
        &[("a", 0x1000), ("b", 0x2000), ("odd", 0x3001)],
    );
    let extents = Extents::of_module(c"module").unwrap();
    assert_eq!(extents.of(0x1000), Some((0x1000, SIZE)));
    assert_eq!(extents.of(0x3001), None);
    // The size of the function is unknown.
    assert_eq!(search(None, &[(c"odd", 0)]), Err(ENOENT));
    assert_eq!(search(Some(c"module"), &[(c"odd", 0)]), Err(ENOENT));
}

#[test]
fn an_allocation_that_fails_is_reported() {
    let symbols = &[
        ("a", 0x1000),
        ("b", 0x1030),
        ("a.cold", 0x9000),
        ("end", 0x9030),
    ];
    kallsyms::set(symbols, symbols);
    for module in [None, Some(c"module")] {
        for nth in 0.. {
            let queries = [SymbolQuery::new(c"a", 0), SymbolQuery::new(c"b", 0)];
            let queries = Vec::from(queries).into();
            let (result, failed) = with_failure(nth, || find(module, queries, |_, _| Ok(())));
            assert_eq!(result, if failed { Err(ENOMEM) } else { Ok(()) });
            if !failed {
                assert!(nth > 3, "only {nth} allocations were made");
                break;
            }
        }
    }
}
