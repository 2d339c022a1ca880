//! Our types as the protocol names them, and the client's names for types as ours.

use std::borrow::Cow;

use pgwire::api::Type as PgType;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Type, binary};

/// The OID of a type.
pub(super) fn of_type(data_type: &Type) -> u32 {
    binary::oid(data_type)
}

/// pg_type.typlen: the bytes of a value where all values have the same, else -1.
pub(super) fn length(data_type: &Type) -> i16 {
    match data_type {
        Type::Bool => 1,
        Type::Int2 => 2,
        Type::Int4 | Type::Float4 | Type::Date => 4,
        Type::Int8 | Type::Float8 | Type::Time | Type::Timestamp | Type::Timestamptz => 8,
        Type::Interval | Type::Uuid => 16,
        Type::Numeric(_, _)
        | Type::Text
        | Type::Varchar(_)
        | Type::Char(_)
        | Type::Bytea
        | Type::Json
        | Type::Jsonb
        | Type::Array(_) => -1,
    }
}

/// pg_attribute.atttypmod: the arguments of a type; 4 more than they are, -1 for none.
pub(super) fn modifier(data_type: &Type) -> i32 {
    match data_type {
        Type::Numeric(precision, scale) => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        Type::Varchar(Some(n)) | Type::Char(n) => i32::try_from(*n).map_or(-1, |n| n + 4),
        Type::Array(item) => modifier(item),
        _ => -1,
    }
}

/// The type in whose binary form a value is sent: numbers of the catalogue have four bytes.
pub(super) fn as_sent(data_type: &Type, of_catalog: bool) -> Cow<'_, Type> {
    match data_type {
        Type::Int8 if of_catalog => Cow::Owned(Type::Int4),
        Type::Array(item) if of_catalog && **item == Type::Int8 => {
            Cow::Owned(Type::Array(Box::new(Type::Int4)))
        }
        other => Cow::Borrowed(other),
    }
}

/// The types that have OIDs of their own, with the widest arguments.
const PLAIN: [Type; 19] = [
    Type::Bool,
    Type::Int2,
    Type::Int4,
    Type::Int8,
    Type::Float4,
    Type::Float8,
    Type::Numeric(38, 10),
    Type::Text,
    Type::Varchar(None),
    Type::Char(u32::MAX),
    Type::Bytea,
    Type::Date,
    Type::Time,
    Type::Timestamp,
    Type::Timestamptz,
    Type::Interval,
    Type::Uuid,
    Type::Json,
    Type::Jsonb,
];

/// The type a client declared for a parameter; None where it left that open.
///
/// # Errors
/// `NotSupported` for a type that has no values here.
pub(super) fn declared(oid: u32) -> Result<Option<Type>> {
    if oid == 0 || oid == PgType::UNKNOWN.oid() {
        return Ok(None);
    }
    let known = PgType::from_oid(oid);
    let ours = known.as_ref().and_then(catalog_type).or_else(|| plain(oid)).or_else(|| array(oid));
    ours.map(Some).ok_or_else(|| {
        let name = known.as_ref().map_or("of an unknown name", PgType::name);
        Error::new(ErrorKind::NotSupported, format!("a parameter of type {name} (OID {oid})"))
            .hint("send the parameter as text and cast it in the statement")
    })
}

fn plain(oid: u32) -> Option<Type> {
    PLAIN.into_iter().find(|data_type| of_type(data_type) == oid).map(without_padding)
}

fn array(oid: u32) -> Option<Type> {
    let arrays = PLAIN.into_iter().map(|item| Type::Array(Box::new(without_padding(item))));
    arrays.into_iter().find(|data_type| of_type(data_type) == oid)
}

/// A parameter declared char has no length: it is taken as it comes.
fn without_padding(data_type: Type) -> Type {
    match data_type {
        Type::Char(_) => Type::Varchar(None),
        other => other,
    }
}

/// The types of PostgreSQL's catalogue, by what stands for them here.
fn catalog_type(postgres: &PgType) -> Option<Type> {
    match *postgres {
        PgType::OID | PgType::XID | PgType::CID => Some(Type::Int8),
        PgType::NAME | PgType::CHAR => Some(Type::Text),
        PgType::REGCLASS | PgType::REGTYPE | PgType::REGPROC => Some(Type::Text),
        PgType::OID_ARRAY => Some(Type::Array(Box::new(Type::Int8))),
        PgType::NAME_ARRAY | PgType::CHAR_ARRAY => Some(Type::Array(Box::new(Type::Text))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_come_back_as_the_types_they_name() {
        for data_type in [
            Type::Bool,
            Type::Int2,
            Type::Int8,
            Type::Float4,
            Type::Numeric(38, 10),
            Type::Bytea,
            Type::Timestamptz,
            Type::Interval,
            Type::Uuid,
            Type::Jsonb,
            Type::Array(Box::new(Type::Bytea)),
            Type::Array(Box::new(Type::Text)),
        ] {
            assert_eq!(declared(of_type(&data_type)).unwrap(), Some(data_type));
        }
        assert_eq!(declared(0).unwrap(), None);
        assert_eq!(declared(705).unwrap(), None);
        assert_eq!(declared(600).unwrap_err().to_string(), "a parameter of type point (OID 600)");
    }

    #[test]
    fn arguments_travel_in_the_modifier() {
        assert_eq!(modifier(&Type::Numeric(10, 2)), (10 << 16 | 2) + 4);
        assert_eq!(modifier(&Type::Varchar(Some(20))), 24);
        assert_eq!(modifier(&Type::Varchar(None)), -1);
        assert_eq!(modifier(&Type::Varchar(Some(u32::MAX))), -1);
    }
}
