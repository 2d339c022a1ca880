//! Rows that come, change and go.

use std::sync::Arc;

use super::kind::{Cell, literal};
use super::model::{Table, Version};
use super::world::World;
use super::{Which, Write};

impl World {
    pub(super) async fn change_rows(&mut self, write: &Write) {
        if let Write::Elsewhere { table, branch, from } = write {
            return self.insert_elsewhere(*table, *branch, *from).await;
        }
        let (Write::Insert { table, .. }
        | Write::Elsewhere { table, .. }
        | Write::Update { table, .. }
        | Write::Shift { table, .. }
        | Write::Delete { table, .. }
        | Write::Meet { table, .. }
        | Write::Truncate { table }) = write;
        let Some((id, before)) = self.nth_table(*table) else { return };
        let mut table = before.as_ref().clone();
        let sql = match write {
            Write::Insert { from, rows, given, .. } => {
                Some(self.insert(&mut table, "", *from, *rows, given.as_ref()))
            }
            Write::Elsewhere { .. } => None,
            Write::Meet { meeting, keys, set, .. } => self.meet(&mut table, *meeting, *keys, *set),
            Write::Truncate { .. } => {
                table.rows.clear();
                Some(format!("TRUNCATE {}", table.name))
            }
            Write::Update { which, column, to, .. } => update(&mut table, which, *column, *to),
            Write::Shift { every, add, .. } => Some(shift(&mut table, *every, *add)),
            Write::Delete { which, .. } => {
                let (condition, gone) = chosen(&table, which);
                table.rows.retain(|u, _| !gone.contains(u));
                Some(format!("DELETE FROM {} WHERE {condition}", table.name))
            }
        };
        let Some(sql) = sql else { return };
        let fits = table.has_distinct_keys();
        let after = self.after(id, table);
        self.write(&sql, if fits { Ok(after) } else { Err("23505") }).await;
    }

    /// The statement is planned where the session stands, too.
    async fn insert_elsewhere(&mut self, n: usize, branch: usize, from: i64) {
        let branch = self.model.nth_branch(branch);
        let Some((id, here)) = self.nth_table(n) else { return };
        let mut after = self.model.state(self.model.head(&branch)).clone();
        let Some(there) = after.get(&id) else { return };
        let named = |table: &Table| {
            [&table.name, table.name_of(table.identity), table.name_of(table.key)]
                .map(str::to_owned)
        };
        if self.model.block.is_some() || named(&here) != named(there) {
            return;
        }
        let mut table = there.as_ref().clone();
        let sql = self.insert(&mut table, &format!(".branch_{branch}"), from, 3, None);
        let fits = table.has_distinct_keys();
        after.insert(id, Arc::new(table));
        match self.run(&sql).await {
            Ok(_) => {
                assert!(fits, "{sql} made two rows of one key");
                self.note(&branch, after, None);
            }
            Err(error) => {
                assert!(!fits && error.kind().sqlstate() == "23505", "{sql}: {error:?}");
            }
        }
    }

    fn insert(
        &mut self,
        table: &mut Table,
        at: &str,
        from: i64,
        rows: i64,
        given: Option<&(usize, i64)>,
    ) -> String {
        let first = self.next_u;
        self.next_u += rows;
        let given = given.and_then(|(n, value)| {
            let column = &table.columns[table.plain(*n)?];
            Some((column.id, column.name.clone(), column.kind.shown(*value)))
        });
        for i in 0..rows {
            let mut cells = vec![
                (table.identity, Some((first + i).to_string())),
                (table.key, Some((from + i).to_string())),
            ];
            cells.extend(given.iter().map(|(id, _, text)| (*id, Some(text.clone()))));
            let row = table.new_row(&cells);
            table.rows.insert(first + i, row);
        }
        let (u, k) = (table.name_of(table.identity), table.name_of(table.key));
        let name = given.iter().map(|(_, name, _)| format!(", {name}")).collect::<String>();
        let value = given.iter().map(|(_, _, text)| format!(", '{text}'")).collect::<String>();
        format!(
            "INSERT INTO {}{at} ({u}, {k}{name}) SELECT {first} + i, {from} + i{value} \
             FROM generate_series(0, {}) AS g (i)",
            table.name,
            rows - 1
        )
    }
}

fn update(table: &mut Table, which: &Which, column: usize, to: Option<i64>) -> Option<String> {
    let column = table.columns[table.plain(column)?].clone();
    let to = to.map(|to| column.kind.shown(to));
    let (condition, chosen) = chosen(table, which);
    change(table, &chosen, |_, _| (column.id, to.clone()));
    Some(format!("UPDATE {} SET {} = {} WHERE {condition}", table.name, column.name, literal(&to)))
}

/// Keys move: allowed where the result has each key once.
fn shift(table: &mut Table, every: i64, add: i64) -> String {
    let (condition, chosen) = chosen(table, &Which::Every(every));
    let key = table.key;
    change(table, &chosen, |table, row| {
        let old: i64 = table.key_of(row).expect("keys are there").parse().expect("a number");
        (key, Some((old + add).to_string()))
    });
    let k = table.name_of(key);
    format!("UPDATE {} SET {k} = {k} + {add} WHERE {condition}", table.name)
}

fn change(table: &mut Table, chosen: &[i64], mut to: impl FnMut(&Table, &Version) -> (u64, Cell)) {
    for u in chosen {
        let row = &table.rows[u];
        let row = table.with(row, &[to(table, row)]);
        table.rows.insert(*u, row);
    }
}

/// A condition, and the rows that it holds for.
fn chosen(table: &Table, which: &Which) -> (String, Vec<i64>) {
    let like = |column: usize, row: usize| {
        let column = &table.columns[table.plain(column)?];
        let row = table.rows.values().nth(row % table.rows.len().max(1))?;
        Some((column, Table::cell(column, row)))
    };
    let where_ = |fits: &dyn Fn(i64, &Arc<Version>) -> bool| -> Vec<i64> {
        table.rows.iter().filter(|(u, row)| fits(**u, row)).map(|(u, _)| *u).collect()
    };
    match which {
        Which::Like { column, row } => match like(*column, *row) {
            None => ("false".to_owned(), Vec::new()),
            Some((column, cell)) => {
                let condition = match &cell {
                    None => format!("{} IS NULL", column.name),
                    Some(text) => format!("{} = '{text}'", column.name),
                };
                (condition, where_(&|_, row| Table::cell(column, row) == cell))
            }
        },
        Which::Every(every) => {
            let u = table.name_of(table.identity);
            (format!("{u} % {every} = 0"), where_(&|u, _| u % every == 0))
        }
    }
}
