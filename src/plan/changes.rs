//! What changed, as tables: `table_changes`, `branch_diff`, `ancestors_of`, and a table FOR SYSTEM_TIME
//! over a period.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{Column, DFSchema, JoinType, Result as DataFusionResult, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, lit, not, when,
};
use datafusion::sql::sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Ident, TableAlias, TableFactor, TableFunctionArgs,
};

use super::names::{self, At, Named};
use super::scope::{Reading, external};
use super::time_travel::{constant, moment, name_parts, named_version};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::changes::{ChangeScan, ChangeSummary, Moment, Period, Shown, State};
use crate::fault;
use crate::parse::{Slot, TableVersionSpec, version_literal};
use crate::spec::{Commit, CommitId, CommitKind};
use crate::store::{Behind, Relation, Snapshot, Table, TableStep, Version};

/// A table at two points; None where it is not there.
type TablePair = (Option<Arc<Table>>, Option<Arc<Table>>);

/// Plans the functions of this file.
#[derive(Debug)]
pub struct ChangesPlanner {
    reading: Reading,
    state: Arc<SessionState>,
}

impl ChangesPlanner {
    pub(super) fn new(reading: Reading, state: Arc<SessionState>) -> ChangesPlanner {
        ChangesPlanner { reading, state }
    }
}

impl RelationPlanner for ChangesPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<RelationPlanning> {
        let TableFactor::Table { name, alias, args: Some(arguments), version: None, .. } =
            &relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let function = name_parts(name).map_err(external)?.pop().unwrap_or_default();
        let names: &[&str] = match function.as_str() {
            "table_changes" => &["table", "from", "to", "from_exclusive"],
            "branch_diff" => &["from", "to", "table"],
            "ancestors_of" => &["table", "snapshot_id"],
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let values = self.values(&function, names, arguments, context)?;
        let plan = match function.as_str() {
            "table_changes" => table_changes(&self.reading, &values),
            "branch_diff" => branch_diff(&self.reading, &values),
            _ => ancestors_of(&self.reading, &values),
        };
        let plan = plan.map_err(external)?;
        let alias = alias.clone().unwrap_or_else(|| named(&function));
        let planned = PlannedRelation { plan, alias: Some(alias) };
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

fn named(function: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::new(function), columns: Vec::new(), at: None }
}

/// The value of an argument: None where it was not given, Some(None) where it is not known yet.
type Argument = Option<Option<ScalarValue>>;

impl ChangesPlanner {
    fn values(
        &self,
        function: &str,
        names: &[&str],
        arguments: &TableFunctionArgs,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<Vec<Argument>> {
        let usage = format!("{function}({})", names.join(", "));
        let wrong = |why: &str| {
            external(
                Error::new(ErrorKind::UndefinedFunction, format!("{function}: {why}"))
                    .hint(format!("call {usage}")),
            )
        };
        let mut values: Vec<Argument> = vec![None; names.len()];
        for (position, argument) in arguments.args.iter().enumerate() {
            let (at, value) = match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(position), value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    let name = crate::parse::fold(name);
                    (names.iter().position(|known| *known == name), value)
                }
                _ => return Err(wrong("an argument is not a value")),
            };
            let at =
                at.filter(|at| *at < names.len()).ok_or_else(|| wrong("too many arguments"))?;
            let expr = context.sql_to_expr(value.clone(), &DFSchema::empty())?;
            values[at] = Some(constant(&self.reading, &self.state, expr).map_err(external)?);
        }
        Ok(values)
    }
}

/// The text of an argument that names something.
fn text(argument: &Argument, what: &str) -> Result<Option<String>> {
    match argument {
        None | Some(Some(ScalarValue::Null)) => Ok(None),
        Some(Some(value)) => match value.try_as_str() {
            Some(Some(text)) => Ok(Some(text.to_owned())),
            _ => Ok(Some(value.to_string())),
        },
        Some(None) => Err(Error::new(
            ErrorKind::UndefinedParameter,
            format!("{what} must be known when the statement is prepared"),
        )
        .hint("write it as a literal")),
    }
}

