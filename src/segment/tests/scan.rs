//! Scans against a naive oracle: pruning, deletes, ranges and limits never change answers.

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;

/// `low <= column <= high`; NULL fails. Counts the rows it was shown.
#[derive(Debug)]
struct Between {
    columns: Vec<ColumnId>,
    low: i64,
    high: i64,
    seen: std::sync::atomic::AtomicU64,
}

impl Between {
    fn new(column: u64, low: i64, high: i64) -> Arc<Between> {
        Arc::new(Between { columns: ids(&[column]), low, high, seen: Default::default() })
    }

    fn seen(&self) -> u64 {
        self.seen.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Filter for Between {
    fn columns(&self) -> &[ColumnId] {
        &self.columns
    }

    fn may_match(&self, statistics: &ContainerStatistics) -> Result<Vec<bool>> {
        let rows = statistics.rows().len();
        let (Some(min), Some(max)) =
            (statistics.min(self.columns[0]), statistics.max(self.columns[0]))
        else {
            return Ok(vec![true; rows]);
        };
        let (min, max) = (min.as_primitive::<Int64Type>(), max.as_primitive::<Int64Type>());
        let may = |c: usize| {
            let above = min.is_valid(c) && min.value(c) > self.high;
            let below = max.is_valid(c) && max.value(c) < self.low;
            !above && !below
        };
        Ok((0..rows).map(may).collect())
    }

    fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        assert_eq!(batch.num_columns(), 1);
        self.seen.fetch_add(batch.num_rows() as u64, std::sync::atomic::Ordering::SeqCst);
        let values = batch.column(0).as_primitive::<Int64Type>();
        let inside = |v: Option<i64>| v.map(|v| (self.low..=self.high).contains(&v));
        Ok(values.iter().map(inside).collect())
    }
}

/// Lets every third row id through.
#[derive(Debug)]
struct EveryThird;

impl RowVisibility for EveryThird {
    fn visible(&self, commits: &UInt64Array, row_ids: &UInt64Array) -> BooleanBuffer {
        assert_eq!(commits.len(), row_ids.len());
        row_ids.values().iter().map(|id| id % 3 == 0).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn conditions_never_change_the_answer(
        column in 1u64..4,
        low in -10i64..1100,
        width in 0i64..400,
        filtered in any::<bool>(),
        visible in any::<bool>(),
        deleted in prop::collection::vec(0u32..3000, 0..40),
        deleted_from in 0u32..3000,
        range in prop::option::of((0u64..3000, 0u64..3500)),
        batch_rows in prop::sample::select(vec![1usize, 7, 512, 8192]),
        limit in prop::option::of(0usize..3000),
    ) {
        let folder = Folder::new();
        let (schema, batch) = events(3000, 13);
        let segment = folder.open(&folder.write(spec(&schema), std::slice::from_ref(&batch))).unwrap();
        let filter = Between::new(column, low, low + width);
        let mut gone: RoaringBitmap = deleted.into_iter().collect();
        gone.insert_range(deleted_from..deleted_from + 600);
        let mut projection = Projection::new(schema, ids(&[3, 1]));
        projection.position = true;
        let mut request = ScanRequest::new(projection);
        request.filter = filtered.then(|| filter.clone() as Arc<dyn Filter>);
        request.visibility = visible.then(|| Arc::new(EveryThird) as Arc<dyn RowVisibility>);
        request.deleted = Some(Arc::new(gone.clone()));
        request.rows = range.map(|(from, to)| from..to.max(from));
        request.batch_rows = batch_rows;
        request.limit = limit;

        let values = batch.column(column as usize - 1).as_primitive::<Int64Type>().clone();
        let inside = |p: &u64| {
            let value = values.is_valid(*p as usize).then(|| values.value(*p as usize));
            (!filtered || value.is_some_and(|v| (low..=low + width).contains(&v)))
                && (!visible || (p + 1000).is_multiple_of(3))
                && !gone.contains(*p as u32)
                && request.rows.as_ref().is_none_or(|r| r.contains(p))
        };
        let expected: Vec<u64> =
            (0..3000).filter(inside).take(limit.unwrap_or(usize::MAX)).collect();
        let batches: Vec<RecordBatch> =
            segment.scan(request.clone()).unwrap().collect::<Result<_>>().unwrap();
        prop_assert!(batches.iter().all(|b| (1..=batch_rows).contains(&b.num_rows())));
        let found = concat_batches(&request.projection.arrow().unwrap(), &batches).unwrap();
        prop_assert_eq!(positions(&found), expected.clone());
        for (row, position) in expected.iter().enumerate() {
            for (c, source) in [(0, 2), (1, 0)] {
                let one = batch.column(source).slice(*position as usize, 1);
                prop_assert_eq!(&found.column(c).slice(row, 1), &one);
            }
        }
    }
}

#[test]
fn statistics_spare_pages_and_deleted_rows_are_not_shown_to_a_filter() {
    let folder = Folder::new();
    let (schema, batch) = events(4096, 1);
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();
    let mut request = ScanRequest::new(Projection::new(schema, ids(&[3])));
    let filter = Between::new(1, 1000, 1100);
    request.filter = Some(filter.clone());
    request.deleted = Some(Arc::new((1020..1030).collect()));
    assert_eq!(scan_all(&segment, request).unwrap().num_rows(), 101 - 10);
    assert_eq!(filter.seen(), 1024 - 10);
}

#[test]
fn a_scan_without_columns_counts() {
    let folder = Folder::new();
    let (schema, batch) = events(3000, 10);
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();
    let mut request = ScanRequest::new(Projection::new(schema, Vec::new()));
    request.deleted = Some(Arc::new((0..100).collect()));
    let rows: usize = segment.scan(request).unwrap().map(|b| b.unwrap().num_rows()).sum();
    assert_eq!(rows, 2900);
}

#[test]
fn parts_cover_the_rows_once() {
    let folder = Folder::new();
    let (schema, batch) = events(5000, 10);
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();
    for parts in [1, 2, 3, 8, 1000] {
        let ranges = segment.split(parts);
        assert!(ranges.len() <= parts && !ranges.is_empty());
        assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, 5000));
        assert!(ranges.windows(2).all(|w| w[0].end == w[1].start));
        assert!(ranges.iter().all(|r| !r.is_empty() && r.start % 512 == 0));
    }
    assert_eq!(segment.split(2).len(), 2);
}

