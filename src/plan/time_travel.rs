//! Version clauses: resolved to a snapshot, or refused. DataFusion's own planner drops them without a
//! word, so every factor that has one ends here.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult, ScalarValue, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{ObjectName, TableFactor};

use super::names;
use super::scope::{Reading, external};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{Slot, TableVersionSpec, fold, version_of};
use crate::spec::text::{TextOptions, parse_timestamptz};
use crate::store::{Snapshot, Version};

/// Plans tables that have a version, and names of four parts, which DataFusion's planner cannot hold.
#[derive(Debug)]
pub struct VersionPlanner {
    reading: Reading,
    state: Arc<SessionState>,
}

impl VersionPlanner {
    pub(super) fn new(reading: Reading, state: Arc<SessionState>) -> VersionPlanner {
        VersionPlanner { reading, state }
    }
}

impl RelationPlanner for VersionPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<RelationPlanning> {
        let spec = version_of(&relation).map_err(external)?;
        let TableFactor::Table { name, alias, args, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let parts = name_parts(name).map_err(external)?;
        if args.is_some() && spec.is_some() {
            let message = format!("function \"{name}\" has no versions");
            return Err(external(Error::new(ErrorKind::Syntax, message)));
        }
        if spec.is_none() && parts.len() < 4 {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let at = match spec {
            Some(spec) => {
                let value = self.value(&spec, context)?;
                Some(self.snapshot(&spec, value).map_err(external)?)
            }
            None => None,
        };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let source = names::source(&self.reading, &self.state, &parts, at.as_ref());
        let source = source.map_err(external)?;
        let written = reference(&parts);
        let plan = match &at {
            Some(at) => LogicalPlanBuilder::scan(names::at_commit(&written, at), source, None)?
                .alias(written)?,
            None => LogicalPlanBuilder::scan(written, source, None)?,
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation {
            plan: plan.build()?,
            alias: alias.clone(),
        })))
    }
}

impl VersionPlanner {
    /// The value of a clause; None where it is a parameter that has none yet.
    fn value(
        &self,
        spec: &TableVersionSpec,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<Option<ScalarValue>> {
        let expr = context.sql_to_expr(spec.value.clone(), &DFSchema::empty())?;
        constant(&self.reading, &self.state, expr).map_err(external)
    }

    fn snapshot(&self, spec: &TableVersionSpec, value: Option<ScalarValue>) -> Result<Snapshot> {
        let base = match &spec.within {
            Some(within) => {
                let name = within.to_string();
                self.reading.snapshot.store().at_ref(name.trim_matches('\''))?
            }
            None => self.reading.snapshot.clone(),
        };
        // A statement that is only described shows the head's columns.
        let Some(value) = value else { return Ok(base) };
        let found = snapshot_of(&self.reading, &base, spec, &value)?;
        if matches!(spec.slot, Slot::Time | Slot::Offset | Slot::Version)
            && found.reference().is_none()
        {
            self.reading.notices.lock().push(format!(
                "resolved to commit {} ({})",
                found.commit(),
                crate::store::show_time(found.time_us())
            ));
        }
        Ok(found)
    }
}

/// The snapshot that a clause names, seen from `base`.
///
/// # Errors
/// UndefinedObject, InvalidValue, SnapshotExpired: see [`crate::store::Store::resolve`].
pub fn snapshot_of(
    reading: &Reading,
    base: &Snapshot,
    spec: &TableVersionSpec,
    value: &ScalarValue,
) -> Result<Snapshot> {
    let store = base.store();
    let version = match spec.slot {
        Slot::Version => version_slot(base, value, &reading.text)?,
        Slot::Time => Version::Time(time_of(value, &reading.text)?),
        Slot::Offset => {
            let seconds = whole_number(value)?;
            let now_us = store.clock().now_us();
            Version::Time(now_us.saturating_add(seconds.saturating_mul(1_000_000)))
        }
        Slot::Branch | Slot::Tag | Slot::Ref => ref_slot(base, &text_of(value)?)?,
        Slot::Commit => Version::Commit(commit_number(value)?),
        Slot::Statement => {
            return Err(Error::new(ErrorKind::NotSupported, "versions by statement id")
                .hint("name the commit: AT (VERSION => n)"));
        }
    };
    let version = match (spec.before, version) {
        (true, Version::Time(time_us)) => Version::Time(time_us - 1),
        (true, other) => {
            let at = store.resolve(base, &other)?;
            return store.resolve(&at, &Version::Back(1));
        }
        (false, version) => version,
    };
    store.resolve(base, &version)
}

/// What stands in a version slot: a ref, a commit, `HEAD~n` or a time, in this order.
fn version_slot(base: &Snapshot, value: &ScalarValue, options: &TextOptions) -> Result<Version> {
    if value.data_type().is_integer() {
        return Ok(Version::Commit(commit_number(value)?));
    }
    if value.data_type().is_temporal() {
        return Ok(Version::Time(time_of(value, options)?));
    }
    let text = text_of(value)?;
    if base.store().find_ref(&text)?.is_some() {
        return Ok(Version::Ref(text));
    }
    if let Some(version) = numbered(&text) {
        return Ok(version);
    }
    if let Ok(time_us) = parse_timestamptz(text.as_bytes(), options) {
        return Ok(Version::Time(time_us));
    }
    Err(Error::new(
        ErrorKind::UndefinedObject,
        format!("\"{text}\" is no branch, tag, commit or time"),
    )
    .hint("SHOW BRANCHES, SHOW TAGS and SHOW LOG list what there is"))
}

fn ref_slot(base: &Snapshot, text: &str) -> Result<Version> {
    let known = base.store().find_ref(text)?.is_some();
    Ok(numbered(text).filter(|_| !known).unwrap_or_else(|| Version::Ref(text.to_owned())))
}

/// `127`, `v127`, `HEAD`, `HEAD~2`.
fn numbered(text: &str) -> Option<Version> {
    let digits = text.strip_prefix('v').unwrap_or(text);
    if let Ok(number) = digits.parse() {
        return Some(Version::Commit(number));
    }
    let back = text.strip_prefix("HEAD")?;
    match back.strip_prefix('~') {
        Some(steps) => steps.parse().ok().map(Version::Back),
        None => back.is_empty().then_some(Version::Back(0)),
    }
}

fn text_of(value: &ScalarValue) -> Result<String> {
    match value.try_as_str() {
        Some(Some(text)) => Ok(text.to_owned()),
        _ => Ok(value.to_string()),
    }
}

fn commit_number(value: &ScalarValue) -> Result<u64> {
    let number = whole_number(value)?;
    u64::try_from(number).map_err(|_| {
        Error::new(ErrorKind::UndefinedObject, format!("commit {number} does not exist"))
            .hint("SHOW LOG lists the commits there are")
    })
}

fn whole_number(value: &ScalarValue) -> Result<i64> {
    let wrong = || {
        Error::new(ErrorKind::InvalidValue, format!("a version cannot be {value}"))
            .hint("give a number, a name or a time")
    };
    match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(Some(number))) => Ok(number),
        _ => Err(wrong()),
    }
}

