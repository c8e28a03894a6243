// SPDX-License-Identifier: GPL-2.0

//! Fields of modinfo that the loader shows in the patch's directory in sysfs.

/// Adds the fields `level` and `cves` to modinfo. `/sys/kernel/rust_livepatch/<patch>` has files of
/// these names.
///
/// # Examples
///
/// ```ignore
/// livepatch::info! {
///     level: "7",
///     cves: "CVE-2026-0001 CVE-2026-0002",
/// }
/// ```
#[macro_export]
macro_rules! info {
    ($($tag:ident: $text:literal),* $(,)?) => {
        $($crate::__info!($tag, $text);)*
    };
}

/// Adds one field. The kernel frees `.modinfo` when it has loaded a module, so the module has the
/// text a second time, under the name that the loader looks up.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    (level, $text:literal) => {
        $crate::__info!("level=", "rlp_info_level", $text);
    };
    (cves, $text:literal) => {
        $crate::__info!("cves=", "rlp_info_cves", $text);
    };
    ($prefix:literal, $symbol:literal, $text:literal) => {
        const _: () = {
            const FIELD: &str = ::core::concat!($prefix, $text);

            #[link_section = ".modinfo"]
            #[used(compiler)]
            static IN_MODINFO: [u8; FIELD.len() + 1] = $crate::terminated(FIELD);

            #[export_name = $symbol]
            #[used(compiler)]
            static IN_MEMORY: [u8; $text.len() + 1] = $crate::terminated($text);
        };
    };
}

/// Returns `text` as a C string. `N` is its length, with the terminator.
#[doc(hidden)]
pub const fn terminated<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    assert!(N == text.len() + 1);
    let mut bytes = [0; N];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text[at];
        at += 1;
    }
    bytes
}
