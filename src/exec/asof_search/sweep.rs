//! The merge itself: sorted labels against sorted rows, both as pairs of integers.

use crate::exec::prefix::gallop;

/// A row of the table: its key and time as integers, its position in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub key: i64,
    pub time: i64,
    pub position: u32,
}

/// Some sorted rows, and where they lie.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub keys: &'a [i64],
    pub times: &'a [i64],
    pub positions: Positions<'a>,
}

/// Positions that ascend.
#[derive(Clone, Copy)]
pub(super) enum Positions<'a> {
    /// One after the other from here.
    From(u32),
    Listed(&'a [u64]),
}

/// Sorted labels.
#[derive(Clone, Copy)]
pub(super) struct Probes<'a> {
    pub keys: &'a [i64],
    pub times: &'a [i64],
}

/// How a row's time must stand to a label's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    /// The next row instead of the last one.
    pub forward: bool,
    /// A row of the same time matches.
    pub inclusive: bool,
}

/// What a sweep says of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The nearest row of the key among those swept.
    pub row: Option<Row>,
    /// The position of the row behind it, where one was swept: nothing lies between that could tie.
    pub behind: Option<u32>,
}

/// Goes once over rows that are handed over piece by piece, in order, and tells `decide` of each
/// label, in order.
pub(super) struct Sweep<'a, F> {
    probes: Probes<'a>,
    direction: Direction,
    next: usize,
    /// The last row of the pieces so far.
    carry: Option<Row>,
    first_key: Option<i64>,
    decide: F,
}

impl<'a> Rows<'a> {
    fn at(&self, row: usize) -> Row {
        let position = match self.positions {
            Positions::From(first) => first + row as u32,
            Positions::Listed(positions) => positions[row] as u32,
        };
        Row { key: self.keys[row], time: self.times[row], position }
    }
}

impl<'a, F: FnMut(usize, Found)> Sweep<'a, F> {
    pub(super) fn new(probes: Probes<'a>, direction: Direction, decide: F) -> Self {
        Sweep { probes, direction, next: 0, carry: None, first_key: None, decide }
    }

    /// Keys of the first and the last row swept.
    pub(super) fn keys(&self) -> Option<(i64, i64)> {
        Some((self.first_key?, self.carry?.key))
    }

    /// Whether every label is decided: later rows cannot matter.
    pub(super) fn is_done(&self) -> bool {
        self.next == self.probes.keys.len()
    }

    pub(super) fn push(&mut self, rows: Rows<'_>) {
        let Some(last) = rows.keys.len().checked_sub(1) else { return };
        self.first_key.get_or_insert(rows.keys[0]);
        match self.direction.forward {
            false => self.backward(rows),
            true => self.forward(rows),
        }
        self.carry = Some(rows.at(last));
    }

    /// Decides the labels that waited for more rows.
    pub(super) fn finish(&mut self) {
        while self.next < self.probes.keys.len() {
            let (key, time) = (self.probes.keys[self.next], self.probes.times[self.next]);
            let fits = |row: &Row| {
                row.key == key && (!self.direction.forward || self.reaches(row.time, time))
            };
            self.decide(Found { row: self.carry.filter(fits), behind: None });
        }
    }

    fn decide(&mut self, found: Found) {
        (self.decide)(self.next, found);
        self.next += 1;
    }

    /// Whether a row of this time is behind the label of that one, or is it.
    fn passes(&self, row: i64, label: i64) -> bool {
        if self.direction.inclusive { row <= label } else { row < label }
    }

    fn reaches(&self, row: i64, label: i64) -> bool {
        if self.direction.inclusive { row >= label } else { row > label }
    }

    fn backward(&mut self, rows: Rows<'_>) {
        let (keys, times) = (rows.keys, rows.times);
        let mut at = 0;
        while !self.is_done() {
            let (key, time) = (self.probes.keys[self.next], self.probes.times[self.next]);
            at = gallop(at..keys.len(), |row| keys[row] < key);
            at = gallop(at..keys.len(), |row| keys[row] == key && self.passes(times[row], time));
            if at == keys.len() {
                return;
            }
            let before = if at > 0 { Some(rows.at(at - 1)) } else { self.carry };
            let row = before.filter(|row| row.key == key);
            self.decide(Found { row, behind: Some(rows.at(at).position) });
        }
    }

    fn forward(&mut self, rows: Rows<'_>) {
        let (keys, times) = (rows.keys, rows.times);
        let mut at = 0;
        while !self.is_done() {
            let (key, time) = (self.probes.keys[self.next], self.probes.times[self.next]);
            at = gallop(at..keys.len(), |row| keys[row] < key);
            let carried = self.carry.filter(|row| row.key == key && self.reaches(row.time, time));
            let nearest = match carried {
                Some(row) => row.time,
                None => {
                    let is_short = |row| keys[row] == key && !self.reaches(times[row], time);
                    at = gallop(at..keys.len(), is_short);
                    match keys.get(at) {
                        None => return,
                        Some(next) if *next != key => {
                            self.decide(Found { row: None, behind: Some(rows.at(at).position) });
                            continue;
                        }
                        Some(_) => times[at],
                    }
                }
            };
            let end = gallop(at..keys.len(), |row| keys[row] == key && times[row] == nearest);
            if end == keys.len() {
                return;
            }
            // The last of the rows of one time: ties fall to the greatest in both directions.
            let row = if end > at { Some(rows.at(end - 1)) } else { carried };
            self.decide(Found { row, behind: Some(rows.at(end).position) });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((0..4i64, 0..6i64), 0..30).prop_map(|mut rows| {
            rows.sort_unstable();
            rows
        })
    }

    fn nearest(rows: &[(i64, i64)], (key, time): (i64, i64), to: Direction) -> Option<u32> {
        let fits = |row: i64| match (to.forward, to.inclusive) {
            (false, true) => row <= time,
            (false, false) => row < time,
            (true, true) => row >= time,
            (true, false) => row > time,
        };
        let fitting = rows.iter().enumerate().filter(|(_, row)| row.0 == key && fits(row.1));
        let best = fitting.max_by_key(|(at, row)| {
            let near = if to.forward { -row.1 } else { row.1 };
            (near, *at)
        });
        best.map(|(at, _)| at as u32)
    }

    proptest! {
        /// Whatever pieces the rows come in.
        #[test]
        fn finds_what_a_comparison_of_all_pairs_finds(
            rows in rows(), labels in rows(), piece in 1..9usize, forward: bool, inclusive: bool,
        ) {
            let to = Direction { forward, inclusive };
            let (keys, times): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
            let mut found = Vec::new();
            let probes = Probes { keys: &keys, times: &times };
            let mut sweep = Sweep::new(probes, to, |_, of: Found| found.push(of));
            for (n, part) in rows.chunks(piece).enumerate() {
                let (keys, times): (Vec<_>, Vec<_>) = part.iter().copied().unzip();
                let positions = Positions::From((n * piece) as u32);
                sweep.push(Rows { keys: &keys, times: &times, positions });
            }
            sweep.finish();
            prop_assert_eq!(found.len(), labels.len());
            for (label, found) in labels.iter().zip(&found) {
                prop_assert_eq!(found.row.map(|r| r.position), nearest(&rows, *label, to));
                let behind = found.behind.map_or(rows.len(), |at| at as usize);
                prop_assert!(found.row.is_none_or(|row| row.position as usize + 1 == behind));
            }
        }
    }
}
