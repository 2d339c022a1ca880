//! From state to state: each step's difference, row by row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use parking_lot::Mutex;

use super::anew::WrittenAnew;
use super::names::{Names, Standing, pairs};
use super::provider::{ChangeScan, Moment, Period, Shown, State};
use crate::exec::scan::external;
use crate::store::{RowDifference, RowShape, hidden_columns};

/// The end of what is shown still: PostgreSQL's infinity.
const FOREVER: i64 = i64::MAX;

/// About what one remembered birth takes.
const BIRTH_BYTES: usize = 48;

type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// The batches of a scan.
pub(super) struct Walk {
    scan: ChangeScan,
    shape: RowShape,
    output: Output,
    /// Of the names of one step.
    memory: MemoryReservation,
    /// Of births, which stay.
    births_memory: MemoryReservation,
    births: Arc<Mutex<Births>>,
    next: usize,
    current: Option<Batches>,
}

/// Which columns of which rows come out.
#[derive(Clone)]
struct Output {
    schema: SchemaRef,
    /// Positions among the table's columns and those of [`Shown`].
    projection: Vec<usize>,
    /// How many columns the table has.
    visible: usize,
    /// Why no row of the state that is read can be shown.
    refused: Option<WrittenAnew>,
}

/// When row versions were first shown.
#[derive(Default)]
struct Births {
    /// By the commit that made them, where the branch showed them with it.
    by_commit: HashMap<u64, i64>,
    /// (`_row_id`, `_commit`) of rows that the branch took over later.
    taken_over: HashMap<(u64, u64), i64>,
}

impl Births {
    fn of(&self, row: u64, commit: u64) -> i64 {
        let taken_over = self.taken_over.get(&(row, commit));
        taken_over.or_else(|| self.by_commit.get(&commit)).copied().unwrap_or(i64::MIN)
    }
}

impl Walk {
    pub fn new(
        scan: &ChangeScan,
        projection: &[usize],
        schema: &SchemaRef,
        context: &TaskContext,
    ) -> Walk {
        let visible = scan.table.columns.len();
        let columns = projection.iter().copied().filter(|at| *at < visible).collect();
        Walk {
            shape: RowShape { schema: Arc::clone(&scan.table), columns },
            output: Output {
                schema: Arc::clone(schema),
                projection: projection.to_vec(),
                visible,
                refused: None,
            },
            memory: MemoryConsumer::new("Changes").register(context.memory_pool()),
            births_memory: MemoryConsumer::new("Births").register(context.memory_pool()),
            births: Arc::default(),
            scan: scan.clone(),
            next: 0,
            current: None,
        }
    }

    /// The batches of the next step; None at the end.
    fn step(&mut self) -> Result<Option<Batches>> {
        let at = self.next;
        self.next += 1;
        let moments = Arc::clone(&self.scan.moments);
        match (moments.get(at), self.scan.shown.clone()) {
            (Some(moment), shown) => {
                let difference = self.difference(&moment.old, &moment.new)?;
                match shown {
                    Shown::Changes => self.changes(moment, &difference).map(Some),
                    Shown::Periods { period, .. } => {
                        self.periods(moment, &difference, period).map(Some)
                    }
                    Shown::Versions { .. } => {
                        self.periods(moment, &difference, Period::All).map(Some)
                    }
                    Shown::Removed => self.side(&difference, true).map(Some),
                    Shown::Added => self.side(&difference, false).map(Some),
                }
            }
            (None, Shown::Periods { period, last }) if at == moments.len() => {
                let living = self.difference(&State::Absent, &last)?;
                self.shown_still(&living, period).map(Some)
            }
            (None, Shown::Versions { last }) if at == moments.len() => {
                let living = self.difference(&State::Absent, &last)?;
                self.shown_still(&living, Period::All).map(Some)
            }
            (None, _) => Ok(None),
        }
    }

