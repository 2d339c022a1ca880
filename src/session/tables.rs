//! STUB: a table with a column of every type.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use crate::error::Result;
use crate::fault;
use crate::spec::Type;
use crate::spec::text::{TextBuilder, TextOptions};

fn array(item: Type) -> Type {
    Type::Array(Box::new(item))
}

fn columns() -> Vec<(&'static str, Type, &'static str)> {
    vec![
        ("a_bool", Type::Bool, "t"),
        ("a_int2", Type::Int2, "-7"),
        ("a_int4", Type::Int4, "70000"),
        ("a_int8", Type::Int8, "-9000000000"),
        ("a_float4", Type::Float4, "1.5"),
        ("a_float8", Type::Float8, "-0.1"),
        ("a_numeric", Type::Numeric(12, 3), "-123456.789"),
        ("a_text", Type::Text, "héllo"),
        ("a_varchar", Type::Varchar(Some(20)), "abc"),
        ("a_char", Type::Char(5), "ab"),
        ("a_bytea", Type::Bytea, "\\x00ff10"),
        ("a_date", Type::Date, "2024-02-29"),
        ("a_time", Type::Time, "12:34:56.789"),
        ("a_timestamp", Type::Timestamp, "2024-01-02 03:04:05.678901"),
        ("a_timestamptz", Type::Timestamptz, "2024-01-02 03:04:05.678901+00"),
        ("a_interval", Type::Interval, "1 mon 2 days 03:04:05"),
        ("a_uuid", Type::Uuid, "00112233-4455-6677-8899-aabbccddeeff"),
        ("a_json", Type::Json, "{\"a\": [1, 2]}"),
        ("a_jsonb", Type::Jsonb, "{\"a\": [1, 2]}"),
        ("a_ints", array(Type::Int4), "{1,NULL,3}"),
        ("a_texts", array(Type::Text), "{a,\"b c\",NULL}"),
        ("a_byteas", array(Type::Bytea), "{\"\\\\x01\",\"\\\\x02\"}"),
    ]
}

pub(super) fn register(context: &SessionContext) -> Result<()> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (name, data_type, text) in columns() {
        let mut builder = TextBuilder::new(&data_type, &TextOptions::default());
        builder.append(text.as_bytes())?;
        builder.append_null();
        fields.push(data_type.field(name, true));
        arrays.push(builder.finish());
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(fault::of_arrow)?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(fault::of_datafusion)?;
    context.register_table("all_types", Arc::new(table)).map_err(fault::of_datafusion)?;
    Ok(())
}

pub(super) fn one(name: &str, value: &str) -> (Arc<Schema>, RecordBatch) {
    let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8View, true)]));
    let array: ArrayRef = Arc::new(StringViewArray::from(vec![value]));
    (schema.clone(), RecordBatch::try_new(schema, vec![array]).expect("one column"))
}
