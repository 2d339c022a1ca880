//! What a reader asks for.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use roaring::RoaringBitmap;

use super::super::columns::{COMMIT_NAME, POSITION_NAME, ROW_ID_NAME};
use super::super::filter::{Filter, RowVisibility};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Column, ColumnId, CommitId, TableSchema};

/// Which columns a reader wants, in which types.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The shape rows are shown in: the types of the columns (a file may have narrower ones), and the
    /// stored defaults of those that the file lacks.
    pub schema: Arc<TableSchema>,
    /// The columns, in the order wanted.
    pub columns: Vec<ColumnId>,
    /// The commit of every row, where the file does not store it.
    pub constant_commit: CommitId,
    /// Whether `_commit` follows (`UInt64`).
    pub commit: bool,
    /// Whether `_row_id` follows (`UInt64`).
    pub row_id: bool,
    /// Whether `_position` follows (`UInt64`).
    pub position: bool,
}

impl Projection {
    /// These columns and nothing else.
    pub fn new(schema: Arc<TableSchema>, columns: Vec<ColumnId>) -> Projection {
        Projection {
            schema,
            columns,
            constant_commit: CommitId(0),
            commit: false,
            row_id: false,
            position: false,
        }
    }

    /// The Arrow schema of the batches. Every column of the table is nullable, whatever the table
    /// says: a file may lack it.
    pub fn arrow(&self) -> Result<SchemaRef> {
        let mut fields = self.fields(&self.columns)?;
        let hidden = [
            (self.commit, COMMIT_NAME),
            (self.row_id, ROW_ID_NAME),
            (self.position, POSITION_NAME),
        ];
        let asked = hidden.iter().filter(|(asked, _)| *asked);
        fields.extend(asked.map(|(_, name)| Field::new(*name, DataType::UInt64, false)));
        Ok(Arc::new(Schema::new(fields)))
    }

    /// The fields of some of the table's columns.
    pub(super) fn fields(&self, columns: &[ColumnId]) -> Result<Vec<Field>> {
        let field = |id: &ColumnId| {
            self.column(*id).map(|column| column.data_type.field(&column.name, true))
        };
        columns.iter().map(field).collect()
    }

    /// A column of the table as it is shown.
    pub(super) fn column(&self, id: ColumnId) -> Result<&Column> {
        self.schema.column(id).ok_or_else(|| {
            let table = &self.schema.name;
            Error::new(ErrorKind::Internal, format!("table \"{table}\" has no column {id}"))
        })
    }
}

/// What to scan.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// The columns.
    pub projection: Projection,
    /// Only rows that pass; applied to every row that the other conditions leave.
    pub filter: Option<Arc<dyn Filter>>,
    /// Not the rows at these positions.
    pub deleted: Option<Arc<RoaringBitmap>>,
    /// Only row versions that this lets through.
    pub visibility: Option<Arc<dyn RowVisibility>>,
    /// Only rows at these positions; None is all.
    pub rows: Option<Range<u64>>,
    /// Only rows of these pages; None is all.
    pub pages: Option<Arc<RoaringBitmap>>,
    /// Whether pages are looked for in the cache and kept there: of a few that will be asked again.
    pub cached: bool,
    /// The most rows a batch has.
    pub batch_rows: usize,
    /// Stop after so many rows.
    pub limit: Option<usize>,
}

impl ScanRequest {
    /// All rows of these columns.
    pub fn new(projection: Projection) -> ScanRequest {
        ScanRequest {
            projection,
            filter: None,
            deleted: None,
            visibility: None,
            rows: None,
            pages: None,
            cached: false,
            batch_rows: 8192,
            limit: None,
        }
    }
}

/// Which end of the rows equal to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the first of them.
    Before,
    /// Behind the last of them.
    After,
}
