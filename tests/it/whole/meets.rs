//! Statements that do one thing with rows that are there and another with those that are not.

use std::collections::BTreeSet;

use super::Meeting;
use super::kind::{Cell, literal};
use super::model::{Table, Version};
use super::world::World;

impl World {
    /// Brings keys to a table, and says what becomes of those that it has; None where it cannot.
    pub(super) fn meet(
        &mut self,
        table: &mut Table,
        meeting: Meeting,
        (from, rows): (i64, i64),
        (column, to): (usize, Option<i64>),
    ) -> Option<String> {
        let keyed = matches!(meeting, Meeting::Updates | Meeting::Nothing);
        if keyed && !table.keyed {
            return None;
        }
        let column = table.columns[table.plain(column)?].clone();
        let to = to.map(|to| column.kind.shown(to));
        let first = self.next_u;
        self.next_u += rows;
        let known: BTreeSet<Cell> = table.rows.values().map(|row| table.key_of(row)).collect();
        let brought: Vec<Cell> = (from..from + rows).map(|k| Some(k.to_string())).collect();
        match meeting {
            Meeting::Updates | Meeting::MergeUpdates => {
                let before = table.clone();
                let there = |row: &&Version| brought.contains(&before.key_of(row));
                for (u, row) in before.rows.iter().filter(|(_, row)| there(&row.as_ref())) {
                    table.rows.insert(*u, before.with(row, &[(column.id, to.clone())]));
                }
            }
            Meeting::MergeDeletes => {
                let gone = table.clone();
                table.rows.retain(|_, row| !brought.contains(&gone.key_of(row)));
            }
            Meeting::Nothing => {}
            Meeting::Overwrite => table.rows.clear(),
        }
        for (u, key) in (first..).zip(brought) {
            if meeting == Meeting::Overwrite || !known.contains(&key) {
                let cells = [(table.identity, Some(u.to_string())), (table.key, key)];
                table.rows.insert(u, table.new_row(&cells));
            }
        }
        let set = format!("{} = {}", column.name, literal(&to));
        Some(statement(table, meeting, (first, from, rows), &set))
    }
}

fn statement(
    table: &Table,
    meeting: Meeting,
    (first, from, rows): (i64, i64, i64),
    set: &str,
) -> String {
    let name = &table.name;
    let (u, k) = (table.name_of(table.identity), table.name_of(table.key));
    let source =
        format!("SELECT {first} + i, {from} + i FROM generate_series(0, {}) AS g (i)", rows - 1);
    let matched = match meeting {
        Meeting::Updates => {
            return format!(
                "INSERT INTO {name} ({u}, {k}) {source} ON CONFLICT ({k}) DO UPDATE SET {set}"
            );
        }
        Meeting::Nothing => {
            return format!("INSERT INTO {name} ({u}, {k}) {source} ON CONFLICT DO NOTHING");
        }
        Meeting::Overwrite => return format!("INSERT OVERWRITE {name} ({u}, {k}) {source}"),
        Meeting::MergeUpdates => format!("UPDATE SET {set}"),
        Meeting::MergeDeletes => "DELETE".to_owned(),
    };
    format!(
        "MERGE INTO {name} AS there USING ({source}) AS came (its_u, its_k) ON there.{k} = its_k \
         WHEN MATCHED THEN {matched} WHEN NOT MATCHED THEN INSERT ({u}, {k}) VALUES (its_u, its_k)"
    )
}
