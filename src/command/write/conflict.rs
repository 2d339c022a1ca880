//! INSERT … ON CONFLICT.
//!
//! Rows are taken some tens of thousands at a time and looked for in the table together: sorted, by
//! the ranges and key filters of segments, never one by one. A key that this statement gave before is
//! found the same way, in the segments its own load has written, or among the few keys not yet there.
//!
//! | the key is | DO NOTHING | DO UPDATE |
//! |---|---|---|
//! | nowhere | the first of its rows goes in | its row goes in; a second one is 21000 |
//! | in the table | passed over | the row there changes, if WHERE says so; a second change is 21000 |
//! | of this statement's own making | passed over | 21000 |
//!
//! Without a target DO NOTHING asks every enforced key. A key that is not asked is checked as for any
//! other row.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::sql::sqlparser::ast::{self, OnConflictAction, With};
use futures::StreamExt;
use parking_lot::Mutex;

use super::Scene;
use super::arbiter::arbiters;
use super::change::{Action, Change, Changed, refuse_second, twice};
use super::returning::Returning;
use super::target::Target;
use super::values::{Assigned, Evaluated, numbered};
use crate::command::{Writing, run};
use crate::error::Result;
use crate::fault;
use crate::plan::Given;
use crate::spec::TableSchema;
use crate::store::{KeyBatch, KeyCheck, Place, Table};

/// Rows that are looked for together.
const CHUNK_ROWS: usize = 65_536;
const CHUNK_BYTES: usize = 16 << 20;

/// The relation that DO UPDATE reads.
const PAIRS: &str = "asofdb pairs";

/// What happens to a row whose key is there.
pub struct OnConflict {
    /// The keys it is about, as positions among the enforced ones.
    keys: Vec<usize>,
    update: Option<DoUpdate>,
}

/// DO UPDATE, planned over pairs of the row there and the one that was to go in.
struct DoUpdate {
    /// The new row, then which pair it is of; only those that WHERE lets through.
    plan: LogicalPlan,
    pairs: Pairs,
    moves_keys: bool,
}

/// A table of one batch, handed over anew for every chunk.
#[derive(Clone)]
struct Pairs {
    schema: SchemaRef,
    batch: Arc<Mutex<Option<RecordBatch>>>,
}

impl OnConflict {
    /// Plans the clause.
    ///
    /// # Errors
    /// InvalidColumnReference where no enforced key is of the columns named.
    pub fn new(
        scene: &Scene<'_>,
        target: &Target,
        with: Option<&With>,
        clause: &ast::OnConflict,
    ) -> Result<OnConflict> {
        let keys = arbiters(target.schema(), clause)?;
        let update = match &clause.action {
            OnConflictAction::DoNothing => None,
            OnConflictAction::DoUpdate(update) => Some(DoUpdate::new(scene, target, with, update)?),
        };
        Ok(OnConflict { keys, update })
    }

    /// Runs an INSERT that has the clause.
    ///
    /// # Errors
    /// As [`super::run`].
    pub(super) async fn run(
        self,
        writing: &mut Writing<'_>,
        target: &Target,
        source: LogicalPlan,
        returning: Option<Returning>,
    ) -> Result<Changed> {
        if self.update.is_some() {
            refuse_second(writing, &target.table)?;
        }
        let mut change = Change::new(writing, &target.table, returning.as_ref())?;
        let moves_keys = self.update.as_ref().is_some_and(|update| update.moves_keys);
        let check = |seen: bool| if seen { KeyCheck::Never } else { KeyCheck::AtEnd };
        let all = target.schema().enforced_keys().len() == self.keys.len();
        change.check_keys(check(!moves_keys && all), check(!moves_keys));
        let own = vec![HashSet::new(); self.keys.len()];
        let mut upsert = Upsert { change, keys: self.keys, update: self.update, moves_keys, own };
        let mut stream = run::start_in_order(&writing.reading, writing.state, source).await?;
        let mut chunk: Vec<RecordBatch> = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(fault::of_datafusion)?;
            chunk.push(upsert.change.gate.admit(batch.columns().to_vec())?);
            let bytes: usize = chunk.iter().map(RecordBatch::get_array_memory_size).sum();
            if bytes >= CHUNK_BYTES
                || chunk.iter().map(RecordBatch::num_rows).sum::<usize>() >= CHUNK_ROWS
            {
                upsert.take(writing, std::mem::take(&mut chunk)).await?;
            }
        }
        upsert.take(writing, chunk).await?;
        if upsert.change.fresh.rows() > 0 {
            writing.transaction.rerun_on_duplicates(&target.table);
        }
        upsert.change.finish(writing, returning).await
    }
}

