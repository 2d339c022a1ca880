//! SQL's names of types, in casts and literals, as PostgreSQL understands them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{not_impl_err, plan_err};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType as SqlType, ExactNumberInfo, ObjectName,
    TimezoneInfo,
};

use crate::plan::pg_catalog::relation::{PG_TYPE_KEY, field};
use crate::spec::Type;

/// Plans every type of `spec::Type` to its storage, and `oid`, `name`, `"char"` and the like to what
/// the system tables store, with the metadata that tells the wire its number.
#[derive(Debug)]
pub struct PostgresTypes;

impl TypePlanner for PostgresTypes {
    fn plan_type_field(&self, of: &SqlType) -> DataFusionResult<Option<FieldRef>> {
        if let Some(known) = known(of)? {
            return Ok(Some(Arc::new(known.field("", true))));
        }
        match of {
            SqlType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => {
                let known = known(item)?.map(|item| Type::Array(Box::new(item)).field("", true));
                let Some(item) = self.plan_type_field(item)? else { return Ok(None) };
                let named = item.metadata().get(PG_TYPE_KEY).map(|item| format!("_{item}"));
                let named = named.map(|name| field("", &name));
                Ok(Some(known.or(named).map_or_else(|| list_of(item), Arc::new)))
            }
            SqlType::Regclass => Ok(Some(Arc::new(field("", "oid")))),
            SqlType::Custom(name, modifiers) if modifiers.is_empty() => named(name),
            _ => Ok(None),
        }
    }
}

fn list_of(item: FieldRef) -> FieldRef {
    let item = Arc::new(item.as_ref().clone().with_name("item"));
    Arc::new(Field::new("", DataType::List(item), true))
}

/// The types that `spec::Type` has.
fn known(of: &SqlType) -> DataFusionResult<Option<Type>> {
    Ok(Some(match of {
        SqlType::Bool | SqlType::Boolean => Type::Bool,
        SqlType::SmallInt(_) | SqlType::Int2(_) | SqlType::TinyInt(_) => Type::Int2,
        SqlType::Int(_) | SqlType::Integer(_) | SqlType::Int4(_) => Type::Int4,
        SqlType::BigInt(_) | SqlType::Int8(_) => Type::Int8,
        SqlType::Real | SqlType::Float4 => Type::Float4,
        SqlType::DoublePrecision | SqlType::Float8 | SqlType::Double(_) => Type::Float8,
        // float(1..24) is real, float(25..53) and bare float double precision.
        SqlType::Float(ExactNumberInfo::Precision(p)) if *p <= 24 => Type::Float4,
        SqlType::Float(_) => Type::Float8,
        SqlType::Numeric(info) | SqlType::Decimal(info) | SqlType::Dec(info) => numeric(info)?,
        SqlType::Text | SqlType::String(_) | SqlType::Clob(_) => Type::Text,
        SqlType::Varchar(n)
        | SqlType::CharacterVarying(n)
        | SqlType::CharVarying(n)
        | SqlType::Nvarchar(n) => Type::Varchar(length(n)),
        SqlType::Char(n) | SqlType::Character(n) => Type::Char(length(n).unwrap_or(1)),
        SqlType::Bytea | SqlType::Blob(_) => Type::Bytea,
        SqlType::Date => Type::Date,
        SqlType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Type::Time,
        SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
        | SqlType::Datetime(_)
        | SqlType::TimestampNtz(_) => Type::Timestamp,
        SqlType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Type::Timestamptz,
        SqlType::Interval { .. } => Type::Interval,
        SqlType::Uuid => Type::Uuid,
        SqlType::JSON => Type::Json,
        SqlType::JSONB => Type::Jsonb,
        SqlType::Custom(name, modifiers) => match standard(&last_part(name), modifiers) {
            Some(of) => of,
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

/// `pg_catalog.int4` and the like, which the parser does not know for what they are.
fn standard(name: &str, modifiers: &[String]) -> Option<Type> {
    let first = || modifiers.first().and_then(|m| m.parse().ok());
    Some(match name {
        "bool" => Type::Bool,
        "int2" => Type::Int2,
        "int4" | "int" | "integer" => Type::Int4,
        "int8" | "bigint" => Type::Int8,
        "float4" => Type::Float4,
        "float8" => Type::Float8,
        "numeric" => Type::Numeric(38, 10),
        "text" => Type::Text,
        "varchar" => Type::Varchar(first()),
        "bpchar" => first().map_or(Type::Varchar(None), Type::Char),
        "bytea" => Type::Bytea,
        "date" => Type::Date,
        "time" => Type::Time,
        "timestamp" => Type::Timestamp,
        "timestamptz" => Type::Timestamptz,
        "interval" => Type::Interval,
        "uuid" => Type::Uuid,
        "json" => Type::Json,
        "jsonb" => Type::Jsonb,
        _ => return None,
    })
}

fn numeric(info: &ExactNumberInfo) -> DataFusionResult<Type> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(Type::Numeric(38, 10)),
        ExactNumberInfo::Precision(p) => (*p, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (*p, *s),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p @ 1..=38), Ok(s)) if s.unsigned_abs() <= p => Ok(Type::Numeric(p, s)),
        _ => not_impl_err!("numeric({precision},{scale}): at most 38 digits are kept"),
    }
}

fn length(of: &Option<CharacterLength>) -> Option<u32> {
    match of {
        Some(CharacterLength::IntegerLength { length, .. }) => u32::try_from(*length).ok(),
        Some(CharacterLength::Max) | None => None,
    }
}

fn last_part(name: &ObjectName) -> String {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.map_or_else(String::new, |ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    })
}

/// The types that only system tables have.
fn named(name: &ObjectName) -> DataFusionResult<Option<FieldRef>> {
    let typname = match last_part(name).as_str() {
        known @ ("oid" | "xid" | "cid" | "name" | "char" | "regproc" | "int2vector"
        | "oidvector" | "inet" | "pg_node_tree" | "void" | "cstring" | "aclitem"
        | "pg_lsn" | "tid" | "xid8") => known.to_owned(),
        "regclass" | "regtype" | "regnamespace" | "regrole" => "oid".to_owned(),
        "regprocedure" | "regoper" | "regoperator" | "regconfig" | "regdictionary" | "unknown" => {
            "text".to_owned()
        }
        other if other.starts_with('_') => other.to_owned(),
        other => return plan_err!("type \"{other}\" does not exist"),
    };
    Ok(Some(Arc::new(field("", &typname))))
}
