//! The types SQL names.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo,
};

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

/// The longest varchar(n) and char(n), as in PostgreSQL.
const LENGTH_MAX: u64 = 10_485_760;
/// The most digits a number can have.
const PRECISION_MAX: u64 = 38;

/// The type of a column or cast. Serial types are their integers.
///
/// # Errors
/// UndefinedObject for a name that is no type, InvalidValue for a length or precision out of range,
/// NotSupported for a type PostgreSQL has and we do not.
pub fn map_type(data_type: &DataType) -> Result<Type> {
    Ok(match data_type {
        DataType::Bool | DataType::Boolean => Type::Bool,
        DataType::SmallInt(_) | DataType::Int2(_) | DataType::Int16 | DataType::TinyInt(_) => {
            Type::Int2
        }
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) | DataType::Int32 => Type::Int4,
        DataType::BigInt(_) | DataType::Int8(_) | DataType::Int64 => Type::Int8,
        DataType::Real | DataType::Float4 | DataType::Float32 => Type::Float4,
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float64 => {
            Type::Float8
        }
        DataType::Float(info) => float(info)?,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Text | DataType::String(_) | DataType::Clob(_) => Type::Text,
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length)
        | DataType::Nvarchar(length) => Type::Varchar(characters(length.as_ref())?),
        DataType::Char(length) | DataType::Character(length) => {
            Type::Char(characters(length.as_ref())?.unwrap_or(1))
        }
        DataType::Bytea | DataType::Blob(_) | DataType::Bytes(_) => Type::Bytea,
        DataType::Date => Type::Date,
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Type::Time,
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
        | DataType::Datetime(_) => Type::Timestamp,
        DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => Type::Timestamptz,
        DataType::TimestampNtz(_) => Type::Timestamp,
        DataType::Interval { .. } => Type::Interval,
        DataType::Uuid => Type::Uuid,
        DataType::JSON => Type::Json,
        DataType::JSONB => Type::Jsonb,
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(item)
            | ArrayElemTypeDef::SquareBracket(item, _)
            | ArrayElemTypeDef::Parenthesis(item),
        ) => array(item)?,
        DataType::Custom(name, modifiers) => named(name, modifiers)?,
        other => return Err(not_supported(&other.to_string())),
    })
}

/// The integer a serial type is; None for any other type.
pub(super) fn serial(data_type: &DataType) -> Option<Type> {
    let DataType::Custom(name, _) = data_type else { return None };
    Some(match name.to_string().to_lowercase().as_str() {
        "smallserial" | "serial2" => Type::Int2,
        "serial" | "serial4" => Type::Int4,
        "bigserial" | "serial8" => Type::Int8,
        _ => return None,
    })
}

fn named(name: &ObjectName, modifiers: &[String]) -> Result<Type> {
    let full = name.to_string().to_lowercase();
    let word = full.strip_prefix("pg_catalog.").unwrap_or(&full).trim_matches('"');
    Ok(match word {
        "bool" => Type::Bool,
        "int2" | "smallserial" | "serial2" => Type::Int2,
        "int4" | "serial" | "serial4" => Type::Int4,
        "int8" | "bigserial" | "serial8" | "long" => Type::Int8,
        "float4" => Type::Float4,
        "float8" => Type::Float8,
        "text" | "string" => Type::Text,
        "varchar" => Type::Varchar(length_modifier(modifiers)?),
        "bpchar" => Type::Char(length_modifier(modifiers)?.unwrap_or(1)),
        "bytea" => Type::Bytea,
        "date" => Type::Date,
        "time" => Type::Time,
        "timestamp" | "timestamp_ntz" => Type::Timestamp,
        "timestamptz" | "timestamp_tz" | "timestamp_ltz" => Type::Timestamptz,
        "interval" => Type::Interval,
        "uuid" => Type::Uuid,
        "json" => Type::Json,
        "jsonb" => Type::Jsonb,
        "numeric" => Type::Numeric(PRECISION_MAX as u8, 10),
        "timetz" | "bit" | "varbit" | "money" | "inet" | "cidr" | "macaddr" | "xml"
        | "tsvector" | "tsquery" | "point" | "box" | "hstore" | "oid" | "regclass" | "name" => {
            return Err(not_supported(word));
        }
        _ => {
            let message = format!("type \"{word}\" does not exist");
            return Err(Error::new(ErrorKind::UndefinedObject, message));
        }
    })
}

fn not_supported(name: &str) -> Error {
    Error::new(ErrorKind::NotSupported, format!("type {} is not supported", name.to_lowercase()))
        .hint("text holds any value; jsonb holds nested ones")
}

fn array(item: &DataType) -> Result<Type> {
    match map_type(item)? {
        Type::Array(_) => Err(Error::new(
            ErrorKind::NotSupported,
            "arrays of more than one dimension are not supported",
        )
        .hint("use jsonb")),
        item => Ok(Type::Array(Box::new(item))),
    }
}

