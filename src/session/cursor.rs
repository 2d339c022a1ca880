//! DECLARE, FETCH, MOVE, CLOSE.
//!
//! A cursor reads the snapshot that it was declared in, whatever is written or committed later: WITH
//! HOLD needs no copy of its rows. They stream; only a SCROLL cursor keeps those it has seen, in
//! memory that its statement may reserve, so that it can go back to them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::Mutex;

use super::answer::{Answer, Timer};
use super::execute::{Parameters, done};
use super::fetch::{self, Place};
use super::prepare::output_columns;
use super::work::Block;
use super::{Outcome, OutputColumn, RowsTag, Session};
use crate::command::run;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{Declare, Fetch, FetchDirection, Parsed};
use crate::plan::pg_catalog::CursorFacts;
use crate::plan::plan_query;
use crate::plan::thread::apart;

/// The open cursors of a session.
#[derive(Default)]
pub(super) struct Cursors {
    open: HashMap<String, Cursor>,
    declared: u64,
    /// At each savepoint, how many were declared before it.
    savepoints: Vec<(String, u64)>,
}

struct Cursor {
    facts: CursorFacts,
    columns: Arc<Vec<OutputColumn>>,
    rows: Arc<Mutex<Rows>>,
    number: u64,
    /// Whether the transaction that declared it still runs.
    uncommitted: bool,
}

/// The rows of a cursor, and where it stands.
struct Rows {
    stream: SendableRecordBatchStream,
    schema: SchemaRef,
    at: Place,
    ended: bool,
    /// Rows that were read and not yet given.
    rest: Option<RecordBatch>,
    /// Every row read so far, of a SCROLL cursor.
    kept: Option<Kept>,
}

struct Kept {
    batches: Vec<RecordBatch>,
    rows: u64,
    memory: MemoryReservation,
}

impl Cursors {
    /// What `pg_cursors` shows.
    pub fn facts(&self) -> Vec<CursorFacts> {
        let mut facts: Vec<_> = self.open.values().map(|cursor| cursor.facts.clone()).collect();
        facts.sort_by(|a, b| a.name.cmp(&b.name));
        facts
    }

    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// The transaction ends: what it declared goes, unless it commits and the cursor is held.
    pub fn end_transaction(&mut self, committed: bool) {
        self.savepoints.clear();
        self.open.retain(|_, cursor| {
            let stays = cursor.facts.hold && (committed || !cursor.uncommitted);
            cursor.uncommitted = false;
            stays
        });
    }

    pub fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.declared));
    }

    /// What was declared after the savepoint goes.
    pub fn roll_back_to(&mut self, name: &str) {
        let Some(at) = self.savepoints.iter().rposition(|(known, _)| known == name) else { return };
        let declared = self.savepoints[at].1;
        self.savepoints.truncate(at + 1);
        self.open.retain(|_, cursor| !cursor.uncommitted || cursor.number < declared);
    }
}

impl Session {
    /// The columns of an open cursor.
    pub fn cursor_columns(&self, name: &str) -> Option<Arc<Vec<OutputColumn>>> {
        self.cursors.lock().open.get(name).map(|cursor| Arc::clone(&cursor.columns))
    }

