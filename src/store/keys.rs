//! Uniqueness: keys of inline rows in memory, keys of segments by range, filter and search.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{concat, take};
use imbl::HashMap;

use super::commit::TableProposal;
use super::table::{Table, TableSegment, UNCOMMITTED, hidden_columns, internal};
use super::transaction::RowRefs;
use crate::error::{Error, ErrorKind, ObjectNames, Result};
use crate::log::Records;
use crate::segment::{Projection, RowVisibility, ScanRequest, Segment};
use crate::spec::key::{KeyEncoder, Keys};
use crate::spec::text::value_text;
use crate::spec::{
    Column, ColumnId, CommitId, EnforcedKey, RowId, SegmentEntry, SegmentMeta, TableSchema, Type,
    Value,
};

/// Where the newest inline row of each key is. Old entries stay when their row is deleted or moves
/// to another key: who finds one asks the deletes. Copies share structure.
#[derive(Clone, Default)]
pub(super) struct KeyMap(HashMap<Box<[u8]>, (CommitId, RowId)>);

/// A map for each enforced key of a table, in their order.
#[derive(Clone, Default)]
pub(super) struct KeyMaps(Vec<KeyMap>);

impl KeyMap {
    pub(super) fn get(&self, key: &[u8]) -> Option<(CommitId, RowId)> {
        self.0.get(key).copied()
    }
}

impl KeyMaps {
    pub(super) fn of(&self, key: usize) -> Option<&KeyMap> {
        self.0.get(key)
    }

    fn insert_with(&mut self, keys: &[KeyBatch], name: impl Fn(usize) -> (CommitId, RowId)) {
        self.0.resize_with(keys.len().max(self.0.len()), KeyMap::default);
        for (map, keys) in self.0.iter_mut().zip(keys) {
            for (at, key) in keys.encoded.iter().enumerate() {
                map.0.insert(key.into(), name(keys.row(at)));
            }
        }
    }

    /// `keys` are those of `rows`, one batch for each enforced key.
    pub(super) fn insert(&mut self, keys: &[KeyBatch], rows: &[RowId], commit: CommitId) {
        self.insert_with(keys, |row| (commit, rows[row]));
    }

    /// Forgets keys of rows that no commit has made: deletes hide only what was committed.
    pub(super) fn remove(&mut self, keys: &[KeyBatch]) {
        for (map, keys) in self.0.iter_mut().zip(keys) {
            for key in keys.encoded.iter() {
                map.0.remove(key);
            }
        }
    }
}

/// Keys of several rows: as values, one array a key column, and as bytes.
#[derive(Clone, Default)]
pub struct KeyBatch {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) encoded: Keys,
    /// Which row each key is of, where rows were left out: those with a NULL that equals nothing.
    rows: Option<Vec<u64>>,
    /// Rows by ascending key; made when first asked for.
    order: OnceLock<Vec<u64>>,
}

impl KeyBatch {
    /// The keys of these values, one array a key column in the key's order.
    pub fn new(columns: Vec<ArrayRef>, types: &[Type]) -> Result<KeyBatch> {
        let encoded = KeyEncoder::new(types)?.encode(&columns)?;
        Ok(KeyBatch { columns, encoded, rows: None, order: OnceLock::new() })
    }

    /// As [`KeyBatch::new`], without the keys that have a NULL.
    fn without_nulls(columns: Vec<ArrayRef>, types: &[Type]) -> Result<KeyBatch> {
        if columns.iter().all(|column| column.null_count() == 0) {
            return KeyBatch::new(columns, types);
        }
        let full = |row: &u64| columns.iter().all(|column| column.is_valid(*row as usize));
        let rows: Vec<u64> = (0..columns[0].len() as u64).filter(full).collect();
        let picked = pick(&columns, &rows)?;
        Ok(KeyBatch { rows: Some(rows), ..KeyBatch::new(picked, types)? })
    }

