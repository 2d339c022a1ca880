//! Numbers as people read them, and rows as a small aligned table.

use std::time::Duration;

/// A count with its thousands apart: 336,776.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the largest decimal unit that leaves a whole number before the point: 7.9 MB.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.0} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.2} GB", number as f64 / 1e9),
    }
}

/// A duration in the unit that fits: 84 µs, 12.5 ms, 3.21 s.
pub(super) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{s:.0} s"),
    }
}

/// How many a second, to three digits: 281,000.
pub(super) fn rate(number: u64, duration: Duration) -> String {
    let rate = number as f64 / duration.as_secs_f64().max(1e-9);
    let unit = 10_f64.powi((rate.max(1.0).log10().floor() as i32 - 2).max(0));
    count(((rate / unit).round() * unit) as u64)
}

/// A result to be shown: names and text, None for NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

impl Grid {
    /// A grid without rows.
    pub(super) fn new<const N: usize>(names: [&str; N]) -> Grid {
        Grid { names: names.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(Some).to_vec());
    }

    /// Its lines, the names first: numbers to the right, everything else to the left.
    pub(super) fn lines(&self) -> Vec<String> {
        let columns: Vec<Column> = (0..self.names.len()).map(|at| self.column(at)).collect();
        let names = self.names.iter().map(String::as_str).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(shown).collect());
        std::iter::once(names).chain(rows).map(|cells| line(&columns, &cells)).collect()
    }

    fn column(&self, at: usize) -> Column {
        let cells = || self.rows.iter().map(|row| &row[at]);
        let widest = cells().map(|cell| width(shown(cell))).max().unwrap_or(0);
        Column {
            width: widest.max(width(&self.names[at])),
            right: cells().all(|cell| cell.as_deref().is_none_or(is_number)),
        }
    }
}

struct Column {
    width: usize,
    right: bool,
}

fn line(columns: &[Column], cells: &Vec<&str>) -> String {
    let mut out = String::new();
    for (column, cell) in columns.iter().zip(cells) {
        let pad = " ".repeat(column.width - width(cell));
        match column.right {
            true => out.extend([pad.as_str(), cell, "   "]),
            false => out.extend([cell, pad.as_str(), "   "]),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn shown(cell: &Option<String>) -> &str {
    cell.as_deref().unwrap_or("–")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Digits first, perhaps with a unit behind: `-3.5`, `336,776`, `1.2 s`. A time is not one.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let number = text.split(' ').next().unwrap_or(text);
    let digit = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_their_unit() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([771, 48_854, 7_863_489].map(bytes), ["771 B", "49 kB", "7.9 MB"]);
        let times = [84, 12_500, 420_000, 3_214_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!(times, ["84 µs", "12.5 ms", "420 ms", "3.21 s"]);
        assert_eq!(rate(281_499, Duration::from_secs(1)), "281,000");
        assert_eq!(rate(5, Duration::from_secs(1)), "5");
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let mut grid = Grid::new(["table", "rows", "took"]);
        grid.push(["flights".to_owned(), "336,776".to_owned(), "1.2 s".to_owned()]);
        grid.push(["airlines".to_owned(), "16".to_owned(), "15.0 ms".to_owned()]);
        grid.rows.push(vec![Some("2013-01-01 05:15".to_owned()), None, None]);
        assert_eq!(
            grid.lines(),
            [
                "table                 rows      took",
                "flights            336,776     1.2 s",
                "airlines                16   15.0 ms",
                "2013-01-01 05:15         –         –",
            ]
        );
    }
}