    pub(super) async fn declare(
        &mut self,
        declare: &Declare,
        parsed: &Parsed,
        parameters: Parameters,
    ) -> Result<Outcome> {
        let block = self.work.lock().block;
        if block == Block::None && !declare.hold {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Error::new(ErrorKind::NoActiveTransaction, message)
                .hint("say BEGIN first, or declare the cursor WITH HOLD"));
        }
        self.check_cursor_fits(&declare.name)?;
        let reading = self.reading_of(parsed, parameters)?;
        // The plan outlives this statement, so only its planning has the statement's time.
        let cancel = reading.cancel.child();
        let timer = Timer::start(&cancel, self.settings.lock().statement_timeout());
        let (within, state) = (reading.clone(), Arc::clone(&self.state));
        let query = declare.query.clone();
        let plan = async move { plan_query(&within, &state, &query) };
        let planned = apart(&cancel, plan).await?;
        drop(timer);
        self.take_reading_notices(&reading);
        let columns = Arc::new(output_columns(&planned));
        // FETCH has a time of its own.
        let (reading, bounds) = self.bounded_by(&reading, std::time::Duration::ZERO)?;
        let stream = run::start(&reading, &self.state, planned.plan).await?;
        let scroll = declare.scroll == Some(true);
        let memory = || MemoryConsumer::new("cursor").register(&reading.runtime.memory_pool);
        let kept = scroll.then(|| Kept { batches: Vec::new(), rows: 0, memory: memory() });
        let schema = stream.schema();
        let stream = Answer::stream(stream, bounds);
        let rows = Rows { stream, schema, at: 0, ended: false, rest: None, kept };
        let facts = CursorFacts {
            name: declare.name.clone(),
            statement: parsed.text.clone(),
            hold: declare.hold,
            binary: declare.binary,
            scroll,
            created_us: self.work.lock().statement_us,
        };
        let mut cursors = self.cursors.lock();
        let number = cursors.declared;
        cursors.declared += 1;
        let rows = Arc::new(Mutex::new(rows));
        let cursor = Cursor { facts, columns, rows, number, uncommitted: block != Block::None };
        cursors.open.insert(declare.name.clone(), cursor);
        drop(cursors);
        done("DECLARE CURSOR")
    }

    fn check_cursor_fits(&self, name: &str) -> Result<()> {
        let cursors = self.cursors.lock();
        if cursors.open.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::new(ErrorKind::DuplicateCursor, message));
        }
        if cursors.open.len() >= self.database.inner().settings.wire.portals_max {
            let message = format!("{} cursors are open already", cursors.open.len());
            return Err(Error::new(ErrorKind::LimitExceeded, message)
                .hint("CLOSE those that are no longer needed"));
        }
        Ok(())
    }

    pub(super) async fn fetch(&mut self, fetch: &Fetch) -> Result<Outcome> {
        let (shared, columns, binary) = {
            let cursors = self.cursors.lock();
            let cursor = cursors.open.get(&fetch.cursor).ok_or_else(|| none(&fetch.cursor))?;
            (Arc::clone(&cursor.rows), Arc::clone(&cursor.columns), cursor.facts.binary)
        };
        let timer = Timer::start(&self.cancel, self.settings.lock().statement_timeout());
        let mut rows = Arc::clone(&shared).lock_owned().await;
        let schema = Arc::clone(&rows.schema);
        if rows.kept.is_some() {
            let (count, given) = rows.scroll(fetch.direction).await?;
            if fetch.moves {
                return done(&format!("MOVE {count}"));
            }
            let given = futures::stream::iter(given.into_iter().map(Ok));
            let stream = Box::pin(RecordBatchStreamAdapter::new(schema, given));
            return Ok(Outcome::Rows { columns, stream, tag: RowsTag::Fetch { binary } });
        }
        let count = rows.seek(fetch.direction, &fetch.cursor).await?;
        if fetch.moves {
            return done(&format!("MOVE {}", rows.skip(count).await?));
        }
        drop(rows);
        let given =
            futures::stream::unfold((shared, count, timer), |(shared, left, timer)| async move {
                if left == 0 {
                    return None;
                }
                let next = shared.lock().await.next(left).await;
                match next {
                    Ok(Some(batch)) => {
                        let left = left - batch.num_rows() as u64;
                        Some((Ok(batch), (shared, left, timer)))
                    }
                    Ok(None) => None,
                    Err(error) => Some((Err(error), (shared, 0, timer))),
                }
            });
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, given));
        Ok(Outcome::Rows { columns, stream, tag: RowsTag::Fetch { binary } })
    }

    /// CLOSE; None is ALL.
    pub(super) fn close_cursor(&self, name: Option<&str>) -> Result<Outcome> {
        let mut cursors = self.cursors.lock();
        match name {
            None => {
                cursors.close_all();
                done("CLOSE CURSOR ALL")
            }
            Some(name) => match cursors.open.remove(name) {
                Some(_) => done("CLOSE CURSOR"),
                None => Err(none(name)),
            },
        }
    }
}

fn none(name: &str) -> Error {
    Error::new(ErrorKind::UndefinedCursor, format!("cursor \"{name}\" does not exist"))
}

