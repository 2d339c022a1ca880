//! What one commit changed, by `table_changes`, against the two versions it lies between.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Column, Table, Version};
use super::world::World;
use crate::guest::Rows;

impl World {
    /// A commit of the branch's own line, for every table that was there before it and is today.
    pub(super) async fn changes(&mut self, n: usize) {
        let line = self.model.line(self.model.head(&self.model.on));
        let Some(pair) = line.windows(2).nth(n % (line.len() - 1).max(1)) else { return };
        let (commit, after) = (pair[0], self.model.state(pair[0]).clone());
        let before = self.model.state(pair[1]).clone();
        for (id, today) in self.model.now().clone() {
            let (Some(old), Some(new)) = (before.get(&id), after.get(&id)) else { continue };
            // Of columns that only one of them has, what the other's rows show is not said anywhere.
            let shared: Vec<Column> =
                new.columns.iter().filter(|c| old.column(c.id).is_some()).cloned().collect();
            let new = Table { columns: shared, ..new.as_ref().clone() };
            let columns: Vec<&str> = new.columns.iter().map(|c| c.name.as_str()).collect();
            let sql = format!(
                "SELECT _change_type, {} FROM table_changes('{}', {commit}, {commit})",
                columns.join(", "),
                today.name
            );
            let u = 1 + new.columns.iter().position(|c| c.id == new.identity).expect("it stays");
            let found = without_rewritten(self.must(&sql).await, u);
            assert_eq!(found, without_rewritten(changed(old, &new), u), "{sql}");
        }
    }
}

/// The changes from one version to the next, in the shape of the newer one.
fn changed(old: &Table, new: &Table) -> Rows {
    let shown = |kind: &str, row: &Arc<Version>| -> Vec<String> {
        let cells = new.cells(row).into_iter().map(|cell| cell.unwrap_or_else(|| "NULL".into()));
        std::iter::once(kind.to_owned()).chain(cells).collect()
    };
    let mut rows = Rows::new();
    for (u, before) in &old.rows {
        match new.rows.get(u) {
            None => rows.push(shown("delete", before)),
            Some(after) if after.stamp != before.stamp => {
                rows.push(shown("update_preimage", before));
                rows.push(shown("update_postimage", after));
            }
            Some(_) => {}
        }
    }
    let came = new.rows.iter().filter(|(u, _)| !old.rows.contains_key(u));
    rows.extend(came.map(|(_, row)| shown("insert", row)));
    rows
}

/// Sorted, less the rows that were written again as they were.
fn without_rewritten(rows: Rows, u: usize) -> Rows {
    let mut by_row: BTreeMap<String, Rows> = BTreeMap::new();
    for row in rows {
        by_row.entry(row[u].clone()).or_default().push(row);
    }
    by_row.retain(|_, rows| rows.len() != 2 || rows[0][1..] != rows[1][1..]);
    let mut rows: Rows = by_row.into_values().flatten().collect();
    rows.sort();
    rows
}