    /// Which row a key is of: rows whose key has a NULL that equals nothing have none.
    pub fn row(&self, at: usize) -> usize {
        self.rows.as_ref().map_or(at, |rows| rows[at] as usize)
    }

    /// The keys of rows whose first columns are the table's, in its order: a batch for each enforced
    /// key.
    ///
    /// # Errors
    /// Internal where the columns are not the table's.
    pub fn of_rows(schema: &TableSchema, rows: &RecordBatch) -> Result<Vec<KeyBatch>> {
        keys_of(schema, std::slice::from_ref(rows))
    }

    /// The bytes of one key; two keys are equal where these are.
    pub fn key(&self, row: usize) -> &[u8] {
        self.encoded.get(row)
    }

    /// The rows by ascending key, rows of one key in their own order.
    pub fn order(&self) -> &[u64] {
        self.order.get_or_init(|| {
            let mut order: Vec<u64> = (0..self.encoded.len() as u64).collect();
            order.sort_by_key(|row| self.encoded.get(*row as usize));
            order
        })
    }

    /// Some of the keys, by number.
    pub(super) fn only(&self, numbers: &[u64]) -> Result<KeyBatch> {
        let mut encoded = Keys::default();
        numbers.iter().for_each(|at| encoded.push(self.encoded.get(*at as usize)));
        let rows = numbers.iter().map(|at| self.row(*at as usize) as u64).collect();
        let columns = pick(&self.columns, numbers)?;
        Ok(KeyBatch { columns, encoded, rows: Some(rows), order: OnceLock::new() })
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.encoded.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }
}

fn pick(columns: &[ArrayRef], rows: &[u64]) -> Result<Vec<ArrayRef>> {
    let rows = UInt64Array::from(rows.to_vec());
    let pick = |column: &ArrayRef| take(column, &rows, None).map_err(internal);
    columns.iter().map(pick).collect()
}

/// The columns and types of an enforced primary key.
pub(super) fn enforced_key(schema: &TableSchema) -> Option<(&[ColumnId], Vec<Type>)> {
    let key = schema.primary_key.as_ref().filter(|key| key.enforced)?;
    Some((&key.columns, key_types(schema, &key.columns)))
}

pub(super) fn key_types(schema: &TableSchema, columns: &[ColumnId]) -> Vec<Type> {
    let column = |id: &ColumnId| schema.column(*id).expect("a key's columns are its table's");
    columns.iter().map(|id| column(id).data_type.clone()).collect()
}

/// The enforced keys of rows whose first columns are the table's, in its order: one batch for each
/// key.
pub(super) fn keys_of(schema: &TableSchema, batches: &[RecordBatch]) -> Result<Vec<KeyBatch>> {
    let column = |id: &ColumnId| {
        let at = schema.position(*id).expect("a key's columns are its table's");
        let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(at).as_ref()).collect();
        concat(&parts).map_err(internal)
    };
    let keys = schema.enforced_keys();
    if batches.is_empty() {
        return Ok(vec![KeyBatch::default(); keys.len()]);
    }
    let batch = |key: EnforcedKey<'_>| {
        let columns: Vec<ArrayRef> = key.columns.iter().map(column).collect::<Result<_>>()?;
        typed(schema, key, columns)
    };
    keys.into_iter().map(batch).collect()
}

/// The keys of one kind, from arrays of their columns.
pub(super) fn typed(
    schema: &TableSchema,
    key: EnforcedKey<'_>,
    columns: Vec<ArrayRef>,
) -> Result<KeyBatch> {
    let types = key_types(schema, key.columns);
    match key.nulls_distinct {
        true => KeyBatch::without_nulls(columns, &types),
        false => KeyBatch::new(columns, &types),
    }
}

