//! Tables and rows that the tests of this room share.

mod damage;
mod lookup;
mod publish;
mod scan;
mod sort;
mod types;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, UInt64Array};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;

use super::*;
use crate::spec::{
    Column, ColumnId, PrimaryKey, RowId, RowIds, SchemaId, SegmentId, SegmentMeta, TableId,
    TableSchema, Type,
};

pub struct Folder {
    _dir: tempfile::TempDir,
    pub vfs: Vfs,
}

impl Folder {
    pub fn new() -> Folder {
        let dir = tempfile::tempdir().unwrap();
        let vfs = Vfs::open(dir.path()).unwrap();
        make_dirs(&vfs).unwrap();
        Folder { _dir: dir, vfs }
    }

    pub fn open(&self, meta: &SegmentMeta) -> Result<Arc<Segment>> {
        // What a cache holds of an earlier file must not stand for this one.
        let cache = Cache::new(16 << 20, 1 << 20);
        Segment::open(&self.vfs, Arc::new(meta.clone()), &cache).map(Arc::new)
    }

    pub fn write(&self, spec: SegmentSpec, batches: &[RecordBatch]) -> SegmentMeta {
        let mut writer = SegmentWriter::create(&self.vfs, spec).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap()
    }
}

/// A table of these columns, ids from 1, clustered by the first `clustered` ones, which are its key.
pub fn table(columns: &[(&str, Type)], clustered: usize) -> Arc<TableSchema> {
    let column = |(i, (name, data_type)): (usize, &(&str, Type))| Column {
        not_null: i < clustered,
        ..Column::new(ColumnId(i as u64 + 1), *name, data_type.clone())
    };
    let columns: Vec<Column> = columns.iter().enumerate().map(column).collect();
    let key: Vec<ColumnId> = columns[..clustered].iter().map(|c| c.id).collect();
    Arc::new(TableSchema {
        id: SchemaId(1),
        table: TableId(1),
        namespace: "public".into(),
        name: "t".into(),
        columns,
        primary_key: Some(PrimaryKey {
            name: "t_pkey".into(),
            columns: key.clone(),
            enforced: true,
        }),
        unique: Vec::new(),
        checks: Vec::new(),
        cluster_by: key,
        event_time: None,
        known_time: None,
        ties: Vec::new(),
        options: Vec::new(),
        comment: None,
    })
}

pub fn spec(schema: &Arc<TableSchema>) -> SegmentSpec {
    SegmentSpec {
        id: SegmentId(7),
        epoch: 3,
        schema: schema.clone(),
        row_ids: RowIds::Sequential(RowId(1000)),
        commit_stored: false,
        options: SegmentOptions { page_rows: 512, row_group_rows: 1024, ..Default::default() },
    }
}

/// (k, ts, v): `per_key` rows a key.
pub fn events(rows: i64, per_key: i64) -> (Arc<TableSchema>, RecordBatch) {
    let schema = table(&[("k", Type::Int8), ("ts", Type::Int8), ("v", Type::Int8)], 2);
    let column = |f: fn(i64, i64) -> Option<i64>| -> ArrayRef {
        Arc::new((0..rows).map(|i| f(i, per_key)).collect::<Int64Array>())
    };
    let columns = vec![
        column(|i, n| Some(i / n)),
        column(|i, n| Some(i % n * 10)),
        column(|i, _| (i % 5 != 0).then_some(i * 7 % 1000)),
    ];
    let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
    (schema, batch)
}

pub fn ids(columns: &[u64]) -> Vec<ColumnId> {
    columns.iter().map(|id| ColumnId(*id)).collect()
}

pub fn scan_all(segment: &Arc<Segment>, request: ScanRequest) -> Result<RecordBatch> {
    let schema = request.projection.arrow()?;
    let batches: Vec<RecordBatch> = segment.scan(request)?.collect::<Result<_>>()?;
    Ok(concat_batches(&schema, &batches).unwrap())
}

pub fn positions(batch: &RecordBatch) -> Vec<u64> {
    let column = batch.column_by_name(POSITION_NAME).unwrap();
    column.as_any().downcast_ref::<UInt64Array>().unwrap().values().to_vec()
}
