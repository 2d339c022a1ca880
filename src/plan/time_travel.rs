//! Version clauses: resolved to a snapshot, or refused. DataFusion's own planner drops them without a
//! word, so every factor that has one ends here.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ObjectName, TableAlias, TableFactor};

use super::changes::over_period;
use super::names::{self, At};
use super::scope::{Reading, external};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{Slot, TableVersionSpec, fold, version_of};
use crate::spec::text::{TextOptions, parse_interval, parse_timestamptz};
use crate::spec::{Ref, RefKind, TableId, ref_label};
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
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if let Some(spec) = spec.as_ref().filter(|spec| spec.slot.is_period()) {
            let source = self.over_period(&parts, spec, context)?;
            let of = format!("{} {:?} {}", self.reading.snapshot.commit(), spec.slot, spec.value);
            return planned(&parts, &of, alias.clone(), source);
        }
        let at = match spec {
            Some(spec) => {
                let value = self.value(&spec, context)?;
                Some(self.at(&parts, &spec, value).map_err(external)?)
            }
            None => None,
        };
        let source = names::source(&self.reading, &self.state, &parts, at.as_ref());
        let source = source.map_err(external)?;
        let written = reference(&parts);
        let plan = match &at {
            Some(at) => {
                LogicalPlanBuilder::scan(names::at_commit(&written, &at.data), source, None)?
                    .alias(written)?
            }
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

    /// The row versions of a table that were shown in a period.
    fn over_period(
        &self,
        parts: &[&str],
        spec: &TableVersionSpec,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<Arc<dyn TableProvider>> {
        let times = match &spec.value {
            SqlExpr::Tuple(times) => times.clone(),
            _ => Vec::new(),
        };
        let mut values = Vec::with_capacity(times.len());
        for value in times {
            let expr = context.sql_to_expr(value, &DFSchema::empty())?;
            values.extend(constant(&self.reading, &self.state, expr).map_err(external)?);
        }
        let own = &self.reading.snapshot;
        let base = match spec.within_name() {
            Some(label) => {
                let table = names::table_id(&self.reading, parts, own).map_err(external)?;
                of_ref(own, table, None, label).map_err(external)?
            }
            None => own.clone(),
        };
        over_period(&self.reading, parts, &base, spec.slot, &values).map_err(external)
    }

    /// The version that a clause behind a name asks for.
    fn at(
        &self,
        parts: &[&str],
        spec: &TableVersionSpec,
        value: Option<ScalarValue>,
    ) -> Result<At> {
        let own = &self.reading.snapshot;
        let table = names::table_id(&self.reading, parts, own)?;
        let base = match spec.within_name() {
            Some(label) => of_ref(own, table, None, label)?,
            None => own.clone(),
        };
        // A statement that is only described shows the head's columns.
        let Some(value) = value else { return Ok(At { views: base.clone(), data: base }) };
        let data = snapshot_of(&self.reading, &base, table, spec, &value)?;
        let views = match spec.slot {
            Slot::Branch | Slot::Tag | Slot::Ref => data.clone(),
            _ => base,
        };
        Ok(At { data, views })
    }
}

/// A scan under a name that no other scan has, shown as the statement wrote it.
fn planned(
    parts: &[&str],
    of: &str,
    alias: Option<TableAlias>,
    source: Arc<dyn TableProvider>,
) -> DataFusionResult<RelationPlanning> {
    let written = reference(parts);
    let name = TableReference::bare(format!("{written} {of}"));
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(source), None)?.alias(written)?;
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation { plan: plan.build()?, alias })))
}

/// The snapshot that a clause names, seen from `base`, for a table where it is about one.
///
/// # Errors
/// UndefinedObject, InvalidValue, SnapshotExpired: see [`crate::store::Store::resolve`].
pub fn snapshot_of(
    reading: &Reading,
    base: &Snapshot,
    table: Option<TableId>,
    spec: &TableVersionSpec,
    value: &ScalarValue,
) -> Result<Snapshot> {
    let store = base.store();
    let (base, version) = named_version(reading, base, table, spec, value)?;
    if let (Some(within), Version::Ref(name)) = (spec.within_name(), &version) {
        let message = format!("a table has one version, not \"{within}\" and \"{name}\"");
        return Err(Error::new(ErrorKind::Syntax, message)
            .hint("after a branch or tag may stand a number or a time of its past"));
    }
    let found = match (spec.before, &version) {
        (true, Version::Time(time_us)) => store.resolve(&base, &Version::Time(time_us - 1))?,
        (true, _) => {
            let at = store.resolve(&base, &version)?;
            store.resolve(&at, &Version::Back(1))?
        }
        (false, _) => store.resolve(&base, &version)?,
    };
    if matches!(version, Version::Time(_) | Version::Back(_)) {
        // A number and a name say themselves which version they are.
        let on = base.reference().map(|(name, _)| format!(" on {}", ref_label(name)));
        reading.notices.lock().push(format!(
            "resolved to commit {} ({}){}",
            found.commit(),
            crate::store::show_time(found.time_us()),
            on.unwrap_or_default()
        ));
    }
    Ok(found)
}

