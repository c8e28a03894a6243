// SPDX-License-Identifier: GPL-2.0

//! The report as CSV (RFC 4180): a line for each CVE on each host.

use crate::report::sheet::{
    Sheet,
    COLUMNS, //
};

/// A value in a line. A value that begins like a formula gets an apostrophe in front, because a
/// spreadsheet would compute it.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@']) {
        "'"
    } else {
        ""
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<_> = cells.into_iter().map(cell).collect();
    cells.join(",") + "\r\n"
}

pub(crate) fn text(sheet: &Sheet) -> String {
    let mut text = line(COLUMNS);
    for row in &sheet.rows {
        text += &line(sheet.cells(row).iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn values() {
        assert_eq!(line(["a", "", "b,\"c\""]), "a,,\"b,\"\"c\"\"\"\r\n");
        assert_eq!(line(["=1+1", "-x,y"]), "'=1+1,\"'-x,y\"\r\n");
    }
}