fn float(info: &ExactNumberInfo) -> Result<Type> {
    match info {
        ExactNumberInfo::None => Ok(Type::Float8),
        ExactNumberInfo::Precision(1..=24) => Ok(Type::Float4),
        ExactNumberInfo::Precision(25..=53) => Ok(Type::Float8),
        _ => Err(Error::new(ErrorKind::InvalidValue, "precision of float must be 1 to 53 bits")),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<Type> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (PRECISION_MAX, 10),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=PRECISION_MAX).contains(&precision) {
        let message =
            format!("numeric precision {precision} must be between 1 and {PRECISION_MAX}");
        return Err(Error::new(ErrorKind::InvalidValue, message));
    }
    if !(0..=precision as i64).contains(&scale) {
        let message = format!("numeric scale {scale} must be between 0 and precision {precision}");
        return Err(Error::new(ErrorKind::InvalidValue, message));
    }
    Ok(Type::Numeric(precision as u8, scale as i8))
}

fn characters(length: Option<&CharacterLength>) -> Result<Option<u32>> {
    match length {
        None | Some(CharacterLength::Max) => Ok(None),
        Some(CharacterLength::IntegerLength { length, .. }) => checked_length(*length).map(Some),
    }
}

fn length_modifier(modifiers: &[String]) -> Result<Option<u32>> {
    match modifiers.first().map(|m| m.parse::<u64>()) {
        None => Ok(None),
        Some(Ok(length)) => checked_length(length).map(Some),
        Some(Err(_)) => Err(Error::new(ErrorKind::InvalidValue, "a length must be a number")),
    }
}

fn checked_length(length: u64) -> Result<u32> {
    match length {
        1..=LENGTH_MAX => Ok(length as u32),
        _ => {
            let message = format!("length {length} must be between 1 and {LENGTH_MAX}");
            Err(Error::new(ErrorKind::InvalidValue, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::expression;
    use super::*;
    use datafusion::sql::sqlparser::ast::Expr;

    fn type_of(name: &str) -> Result<Type> {
        match expression(&format!("CAST(NULL AS {name})"))? {
            Expr::Cast { data_type, .. } => map_type(&data_type),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_spelling_of_a_type() {
        let spellings = [
            (Type::Bool, "bool boolean"),
            (Type::Int2, "int2 smallint smallserial"),
            (Type::Int4, "int int4 integer serial"),
            (Type::Int8, "int8 bigint bigserial"),
            (Type::Float4, "float4 real float(24)"),
            (Type::Float8, "float8 float double float(25)"),
            (Type::Text, "text string TEXT pg_catalog.text"),
            (Type::Varchar(None), "varchar"),
            (Type::Varchar(Some(20)), "varchar(20) VARCHAR(20)"),
            (Type::Char(1), "char character bpchar"),
            (Type::Char(3), "char(3) character(3)"),
            (Type::Numeric(38, 10), "numeric decimal dec"),
            (Type::Numeric(10, 0), "numeric(10)"),
            (Type::Numeric(10, 2), "numeric(10,2) decimal(10,2)"),
            (Type::Timestamp, "timestamp timestamp(6)"),
            (Type::Timestamptz, "timestamptz timestamptz(3)"),
            (Type::Date, "date"),
            (Type::Time, "time time(3)"),
            (Type::Interval, "interval"),
            (Type::Uuid, "uuid"),
            (Type::Json, "json"),
            (Type::Jsonb, "jsonb"),
            (Type::Bytea, "bytea"),
            (Type::Array(Box::new(Type::Int4)), "int[] integer[] int4[3]"),
            (Type::Array(Box::new(Type::Varchar(Some(4)))), "varchar(4)[]"),
        ];
        for (expected, names) in spellings {
            for name in names.split(' ') {
                assert_eq!(type_of(name).unwrap(), expected, "{name}");
            }
        }
        let long = [
            (Type::Float8, "double precision"),
            (Type::Varchar(Some(7)), "character varying(7)"),
            (Type::Timestamptz, "timestamp with time zone"),
            (Type::Timestamp, "timestamp without time zone"),
            (Type::Timestamptz, "timestamp(6) with time zone"),
        ];
        for (expected, name) in long {
            assert_eq!(type_of(name).ok(), Some(expected), "{name}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_have() {
        for (name, kind) in [
            ("nosuch", ErrorKind::UndefinedObject),
            ("numeric(39)", ErrorKind::InvalidValue),
            ("numeric(5,6)", ErrorKind::InvalidValue),
            ("varchar(0)", ErrorKind::InvalidValue),
            ("int[][]", ErrorKind::NotSupported),
            ("money", ErrorKind::NotSupported),
            ("time with time zone", ErrorKind::NotSupported),
        ] {
            assert_eq!(type_of(name).unwrap_err().kind(), kind, "{name}");
        }
    }
}