/// What a clause names, and the snapshot from whose history it is taken.
pub(super) fn named_version(
    reading: &Reading,
    base: &Snapshot,
    table: Option<TableId>,
    spec: &TableVersionSpec,
    value: &ScalarValue,
) -> Result<(Snapshot, Version)> {
    let here = |version| Ok((base.clone(), version));
    if value.is_null() {
        return Err(null_version(spec.slot));
    }
    let kind = match spec.slot {
        Slot::Version => return version_slot(base, table, value, &reading.text),
        Slot::Time => return here(Version::Time(finite(moment(base, value, &reading.text)?)?)),
        Slot::Offset => {
            let seconds = whole_number(value)?;
            let now_us = base.store().clock().now_us();
            return here(Version::Time(now_us.saturating_add(seconds.saturating_mul(1_000_000))));
        }
        Slot::Commit => return here(Version::Commit(commit_number(value)?)),
        Slot::Statement => {
            return Err(Error::new(ErrorKind::NotSupported, "versions by statement id")
                .hint("name the commit: AT (VERSION => n)"));
        }
        Slot::FromTo | Slot::Between | Slot::Contained | Slot::All => {
            let message = "a period of time is no version of a table";
            return Err(Error::new(ErrorKind::NotSupported, message)
                .hint("name one version: FOR SYSTEM_TIME AS OF t"));
        }
        Slot::Branch => Some(RefKind::Branch),
        Slot::Tag => Some(RefKind::Tag),
        Slot::Ref => None,
    };
    let text = text_of(value)?;
    match numbered(base, table, &text)? {
        Some(numbered) if kind.is_none() => Ok(numbered),
        _ => here(Version::Ref(find_ref(base, table, kind, &text)?.name)),
    }
}

/// What stands in a version slot: a ref, a commit, `HEAD~n` or a time, in this order.
fn version_slot(
    base: &Snapshot,
    table: Option<TableId>,
    value: &ScalarValue,
    options: &TextOptions,
) -> Result<(Snapshot, Version)> {
    let here = |version| Ok((base.clone(), version));
    if value.data_type().is_integer() {
        return here(Version::Commit(commit_number(value)?));
    }
    if value.data_type().is_temporal() {
        return here(Version::Time(finite(time_of(value, options)?)?));
    }
    // A number that is not whole is neither a commit's nor meant as seconds.
    if !value.data_type().is_string() {
        return Err(no_version(value));
    }
    let text = text_of(value)?;
    if let Some(found) = base.store().find_ref_of(table, &text)? {
        return here(Version::Ref(found.name));
    }
    if let Some(numbered) = numbered(base, table, &text)? {
        return Ok(numbered);
    }
    if let Ok(time_us) = moment(base, value, options) {
        return here(Version::Time(finite(time_us)?));
    }
    Err(Error::new(
        ErrorKind::UndefinedObject,
        format!("\"{text}\" is no branch, tag, commit or time"),
    )
    .hint("SHOW BRANCHES, SHOW TAGS and SHOW LOG list what there is"))
}

/// What `t@label` names: a branch or tag, `v127`, `HEAD~2`.
///
/// # Errors
/// UndefinedObject.
pub fn of_label(base: &Snapshot, table: Option<TableId>, label: &str) -> Result<Snapshot> {
    let (base, version) = match numbered(base, table, label)? {
        Some(numbered) => numbered,
        None => (base.clone(), Version::Ref(find_ref(base, table, None, label)?.name)),
    };
    base.store().resolve(&base, &version)
}

/// The snapshot of a branch or tag: of the table alone, else of the whole database.
///
/// # Errors
/// UndefinedObject, also where it is of the other kind.
pub fn of_ref(
    base: &Snapshot,
    table: Option<TableId>,
    kind: Option<RefKind>,
    label: &str,
) -> Result<Snapshot> {
    let found = find_ref(base, table, kind, label)?;
    base.store().resolve(base, &Version::Ref(found.name))
}

fn find_ref(
    base: &Snapshot,
    table: Option<TableId>,
    kind: Option<RefKind>,
    label: &str,
) -> Result<Ref> {
    let word = |kind| if kind == RefKind::Tag { "tag" } else { "branch" };
    let missing = |hint: String| {
        let what = kind.map_or("branch or tag", word);
        let message = format!("{what} \"{label}\" does not exist");
        Err(Error::new(ErrorKind::UndefinedObject, message).hint(hint))
    };
    match base.store().find_ref_of(table, label)? {
        Some(found) if kind.is_none_or(|kind| kind == found.kind) => Ok(found),
        Some(found) => missing(format!("\"{label}\" is a {}", word(found.kind))),
        None => missing("SHOW BRANCHES and SHOW TAGS list those that do".to_owned()),
    }
}

