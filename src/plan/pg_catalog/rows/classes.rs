//! Relations and their columns: `pg_class`, `pg_attribute`, `pg_attrdef`, `pg_namespace`,
//! `pg_description`.

use crate::plan::pg_catalog::catalog::{Catalog, Object, oids, relation_oid};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::name::quote_ident;
use crate::plan::pg_catalog::relation::Rows;
use crate::plan::pg_catalog::types;
use crate::spec::{ColumnId, Generated};
use crate::store::TEMPORARY_NAMESPACE;

/// What `pg_class` and PostgreSQL's planners call a page.
const PAGE_BYTES: u64 = 8192;

pub fn pg_class(catalog: &Catalog, rows: &mut Rows) {
    for (oid, object) in sorted(catalog) {
        let (kind, access, has_index) = match object {
            Object::Table(t) => {
                let keyed = t.schema.primary_key.is_some() || !t.schema.unique.is_empty();
                ('r', oids::HEAP, keyed)
            }
            Object::Index(..) => ('i', oids::BTREE, false),
            Object::Sequence(_) => ('S', 0, false),
            Object::View(_) => ('v', 0, false),
            Object::System(relation) if relation.kind == 'r' => ('r', oids::HEAP, false),
            Object::System(_) => ('v', 0, false),
        };
        let (tuples, pages) = match object {
            // -1 is PostgreSQL's "not known yet".
            Object::Table(t) => (t.rows.map_or(-1.0, |n| n as f64), t.bytes.div_ceil(PAGE_BYTES)),
            _ => (0.0, 0),
        };
        let is_temporary = object.namespace() == TEMPORARY_NAMESPACE;
        let checks = match object {
            Object::Table(t) => t.schema.checks.len() as i64,
            _ => 0,
        };
        rows.push([
            ("oid", oid.into()),
            ("relname", object.name().into()),
            ("relnamespace", catalog.namespace(object.namespace()).into()),
            ("relowner", oids::USER.into()),
            ("relam", access.into()),
            ("relfilenode", if kind == 'v' { 0u32 } else { oid }.into()),
            ("relpages", (pages.min(i32::MAX as u64) as i32).into()),
            ("reltuples", tuples.into()),
            ("relhasindex", has_index.into()),
            ("relpersistence", if is_temporary { 't' } else { 'p' }.into()),
            ("relkind", kind.into()),
            ("relnatts", (catalog.columns(object).len() as i64).into()),
            ("relchecks", checks.into()),
            ("relhasrules", (kind == 'v').into()),
            ("relispopulated", true.into()),
            ("relreplident", if kind == 'r' { 'd' } else { 'n' }.into()),
            ("reloptions", options(object)),
        ]);
    }
}

/// WITH (…), and the clauses that PostgreSQL has not: psql's `\d+` shows them as options.
fn options(object: Object<'_>) -> Cell {
    let Object::Table(table) = object else { return Cell::Null };
    let schema = &table.schema;
    let names = |ids: &[ColumnId]| {
        let columns = ids.iter().filter_map(|id| schema.columns.iter().find(|c| c.id == *id));
        columns.map(|column| quote_ident(&column.name)).collect::<Vec<_>>().join(", ")
    };
    let clauses = [
        ("cluster_by", schema.cluster_by.clone()),
        ("event_time", schema.event_time.into_iter().collect()),
        ("known_time", schema.known_time.into_iter().collect()),
        ("ties", schema.ties.clone()),
    ];
    let by_key = schema.primary_key.as_ref().map(|key| key.columns.as_slice());
    let follows_key = |name: &str, ids: &[ColumnId]| name == "cluster_by" && by_key == Some(ids);
    let said = clauses.iter().filter(|(name, ids)| !ids.is_empty() && !follows_key(name, ids));
    let written = schema.options.iter().map(|(name, value)| format!("{name}={value}"));
    let said = said.map(|(name, ids)| format!("{name}=({})", names(ids)));
    let options: Vec<String> = written.chain(said).collect();
    if options.is_empty() { Cell::Null } else { Cell::Texts(options) }
}

fn sorted(catalog: &Catalog) -> Vec<(u32, Object<'_>)> {
    let mut objects: Vec<_> = catalog.objects().collect();
    objects.sort_by_key(|(oid, _)| *oid);
    objects
}

