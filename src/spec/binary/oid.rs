//! PostgreSQL's numbers for types: an array's binary form carries that of its items.

use crate::spec::Type;

/// The OID of a type, as in PostgreSQL's pg_type.
pub fn oid(data_type: &Type) -> u32 {
    match data_type {
        Type::Bool => 16,
        Type::Bytea => 17,
        Type::Int8 => 20,
        Type::Int2 => 21,
        Type::Int4 => 23,
        Type::Text => 25,
        Type::Json => 114,
        Type::Float4 => 700,
        Type::Float8 => 701,
        Type::Char(_) => 1042,
        Type::Varchar(_) => 1043,
        Type::Date => 1082,
        Type::Time => 1083,
        Type::Timestamp => 1114,
        Type::Timestamptz => 1184,
        Type::Interval => 1186,
        Type::Numeric(_, _) => 1700,
        Type::Uuid => 2950,
        Type::Jsonb => 3802,
        Type::Array(item) => array_oid(item),
    }
}

/// The OID of the array type of an item; PostgreSQL gives arrays of arrays the same one.
fn array_oid(item: &Type) -> u32 {
    match item {
        Type::Bool => 1000,
        Type::Bytea => 1001,
        Type::Int8 => 1016,
        Type::Int2 => 1005,
        Type::Int4 => 1007,
        Type::Text => 1009,
        Type::Json => 199,
        Type::Float4 => 1021,
        Type::Float8 => 1022,
        Type::Char(_) => 1014,
        Type::Varchar(_) => 1015,
        Type::Date => 1182,
        Type::Time => 1183,
        Type::Timestamp => 1115,
        Type::Timestamptz => 1185,
        Type::Interval => 1187,
        Type::Numeric(_, _) => 1231,
        Type::Uuid => 2951,
        Type::Jsonb => 3807,
        Type::Array(inner) => array_oid(inner),
    }
}
