//! Sizes on disk: `pg_table_size` and its family, `pg_size_pretty`.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::facts::SessionFacts;
use super::row_function::{Row, RowFunction};
use crate::error::Result;
use crate::plan::pg_catalog::Catalog;
use crate::plan::pg_catalog::catalog::Object;
use crate::plan::pg_catalog::cell::Cell;

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let of = |name, shapes, size: fn(&Catalog, &Row<'_>) -> Result<Cell>| {
        let facts = Arc::clone(facts);
        RowFunction::new(name, shapes, "int8", move |row| size(&facts.hooks.catalog(), row))
    };
    let all = [
        of("pg_relation_size", &["n", "nt"], relation_size),
        of("pg_table_size", &["n"], relation_size),
        of("pg_total_relation_size", &["n"], relation_size),
        // Keys are inside the segments.
        of("pg_indexes_size", &["n"], |_, _| Ok(0.into())),
        of("pg_database_size", &["n"], database_size),
        of("pg_tablespace_size", &["n"], database_size),
        RowFunction::new("pg_size_pretty", &["i"], "text", |row| Ok(row.int(0).map(pretty).into()))
            .immutable(),
    ];
    all.into_iter().map(ScalarUDF::from).collect()
}

fn relation_size(catalog: &Catalog, row: &Row<'_>) -> Result<Cell> {
    let oid = match (row.text(0), row.int(0)) {
        (Some(name), _) => catalog.regclass(name)?,
        (None, oid) => oid.and_then(|oid| u32::try_from(oid).ok()).unwrap_or(0),
    };
    Ok(match catalog.object(oid) {
        Some(Object::Table(table)) => i64::try_from(table.bytes).unwrap_or(i64::MAX).into(),
        Some(Object::Index(..) | Object::View(_) | Object::Sequence(_) | Object::System(_)) => {
            0.into()
        }
        None => Cell::Null,
    })
}

fn database_size(catalog: &Catalog, _: &Row<'_>) -> Result<Cell> {
    let bytes: u64 = catalog.inputs().tables.iter().map(|table| table.bytes).sum();
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX).into())
}

/// The largest unit in which the size has at most four digits and a half.
fn pretty(bytes: i64) -> String {
    const LIMIT: u64 = 10 * 1024;
    let mut size = bytes.unsigned_abs();
    let sign = if bytes < 0 { "-" } else { "" };
    if size < LIMIT {
        return format!("{sign}{size} bytes");
    }
    // One extra bit is kept until the end, to round half up once.
    size >>= 9;
    for unit in ["kB", "MB", "GB", "TB"] {
        if size < LIMIT * 2 - 1 {
            return format!("{sign}{} {unit}", size.div_ceil(2));
        }
        size >>= 10;
    }
    format!("{sign}{} PB", size.div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_postgres() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (10752, "11 kB"),
            (1 << 20, "1024 kB"),
            (10 << 20, "10 MB"),
            (-(10 << 20), "-10 MB"),
            (10 << 30, "10 GB"),
            (1 << 60, "1024 PB"),
        ] {
            assert_eq!(pretty(bytes), text);
        }
    }
}
