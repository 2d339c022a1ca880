//! What functions tell of an object: the DDL that would make it, the signature of a function.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::TableFacts;
use super::catalog::{index_name, key_columns, quote_ident};

/// `a, b` of PRIMARY KEY (a, b), quoted where needed.
fn key_list(table: &TableFacts) -> String {
    let names = key_columns(table).filter_map(|id| table.schema.column(id));
    names.map(|c| quote_ident(&c.name)).collect::<Vec<_>>().join(", ")
}

/// `pg_get_constraintdef`: PRIMARY KEY (…).
pub fn constraint_definition(table: &TableFacts) -> String {
    let enforced = table.schema.primary_key.as_ref().is_some_and(|key| key.enforced);
    let suffix = if enforced { "" } else { " NOT ENFORCED" };
    format!("PRIMARY KEY ({}){suffix}", key_list(table))
}

/// `pg_get_indexdef`: the statement, or one column's name (from 1).
pub fn index_definition(table: &TableFacts, column: i64) -> Option<String> {
    if column > 0 {
        let id = key_columns(table).nth(column as usize - 1)?;
        return table.schema.column(id).map(|c| quote_ident(&c.name));
    }
    Some(format!(
        "CREATE UNIQUE INDEX {} ON {}.{} USING btree ({})",
        quote_ident(&index_name(table)),
        quote_ident(&table.schema.namespace),
        quote_ident(&table.schema.name),
        key_list(table),
    ))
}

/// One row of `pg_proc`: what is in `facts/functions.txt`.
#[derive(Debug)]
pub struct FunctionFacts {
    /// Its number.
    pub oid: u32,
    /// Its name; several have one name.
    pub name: &'static str,
    /// The type of its result.
    pub returns: u32,
    /// `i`mmutable, `s`table, `v`olatile.
    pub volatility: &'static str,
    /// `f`unction, `a`ggregate, `w`indow.
    pub kind: &'static str,
    /// Whether it returns rows.
    pub returns_set: bool,
    /// Whether NULL makes NULL.
    pub strict: bool,
    /// The types of its arguments.
    pub arguments: Vec<u32>,
}

static FUNCTIONS: LazyLock<Vec<FunctionFacts>> = LazyLock::new(|| {
    let parse = |line: &'static str| {
        let f: Vec<&str> = line.split(' ').collect();
        let arguments = f.get(7)?.split(',').filter(|a| *a != "-");
        Some(FunctionFacts {
            oid: f[0].parse().ok()?,
            name: f[1],
            returns: f[2].parse().ok()?,
            volatility: f[3],
            kind: f[4],
            returns_set: f[5] == "t",
            strict: f[6] == "t",
            arguments: arguments.map(|a| a.parse().ok()).collect::<Option<_>>()?,
        })
    };
    let lines = include_str!("facts/functions.txt").lines();
    lines.map(|line| parse(line).expect("functions.txt is well formed")).collect()
});

static BY_NAME: LazyLock<HashMap<&str, &FunctionFacts>> =
    LazyLock::new(|| FUNCTIONS.iter().rev().map(|f| (f.name, f)).collect());

/// PostgreSQL's functions that we have too, and the I/O functions of types.
pub fn functions() -> &'static [FunctionFacts] {
    &FUNCTIONS
}

/// The function of this number.
pub fn function(oid: u32) -> Option<&'static FunctionFacts> {
    FUNCTIONS.iter().find(|f| f.oid == oid)
}

/// `regproc::text` of a number.
pub fn function_name(oid: u32) -> Option<&'static str> {
    function(oid).map(|f| f.name)
}

/// `regproc::oid`: the number of the first function of this name, 0 if there is none.
pub fn function_oid(name: &str) -> u32 {
    BY_NAME.get(name).map_or(0, |f| f.oid)
}
