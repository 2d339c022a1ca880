//! What sequences have counted to: of the whole database, whatever the branch, and never back.
//!
//! Values are reserved durably, a block at a time, before the first of them is given out: a crash
//! leaves a gap, never a value twice. A store that is closed in peace gives back what it reserved.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::commit::put_next_id;
use super::{Shared, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Records, Space, Transaction, key};
use crate::spec::codec::{Reader, Writer};
use crate::spec::{Sequence, TableId};

/// Values of the first block; each further one is twice as large.
const FIRST_BLOCK: u64 = 32;
/// Values of the largest block.
const LARGEST_BLOCK: u64 = 8192;

/// What a count apart may give out: it never needs more.
const APART: u64 = u64::MAX;

/// Where each sequence stands that this process asked.
pub(super) type Sequences = Mutex<HashMap<TableId, Arc<Mutex<Standing>>>>;

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// The value given out last, or with `called` false the one that comes next.
    last: i64,
    called: bool,
    /// How many values beyond `last` are reserved.
    left: u64,
    block: u64,
}

impl Store {
    /// The next value of a sequence.
    ///
    /// # Errors
    /// SequenceLimit where there is none; Io, DiskFull.
    pub fn next_value(&self, sequence: &Sequence) -> Result<i64> {
        let standing = self.standing(sequence)?;
        let mut standing = standing.lock();
        let next = after(sequence, *standing)?;
        if standing.left == 0 {
            let block = standing.block.clamp(FIRST_BLOCK, LARGEST_BLOCK);
            let (end, count) = reserve(sequence, next, block);
            self.write_standing(sequence.id, end, true)?;
            standing.left = count;
            standing.block = (block * 2).min(LARGEST_BLOCK);
        }
        standing.left -= 1;
        (standing.last, standing.called) = (next, true);
        Ok(next)
    }

    /// A count that no one else sees and nothing keeps: a transaction's, until it commits.
    pub(super) fn count_apart(&self, value: i64) -> TableId {
        let id = TableId(self.next_id());
        let apart = Standing { last: value, called: false, left: APART, block: FIRST_BLOCK };
        self.shared.sequences.lock().insert(id, Arc::new(Mutex::new(apart)));
        id
    }

    /// Where a count stands that a transaction restarted.
    pub(super) fn counted_apart(&self, id: TableId) -> Option<Standing> {
        self.shared.sequences.lock().get(&id).map(|standing| *standing.lock())
    }

    /// Sets a sequence; with `called` the value counts as given out. Durable when it returns.
    ///
    /// # Errors
    /// OutOfRange; Io, DiskFull.
    pub fn set_value(&self, sequence: &Sequence, value: i64, called: bool) -> Result<()> {
        check_bounds(sequence, value)?;
        let standing = self.standing(sequence)?;
        let mut standing = standing.lock();
        let left = if standing.is_apart() { APART } else { 0 };
        if left == 0 {
            self.write_standing(sequence.id, value, called)?;
        }
        *standing = Standing { last: value, called, left, block: FIRST_BLOCK };
        Ok(())
    }

    /// The value given out last, and whether one was.
    ///
    /// # Errors
    /// Corrupt, Io.
    pub fn last_value(&self, sequence: &Sequence) -> Result<(i64, bool)> {
        let standing = self.standing(sequence)?;
        let standing = standing.lock();
        Ok((standing.last, standing.called))
    }

    /// A sequence as this process last saw it defined, on whichever branch; None where it never did.
    pub fn known_sequence(&self, id: TableId) -> Option<Arc<Sequence>> {
        self.shared.sequence_definitions.lock().get(&id).cloned()
    }

    pub(super) fn note_sequence(&self, sequence: &Arc<Sequence>) {
        self.shared.sequence_definitions.lock().insert(sequence.id, Arc::clone(sequence));
    }

    fn standing(&self, sequence: &Sequence) -> Result<Arc<Mutex<Standing>>> {
        if let Some(known) = self.shared.sequences.lock().get(&sequence.id) {
            return Ok(Arc::clone(known));
        }
        let written = self.shared.log.read()?.get(Space::Counters, &name(sequence.id))?;
        let (last, called) = match written {
            Some(bytes) => {
                let mut r = Reader::open_version(&bytes, "sequence's counter", 1)?;
                (r.i64()?, r.bool()?)
            }
            None => (sequence.start, false),
        };
        let fresh = Standing { last, called, left: 0, block: FIRST_BLOCK };
        let mut sequences = self.shared.sequences.lock();
        Ok(Arc::clone(sequences.entry(sequence.id).or_insert_with(|| Arc::new(Mutex::new(fresh)))))
    }

