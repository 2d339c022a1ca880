//! Primary keys: `pg_index`, `pg_constraint`, `pg_depend`.

use super::classes::{PG_CLASS, key_attnums};
use crate::plan::pg_catalog::TableFacts;
use crate::plan::pg_catalog::catalog::{
    Catalog, constraint_oid, index_name, index_oid, key_columns, relation_oid,
};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::relation::Rows;
use crate::plan::pg_catalog::rows::static_facts::default_opclass;
use crate::plan::pg_catalog::types;

const PG_CONSTRAINT: u32 = 2606;

fn keyed(catalog: &Catalog) -> impl Iterator<Item = &TableFacts> {
    catalog.inputs().tables.iter().filter(|t| t.schema.primary_key.is_some())
}

pub fn pg_index(catalog: &Catalog, rows: &mut Rows) {
    for table in keyed(catalog) {
        let key = key_attnums(table);
        let oids: Vec<u32> = key_columns(table)
            .filter_map(|id| table.schema.column(id))
            .map(|c| types::oid_of(&c.data_type))
            .collect();
        let collation =
            |oid: &u32| types::by_oid(*oid).and_then(|t| t.fields[16].parse().ok()).unwrap_or(0);
        rows.push([
            ("indexrelid", index_oid(table.schema.table).into()),
            ("indrelid", relation_oid(table.schema.table).into()),
            ("indnatts", (key.len() as i64).into()),
            ("indnkeyatts", (key.len() as i64).into()),
            ("indisunique", true.into()),
            ("indisprimary", true.into()),
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
    for table in keyed(catalog) {
        rows.push([
            ("oid", constraint_oid(table.schema.table).into()),
            ("conname", index_name(table).into()),
            ("connamespace", catalog.namespace(&table.schema.namespace).into()),
            ("contype", 'p'.into()),
            ("convalidated", table.schema.primary_key.as_ref().is_some_and(|k| k.enforced).into()),
            ("conrelid", relation_oid(table.schema.table).into()),
            ("conindid", index_oid(table.schema.table).into()),
            ("confupdtype", ' '.into()),
            ("confdeltype", ' '.into()),
            ("confmatchtype", ' '.into()),
            ("conislocal", true.into()),
            ("connoinherit", true.into()),
            ("conkey", key_attnums(table).into()),
        ]);
    }
}

pub fn pg_depend(catalog: &Catalog, rows: &mut Rows) {
    for table in keyed(catalog) {
        rows.push([
            ("classid", PG_CLASS.into()),
            ("objid", index_oid(table.schema.table).into()),
            ("refclassid", PG_CONSTRAINT.into()),
            ("refobjid", constraint_oid(table.schema.table).into()),
            ("deptype", 'i'.into()),
        ]);
        for attnum in key_attnums(table) {
            rows.push([
                ("classid", PG_CONSTRAINT.into()),
                ("objid", constraint_oid(table.schema.table).into()),
                ("refclassid", PG_CLASS.into()),
                ("refobjid", relation_oid(table.schema.table).into()),
                ("refobjsubid", Cell::Int(attnum)),
                ("deptype", 'a'.into()),
            ]);
        }
    }
}
