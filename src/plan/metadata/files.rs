//! t.files and its kin: where the rows of a table lie.

use super::build::{Built, batch, maps, maybe_texts, numbers, small, texts, times};
use crate::error::Result;
use crate::segment::SEGMENTS_DIR;
use crate::spec::text::{TextFormatter, TextOptions};
use crate::spec::{TableSchema, Value};
use crate::store::{InlineBatch, Snapshot, Table, TableSegment};

/// Which files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Data,
    Deletes,
}

/// One file, or what takes a file's place.
struct File {
    /// 0: rows, 1: deleted positions.
    content: i32,
    path: String,
    format: &'static str,
    rows: u64,
    bytes: u64,
    /// The commit it came with.
    commit: u64,
    /// The data file that a deletion vector is about.
    about: Option<String>,
    nulls: Pairs,
    lower: Pairs,
    upper: Pairs,
}

type Pairs = Vec<(String, String)>;

impl File {
    fn of_segment(table: &TableSchema, segment: &TableSegment, text: &TextOptions) -> Result<File> {
        let meta = &segment.meta;
        let (mut nulls, mut lower, mut upper) = (Vec::new(), Vec::new(), Vec::new());
        for statistics in &meta.statistics {
            let Some(column) = table.column(statistics.column) else { continue };
            nulls.push((column.name.clone(), statistics.nulls.to_string()));
            for (side, bound) in [(&mut lower, &statistics.min), (&mut upper, &statistics.max)] {
                if let Some(shown) = shown(bound.as_ref(), &column.data_type, text) {
                    side.push((column.name.clone(), shown));
                }
            }
        }
        Ok(File {
            content: 0,
            path: format!("{SEGMENTS_DIR}/{}", meta.file_name()),
            format: "PARQUET",
            rows: meta.rows,
            bytes: meta.file.bytes,
            commit: segment.entry.commit.0,
            about: None,
            nulls,
            lower,
            upper,
        })
    }

    fn of_batch(batch: &InlineBatch) -> File {
        File {
            content: 0,
            path: format!("inline/{}/{}", batch.line.0, batch.commit.0),
            format: "ARROW",
            rows: batch.rows,
            bytes: batch.bytes,
            commit: batch.commit.0,
            about: None,
            nulls: Vec::new(),
            lower: Vec::new(),
            upper: Vec::new(),
        }
    }

    fn of_deletes(segment: &TableSegment) -> Option<File> {
        let deleted = segment.deleted.as_ref().filter(|deleted| !deleted.is_empty())?;
        Some(File {
            content: 1,
            path: format!("deletes/{}", segment.meta.id),
            format: "ROARING",
            rows: deleted.len(),
            bytes: deleted.serialized_size() as u64,
            commit: segment.entry.commit.0,
            about: Some(format!("{SEGMENTS_DIR}/{}", segment.meta.file_name())),
            nulls: Vec::new(),
            lower: Vec::new(),
            upper: Vec::new(),
        })
    }
}

