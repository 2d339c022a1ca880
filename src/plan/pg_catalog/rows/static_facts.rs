//! What is the same in every database: types, functions, casts, access methods, time zones.

use crate::plan::pg_catalog::catalog::{Catalog, oids};
use crate::plan::pg_catalog::definitions::functions;
use crate::plan::pg_catalog::relation::Rows;
use crate::plan::pg_catalog::types::types;

fn lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().map(|line| line.split(' ').collect())
}

fn number(text: &str) -> i64 {
    text.parse().expect("the facts are well formed")
}

pub fn pg_type(_: &Catalog, rows: &mut Rows) {
    for of in types() {
        let f = &of.fields;
        rows.push([
            ("oid", of.oid.into()),
            ("typname", of.name.into()),
            ("typnamespace", oids::PG_CATALOG.into()),
            ("typowner", oids::USER.into()),
            ("typlen", of.len.into()),
            ("typbyval", (f[3] == "t").into()),
            ("typtype", f[4].into()),
            ("typcategory", f[5].into()),
            ("typispreferred", (f[6] == "t").into()),
            ("typisdefined", true.into()),
            ("typdelim", f[7].into()),
            ("typelem", of.elem.into()),
            ("typarray", of.array.into()),
            ("typinput", f[10].into()),
            ("typoutput", f[11].into()),
            ("typreceive", f[12].into()),
            ("typsend", f[13].into()),
            ("typalign", f[14].into()),
            ("typstorage", f[15].into()),
            ("typtypmod", (-1).into()),
            ("typcollation", number(f[16]).into()),
        ]);
    }
}

pub fn pg_proc(_: &Catalog, rows: &mut Rows) {
    const INTERNAL: u32 = 12;
    for f in functions() {
        let arguments: Vec<i64> = f.arguments.iter().map(|oid| i64::from(*oid)).collect();
        rows.push([
            ("oid", f.oid.into()),
            ("proname", f.name.into()),
            ("pronamespace", oids::PG_CATALOG.into()),
            ("proowner", oids::USER.into()),
            ("prolang", INTERNAL.into()),
            ("procost", 1.0.into()),
            ("prokind", f.kind.into()),
            ("proisstrict", f.strict.into()),
            ("proretset", f.returns_set.into()),
            ("provolatile", f.volatility.into()),
            ("proparallel", 's'.into()),
            ("pronargs", (arguments.len() as i64).into()),
            ("prorettype", f.returns.into()),
            ("proargtypes", arguments.into()),
            ("prosrc", f.name.into()),
        ]);
    }
}

pub fn pg_cast(_: &Catalog, rows: &mut Rows) {
    for f in lines(include_str!("../facts/casts.txt")) {
        rows.push([
            ("oid", number(f[0]).into()),
            ("castsource", number(f[1]).into()),
            ("casttarget", number(f[2]).into()),
            ("castfunc", number(f[3]).into()),
            ("castcontext", f[4].into()),
            ("castmethod", f[5].into()),
        ]);
    }
}

/// The btree operator class of a type, 0 if it has none.
pub fn default_opclass(type_oid: u32) -> i64 {
    let found = lines(include_str!("../facts/opclasses.txt"))
        .find(|f| number(f[3]) == i64::from(type_oid) && f[4] == "t");
    match type_oid {
        1043 => default_opclass(25), // varchar's operators are text's
        _ => found.map_or(0, |f| number(f[0])),
    }
}

pub fn pg_opclass(_: &Catalog, rows: &mut Rows) {
    for f in lines(include_str!("../facts/opclasses.txt")) {
        rows.push([
            ("oid", number(f[0]).into()),
            ("opcmethod", oids::BTREE.into()),
            ("opcname", f[1].into()),
            ("opcnamespace", oids::PG_CATALOG.into()),
            ("opcowner", oids::USER.into()),
            ("opcfamily", number(f[2]).into()),
            ("opcintype", number(f[3]).into()),
            ("opcdefault", (f[4] == "t").into()),
            ("opckeytype", number(f[5]).into()),
        ]);
    }
}

pub fn pg_am(_: &Catalog, rows: &mut Rows) {
    for (oid, name, handler, kind) in [
        (oids::HEAP, "heap", "heap_tableam_handler", 't'),
        (oids::BTREE, "btree", "bthandler", 'i'),
    ] {
        rows.push([
            ("oid", oid.into()),
            ("amname", name.into()),
            ("amhandler", handler.into()),
            ("amtype", kind.into()),
        ]);
    }
}

pub fn pg_collation(_: &Catalog, rows: &mut Rows) {
    for (oid, name, provider, locale) in [
        (oids::COLLATION, "default", 'd', None),
        (950, "C", 'c', Some("C")),
        (951, "POSIX", 'c', Some("POSIX")),
    ] {
        rows.push([
            ("oid", oid.into()),
            ("collname", name.into()),
            ("collnamespace", oids::PG_CATALOG.into()),
            ("collowner", oids::USER.into()),
            ("collprovider", provider.into()),
            ("collisdeterministic", true.into()),
            ("collencoding", (-1).into()),
            ("collcollate", locale.into()),
            ("collctype", locale.into()),
        ]);
    }
}

pub fn pg_language(_: &Catalog, rows: &mut Rows) {
    for (oid, name) in [(12, "internal"), (13, "c"), (14, "sql")] {
        rows.push([
            ("oid", oid.into()),
            ("lanname", name.into()),
            ("lanowner", oids::USER.into()),
            ("lanpltrusted", (name == "sql").into()),
        ]);
    }
}

pub fn pg_range(_: &Catalog, rows: &mut Rows) {
    for (range, of) in
        [(3904, 23), (3906, 1700), (3908, 1114), (3910, 1184), (3912, 1082), (3926, 20)]
    {
        rows.push([
            ("rngtypid", range.into()),
            ("rngsubtype", of.into()),
            ("rngsubopc", default_opclass(of as u32).into()),
        ]);
    }
}

pub fn pg_tablespace(_: &Catalog, rows: &mut Rows) {
    for (oid, name) in [(oids::TABLESPACE, "pg_default"), (1664, "pg_global")] {
        rows.push([("oid", oid.into()), ("spcname", name.into()), ("spcowner", oids::USER.into())]);
    }
}

/// Names only: offsets change with the time of asking, and nothing here knows the time.
pub fn pg_timezone_names(_: &Catalog, rows: &mut Rows) {
    for zone in chrono_tz::TZ_VARIANTS {
        rows.push([("name", zone.name().into())]);
    }
}
