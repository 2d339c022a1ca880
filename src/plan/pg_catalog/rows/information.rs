//! `information_schema`: the standard's views of the same objects.

use super::Builder;
use crate::plan::pg_catalog::catalog::{Catalog, Object};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::relation::Rows;
use crate::plan::pg_catalog::types;

pub fn builder(name: &str) -> Option<Builder> {
    Some(match name {
        "tables" => tables,
        "columns" => columns,
        "schemata" => schemata,
        "views" => views,
        "table_constraints" => table_constraints,
        "key_column_usage" => key_column_usage,
        "constraint_column_usage" => constraint_column_usage,
        "constraint_table_usage" => constraint_table_usage,
        "check_constraints" => check_constraints,
        "sequences" => sequences,
        "information_schema_catalog_name" => catalog_name,
        "enabled_roles" => enabled_roles,
        "table_privileges" | "role_table_grants" => table_privileges,
        _ => return None,
    })
}

fn database(catalog: &Catalog) -> Cell {
    catalog.inputs().database.as_str().into()
}

/// Relations with columns (no indexes) by oid: the standard knows nothing else.
fn relations(catalog: &Catalog) -> Vec<Object<'_>> {
    let mut objects: Vec<_> = catalog
        .objects()
        .filter(|(_, o)| !matches!(o, Object::Index(..) | Object::Sequence(_)))
        .collect();
    objects.sort_by_key(|(oid, _)| *oid);
    objects.into_iter().map(|(_, object)| object).collect()
}

fn is_base(object: Object<'_>) -> bool {
    match object {
        Object::Table(_) => true,
        Object::System(relation) => relation.kind == 'r',
        Object::View(_) | Object::Index(..) | Object::Sequence(_) => false,
    }
}

fn yes_or_no(yes: bool) -> Cell {
    if yes { "YES" } else { "NO" }.into()
}

fn tables(catalog: &Catalog, rows: &mut Rows) {
    for object in relations(catalog) {
        rows.push([
            ("table_catalog", database(catalog)),
            ("table_schema", object.namespace().into()),
            ("table_name", object.name().into()),
            ("table_type", if is_base(object) { "BASE TABLE" } else { "VIEW" }.into()),
            ("is_insertable_into", yes_or_no(matches!(object, Object::Table(_)))),
            ("is_typed", "NO".into()),
        ]);
    }
}

fn columns(catalog: &Catalog, rows: &mut Rows) {
    for object in relations(catalog) {
        for (position, column) in catalog.columns(object).into_iter().enumerate() {
            let (name, type_oid, typmod, not_null) = column;
            let default = match object {
                Object::Table(t) => catalog.default_of(&t.schema.columns[position]),
                _ => None,
            };
            let shape = Shape::of(type_oid, typmod);
            rows.push([
                ("table_catalog", database(catalog)),
                ("table_schema", object.namespace().into()),
                ("table_name", object.name().into()),
                ("column_name", name.into()),
                ("ordinal_position", (position as i64 + 1).into()),
                ("column_default", default.into()),
                ("is_nullable", yes_or_no(!not_null)),
                ("data_type", shape.data_type),
                ("character_maximum_length", shape.length.clone()),
                ("character_octet_length", shape.octets),
                ("numeric_precision", shape.precision),
                ("numeric_precision_radix", shape.radix),
                ("numeric_scale", shape.scale),
                ("datetime_precision", shape.datetime),
                ("udt_catalog", database(catalog)),
                ("udt_schema", "pg_catalog".into()),
                ("udt_name", types::by_oid(type_oid).map(|t| t.name).into()),
                ("dtd_identifier", (position + 1).to_string().into()),
                ("is_self_referencing", "NO".into()),
                ("is_identity", "NO".into()),
                ("identity_cycle", "NO".into()),
                ("is_generated", "NEVER".into()),
                ("is_updatable", yes_or_no(matches!(object, Object::Table(_)))),
            ]);
        }
    }
}

