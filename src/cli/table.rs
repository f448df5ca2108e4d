//! Tables on the terminal: columns as wide as what is in them, numbers to the right.

use std::io::{self, Write};

/// A column: its heading, whether it is set to the right, and its text for a row.
pub(super) type Column<T> = (&'static str, bool, fn(&T) -> String);

/// Prints a heading and a line for each row; nothing but `none` where there is no row.
///
/// # Errors
/// When nobody reads the output.
pub(super) fn print<T>(rows: &[T], columns: &[Column<T>], none: &str, out: &mut dyn Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "{none}");
    }
    let headings = columns.iter().map(|(heading, ..)| (*heading).to_owned()).collect();
    let texts = rows.iter().map(|row| columns.iter().map(|(_, _, text)| text(row)).collect());
    let lines: Vec<Vec<String>> = std::iter::once(headings).chain(texts).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .zip(columns)
            .map(|((cell, width), (_, right, _))| if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_do_not_end_in_blanks() {
        let columns: [Column<(&str, u32)>; 2] =
            [("NAME", false, |row| row.0.to_owned()), ("BYTES", true, |row| row.1.to_string())];
        let mut out = Vec::new();
        print(&[("a", 5), ("longer", 1_234_567)], &columns, "none", &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME      BYTES\na             5\nlonger  1234567\n");
        let mut out = Vec::new();
        print(&[], &columns, "No rows", &mut out).unwrap();
        assert_eq!(out, b"No rows\n");
    }
}
