//! Floors: the oldest commit that can still be read through a ref, of all tables or of one.

use super::{Records, Space, Transaction, key};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::codec::{Reader, Writer};
use crate::spec::{CommitId, TableId};

/// Stands for all tables of a ref.
pub const ALL_TABLES: TableId = TableId(0);

/// What can still be read through one ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The ref's id.
    pub reference: u64,
    /// The table; [`ALL_TABLES`] for the ref as a whole.
    pub table: TableId,
    /// The oldest commit that can be read.
    pub commit: CommitId,
    /// When it became visible: µs since 1970-01-01 UTC.
    pub time_us: i64,
}

/// Writes a floor in the place of the one before.
pub fn put(transaction: &Transaction, floor: &Floor) -> Result<()> {
    let mut w = Writer::new(1);
    w.u64(floor.commit.0);
    w.i64(floor.time_us);
    transaction.put(Space::Floors, &key([floor.reference, floor.table.0]), &w.finish())
}

/// All floors.
pub fn all(records: &impl Records) -> Result<Vec<Floor>> {
    let mut found = Vec::new();
    records.scan(Space::Floors, &[], &[0xff; 24], &mut |at, value| {
        let part = |i: usize| at.get(i * 8..i * 8 + 8)?.try_into().ok().map(u64::from_be_bytes);
        let (Some(reference), Some(table)) = (part(0), part(1)) else {
            return Err(Error::new(ErrorKind::Corrupt, "the key of a floor is damaged"));
        };
        let mut r = Reader::open_version(value, "floor", 1)?;
        let (commit, time_us) = (CommitId(r.u64()?), r.i64()?);
        found.push(Floor { reference, table: TableId(table), commit, time_us });
        Ok(true)
    })?;
    Ok(found)
}