fn parts_of(name: &str) -> Result<Vec<String>> {
    match crate::parse::expression(name)? {
        datafusion::sql::sqlparser::ast::Expr::Identifier(ident) => {
            Ok(vec![crate::parse::fold(&ident)])
        }
        datafusion::sql::sqlparser::ast::Expr::CompoundIdentifier(idents) => {
            Ok(idents.iter().map(crate::parse::fold).collect())
        }
        _ => Err(Error::new(ErrorKind::Syntax, format!("\"{name}\" is not a name of a table"))),
    }
}

/// A table of a snapshot.
fn table_at(reading: &Reading, name: &str, at: &Snapshot) -> Result<Arc<Table>> {
    let parts = parts_of(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let at = At { data: at.clone(), views: at.clone() };
    match names::resolve(reading, &parts, Some(&at))? {
        Named::Table(table, _) => Ok(table),
        _ => Err(Error::new(ErrorKind::WrongState, format!("\"{name}\" is not a table"))
            .hint("changes are of tables; name the table that the view reads")),
    }
}

fn spec(slot: Slot) -> TableVersionSpec {
    TableVersionSpec { slot, ..version_literal("") }
}

// ---------------------------------------------------------------- table_changes

fn table_changes(reading: &Reading, values: &[Argument]) -> Result<LogicalPlan> {
    let name = text(&values[0], "the table")?.ok_or_else(|| {
        Error::new(ErrorKind::UndefinedFunction, "table_changes needs a table")
            .hint("call table_changes('t', from, to), both ends included")
    })?;
    let head = &reading.snapshot;
    let parts = parts_of(&name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let id = names::table_id(reading, &parts, head)?;
    let end = match &values[2] {
        Some(Some(value)) if !value.is_null() => {
            let (base, version) = named_version(reading, head, id, &spec(Slot::Version), value)?;
            base.store().resolve(&base, &version)?
        }
        _ => head.clone(),
    };
    let table = table_at(reading, &name, &end)?;
    let start = match (&values[1], &values[3]) {
        (Some(Some(_)), Some(Some(_))) => {
            return Err(Error::new(ErrorKind::InvalidValue, "table_changes has two beginnings")
                .hint("say from or from_exclusive"));
        }
        (Some(Some(from)), _) => start_of(reading, &end, &table, from)?,
        (_, Some(Some(after))) => CommitId(start_of(reading, &end, &table, after)?.0 + 1),
        // Only described, or from the table's beginning.
        _ => CommitId(0),
    };
    let commits = end.store().table_commits(&end, table.id(), start)?;
    let moments = told(&table, commits, start)?;
    let label = format!("table_changes({name},{},{})", start, end.commit());
    scan(&table, moments, Shown::Changes, &label)
}

/// The first commit whose changes count.
fn start_of(
    reading: &Reading,
    end: &Snapshot,
    table: &Table,
    value: &ScalarValue,
) -> Result<CommitId> {
    let id = Some(table.id());
    let (base, version) =
        named_version(reading, &reading.snapshot, id, &spec(Slot::Version), value)?;
    let store = base.store();
    let start = match &version {
        // A time between two commits begins with the later one.
        Version::Time(time_us) => {
            let at = store.resolve(end, &version)?;
            return Ok(CommitId(at.commit().0 + u64::from(at.time_us() < *time_us)));
        }
        _ => store.resolve(&base, &version)?,
    };
    let (from, to) = (start.commit(), end.commit());
    match store.behind(end, table.id(), from)? {
        Behind::Yes => return Ok(from),
        Behind::No => {}
        Behind::Expired(oldest) => {
            let name = &table.schema().name;
            let message = format!("changes of table \"{name}\" since commit {from} have expired");
            return Err(Error::new(ErrorKind::SnapshotExpired, message).hint(format!(
                "the earliest commit behind {to} that can be read is {oldest}: from_exclusive => {oldest}"
            )));
        }
    }
    let error = Error::new(
        ErrorKind::InvalidValue,
        format!("commit {from} does not lie behind commit {to}"),
    );
    Err(match store.is_ancestor(to, from)? {
        true => error.hint("the earlier commit comes first: swap the two"),
        false => error.hint("they are on different branches: branch_diff compares those"),
    })
}

/// The changes that can be told. What was there before the oldest state that is kept has expired, so
/// its change is left out, or refused where it was asked for.
fn told(table: &Table, commits: Vec<(Commit, TableStep)>, start: CommitId) -> Result<Vec<Moment>> {
    let mut moments = Vec::with_capacity(commits.len());
    for (commit, step) in commits {
        let before = commit.parent.filter(|_| step.old.is_some());
        let is_kept = |parent| table.store().shows_table(parent, table.id());
        if before.map_or(Ok(true), is_kept)? {
            moments.push(Moment::from(step));
        } else if start > CommitId(0) {
            let message = format!("what was there before commit {} has expired", commit.id);
            return Err(Error::new(ErrorKind::SnapshotExpired, message)
                .hint(format!("begin after it: from_exclusive => {}", commit.id)));
        }
    }
    Ok(moments)
}

fn scan(table: &Table, moments: Vec<Moment>, shown: Shown, label: &str) -> Result<LogicalPlan> {
    let (store, schema) = (table.store().clone(), Arc::clone(table.schema()));
    let source = provider_as_source(Arc::new(ChangeScan::new(store, schema, moments, shown)));
    // Two scans of one name would be taken for the same.
    let name = datafusion::common::TableReference::bare(label);
    LogicalPlanBuilder::scan(name, source, None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)
}

/// Every change of a table up to a snapshot.
pub fn all_changes(table: &Table, at: &Snapshot) -> Result<Arc<dyn TableProvider>> {
    let commits = at.store().table_commits(at, table.id(), CommitId(0))?;
    let moments = told(table, commits, CommitId(0))?;
    let (store, schema) = (table.store().clone(), Arc::clone(table.schema()));
    Ok(Arc::new(ChangeScan::new(store, schema, moments, Shown::Changes)))
}

// ---------------------------------------------------------------- periods

/// The row versions of a table that its branch showed in a period, each since when and until when.
///
/// # Errors
/// NotSupported for what is not a table; InvalidValue for a period that ends before it begins.
pub fn over_period(
    reading: &Reading,
    parts: &[&str],
    base: &Snapshot,
    slot: Slot,
    values: &[ScalarValue],
) -> Result<Arc<dyn TableProvider>> {
    let at = At { data: base.clone(), views: base.clone() };
    let Named::Table(table, _) = names::resolve(reading, parts, Some(&at))? else {
        let message = format!("\"{}\" over a period of time", parts.join("."));
        return Err(Error::new(ErrorKind::NotSupported, message)
            .hint("only tables have row versions; read a view FOR SYSTEM_TIME AS OF"));
    };
    let times: Vec<i64> =
        values.iter().map(|v| moment(base, v, &reading.text)).collect::<Result<_>>()?;
    let period = match (slot, times.as_slice()) {
        (Slot::FromTo, [a, b]) => Period::FromTo(*a, *b),
        (Slot::Between, [a, b]) => Period::Between(*a, *b),
        (Slot::Contained, [a, b]) => Period::Contained(*a, *b),
        _ => Period::All,
    };
    if let [a, b] = times.as_slice()
        && a > b
    {
        return Err(Error::new(ErrorKind::InvalidValue, "a period ends before it begins")
            .hint("the earlier time comes first"));
    }
    let history = base.store().table_history(base, table.id())?;
    let moments = history.steps.into_iter().map(Moment::from).collect();
    let shown = Shown::Periods { period, last: history.last.into() };
    let (store, schema) = (table.store().clone(), Arc::clone(table.schema()));
    Ok(Arc::new(ChangeScan::new(store, schema, moments, shown)))
}

// ---------------------------------------------------------------- branch_diff

fn branch_diff(reading: &Reading, values: &[Argument]) -> Result<LogicalPlan> {
    let own = &reading.snapshot;
    let name = text(&values[2], "the table")?;
    let id = match &name {
        Some(name) => {
            let parts = parts_of(name)?;
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            names::table_id(reading, &parts, own)?
        }
        None => None,
    };
    let side = |at: usize, what: &str| -> Result<Snapshot> {
        match &values[at] {
            Some(Some(value)) => {
                let (base, version) = named_version(reading, own, id, &spec(Slot::Version), value)?;
                base.store().resolve(&base, &version)
            }
            Some(None) => Ok(own.clone()),
            None => {
                Err(Error::new(ErrorKind::UndefinedFunction, format!("branch_diff needs {what}"))
                    .hint("call branch_diff('main', 'branch', 'table')"))
            }
        }
    };
    let (from, to) = (side(0, "where from")?, side(1, "where to")?);
    match name {
        Some(name) => diff_of_table(reading, &name, &from, &to),
        None => diff_of_all(&from, &to),
    }
}

fn diff_of_table(
    reading: &Reading,
    name: &str,
    from: &Snapshot,
    to: &Snapshot,
) -> Result<LogicalPlan> {
    let (old, new) = (table_at(reading, name, from), table_at(reading, name, to));
    let missing = |found: &Result<Arc<Table>>| {
        found.as_ref().err().is_some_and(|e| e.kind() == ErrorKind::UndefinedTable)
    };
    let (old, new) = match (missing(&old), missing(&new)) {
        // It may have another name there.
        (false, true) => {
            let old = old?;
            let new = to.table_by_id(old.id())?;
            (Some(old), new)
        }
        // Of a table that is missing on both sides the newer one's error is told.
        (true, _) => {
            let new = new?;
            (from.table_by_id(new.id())?, Some(new))
        }
        (false, false) => (Some(old?), Some(new?)),
    };
    let same = matches!((&old, &new), (Some(old), Some(new)) if old.id() == new.id());
    let state = |table: &Option<Arc<Table>>| table.clone().map_or(State::Absent, State::Table);
    let moment = |old: State, new: State| {
        vec![Moment { commit: to.commit(), time_us: to.time_us(), old, new }]
    };
    let shape = |table: &Option<Arc<Table>>| {
        let other = old.clone().or_else(|| new.clone()).expect("one of them is there");
        table.clone().unwrap_or(other)
    };
    // Two tables that only share their name share no row.
    let (before, after) = match same {
        true => (moment(state(&old), state(&new)), moment(state(&old), state(&new))),
        false => (moment(state(&old), State::Absent), moment(State::Absent, state(&new))),
    };
    let label = format!("{name},{},{}", from.commit(), to.commit());
    let left = scan(&shape(&old), before, Shown::Removed, &format!("removed({label})"))?;
    let right = scan(&shape(&new), after, Shown::Added, &format!("added({label})"))?;
    pair(left, right, &shape(&old), &shape(&new), same).map_err(fault::of_datafusion)
}

/// Rows of both sides side by side: by primary key where both have the same, else by row id.
fn pair(
    left: LogicalPlan,
    right: LogicalPlan,
    old: &Table,
    new: &Table,
    same: bool,
) -> DataFusionResult<LogicalPlan> {
    let key = |table: &Table| -> Option<Vec<String>> {
        let schema = table.schema();
        let key = schema.primary_key.as_ref()?;
        key.columns.iter().map(|id| Some(schema.column(*id)?.name.clone())).collect()
    };
    let keys = match (key(old), key(new)) {
        (Some(a), Some(b)) if a == b => a,
        _ => vec!["_row_id".to_owned()],
    };
    let column = |side: &str, name: &str| Expr::Column(Column::new(Some(side.to_owned()), name));
    let columns = |side: &str| {
        keys.iter().map(|key| Column::new(Some(side.to_owned()), key)).collect::<Vec<_>>()
    };
    let left = LogicalPlanBuilder::from(left).alias("before")?;
    let right = LogicalPlanBuilder::from(right).alias("after")?.build()?;
    let by_row = keys == ["_row_id"];
    let on = match by_row && !same {
        // Nothing says which rows belong together.
        true => lit(false),
        false => lit(true),
    };
    let joined =
        left.join(right, JoinType::Full, (columns("before"), columns("after")), Some(on))?;
    let change = when(column("before", "_row_id").is_null(), lit("insert"))
        .when(column("after", "_row_id").is_null(), lit("delete"))
        .otherwise(lit("update"))?;
    let mut names: Vec<&str> = old.schema().columns.iter().map(|c| c.name.as_str()).collect();
    let more = new.schema().columns.iter().map(|c| c.name.as_str());
    names.extend(more.filter(|name| old.schema().column_named(name).is_none()));
    let has = |table: &Table, name: &str| table.schema().column_named(name).is_some();
    let mut output = vec![change.alias("_change_type")];
    let mut equal =
        column("before", "_row_id").is_not_null().and(column("after", "_row_id").is_not_null());
    for name in names {
        let value = |side: &str, table: &Table, other: &Table| {
            let known = other.schema().column_named(name).map(|(_, c)| c.data_type.arrow());
            Ok::<Expr, DataFusionError>(match (has(table, name), known) {
                (false, Some(storage)) => lit(ScalarValue::try_new_null(&storage)?),
                _ => column(side, name),
            })
        };
        let (from, to) = (value("before", old, new)?, value("after", new, old)?);
        equal = equal.and(match comparable(old, new, name) {
            true => Expr::BinaryExpr(BinaryExpr::new(
                Box::new(from.clone()),
                Operator::IsNotDistinctFrom,
                Box::new(to.clone()),
            )),
            false => from.clone().is_null().and(to.clone().is_null()),
        });
        output.push(from.alias(format!("from_{name}")));
        output.push(to.alias(format!("to_{name}")));
    }
    joined.filter(not(equal))?.project(output)?.build()
}

/// Whether values of a column have a type in common, where both tables have it: values of others are
/// never the same.
fn comparable(old: &Table, new: &Table, name: &str) -> bool {
    let of = |table: &Table| table.schema().column_named(name).map(|(_, c)| c.data_type.clone());
    of(old).zip(of(new)).is_none_or(|(old, new)| old.common(&new).is_some())
}

/// The tables that differ, with how many rows.
fn diff_of_all(from: &Snapshot, to: &Snapshot) -> Result<LogicalPlan> {
    let tables = |at: &Snapshot| -> Result<Vec<Arc<Table>>> {
        let relations = at.relations()?.into_iter();
        Ok(relations
            .filter_map(|relation| match relation {
                Relation::Table(table) => Some(table),
                Relation::View(_) | Relation::Sequence(_) => None,
            })
            .collect())
    };
    let (old, new) = (tables(from)?, tables(to)?);
    let mut pairs: Vec<TablePair> = Vec::new();
    for table in &old {
        let other = new.iter().find(|other| other.id() == table.id());
        pairs.push((Some(Arc::clone(table)), other.cloned()));
    }
    let fresh = new.iter().filter(|table| old.iter().all(|other| other.id() != table.id()));
    pairs.extend(fresh.map(|table| (None, Some(Arc::clone(table)))));
    let summary = ChangeSummary::new(to.store().clone(), pairs);
    let label = format!("branch_diff({},{})", from.commit(), to.commit());
    let name = datafusion::common::TableReference::bare(label);
    LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(summary)), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)
}

