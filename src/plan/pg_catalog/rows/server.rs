//! The server and its sessions: databases, roles, settings, activity.

use crate::plan::pg_catalog::catalog::{Catalog, oids, relation_oid};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::relation::Rows;
use crate::plan::pg_catalog::types;

/// The number of UTF8 among PostgreSQL's encodings.
pub const UTF8: i32 = 6;

pub fn pg_database(catalog: &Catalog, rows: &mut Rows) {
    rows.push([
        ("oid", oids::DATABASE.into()),
        ("datname", catalog.inputs().database.as_str().into()),
        ("datdba", oids::USER.into()),
        ("encoding", UTF8.into()),
        ("datlocprovider", 'c'.into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1).into()),
        ("dattablespace", oids::TABLESPACE.into()),
        ("datcollate", "C".into()),
        ("datctype", "C".into()),
    ]);
}

pub fn pg_roles(catalog: &Catalog, rows: &mut Rows) {
    rows.push([
        ("rolname", catalog.inputs().user.as_str().into()),
        ("rolsuper", true.into()),
        ("rolinherit", true.into()),
        ("rolcreaterole", true.into()),
        ("rolcreatedb", true.into()),
        ("rolcanlogin", true.into()),
        ("rolreplication", false.into()),
        ("rolconnlimit", (-1).into()),
        ("rolpassword", "********".into()),
        ("rolbypassrls", true.into()),
        ("oid", oids::USER.into()),
    ]);
}

pub fn pg_authid(catalog: &Catalog, rows: &mut Rows) {
    rows.push([
        ("oid", oids::USER.into()),
        ("rolname", catalog.inputs().user.as_str().into()),
        ("rolsuper", true.into()),
        ("rolinherit", true.into()),
        ("rolcreaterole", true.into()),
        ("rolcreatedb", true.into()),
        ("rolcanlogin", true.into()),
        ("rolbypassrls", true.into()),
        ("rolconnlimit", (-1).into()),
    ]);
}

pub fn pg_user(catalog: &Catalog, rows: &mut Rows) {
    user(catalog, rows, "********".into());
}

pub fn pg_shadow(catalog: &Catalog, rows: &mut Rows) {
    user(catalog, rows, Cell::Null);
}

fn user(catalog: &Catalog, rows: &mut Rows, password: Cell) {
    rows.push([
        ("usename", catalog.inputs().user.as_str().into()),
        ("usesysid", oids::USER.into()),
        ("usecreatedb", true.into()),
        ("usesuper", true.into()),
        ("userepl", false.into()),
        ("usebypassrls", true.into()),
        ("passwd", password),
    ]);
}

pub fn pg_settings(catalog: &Catalog, rows: &mut Rows) {
    for setting in &catalog.inputs().settings {
        let category = match setting.name.split_once('.') {
            Some(_) => "Customized Options",
            None => "Client Connection Defaults",
        };
        rows.push([
            ("name", setting.name.as_str().into()),
            ("setting", setting.value.as_str().into()),
            ("unit", setting.unit.clone().into()),
            ("category", category.into()),
            ("short_desc", setting.description.as_str().into()),
            ("context", "user".into()),
            ("vartype", variable_type(&setting.value).into()),
            ("source", if setting.value == setting.default { "default" } else { "session" }.into()),
            ("boot_val", setting.default.as_str().into()),
            ("reset_val", setting.default.as_str().into()),
            ("pending_restart", false.into()),
        ]);
    }
}

/// `vartype` as far as a value tells it.
fn variable_type(value: &str) -> &'static str {
    match value {
        "on" | "off" => "bool",
        _ if value.parse::<i64>().is_ok() => "integer",
        _ if value.parse::<f64>().is_ok() => "real",
        _ => "string",
    }
}

pub fn pg_stat_activity(catalog: &Catalog, rows: &mut Rows) {
    for activity in &catalog.inputs().activity {
        let (address, port) = match &activity.client_address {
            Some((address, port)) => (Cell::from(address), Cell::from(u32::from(*port))),
            None => (Cell::Null, Cell::from(-1)),
        };
        rows.push([
            ("datid", oids::DATABASE.into()),
            ("datname", activity.database.as_str().into()),
            ("pid", activity.pid.into()),
            ("usesysid", oids::USER.into()),
            ("usename", activity.user.as_str().into()),
            ("application_name", activity.application_name.as_str().into()),
            ("client_addr", address),
            ("client_port", port),
            ("backend_start", activity.backend_start_us.into()),
            ("xact_start", activity.transaction_start_us.into()),
            ("query_start", activity.query_start_us.into()),
            ("state", activity.state.as_str().into()),
            ("query", activity.query.as_str().into()),
            ("backend_type", "client backend".into()),
        ]);
    }
}

pub fn pg_stat_database(catalog: &Catalog, rows: &mut Rows) {
    rows.push([
        ("datid", oids::DATABASE.into()),
        ("datname", catalog.inputs().database.as_str().into()),
        ("numbackends", (catalog.inputs().activity.len() as i64).into()),
    ]);
}

pub fn pg_stat_progress_copy(catalog: &Catalog, rows: &mut Rows) {
    for activity in &catalog.inputs().activity {
        let Some(copy) = &activity.copying else { continue };
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        rows.push([
            ("pid", activity.pid.into()),
            ("datid", oids::DATABASE.into()),
            ("datname", activity.database.as_str().into()),
            ("relid", copy.facts.table.map_or(0, relation_oid).into()),
            ("command", if copy.facts.from { "COPY FROM" } else { "COPY TO" }.into()),
            ("type", if copy.facts.file { "FILE" } else { "PIPE" }.into()),
            ("bytes_processed", number(copy.bytes).into()),
            ("bytes_total", number(copy.facts.bytes_total).into()),
            ("tuples_processed", number(copy.rows).into()),
            // COPY FROM … WHERE is not supported.
            ("tuples_excluded", 0.into()),
        ]);
    }
}

pub fn pg_stat_ssl(catalog: &Catalog, rows: &mut Rows) {
    for activity in &catalog.inputs().activity {
        rows.push([("pid", activity.pid.into()), ("ssl", activity.ssl.into())]);
    }
}

pub fn pg_prepared_statements(catalog: &Catalog, rows: &mut Rows) {
    for prepared in &catalog.inputs().prepared {
        let parameters = prepared.parameters.iter().map(|t| i64::from(types::oid_of(t)));
        rows.push([
            ("name", prepared.name.as_str().into()),
            ("statement", prepared.statement.as_str().into()),
            ("prepare_time", prepared.prepared_us.into()),
            ("parameter_types", parameters.collect::<Vec<_>>().into()),
            ("from_sql", prepared.from_sql.into()),
        ]);
    }
}

pub fn pg_cursors(catalog: &Catalog, rows: &mut Rows) {
    for cursor in &catalog.inputs().cursors {
        rows.push([
            ("name", cursor.name.as_str().into()),
            ("statement", cursor.statement.as_str().into()),
            ("is_holdable", cursor.hold.into()),
            ("is_binary", cursor.binary.into()),
            ("is_scrollable", cursor.scroll.into()),
            ("creation_time", cursor.created_us.into()),
        ]);
    }
}
