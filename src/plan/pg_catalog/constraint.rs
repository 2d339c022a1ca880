//! The constraints of a table with their oids: keys, which have an index each, and checks.

use super::catalog::{constraint_oid, index_oid};
use super::inputs::TableFacts;
use super::name::quote_ident;
use crate::parse;
use crate::spec::{ColumnId, TableId};

/// One constraint.
#[derive(Clone, Debug)]
pub struct Constraint<'a> {
    /// Of this table.
    pub table: &'a TableFacts,
    /// Its oid.
    pub oid: u32,
    /// The oid of a key's index.
    pub index: Option<u32>,
    /// Its name, and its index's.
    pub name: &'a str,
    /// `p`rimary key, `u`nique, `c`heck.
    pub kind: char,
    /// Its columns, in order.
    pub columns: Vec<ColumnId>,
    /// Whether rows that break it are refused.
    pub enforced: bool,
    /// Whether every row is known to satisfy it.
    pub valid: bool,
    /// UNIQUE NULLS NOT DISTINCT.
    pub nulls_not_distinct: bool,
    /// The condition of a check.
    pub text: Option<&'a str>,
}

/// All constraints of a table: the primary key, the other keys, the checks.
pub fn constraints(table: &TableFacts) -> Vec<Constraint<'_>> {
    let schema = &table.schema;
    let mut found = Vec::new();
    if let Some(key) = &schema.primary_key {
        found.push(Constraint {
            oid: constraint_oid(schema.table),
            index: Some(index_oid(schema.table)),
            kind: 'p',
            ..of_key(table, &key.name, &key.columns, key.enforced)
        });
    }
    for (at, key) in schema.unique.iter().enumerate() {
        found.push(Constraint {
            oid: numbered(0xa000_0000, schema.table, at),
            index: Some(numbered(0xb000_0000, schema.table, at)),
            nulls_not_distinct: !key.nulls_distinct,
            ..of_key(table, &key.name, &key.columns, key.enforced)
        });
    }
    for (at, check) in schema.checks.iter().enumerate() {
        let named = parse::mentions(&check.text).unwrap_or_default();
        let named = named.iter().filter_map(|(_, name)| schema.column_named(name));
        let mut columns: Vec<ColumnId> = named.map(|(_, column)| column.id).collect();
        columns.sort_unstable();
        columns.dedup();
        found.push(Constraint {
            oid: numbered(0xc000_0000, schema.table, at),
            kind: 'c',
            valid: check.valid,
            text: Some(&check.text),
            ..of_key(table, &check.name, &columns, check.enforced)
        });
    }
    found
}

fn of_key<'a>(
    table: &'a TableFacts,
    name: &'a str,
    columns: &[ColumnId],
    enforced: bool,
) -> Constraint<'a> {
    Constraint {
        table,
        oid: 0,
        index: None,
        name,
        kind: 'u',
        columns: columns.to_vec(),
        enforced,
        valid: true,
        nulls_not_distinct: false,
        text: None,
    }
}

/// 64 of a kind a table, of 2^22 tables: those beyond share numbers.
fn numbered(kind: u32, table: TableId, at: usize) -> u32 {
    kind | ((table.0 as u32) << 6 | (at as u32 & 63)) & 0x0fff_ffff
}

impl Constraint<'_> {
    /// `a, b`, quoted where needed.
    fn list(&self) -> String {
        let names = self.columns.iter().filter_map(|id| self.table.schema.column(*id));
        names.map(|c| quote_ident(&c.name)).collect::<Vec<_>>().join(", ")
    }

    /// `pg_get_constraintdef`.
    pub fn definition(&self) -> String {
        let mut text = match (self.kind, self.text) {
            ('p', _) => format!("PRIMARY KEY ({})", self.list()),
            (_, Some(text)) => format!("CHECK (({text}))"),
            _ if self.nulls_not_distinct => format!("UNIQUE NULLS NOT DISTINCT ({})", self.list()),
            _ => format!("UNIQUE ({})", self.list()),
        };
        if !self.enforced {
            text.push_str(" NOT ENFORCED");
        }
        if !self.valid {
            text.push_str(" NOT VALID");
        }
        text
    }

    /// `pg_get_indexdef`: the statement, or one column's name (from 1).
    pub fn index_definition(&self, column: i64) -> Option<String> {
        let schema = &self.table.schema;
        if column > 0 {
            let id = self.columns.get(column as usize - 1)?;
            return schema.column(*id).map(|c| quote_ident(&c.name));
        }
        let nulls = if self.nulls_not_distinct { " NULLS NOT DISTINCT" } else { "" };
        Some(format!(
            "CREATE UNIQUE INDEX {} ON {}.{} USING btree ({}){nulls}",
            quote_ident(self.name),
            quote_ident(&schema.namespace),
            quote_ident(&schema.name),
            self.list(),
        ))
    }
}
