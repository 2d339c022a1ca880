//! Folded stretches: which file took over the inline batches of a stretch of one line.
//!
//! The stretches of one line never overlap, and each begins where the one before it ends, so what
//! lies between two of them is nothing.

use super::{Records, Space, Transaction, key};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::codec::{Reader, Writer};
use crate::spec::{CommitId, LineId, SegmentId, TableId};

/// One table's rows of commits `from ..= to` of a line, all in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first commit.
    pub from: CommitId,
    /// The last commit.
    pub to: CommitId,
    /// The file.
    pub segment: SegmentId,
}

/// Writes down that a file took over a stretch.
pub fn put(
    transaction: &Transaction,
    table: TableId,
    line: LineId,
    stretch: &Stretch,
) -> Result<()> {
    let mut w = Writer::new(1);
    w.u64(stretch.segment.0);
    transaction.put(Space::Folds, &stretch_key(table, line, stretch), &w.finish())
}

/// Forgets a stretch.
pub fn remove(
    transaction: &Transaction,
    table: TableId,
    line: LineId,
    stretch: &Stretch,
) -> Result<()> {
    transaction.remove(Space::Folds, &stretch_key(table, line, stretch))
}

fn stretch_key(table: TableId, line: LineId, stretch: &Stretch) -> Vec<u8> {
    key([table.0, line.0, stretch.from.0, stretch.to.0])
}

/// The stretches of one line, oldest first.
pub fn of_line(records: &impl Records, table: TableId, line: LineId) -> Result<Vec<Stretch>> {
    let found = scan(records, &key([table.0, line.0]), &key([table.0, line.0 + 1]))?;
    Ok(found.into_iter().map(|(_, _, stretch)| stretch).collect())
}

/// All stretches of all lines, in the order of table, line and commit.
pub fn all(records: &impl Records) -> Result<Vec<(TableId, LineId, Stretch)>> {
    scan(records, &[], &[0xff; 40])
}

fn scan(records: &impl Records, from: &[u8], to: &[u8]) -> Result<Vec<(TableId, LineId, Stretch)>> {
    let mut found = Vec::new();
    records.scan(Space::Folds, from, to, &mut |at, value| {
        let (table, line, from, to) = parts(at)?;
        let segment = SegmentId(Reader::open_version(value, "folded stretch", 1)?.u64()?);
        found.push((table, line, Stretch { from, to, segment }));
        Ok(true)
    })?;
    Ok(found)
}

/// The table, the line and the ends of a stretch, from its key.
pub fn parts(at: &[u8]) -> Result<(TableId, LineId, CommitId, CommitId)> {
    let part = |i: usize| at.get(i * 8..i * 8 + 8)?.try_into().ok().map(u64::from_be_bytes);
    match (part(0), part(1), part(2), part(3)) {
        (Some(table), Some(line), Some(from), Some(to)) => {
            Ok((TableId(table), LineId(line), CommitId(from), CommitId(to)))
        }
        _ => Err(Error::new(ErrorKind::Corrupt, "the key of a folded stretch is damaged")),
    }
}
