//! A table cut into partitions: each a run of rows that is in the clustering order.

use std::ops::Range;

use crate::error::Result;
use crate::spec::{SegmentMeta, TableSchema};
use crate::store::{Table, TableSegment};

/// A stretch of one partition.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Rows of a segment, by position.
    Segment(TableSegment, Range<u64>),
    /// The rows that are in no segment, sorted when they are read.
    Inline,
}

/// At least one run; about `wanted`, more where segments overlap.
pub fn runs(table: &Table, segments: Vec<TableSegment>, wanted: usize) -> Result<Vec<Vec<Piece>>> {
    let mut runs = Vec::new();
    let chains = chains(table, segments)?;
    let total: u64 = chains.iter().flatten().map(|s| s.meta.rows).sum();
    for chain in chains {
        let rows: u64 = chain.iter().map(|s| s.meta.rows).sum();
        let share = (wanted as u64 * rows).div_ceil(total.max(1)).max(1);
        runs.extend(split(table, chain, share)?);
    }
    if runs.is_empty() || !table.is_inline_empty() {
        runs.push(vec![Piece::Inline]);
    }
    Ok(runs)
}

/// Segments that follow each other without overlapping make one chain. Bounds are in the form of the
/// type a file was written in, so files of an older type make chains of their own.
pub(super) fn chains(table: &Table, segments: Vec<TableSegment>) -> Result<Vec<Vec<TableSegment>>> {
    let mut alone = Vec::new();
    let mut comparable = Vec::new();
    for segment in segments {
        match is_of_todays_type(table, &segment.meta)? {
            true => comparable.push(segment),
            false => alone.push(vec![segment]),
        }
    }
    let mut chains = chains_of(comparable);
    chains.append(&mut alone);
    Ok(chains)
}

fn is_of_todays_type(table: &Table, meta: &SegmentMeta) -> Result<bool> {
    let Some(leading) = meta.order.first() else { return Ok(true) };
    if meta.schema == table.schema().id {
        return Ok(true);
    }
    let written = table.store().table_schema(meta.schema)?;
    let of = |schema: &TableSchema| schema.column(*leading).map(|c| c.data_type.arrow());
    Ok(of(&written) == of(table.schema()))
}

fn chains_of(mut segments: Vec<TableSegment>) -> Vec<Vec<TableSegment>> {
    segments.sort_by(TableSegment::compare_starts);
    let mut chains: Vec<Vec<TableSegment>> = Vec::new();
    for segment in segments {
        let follows = |chain: &&mut Vec<TableSegment>| {
            chain.last().is_some_and(|last| last.is_before(&segment))
        };
        match chains.iter_mut().find(follows) {
            Some(chain) => chain.push(segment),
            None => chains.push(vec![segment]),
        }
    }
    chains
}

/// Cuts a chain into `parts` of about equal size, at boundaries the reader likes.
fn split(table: &Table, chain: Vec<TableSegment>, parts: u64) -> Result<Vec<Vec<Piece>>> {
    let rows: u64 = chain.iter().map(|s| s.meta.rows).sum();
    let share = rows.div_ceil(parts).max(1);
    let mut runs: Vec<Vec<Piece>> = vec![Vec::new()];
    let mut filled = 0;
    for segment in chain {
        let pieces = segment.meta.rows.div_ceil(share).max(1) as usize;
        let file = table.store().open_segment(&segment.meta)?;
        for range in file.split(pieces) {
            // Ranges end where row groups do: one that would lie mostly in the next run is its first.
            let rows = range.end - range.start;
            if filled > 0 && filled + rows / 2 >= share {
                runs.push(Vec::new());
                filled = 0;
            }
            filled += rows;
            let run = runs.last_mut().expect("there is always a run");
            run.push(Piece::Segment(segment.clone(), range));
        }
    }
    Ok(runs)
}
