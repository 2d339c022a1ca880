//! The types a column can have, and the Arrow type that stores each.

use std::fmt;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use super::codec::{Reader, Writer};
use crate::error::{Error, ErrorKind, Result};

/// A type as PostgreSQL names it. Several share one Arrow storage type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// boolean
    Bool,
    /// smallint
    Int2,
    /// integer
    Int4,
    /// bigint
    Int8,
    /// real
    Float4,
    /// double precision
    Float8,
    /// numeric(precision, scale); bare NUMERIC is (38, 10)
    Numeric(u8, i8),
    /// text
    Text,
    /// varchar(n); without n any length
    Varchar(Option<u32>),
    /// char(n), stored without its padding
    Char(u32),
    /// bytea
    Bytea,
    /// date: days since 1970-01-01
    Date,
    /// time without time zone: µs of the day
    Time,
    /// timestamp without time zone: µs since 1970-01-01
    Timestamp,
    /// timestamp with time zone: µs since 1970-01-01 UTC
    Timestamptz,
    /// interval: months, days, and nanoseconds that are a multiple of 1000
    Interval,
    /// uuid: 16 bytes
    Uuid,
    /// json, as text
    Json,
    /// jsonb, as normalised text
    Jsonb,
    /// an array of one dimension
    Array(Box<Type>),
}

/// The key of an Arrow field's metadata that holds the logical type, where the storage type alone
/// does not tell it.
pub const TYPE_KEY: &str = "asofdb.type";

impl Type {
    /// The Arrow type that stores values of this type.
    pub fn arrow(&self) -> DataType {
        match self {
            Type::Bool => DataType::Boolean,
            Type::Int2 => DataType::Int16,
            Type::Int4 => DataType::Int32,
            Type::Int8 => DataType::Int64,
            Type::Float4 => DataType::Float32,
            Type::Float8 => DataType::Float64,
            Type::Numeric(precision, scale) => DataType::Decimal128(*precision, *scale),
            Type::Text | Type::Varchar(_) | Type::Char(_) | Type::Json | Type::Jsonb => {
                DataType::Utf8View
            }
            Type::Bytea => DataType::BinaryView,
            Type::Date => DataType::Date32,
            Type::Time => DataType::Time64(TimeUnit::Microsecond),
            Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Type::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Type::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Type::Uuid => DataType::FixedSizeBinary(16),
            // What the items are is told beside the array: constants keep no metadata within.
            Type::Array(item) => DataType::List(Field::new("item", item.arrow(), true).into()),
        }
    }

    /// An Arrow field of this type, with the logical type in its metadata where it needs saying.
    pub fn field(&self, name: &str, nullable: bool) -> Field {
        let field = Field::new(name, self.arrow(), nullable);
        let told = Type::of_storage(field.data_type()).as_ref() == Some(self);
        match told {
            true => field,
            false => field.with_metadata([(TYPE_KEY.to_owned(), self.to_string())].into()),
        }
    }

    /// The logical type of a field: from its metadata, else from its storage type.
    pub fn of_field(field: &Field) -> Option<Type> {
        match field.metadata().get(TYPE_KEY).and_then(|name| Type::parse(name)) {
            Some(logical) if logical.arrow() == *field.data_type() => Some(logical),
            _ => Type::of_storage(field.data_type()),
        }
    }