/// `127`, `v127`, `HEAD`, `HEAD~2`, `audit~1`, and where it is counted from.
fn numbered(
    base: &Snapshot,
    table: Option<TableId>,
    text: &str,
) -> Result<Option<(Snapshot, Version)>> {
    if base.store().find_ref_of(table, text)?.is_some() {
        return Ok(None);
    }
    let digits = text.strip_prefix('v').unwrap_or(text);
    if let Ok(number) = digits.parse() {
        return Ok(Some((base.clone(), Version::Commit(number))));
    }
    let (name, steps) = match text.split_once('~') {
        Some((name, "")) => (name, 1),
        Some((name, steps)) => match steps.parse() {
            Ok(steps) => (name, steps),
            Err(_) => return Ok(None),
        },
        None if text.eq_ignore_ascii_case("head") => (text, 0),
        None => return Ok(None),
    };
    let from = match name.eq_ignore_ascii_case("head") {
        true => base.clone(),
        false => of_ref(base, table, None, name)?,
    };
    Ok(Some((from, Version::Back(steps))))
}

/// A time, or how long ago: `'-10s'`, `'-1 day'`.
pub(super) fn moment(base: &Snapshot, value: &ScalarValue, options: &TextOptions) -> Result<i64> {
    let Some(Some(text)) = value.try_as_str() else { return time_of(value, options) };
    let Some(ago) = text.trim().strip_prefix('-').filter(|ago| !ago.is_empty()) else {
        return time_of(value, options);
    };
    let Ok(interval) = parse_interval(ago.as_bytes()) else { return time_of(value, options) };
    let now_us = base.store().clock().now_us();
    let days = i64::from(interval.months) * 30 + i64::from(interval.days);
    let ago_us = days.saturating_mul(86_400_000_000).saturating_add(interval.nanoseconds / 1000);
    Ok(now_us.saturating_sub(ago_us))
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

/// # Errors
/// InvalidValue for what is no number, and for one with a fraction.
pub fn whole_number(value: &ScalarValue) -> Result<i64> {
    let number = match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(Some(number))) => number,
        _ => return Err(no_version(value)),
    };
    let kept = value.data_type();
    let fraction = matches!(kept, DataType::Boolean)
        || !kept.is_integer() && !kept.is_string() && {
            let back = ScalarValue::Int64(Some(number)).cast_to(&kept);
            back.map_or(true, |back| back != *value)
        };
    if fraction { Err(no_version(value)) } else { Ok(number) }
}

/// A value as people write it.
pub fn written(value: &ScalarValue) -> String {
    match value.cast_to(&DataType::Utf8) {
        Ok(ScalarValue::Utf8(Some(text))) => text,
        Ok(ScalarValue::Utf8(None)) => "NULL".to_owned(),
        _ => value.to_string(),
    }
}

fn null_version(slot: Slot) -> Error {
    let (what, expected) = match slot {
        Slot::Time => {
            ("the time of a version", "a time: '2026-01-01 12:00', now() - interval '1 day'")
        }
        Slot::Offset => ("the offset of a version", "seconds before now, as -60"),
        Slot::Commit => ("the number of a commit", "a number that SHOW LOG lists"),
        Slot::Branch => ("the name of a branch", "a name that SHOW BRANCHES lists"),
        Slot::Tag => ("the name of a tag", "a name that SHOW TAGS lists"),
        Slot::Ref => {
            ("the name of a branch or tag", "a name that SHOW BRANCHES or SHOW TAGS lists")
        }
        _ => ("a version", "a number, a name or a time"),
    };
    Error::new(ErrorKind::InvalidValue, format!("{what} cannot be NULL"))
        .hint(format!("expected {expected}"))
}

/// # Errors
/// InvalidValue for what is before or after every commit.
fn finite(time_us: i64) -> Result<i64> {
    let name = match time_us {
        i64::MAX => "infinity",
        i64::MIN => "-infinity",
        _ => return Ok(time_us),
    };
    Err(Error::new(ErrorKind::InvalidValue, format!("no version is of the time '{name}'"))
        .hint("expected a time between the first commit and now: SHOW LOG lists them"))
}

fn no_version(value: &ScalarValue) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("a version cannot be {}", written(value)))
        .hint("give a number, a name or a time")
}

/// µs since 1970-01-01 UTC. Text without a zone is in the session's; a number is seconds.
pub fn time_of(value: &ScalarValue, options: &TextOptions) -> Result<i64> {
    if let Some(Some(text)) = value.try_as_str() {
        return parse_timestamptz(text.as_bytes(), options);
    }
    let data_type = value.data_type();
    if data_type.is_integer() {
        return Ok(whole_number(value)?.saturating_mul(1_000_000));
    }
    if data_type.is_numeric() {
        return microseconds(value);
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

/// Seconds with a fraction, as µs.
fn microseconds(value: &ScalarValue) -> Result<i64> {
    let message = || format!("{} is not a time", written(value));
    let wrong = || Error::new(ErrorKind::InvalidValue, message());
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(Some(seconds))) if seconds.is_finite() => {
            Ok((seconds * 1e6).round() as i64)
        }
        _ => Err(wrong()),
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
