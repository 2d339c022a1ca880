//! The changes of one statement on their way into the transaction.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringViewArray};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{Int32Type, UInt64Type};
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;

use super::gate::Gate;
use super::returning::{Returned, Returning};
use super::rows::Gone;
use super::target::Target;
use super::{Described, Scene};
use crate::command::{Writing, run};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::HIDDEN;
use crate::exec::spool::Spool;
use crate::fault;
use crate::store::{KeyCheck, Load, Place, Table};

/// What a statement did.
pub struct Changed {
    /// Rows that came, changed or went.
    pub rows: u64,
    /// What RETURNING shows.
    pub returned: Option<Returned>,
}

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Insert,
    Update,
    Delete,
}

impl Action {
    const ALL: [Action; 3] = [Action::Insert, Action::Update, Action::Delete];

    /// As plans write it.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// As `merge_action()` tells it.
    fn word(self) -> &'static str {
        match self {
            Action::Insert => "INSERT",
            Action::Update => "UPDATE",
            Action::Delete => "DELETE",
        }
    }
}

/// A statement planned as a query whose rows are changes: the row's columns, the four hidden ones,
/// the action where `action` is None, and the columns that RETURNING wants besides.
pub struct Changing {
    /// What is written.
    pub target: Target,
    /// The query.
    pub plan: LogicalPlan,
    /// What it does with every row; None where its rows tell.
    pub action: Option<Action>,
    /// Whether a second change of one row is an error, or passed over.
    pub twice_is_wrong: bool,
    /// Whether the key's columns are assigned.
    pub moves_keys: bool,
    /// RETURNING.
    pub returning: Option<Returning>,
}

/// # Errors
/// NotSupported where an earlier part of the statement changed the table.
pub fn refuse_second(writing: &Writing<'_>, table: &Table) -> Result<()> {
    if !writing.before.changed.contains(&table.id()) {
        return Ok(());
    }
    let name = &table.schema().name;
    let message = format!("a second part of the statement changes table \"{name}\"");
    Err(Error::new(ErrorKind::NotSupported, message)
        .hint("parts may insert into one table; write two statements, in one transaction"))
}

impl Changing {
    /// What a client needs to know.
    ///
    /// # Errors
    /// Whatever planning RETURNING gives.
    pub fn describe(self, scene: &Scene<'_>) -> Result<Described> {
        let returning = self.returning.map(|r| r.with_given(&scene.given).describe(scene));
        Ok(Described { plan: self.plan, returning: returning.transpose()? })
    }

    /// Runs it.
    ///
    /// # Errors
    /// Cardinality where a row would change twice; whatever rows and keys give.
    pub async fn run(self, writing: &mut Writing<'_>) -> Result<Changed> {
        let table = &self.target.table;
        refuse_second(writing, table)?;
        let mut change = Change::new(writing, table, self.returning.as_ref())?;
        let versions = if self.moves_keys { KeyCheck::AtEnd } else { KeyCheck::Never };
        // A new row may take the key of one that goes.
        let fresh = if self.action.is_none() { KeyCheck::AtEnd } else { KeyCheck::AsTheyCome };
        change.check_keys(fresh, versions);
        change.twice_is_wrong = self.twice_is_wrong;
        let (reading, state) = (&writing.reading, writing.state);
        let mut stream = run::start_in_order(reading, state, self.plan).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(fault::of_datafusion)?;
            match self.action {
                Some(action) => change.take(action, &batch, 0)?,
                None => change.take_mixed(&batch)?,
            }
        }
        change.finish(writing, self.returning).await
    }
}

/// Changes of one table, in progress.
pub struct Change {
    pub(super) table: Arc<Table>,
    pub(super) gate: Gate,
    pub(super) fresh: Load,
    pub(super) versions: Load,
    pub(super) gone: Gone,
    returned: Option<Spool>,
    /// Whether `merge_action()` goes with what is returned.
    tells_action: bool,
    twice_is_wrong: bool,
    rows: u64,
}

impl Change {
    /// Begins to change a table. New rows are checked as they come.
    ///
    /// # Errors
    /// As [`Gate::new`].
    pub fn new(
        writing: &Writing<'_>,
        table: &Arc<Table>,
        returning: Option<&Returning>,
    ) -> Result<Change> {
        let runtime = &writing.reading.runtime;
        Ok(Change {
            gate: Gate::new(&writing.reading, writing.state, table)?,
            fresh: Load::new(table),
            versions: Load::checked(table, KeyCheck::Never),
            gone: Gone::default(),
            returned: returning.map(|returning| Spool::new(returning.stored(), runtime)),
            tells_action: returning.is_some_and(|returning| returning.tells_action),
            table: Arc::clone(table),
            twice_is_wrong: false,
            rows: 0,
        })
    }

    /// How keys are checked; to be said before the first row.
    pub fn check_keys(&mut self, fresh: KeyCheck, versions: KeyCheck) {
        self.fresh = Load::checked(&self.table, fresh);
        self.versions = Load::checked(&self.table, versions);
    }