    fn write_standing(&self, id: TableId, last: i64, called: bool) -> Result<()> {
        let transaction = self.shared.log.write()?;
        put(&transaction, id, last, called)?;
        // A sequence whose CREATE is lost must not leave its count to another one of its number.
        put_next_id(&transaction, self.shared.next_id.load(Ordering::Acquire))?;
        if let Err(error) = transaction.commit() {
            // As with a commit: only recovery can tell what became durable.
            tracing::error!(%error, "the outcome of a write to the log is unknown, so the process ends");
            std::process::abort();
        }
        Ok(())
    }
}

impl Standing {
    fn is_apart(self) -> bool {
        self.left > APART / 2
    }
}

/// # Errors
/// OutOfRange.
pub(super) fn check_bounds(sequence: &Sequence, value: i64) -> Result<()> {
    if (sequence.min..=sequence.max).contains(&value) {
        return Ok(());
    }
    let (name, min, max) = (&sequence.name, sequence.min, sequence.max);
    let message =
        format!("setval: value {value} is out of bounds for sequence \"{name}\" ({min}..{max})");
    Err(Error::new(ErrorKind::OutOfRange, message))
}

/// In the transaction of a commit: a sequence goes on where a count apart stands.
pub(super) fn write_restart(
    transaction: &Transaction,
    sequence: TableId,
    standing: Standing,
) -> Result<()> {
    put(transaction, sequence, standing.last, standing.called)
}

impl Shared {
    /// Once that is durable: what was reserved before counts no more.
    pub(super) fn restart(&self, sequence: TableId, counter: TableId, standing: Standing) {
        let fresh = Standing { left: 0, block: FIRST_BLOCK, ..standing };
        let mut sequences = self.sequences.lock();
        sequences.remove(&counter);
        let known = Arc::clone(sequences.entry(sequence).or_default());
        drop(sequences);
        *known.lock() = fresh;
    }

    /// Gives back what was reserved and not given out.
    pub(super) fn return_reserved(&self) -> Result<()> {
        let sequences = self.sequences.lock();
        let open: Vec<(TableId, Standing)> = sequences
            .iter()
            .map(|(id, standing)| (*id, *standing.lock()))
            .filter(|(_, standing)| standing.left > 0 && !standing.is_apart())
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let transaction = self.log.write()?;
        for (id, standing) in open {
            put(&transaction, id, standing.last, standing.called)?;
        }
        transaction.commit()
    }
}

/// The value behind the last one.
fn after(sequence: &Sequence, standing: Standing) -> Result<i64> {
    if !standing.called {
        return Ok(standing.last);
    }
    let next = standing.last.checked_add(sequence.increment);
    match next.filter(|next| (sequence.min..=sequence.max).contains(next)) {
        Some(next) => Ok(next),
        None if sequence.cycle && sequence.increment > 0 => Ok(sequence.min),
        None if sequence.cycle => Ok(sequence.max),
        None => {
            let (word, bound) = match sequence.increment > 0 {
                true => ("maximum", sequence.max),
                false => ("minimum", sequence.min),
            };
            let name = &sequence.name;
            let message = format!("nextval: reached {word} value of sequence \"{name}\" ({bound})");
            Err(Error::new(ErrorKind::SequenceLimit, message))
        }
    }
}

/// The last value of a block that begins with `first`, and how many it has.
fn reserve(sequence: &Sequence, first: i64, block: u64) -> (i64, u64) {
    let room = match sequence.increment > 0 {
        true => sequence.max.abs_diff(first),
        false => first.abs_diff(sequence.min),
    };
    let more = (room / sequence.increment.unsigned_abs()).min(block - 1);
    let end = i128::from(first) + i128::from(sequence.increment) * i128::from(more);
    (i64::try_from(end).expect("the end lies within the bounds"), more + 1)
}

fn put(transaction: &Transaction, id: TableId, last: i64, called: bool) -> Result<()> {
    let mut w = Writer::new(1);
    w.i64(last);
    w.bool(called);
    transaction.put(Space::Counters, &name(id), &w.finish())
}

fn name(id: TableId) -> Vec<u8> {
    [b"sequence ".as_slice(), &key([id.0])].concat()
}
