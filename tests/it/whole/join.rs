//! What joining two states should give.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Mode;
use super::kind::Cell;
use super::model::{Column, State, Table, Version};

/// The joined state; None where there is something to decide and nobody to decide it.
pub(super) fn join(base: &State, ours: &State, theirs: &State, mode: Mode) -> Option<State> {
    let mut result = ours.clone();
    let mut refused = false;
    for id in base.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let three = (base.get(id), ours.get(id), theirs.get(id));
        let changed = |side: Option<&Arc<Table>>| match (three.0, side) {
            (Some(base), Some(side)) => !base.is_same(side),
            (base, side) => base.is_some() != side.is_some(),
        };
        match three {
            _ if !changed(three.2) => {}
            (_, Some(_), None) | (_, None, Some(_)) if changed(three.1) => {
                refused = true;
                match (mode, three.2) {
                    (Mode::Theirs, Some(table)) => _ = result.insert(*id, table.clone()),
                    (Mode::Theirs, None) => _ = result.remove(id),
                    _ => {}
                }
            }
            (_, _, None) => _ = result.remove(id),
            (_, None, Some(theirs)) => _ = result.insert(*id, theirs.clone()),
            (base, Some(ours), Some(theirs)) => {
                let empty = Table { rows: BTreeMap::new(), ..ours.as_ref().clone() };
                let base = base.map_or(&empty, |base| base);
                let written_off = match mode {
                    Mode::Fail => {
                        wrote_what_went(base, ours, theirs) || wrote_what_went(base, theirs, ours)
                    }
                    Mode::Ours => wrote_what_went(base, ours, theirs),
                    Mode::Theirs => wrote_what_went(base, theirs, ours),
                };
                if written_off {
                    return None;
                }
                let (table, contested) = join_tables(base, ours, theirs, mode);
                if lacks_values(&table, ours, theirs) {
                    return None;
                }
                refused |= contested;
                result.insert(*id, Arc::new(table));
            }
        }
    }
    (!refused || mode != Mode::Fail).then_some(result)
}

/// Whether one side gave a row another value in a column that the other side dropped: only who dropped
/// it can be preferred.
fn wrote_what_went(base: &Table, writer: &Table, dropper: &Table) -> bool {
    let went = writer
        .columns
        .iter()
        .filter(|column| base.column(column.id).is_some() && dropper.column(column.id).is_none());
    went.into_iter().any(|column| {
        let alone =
            Table { columns: vec![column.clone()], rows: BTreeMap::new(), ..writer.clone() };
        writer.rows.iter().any(|(id, row)| {
            base.rows.get(id).is_some_and(|before| {
                before.stamp != row.stamp && alone.cells(before) != alone.cells(row)
            })
        })
    })
}

/// Whether rows that stand from one side alone have no value for a column that the other wrote anew.
fn lacks_values(joined: &Table, ours: &Table, theirs: &Table) -> bool {
    [(ours, theirs), (theirs, ours)].into_iter().any(|(from, other)| {
        let lacks = |column: &Column| column.filled && from.column(column.id).is_none();
        let stamp = |table: &Table, id: &i64| table.rows.get(id).map(|row| row.stamp);
        let stands = |(id, row): (&i64, &Arc<Version>)| {
            stamp(from, id) == Some(row.stamp) && stamp(other, id) != Some(row.stamp)
        };
        joined.columns.iter().any(lacks) && joined.rows.iter().any(stands)
    })
}

struct Choice {
    mode: Mode,
    contested: bool,
}

impl Choice {
    fn of<T: PartialEq + Clone>(&mut self, base: &T, ours: &T, theirs: &T) -> T {
        if theirs == base || theirs == ours {
            return ours.clone();
        }
        if ours == base {
            return theirs.clone();
        }
        self.contested = true;
        if self.mode == Mode::Theirs { theirs.clone() } else { ours.clone() }
    }

    fn columns(&mut self, base: &Table, ours: &Table, theirs: &Table) -> Vec<Column> {
        let mut kept: Vec<Column> = Vec::new();
        for column in &ours.columns {
            match (base.column(column.id), theirs.column(column.id)) {
                (Some(_), None) => {}
                (None, None) => kept.push(column.clone()),
                (before, Some(there)) => {
                    let picked = self.of(before.unwrap_or(there), column, there);
                    // RESTORE can have made a type narrower: the rows of both fit the wider one.
                    let wider = match column.kind.is_narrower(there.kind) {
                        true => there,
                        false => column,
                    };
                    let (kind, missing) = (wider.kind, wider.missing.clone());
                    kept.push(match picked.kind.is_narrower(kind) {
                        true => Column { kind, missing, ..picked },
                        false => picked,
                    });
                }
            }
        }
        for column in &theirs.columns {
            if base.column(column.id).is_some() || ours.column(column.id).is_some() {
                continue;
            }
            kept.push(column.clone());
        }
        let ids = |table: &Table| table.columns.iter().map(|c| c.id).collect::<Vec<_>>();
        if ids(ours) == ids(base) {
            // Only theirs moved columns about.
            kept.sort_by_key(|c| theirs.columns.iter().position(|other| other.id == c.id));
        }
        self.distinct(&mut kept, if self.mode == Mode::Theirs { theirs } else { ours });
        kept
    }
}

