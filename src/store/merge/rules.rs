//! What a merged shape demands of rows that were never held to it.
//!
//! A constraint is known by what it says: one that was dropped and added again under its name is another.

use super::{NewRules, names};
use crate::error::Result;
use crate::spec::{Check, Column, EnforcedKey, TableSchema};

/// What the merged shape demands and a side did not, of the side's rows or of its older ones.
///
/// # Errors
/// Syntax where a text that was stored is none.
pub(super) fn new_rules(
    merged: &TableSchema,
    ours: &TableSchema,
    theirs: &TableSchema,
) -> Result<NewRules> {
    let sides = [ours, theirs];
    let fills = |column: &Column| {
        sides.iter().all(|side| match side.column(column.id) {
            Some(known) => known.not_null,
            // Rows that lack what was filled are a conflict already.
            None => column.missing.is_some() || column.filled,
        })
    };
    let held = |check: &&Check| check.enforced && check.valid;
    // Texts follow the names of columns, so they are compared as the merged table has them.
    let held_by = sides.iter().map(|side| names::checks(side, &merged.columns));
    let held_by: Vec<Vec<Check>> = held_by.collect::<Result<_>>()?;
    let is_held = |wanted: &&Check| {
        let all = |checks: &Vec<Check>| checks.iter().filter(held).any(|c| c.text == wanted.text);
        held_by.iter().all(all)
    };
    let is_distinct = |wanted: &EnforcedKey<'_>| {
        let same = |key: &EnforcedKey<'_>| {
            (key.columns, key.nulls_distinct) == (wanted.columns, wanted.nulls_distinct)
        };
        sides.iter().all(|side| side.enforced_keys().iter().any(same))
    };
    let not_null = merged.columns.iter().filter(|column| column.not_null && !fills(column));
    let checks = merged.checks.iter().filter(held).filter(|check| !is_held(check));
    let keys = merged.enforced_keys().into_iter().filter(|key| !is_distinct(key));
    Ok(NewRules {
        table: merged.table,
        not_null: not_null.map(|column| column.name.clone()).collect(),
        checks: checks.map(|check| check.name.clone()).collect(),
        keys: keys.map(|key| key.name.to_owned()).collect(),
    })
}