/// # Errors
/// UniqueViolation where two rows of the batch have one key.
pub(super) fn check_distinct(schema: &TableSchema, keys: &[KeyBatch]) -> Result<()> {
    for (key, keys) in schema.enforced_keys().into_iter().zip(keys) {
        let encoded = &keys.encoded;
        let ascending = (1..encoded.len()).all(|i| encoded.get(i - 1) < encoded.get(i));
        if ascending {
            continue;
        }
        let encoded = |row: u64| encoded.get(row as usize);
        let equal = |pair: &&[u64]| encoded(pair[0]) == encoded(pair[1]);
        if let Some(pair) = keys.order().windows(2).find(equal) {
            return Err(duplicate(schema, key, keys, pair[1] as usize));
        }
    }
    Ok(())
}

impl Table {
    /// The keys of the living rows that lay in the log when it was built: once a version, then handed
    /// on by commits. Rows may have been folded since.
    pub(super) fn inline_keys(&self) -> Result<&KeyMaps> {
        if let Some(keys) = self.inline_keys.get() {
            return Ok(keys);
        }
        let maps = self.key_maps(|| self.unfolded_rows())?;
        Ok(self.inline_keys.get_or_init(|| maps))
    }

    /// The same for the committer, whose heads have commits that the log has only once all are written:
    /// these are read from its own transaction.
    pub(super) fn inline_keys_in(&self, records: &impl Records) -> Result<&KeyMaps> {
        if let Some(keys) = self.inline_keys.get() {
            return Ok(keys);
        }
        let maps = self.key_maps(|| self.unfolded_rows_in(records))?;
        Ok(self.inline_keys.get_or_init(|| maps))
    }

    fn key_maps(&self, rows: impl FnOnce() -> Result<Vec<RecordBatch>>) -> Result<KeyMaps> {
        let mut maps = KeyMaps::default();
        if self.schema.enforced_keys().is_empty() {
            return Ok(maps);
        }
        for batch in rows()? {
            let keys = keys_of(&self.schema, std::slice::from_ref(&batch))?;
            let (commits, rows) = hidden_columns(&batch);
            maps.insert_with(&keys, |row| (CommitId(commits.value(row)), RowId(rows.value(row))));
        }
        Ok(maps)
    }

    /// # Errors
    /// UniqueViolation where a living row has one of the keys, or two of them are equal.
    pub(super) fn check_unique(&self, keys: &[KeyBatch]) -> Result<()> {
        if keys.iter().all(KeyBatch::is_empty) {
            return Ok(());
        }
        check_distinct(&self.schema, keys)?;
        self.check_absent(keys, &self.segments, CommitId(0))
    }

    /// # Errors
    /// UniqueViolation where one of the keys is in these segments, or inline since a commit.
    pub(super) fn check_absent(
        &self,
        keys: &[KeyBatch],
        segments: &[TableSegment],
        since: CommitId,
    ) -> Result<()> {
        let inline = self.inline_keys()?;
        // After the map: a row that is folded in between is in both, not in neither.
        let folded = self.folded_since(since)?;
        let living = |(commit, id)| commit > since && !self.deletes.hides(id, commit);
        for (at, (key, keys)) in self.schema.enforced_keys().into_iter().zip(keys).enumerate() {
            if let Some(map) = inline.of(at) {
                for (row, encoded) in keys.encoded.iter().enumerate() {
                    if map.get(encoded).is_some_and(living) {
                        return Err(duplicate(&self.schema, key, keys, row));
                    }
                }
            }
            for segment in folded.files.iter().chain(segments) {
                let found = self.positions_of(&self.schema, segment, key.columns, keys)?;
                if let Some(row) = found.into_iter().map(|(row, _)| row).min() {
                    return Err(duplicate(&self.schema, key, keys, row));
                }
            }
        }
        Ok(())
    }

    /// Checks again, on a newer head, what rows of `mine` were checked against on the base.
    ///
    /// # Errors
    /// UniqueViolation; Conflict where the statement would do something else with the row there is.
    pub(super) fn check_unique_again(
        &self,
        mine: &Table,
        proposal: &TableProposal,
        base: CommitId,
    ) -> Result<()> {
        match self.check_unique_segments(mine, proposal, base) {
            Err(error) if proposal.reruns && error.kind() == ErrorKind::UniqueViolation => {
                Err(conflict(&self.schema.name))
            }
            checked => checked,
        }
    }