impl Rows {
    async fn read(&mut self) -> Result<Option<RecordBatch>> {
        if self.ended {
            return Ok(None);
        }
        match self.stream.next().await {
            Some(batch) => batch.map(Some).map_err(fault::of_datafusion),
            None => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    /// The next rows, at most so many; None after the last.
    async fn next(&mut self, most: u64) -> DataFusionResult<Option<RecordBatch>> {
        loop {
            let batch = match self.rest.take() {
                Some(batch) => Some(batch),
                None => self.read().await.map_err(|e| DataFusionError::External(Box::new(e)))?,
            };
            let Some(batch) = batch else {
                return Ok(None);
            };
            let count = usize::try_from(most).unwrap_or(usize::MAX).min(batch.num_rows());
            if count < batch.num_rows() {
                self.rest = Some(batch.slice(count, batch.num_rows() - count));
            }
            self.at += count as u64;
            if count > 0 {
                return Ok(Some(batch.slice(0, count)));
            }
        }
    }

    /// Goes over rows without giving them; how many there were.
    async fn skip(&mut self, count: u64) -> Result<u64> {
        let mut left = count;
        while left > 0 {
            match self.next(left).await.map_err(fault::of_datafusion)? {
                Some(batch) => left -= batch.num_rows() as u64,
                None => break,
            }
        }
        Ok(count - left)
    }

    /// Goes forward to where the rows begin that a direction gives; how many these may be.
    async fn seek(&mut self, direction: FetchDirection, name: &str) -> Result<u64> {
        let from_the_end = matches!(direction, FetchDirection::Absolute(n) if n < 0);
        let step = fetch::step(direction, self.at, u64::MAX - 1);
        let ahead = if step.count == 0 { step.then >= self.at } else { step.first > self.at };
        if from_the_end || step.backward || !ahead {
            let message = "cursor can only scan forward";
            return Err(Error::new(ErrorKind::WrongState, message)
                .detail(format!("cursor \"{name}\" was not declared with SCROLL"))
                .hint("Declare it with SCROLL option to enable backward scan."));
        }
        let to = if step.count == 0 { step.then } else { step.first - 1 };
        self.skip(to - self.at).await?;
        Ok(step.count)
    }

    /// The rows that a direction gives, of those kept; how many, and in which order.
    async fn scroll(&mut self, direction: FetchDirection) -> Result<(u64, Vec<RecordBatch>)> {
        let needed = fetch::needed(direction, self.at);
        loop {
            let known = self.kept.as_ref().map_or(0, |kept| kept.rows);
            if needed.is_some_and(|needed| needed <= known) {
                break;
            }
            let Some(batch) = self.read().await? else { break };
            if let Some(kept) = &mut self.kept {
                let bytes = batch.get_array_memory_size();
                kept.memory.try_grow(bytes).map_err(fault::of_datafusion)?;
                kept.rows += batch.num_rows() as u64;
                kept.batches.push(batch);
            }
        }
        let kept = self.kept.as_ref().expect("only a SCROLL cursor scrolls");
        let step = fetch::step(direction, self.at, kept.rows);
        self.at = step.then;
        let given = kept.range(step.first, step.count, step.backward);
        Ok((step.count, given.map_err(fault::of_arrow)?))
    }
}

impl Kept {
    fn range(
        &self,
        first: u64,
        count: u64,
        backward: bool,
    ) -> Result<Vec<RecordBatch>, arrow::error::ArrowError> {
        let (mut before, mut given) = (0, Vec::new());
        let (start, end) = (first.saturating_sub(1), first.saturating_sub(1) + count);
        for batch in &self.batches {
            let rows = batch.num_rows() as u64;
            let (from, to) = (start.max(before), end.min(before + rows));
            if from < to {
                let slice = batch.slice((from - before) as usize, (to - from) as usize);
                given.push(match backward {
                    true => {
                        take_record_batch(&slice, &(0..to - from).rev().collect::<UInt64Array>())?
                    }
                    false => slice,
                });
            }
            before += rows;
        }
        if backward {
            given.reverse();
        }
        Ok(given)
    }
}