impl DoUpdate {
    fn new(
        scene: &Scene<'_>,
        target: &Target,
        with: Option<&With>,
        update: &ast::DoUpdate,
    ) -> Result<DoUpdate> {
        let schema = target.schema();
        let columns = schema.columns.len();
        let assigned = Assigned::new(schema, &update.assignments)?;
        let pairs = Pairs::new(schema);
        let rows = pairs.relation(target)?;
        let selection = update.selection.as_ref();
        let evaluated = Evaluated::new(scene, with, &rows, assigned.values(), selection)?;
        let own: Vec<Expr> = (0..evaluated.width()).map(|at| evaluated.own(at)).collect();
        let of = evaluated.plan.schema();
        let mut exprs = assigned.row(schema, of, &evaluated.values(), &own[..columns])?;
        exprs.push(own[columns * 2].clone());
        let plan = LogicalPlanBuilder::from(evaluated.plan)
            .project(numbered(exprs))
            .and_then(LogicalPlanBuilder::build)
            .map_err(fault::of_datafusion)?;
        Ok(DoUpdate { plan, pairs, moves_keys: assigned.moves_keys(schema) })
    }
}

impl Pairs {
    fn new(schema: &TableSchema) -> Pairs {
        let both = schema.columns.iter().chain(&schema.columns).enumerate();
        let mut fields: Vec<Field> =
            both.map(|(i, c)| c.data_type.field(&i.to_string(), true)).collect();
        fields.push(Field::new("pair", DataType::UInt64, false));
        Pairs { schema: Arc::new(Schema::new(fields)), batch: Arc::default() }
    }

    /// The columns of the row there under the target's name, the others as `excluded`.
    fn relation(&self, target: &Target) -> Result<Given> {
        let rows: Arc<dyn PartitionStream> = Arc::new(self.clone());
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![rows]);
        let source = provider_as_source(Arc::new(table.map_err(fault::of_datafusion)?));
        let width = target.schema().columns.len();
        let column = |(i, field): (usize, &Arc<Field>)| {
            let name = PlanColumn::new(Some(TableReference::bare(PAIRS)), field.name());
            let relation = match i / width.max(1) {
                0 => target.reference(),
                1 => TableReference::bare("excluded"),
                _ => TableReference::bare(PAIRS),
            };
            let shown = target.schema().columns.get(i % width.max(1));
            let shown = if i < width * 2 { shown.map(|c| c.name.as_str()) } else { None };
            Expr::Column(name).alias_qualified(Some(relation), shown.unwrap_or(PAIRS))
        };
        let plan = LogicalPlanBuilder::scan(TableReference::bare(PAIRS), source, None)
            .and_then(|scan| scan.project(self.schema.fields().iter().enumerate().map(column)))
            .and_then(LogicalPlanBuilder::build);
        Ok(Given { name: PAIRS.to_owned(), plan: plan.map_err(fault::of_datafusion)? })
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pairs")
    }
}

