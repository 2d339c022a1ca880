//! Keys and checks: `pg_index`, `pg_constraint`, `pg_depend`.

use super::classes::PG_CLASS;
use crate::plan::pg_catalog::catalog::{Catalog, attnum, relation_oid};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::constraint::Constraint;
use crate::plan::pg_catalog::relation::Rows;
use crate::plan::pg_catalog::rows::static_facts::default_opclass;
use crate::plan::pg_catalog::types;

const PG_CONSTRAINT: u32 = 2606;

/// The attnums of its columns, as `conkey` and `indkey` list them.
fn attnums(constraint: &Constraint<'_>) -> Vec<i64> {
    let table = constraint.table;
    constraint.columns.iter().filter_map(|id| attnum(table, *id)).map(i64::from).collect()
}

pub fn pg_index(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints() {
        let Some(index) = constraint.index else { continue };
        let schema = &constraint.table.schema;
        let key = attnums(&constraint);
        let columns = constraint.columns.iter().filter_map(|id| schema.column(*id));
        let oids: Vec<u32> = columns.map(|c| types::oid_of(&c.data_type)).collect();
        let collation =
            |oid: &u32| types::by_oid(*oid).and_then(|t| t.fields[16].parse().ok()).unwrap_or(0);
        rows.push([
            ("indexrelid", index.into()),
            ("indrelid", relation_oid(schema.table).into()),
            ("indnatts", (key.len() as i64).into()),
            ("indnkeyatts", (key.len() as i64).into()),
            ("indisunique", true.into()),
            ("indnullsnotdistinct", constraint.nulls_not_distinct.into()),
            ("indisprimary", (constraint.kind == 'p').into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indoption", vec![0i64; key.len()].into()),
            ("indcollation", oids.iter().map(collation).collect::<Vec<i64>>().into()),
            ("indclass", oids.iter().map(|o| default_opclass(*o)).collect::<Vec<i64>>().into()),
            ("indkey", key.into()),
        ]);
    }
}

pub fn pg_constraint(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints() {
        let schema = &constraint.table.schema;
        rows.push([
            ("oid", constraint.oid.into()),
            ("conname", constraint.name.into()),
            ("connamespace", catalog.namespace(&schema.namespace).into()),
            ("contype", constraint.kind.into()),
            ("convalidated", (constraint.enforced && constraint.valid).into()),
            ("conrelid", relation_oid(schema.table).into()),
            ("conindid", constraint.index.unwrap_or(0).into()),
            ("confupdtype", ' '.into()),
            ("confdeltype", ' '.into()),
            ("confmatchtype", ' '.into()),
            ("conislocal", true.into()),
            ("connoinherit", (constraint.kind != 'c').into()),
            ("conkey", attnums(&constraint).into()),
            ("conbin", constraint.text.map(str::to_owned).into()),
        ]);
    }
}

pub fn pg_depend(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints() {
        let relation = relation_oid(constraint.table.schema.table);
        if let Some(index) = constraint.index {
            rows.push([
                ("classid", PG_CLASS.into()),
                ("objid", index.into()),
                ("refclassid", PG_CONSTRAINT.into()),
                ("refobjid", constraint.oid.into()),
                ("deptype", 'i'.into()),
            ]);
        }
        for attnum in attnums(&constraint) {
            rows.push([
                ("classid", PG_CONSTRAINT.into()),
                ("objid", constraint.oid.into()),
                ("refclassid", PG_CLASS.into()),
                ("refobjid", relation.into()),
                ("refobjsubid", Cell::Int(attnum)),
                ("deptype", 'a'.into()),
            ]);
        }
    }
    owned_sequences(catalog, rows);
}

/// A sequence depends on the column that owns it: `i` for identity, `a` for serial.
fn owned_sequences(catalog: &Catalog, rows: &mut Rows) {
    for facts in &catalog.inputs().sequences {
        let Some((table, column)) = facts.sequence.owner else { continue };
        let found = catalog.inputs().tables.iter().find(|t| t.schema.table == table);
        let Some((found, at)) = found.and_then(|t| Some((t, attnum(t, column)?))) else { continue };
        let generated = found.schema.column(column).and_then(|c| c.generated.as_ref());
        let identity = matches!(generated, Some(crate::spec::Generated::Identity { .. }));
        rows.push([
            ("classid", PG_CLASS.into()),
            ("objid", relation_oid(facts.sequence.id).into()),
            ("refclassid", PG_CLASS.into()),
            ("refobjid", relation_oid(table).into()),
            ("refobjsubid", Cell::Int(at.into())),
            ("deptype", if identity { 'i' } else { 'a' }.into()),
        ]);
    }
}
