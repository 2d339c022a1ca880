//! Who, where and under which settings: `version()`, `current_user`, `current_setting()` …

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::facts::SessionFacts;
use super::row_function::RowFunction;
use crate::error::{Error, ErrorKind};
use crate::plan::pg_catalog::cell::Cell;

type Facts = Arc<SessionFacts>;

/// The functions of this file.
pub fn functions(facts: &Facts) -> Vec<ScalarUDF> {
    let mut all = identity(facts);
    all.extend(server(facts));
    all.extend(settings(facts));
    all.extend(transactions(facts));
    all.into_iter().map(ScalarUDF::from).collect()
}

fn constant(name: &'static str, returns: &'static str, value: impl Into<Cell>) -> RowFunction {
    let value = value.into();
    RowFunction::new(name, &[""], returns, move |_| Ok(value.clone()))
}

fn identity(facts: &Facts) -> Vec<RowFunction> {
    let mut all = vec![
        constant("current_database", "name", &facts.database),
        constant("current_catalog", "name", &facts.database),
        constant("pg_backend_pid", "int4", facts.pid),
        constant("inet_server_addr", "inet", facts.server_address.as_ref().map(|a| a.0.clone())),
        constant("inet_server_port", "int4", facts.server_address.as_ref().map(|a| i32::from(a.1))),
        constant("inet_client_addr", "inet", facts.client_address.as_ref().map(|a| a.0.clone())),
        constant("inet_client_port", "int4", facts.client_address.as_ref().map(|a| i32::from(a.1))),
    ];
    for name in ["current_user", "session_user", "user", "current_role", "system_user"] {
        all.push(constant(name, "name", &facts.user));
    }
    let session = Arc::clone(facts);
    all.push(RowFunction::new("current_schema", &[""], "name", move |_| {
        let catalog = session.hooks.catalog();
        let mut path = catalog.inputs().search_path.iter();
        Ok(path.find(|name| catalog.namespace(name).is_some()).cloned().into())
    }));
    let session = Arc::clone(facts);
    all.push(RowFunction::new("current_schemas", &["b"], "_name", move |row| {
        let catalog = session.hooks.catalog();
        let implied = row.bool(0) == Some(true);
        let named = &catalog.inputs().search_path;
        let path = catalog.search_path().filter(|name| implied || named.iter().any(|n| n == name));
        let there = path.filter(|name| catalog.namespace(name).is_some());
        Ok(Cell::Texts(there.map(str::to_owned).collect()))
    }));
    all
}

fn server(facts: &Facts) -> Vec<RowFunction> {
    let version = format!(
        "PostgreSQL {} ({}) on {}-{}",
        facts.server_version,
        facts.product,
        std::env::consts::ARCH,
        std::env::consts::OS
    );
    let session = Arc::clone(facts);
    let signal = |name, terminate| {
        let session = Arc::clone(&session);
        RowFunction::new(name, &["i", "ii"], "bool", move |row| {
            let pid = row.int(0).and_then(|pid| i32::try_from(pid).ok());
            match pid {
                Some(pid) => session.hooks.signal(pid, terminate).map(Cell::from),
                None => Ok(Cell::Bool(false)),
            }
        })
        .volatile()
    };
    vec![
        constant("version", "text", version),
        constant("pg_postmaster_start_time", "timestamptz", facts.server_start_us),
        constant("pg_conf_load_time", "timestamptz", facts.server_start_us),
        constant("pg_is_in_recovery", "bool", false),
        constant("pg_is_wal_replay_paused", "bool", false),
        constant("pg_client_encoding", "name", "UTF8"),
        constant("getdatabaseencoding", "name", "UTF8"),
        constant("pg_my_temp_schema", "oid", 0),
        constant("pg_jit_available", "bool", false),
        signal("pg_cancel_backend", false),
        signal("pg_terminate_backend", true),
        // There are no advisory locks, so no one else can hold one.
        RowFunction::new("pg_advisory_lock", &["i", "ii"], "void", |_| Ok("".into())).volatile(),
        RowFunction::new("pg_advisory_xact_lock", &["i", "ii"], "void", |_| Ok("".into()))
            .volatile(),
        RowFunction::new("pg_try_advisory_lock", &["i", "ii"], "bool", |_| Ok(true.into()))
            .volatile(),
        RowFunction::new("pg_try_advisory_xact_lock", &["i", "ii"], "bool", |_| Ok(true.into()))
            .volatile(),
        RowFunction::new("pg_advisory_unlock", &["i", "ii"], "bool", |_| Ok(true.into()))
            .volatile(),
        RowFunction::new("pg_advisory_unlock_all", &[""], "void", |_| Ok("".into())).volatile(),
        RowFunction::new("pg_encoding_to_char", &["i"], "name", |row| {
            Ok(match row.int(0) {
                Some(6) => "UTF8",
                Some(0) => "SQL_ASCII",
                _ => "",
            }
            .into())
        }),
        RowFunction::new("pg_char_to_encoding", &["t"], "int4", |row| {
            let name = row.text(0).unwrap_or_default().to_lowercase().replace(['-', '_'], "");
            Ok(match name.as_str() {
                "utf8" | "unicode" => 6,
                "sqlascii" => 0,
                _ => -1,
            }
            .into())
        }),
    ]
}

fn settings(facts: &Facts) -> Vec<RowFunction> {
    let session = Arc::clone(facts);
    let current = RowFunction::new("current_setting", &["t", "tb"], "text", move |row| {
        let name = row.text(0).unwrap_or_default();
        match session.hooks.setting(name) {
            Some(value) => Ok(value.into()),
            None if row.bool(1) == Some(true) => Ok(Cell::Null),
            None => Err(Error::new(
                ErrorKind::UndefinedObject,
                format!("unrecognized configuration parameter \"{name}\""),
            )),
        }
    });
    let session = Arc::clone(facts);
    let set = RowFunction::new("set_config", &["ttb"], "text", move |row| {
        let (name, value) = (row.text(0).unwrap_or_default(), row.text(1).unwrap_or_default());
        session.hooks.set_setting(name, value, row.bool(2) == Some(true)).map(Cell::from)
    });
    vec![current, set.with_nulls().volatile()]
}

fn transactions(facts: &Facts) -> Vec<RowFunction> {
    let named = |name, returns| {
        let session = Arc::clone(facts);
        RowFunction::new(name, &[""], returns, move |_| {
            Ok(Cell::Int(session.hooks.transaction_id().min(i64::MAX as u64) as i64))
        })
    };
    vec![
        named("txid_current", "int8"),
        named("txid_current_if_assigned", "int8"),
        named("pg_current_xact_id", "int8"),
    ]
}
