//! What is in each system table. One function a relation; [`build`] knows them all.

mod classes;
mod constraints;
mod information;
mod server;
mod static_facts;
mod views;

use arrow::array::RecordBatch;

use super::catalog::Catalog;
use super::relation::{Relation, Rows};
use crate::error::Result;

type Builder = fn(&Catalog, &mut Rows);

/// The rows of a relation; none where nothing fills it.
pub fn build(catalog: &Catalog, relation: &'static Relation) -> Result<RecordBatch> {
    let mut rows = Rows::new(relation);
    let builder = match relation.schema {
        "information_schema" => information::builder(relation.name),
        _ => builder(relation.name),
    };
    if let Some(builder) = builder {
        builder(catalog, &mut rows);
    }
    rows.finish()
}

fn builder(name: &str) -> Option<Builder> {
    Some(match name {
        "pg_class" => classes::pg_class,
        "pg_attribute" => classes::pg_attribute,
        "pg_attrdef" => classes::pg_attrdef,
        "pg_description" => classes::pg_description,
        "pg_namespace" => classes::pg_namespace,
        "pg_index" => constraints::pg_index,
        "pg_constraint" => constraints::pg_constraint,
        "pg_depend" => constraints::pg_depend,
        "pg_tables" => views::pg_tables,
        "pg_views" => views::pg_views,
        "pg_indexes" => views::pg_indexes,
        "pg_sequences" => views::pg_sequences,
        "pg_sequence" => views::pg_sequence,
        "pg_stat_user_tables" | "pg_stat_all_tables" => views::pg_stat_tables,
        "pg_type" => static_facts::pg_type,
        "pg_am" => static_facts::pg_am,
        "pg_collation" => static_facts::pg_collation,
        "pg_language" => static_facts::pg_language,
        "pg_range" => static_facts::pg_range,
        "pg_proc" => static_facts::pg_proc,
        "pg_cast" => static_facts::pg_cast,
        "pg_opclass" => static_facts::pg_opclass,
        "pg_tablespace" => static_facts::pg_tablespace,
        "pg_timezone_names" => static_facts::pg_timezone_names,
        "pg_database" => server::pg_database,
        "pg_roles" => server::pg_roles,
        "pg_authid" => server::pg_authid,
        "pg_user" => server::pg_user,
        "pg_shadow" => server::pg_shadow,
        "pg_settings" => server::pg_settings,
        "pg_stat_activity" => server::pg_stat_activity,
        "pg_stat_database" => server::pg_stat_database,
        "pg_stat_progress_copy" => server::pg_stat_progress_copy,
        "pg_stat_ssl" => server::pg_stat_ssl,
        "pg_prepared_statements" => server::pg_prepared_statements,
        "pg_cursors" => server::pg_cursors,
        _ => return None,
    })
}

/// Whether a relation has rows in some catalogue. One that has not is empty for good, which lets a
/// query over it be planned without its subqueries.
pub fn is_filled(schema: &str, name: &str) -> bool {
    match schema {
        "information_schema" => information::builder(name).is_some(),
        _ => builder(name).is_some(),
    }
}