    /// Takes changes of one kind; `behind` columns stand between the hidden ones and what RETURNING
    /// wants besides.
    ///
    /// # Errors
    /// As [`Gate::admit`]; UniqueViolation; Cardinality.
    fn take(&mut self, action: Action, batch: &RecordBatch, behind: usize) -> Result<()> {
        let width = self.table.schema().columns.len();
        let all = batch.columns();
        let hidden = &all[width..width + HIDDEN.len()];
        let mut rows = all[..width].to_vec();
        let mut besides = all[width + HIDDEN.len() + behind..].to_vec();
        let mut ids = Arc::clone(&hidden[1]);
        if action != Action::Insert {
            let first = self.gone.take(hidden);
            if first.true_count() < first.len() {
                if self.twice_is_wrong {
                    return Err(twice("MERGE"));
                }
                ids = filter(&ids, &first).map_err(fault::of_arrow)?;
                rows = filtered(&rows, &first)?;
                besides = filtered(&besides, &first)?;
            }
        }
        let rows = match action {
            Action::Insert => self.insert(rows)?,
            Action::Update => {
                let rows = self.gate.admit(rows)?;
                self.versions.push_versions(&rows, ids.as_primitive::<UInt64Type>().clone())?;
                rows
            }
            Action::Delete if self.returned.is_none() => {
                self.rows += ids.len() as u64;
                return Ok(());
            }
            Action::Delete => Gate::unchecked(self.table.schema(), rows)?,
        };
        self.report(action, &rows, &besides)
    }

    fn take_mixed(&mut self, batch: &RecordBatch) -> Result<()> {
        let at = self.table.schema().columns.len() + HIDDEN.len();
        let actions: &Int32Array = batch.column(at).as_primitive::<Int32Type>();
        for action in Action::ALL {
            let mask: BooleanArray =
                actions.iter().map(|number| Some(number == Some(action.number()))).collect();
            if mask.true_count() > 0 {
                let part = filter_record_batch(batch, &mask).map_err(fault::of_arrow)?;
                self.take(action, &part, 1)?;
            }
        }
        Ok(())
    }

    /// Puts new rows in.
    ///
    /// # Errors
    /// As [`Gate::admit`]; UniqueViolation.
    pub fn insert(&mut self, rows: Vec<ArrayRef>) -> Result<RecordBatch> {
        let rows = self.gate.admit(rows)?;
        self.fresh.push(&rows)?;
        Ok(rows)
    }

    /// Replaces one row of each place by a new version.
    pub fn replace(&mut self, places: impl Iterator<Item = Place>) {
        for place in places {
            self.gone.take_place(place);
        }
    }

    /// Counts rows, and sets them aside for RETURNING.
    ///
    /// # Errors
    /// DiskFull, Io.
    pub fn report(
        &mut self,
        action: Action,
        rows: &RecordBatch,
        besides: &[ArrayRef],
    ) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        let Some(returned) = &mut self.returned else { return Ok(()) };
        let mut columns = rows.columns().to_vec();
        columns.extend(besides.iter().cloned());
        if self.tells_action {
            let words = std::iter::repeat_n(action.word(), rows.num_rows());
            columns.push(Arc::new(StringViewArray::from_iter_values(words)));
        }
        returned.push(super::returning::as_stored(returned.schema(), columns)?)
    }

    /// Gives everything to the transaction.
    ///
    /// # Errors
    /// UniqueViolation; whatever evaluating RETURNING gives.
    pub async fn finish(
        self,
        writing: &mut Writing<'_>,
        returning: Option<Returning>,
    ) -> Result<Changed> {
        writing.before.changed.push(self.table.id());
        writing.transaction.delete(&self.table, &self.gone.refs())?;
        for load in [self.versions, self.fresh] {
            let loaded = load.finish()?;
            writing.transaction.insert(&self.table, loaded)?;
        }
        let returned = match (self.returned, returning) {
            (Some(spool), Some(returning)) => {
                let returning = returning.with_given(&writing.before.given);
                Some(returning.run(&writing.reading, writing.state, spool.finish()).await?)
            }
            _ => None,
        };
        Ok(Changed { rows: self.rows, returned })
    }
}

fn filtered(columns: &[ArrayRef], keep: &BooleanArray) -> Result<Vec<ArrayRef>> {
    columns.iter().map(|column| filter(column, keep).map_err(fault::of_arrow)).collect()
}

/// The error of a statement that meets a row it has changed itself.
pub fn twice(statement: &str) -> Error {
    let message = format!("{statement} command cannot affect row a second time");
    Error::new(ErrorKind::Cardinality, message).hint(match statement {
        "MERGE" => "ensure that not more than one source row matches any one target row",
        _ => {
            "ensure that no rows proposed for insertion within the same command have duplicate \
             constrained values"
        }
    })
}