/// Refuses every row.
#[derive(Debug)]
struct Broken(Vec<ColumnId>);

impl Filter for Broken {
    fn columns(&self) -> &[ColumnId] {
        &self.0
    }

    fn may_match(&self, statistics: &ContainerStatistics) -> Result<Vec<bool>> {
        Ok(vec![true; statistics.rows().len()])
    }

    fn keep(&self, _: &RecordBatch) -> Result<BooleanArray> {
        Err(crate::error::Error::new(crate::error::ErrorKind::DivisionByZero, "division by zero"))
    }
}

#[test]
fn an_error_of_the_filter_ends_the_scan_as_it_is() {
    let folder = Folder::new();
    let (schema, batch) = events(3000, 10);
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();
    let mut request = ScanRequest::new(Projection::new(schema, ids(&[1])));
    request.filter = Some(Arc::new(Broken(ids(&[2]))));
    let mut scan = segment.scan(request).unwrap();
    let error = scan.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::DivisionByZero);
    assert!(scan.next().is_none());
}

#[test]
fn whole_files_are_containers_too() {
    let folder = Folder::new();
    let (schema, batch) = events(3000, 10);
    let meta = folder.write(spec(&schema), &[batch]);
    let written = |_| Some(schema.clone());
    let of = |shown: &TableSchema, columns: &[u64]| {
        ContainerStatistics::of_segments(&[&meta], shown, &ids(columns), written).unwrap()
    };
    let statistics = of(&schema, &[1, 3]);
    assert_eq!(statistics.rows(), [3000]);
    assert_eq!(Between::new(1, 300, 400).may_match(&statistics).unwrap(), [false]);
    assert_eq!(Between::new(1, 299, 400).may_match(&statistics).unwrap(), [true]);
    let nulls = statistics.nulls(ColumnId(3)).unwrap();
    assert_eq!(nulls.as_ref(), &UInt64Array::from(vec![600]));

    // Bounds are shown in today's type: 299 is 299.00 now.
    let mut later = TableSchema::clone(&schema);
    later.columns[0].data_type = Type::Numeric(20, 2);
    let max = of(&later, &[1]).max(ColumnId(1)).unwrap();
    assert_eq!(crate::spec::Value::from_array(&max, 0), Some(crate::spec::Value::Decimal(29_900)));
    later.columns[0].data_type = Type::Text;
    assert!(of(&later, &[1]).max(ColumnId(1)).unwrap().is_null(0));
}
