//! Look-ups in the catalogue: names of oids, visibility, definitions, comments, `to_reg…`.
//!
//! Functions whose names begin with `asofdb_` are what `pg_catalog::rewrite` makes of casts to
//! `regclass` and its kin.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::facts::SessionFacts;
use super::row_function::{Row, RowFunction};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::pg_catalog::Catalog;
use crate::plan::pg_catalog::catalog::{Object, oids, relation_oid};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::constraint::constraints;
use crate::plan::pg_catalog::definitions;
use crate::plan::pg_catalog::name::quote_ident;
use crate::plan::pg_catalog::types::{self, format_type};
use crate::spec::Generated;

type Lookup = fn(&Catalog, &Row<'_>) -> Result<Cell>;

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let of = |name, shapes, returns, lookup: Lookup| {
        let facts = Arc::clone(facts);
        RowFunction::new(name, shapes, returns, move |row| lookup(&facts.hooks.catalog(), row))
    };
    let mut all = vec![
        of("pg_table_is_visible", &["i"], "bool", |c, row| Ok(c.is_visible(oid(row, 0)).into())),
        of("pg_get_userbyid", &["i"], "name", user_by_id),
        of("pg_get_indexdef", &["i", "iib"], "text", index_definition),
        of("col_description", &["ii"], "text", column_description),
        of("pg_get_serial_sequence", &["tt"], "text", serial_sequence),
        of("pg_get_constraintdef", &["i", "ib"], "text", constraint_definition),
        of("pg_get_viewdef", &["n", "nb", "ni"], "text", view_definition),
        of("obj_description", &["i", "it"], "text", object_description),
        of("pg_describe_object", &["iii"], "text", |c, row| {
            Ok(c.regclass_name(oid(row, 1)).into())
        }),
        of("asofdb_regclass", &["n"], "oid", |c, row| match row.text(0) {
            Some(name) => c.regclass(name).map(Cell::from),
            None => Ok(row.int(0).into()),
        }),
        of("to_regclass", &["t"], "oid", |c, row| {
            Ok(c.regclass(row.text(0).unwrap_or_default()).ok().into())
        }),
        of("asofdb_regclass_name", &["n"], "text", |c, row| match row.text(0) {
            Some(name) => c.regclass(name).map(|oid| c.regclass_name(oid).into()),
            None => Ok(c.regclass_name(oid(row, 0)).into()),
        }),
        of("asofdb_regnamespace", &["n"], "oid", |c, row| namespace(c, row).map(Cell::from)),
        of("to_regnamespace", &["t"], "oid", |c, row| Ok(namespace(c, row).ok().into())),
        of("asofdb_regnamespace_name", &["n"], "text", |c, row| {
            let oid = namespace(c, row)?;
            let name = c.namespace_name(oid).map(quote_ident);
            Ok(name.unwrap_or_else(|| number_or_dash(oid)).into())
        }),
        of("asofdb_regrole", &["n"], "oid", |_, _| Ok(oids::USER.into())),
        of("to_regrole", &["t"], "oid", |c, row| {
            Ok((row.text(0) == Some(c.inputs().user.as_str())).then_some(oids::USER).into())
        }),
        of("asofdb_regrole_name", &["n"], "text", user_by_id),
    ];
    all.extend(type_functions());
    all.extend(fixed_functions());
    all.into_iter().map(ScalarUDF::from).collect()
}

fn oid(row: &Row<'_>, at: usize) -> u32 {
    row.int(at).and_then(|oid| u32::try_from(oid).ok()).unwrap_or(0)
}

fn number_or_dash(oid: u32) -> String {
    if oid == 0 { "-".to_owned() } else { oid.to_string() }
}

fn user_by_id(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    Ok(match (row.text(0), oid(row, 0)) {
        (Some(name), _) => name.into(),
        (None, oids::USER) => catalog.inputs().user.as_str().into(),
        (None, other) => format!("unknown (OID={other})").into(),
    })
}

fn index_definition(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    Ok(match catalog.object(oid(row, 0)) {
        Some(Object::Index(table, at)) => {
            constraints(table)[at].index_definition(row.int(1).unwrap_or(0)).into()
        }
        _ => Cell::Null,
    })
}

