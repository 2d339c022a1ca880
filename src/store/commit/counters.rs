//! Counters that survive: ids are never used again, times never go back.

use crate::error::Result;
use crate::log::{Records, Space, Transaction, key};
use crate::spec::codec::{Reader, Writer};
use crate::spec::{CommitId, LineId, TableId};

const NEXT_COMMIT: &[u8] = b"next commit";
const NEXT_ID: &[u8] = b"next id";
const LAST_TIME: &[u8] = b"last commit time";
const EPOCH: &[u8] = b"epoch";

/// The counters that only the committer moves.
#[derive(Clone, Copy)]
pub(in crate::store) struct Counters {
    pub next_commit: u64,
    pub last_time_us: i64,
}

impl Counters {
    pub fn read(records: &impl Records) -> Result<Counters> {
        Ok(Counters {
            next_commit: get(records, NEXT_COMMIT)?.max(1),
            last_time_us: get(records, LAST_TIME)? as i64,
        })
    }

    pub fn write(self, transaction: &Transaction, next_id: u64) -> Result<()> {
        put(transaction, NEXT_COMMIT, self.next_commit)?;
        put(transaction, LAST_TIME, self.last_time_us as u64)?;
        put(transaction, NEXT_ID, next_id)
    }
}

/// The next free id.
pub(in crate::store) fn next_id(records: &impl Records) -> Result<u64> {
    Ok(get(records, NEXT_ID)?.max(1))
}

/// Keeps the ids given out so far from being used again.
pub(in crate::store) fn put_next_id(transaction: &Transaction, next_id: u64) -> Result<()> {
    put(transaction, NEXT_ID, next_id)
}

/// Counts this run.
pub(in crate::store) fn next_epoch(transaction: &Transaction) -> Result<u64> {
    let epoch = get(transaction, EPOCH)? + 1;
    put(transaction, EPOCH, epoch)?;
    Ok(epoch)
}

/// The next row id of a table.
pub(in crate::store) fn row_ids(records: &impl Records, table: TableId) -> Result<u64> {
    records.get(Space::RowIds, &key([table.0]))?.map_or(Ok(0), |bytes| decode(&bytes))
}

pub(super) fn put_row_ids(transaction: &Transaction, table: TableId, next: u64) -> Result<()> {
    transaction.put(Space::RowIds, &key([table.0]), &encode(next))
}

/// The newest commit of a line: whoever commits behind an older one starts a line.
pub(super) fn line_tip(records: &impl Records, line: LineId) -> Result<CommitId> {
    get(records, &line_name(line)).map(CommitId)
}

pub(in crate::store) fn put_line_tip(
    transaction: &Transaction,
    line: LineId,
    tip: CommitId,
) -> Result<()> {
    put(transaction, &line_name(line), tip.0)
}

fn line_name(line: LineId) -> Vec<u8> {
    [b"line ".as_slice(), &key([line.0])].concat()
}

fn get(records: &impl Records, name: &[u8]) -> Result<u64> {
    records.get(Space::Counters, name)?.map_or(Ok(0), |bytes| decode(&bytes))
}

fn put(transaction: &Transaction, name: &[u8], value: u64) -> Result<()> {
    transaction.put(Space::Counters, name, &encode(value))
}

fn decode(bytes: &[u8]) -> Result<u64> {
    Reader::open_version(bytes, "counter", 1)?.u64()
}

fn encode(value: u64) -> Vec<u8> {
    let mut w = Writer::new(1);
    w.u64(value);
    w.finish()
}
