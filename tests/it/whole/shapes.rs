//! ALTER TABLE.

use super::Shape;
use super::kind::{Kind, literal};
use super::model::{Column, Default, Table, fresh};
use super::world::World;

/// A name that comes again and again, each time for another column.
const AGAIN: &str = "again";

impl World {
    pub(super) async fn change_shape(&mut self, n: usize, shape: &Shape) {
        let Some((id, before)) = self.nth_table(n) else { return };
        let mut table = before.as_ref().clone();
        let clause = match shape {
            Shape::Add { kind, default, after, again } => {
                let name = self.name_of_column(&table, *again);
                Some(add(&mut table, name, *kind, *default, *after))
            }
            Shape::Drop(n) => table.plain(*n).map(|at| {
                let gone = table.columns.remove(at);
                format!("DROP COLUMN {}", gone.name)
            }),
            Shape::Rename { column, again } => {
                let at = column % table.columns.len();
                let name = self.name_of_column(&table, *again);
                let old = std::mem::replace(&mut table.columns[at].name, name.clone());
                Some(format!("RENAME COLUMN {old} TO {name}"))
            }
            Shape::Widen(n) => widen(&mut table, *n),
            Shape::Retype(n) => retype(&mut table, *n),
            Shape::SetDefault(n, to) => set_default(&mut table, *n, *to),
            Shape::Move(n, to) => move_column(&mut table, *n, *to),
        };
        let Some(clause) = clause else { return };
        let sql = format!("ALTER TABLE {} {clause}", table.name);
        let after = self.after(id, table);
        self.write(&sql, Ok(after)).await;
    }
}

impl World {
    fn name_of_column(&mut self, table: &Table, again: bool) -> String {
        let free = table.columns.iter().all(|column| column.name != AGAIN);
        match again && free {
            true => AGAIN.to_owned(),
            false => self.new_name('c'),
        }
    }
}

fn default_of(kind: Kind, n: i64) -> Default {
    let value = Some(kind.shown(n));
    Default { sql: literal(&value), value }
}

fn add(
    table: &mut Table,
    name: String,
    kind: Kind,
    default: Option<i64>,
    after: Option<usize>,
) -> String {
    let default = default.map(|n| default_of(kind, n));
    let missing = default.as_ref().and_then(|default| default.value.clone());
    let said = default.as_ref().map(|default| format!(" DEFAULT {}", default.sql));
    let at = after.map(|n| n % table.columns.len());
    let place = at.map(|at| format!(" AFTER {}", table.columns[at].name));
    let sql = format!(
        "ADD COLUMN {name} {}{}{}",
        kind.sql(),
        said.unwrap_or_default(),
        place.unwrap_or_default()
    );
    let at = at.map_or(table.columns.len(), |at| at + 1);
    table.columns.insert(at, Column { id: fresh(), name, kind, default, missing, filled: false });
    sql
}

fn widen(table: &mut Table, n: usize) -> Option<String> {
    let at = n % table.columns.len();
    let column = &mut table.columns[at];
    let (from, to) = (column.kind, column.kind.wider()?);
    column.kind = to;
    column.missing = from.read_as(to, &column.missing);
    if let Some(default) = &mut column.default {
        default.sql = from.default_of_wider(&default.sql, to);
        default.value = from.read_as(to, &default.value);
    }
    Some(format!("ALTER COLUMN {} TYPE {}", column.name, to.sql()))
}

fn retype(table: &mut Table, n: usize) -> Option<String> {
    let at = table.plain(n)?;
    let old = table.columns[at].clone();
    if old.kind == Kind::Text || old.kind == Kind::Short {
        return None;
    }
    let default = old.default.as_ref().map(|default| Default {
        sql: old.kind.default_of_wider(&default.sql, Kind::Text),
        value: default.value.clone(),
    });
    let new = Column {
        id: fresh(),
        kind: Kind::Text,
        default,
        missing: None,
        filled: true,
        ..old.clone()
    };
    let before = table.clone();
    table.columns[at] = new.clone();
    for (u, row) in &before.rows {
        let written = table.with(row, &[(new.id, Table::cell(&old, row))]);
        table.rows.insert(*u, written);
    }
    Some(format!("ALTER COLUMN {} TYPE text", old.name))
}

fn set_default(table: &mut Table, n: usize, to: Option<i64>) -> Option<String> {
    let at = table.plain(n)?;
    let column = &mut table.columns[at];
    column.default = to.map(|n| default_of(column.kind, n));
    let clause = match &column.default {
        Some(default) => format!("SET DEFAULT {}", default.sql),
        None => "DROP DEFAULT".to_owned(),
    };
    Some(format!("ALTER COLUMN {} {clause}", column.name))
}

fn move_column(table: &mut Table, n: usize, to: Option<usize>) -> Option<String> {
    let at = n % table.columns.len();
    let after = to.map(|to| to % table.columns.len());
    if after == Some(at) {
        return None;
    }
    let after = after.map(|after| table.columns[after].name.clone());
    let column = table.columns.remove(at);
    let name = column.name.clone();
    let place = match &after {
        None => 0,
        Some(after) => table.columns.iter().position(|c| c.name == *after).expect("picked") + 1,
    };
    table.columns.insert(place, column);
    let place = after.map_or("FIRST".to_owned(), |after| format!("AFTER {after}"));
    Some(format!("ALTER COLUMN {name} {place}"))
}
