//! Names after a merge: columns have distinct ones, and the texts of constraints follow them.

use crate::error::Result;
use crate::parse::{mentions, with_columns_named};
use crate::spec::{Check, Column, Generated, TableSchema};

/// Gives columns distinct names. Where two meet, it is named so that the preferred side named so; the
/// other one is called as that side calls it, and goes where that side does not have it.
pub(super) fn distinct(
    columns: &mut Vec<Column>,
    base: &TableSchema,
    preferred: &TableSchema,
) -> Vec<String> {
    let mut conflicts = Vec::new();
    while let Some((first, second)) = twins(columns) {
        let name = columns[first].name.clone();
        let are_new = [first, second].iter().all(|i| base.column(columns[*i].id).is_none());
        conflicts.push(match are_new {
            true => format!("both sides have a new column \"{name}\""),
            false => format!("two columns would be named \"{name}\""),
        });
        let own = |i: usize| preferred.column(columns[i].id);
        let is_first = own(first).is_some_and(|own| own.name == name);
        let other = if is_first { second } else { first };
        match own(other).filter(|own| own.name != name) {
            Some(own) => columns[other].name.clone_from(&own.name),
            None => drop(columns.remove(other)),
        }
    }
    conflicts
}

fn twins(columns: &[Column]) -> Option<(usize, usize)> {
    let second = |first: usize| {
        let rest = columns.iter().enumerate().skip(first + 1);
        rest.filter(|(_, column)| column.name == columns[first].name).map(|(i, _)| i).next()
    };
    (0..columns.len()).find_map(|first| Some((first, second(first)?)))
}

/// A name that no column has: this one, or it with a line behind it.
pub(super) fn free(columns: &[Column], name: &str) -> String {
    let mut name = name.to_owned();
    while columns.iter().any(|column| column.name == name) {
        name.push('_');
    }
    name
}

/// The checks of a side over the merged columns; one over a column that is gone goes with it.
///
/// # Errors
/// Syntax where a text that was stored is none.
pub(super) fn checks(side: &TableSchema, columns: &[Column]) -> Result<Vec<Check>> {
    let mut kept = Vec::new();
    for check in &side.checks {
        if let Some(text) = renamed(&check.text, side, columns)? {
            kept.push(Check { text, ..check.clone() });
        }
    }
    Ok(kept)
}

/// Lets stored columns follow the names of those they are computed from. One whose source is gone
/// keeps the values it has and is computed no more: a conflict.
///
/// # Errors
/// Syntax where a text that was stored is none.
pub(super) fn computed(
    columns: &mut [Column],
    ours: &TableSchema,
    theirs: &TableSchema,
) -> Result<Vec<String>> {
    let mut conflicts = Vec::new();
    for i in 0..columns.len() {
        let Some(Generated::Stored(text)) = &columns[i].generated else { continue };
        let is_ours =
            ours.column(columns[i].id).is_some_and(|own| own.generated == columns[i].generated);
        let side = if is_ours { ours } else { theirs };
        columns[i].generated = renamed(text, side, columns)?.map(Generated::Stored);
        if columns[i].generated.is_none() {
            let name = &columns[i].name;
            conflicts.push(format!("what column \"{name}\" is computed from was dropped"));
        }
    }
    Ok(conflicts)
}

/// A text over the columns of a side by the names that they have after the merge; None where one is
/// gone.
fn renamed(text: &str, side: &TableSchema, columns: &[Column]) -> Result<Option<String>> {
    let after = |name: &str| {
        let id = side.column_named(name)?.1.id;
        Some(columns.iter().find(|column| column.id == id).map(|column| column.name.clone()))
    };
    if mentions(text)?.iter().any(|(_, name)| after(name) == Some(None)) {
        return Ok(None);
    }
    with_columns_named(text, |name| after(name).flatten()).map(Some)
}