/// µs since 1970-01-01 UTC. Text without a zone is in the session's; a whole number is seconds.
pub fn time_of(value: &ScalarValue, options: &TextOptions) -> Result<i64> {
    if let Some(Some(text)) = value.try_as_str() {
        return parse_timestamptz(text.as_bytes(), options);
    }
    let data_type = value.data_type();
    if data_type.is_integer() {
        return Ok(whole_number(value)?.saturating_mul(1_000_000));
    }
    let wall = matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let cast = value.cast_to(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    match value.cast_to(&micros).or(cast).map_err(fault::of_datafusion)? {
        ScalarValue::TimestampMicrosecond(Some(local_us), _) if wall => {
            // A time without a zone is the session's wall clock, as in PostgreSQL.
            let text = crate::store::show_time(local_us);
            parse_timestamptz(text.trim_end_matches('Z').as_bytes(), options)
        }
        ScalarValue::TimestampMicrosecond(Some(time_us), _) => Ok(time_us),
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("{value} is not a time"))),
    }
}

/// Evaluates an expression that reads no row; None where a parameter has no value yet.
///
/// # Errors
/// Whatever evaluating it gives; Syntax where it reads a column.
pub fn constant(
    reading: &Reading,
    state: &SessionState,
    expr: Expr,
) -> Result<Option<ScalarValue>> {
    let mut open = false;
    let bound = expr
        .transform(|expr| {
            let Expr::Placeholder(placeholder) = &expr else { return Ok(Transformed::no(expr)) };
            let number = placeholder.id.trim_start_matches('$').parse::<usize>().unwrap_or(0);
            let values = reading.parameters.as_ref().map(|parameters| &parameters.values);
            match values.and_then(|values| values.get(number.checked_sub(1)?)) {
                Some(value) => Ok(Transformed::yes(Expr::Literal(value.clone(), None))),
                None => {
                    open = true;
                    Ok(Transformed::no(expr))
                }
            }
        })
        .map_err(fault::of_datafusion)?
        .data;
    if open {
        return Ok(None);
    }
    let evaluate = || -> DataFusionResult<ScalarValue> {
        let expr = state.create_physical_expr(bound, &DFSchema::empty())?;
        let one_row = RecordBatchOptions::new().with_row_count(Some(1));
        let empty = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(empty, Vec::new(), &one_row)?;
        match expr.evaluate(&batch)? {
            ColumnarValue::Scalar(value) => Ok(value),
            ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
        }
    };
    evaluate().map(Some).map_err(fault::of_datafusion)
}

/// The parts of a name, folded.
///
/// # Errors
/// Syntax for parts that are not names.
pub fn name_parts(name: &ObjectName) -> Result<Vec<String>> {
    let part = |part: &datafusion::sql::sqlparser::ast::ObjectNamePart| {
        part.as_ident().map(fold).ok_or_else(|| {
            Error::new(ErrorKind::Syntax, format!("\"{name}\" is not a name of a table"))
        })
    };
    name.0.iter().map(part).collect()
}

/// A name as DataFusion's planner holds it.
pub(super) fn reference(parts: &[&str]) -> TableReference {
    match parts {
        [.., catalog, schema, table] => TableReference::full(*catalog, *schema, *table),
        [schema, table] => TableReference::partial(*schema, *table),
        [table] => TableReference::bare(*table),
        [] => TableReference::bare(""),
    }
}