/// What the standard says about a type, NULL where it does not apply.
struct Shape {
    data_type: Cell,
    length: Cell,
    octets: Cell,
    precision: Cell,
    radix: Cell,
    scale: Cell,
    datetime: Cell,
}

impl Shape {
    fn of(type_oid: u32, typmod: i32) -> Shape {
        let of = types::by_oid(type_oid);
        let name = of.map_or("", |t| t.name);
        let modifier = (typmod >= 4).then(|| typmod - 4);
        let (precision, radix, scale) = match name {
            "int2" => (Cell::Int(16), Cell::Int(2), Cell::Int(0)),
            "int4" => (Cell::Int(32), Cell::Int(2), Cell::Int(0)),
            "int8" => (Cell::Int(64), Cell::Int(2), Cell::Int(0)),
            "float4" => (Cell::Int(24), Cell::Int(2), Cell::Null),
            "float8" => (Cell::Int(53), Cell::Int(2), Cell::Null),
            "numeric" => {
                (modifier.map(|m| m >> 16).into(), 10.into(), modifier.map(|m| m & 0x7ff).into())
            }
            _ => (Cell::Null, Cell::Null, Cell::Null),
        };
        let length = matches!(name, "varchar" | "bpchar").then_some(modifier).flatten();
        // A character is at most four bytes; without a bound PostgreSQL says 1 GiB.
        let octets = match name {
            "varchar" | "bpchar" | "text" => {
                Cell::Int(length.map_or(1 << 30, |n| i64::from(n) * 4))
            }
            _ => Cell::Null,
        };
        let datetime = match name {
            "date" => Cell::Int(0),
            "time" | "timestamp" | "timestamptz" | "interval" => Cell::Int(6),
            _ => Cell::Null,
        };
        let data_type = match name.starts_with('_') {
            true => "ARRAY".to_owned(),
            false => types::format_type(type_oid, None),
        };
        let (data_type, length) = (data_type.into(), length.into());
        Shape { data_type, length, octets, precision, radix, scale, datetime }
    }
}

fn schemata(catalog: &Catalog, rows: &mut Rows) {
    for (_, name) in catalog.namespaces() {
        rows.push([
            ("catalog_name", database(catalog)),
            ("schema_name", name.into()),
            ("schema_owner", catalog.inputs().user.as_str().into()),
        ]);
    }
}

fn views(catalog: &Catalog, rows: &mut Rows) {
    for view in &catalog.inputs().views {
        rows.push([
            ("table_catalog", database(catalog)),
            ("table_schema", view.view.namespace.as_str().into()),
            ("table_name", view.view.name.as_str().into()),
            ("view_definition", view.view.query.as_str().into()),
            ("check_option", "NONE".into()),
            ("is_updatable", "NO".into()),
            ("is_insertable_into", "NO".into()),
            ("is_trigger_updatable", "NO".into()),
            ("is_trigger_deletable", "NO".into()),
            ("is_trigger_insertable_into", "NO".into()),
        ]);
    }
}

fn table_constraints(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints() {
        let kind = match constraint.kind {
            'p' => "PRIMARY KEY",
            'u' => "UNIQUE",
            _ => "CHECK",
        };
        let schema = &constraint.table.schema;
        rows.push([
            ("constraint_catalog", database(catalog)),
            ("constraint_schema", schema.namespace.as_str().into()),
            ("constraint_name", constraint.name.into()),
            ("table_catalog", database(catalog)),
            ("table_schema", schema.namespace.as_str().into()),
            ("table_name", schema.name.as_str().into()),
            ("constraint_type", kind.into()),
            ("is_deferrable", "NO".into()),
            ("initially_deferred", "NO".into()),
            ("enforced", yes_or_no(constraint.enforced)),
        ]);
    }
}

