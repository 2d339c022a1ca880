//! Columns of tables about tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, MapBuilder, RecordBatch, StringBuilder,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;

use crate::spec::Retention;

/// A batch, or what arrow refused.
pub(super) type Built = Result<RecordBatch, ArrowError>;

/// A column: its name, its values, whether one may be NULL.
pub(super) type Named = (&'static str, ArrayRef, bool);

pub(super) fn batch<const N: usize>(columns: [Named; N]) -> Built {
    RecordBatch::try_from_iter_with_nullable(columns)
}

pub(super) fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

pub(super) fn numbers(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.map(|v| v.map(|v| v as i64)).collect::<Int64Array>())
}

pub(super) fn longs<const N: usize>(values: [i64; N]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(super) fn small(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

pub(super) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(values))
}

pub(super) fn maybe_texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringViewArray>())
}

pub(super) fn truths(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

/// Maps of text to text, one a row.
pub(super) fn maps(
    rows: impl Iterator<Item = Vec<(String, String)>>,
) -> Result<ArrayRef, ArrowError> {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in rows {
        let mut seen: Vec<String> = Vec::with_capacity(row.len());
        for (name, value) in row {
            // The last word on a name would be lost in a map, so the first one counts.
            if !seen.contains(&name) {
                maps.keys().append_value(&name);
                maps.values().append_value(value);
                seen.push(name);
            }
        }
        maps.append(true)?;
    }
    Ok(Arc::new(maps.finish()))
}

/// max_reference_age_in_ms, min_snapshots_to_keep, max_snapshot_age_in_ms.
pub(super) fn retention<'a>(values: impl Iterator<Item = &'a Retention> + Clone) -> [Named; 3] {
    let ms = |us: i64| (us / 1000) as u64;
    [
        ("max_reference_age_in_ms", numbers(values.clone().map(|r| r.age_us.map(ms))), true),
        ("min_snapshots_to_keep", numbers(values.clone().map(|r| r.commits)), true),
        ("max_snapshot_age_in_ms", numbers(values.map(|r| r.commits_age_us.map(ms))), true),
    ]
}
