//! Building: one enum arm per logical type, each an Arrow builder of its storage.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

/// Grows one column of `Type::arrow()`.
pub(in crate::spec) enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Numeric(Decimal128Builder, u8, i8),
    Text(StringViewBuilder),
    Varchar(StringViewBuilder, u32),
    Char(StringViewBuilder, u32),
    Json(StringViewBuilder),
    Jsonb(StringViewBuilder),
    Bytea(BinaryViewBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Timestamptz(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Array(ItemsBuilder),
}

/// Applies an expression to whichever Arrow builder there is.
macro_rules! each {
    ($self:expr, $b:ident => $do:expr, $array:ident => $array_do:expr) => {
        match $self {
            ColumnBuilder::Bool($b) => $do,
            ColumnBuilder::Int2($b) => $do,
            ColumnBuilder::Int4($b) => $do,
            ColumnBuilder::Int8($b) => $do,
            ColumnBuilder::Float4($b) => $do,
            ColumnBuilder::Float8($b) => $do,
            ColumnBuilder::Numeric($b, _, _) => $do,
            ColumnBuilder::Text($b)
            | ColumnBuilder::Varchar($b, _)
            | ColumnBuilder::Char($b, _)
            | ColumnBuilder::Json($b)
            | ColumnBuilder::Jsonb($b) => $do,
            ColumnBuilder::Bytea($b) => $do,
            ColumnBuilder::Date($b) => $do,
            ColumnBuilder::Time($b) => $do,
            ColumnBuilder::Timestamp($b) | ColumnBuilder::Timestamptz($b) => $do,
            ColumnBuilder::Interval($b) => $do,
            ColumnBuilder::Uuid($b) => $do,
            ColumnBuilder::Array($array) => $array_do,
        }
    };
}

impl ColumnBuilder {
    pub(in crate::spec) fn new(data_type: &Type) -> ColumnBuilder {
        let text = StringViewBuilder::new;
        match data_type {
            Type::Bool => ColumnBuilder::Bool(BooleanBuilder::new()),
            Type::Int2 => ColumnBuilder::Int2(Int16Builder::new()),
            Type::Int4 => ColumnBuilder::Int4(Int32Builder::new()),
            Type::Int8 => ColumnBuilder::Int8(Int64Builder::new()),
            Type::Float4 => ColumnBuilder::Float4(Float32Builder::new()),
            Type::Float8 => ColumnBuilder::Float8(Float64Builder::new()),
            Type::Numeric(precision, scale) => ColumnBuilder::Numeric(
                Decimal128Builder::new().with_data_type(data_type.arrow()),
                *precision,
                *scale,
            ),
            Type::Text | Type::Varchar(None) => ColumnBuilder::Text(text()),
            Type::Varchar(Some(n)) => ColumnBuilder::Varchar(text(), *n),
            Type::Char(n) => ColumnBuilder::Char(text(), *n),
            Type::Json => ColumnBuilder::Json(text()),
            Type::Jsonb => ColumnBuilder::Jsonb(text()),
            Type::Bytea => ColumnBuilder::Bytea(BinaryViewBuilder::new()),
            Type::Date => ColumnBuilder::Date(Date32Builder::new()),
            Type::Time => ColumnBuilder::Time(Time64MicrosecondBuilder::new()),
            Type::Timestamp => ColumnBuilder::Timestamp(TimestampMicrosecondBuilder::new()),
            Type::Timestamptz => ColumnBuilder::Timestamptz(
                TimestampMicrosecondBuilder::new().with_data_type(data_type.arrow()),
            ),
            Type::Interval => ColumnBuilder::Interval(IntervalMonthDayNanoBuilder::new()),
            Type::Uuid => ColumnBuilder::Uuid(FixedSizeBinaryBuilder::new(16)),
            Type::Array(item) => ColumnBuilder::Array(ItemsBuilder::new(item)),
        }
    }

    pub(in crate::spec) fn append_null(&mut self) {
        each!(self, b => b.append_null(), a => a.close(false))
    }

    pub(in crate::spec) fn len(&self) -> usize {
        each!(self, b => b.len(), a => a.nulls.len())
    }

    /// The column so far; the builder is empty afterwards.
    pub(in crate::spec) fn finish(&mut self) -> ArrayRef {
        each!(self, b => Arc::new(b.finish()), a => Arc::new(a.finish()))
    }
}

/// Grows an array column: items are appended to `item`, then the row is closed.
pub(in crate::spec) struct ItemsBuilder {
    pub(in crate::spec) item: Box<ColumnBuilder>,
    pub(in crate::spec) item_type: Type,
    field: Arc<Field>,
    ends: Vec<i32>,
    nulls: Vec<bool>,
}

impl ItemsBuilder {
    fn new(item: &Type) -> ItemsBuilder {
        ItemsBuilder {
            item: Box::new(ColumnBuilder::new(item)),
            item_type: item.clone(),
            field: Field::new("item", item.arrow(), true).into(),
            ends: vec![0],
            nulls: Vec::new(),
        }
    }

    /// Ends a row with the items appended since the last one.
    pub(in crate::spec) fn close(&mut self, valid: bool) {
        self.nulls.push(valid);
        self.ends.push(self.item.len() as i32);
    }

    /// Refuses what would overflow the offsets.
    pub(in crate::spec) fn check_room(&self) -> Result<()> {
        match self.item.len() < i32::MAX as usize {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::LimitExceeded,
                "array items of one batch exceed the maximum of 2147483647",
            )),
        }
    }

    fn finish(&mut self) -> ListArray {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let nulls = std::mem::take(&mut self.nulls);
        ListArray::new(
            self.field.clone(),
            OffsetBuffer::new(ends.into()),
            self.item.finish(),
            Some(nulls.into()),
        )
    }
}