/// A bound as text, in the column's type. A bound of an older, narrower type fits too.
fn shown(
    bound: Option<&Value>,
    data_type: &crate::spec::Type,
    text: &TextOptions,
) -> Option<String> {
    let array = Value::array(&[bound.cloned()], data_type).ok()?;
    let formatter = TextFormatter::new(data_type, &array, text).ok()?;
    if formatter.is_null(0) {
        return None;
    }
    let mut out = Vec::new();
    formatter.write(0, &mut out);
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn list(table: &Table, which: Which, text: &TextOptions) -> Result<Vec<File>> {
    let mut files = Vec::new();
    if which != Which::Deletes {
        for segment in table.segments() {
            files.push(File::of_segment(table.schema(), segment, text)?);
        }
        for folded in &table.folded()?.files {
            files.push(File::of_segment(table.schema(), folded, text)?);
        }
        files.extend(table.inline_batches()?.iter().map(File::of_batch));
    }
    if which != Which::Data {
        files.extend(table.segments().iter().filter_map(File::of_deletes));
    }
    Ok(files)
}

pub(super) fn files(table: &Table, which: Which, text: &TextOptions) -> Result<Built> {
    let files = list(table, which, text)?;
    let build = || {
        batch([
            ("content", small(files.iter().map(|f| f.content)), false),
            ("file_path", texts(files.iter().map(|f| f.path.as_str())), false),
            ("file_format", texts(files.iter().map(|f| f.format)), false),
            ("spec_id", small(files.iter().map(|_| 0)), false),
            ("record_count", numbers(files.iter().map(|f| Some(f.rows))), false),
            ("file_size_in_bytes", numbers(files.iter().map(|f| Some(f.bytes))), false),
            ("null_value_counts", maps(files.iter().map(|f| f.nulls.clone()))?, false),
            ("lower_bounds", maps(files.iter().map(|f| f.lower.clone()))?, false),
            ("upper_bounds", maps(files.iter().map(|f| f.upper.clone()))?, false),
            ("referenced_data_file", maybe_texts(files.iter().map(|f| f.about.clone())), true),
            ("snapshot_id", numbers(files.iter().map(|f| Some(f.commit))), false),
        ])
    };
    Ok(build())
}

/// Iceberg's entries: status 1 is added, and every file here was added by its commit.
pub(super) fn entries(table: &Table) -> Result<Built> {
    let files = list(table, Which::All, &TextOptions::default())?;
    Ok(batch([
        ("status", small(files.iter().map(|_| 1)), false),
        ("snapshot_id", numbers(files.iter().map(|f| Some(f.commit))), false),
        ("sequence_number", numbers(files.iter().map(|f| Some(f.commit))), false),
        ("file_sequence_number", numbers(files.iter().map(|f| Some(f.commit))), false),
        ("content", small(files.iter().map(|f| f.content)), false),
        ("file_path", texts(files.iter().map(|f| f.path.as_str())), false),
        ("file_format", texts(files.iter().map(|f| f.format)), false),
        ("record_count", numbers(files.iter().map(|f| Some(f.rows))), false),
        ("file_size_in_bytes", numbers(files.iter().map(|f| Some(f.bytes))), false),
    ]))
}

/// One row: tables have a clustering key, not partitions.
pub(super) fn partitions(table: &Table, at: &Snapshot) -> Result<Built> {
    let files = list(table, Which::All, &TextOptions::default())?;
    let sum = |content: i32, of: fn(&File) -> u64| {
        numbers([Some(files.iter().filter(|f| f.content == content).map(of).sum())].into_iter())
    };
    let mut updated = None;
    at.store().history(at, |commit| {
        let about = commit.changes.iter().any(|change| change.table == table.id());
        if about {
            updated = Some((commit.id.0, commit.time_us));
        }
        Ok(!about)
    })?;
    let (commit, time_us) = updated.unwrap_or((at.commit().0, at.time_us()));
    Ok(batch([
        ("spec_id", small([0].into_iter()), false),
        ("record_count", numbers([Some(table.row_count())].into_iter()), false),
        ("file_count", sum(0, |_| 1), false),
        ("total_data_file_size_in_bytes", sum(0, |f| f.bytes), false),
        ("position_delete_record_count", sum(1, |f| f.rows), false),
        ("position_delete_file_count", sum(1, |_| 1), false),
        ("last_updated_at", times([time_us].into_iter()), false),
        ("last_updated_snapshot_id", numbers([Some(commit)].into_iter()), false),
    ]))
}

/// The batches that lie in the log.
pub(super) fn inline(table: &Table) -> Result<Built> {
    let batches = table.inline_batches()?;
    Ok(batch([
        ("line", numbers(batches.iter().map(|b| Some(b.line.0))), false),
        ("snapshot_id", numbers(batches.iter().map(|b| Some(b.commit.0))), false),
        ("record_count", numbers(batches.iter().map(|b| Some(b.rows))), false),
        ("size_in_bytes", numbers(batches.iter().map(|b| Some(b.bytes))), false),
    ]))
}