    fn check_unique_segments(
        &self,
        mine: &Table,
        proposal: &TableProposal,
        base: CommitId,
    ) -> Result<()> {
        if self.schema.enforced_keys().is_empty() {
            return Ok(());
        }
        let known: HashSet<_> = mine.segments.iter().map(|s| s.meta.id).collect();
        let newer: Vec<TableSegment> =
            self.segments.iter().filter(|s| !known.contains(&s.meta.id)).cloned().collect();
        for rows in mine.pending.iter() {
            let keys = keys_of(&mine.schema, std::slice::from_ref(&rows.batch))?;
            self.check_absent(&keys, &newer, base)?;
        }
        for meta in &proposal.segments {
            self.each_key(meta, |keys| self.check_absent(&keys, &newer, base))?;
        }
        Ok(())
    }

    /// The keys of a segment's rows, deleted ones included, some at a time: a batch for each enforced
    /// key.
    fn each_key(
        &self,
        meta: &Arc<SegmentMeta>,
        mut check: impl FnMut(Vec<KeyBatch>) -> Result<()>,
    ) -> Result<()> {
        let all: Vec<ColumnId> = self.schema.columns.iter().map(|column| column.id).collect();
        let in_keys =
            |id: &ColumnId| self.schema.enforced_keys().iter().any(|key| key.columns.contains(id));
        let wanted: Vec<ColumnId> = all.into_iter().filter(in_keys).collect();
        let projection = Projection::new(Arc::clone(&self.schema), wanted.clone());
        for batch in self.store.open_segment(meta)?.scan(ScanRequest::new(projection))? {
            let batch = batch?;
            let column = |id: &ColumnId| {
                let at = wanted.iter().position(|other| other == id);
                Arc::clone(batch.column(at.expect("every key's columns were asked for")))
            };
            let of = |key: EnforcedKey<'_>| {
                typed(&self.schema, key, key.columns.iter().map(column).collect())
            };
            check(self.schema.enforced_keys().into_iter().map(of).collect::<Result<_>>()?)?;
        }
        Ok(())
    }

    /// Checks the keys of segments that a load wrote without a look at them, on a table that no
    /// longer has the rows they replace. Each must be free of those before it, and of itself.
    ///
    /// # Errors
    /// UniqueViolation.
    pub(super) fn check_loaded(&self, loaded: &[Arc<SegmentMeta>]) -> Result<()> {
        let enforced = self.schema.enforced_keys();
        if enforced.is_empty() {
            return Ok(());
        }
        let mut segments = self.segments.as_ref().clone();
        for meta in loaded {
            let mut parts: Vec<Vec<KeyBatch>> = vec![Vec::new(); enforced.len()];
            self.each_key(meta, |keys| {
                keys.into_iter().zip(&mut parts).for_each(|(keys, parts)| parts.push(keys));
                Ok(())
            })?;
            let joined = |(key, parts): (&EnforcedKey<'_>, &Vec<KeyBatch>)| {
                let column = |at: usize| {
                    let arrays: Vec<&dyn Array> =
                        parts.iter().map(|part| part.columns[at].as_ref()).collect();
                    concat(&arrays).map_err(internal)
                };
                let columns = (0..key.columns.len()).map(column).collect::<Result<_>>()?;
                typed(&self.schema, *key, columns)
            };
            let keys: Vec<KeyBatch> =
                enforced.iter().zip(&parts).map(joined).collect::<Result<_>>()?;
            check_distinct(&self.schema, &keys)?;
            self.check_absent(&keys, &segments, CommitId(0))?;
            let entry = SegmentEntry { segment: meta.id, commit: UNCOMMITTED, since: None };
            segments.push(TableSegment {
                meta: Arc::clone(meta),
                entry,
                deleted: None,
                visibility: None,
            });
        }
        Ok(())
    }

    /// # Errors
    /// Conflict where a row that is to be deleted is gone already.
    pub(super) fn check_living(&self, found: &RowRefs, base: CommitId) -> Result<()> {
        let gone = |row: &RowId| self.deletes.rows.get(row).is_some_and(|commit| *commit > base);
        if found.rows.iter().any(gone) {
            return Err(conflict(&self.schema.name));
        }
        for (segment, positions) in &found.positions {
            let deleted = self.deletes.positions.get(segment);
            if deleted.is_some_and(|deleted| !deleted.is_disjoint(positions)) {
                return Err(conflict(&self.schema.name));
            }
        }
        Ok(())
    }

    /// Which of the keys living rows of a segment have: (which of `keys`, position). The keys are
    /// over these columns as `schema` has them.
    pub(super) fn positions_of(
        &self,
        schema: &Arc<TableSchema>,
        segment: &TableSegment,
        columns: &[ColumnId],
        keys: &KeyBatch,
    ) -> Result<Vec<(usize, u64)>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let written = self.store.table_schema(segment.meta.schema)?;
        let of = |schema: &TableSchema| schema.column(columns[0]).map(|c| c.data_type.arrow());
        // Bounds are in the form of the type that the file was written in.
        let near = match of(&written) == of(schema) {
            true => within(&segment.meta, columns[0], keys),
            false => keys.order(),
        };
        if near.is_empty() {
            return Ok(Vec::new());
        }
        let file = self.store.open_segment(&segment.meta)?;
        let candidates = maybe_there(&file, schema, columns, keys, near)?;
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let living = |position: &u64| {
            !segment.deleted.as_ref().is_some_and(|d| d.contains(*position as u32))
        };
        let mut found: Vec<(usize, u64)> = Vec::new();
        match in_file_order(&segment.meta, columns) {
            Some(order) => {
                let picked = pick(&keys.columns, &candidates)?;
                let arrays: Vec<ArrayRef> = order.iter().map(|i| Arc::clone(&picked[*i])).collect();
                for (row, range) in candidates.iter().zip(file.find(schema, &arrays)?) {
                    found.extend(range.filter(living).map(|p| (*row as usize, p)));
                }
            }
            None => {
                let mut wanted: std::collections::HashMap<&[u8], Vec<usize>> = Default::default();
                for row in &candidates {
                    wanted.entry(keys.key(*row as usize)).or_default().push(*row as usize);
                }
                let mut projection = Projection::new(Arc::clone(schema), columns.to_vec());
                projection.position = true;
                let types = key_types(schema, columns);
                for batch in file.scan(ScanRequest::new(projection))? {
                    let batch = batch?;
                    let there = KeyBatch::new(batch.columns()[..columns.len()].to_vec(), &types)?;
                    let positions = batch.column(columns.len()).as_any().downcast_ref();
                    let positions: &UInt64Array = positions.expect("positions are UInt64");
                    for (row, key) in there.encoded.iter().enumerate() {
                        let position = positions.value(row);
                        if let Some(asked) = wanted.get(key).filter(|_| living(&position)) {
                            found.extend(asked.iter().map(|asked| (*asked, position)));
                        }
                    }
                }
            }
        }
        match &segment.visibility {
            Some(visibility) => self.keep_visible(&file, visibility.as_ref(), found),
            None => Ok(found),
        }
    }

    /// Those of the rows found in a folded file that this version has.
    fn keep_visible(
        &self,
        file: &Segment,
        visibility: &dyn RowVisibility,
        mut found: Vec<(usize, u64)>,
    ) -> Result<Vec<(usize, u64)>> {
        found.sort_unstable_by_key(|(_, position)| *position);
        let positions: Vec<u64> = found.iter().map(|(_, position)| *position).collect();
        let mut projection = Projection::new(Arc::clone(&self.schema), Vec::new());
        (projection.commit, projection.row_id) = (true, true);
        let named = file.take(&projection, &positions)?;
        let (commits, row_ids) = hidden_columns(&named);
        let visible = visibility.visible(commits, row_ids);
        let pairs = found.into_iter().zip(&visible);
        Ok(pairs.filter(|(_, keep)| *keep).map(|(pair, _)| pair).collect())
    }
}

