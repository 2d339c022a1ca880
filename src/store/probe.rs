//! Many keys at once: where the living rows that have them are, and those rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::keys::KeyBatch;
use super::table::{ROW_ID, Table, TableSegment, hidden_columns, internal};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Projection;
use crate::spec::{ColumnId, CommitId, RowId, SegmentId};

/// Where a living row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In no segment, whether in the log or in a folded file.
    Inline(CommitId, RowId),
    /// In a segment, at a position.
    Segment(SegmentId, u64),
}

impl Table {
    /// Which keys of the enforced key `which` living rows have: (the row the key is of, place), in
    /// no promised order.
    ///
    /// # Errors
    /// Io, Corrupt.
    pub fn places_of(&self, which: usize, keys: &KeyBatch) -> Result<Vec<(usize, Place)>> {
        let mut found = Vec::new();
        let inline = self.inline_keys()?.of(which);
        for at in 0..keys.len() {
            let there = inline.and_then(|inline| inline.get(keys.key(at)));
            if let Some((commit, id)) = there.filter(|(commit, id)| !self.hides(*id, *commit)) {
                found.push((keys.row(at), Place::Inline(commit, id)));
            }
        }
        // After the map: a row that is folded in between is in both, not in neither.
        let known: HashSet<(usize, Place)> = found.iter().copied().collect();
        for file in &self.folded()?.files {
            let there = self.names_in(file, which, keys)?;
            found.extend(there.into_iter().filter(|place| !known.contains(place)));
        }
        found.extend(self.places_in(&self.segments, which, keys)?);
        Ok(found)
    }

    /// Which of the keys living rows of a folded file have.
    fn names_in(
        &self,
        file: &TableSegment,
        which: usize,
        keys: &KeyBatch,
    ) -> Result<Vec<(usize, Place)>> {
        let enforced = self.schema.enforced_keys();
        let Some(key) = enforced.get(which) else { return Ok(Vec::new()) };
        let mut there = self.positions_of(&self.schema, file, key.columns, keys)?;
        if there.is_empty() {
            return Ok(Vec::new());
        }
        there.sort_unstable_by_key(|(_, position)| *position);
        let positions: Vec<u64> = there.iter().map(|(_, position)| *position).collect();
        let mut projection = Projection::new(Arc::clone(&self.schema), Vec::new());
        (projection.commit, projection.row_id) = (true, true);
        let named = self.store.open_segment(&file.meta)?.take(&projection, &positions)?;
        let (commits, rows) = hidden_columns(&named);
        let name = |at: usize| Place::Inline(CommitId(commits.value(at)), RowId(rows.value(at)));
        let named = there.iter().enumerate().map(|(at, (which, _))| (keys.row(*which), name(at)));
        Ok(named.collect())
    }

    /// The same of some segments only.
    ///
    /// # Errors
    /// Io, Corrupt.
    pub fn places_in(
        &self,
        segments: &[TableSegment],
        which: usize,
        keys: &KeyBatch,
    ) -> Result<Vec<(usize, Place)>> {
        let mut found = Vec::new();
        let enforced = self.schema.enforced_keys();
        let Some(key) = enforced.get(which) else { return Ok(found) };
        for segment in segments {
            let id = segment.meta.id;
            let there = self.positions_of(&self.schema, segment, key.columns, keys)?;
            let place = |(at, position)| (keys.row(at), Place::Segment(id, position));
            found.extend(there.into_iter().map(place));
        }
        Ok(found)
    }