impl Choice {
    /// Of two columns of one name the winner's stays; the other is called as there, or goes.
    fn distinct(&mut self, kept: &mut Vec<Column>, winner: &Table) {
        let twins = |kept: &[Column]| {
            let all = (0..kept.len()).flat_map(|a| (0..a).map(move |b| (b, a)));
            all.into_iter().find(|(a, b)| kept[*a].name == kept[*b].name)
        };
        while let Some((a, b)) = twins(kept) {
            self.contested = true;
            let there = |i: usize| winner.column(kept[i].id).map(|column| column.name.clone());
            let other = if there(a).as_ref() == Some(&kept[a].name) { b } else { a };
            match there(other) {
                Some(name) if name != kept[other].name => kept[other].name = name,
                _ => drop(kept.remove(other)),
            }
        }
    }
}

fn join_tables(base: &Table, ours: &Table, theirs: &Table, mode: Mode) -> (Table, bool) {
    let mut choice = Choice { mode, contested: false };
    let name = choice.of(&base.name, &ours.name, &theirs.name);
    let columns = choice.columns(base, ours, theirs);
    let shaped = Table { name, columns, rows: BTreeMap::new(), ..ours.clone() };
    let (rows, contested) = join_rows(&shaped, base, ours, theirs, mode);
    (Table { rows, ..shaped }, choice.contested || contested)
}

/// The joined rows, and whether there was anything to decide.
fn join_rows(
    shaped: &Table,
    base: &Table,
    ours: &Table,
    theirs: &Table,
    mode: Mode,
) -> (BTreeMap<i64, Arc<Version>>, bool) {
    let ids: BTreeSet<i64> =
        [ours, theirs, base].into_iter().flat_map(|table| table.rows.keys()).copied().collect();
    let mut contested = false;
    let mut from_theirs: BTreeMap<i64, bool> = BTreeMap::new();
    for id in ids {
        let sides = [base, ours, theirs].map(|table| table.rows.get(&id));
        let stamps = sides.map(|row| row.map(|row| row.stamp));
        let values = sides.map(|row| row.map(|row| shaped.cells(row)));
        from_theirs.insert(
            id,
            match mode {
                _ if stamps[1] == stamps[2] || stamps[0] == stamps[2] => false,
                _ if stamps[0] == stamps[1] => true,
                _ if values[1] == values[2] || values[0] == values[2] => false,
                _ if values[0] == values[1] => true,
                mode => {
                    contested = true;
                    mode == Mode::Theirs
                }
            },
        );
    }
    if shaped.keyed {
        contested |= settle_keys(shaped, ours, theirs, mode, &mut from_theirs);
    }
    let rows = from_theirs.iter().filter_map(|(id, from)| {
        let table = if *from { theirs } else { ours };
        table.rows.get(id).map(|row| (*id, Arc::clone(row)))
    });
    (rows.collect(), contested)
}

/// Turns rows until no two have one key; whether there were any.
fn settle_keys(
    shaped: &Table,
    ours: &Table,
    theirs: &Table,
    mode: Mode,
    from_theirs: &mut BTreeMap<i64, bool>,
) -> bool {
    let mut contested = false;
    loop {
        let key = |table: &Table, id: &i64| table.rows.get(id).map(|row| shaped.key_of(row));
        let mut by_key: HashMap<Cell, i64> = HashMap::new();
        for (id, _) in from_theirs.iter().filter(|(_, theirs)| !**theirs) {
            if let Some(key) = key(ours, id) {
                by_key.insert(key, *id);
            }
        }
        let met: Vec<(i64, i64)> = from_theirs
            .iter()
            .filter(|(_, theirs)| **theirs)
            .filter_map(|(id, _)| Some((*by_key.get(&key(theirs, id)?)?, *id)))
            .collect();
        if met.is_empty() {
            return contested;
        }
        contested = true;
        for (our_row, their_row) in met {
            match mode {
                Mode::Theirs => from_theirs.insert(our_row, true),
                Mode::Ours | Mode::Fail => from_theirs.insert(their_row, false),
            };
        }
    }
}
