//! Two shapes of one table as one: columns meet by id, not by name.

use super::{Pick, Prefer, names};
use crate::error::Result;
use crate::spec::{Column, ColumnId, TableSchema};

/// A shape, and what could not be decided.
pub(super) struct Shaped {
    pub schema: TableSchema,
    /// What both sides changed in different ways.
    pub conflicts: Vec<String>,
}

/// The shape that has the changes of both. A column dropped on one side is dropped. The order is that
/// of the side that alone changed it; else ours, and new ones of theirs come last. The answer keeps
/// the id of the side it equals; else it is a new one.
///
/// # Errors
/// Syntax where a text that was stored is none.
pub(super) fn merge(
    base: &TableSchema,
    ours: &TableSchema,
    theirs: &TableSchema,
    prefer: Prefer,
    next_id: impl FnOnce() -> u64,
) -> Result<Shaped> {
    let mut choice = Choice { prefer, conflicts: Vec::new() };
    let mut columns = choice.columns(base, ours, theirs);
    choice.conflicts.extend(names::computed(&mut columns, ours, theirs)?);
    let checks = |side| names::checks(side, &columns);
    let (checks, our_checks, their_checks) = (checks(base)?, checks(ours)?, checks(theirs)?);
    let mut schema = TableSchema {
        namespace: choice.of("schema", &base.namespace, &ours.namespace, &theirs.namespace),
        name: choice.of("name", &base.name, &ours.name, &theirs.name),
        primary_key: choice.of(
            "primary key",
            &base.primary_key,
            &ours.primary_key,
            &theirs.primary_key,
        ),
        cluster_by: choice.of("CLUSTER BY", &base.cluster_by, &ours.cluster_by, &theirs.cluster_by),
        event_time: choice.of("EVENT TIME", &base.event_time, &ours.event_time, &theirs.event_time),
        known_time: choice.of("KNOWN TIME", &base.known_time, &ours.known_time, &theirs.known_time),
        ties: choice.of("TIES", &base.ties, &ours.ties, &theirs.ties),
        unique: choice.list("unique key", (&base.unique, &ours.unique, &theirs.unique), |key| {
            key.name.as_str()
        }),
        checks: choice
            .list("check", (&checks, &our_checks, &their_checks), |check| check.name.as_str()),
        columns,
        options: choice.of("WITH", &base.options, &ours.options, &theirs.options),
        comment: choice.of("comment", &base.comment, &ours.comment, &theirs.comment),
        ..ours.clone()
    };
    choice.name_constraints_apart(&mut schema, theirs);
    choice.keep_used(&mut schema, ours, theirs);
    if schema != *ours {
        schema.id = theirs.id;
        if schema != *theirs {
            schema.id = crate::spec::SchemaId(next_id());
        }
    }
    Ok(Shaped { schema, conflicts: choice.conflicts })
}

struct Choice {
    prefer: Prefer,
    conflicts: Vec<String>,
}

impl Choice {
    fn of<T: PartialEq + Clone>(&mut self, what: &str, base: &T, ours: &T, theirs: &T) -> T {
        if theirs == base || theirs == ours {
            return ours.clone();
        }
        if ours == base {
            return theirs.clone();
        }
        self.conflicts.push(format!("{what} was changed on both sides"));
        match self.prefer.pick() {
            Pick::Ours => ours.clone(),
            Pick::Theirs => theirs.clone(),
        }
    }

    /// Constraints by name: dropped on one side is dropped, new on one side is there.
    fn list<T: PartialEq + Clone>(
        &mut self,
        what: &str,
        (base, ours, theirs): (&[T], &[T], &[T]),
        name: impl Fn(&T) -> &str,
    ) -> Vec<T> {
        let named = |list: &[T], wanted: &str| list.iter().find(|one| name(one) == wanted).cloned();
        let mut kept = Vec::new();
        for own in ours {
            match (named(base, name(own)), named(theirs, name(own))) {
                (Some(before), None) if before == *own => {}
                (_, None) => kept.push(own.clone()),
                (Some(before), Some(there)) => {
                    let what = format!("{what} \"{}\"", name(own));
                    kept.push(self.of(&what, &before, own, &there));
                }
                (None, Some(there)) if there == *own => kept.push(there),
                (None, Some(there)) => {
                    let what = format!("{what} \"{}\"", name(own));
                    self.conflicts.push(format!("both sides have a new {what}, and they differ"));
                    kept.push(if self.prefer.pick() == Pick::Ours { own.clone() } else { there });
                }
            }
        }
        let new = theirs.iter().filter(|one| {
            named(ours, name(one)).is_none() && named(base, name(one)).as_ref() != Some(*one)
        });
        kept.extend(new.cloned());
        kept
    }

    fn columns(
        &mut self,
        base: &TableSchema,
        ours: &TableSchema,
        theirs: &TableSchema,
    ) -> Vec<Column> {
        let mut kept: Vec<Column> = Vec::new();
        for column in &ours.columns {
            match (base.column(column.id), theirs.column(column.id)) {
                (Some(_), None) => {}
                (None, None) => kept.push(column.clone()),
                (before, Some(there)) => {
                    let what = format!("column \"{}\"", column.name);
                    let picked = self.of(&what, before.unwrap_or(there), column, there);
                    kept.push(wide_enough(picked, column, there));
                }
            }
        }
        let new =
            |column: &&Column| base.column(column.id).is_none() && ours.column(column.id).is_none();
        kept.extend(theirs.columns.iter().filter(new).cloned());
        let ids = |schema: &TableSchema| schema.columns.iter().map(|c| c.id).collect::<Vec<_>>();
        if ids(ours) == ids(base) {
            // All that is left is in theirs.
            kept.sort_by_key(|column| theirs.position(column.id));
        }
        let preferred = if self.prefer.pick() == Pick::Ours { ours } else { theirs };
        self.conflicts.extend(names::distinct(&mut kept, base, preferred));
        kept
    }