    /// The rows at these places, in their order: the visible columns, all nullable, then `_row_id`.
    ///
    /// # Errors
    /// Io, Corrupt.
    pub fn rows_at(&self, places: &[Place]) -> Result<RecordBatch> {
        let schema = self.nullable_schema();
        let mut sources: Vec<RecordBatch> = Vec::new();
        let mut picks = vec![(0, 0); places.len()];
        let mut segments: BTreeMap<SegmentId, Vec<(u64, usize)>> = BTreeMap::new();
        let mut inline: BTreeMap<CommitId, Vec<(RowId, usize)>> = BTreeMap::new();
        for (at, place) in places.iter().enumerate() {
            match *place {
                Place::Inline(commit, row) => inline.entry(commit).or_default().push((row, at)),
                Place::Segment(id, row) => segments.entry(id).or_default().push((row, at)),
            }
        }
        for (id, mut rows) in segments {
            rows.sort_unstable();
            let positions: Vec<u64> = rows.iter().map(|(position, _)| *position).collect();
            for (n, (_, at)) in rows.iter().enumerate() {
                picks[*at] = (sources.len(), n);
            }
            sources.push(self.taken(id, &positions, &schema)?);
        }
        self.inline_at(inline, &schema, &mut sources, &mut picks)?;
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let sources: Vec<&RecordBatch> = sources.iter().collect();
        interleave_record_batch(&sources, &picks).map_err(internal)
    }

    /// The schema of [`Table::rows_at`].
    pub fn nullable_schema(&self) -> SchemaRef {
        let columns = self.schema.columns.iter();
        let mut fields: Vec<Field> = columns.map(|c| c.data_type.field(&c.name, true)).collect();
        fields.push(Field::new(ROW_ID, arrow::datatypes::DataType::UInt64, true));
        Arc::new(Schema::new(fields))
    }

    fn taken(&self, id: SegmentId, positions: &[u64], schema: &SchemaRef) -> Result<RecordBatch> {
        let segment = self.segment(id).ok_or_else(|| lost(&self.schema.name))?;
        let ids: Vec<ColumnId> = self.schema.columns.iter().map(|c| c.id).collect();
        let mut projection = Projection::new(Arc::clone(&self.schema), ids);
        projection.row_id = true;
        let rows = self.store.open_segment(&segment.meta)?.take(&projection, positions)?;
        RecordBatch::try_new(Arc::clone(schema), rows.columns().to_vec()).map_err(internal)
    }

    /// Rows outside segments; `rows` says which of each commit, and which of `picks` each is.
    fn inline_at(
        &self,
        rows: BTreeMap<CommitId, Vec<(RowId, usize)>>,
        schema: &SchemaRef,
        sources: &mut Vec<RecordBatch>,
        picks: &mut [(usize, usize)],
    ) -> Result<()> {
        let names = |(commit, rows): (&CommitId, &Vec<(RowId, usize)>)| -> Vec<_> {
            rows.iter().map(|(row, at)| ((*commit, *row), *at)).collect()
        };
        let mut wanted: HashMap<(CommitId, RowId), usize> = rows.iter().flat_map(names).collect();
        let mut batches = Vec::new();
        for commit in rows.keys() {
            batches.extend(self.inline_batches_of(*commit)?);
        }
        self.pick_rows(batches, &mut wanted, schema, sources, picks)?;
        if !wanted.is_empty() {
            let batches = self.rows_in_files(wanted.keys().copied().collect())?;
            self.pick_rows(batches, &mut wanted, schema, sources, picks)?;
        }
        match wanted.is_empty() {
            true => Ok(()),
            false => Err(lost(&self.schema.name)),
        }
    }

    /// Takes the wanted rows of stored batches.
    fn pick_rows(
        &self,
        batches: Vec<RecordBatch>,
        wanted: &mut HashMap<(CommitId, RowId), usize>,
        schema: &SchemaRef,
        sources: &mut Vec<RecordBatch>,
        picks: &mut [(usize, usize)],
    ) -> Result<()> {
        for batch in batches {
            let (commits, ids) = hidden_columns(&batch);
            for (row, (commit, id)) in commits.values().iter().zip(ids.values()).enumerate() {
                if let Some(at) = wanted.remove(&(CommitId(*commit), RowId(*id))) {
                    picks[at] = (sources.len(), row);
                }
            }
            let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
            columns.remove(batch.num_columns() - 2);
            sources.push(RecordBatch::try_new(Arc::clone(schema), columns).map_err(internal)?);
        }
        Ok(())
    }
}

fn lost(table: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("a row of table \"{table}\" is not where its key says"))
}
