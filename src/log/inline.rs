//! Inline batches: rows of small writes, inside the commit's own transaction, in pieces.

use super::{Records, Space, Transaction, key};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::codec::{Reader, Writer};
use crate::spec::{CommitId, LineId, LineRange, TableId};

/// redb keeps a larger value in a run of pages rounded up to a power of two.
const CHUNK_BYTES: usize = 60 << 10;

/// Writes the encoded rows of one commit for one table.
pub fn put(
    transaction: &Transaction,
    table: TableId,
    line: LineId,
    commit: CommitId,
    rows: &[u8],
) -> Result<()> {
    for (chunk, bytes) in rows.chunks(CHUNK_BYTES).enumerate() {
        let mut w = Writer::new(1);
        w.bytes(bytes);
        let at = key([table.0, line.0, commit.0, chunk as u64]);
        transaction.put(Space::Inline, &at, &w.finish())?;
    }
    Ok(())
}

/// The encoded rows of each commit of a range, ascending by commit.
pub fn read(
    records: &impl Records,
    table: TableId,
    range: &LineRange,
) -> Result<Vec<(CommitId, Vec<u8>)>> {
    let mut found: Vec<(CommitId, Vec<u8>)> = Vec::new();
    let from = key([table.0, range.line.0, range.from.0, 0]);
    let to = key([table.0, range.line.0, range.to.0 + 1, 0]);
    records.scan(Space::Inline, &from, &to, &mut |at, value| {
        let (commit, chunk) = parts(at)?;
        let mut r = Reader::open_version(value, "inline batch", 1)?;
        let bytes = r.bytes()?;
        match found.last_mut() {
            Some((last, rows)) if *last == commit && chunk > 0 => rows.extend_from_slice(bytes),
            _ => found.push((commit, bytes.to_vec())),
        }
        Ok(true)
    })?;
    Ok(found)
}

/// How many bytes of rows each line of each table has in the log.
pub fn sizes(records: &impl Records) -> Result<Vec<(TableId, LineId, u64)>> {
    let mut found: Vec<(TableId, LineId, u64)> = Vec::new();
    records.scan(Space::Inline, &[], &[0xff; 40], &mut |at, value| {
        let (table, line) = owner(at)?;
        match found.last_mut() {
            Some((t, l, bytes)) if (*t, *l) == (table, line) => *bytes += value.len() as u64,
            _ => found.push((table, line, value.len() as u64)),
        }
        Ok(true)
    })?;
    Ok(found)
}

/// Forgets the rows of some commits of a line.
pub fn remove(transaction: &Transaction, table: TableId, range: &LineRange) -> Result<()> {
    let mut gone = Vec::new();
    let from = key([table.0, range.line.0, range.from.0, 0]);
    let to = key([table.0, range.line.0, range.to.0 + 1, 0]);
    transaction.scan(Space::Inline, &from, &to, &mut |at, _| {
        gone.push(at.to_vec());
        Ok(true)
    })?;
    gone.iter().try_for_each(|at| transaction.remove(Space::Inline, at))
}

/// Gives another table the batches of a range: pieces are copied, folded stretches named again.
pub fn copy(
    transaction: &Transaction,
    from: TableId,
    to: TableId,
    range: &LineRange,
) -> Result<()> {
    for space in [Space::Inline, Space::Folds] {
        let mut found = Vec::new();
        let start = key([from.0, range.line.0, 0, 0]);
        let end = key([from.0, range.line.0, range.to.0 + 1, 0]);
        transaction.scan(space, &start, &end, &mut |at, value| {
            let kept = match space {
                // (table, line, from, to): a stretch that ends before the range is of no use.
                Space::Folds => part(at, 3).is_none_or(|last| last >= range.from.0),
                _ => part(at, 2).is_none_or(|commit| commit >= range.from.0),
            };
            if kept {
                found.push(([&key([to.0]), &at[8..]].concat(), value.to_vec()));
            }
            Ok(true)
        })?;
        for (at, value) in found {
            transaction.put(space, &at, &value)?;
        }
    }
    Ok(())
}

/// The table and the line of a piece, from its key.
pub fn owner(at: &[u8]) -> Result<(TableId, LineId)> {
    match (part(at, 0), part(at, 1)) {
        (Some(table), Some(line)) => Ok((TableId(table), LineId(line))),
        _ => Err(damaged()),
    }
}

/// The commit and the chunk number of a piece, from its key.
pub fn parts(at: &[u8]) -> Result<(CommitId, u64)> {
    match (part(at, 2), part(at, 3)) {
        (Some(commit), Some(chunk)) => Ok((CommitId(commit), chunk)),
        _ => Err(damaged()),
    }
}

fn part(at: &[u8], i: usize) -> Option<u64> {
    at.get(i * 8..i * 8 + 8)?.try_into().ok().map(u64::from_be_bytes)
}

fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "the key of an inline batch is damaged")
}
