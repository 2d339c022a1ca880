//! The views that show relations by name: `pg_tables`, `pg_views`, `pg_indexes`,
//! `pg_stat_user_tables`.

use crate::plan::pg_catalog::catalog::{Catalog, index_name, relation_oid};
use crate::plan::pg_catalog::definitions::index_definition;
use crate::plan::pg_catalog::relation::{Rows, relations};

pub fn pg_tables(catalog: &Catalog, rows: &mut Rows) {
    for table in &catalog.inputs().tables {
        rows.push([
            ("schemaname", table.schema.namespace.as_str().into()),
            ("tablename", table.schema.name.as_str().into()),
            ("tableowner", catalog.inputs().user.as_str().into()),
            ("hasindexes", table.schema.primary_key.is_some().into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ]);
    }
    for relation in relations().iter().filter(|r| r.kind == 'r') {
        rows.push([
            ("schemaname", relation.schema.into()),
            ("tablename", relation.name.into()),
            ("tableowner", catalog.inputs().user.as_str().into()),
            ("hasindexes", false.into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ]);
    }
}

pub fn pg_views(catalog: &Catalog, rows: &mut Rows) {
    for view in &catalog.inputs().views {
        rows.push([
            ("schemaname", view.view.namespace.as_str().into()),
            ("viewname", view.view.name.as_str().into()),
            ("viewowner", catalog.inputs().user.as_str().into()),
            ("definition", format!("{};", view.view.query.trim_end_matches(';')).into()),
        ]);
    }
    for relation in relations().iter().filter(|r| r.kind == 'v') {
        rows.push([
            ("schemaname", relation.schema.into()),
            ("viewname", relation.name.into()),
            ("viewowner", catalog.inputs().user.as_str().into()),
        ]);
    }
}

pub fn pg_indexes(catalog: &Catalog, rows: &mut Rows) {
    for table in &catalog.inputs().tables {
        if table.schema.primary_key.is_some() {
            rows.push([
                ("schemaname", table.schema.namespace.as_str().into()),
                ("tablename", table.schema.name.as_str().into()),
                ("indexname", index_name(table).into()),
                ("indexdef", index_definition(table, 0).into()),
            ]);
        }
    }
}

pub fn pg_stat_tables(catalog: &Catalog, rows: &mut Rows) {
    for table in &catalog.inputs().tables {
        rows.push([
            ("relid", relation_oid(table.schema.table).into()),
            ("schemaname", table.schema.namespace.as_str().into()),
            ("relname", table.schema.name.as_str().into()),
            ("n_live_tup", table.rows.map(|n| n.min(i64::MAX as u64) as i64).into()),
        ]);
    }
}