pub fn pg_attribute(catalog: &Catalog, rows: &mut Rows) {
    for (oid, object) in sorted(catalog) {
        for (position, (name, type_oid, typmod, not_null)) in
            catalog.columns(object).into_iter().enumerate()
        {
            let Some(of) = types::by_oid(type_oid) else { continue };
            let column = match object {
                Object::Table(t) => t.schema.columns.get(position),
                _ => None,
            };
            let has_default = column.is_some_and(|c| catalog.default_of(c).is_some());
            let (identity, computed) = match column.and_then(|c| c.generated.as_ref()) {
                Some(Generated::Identity { always: true, .. }) => ("a", ""),
                Some(Generated::Identity { always: false, .. }) => ("d", ""),
                Some(Generated::Stored(_)) => ("", "s"),
                Some(Generated::Serial { .. }) | None => ("", ""),
            };
            let field = |at: usize| of.fields.get(at).copied().unwrap_or_default();
            rows.push([
                ("attrelid", oid.into()),
                ("attname", name.into()),
                ("atttypid", type_oid.into()),
                ("attstattarget", (-1).into()),
                ("attlen", of.len.into()),
                ("attnum", (position as i64 + 1).into()),
                ("attndims", i32::from(of.name.starts_with('_')).into()),
                ("attcacheoff", (-1).into()),
                ("atttypmod", typmod.into()),
                ("attbyval", (field(3) == "t").into()),
                ("attalign", field(14).into()),
                ("attstorage", field(15).into()),
                ("attnotnull", not_null.into()),
                ("atthasdef", has_default.into()),
                ("attidentity", identity.into()),
                ("attgenerated", computed.into()),
                ("attislocal", true.into()),
                ("attcollation", field(16).parse::<u32>().unwrap_or(0).into()),
            ]);
        }
    }
}

pub fn pg_attrdef(catalog: &Catalog, rows: &mut Rows) {
    for table in &catalog.inputs().tables {
        let relation = relation_oid(table.schema.table);
        for (position, column) in table.schema.columns.iter().enumerate() {
            let Some(default) = catalog.default_of(column) else { continue };
            rows.push([
                // Above the relations and below the schemas; up to 2048 columns of 2^17 tables.
                (
                    "oid",
                    (0x8000_0000_u32 | ((relation / 8) << 11) & 0x0fff_ffff | position as u32)
                        .into(),
                ),
                ("adrelid", relation.into()),
                ("adnum", (position as i64 + 1).into()),
                ("adbin", default.into()),
            ]);
        }
    }
}

pub fn pg_namespace(catalog: &Catalog, rows: &mut Rows) {
    for (oid, name) in catalog.namespaces() {
        rows.push([
            ("oid", (*oid).into()),
            ("nspname", name.into()),
            ("nspowner", oids::USER.into()),
        ]);
    }
}

pub fn pg_description(catalog: &Catalog, rows: &mut Rows) {
    for table in &catalog.inputs().tables {
        if let Some(comment) = &table.comment {
            rows.push([
                ("objoid", relation_oid(table.schema.table).into()),
                ("classoid", PG_CLASS.into()),
                ("description", comment.into()),
            ]);
        }
        for (position, column) in table.schema.columns.iter().enumerate() {
            let Some(comment) = &column.comment else { continue };
            rows.push([
                ("objoid", relation_oid(table.schema.table).into()),
                ("classoid", PG_CLASS.into()),
                ("objsubid", (position as i64 + 1).into()),
                ("description", comment.into()),
            ]);
        }
    }
    for (name, comment) in &catalog.inputs().namespace_comments {
        let oid = catalog.namespaces().iter().find(|(_, known)| known == name).map(|(oid, _)| *oid);
        rows.push([
            ("objoid", oid.unwrap_or_default().into()),
            ("classoid", PG_NAMESPACE.into()),
            ("description", comment.into()),
        ]);
    }
    let views = catalog.inputs().views.iter().map(|v| (v.view.id, &v.view.comment));
    let sequences = catalog.inputs().sequences.iter().map(|s| (s.sequence.id, &s.sequence.comment));
    for (id, comment) in views.chain(sequences) {
        let Some(comment) = comment else { continue };
        rows.push([
            ("objoid", relation_oid(id).into()),
            ("classoid", PG_CLASS.into()),
            ("description", comment.into()),
        ]);
    }
}

/// The oid of `pg_namespace` itself.
pub const PG_NAMESPACE: u32 = 2615;

/// The oid of `pg_class` itself: what `classoid` columns say about relations.
pub const PG_CLASS: u32 = 1259;