/// Those of some keys that the file's key filter does not rule out.
fn maybe_there(
    file: &Segment,
    schema: &TableSchema,
    columns: &[ColumnId],
    keys: &KeyBatch,
    near: &[u64],
) -> Result<Vec<u64>> {
    let Some(filter) = file.key_filter(schema, columns)? else { return Ok(near.to_vec()) };
    let mut candidates = Vec::new();
    for row in near {
        if filter.may_contain(keys.encoded.get(*row as usize))? {
            candidates.push(*row);
        }
    }
    Ok(candidates)
}

/// For each leading column of the file's order, which key column it is; None where the file is not
/// ordered by the key.
fn in_file_order(meta: &SegmentMeta, key: &[ColumnId]) -> Option<Vec<usize>> {
    let leading = meta.order.get(..key.len())?;
    leading.iter().map(|id| key.iter().position(|k| k == id)).collect()
}

/// The keys, ascending, whose leading column may lie within a file's bounds.
fn within<'a>(meta: &SegmentMeta, column: ColumnId, keys: &'a KeyBatch) -> &'a [u64] {
    let order = keys.order();
    let Some(bounds) = meta.statistics_of(column) else { return order };
    let (Some(min), Some(max)) = (&bounds.min, &bounds.max) else {
        // All NULL, which only NULL equals.
        return if keys.columns[0].null_count() > 0 { order } else { &[] };
    };
    let value = |row: &u64| Value::from_array(keys.columns[0].as_ref(), *row as usize);
    let start = order.partition_point(|row| value(row).is_some_and(|value| less(&value, min)));
    let above = |row: &u64| value(row).is_some_and(|value| less(max, &value));
    let end = match bounds.exact {
        true => order.partition_point(|row| !above(row)),
        false => order.len(),
    };
    order.get(start..end).unwrap_or(&[])
}