    /// A key of one side and a check of the other can have one name.
    fn name_constraints_apart(&mut self, schema: &mut TableSchema, theirs: &TableSchema) {
        let primary = schema.primary_key.iter().map(|key| &key.name);
        let keys: Vec<&String> = primary.chain(schema.unique.iter().map(|key| &key.name)).collect();
        let checks = schema.checks.iter().map(|check| &check.name);
        let twice: Vec<String> = checks.filter(|name| keys.contains(name)).cloned().collect();
        for name in twice {
            self.conflicts.push(format!("two constraints would be named \"{name}\""));
            let is_theirs = theirs.checks.iter().any(|check| check.name == name);
            if is_theirs == (self.prefer.pick() == Pick::Theirs) {
                schema.unique.retain(|key| key.name != name);
                schema.primary_key.take_if(|key| key.name == name);
            } else {
                schema.checks.retain(|check| check.name != name);
            }
        }
    }

    /// What one side's key or order uses, the other cannot have dropped.
    fn keep_used(&mut self, schema: &mut TableSchema, ours: &TableSchema, theirs: &TableSchema) {
        // As with DROP COLUMN, a constraint over a column goes with it.
        let columns = schema.columns.clone();
        let there = |id: &ColumnId| columns.iter().any(|column| column.id == *id);
        schema.unique.retain(|key| key.columns.iter().all(there));
        let used: Vec<ColumnId> = schema
            .primary_key
            .iter()
            .flat_map(|key| key.columns.iter())
            .chain(&schema.cluster_by)
            .chain(&schema.ties)
            .chain(&schema.event_time)
            .chain(&schema.known_time)
            .copied()
            .collect();
        for id in used {
            if schema.column(id).is_some() {
                continue;
            }
            if let Some(column) = ours.column(id).or_else(|| theirs.column(id)) {
                let what = "was dropped on one side and is part of a key or an order on the other";
                self.conflicts.push(format!("column \"{}\" {what}", column.name));
                let name = names::free(&schema.columns, &column.name);
                schema.columns.push(Column { name, ..column.clone() });
            }
        }
    }
}

/// A column of two sides with a type that holds the rows of both: RESTORE can have made one narrower.
fn wide_enough(picked: Column, ours: &Column, theirs: &Column) -> Column {
    let Some(common) = ours.data_type.common(&theirs.data_type) else { return picked };
    if common == picked.data_type {
        return picked;
    }
    let wider = if common == ours.data_type { ours } else { theirs };
    Column { data_type: common, missing: wider.missing.clone(), ..picked }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{SchemaId, TableId, Type};

    fn table(id: u64, columns: &[(u64, &str, Type)]) -> TableSchema {
        let column = |(id, name, data_type): &(u64, &str, Type)| {
            Column::new(ColumnId(*id), *name, data_type.clone())
        };
        TableSchema {
            id: SchemaId(id),
            table: TableId(1),
            namespace: "public".to_owned(),
            name: "t".to_owned(),
            columns: columns.iter().map(column).collect(),
            primary_key: None,
            unique: Vec::new(),
            checks: Vec::new(),
            comment: None,
            cluster_by: Vec::new(),
            event_time: None,
            known_time: None,
            ties: Vec::new(),
            options: Vec::new(),
        }
    }

    fn names(shaped: &Shaped) -> Vec<&str> {
        shaped.schema.columns.iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn drops_and_additions_of_both_sides_meet() {
        let base = table(1, &[(1, "a", Type::Int4), (2, "b", Type::Int4)]);
        let ours = table(2, &[(1, "a", Type::Int4), (3, "c", Type::Int4)]);
        let theirs =
            table(3, &[(1, "renamed", Type::Int8), (2, "b", Type::Int4), (4, "d", Type::Text)]);
        let shaped = merge(&base, &ours, &theirs, Prefer::Neither, || 9).unwrap();
        assert_eq!(names(&shaped), ["renamed", "c", "d"]);
        assert_eq!(shaped.schema.id, SchemaId(9));
        assert!(shaped.conflicts.is_empty());
        let same = merge(&base, &base, &theirs, Prefer::Neither, || 9).unwrap();
        assert_eq!(same.schema, theirs);
    }

    #[test]
    fn one_column_changed_twice_and_two_of_one_name_conflict() {
        let base = table(1, &[(1, "a", Type::Int4)]);
        let ours = table(2, &[(1, "a", Type::Int8), (3, "n", Type::Int4)]);
        let theirs = table(3, &[(1, "a", Type::Text), (4, "n", Type::Text)]);
        let shaped = merge(&base, &ours, &theirs, Prefer::Neither, || 9).unwrap();
        assert_eq!(shaped.conflicts.len(), 2, "{:?}", shaped.conflicts);
        assert_eq!(merge(&base, &ours, &theirs, Prefer::Ours, || 9).unwrap().schema, ours);
        assert_eq!(merge(&base, &ours, &theirs, Prefer::Theirs, || 9).unwrap().schema, theirs);
    }
}
