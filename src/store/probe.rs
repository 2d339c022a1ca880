//! Many keys at once: where the living rows that have them are, and those rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
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
    /// In no segment.
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
        found.extend(self.places_in(&self.segments, which, keys)?);
        Ok(found)
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
        for (commit, rows) in inline {
            self.inline_at(commit, &rows, &schema, &mut sources, &mut picks)?;
        }
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

    /// Rows of one commit; `rows` says which, and which of `picks` each is.
    fn inline_at(
        &self,
        commit: CommitId,
        rows: &[(RowId, usize)],
        schema: &SchemaRef,
        sources: &mut Vec<RecordBatch>,
        picks: &mut [(usize, usize)],
    ) -> Result<()> {
        let mut wanted: HashMap<u64, usize> = rows.iter().map(|(id, at)| (id.0, *at)).collect();
        for batch in self.inline_batches_of(commit)? {
            let ids: &UInt64Array = hidden_columns(&batch).1;
            for (row, id) in ids.values().iter().enumerate() {
                if let Some(at) = wanted.remove(id) {
                    picks[at] = (sources.len(), row);
                }
            }
            let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
            columns.remove(batch.num_columns() - 2);
            sources.push(RecordBatch::try_new(Arc::clone(schema), columns).map_err(internal)?);
        }
        match wanted.is_empty() {
            true => Ok(()),
            false => Err(lost(&self.schema.name)),
        }
    }
}

fn lost(table: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("a row of table \"{table}\" is not where its key says"))
}