fn constraint_definition(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    Ok(catalog.constraint(oid(row, 0)).map(|constraint| constraint.definition()).into())
}

fn view_definition(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    let oid = match row.text(0) {
        Some(name) => catalog.regclass(name)?,
        None => oid(row, 0),
    };
    Ok(match catalog.object(oid) {
        Some(Object::View(view)) => format!("{};", view.view.query.trim_end_matches(';')).into(),
        _ => Cell::Null,
    })
}

fn object_description(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    if row.text(1).is_none_or(|class| class == "pg_namespace")
        && let Some(name) = catalog.namespace_name(oid(row, 0))
    {
        let known = catalog.inputs().namespace_comments.iter().find(|(known, _)| known == name);
        return Ok(known.map(|(_, comment)| comment.clone()).into());
    }
    if row.text(1).is_some_and(|class| class != "pg_class") {
        return Ok(Cell::Null);
    }
    Ok(match catalog.object(oid(row, 0)) {
        // A table and its index are one object to us; only the table has a comment.
        Some(Object::Table(table)) if relation_oid(table.schema.table) == oid(row, 0) => {
            table.comment.clone().into()
        }
        Some(Object::View(view)) => view.view.comment.clone().into(),
        Some(Object::Sequence(facts)) => facts.sequence.comment.clone().into(),
        _ => Cell::Null,
    })
}

fn column_description(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    let Some(Object::Table(table)) = catalog.object(oid(row, 0)) else { return Ok(Cell::Null) };
    let at = row.int(1).and_then(|n| usize::try_from(n - 1).ok());
    let column = at.and_then(|at| table.schema.columns.get(at));
    Ok(column.and_then(|column| column.comment.clone()).into())
}

/// The sequence that a column owns, as `schema.name`.
fn serial_sequence(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    let (Some(table), Some(column)) = (row.text(0), row.text(1)) else { return Ok(Cell::Null) };
    let Some(Object::Table(found)) = catalog.object(catalog.regclass(table)?) else {
        return Ok(Cell::Null);
    };
    let Some((_, own)) = found.schema.column_named(column) else {
        let message =
            format!("column \"{column}\" of relation \"{}\" does not exist", found.schema.name);
        return Err(Error::new(ErrorKind::UndefinedColumn, message));
    };
    let owned = own.generated.as_ref().and_then(Generated::sequence).map(relation_oid);
    let Some(Object::Sequence(facts)) = owned.and_then(|oid| catalog.object(oid)) else {
        return Ok(Cell::Null);
    };
    let (namespace, name) = (&facts.sequence.namespace, &facts.sequence.name);
    Ok(format!("{}.{}", quote_ident(namespace), quote_ident(name)).into())
}

fn namespace(catalog: &Catalog, row: &Row<'_>) -> Result<u32> {
    let Some(name) = row.text(0) else {
        return Ok(oid(row, 0));
    };
    catalog.namespace(name.trim_matches('"')).ok_or_else(|| {
        Error::new(ErrorKind::UndefinedSchema, format!("schema \"{name}\" does not exist"))
    })
}

