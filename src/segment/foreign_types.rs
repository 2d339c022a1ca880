//! The types of Parquet files that other programs read.

use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{LogicalType, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescriptor, Type as Node, TypePtr};

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

/// Refuses what Parquet has no type for: its interval is of whole milliseconds, ours of microseconds.
///
/// # Errors
/// NotSupported.
pub(super) fn check_types(schema: &Schema, types: &[Type]) -> Result<()> {
    fn is_span(of: &Type) -> bool {
        match of {
            Type::Interval => true,
            Type::Array(item) => is_span(item),
            _ => false,
        }
    }
    match types.iter().zip(schema.fields()).find(|(of, _)| is_span(of)) {
        None => Ok(()),
        Some((of, field)) => {
            let message =
                format!("column \"{}\" of type {of} cannot be written as Parquet", field.name());
            Err(Error::new(ErrorKind::NotSupported, message)
                .hint("write its text, or a number: x::text, extract(epoch FROM x)"))
        }
    }
}

/// Parquet's schema of these columns, which says what is uuid and what json.
pub(super) fn schema_of(
    schema: &Schema,
    types: &[Type],
) -> std::result::Result<SchemaDescriptor, ParquetError> {
    let plain = ArrowSchemaConverter::new().convert(schema)?;
    let root = plain.root_schema();
    let fields = root.get_fields().iter().zip(types).map(|(node, of)| {
        let logical = match of {
            Type::Uuid => LogicalType::Uuid,
            Type::Json | Type::Jsonb => LogicalType::Json,
            _ => return Ok(Arc::clone(node)),
        };
        said(node, logical)
    });
    let fields = fields.collect::<std::result::Result<Vec<TypePtr>, ParquetError>>()?;
    let root = Node::group_type_builder(root.name()).with_fields(fields).build()?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

/// A column with its logical type, where it is stored as that wants it.
fn said(node: &TypePtr, logical: LogicalType) -> std::result::Result<TypePtr, ParquetError> {
    let Node::PrimitiveType { physical_type, type_length, .. } = node.as_ref() else {
        return Ok(Arc::clone(node));
    };
    let length = match (&logical, physical_type) {
        (LogicalType::Uuid, PhysicalType::FIXED_LEN_BYTE_ARRAY) => *type_length,
        (LogicalType::Json, PhysicalType::BYTE_ARRAY) => -1,
        _ => return Ok(Arc::clone(node)),
    };
    let built = Node::primitive_type_builder(node.name(), *physical_type)
        .with_repetition(node.get_basic_info().repetition())
        .with_length(length)
        .with_logical_type(Some(logical))
        .build();
    Ok(Arc::new(built?))
}