fn check_constraints(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints() {
        let Some(text) = constraint.text else { continue };
        rows.push([
            ("constraint_catalog", database(catalog)),
            ("constraint_schema", constraint.table.schema.namespace.as_str().into()),
            ("constraint_name", constraint.name.into()),
            ("check_clause", format!("({text})").into()),
        ]);
    }
}

fn key_column_usage(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints().filter(|c| c.index.is_some()) {
        let schema = &constraint.table.schema;
        for (position, id) in constraint.columns.iter().enumerate() {
            rows.push([
                ("constraint_catalog", database(catalog)),
                ("constraint_schema", schema.namespace.as_str().into()),
                ("constraint_name", constraint.name.into()),
                ("table_catalog", database(catalog)),
                ("table_schema", schema.namespace.as_str().into()),
                ("table_name", schema.name.as_str().into()),
                ("column_name", schema.column(*id).map(|c| c.name.clone()).into()),
                ("ordinal_position", (position as i64 + 1).into()),
            ]);
        }
    }
}

fn constraint_column_usage(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints() {
        let schema = &constraint.table.schema;
        for id in &constraint.columns {
            rows.push([
                ("table_catalog", database(catalog)),
                ("table_schema", schema.namespace.as_str().into()),
                ("table_name", schema.name.as_str().into()),
                ("column_name", schema.column(*id).map(|c| c.name.clone()).into()),
                ("constraint_catalog", database(catalog)),
                ("constraint_schema", schema.namespace.as_str().into()),
                ("constraint_name", constraint.name.into()),
            ]);
        }
    }
}

fn constraint_table_usage(catalog: &Catalog, rows: &mut Rows) {
    for constraint in catalog.constraints() {
        let schema = &constraint.table.schema;
        rows.push([
            ("table_catalog", database(catalog)),
            ("table_schema", schema.namespace.as_str().into()),
            ("table_name", schema.name.as_str().into()),
            ("constraint_catalog", database(catalog)),
            ("constraint_schema", schema.namespace.as_str().into()),
            ("constraint_name", constraint.name.into()),
        ]);
    }
}

fn sequences(catalog: &Catalog, rows: &mut Rows) {
    for facts in &catalog.inputs().sequences {
        let sequence = &facts.sequence;
        rows.push([
            ("sequence_catalog", database(catalog)),
            ("sequence_schema", sequence.namespace.as_str().into()),
            ("sequence_name", sequence.name.as_str().into()),
            ("data_type", "bigint".into()),
            ("numeric_precision", 64.into()),
            ("numeric_precision_radix", 2.into()),
            ("numeric_scale", 0.into()),
            ("start_value", sequence.start.to_string().into()),
            ("minimum_value", sequence.min.to_string().into()),
            ("maximum_value", sequence.max.to_string().into()),
            ("increment", sequence.increment.to_string().into()),
            ("cycle_option", yes_or_no(sequence.cycle)),
        ]);
    }
}

fn catalog_name(catalog: &Catalog, rows: &mut Rows) {
    rows.push([("catalog_name", database(catalog))]);
}

fn enabled_roles(catalog: &Catalog, rows: &mut Rows) {
    rows.push([("role_name", catalog.inputs().user.as_str().into())]);
}

fn table_privileges(catalog: &Catalog, rows: &mut Rows) {
    const ALL: [&str; 5] = ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE"];
    for table in &catalog.inputs().tables {
        for privilege in ALL {
            rows.push([
                ("grantor", catalog.inputs().user.as_str().into()),
                ("grantee", catalog.inputs().user.as_str().into()),
                ("table_catalog", database(catalog)),
                ("table_schema", table.schema.namespace.as_str().into()),
                ("table_name", table.schema.name.as_str().into()),
                ("privilege_type", privilege.into()),
                ("is_grantable", "YES".into()),
                ("with_hierarchy", yes_or_no(privilege == "SELECT")),
            ]);
        }
    }
}