    fn difference(&self, old: &State, new: &State) -> Result<RowDifference> {
        let store = &self.scan.store;
        let (old, new) = (old.open(store), new.open(store));
        let (old, new) = (old.map_err(external)?, new.map_err(external)?);
        store.difference(&self.scan.table, old.as_deref(), new.as_deref()).map_err(external)
    }

    /// How rows of a state come out.
    fn output_of(&self, state: &State) -> Result<Output> {
        let refused = self.scan.unshowable(state, &self.shape.columns).map_err(external)?;
        Ok(Output { refused, ..self.output.clone() })
    }

    fn names(&self, difference: &RowDifference) -> Result<Arc<Names>> {
        self.memory.free();
        Names::of(difference, &self.scan.store, &self.shape, &self.memory).map(Arc::new)
    }

    /// The rows of one side, each as `show` says.
    fn rows(
        &self,
        difference: &RowDifference,
        removed: bool,
        show: impl Fn(RecordBatch) -> Result<RecordBatch> + Send + 'static,
    ) -> Result<Batches> {
        let side = if removed { &difference.removed } else { &difference.added };
        let rows = side.read(&self.scan.store, &self.shape).map_err(external)?;
        Ok(Box::new(rows.map(move |batch| show(batch.map_err(external)?))))
    }

    fn changes(&self, moment: &Moment, difference: &RowDifference) -> Result<Batches> {
        let names = self.names(difference)?;
        let (commit, time_us) = (moment.commit.0 as i64, moment.time_us);
        let part = |removed: bool| {
            let state = if removed { &moment.old } else { &moment.new };
            let (names, output) = (Arc::clone(&names), self.output_of(state)?);
            self.rows(difference, removed, move |batch| {
                let standings: Vec<Standing> = pairs(&batch)
                    .map(|(row, commit)| match removed {
                        true => names.of_removed(row, commit),
                        false => names.of_added(row, commit),
                    })
                    .collect();
                let kind = |s: &Standing| Some(change_type(*s, removed));
                let kinds: StringViewArray = standings.iter().map(kind).collect();
                let keep = standings.iter().map(|s| Some(*s != Standing::Moved)).collect();
                output.shown(&batch, &keep, &|at, rows| match at {
                    0 => Arc::new(kinds.clone()),
                    1 => Arc::new(Int64Array::from_value(commit, rows)),
                    2 => times(vec![time_us; rows]),
                    _ => row_ids(&batch),
                })
            })
        };
        Ok(Box::new(part(true)?.chain(part(false)?)))
    }

    fn side(&self, difference: &RowDifference, removed: bool) -> Result<Batches> {
        let (names, output) = (self.names(difference)?, self.output.clone());
        self.rows(difference, removed, move |batch| {
            let keep = pairs(&batch).map(|(row, commit)| {
                let standing = match removed {
                    true => names.of_removed(row, commit),
                    false => names.of_added(row, commit),
                };
                Some(standing != Standing::Moved)
            });
            output.shown(&batch, &keep.collect(), &|_, _| row_ids(&batch))
        })
    }

    /// What a step ended; what it began is remembered.
    fn periods(
        &self,
        moment: &Moment,
        difference: &RowDifference,
        period: Period,
    ) -> Result<Batches> {
        let names = self.names(difference)?;
        let first = *self.births.lock().by_commit.entry(moment.commit.0).or_insert(moment.time_us);
        // A branch that was moved back shows rows again that had ended.
        let again = first != moment.time_us;
        if again || !difference.added.are_of(moment.commit) {
            self.take_over(moment, difference, &names)?;
        }
        let (births, output) = (Arc::clone(&self.births), self.output_of(&moment.old)?);
        let to = moment.time_us;
        self.rows(difference, true, move |batch| {
            let births = births.lock();
            let ends = |(row, commit)| {
                (births.of(row, commit), names.of_removed(row, commit) != Standing::Moved)
            };
            let (from, ends): (Vec<i64>, Vec<bool>) = pairs(&batch).map(ends).unzip();
            let keep =
                from.iter().zip(ends).map(|(from, ends)| Some(ends && period.wants(*from, to)));
            output.with_period(&batch, &keep.collect(), &from, to)
        })
    }

