//! The views that show relations by name: `pg_tables`, `pg_views`, `pg_indexes`,
//! `pg_stat_user_tables`.

use crate::plan::pg_catalog::catalog::{Catalog, relation_oid};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::relation::{Rows, relations};

/// The oid of `bigint`, which every sequence counts in.
const BIGINT: u32 = 20;

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
    for constraint in catalog.constraints().filter(|c| c.index.is_some()) {
        let schema = &constraint.table.schema;
        rows.push([
            ("schemaname", schema.namespace.as_str().into()),
            ("tablename", schema.name.as_str().into()),
            ("indexname", constraint.name.into()),
            ("indexdef", constraint.index_definition(0).into()),
        ]);
    }
}

pub fn pg_sequences(catalog: &Catalog, rows: &mut Rows) {
    for facts in &catalog.inputs().sequences {
        let sequence = &facts.sequence;
        rows.push([
            ("schemaname", sequence.namespace.as_str().into()),
            ("sequencename", sequence.name.as_str().into()),
            ("sequenceowner", catalog.inputs().user.as_str().into()),
            ("data_type", BIGINT.into()),
            ("start_value", Cell::Int(sequence.start)),
            ("min_value", Cell::Int(sequence.min)),
            ("max_value", Cell::Int(sequence.max)),
            ("increment_by", Cell::Int(sequence.increment)),
            ("cycle", sequence.cycle.into()),
            ("cache_size", Cell::Int(1)),
            ("last_value", facts.last_value.map_or(Cell::Null, Cell::Int)),
        ]);
    }
}

pub fn pg_sequence(catalog: &Catalog, rows: &mut Rows) {
    for facts in &catalog.inputs().sequences {
        let sequence = &facts.sequence;
        rows.push([
            ("seqrelid", relation_oid(sequence.id).into()),
            ("seqtypid", BIGINT.into()),
            ("seqstart", Cell::Int(sequence.start)),
            ("seqincrement", Cell::Int(sequence.increment)),
            ("seqmax", Cell::Int(sequence.max)),
            ("seqmin", Cell::Int(sequence.min)),
            ("seqcache", Cell::Int(1)),
            ("seqcycle", sequence.cycle.into()),
        ]);
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
