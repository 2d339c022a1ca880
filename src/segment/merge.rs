//! Several sorted streams of rows into one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;

use super::sort::sort_columns;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::TableSchema;
use crate::spec::key::{KeyEncoder, Keys};

/// Rows a merged batch has, but for the last.
const BATCH_ROWS: usize = 8192;

/// Batches of one stream, each and all in the segment order.
pub type SortedRows = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// The rows of several sorted streams in the segment order (see [`super::sort_batches`]), batch by
/// batch. Holds one batch a stream and the one it fills.
pub struct Merge {
    encoder: KeyEncoder,
    columns: Vec<usize>,
    streams: Vec<Stream>,
    /// The streams that have rows left, the one with the least key first.
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    pieces: Vec<RecordBatch>,
    rows: usize,
    failed: bool,
}

struct Stream {
    rest: SortedRows,
    batch: RecordBatch,
    keys: Keys,
    at: usize,
}

impl Merge {
    /// Begins to read all streams, whose batches have the schema's columns and behind them columns of
    /// 64-bit counters, which count as the least significant of the order.
    pub fn new(schema: &TableSchema, streams: Vec<SortedRows>, width: usize) -> Result<Merge> {
        let (columns, types): (Vec<usize>, Vec<_>) =
            sort_columns(schema, width).into_iter().unzip();
        let mut merge = Merge {
            encoder: KeyEncoder::new(&types)?,
            columns,
            streams: Vec::new(),
            heads: BinaryHeap::new(),
            pieces: Vec::new(),
            rows: 0,
            failed: false,
        };
        for rest in streams {
            let batch = RecordBatch::new_empty(schema.arrow());
            merge.streams.push(Stream { rest, batch, keys: Keys::default(), at: 0 });
            merge.refill(merge.streams.len() - 1)?;
        }
        Ok(merge)
    }

    /// Puts a stream's next row among the heads, if it has one.
    fn refill(&mut self, number: usize) -> Result<()> {
        let stream = &mut self.streams[number];
        while stream.at >= stream.keys.len() {
            let Some(batch) = stream.rest.next().transpose()? else { return Ok(()) };
            let arrays: Vec<ArrayRef> =
                self.columns.iter().map(|c| batch.column(*c).clone()).collect();
            stream.keys = self.encoder.encode(&arrays)?;
            (stream.batch, stream.at) = (batch, 0);
        }
        self.heads.push(Reverse((stream.keys.get(stream.at).to_vec(), number)));
        Ok(())
    }

    /// Takes as many rows from the stream with the least key as come before every other stream's.
    fn take_run(&mut self, number: usize) -> Result<()> {
        let stream = &mut self.streams[number];
        let start = stream.at;
        let end = match self.heads.peek() {
            None => stream.keys.len(),
            Some(Reverse((next, _))) => {
                let mut end = start + 1;
                while end < stream.keys.len() && stream.keys.get(end) <= next.as_slice() {
                    end += 1;
                }
                end
            }
        };
        let end = end.min(start + BATCH_ROWS - self.rows);
        self.pieces.push(stream.batch.slice(start, end - start));
        self.rows += end - start;
        stream.at = end;
        self.refill(number)
    }

    fn fill(&mut self) -> Result<Option<RecordBatch>> {
        while self.rows < BATCH_ROWS {
            let Some(Reverse((_, number))) = self.heads.pop() else { break };
            self.take_run(number)?;
        }
        let Some(first) = self.pieces.first() else { return Ok(None) };
        let batch = concat_batches(&first.schema(), &self.pieces).map_err(|cause| {
            Error::new(ErrorKind::Internal, "sorted rows cannot be put together").caused_by(cause)
        })?;
        (self.pieces, self.rows) = (Vec::new(), 0);
        Ok(Some(batch))
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let filled = self.fill();
        self.failed = filled.is_err();
        filled.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, UInt64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use proptest::prelude::*;

    use super::super::tests::table;
    use super::*;
    use crate::segment::sort_batches;
    use crate::spec::Type;

    fn rows(found: &[RecordBatch]) -> Vec<i64> {
        let values = |b: &RecordBatch| b.column(0).as_primitive::<Int64Type>().values().to_vec();
        found.iter().flat_map(values).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

        #[test]
        fn merging_sorted_streams_is_sorting(
            streams in prop::collection::vec(prop::collection::vec(-50_i64..50, 0..40), 0..6),
            split in 1_usize..9,
        ) {
            let schema = table(&[("k", Type::Int8)], 1);
            let mut fields: Vec<_> = schema.arrow().fields().to_vec();
            fields.push(Arc::new(Field::new("_row_id", DataType::UInt64, false)));
            let shape = Arc::new(Schema::new(fields));
            let batch = |(n, values): (usize, &Vec<i64>)| {
                let ids = (0..values.len() as u64).map(|i| i * 10 + n as u64);
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(Int64Array::from(values.clone())),
                    Arc::new(UInt64Array::from_iter_values(ids)),
                ];
                RecordBatch::try_new(shape.clone(), columns).unwrap()
            };
            let all: Vec<RecordBatch> = streams.iter().enumerate().map(batch).collect();
            let sorted = |batch: &RecordBatch| -> SortedRows {
                let sorted = sort_batches(&schema, vec![batch.clone()]).unwrap();
                let pieces: Vec<_> = sorted.iter().flat_map(|b| {
                    let starts = (0..b.num_rows()).step_by(split);
                    starts.map(|s| Ok(b.slice(s, split.min(b.num_rows() - s)))).collect::<Vec<_>>()
                }).collect();
                Box::new(pieces.into_iter())
            };
            let merge = Merge::new(&schema, all.iter().map(sorted).collect(), 2).unwrap();
            let merged: Vec<RecordBatch> = merge.collect::<Result<_>>().unwrap();
            let wanted = sort_batches(&schema, all).unwrap();
            prop_assert_eq!(rows(&merged), rows(&wanted));
            let ids = |found: &[RecordBatch]| found.iter().flat_map(|b| {
                b.column(1).as_primitive::<arrow::datatypes::UInt64Type>().values().to_vec()
            }).collect::<Vec<u64>>();
            prop_assert_eq!(ids(&merged), ids(&wanted));
        }
    }
}
