//! `pg_type`: PostgreSQL's numbers and names of types, and how `spec::Type` maps to them.
//!
//! `facts/types.txt` has one line a type: oid, typname, typlen, typbyval, typtype, typcategory,
//! typispreferred, typdelim, typelem, typarray, the four I/O functions, typalign, typstorage,
//! typcollation.

use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::datatypes::{DataType, Field};

use super::relation::{PG_TYPE_KEY, stored_as};
use crate::spec::Type;

/// One row of `pg_type`.
#[derive(Debug)]
pub struct PgType {
    /// Its number on the wire.
    pub oid: u32,
    /// `int4`, `_text` …
    pub name: &'static str,
    /// Bytes, or -1 for any length.
    pub len: i16,
    /// The type of its items, 0 unless it is an array (or a vector).
    pub elem: u32,
    /// The type of arrays of it, 0 if there is none.
    pub array: u32,
    /// All fields of the line, in its order.
    pub fields: Vec<&'static str>,
}

static TYPES: LazyLock<Vec<PgType>> = LazyLock::new(|| {
    let parse = |line: &'static str| {
        let fields: Vec<&str> = line.split(' ').collect();
        Some(PgType {
            oid: fields.first()?.parse().ok()?,
            name: fields.get(1)?,
            len: fields.get(2)?.parse().ok()?,
            elem: fields.get(8)?.parse().ok()?,
            array: fields.get(9)?.parse().ok()?,
            fields,
        })
    };
    let lines = include_str!("facts/types.txt").lines();
    lines.map(|line| parse(line).expect("types.txt is well formed")).collect()
});

static BY_OID: LazyLock<HashMap<u32, &'static PgType>> =
    LazyLock::new(|| TYPES.iter().map(|t| (t.oid, t)).collect());

static BY_NAME: LazyLock<HashMap<&'static str, &'static PgType>> =
    LazyLock::new(|| TYPES.iter().map(|t| (t.name, t)).collect());

/// All of them, by oid.
pub fn types() -> &'static [PgType] {
    &TYPES
}

/// The type of this number.
pub fn by_oid(oid: u32) -> Option<&'static PgType> {
    BY_OID.get(&oid).copied()
}

/// The type of this `typname`.
pub fn by_name(name: &str) -> Option<&'static PgType> {
    BY_NAME.get(name).copied()
}

/// The type of PostgreSQL's catalogue that a field is shown as, where `spec::Type` has no such type:
/// numbers of objects, names, single characters, and arrays of them. Only system tables have unsigned
/// integers of 32 bits.
pub fn catalog_type(field: &Field) -> Option<&'static PgType> {
    const SHOWN: [&str; 8] = ["oid", "xid", "cid", "name", "char", "_oid", "_name", "_char"];
    let told = field.metadata().get(PG_TYPE_KEY).map(String::as_str);
    match (told, field.data_type()) {
        (Some(name), storage) if SHOWN.contains(&name) && stored_as(name) == *storage => {
            by_name(name)
        }
        (_, DataType::UInt32) => by_name("oid"),
        (_, DataType::List(item)) => by_oid(catalog_type(item)?.array),
        _ => None,
    }
}

/// The SQL spellings that `format_type` gives, where they are not the `typname`.
const SPELLINGS: [(&str, &str); 14] = [
    ("boolean", "bool"),
    ("smallint", "int2"),
    ("integer", "int4"),
    ("bigint", "int8"),
    ("real", "float4"),
    ("double precision", "float8"),
    ("character varying", "varchar"),
    ("character", "bpchar"),
    ("timestamp without time zone", "timestamp"),
    ("timestamp with time zone", "timestamptz"),
    ("time without time zone", "time"),
    ("time with time zone", "timetz"),
    ("bit varying", "varbit"),
    ("\"char\"", "char"),
];

/// Other spellings that are understood.
const SYNONYMS: [(&str, &str); 6] = [
    ("int", "int4"),
    ("float", "float8"),
    ("decimal", "numeric"),
    ("dec", "numeric"),
    ("char", "bpchar"),
    ("string", "text"),
];

