//! `has_table_privilege` and its family. Until there are roles, everyone who could connect may do
//! everything; what these functions still find out is whether the object and the privilege are there.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::facts::SessionFacts;
use super::row_function::{Row, RowFunction};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::pg_catalog::Catalog;
use crate::plan::pg_catalog::catalog::oids;
use crate::plan::pg_catalog::types;

const TABLE: &[&str] = &["nt", "nnt"];
const COLUMN: &[&str] = &["nnt", "nnnt"];

const RELATION_RIGHTS: &[&str] =
    &["select", "insert", "update", "delete", "truncate", "references", "trigger", "rule"];

/// Whether an object given by name or oid is there; None where a number is no such object.
type Finds = fn(&Catalog, &Row<'_>, usize) -> Result<Option<()>>;

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let of = |name, shapes, rights: &'static [&'static str], finds: Finds| {
        let facts = Arc::clone(facts);
        let role_given = shapes == COLUMN;
        RowFunction::new(name, shapes, "bool", move |row| {
            let fixed = if role_given { 3 } else { 2 };
            let object = row.len() - fixed;
            check_rights(row.text(row.len() - 1).unwrap_or_default(), rights)?;
            let catalog = facts.hooks.catalog();
            Ok(finds(&catalog, row, object)?.map(|()| true).into())
        })
    };
    let all = [
        of("has_table_privilege", TABLE, RELATION_RIGHTS, relation),
        of("has_any_column_privilege", TABLE, RELATION_RIGHTS, relation),
        of("has_column_privilege", COLUMN, RELATION_RIGHTS, relation),
        of("has_sequence_privilege", TABLE, &["usage", "select", "update"], relation),
        of("has_schema_privilege", TABLE, &["create", "usage"], schema),
        of("has_database_privilege", TABLE, &["create", "connect", "temporary", "temp"], database),
        of("has_type_privilege", TABLE, &["usage"], type_),
        of("has_function_privilege", TABLE, &["execute"], anything),
        of("has_language_privilege", TABLE, &["usage"], anything),
        of("has_tablespace_privilege", TABLE, &["create"], anything),
        of("has_foreign_data_wrapper_privilege", TABLE, &["usage"], anything),
        of("has_server_privilege", TABLE, &["usage"], anything),
        of("has_parameter_privilege", TABLE, &["set", "alter system"], anything),
        of("pg_has_role", TABLE, &["usage", "member", "set"], role),
    ];
    all.into_iter().map(ScalarUDF::from).collect()
}

fn check_rights(asked: &str, known: &[&str]) -> Result<()> {
    for right in asked.split(',') {
        let right = right.trim().to_lowercase();
        let bare = right.strip_suffix(" with grant option").unwrap_or(&right);
        let bare = bare.strip_suffix(" with admin option").unwrap_or(bare);
        if !known.contains(&bare) {
            let message = format!("unrecognized privilege type: \"{asked}\"");
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
    }
    Ok(())
}

fn relation(catalog: &Catalog, row: &Row<'_>, at: usize) -> Result<Option<()>> {
    match (row.text(at), row.int(at)) {
        (Some(name), _) => catalog.regclass(name).map(|_| Some(())),
        (None, Some(oid)) => {
            Ok(u32::try_from(oid).ok().and_then(|o| catalog.object(o)).map(|_| ()))
        }
        (None, None) => Ok(None),
    }
}

fn schema(catalog: &Catalog, row: &Row<'_>, at: usize) -> Result<Option<()>> {
    match (row.text(at), row.int(at)) {
        (Some(name), _) if catalog.namespace(name).is_some() => Ok(Some(())),
        (Some(name), _) => {
            Err(Error::new(ErrorKind::UndefinedSchema, format!("schema \"{name}\" does not exist")))
        }
        (None, oid) => {
            let oid = oid.and_then(|oid| u32::try_from(oid).ok());
            Ok(oid.and_then(|oid| catalog.namespace_name(oid)).map(|_| ()))
        }
    }
}

fn database(catalog: &Catalog, row: &Row<'_>, at: usize) -> Result<Option<()>> {
    match row.text(at) {
        Some(name) if name == catalog.inputs().database => Ok(Some(())),
        Some(name) => Err(Error::new(
            ErrorKind::UndefinedDatabase,
            format!("database \"{name}\" does not exist"),
        )),
        None => Ok((row.int(at) == Some(i64::from(oids::DATABASE))).then_some(())),
    }
}

fn type_(_: &Catalog, row: &Row<'_>, at: usize) -> Result<Option<()>> {
    match row.text(at) {
        Some(name) if types::by_spelling(name).is_some() => Ok(Some(())),
        Some(name) => {
            Err(Error::new(ErrorKind::UndefinedObject, format!("type \"{name}\" does not exist")))
        }
        None => {
            let oid = row.int(at).and_then(|oid| u32::try_from(oid).ok());
            Ok(oid.and_then(types::by_oid).map(|_| ()))
        }
    }
}

fn role(catalog: &Catalog, row: &Row<'_>, at: usize) -> Result<Option<()>> {
    match row.text(at) {
        Some(name) if name == catalog.inputs().user => Ok(Some(())),
        Some(name) => {
            Err(Error::new(ErrorKind::UndefinedObject, format!("role \"{name}\" does not exist")))
        }
        None => Ok(Some(())),
    }
}

fn anything(_: &Catalog, _: &Row<'_>, _: usize) -> Result<Option<()>> {
    Ok(Some(()))
}
