//! Branches and tags, and the reflog that says where each pointed when.

use super::{Records, Space, Transaction, key};
use crate::error::Result;
use crate::spec::{CommitId, Ref, ReflogEntry};

/// The scope of refs that name a commit of the whole database.
pub const DATABASE: u64 = 0;

fn ref_key(scope: u64, name: &str) -> Vec<u8> {
    let mut bytes = key([scope]);
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

/// The ref of this name.
pub fn get(records: &impl Records, scope: u64, name: &str) -> Result<Option<Ref>> {
    records.get(Space::Refs, &ref_key(scope, name))?.map(|bytes| Ref::decode(&bytes)).transpose()
}

/// All refs of a scope, by name.
pub fn list(records: &impl Records, scope: u64) -> Result<Vec<Ref>> {
    let mut refs = Vec::new();
    records.scan(Space::Refs, &key([scope]), &key([scope + 1]), &mut |_, value| {
        refs.push(Ref::decode(value)?);
        Ok(true)
    })?;
    Ok(refs)
}

/// Writes a ref and the move that made it so.
pub fn put(transaction: &Transaction, scope: u64, target: &Ref, moved: &ReflogEntry) -> Result<()> {
    transaction.put(Space::Refs, &ref_key(scope, &target.name), &target.encode())?;
    log_move(transaction, target.id, moved)
}

/// Writes a ref that did not move.
pub fn keep(transaction: &Transaction, scope: u64, target: &Ref) -> Result<()> {
    transaction.put(Space::Refs, &ref_key(scope, &target.name), &target.encode())
}

/// Gives the ref of this name the one that `target` has.
pub fn rename(
    transaction: &Transaction,
    scope: u64,
    name: &str,
    target: &Ref,
    moved: &ReflogEntry,
) -> Result<()> {
    transaction.remove(Space::Refs, &ref_key(scope, name))?;
    put(transaction, scope, target, moved)
}

/// Removes a ref; its reflog stays.
pub fn remove(
    transaction: &Transaction,
    scope: u64,
    target: &Ref,
    moved: &ReflogEntry,
) -> Result<()> {
    transaction.remove(Space::Refs, &ref_key(scope, &target.name))?;
    log_move(transaction, target.id, moved)
}

fn log_move(transaction: &Transaction, id: u64, moved: &ReflogEntry) -> Result<()> {
    transaction.put(Space::Reflog, &key([id, moved.time_us as u64]), &moved.encode())
}

/// Where a ref pointed at a time (µs since 1970-01-01 UTC, inclusive); None before it was made.
pub fn commit_at(records: &impl Records, id: u64, time_us: i64) -> Result<Option<CommitId>> {
    let end = key([id, (time_us.max(0) as u64).saturating_add(1)]);
    let entry = records.last(Space::Reflog, &key([id, 0]), &end)?;
    entry.map(|bytes| Ok(ReflogEntry::decode(&bytes)?.commit)).transpose()
}

/// The moves of a ref, oldest first.
pub fn moves(records: &impl Records, id: u64) -> Result<Vec<ReflogEntry>> {
    moves_since(records, id, 0)
}

/// The moves of a ref from a time on (µs since 1970-01-01 UTC, inclusive), oldest first.
pub fn moves_since(records: &impl Records, id: u64, time_us: i64) -> Result<Vec<ReflogEntry>> {
    let mut found = Vec::new();
    let from = key([id, time_us.max(0) as u64]);
    records.scan(Space::Reflog, &from, &key([id + 1, 0]), &mut |_, value| {
        found.push(ReflogEntry::decode(value)?);
        Ok(true)
    })?;
    Ok(found)
}