    /// The plainest type whose values the Arrow type's values are; the widest where there is none
    /// of equal width (unsigned integers).
    pub fn of_storage(storage: &DataType) -> Option<Type> {
        Some(match storage {
            DataType::Boolean => Type::Bool,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Type::Int2,
            DataType::UInt16 | DataType::Int32 => Type::Int4,
            DataType::UInt32 | DataType::Int64 => Type::Int8,
            DataType::UInt64 => Type::Numeric(20, 0),
            DataType::Float16 | DataType::Float32 => Type::Float4,
            DataType::Float64 => Type::Float8,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                Type::Numeric(*p, *s)
            }
            DataType::Decimal256(p, s) => Type::Numeric((*p).min(38), *s),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Type::Bytea,
            DataType::FixedSizeBinary(_) => Type::Bytea,
            DataType::Date32 | DataType::Date64 => Type::Date,
            DataType::Time32(_) | DataType::Time64(_) => Type::Time,
            DataType::Timestamp(_, None) => Type::Timestamp,
            DataType::Timestamp(_, Some(_)) => Type::Timestamptz,
            DataType::Interval(_) | DataType::Duration(_) => Type::Interval,
            DataType::List(item) | DataType::LargeList(item) => {
                Type::Array(Box::new(Type::of_field(item)?))
            }
            DataType::FixedSizeList(item, _) => Type::Array(Box::new(Type::of_field(item)?)),
            DataType::Dictionary(_, value) => Type::of_storage(value)?,
            DataType::RunEndEncoded(_, value) => Type::of_field(value)?,
            // A map is shown as a JSON object.
            DataType::Map(_, _) => Type::Jsonb,
            // SELECT NULL: PostgreSQL calls an untyped literal text.
            DataType::Null => Type::Text,
            DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::Struct(_)
            | DataType::Union(_, _) => return None,
        })
    }

    /// The type of a name that [`fmt::Display`] made.
    pub fn parse(name: &str) -> Option<Type> {
        if let Some(item) = name.strip_suffix("[]") {
            return Some(Type::Array(Box::new(Type::parse(item)?)));
        }
        let (word, arguments) = match name.split_once('(') {
            Some((word, rest)) => (word, Some(rest.strip_suffix(')')?)),
            None => (name, None),
        };
        Some(match (word, arguments) {
            ("boolean", None) => Type::Bool,
            ("smallint", None) => Type::Int2,
            ("integer", None) => Type::Int4,
            ("bigint", None) => Type::Int8,
            ("real", None) => Type::Float4,
            ("double precision", None) => Type::Float8,
            ("numeric", Some(arguments)) => {
                let (precision, scale) = arguments.split_once(',')?;
                Type::Numeric(precision.parse().ok()?, scale.parse().ok()?)
            }
            ("text", None) => Type::Text,
            ("character varying", None) => Type::Varchar(None),
            ("character varying", Some(n)) => Type::Varchar(Some(n.parse().ok()?)),
            ("character", Some(n)) => Type::Char(n.parse().ok()?),
            ("bytea", None) => Type::Bytea,
            ("date", None) => Type::Date,
            ("time without time zone", None) => Type::Time,
            ("timestamp without time zone", None) => Type::Timestamp,
            ("timestamp with time zone", None) => Type::Timestamptz,
            ("interval", None) => Type::Interval,
            ("uuid", None) => Type::Uuid,
            ("json", None) => Type::Json,
            ("jsonb", None) => Type::Jsonb,
            _ => return None,
        })
    }

    /// Whether values have a total order that keys, clustering and statistics can use.
    pub fn is_ordered(&self) -> bool {
        !matches!(self, Type::Interval | Type::Json | Type::Jsonb | Type::Array(_))
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.str(&self.to_string());
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Type> {
        let name = r.str()?;
        Type::parse(&name).ok_or_else(|| {
            Error::new(ErrorKind::DataDirectory, format!("type \"{name}\" is unknown here"))
                .hint("open the folder with the version of AsofDB that wrote it")
        })
    }
}

impl fmt::Display for Type {
    /// PostgreSQL's own spelling, as `format_type` gives it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "boolean",
            Type::Int2 => "smallint",
            Type::Int4 => "integer",
            Type::Int8 => "bigint",
            Type::Float4 => "real",
            Type::Float8 => "double precision",
            Type::Numeric(precision, scale) => return write!(f, "numeric({precision},{scale})"),
            Type::Text => "text",
            Type::Varchar(None) => "character varying",
            Type::Varchar(Some(n)) => return write!(f, "character varying({n})"),
            Type::Char(n) => return write!(f, "character({n})"),
            Type::Bytea => "bytea",
            Type::Date => "date",
            Type::Time => "time without time zone",
            Type::Timestamp => "timestamp without time zone",
            Type::Timestamptz => "timestamp with time zone",
            Type::Interval => "interval",
            Type::Uuid => "uuid",
            Type::Json => "json",
            Type::Jsonb => "jsonb",
            Type::Array(item) => return write!(f, "{item}[]"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_come_back() {
        let types = [
            Type::Bool,
            Type::Numeric(38, 10),
            Type::Varchar(Some(20)),
            Type::Varchar(None),
            Type::Char(3),
            Type::Timestamptz,
            Type::Uuid,
            Type::Jsonb,
            Type::Array(Box::new(Type::Varchar(Some(4)))),
        ];
        for t in types {
            assert_eq!(Type::parse(&t.to_string()), Some(t.clone()));
            assert_eq!(Type::of_field(&t.field("c", true)), Some(t));
        }
    }
}
