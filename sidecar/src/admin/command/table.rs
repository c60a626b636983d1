//! Columns for people.

use danube_sidecar_text::Foreign;

/// Rows under their titles, as wide as needed; whoever wrote a cell, it is one.
pub(super) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let shown = |row: &[String; N]| row.each_ref().map(|cell| Foreign(cell).to_string());
    let rows: Vec<[String; N]> = rows.iter().map(shown).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([titles[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let body = rows.iter().map(|row| line(std::array::from_fn(|column| row[column].as_str())));
    std::iter::once(line(titles)).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_neither_steers_the_terminal_nor_begins_a_line() {
        let cell = "k\x1b[2J\n2026-11-30 ERROR forged".to_owned();
        let shown = table(["KEY"], &[[cell]]);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains('\x1b'), "{shown:?}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["orders".to_owned(), "1".to_owned()], ["x".to_owned(), "22".to_owned()]];
        assert_eq!(table(["NAME", "N"], &rows), "NAME    N\norders  1\nx       22\n");
    }
}