fn type_functions() -> Vec<RowFunction> {
    let named = |row: &Row<'_>| match row.text(0) {
        Some(name) => types::by_spelling(name).map(|t| t.oid).ok_or_else(|| {
            Error::new(ErrorKind::UndefinedObject, format!("type \"{name}\" does not exist"))
        }),
        None => Ok(oid(row, 0)),
    };
    vec![
        RowFunction::new("format_type", &["ii"], "text", |row| {
            if row.is_null(0) {
                return Ok(Cell::Null);
            }
            Ok(format_type(oid(row, 0), row.int(1).map(|m| m as i32)).into())
        })
        .with_nulls(),
        RowFunction::new("asofdb_regtype", &["n"], "oid", move |row| named(row).map(Cell::from)),
        RowFunction::new("to_regtype", &["t"], "oid", move |row| Ok(named(row).ok().into())),
        RowFunction::new("asofdb_regtype_name", &["n"], "text", move |row| {
            Ok(format_type(named(row)?, None).into())
        }),
        RowFunction::new("pg_type_is_visible", &["i"], "bool", |row| {
            Ok(types::by_oid(oid(row, 0)).map(|_| true).into())
        }),
        regproc(),
        RowFunction::new("to_regproc", &["t"], "oid", |row| {
            let oid = definitions::function_oid(row.text(0).unwrap_or_default());
            Ok((oid != 0).then_some(oid).into())
        }),
        RowFunction::new("asofdb_regproc_name", &["n"], "text", |row| {
            Ok(match row.text(0) {
                Some(name) => name.to_owned(),
                None => definitions::function_name(oid(row, 0))
                    .map_or_else(|| number_or_dash(oid(row, 0)), str::to_owned),
            }
            .into())
        }),
        RowFunction::new("pg_get_function_result", &["i"], "text", |row| {
            let function = definitions::function(oid(row, 0));
            Ok(function.map(|f| format_type(f.returns, None)).into())
        }),
        RowFunction::new("pg_get_function_arguments", &["i"], "text", arguments),
        RowFunction::new("pg_get_function_identity_arguments", &["i"], "text", |row| {
            arguments(row)
        }),
        RowFunction::new("oidvectortypes", &["a"], "text", |row| {
            use arrow::array::AsArray;
            use arrow::datatypes::UInt32Type;
            let items = row.items(0);
            let oids = items.as_ref().and_then(|i| i.as_primitive_opt::<UInt32Type>());
            let names = oids.iter().flat_map(|o| o.values()).map(|o| format_type(*o, None));
            Ok(names.collect::<Vec<_>>().join(", ").into())
        }),
    ]
}

/// `regproc::oid`, of a name or a number.
pub fn function_oid() -> ScalarUDF {
    regproc().into()
}

fn regproc() -> RowFunction {
    RowFunction::new("asofdb_regproc", &["n"], "oid", |row| {
        let name = row.text(0).map(|name| name.rsplit('.').next().unwrap_or(name));
        Ok(name.map_or(Cell::from(row.int(0)), |name| definitions::function_oid(name).into()))
    })
}

fn arguments(row: &Row<'_>) -> Result<Cell> {
    let function = definitions::function(oid(row, 0));
    let names = function.map(|f| f.arguments.iter().map(|o| format_type(*o, None)));
    Ok(names.map(|n| n.collect::<Vec<_>>().join(", ")).into())
}

/// Functions over objects we never have, and over text we keep as it is.
fn fixed_functions() -> Vec<RowFunction> {
    let mut all = vec![
        // `adbin` and its kin hold the expression's text itself.
        RowFunction::new("pg_get_expr", &["ti", "tib"], "text", |row| Ok(row.text(0).into())),
        RowFunction::new("pg_relation_is_publishable", &["i"], "bool", |_| Ok(true.into())),
    ];
    for name in [
        "pg_function_is_visible",
        "pg_operator_is_visible",
        "pg_opclass_is_visible",
        "pg_opfamily_is_visible",
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_statistics_obj_is_visible",
        "pg_ts_config_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_template_is_visible",
    ] {
        // All of these are in pg_catalog, which every search path holds.
        all.push(RowFunction::new(name, &["i"], "bool", |_| Ok(true.into())));
    }
    const NOTHING: &[(&str, &[&str])] = &[
        ("shobj_description", &["it"]),
        ("pg_get_triggerdef", &["i", "ib"]),
        ("pg_get_ruledef", &["i", "ib"]),
        ("pg_get_functiondef", &["i"]),
        ("pg_get_function_sqlbody", &["i"]),
        ("pg_get_partkeydef", &["i"]),
        ("pg_get_partition_constraintdef", &["i"]),
        ("pg_get_statisticsobjdef", &["i"]),
        ("pg_get_statisticsobjdef_columns", &["i"]),
        ("pg_tablespace_location", &["i"]),
        ("pg_stat_get_numscans", &["i"]),
    ];
    for (name, shapes) in NOTHING {
        all.push(RowFunction::new(name, shapes, "text", |_| Ok(Cell::Null)));
    }
    all
}