/// The type a user means: `integer`, `pg_catalog.int4`, `text[]`, `varchar(20)`, `"char"` or a
/// number.
pub fn by_spelling(spelling: &str) -> Option<&'static PgType> {
    let spelling = spelling.trim().to_lowercase();
    let spelling = spelling.strip_prefix("pg_catalog.").unwrap_or(&spelling);
    if let Ok(oid) = spelling.parse() {
        return by_oid(oid);
    }
    if let Some(item) = spelling.strip_suffix("[]") {
        return by_oid(by_spelling(item)?.array);
    }
    let bare = match (spelling.find('('), spelling.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", spelling[..open].trim_end(), &spelling[close + 1..])
        }
        _ => spelling.to_owned(),
    };
    let known = SPELLINGS.iter().chain(&SYNONYMS).find(|(sql, _)| *sql == bare);
    by_name(known.map_or(bare.trim_matches('"'), |(_, name)| name))
}

/// The number of a type on the wire.
pub fn oid_of(of: &Type) -> u32 {
    match of {
        Type::Bool => 16,
        Type::Int2 => 21,
        Type::Int4 => 23,
        Type::Int8 => 20,
        Type::Float4 => 700,
        Type::Float8 => 701,
        Type::Numeric(_, _) => 1700,
        Type::Text => 25,
        Type::Varchar(_) => 1043,
        Type::Char(_) => 1042,
        Type::Bytea => 17,
        Type::Date => 1082,
        Type::Time => 1083,
        Type::Timestamp => 1114,
        Type::Timestamptz => 1184,
        Type::Interval => 1186,
        Type::Uuid => 2950,
        Type::Json => 114,
        Type::Jsonb => 3802,
        Type::Array(item) => by_oid(oid_of(item)).map_or(0, |t| t.array),
    }
}

/// The type modifier (`atttypmod`): -1 for none.
pub fn typmod_of(of: &Type) -> i32 {
    match of {
        Type::Numeric(precision, scale) => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        Type::Varchar(Some(n)) | Type::Char(n) => *n as i32 + 4,
        Type::Array(item) => typmod_of(item),
        _ => -1,
    }
}

/// `format_type(oid, typmod)`: the SQL spelling, `-` for 0 and `???` for a number that is no type.
pub fn format_type(oid: u32, typmod: Option<i32>) -> String {
    let Some(of) = by_oid(oid) else {
        return if oid == 0 { "-" } else { "???" }.to_owned();
    };
    if of.elem != 0 && of.len == -1 && of.name.starts_with('_') {
        return format!("{}[]", format_type(of.elem, typmod));
    }
    let modifier = typmod.filter(|m| *m >= 4).map(|m| m - 4);
    match (of.name, modifier) {
        ("char", _) => "\"char\"".to_owned(),
        ("bpchar", Some(n)) => format!("character({n})"),
        // Without a modifier PostgreSQL says bpchar where it knows there is none (-1).
        ("bpchar", None) if typmod.is_some() => "bpchar".to_owned(),
        ("bpchar", None) => "character".to_owned(),
        ("varchar", Some(n)) => format!("character varying({n})"),
        ("numeric", Some(n)) => format!("numeric({},{})", n >> 16, ((n & 0x7ff) ^ 1024) - 1024),
        (name, _) => {
            let known = SPELLINGS.iter().find(|(_, typname)| *typname == name);
            known.map_or(name, |(sql, _)| sql).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_type_is_its_display() {
        let types = [
            Type::Bool,
            Type::Int4,
            Type::Float8,
            Type::Numeric(10, 2),
            Type::Numeric(5, -2),
            Type::Varchar(Some(20)),
            Type::Varchar(None),
            Type::Char(3),
            Type::Time,
            Type::Timestamptz,
            Type::Jsonb,
            Type::Array(Box::new(Type::Varchar(Some(4)))),
        ];
        for of in types {
            assert_eq!(format_type(oid_of(&of), Some(typmod_of(&of))), of.to_string());
            assert_eq!(by_spelling(&of.to_string()).map(|t| t.oid), Some(oid_of(&of)), "{of}");
        }
    }

    #[test]
    fn arrays_and_items_name_each_other() {
        for of in types().iter().filter(|t| t.name.starts_with('_')) {
            assert_eq!(by_oid(of.elem).map(|t| t.array), Some(of.oid), "{}", of.name);
        }
    }
}
