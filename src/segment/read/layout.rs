//! What the footer and the page index say: where the pages of each column are.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Fields};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::{
    FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::super::blocks::{BlockReader, Blocks, damaged, parquet_error};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::SegmentMeta;

/// The key of the footer's metadata that holds the version of our rules for the file.
pub(in super::super) const FORMAT_KEY: &str = "asofdb.segment";
/// The rules of this program: `docs/format-segments.md`.
pub(in super::super) const FORMAT: &str = "1";
/// The key of the footer's metadata that lists columns whose bounds may be truncated.
pub(in super::super) const LONG_KEY: &str = "asofdb.long";

/// The shape of one file.
pub(in super::super) struct Layout {
    /// The file's name, for messages.
    pub name: String,
    /// Footer and page index.
    pub metadata: ParquetMetaData,
    /// How many rows.
    pub rows: u64,
    /// Rows a page, the last page of the file excepted.
    pub page_rows: u64,
    /// Rows a row group, the last one excepted; a multiple of the page rows.
    pub group_rows: u64,
    /// The columns, in the order of the file.
    pub columns: Vec<FileColumn>,
}

/// One column of a file.
pub(in super::super) struct FileColumn {
    /// Its Parquet field id.
    pub id: i32,
    /// Its leaf among Parquet's columns.
    pub leaf: usize,
    /// Its Arrow field.
    pub field: FieldRef,
    /// How Parquet's levels make the array.
    pub levels: FieldLevels,
    /// Whether it has values longer than a bound may be, so that bounds need not occur.
    pub long: bool,
}

impl Layout {
    /// Reads and checks footer and page index.
    pub fn open(blocks: &Arc<Blocks>, meta: &SegmentMeta) -> Result<Layout> {
        let name = blocks.name().to_owned();
        let error = |e| parquet_error(&name, e);
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Required)
            .parse_and_finish(&BlockReader(blocks.clone()))
            .map_err(error)?;
        check_format(&name, &metadata)?;
        let rows = metadata.file_metadata().num_rows() as u64;
        if rows != meta.rows || rows == 0 {
            let expected = meta.rows;
            return Err(damaged(&name, &format!("has {rows} rows instead of {expected}")));
        }
        let group_rows = metadata.row_group(0).num_rows() as u64;
        let page_rows = page_rows(&metadata).ok_or_else(|| misaligned(&name))?;
        let columns = columns(&metadata).map_err(error)?;
        let layout = Layout { name, metadata, rows, page_rows, group_rows, columns };
        layout.check_alignment()?;
        Ok(layout)
    }

    /// The column of this field id.
    pub fn column(&self, id: i32) -> Option<&FileColumn> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// How many pages each column has.
    pub fn pages(&self) -> u64 {
        self.rows.div_ceil(self.page_rows)
    }

    /// How many pages a row group has, the last one excepted.
    pub fn group_pages(&self) -> u64 {
        self.group_rows.div_ceil(self.page_rows)
    }

    /// How many rows a page has.
    pub fn rows_of(&self, page: u64) -> u64 {
        self.page_rows.min(self.rows - page * self.page_rows)
    }

    /// Parquet's statistics of a column's pages.
    pub fn converter<'a>(&'a self, column: &'a FileColumn) -> Result<StatisticsConverter<'a>> {
        let schema = self.metadata.file_metadata().schema_descr();
        StatisticsConverter::from_column_index(column.leaf, &column.field, schema)
            .map_err(|e| parquet_error(&self.name, e))
    }

    /// Every page of every column starts at the same rows: what positions are computed from.
    fn check_alignment(&self) -> Result<()> {
        let groups = self.metadata.row_groups();
        let pages = self.metadata.offset_index().ok_or_else(|| misaligned(&self.name))?;
        for (group, row_group) in groups.iter().enumerate() {
            let rows = row_group.num_rows() as u64;
            let is_last = group + 1 == groups.len();
            let whole = rows == self.group_rows && rows.is_multiple_of(self.page_rows);
            let fits = if is_last { rows > 0 && rows <= self.group_rows } else { whole };
            let starts = (0..rows).step_by(self.page_rows as usize);
            let aligned = pages[group].iter().all(|column| {
                let found = column.page_locations().iter().map(|p| p.first_row_index as u64);
                found.eq(starts.clone())
            });
            if !fits || !aligned || pages[group].len() != row_group.num_columns() {
                return Err(misaligned(&self.name));
            }
        }
        Ok(())
    }
}

fn misaligned(name: &str) -> Error {
    damaged(name, "has pages that do not line up")
}

fn check_format(name: &str, metadata: &ParquetMetaData) -> Result<()> {
    let found = footer_value(metadata, FORMAT_KEY).unwrap_or_default();
    if found == FORMAT {
        return Ok(());
    }
    let what = format!("file \"{name}\" is a segment of format \"{found}\"; this program reads 1");
    Err(Error::new(ErrorKind::DataDirectory, what)
        .hint("open the folder with the version of AsofDB that wrote it"))
}

fn footer_value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let values = metadata.file_metadata().key_value_metadata()?;
    values.iter().find(|v| v.key == key)?.value.as_deref()
}

/// Where the second page starts; a file of one page has pages as long as itself.
fn page_rows(metadata: &ParquetMetaData) -> Option<u64> {
    let pages = metadata.offset_index()?.first()?.first()?.page_locations();
    let rows = match pages.get(1) {
        Some(second) => second.first_row_index,
        None => metadata.row_group(0).num_rows(),
    };
    u64::try_from(rows).ok().filter(|rows| *rows > 0)
}

fn columns(metadata: &ParquetMetaData) -> parquet::errors::Result<Vec<FileColumn>> {
    let file = metadata.file_metadata();
    let schema = file.schema_descr();
    let arrow = parquet_to_arrow_schema(schema, file.key_value_metadata())?;
    let long: Vec<i32> = footer_value(metadata, LONG_KEY)
        .map(|list| list.split(',').filter_map(|id| id.parse().ok()).collect())
        .unwrap_or_default();
    let roots = schema.root_schema().get_fields();
    let of = |root: usize| {
        let info = roots[root].get_basic_info();
        let id = if info.has_id() { info.id() } else { -1 };
        let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root);
        Ok(FileColumn {
            id,
            leaf: leaf.unwrap_or(root),
            field: arrow.fields()[root].clone(),
            levels: levels(metadata, root, arrow.fields())?,
            long: long.contains(&id),
        })
    };
    (0..roots.len()).map(of).collect()
}

fn levels(
    metadata: &ParquetMetaData,
    root: usize,
    hint: &Fields,
) -> parquet::errors::Result<FieldLevels> {
    let schema = metadata.file_metadata().schema_descr();
    parquet_to_arrow_field_levels(schema, ProjectionMask::roots(schema, [root]), Some(hint))
}