impl PartitionStream for Pairs {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batch = self.batch.lock().clone();
        let rows = futures::stream::iter(batch.map(Ok));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// An upsert in progress.
struct Upsert {
    change: Change,
    /// As [`OnConflict`] has them.
    keys: Vec<usize>,
    update: Option<DoUpdate>,
    moves_keys: bool,
    /// For each of them what this statement gave to rows that are in no segment yet.
    own: Vec<HashSet<Box<[u8]>>>,
}

/// What is to be done with the rows of a chunk, each list in the order of the input.
#[derive(Default)]
struct Sorted {
    /// Rows that go in.
    fresh: Vec<u64>,
    /// Rows that meet another, and where that is.
    meet: Vec<(u64, Place)>,
}

/// What is known of one key of each row of a chunk.
struct Known {
    /// The row's key, None where a NULL in it equals nothing.
    keys: Vec<Option<Box<[u8]>>>,
    /// Where the row is that has it.
    there: Vec<Option<Place>>,
    /// Whether a segment of this statement has it.
    own: Vec<bool>,
}

impl Upsert {
    async fn take(&mut self, writing: &Writing<'_>, chunk: Vec<RecordBatch>) -> Result<()> {
        let Some(first) = chunk.first() else { return Ok(()) };
        let rows = concat_batches(&first.schema(), &chunk).map_err(fault::of_arrow)?;
        let table = Arc::clone(&self.change.table);
        let all = KeyBatch::of_rows(table.schema(), &rows)?;
        let mut known = Vec::with_capacity(self.keys.len());
        for which in self.keys.clone() {
            known.push(self.look_up(which, &all[which], rows.num_rows())?);
        }
        let sorted = self.sort(known, rows.num_rows())?;
        let fresh = self.insert(&rows, &sorted.fresh)?;
        let changed = match sorted.meet.is_empty() {
            true => None,
            false => Some(self.update(writing, &table, &rows, &sorted.meet).await?),
        };
        self.report(fresh, sorted.fresh, changed)
    }

    /// Row by row as PostgreSQL would, with everything known beforehand.
    fn sort(&mut self, mut known: Vec<Known>, rows: usize) -> Result<Sorted> {
        let mut sorted = Sorted::default();
        let updates = self.update.is_some();
        for row in 0..rows {
            let mine = |(known, own): (&Known, &HashSet<Box<[u8]>>)| {
                known.own[row] || known.keys[row].as_ref().is_some_and(|key| own.contains(key))
            };
            let is_mine = known.iter().zip(&self.own).any(mine);
            let there = known.iter().find_map(|known| known.there[row]);
            match (there, is_mine) {
                (_, true) if updates => return Err(twice("ON CONFLICT DO UPDATE")),
                (Some(place), false) if updates => sorted.meet.push((row as u64, place)),
                (None, false) => {
                    for (known, own) in known.iter_mut().zip(&mut self.own) {
                        own.extend(known.keys[row].take());
                    }
                    sorted.fresh.push(row as u64);
                }
                _ => {}
            }
        }
        Ok(sorted)
    }

    /// Where the keys of a chunk are.
    fn look_up(&mut self, which: usize, keys: &KeyBatch, rows: usize) -> Result<Known> {
        let table = Arc::clone(&self.change.table);
        let mut known =
            Known { keys: vec![None; rows], there: vec![None; rows], own: vec![false; rows] };
        for at in 0..keys.len() {
            known.keys[keys.row(at)] = Some(keys.key(at).into());
        }
        for (row, place) in table.places_of(which, keys)? {
            match self.change.gone.has(place) {
                // Changed by this statement; where keys move it may have left this one.
                true => known.own[row] |= !self.moves_keys,
                false => known.there[row] = Some(place),
            }
        }
        let mut loads = vec![&mut self.change.fresh];
        if self.moves_keys {
            loads.push(&mut self.change.versions);
        }
        for load in loads {
            for (row, _) in table.places_in(load.segments()?, which, keys)? {
                known.own[row] = true;
            }
        }
        Ok(known)
    }

    fn insert(&mut self, rows: &RecordBatch, fresh: &[u64]) -> Result<RecordBatch> {
        let picked = pick(rows, fresh)?;
        self.change.fresh.push(&picked)?;
        self.forget_written();
        Ok(picked)
    }

    /// Keys that segments have need not be kept.
    fn forget_written(&mut self) {
        if self.change.fresh.gathered_rows() == 0 && self.change.versions.gathered_rows() == 0 {
            self.own.iter_mut().for_each(HashSet::clear);
        }
    }