fn less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Decimal(a), Value::Decimal(b)) => a < b,
        (Value::Bytes(a), Value::Bytes(b)) => a < b,
        (Value::Bool(a), Value::Bool(b)) => !a & b,
        _ => false,
    }
}

pub(super) fn conflict(table: &str) -> Error {
    let message = "could not serialize access due to concurrent update";
    Error::new(ErrorKind::Conflict, message)
        .detail(format!("rows of table \"{table}\" were changed by another transaction"))
        .hint("run the transaction again")
}

/// The error PostgreSQL gives for a second row of one key.
pub(super) fn duplicate(
    schema: &TableSchema,
    key: EnforcedKey<'_>,
    keys: &KeyBatch,
    row: usize,
) -> Error {
    let columns: Vec<_> = key.columns.iter().filter_map(|id| schema.column(*id)).collect();
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let value = |(column, values): (&&Column, &ArrayRef)| {
        let text = value_text(&column.data_type, values.as_ref(), row).ok().flatten();
        text.unwrap_or_else(|| "null".to_owned())
    };
    let values: Vec<String> = columns.iter().zip(&keys.columns).map(value).collect();
    Error::new(
        ErrorKind::UniqueViolation,
        format!("duplicate key value violates unique constraint \"{}\"", key.name),
    )
    .detail(format!("Key ({})=({}) already exists.", names.join(", "), values.join(", ")))
    .about(ObjectNames {
        schema: Some(schema.namespace.clone()),
        table: Some(schema.name.clone()),
        column: None,
        constraint: Some(key.name.to_owned()),
    })
}