// ---------------------------------------------------------------- ancestors_of

fn ancestors_of(reading: &Reading, values: &[Argument]) -> Result<LogicalPlan> {
    let own = &reading.snapshot;
    let table = match text(&values[0], "the table")? {
        Some(name) => Some(table_at(reading, &name, own)?.id()),
        None => None,
    };
    let from = match &values[1] {
        Some(Some(value)) if !value.is_null() => {
            let (base, version) = named_version(reading, own, table, &spec(Slot::Version), value)?;
            base.store().resolve(&base, &version)?
        }
        _ => own.clone(),
    };
    let (mut ids, mut times) = (Vec::new(), Vec::new());
    from.store().history(&from, |commit| {
        let about = table.is_none_or(|id| commit.changes.iter().any(|change| change.table == id));
        if about && commit.kind != CommitKind::Maintain {
            ids.push(commit.id.0 as i64);
            times.push(commit.time_us);
        }
        Ok(true)
    })?;
    let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
    let batch = RecordBatch::try_from_iter([
        ("snapshot_id", Arc::new(Int64Array::from(ids)) as ArrayRef),
        ("committed_at", Arc::new(times) as ArrayRef),
    ])
    .map_err(fault::of_arrow)?;
    let rows =
        MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(fault::of_datafusion)?;
    let label = format!("ancestors_of({:?},{})", table.map(|id| id.0), from.commit());
    let name = datafusion::common::TableReference::bare(label);
    LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(rows)), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)
}

/// The commit of a branch at a time: `snapshot_id_as_of`.
pub fn commit_as_of(reading: &Reading, time_us: i64) -> Result<u64> {
    let own = &reading.snapshot;
    Ok(own.store().resolve(own, &Version::Time(time_us))?.commit().0)
}
