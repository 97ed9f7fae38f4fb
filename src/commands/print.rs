//! Tables and JSON. Each cell and each JSON text is escaped here and nowhere else, so that a Pod's text cannot break
//! them.

use std::fmt::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use crate::escape::Escaped;

/// The cell of an absent value.
const ABSENT: &str = "-";

/// Blanks between two columns.
const GAP: usize = 2;

/// The largest width of a column. A longer cell shifts only the rest of its own line.
const WIDTH_MAX: usize = 100;

/// A table with a header. A column is as wide as its longest cell, up to [`WIDTH_MAX`], and no line ends in blanks.
pub(super) struct TextTable {
    rows: Vec<Vec<String>>,
}

impl TextTable {
    pub(super) fn new(header: &[&str]) -> TextTable {
        TextTable { rows: vec![header.iter().map(|&title| title.to_owned()).collect()] }
    }

    /// Adds a row of cells. An empty cell is printed as [`ABSENT`].
    pub(super) fn push<const CELLS: usize>(&mut self, cells: [&str; CELLS]) {
        let cell = |text: &str| if text.is_empty() { ABSENT.to_owned() } else { escaped(text) };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    fn width(&self, column: usize) -> usize {
        let widths = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        widths.max().unwrap_or(0).min(WIDTH_MAX)
    }
}

impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        for row in &self.rows {
            let mut blanks = 0;
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "{:blanks$}{cell}", "")?;
                blanks = width.saturating_sub(cell.chars().count()) + GAP;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

/// Aligns lines that are printed one at a time: a column grows with its cells.
#[derive(Default)]
pub(super) struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// The lines of these rows. An empty cell is printed as [`ABSENT`], and no line ends in blanks.
    pub(super) fn lines(&mut self, rows: &[Vec<String>]) -> String {
        let cell = |text: &String| if text.is_empty() { ABSENT.to_owned() } else { escaped(text) };
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        for row in &rows {
            self.widths.resize(self.widths.len().max(row.len()), 0);
            let widths = self.widths.iter_mut().zip(row);
            widths.for_each(|(width, cell)| *width = (*width).max(cell.chars().count().min(WIDTH_MAX)));
        }
        let mut lines = String::new();
        for row in &rows {
            let padded = row.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:<width$}"));
            lines.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
            lines.push('\n');
        }
        lines
    }
}

/// Makes text safe for a terminal: control characters are spelled out.
pub(super) fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

/// JSON on one line, with control characters as `\u` escapes.
pub(super) fn json_line(value: &impl Serialize) -> String {
    // Cannot fail, as in `json`.
    escaped(&serde_json::to_string(value).unwrap_or_default()) + "\n"
}

/// Indented JSON, with control characters as `\u` escapes, which JSON treats as equal.
pub(super) fn json(value: &impl Serialize) -> String {
    // Serialization fails only for maps without string keys or types that refuse it. This crate has neither.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut safe = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        safe.push_str(&escaped(line));
        safe.push('\n');
    }
    safe
}

/// `10.0.0.1:80`, `10.0.0.1:80,[fd00::1]:80`, or `absent` with the port if there are no addresses.
pub(super) fn sockets(addresses: &[IpAddr], absent: &str, port: u16) -> String {
    if addresses.is_empty() {
        return format!("{absent}:{port}");
    }
    let sockets = addresses.iter().map(|address| std::net::SocketAddr::new(*address, port).to_string());
    sockets.collect::<Vec<_>>().join(",")
}

/// `1 registration`, `2 registrations`
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = TextTable::new(&["NAME", "COUNT", "NOTE"]);
        table.push(["a", "1", ""]);
        table.push(["长长长长长", "12345678", "x"]);
        table.push(["", "", "two words"]);
        let expected = "\
NAME   COUNT     NOTE
a      1         -
长长长长长  12345678  x
-      -         two words
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn columns_grow_and_never_shrink() {
        let mut columns = Columns::default();
        let row = |one: &str, two: &str| vec![one.to_owned(), two.to_owned()];
        assert_eq!(columns.lines(&[row("A", "B"), row("", "x")]), "A  B\n-  x\n");
        assert_eq!(columns.lines(&[row("long\u{1b}", "x"), row("b", "")]), "long\\u001b  x\nb           -\n");
        assert_eq!(columns.lines(&[row("c", "y")]), "c           y\n");
    }

    #[test]
    fn the_last_column_is_not_padded() {
        let mut table = TextTable::new(&["NAME", "A LONG TITLE"]);
        table.push(["x", "y"]);
        assert_eq!(table.to_string(), "NAME  A LONG TITLE\nx     y\n");
    }

    #[test]
    fn a_long_cell_widens_only_its_own_row() {
        let long = "l".repeat(100_000);
        let mut table = TextTable::new(&["NAME", "NOTE"]);
        table.push([&long, "x"]);
        table.push(["a", "y"]);
        let wide = " ".repeat(WIDTH_MAX - 1);
        assert_eq!(table.to_string(), format!("NAME{}  NOTE\n{long}  x\na{wide}  y\n", &wide[3..]));
        let mut columns = Columns::default();
        let rows = [[&*long, "x"], ["a", "y"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns.lines(&rows), format!("{long}  x\na{wide}  y\n"));
    }

    #[test]
    fn no_cell_controls_the_terminal() {
        for (hostile, harmless) in [
            ("\x1b[2Jgone", "\\u001b[2Jgone"),
            ("two\nlines\r\t", "two\\u000alines\\u000d\\u0009"),
            ("\u{7f}\u{9b}31m\0", "\\u007f\\u009b31m\\u0000"),
            ("a\u{202e}b\u{2066}c\u{200f}d\u{61c}e\u{200e}\u{202a}", "a\\u202eb\\u2066c\\u200fd\\u061ce\\u200e\\u202a"),
            ("org.acme.Grüße", "org.acme.Grüße"),
        ] {
            assert_eq!(escaped(hostile), harmless);
            let mut table = TextTable::new(&["X"]);
            table.push([hostile]);
            assert_eq!(table.to_string(), format!("X\n{harmless}\n"));
            let text = json(&[hostile]);
            assert!(text.lines().all(|line| escaped(line) == line), "{text}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&text).expect("JSON"), [hostile]);
        }
    }

    #[test]
    fn sockets_and_counts() {
        let addresses: Vec<IpAddr> = ["10.0.0.1", "fd00::1"].iter().filter_map(|text| text.parse().ok()).collect();
        assert_eq!(sockets(&addresses, "-", 80), "10.0.0.1:80,[fd00::1]:80");
        assert_eq!(sockets(&[], "<pod>", 80), "<pod>:80");
        assert_eq!((count(0, "Pod"), count(1, "Pod")), ("0 Pods".into(), "1 Pod".into()));
    }
}