    /// Remembers rows that came with a step and that another commit had made.
    fn take_over(&self, moment: &Moment, difference: &RowDifference, names: &Names) -> Result<()> {
        let nothing = RowShape { columns: Vec::new(), ..self.shape.clone() };
        for batch in difference.added.read(&self.scan.store, &nothing).map_err(external)? {
            let batch = batch.map_err(external)?;
            let mut births = self.births.lock();
            for (row, commit) in pairs(&batch) {
                let moved = names.of_added(row, commit) == Standing::Moved;
                if !moved && births.by_commit.get(&commit) != Some(&moment.time_us) {
                    births.taken_over.insert((row, commit), moment.time_us);
                    self.births_memory.try_grow(BIRTH_BYTES)?;
                }
            }
        }
        Ok(())
    }

    fn shown_still(&self, living: &RowDifference, period: Period) -> Result<Batches> {
        let (births, output) = (Arc::clone(&self.births), self.output.clone());
        self.rows(living, false, move |batch| {
            let births = births.lock();
            let from: Vec<i64> =
                pairs(&batch).map(|(row, commit)| births.of(row, commit)).collect();
            let keep = from.iter().map(|from| Some(period.wants(*from, FOREVER))).collect();
            output.with_period(&batch, &keep, &from, FOREVER)
        })
    }
}

impl Iterator for Walk {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            match self.current.as_mut().and_then(Iterator::next) {
                Some(Ok(batch)) if batch.num_rows() == 0 => continue,
                Some(batch) => return Some(batch),
                None => match self.step() {
                    Ok(Some(batches)) => self.current = Some(batches),
                    Ok(None) => return None,
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }
}

impl Output {
    /// The columns asked for of the rows to keep; `extra` makes those of [`Shown`].
    fn shown(
        &self,
        batch: &RecordBatch,
        keep: &BooleanArray,
        extra: &dyn Fn(usize, usize) -> ArrayRef,
    ) -> Result<RecordBatch> {
        if let Some(refused) = self.refused.as_ref().filter(|_| keep.true_count() > 0) {
            return Err(external(refused.error()));
        }
        let rows = batch.num_rows();
        let mut visible = batch.columns().iter();
        let column = |at: &usize| match at.checked_sub(self.visible) {
            None => Arc::clone(visible.next().expect("the shape has every column asked for")),
            Some(extra_at) => extra(extra_at, rows),
        };
        let columns = self.projection.iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        let shown = RecordBatch::try_new_with_options(schema, columns, &options)?;
        match keep.true_count() == rows {
            true => Ok(shown),
            false => Ok(filter_record_batch(&shown, keep)?),
        }
    }

    fn with_period(
        &self,
        batch: &RecordBatch,
        keep: &BooleanArray,
        from: &[i64],
        to: i64,
    ) -> Result<RecordBatch> {
        self.shown(batch, keep, &|at, rows| match at {
            0 => times(from.to_vec()),
            1 => times(vec![to; rows]),
            2 => commits(batch),
            _ => row_ids(batch),
        })
    }
}

fn change_type(standing: Standing, removed: bool) -> &'static str {
    match (standing, removed) {
        (Standing::Updated, true) => "update_preimage",
        (Standing::Updated, false) => "update_postimage",
        (_, true) => "delete",
        (_, false) => "insert",
    }
}

fn times(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn commits(batch: &RecordBatch) -> ArrayRef {
    let commits = hidden_columns(batch).0.values().iter();
    Arc::new(commits.map(|commit| *commit as i64).collect::<Int64Array>())
}

fn row_ids(batch: &RecordBatch) -> ArrayRef {
    let rows = hidden_columns(batch).1.values().iter();
    Arc::new(rows.map(|row| *row as i64).collect::<Int64Array>())
}