    /// Changes the rows there; the new versions, and which rows of the chunk they are of.
    async fn update(
        &mut self,
        writing: &Writing<'_>,
        table: &Arc<Table>,
        rows: &RecordBatch,
        meet: &[(u64, Place)],
    ) -> Result<(RecordBatch, Vec<u64>)> {
        let Some(update) = &self.update else { unreachable!("only DO UPDATE gathers them") };
        let places: Vec<Place> = meet.iter().map(|(_, place)| *place).collect();
        let old = table.rows_at(&places)?;
        let picked: Vec<u64> = meet.iter().map(|(row, _)| *row).collect();
        let new = pick(rows, &picked)?;
        let width = new.num_columns();
        let mut columns: Vec<ArrayRef> = old.columns()[..width].to_vec();
        columns.extend(new.columns().iter().cloned());
        columns.push(Arc::new(UInt64Array::from_iter_values(0..meet.len() as u64)));
        let pairs = RecordBatch::try_new(Arc::clone(&update.pairs.schema), columns);
        *update.pairs.batch.lock() = Some(pairs.map_err(fault::of_arrow)?);
        let plan = update.plan.clone();
        let mut found = run::start_in_order(&writing.reading, writing.state, plan).await?;
        let mut versions = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        while let Some(batch) = found.next().await {
            let batch = batch.map_err(fault::of_datafusion)?;
            numbers.extend(batch.column(width).as_primitive::<UInt64Type>().values());
            versions.push(self.change.gate.admit(batch.columns()[..width].to_vec())?);
        }
        *update.pairs.batch.lock() = None;
        check_once(&numbers, meet)?;
        let versions = concat_batches(&rows.schema(), &versions).map_err(fault::of_arrow)?;
        let ids = old.column(width).as_primitive::<UInt64Type>();
        let ids = UInt64Array::from_iter_values(numbers.iter().map(|n| ids.value(*n as usize)));
        self.change.versions.push_versions(&versions, ids)?;
        self.change.replace(numbers.iter().map(|n| places[*n as usize]));
        if self.moves_keys {
            let all = KeyBatch::of_rows(table.schema(), &versions)?;
            for (own, keys) in self.own.iter_mut().zip(self.keys.iter().map(|at| &all[*at])) {
                own.extend((0..keys.len()).map(|at| Box::from(keys.key(at))));
            }
        }
        self.forget_written();
        Ok((versions, numbers.iter().map(|n| picked[*n as usize]).collect()))
    }

    /// Tells RETURNING of the chunk's rows, in the order of the input.
    fn report(
        &mut self,
        fresh: RecordBatch,
        fresh_rows: Vec<u64>,
        changed: Option<(RecordBatch, Vec<u64>)>,
    ) -> Result<()> {
        let Some((changed, changed_rows)) = changed else {
            return self.change.report(Action::Insert, &fresh, &[]);
        };
        let numbered = |batch: usize, rows: &[u64]| -> Vec<(u64, (usize, usize))> {
            rows.iter().enumerate().map(|(at, row)| (*row, (batch, at))).collect()
        };
        let mut order = numbered(0, &fresh_rows);
        order.extend(numbered(1, &changed_rows));
        order.sort_unstable();
        let picks: Vec<(usize, usize)> = order.into_iter().map(|(_, at)| at).collect();
        if picks.is_empty() {
            return Ok(());
        }
        let all = interleave_record_batch(&[&fresh, &changed], &picks).map_err(fault::of_arrow)?;
        self.change.report(Action::Insert, &all, &[])
    }
}

/// # Errors
/// Cardinality where a row that was changed is met again: `numbers` say which pairs changed one.
fn check_once(numbers: &[u64], meet: &[(u64, Place)]) -> Result<()> {
    let changes: HashSet<u64> = numbers.iter().copied().collect();
    let mut changed = HashSet::new();
    for (pair, (_, place)) in meet.iter().enumerate() {
        if changed.contains(place) {
            return Err(twice("ON CONFLICT DO UPDATE"));
        }
        if changes.contains(&(pair as u64)) {
            changed.insert(*place);
        }
    }
    Ok(())
}

fn pick(rows: &RecordBatch, picked: &[u64]) -> Result<RecordBatch> {
    if picked.len() == rows.num_rows() && picked.is_sorted() {
        return Ok(rows.clone());
    }
    take_record_batch(rows, &UInt64Array::from(picked.to_vec())).map_err(fault::of_arrow)
}
