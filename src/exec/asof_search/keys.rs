//! Keys as integers: a single key of whole numbers or instants as itself, anything else by the rank
//! of its value among the labels' keys. A row whose key no label has needs no number.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::{filter, partition, take};
use arrow::datatypes::DataType;
use arrow::row::{Row, RowConverter, Rows, SortField};
use datafusion::common::Result;

pub(super) use crate::exec::asof_join::i64_values as codes;

/// How the keys of labels and rows become integers.
pub(super) enum Keys {
    /// The value of the one key.
    Value,
    /// There is no key: all rows have one.
    None,
    /// The rank among the labels' keys.
    Ranked(Arc<Ranks>),
}

/// The distinct keys of the labels, sorted.
pub(super) struct Ranks {
    converter: RowConverter,
    rows: Rows,
    /// The same, as columns.
    columns: Vec<ArrayRef>,
}

/// Rows of a page that have a label's key.
pub(super) struct Coded {
    pub keys: ScalarBuffer<i64>,
    /// Which rows they are; None where all.
    pub kept: Option<BooleanArray>,
}

/// Whether a type's values are compared as integers.
pub(super) fn is_whole(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Date32 | Date64
    ) || matches!(data_type, Time32(_) | Time64(_) | Timestamp(..) | Duration(_))
}

/// Whether rows of bytes order a type's values as segments do.
pub(super) fn is_ranked(data_type: &DataType) -> bool {
    use DataType::*;
    is_whole(data_type)
        || matches!(data_type, Boolean | Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary)
        || matches!(data_type, BinaryView | FixedSizeBinary(_) | Decimal128(..))
}

impl Keys {
    /// For labels with these key columns, several arrays a column; and each label's code. A label
    /// with a NULL has one that means nothing.
    pub(super) fn of_labels(batches: &[Vec<ArrayRef>]) -> Result<(Keys, Vec<ScalarBuffer<i64>>)> {
        let Some(first) = batches.first() else { return Ok((Keys::Value, Vec::new())) };
        match first.as_slice() {
            [] => Ok((Keys::None, Vec::new())),
            [one] if is_whole(one.data_type()) => {
                let of = |columns: &Vec<ArrayRef>| codes(&columns[0]);
                Ok((Keys::Value, batches.iter().map(of).collect::<Result<_>>()?))
            }
            _ => {
                let (ranks, codes) = Ranks::of(batches)?;
                Ok((Keys::Ranked(Arc::new(ranks)), codes))
            }
        }
    }

    /// The codes of rows in the order of their keys, without NULLs.
    pub(super) fn of_rows(&self, columns: &[ArrayRef], rows: usize) -> Result<Coded> {
        match self {
            Keys::Value => Ok(Coded { keys: codes(&columns[0])?, kept: None }),
            Keys::None => Ok(Coded { keys: vec![0; rows].into(), kept: None }),
            Keys::Ranked(ranks) => ranks.of_rows(columns, rows),
        }
    }
}

impl Ranks {
    fn of(batches: &[Vec<ArrayRef>]) -> Result<(Ranks, Vec<ScalarBuffer<i64>>)> {
        let fields = batches[0].iter().map(|c| SortField::new(c.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let mut numbers: HashMap<Box<[u8]>, u32> = HashMap::new();
        let mut distinct = converter.empty_rows(0, 0);
        let mut found: Vec<Vec<u32>> = Vec::with_capacity(batches.len());
        for columns in batches {
            let rows = converter.convert_columns(columns)?;
            let number = |row: Row<'_>| {
                if let Some(known) = numbers.get(row.as_ref()) {
                    return *known;
                }
                let new = distinct.num_rows() as u32;
                distinct.push(row);
                numbers.insert(row.as_ref().into(), new);
                new
            };
            found.push(rows.iter().map(number).collect());
        }
        let mut order: Vec<u32> = (0..distinct.num_rows() as u32).collect();
        order.sort_unstable_by(|a, b| distinct.row(*a as usize).cmp(&distinct.row(*b as usize)));
        let mut rank = vec![0_i64; order.len()];
        let mut sorted = converter.empty_rows(order.len(), 0);
        for (at, number) in order.iter().enumerate() {
            rank[*number as usize] = at as i64;
            sorted.push(distinct.row(*number as usize));
        }
        let columns = converter.convert_rows(&sorted)?;
        let coded = |numbers: Vec<u32>| numbers.iter().map(|n| rank[*n as usize]).collect();
        let codes = found.into_iter().map(coded).collect();
        Ok((Ranks { converter, rows: sorted, columns }, codes))
    }

    /// The keys of these ranks, as columns.
    pub(super) fn pick(&self, ranks: &[u32]) -> Result<Vec<ArrayRef>> {
        let ranks = UInt32Array::from(ranks.to_vec());
        Ok(self.columns.iter().map(|c| take(c, &ranks, None)).collect::<Result<_, _>>()?)
    }

    /// One look-up for each run of equal keys.
    fn of_rows(&self, columns: &[ArrayRef], rows: usize) -> Result<Coded> {
        let runs = partition(columns)?.ranges();
        let heads = UInt32Array::from_iter_values(runs.iter().map(|run| run.start as u32));
        let heads = columns.iter().map(|c| take(c, &heads, None)).collect::<Result<Vec<_>, _>>()?;
        let heads = self.converter.convert_columns(&heads)?;
        let (mut keys, mut kept) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut from = 0;
        for (run, head) in runs.iter().zip(heads.iter()) {
            let (mut low, mut high) = (from, self.rows.num_rows());
            while low < high {
                let middle = low + (high - low) / 2;
                if self.rows.row(middle) < head { low = middle + 1 } else { high = middle }
            }
            from = low;
            let is_known = low < self.rows.num_rows() && self.rows.row(low) == head;
            kept.resize(run.end, is_known);
            if is_known {
                keys.resize(keys.len() + run.len(), low as i64);
            }
        }
        let kept = (keys.len() < rows).then(|| BooleanArray::from(kept));
        Ok(Coded { keys: keys.into(), kept })
    }
}

/// The rows of `columns` where no NULL is.
pub(super) fn without_nulls(
    columns: &[ArrayRef],
    nulls: Option<&NullBuffer>,
) -> Result<Option<Vec<ArrayRef>>> {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Ok(None) };
    let mask = BooleanArray::new(nulls.inner().clone(), None);
    let kept = columns.iter().map(|column| filter(column, &mask));
    Ok(Some(kept.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn ranks_follow_the_order_of_the_keys_and_leave_out_what_no_label_has() {
        let labels: Vec<Vec<ArrayRef>> = vec![
            vec![
                Arc::new(StringArray::from(vec!["b", "a", "b"])),
                Arc::new(Int64Array::from(vec![1, 9, 0])),
            ],
            vec![Arc::new(StringArray::from(vec!["b"])), Arc::new(Int64Array::from(vec![1]))],
        ];
        let (keys, codes) = Keys::of_labels(&labels).unwrap();
        assert_eq!(codes[0].as_ref(), [2, 0, 1]);
        assert_eq!(codes[1].as_ref(), [2]);
        let rows: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["a", "a", "b", "b", "c"])),
            Arc::new(Int64Array::from(vec![8, 9, 1, 1, 0])),
        ];
        let coded = keys.of_rows(&rows, 5).unwrap();
        assert_eq!(coded.keys.as_ref(), [0, 2, 2]);
        let kept: Vec<bool> = coded.kept.unwrap().values().iter().collect();
        assert_eq!(kept, [false, true, true, true, false]);
    }
}
