//! Upkeep that people ask for: CALL system.rewrite_data_files, expire_snapshots and remove_orphan_files,
//! and VACUUM, which means these. What lists a table's files needs no upkeep here, so rewrite_manifests
//! finds none to write again.
//!
//! None of it changes what a version that can still be read answers.

mod options;
mod snapshots;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::session_state::SessionState;

use self::options::{check_order, rewrite_options};
use self::snapshots::time_of_first_kept;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::TableScan;
use crate::fault;
use crate::parse::{self, Call, Vacuum};
use crate::plan::query::{plan_constant, plan_expression};
use crate::plan::rows::of_one_row;
use crate::plan::time_travel::{constant, name_parts, time_of};
use crate::plan::{Reading, names};
use crate::spec::{RefKind, SegmentId};
use crate::store::{
    CompactOptions, CompactReport, ExpireOptions, ExpireReport, Snapshot, Store, Table,
};

/// The procedures of this file, as they are called.
pub const USAGES: [&str; 4] = [
    "rewrite_data_files(table, strategy, sort_order, options, where)",
    "expire_snapshots(table, older_than, retain_last, max_concurrent_deletes, stream_results, snapshot_ids, clean_expired_metadata, options)",
    "remove_orphan_files(table, older_than, dry_run)",
    "rewrite_manifests(table, use_caching, spec_id)",
];

const HOUR_US: i64 = 3_600_000_000;

/// What a statement works on.
struct Upkeep<'a> {
    reading: &'a Reading,
    state: &'a SessionState,
}

/// Runs one of the procedures of this file; None where it is another's.
///
/// # Errors
/// InvalidValue for arguments that do not fit; UndefinedTable; ReadOnly in the past; Io.
pub async fn call(
    reading: &Reading,
    state: &SessionState,
    call: &Call,
) -> Result<Option<RecordBatch>> {
    let upkeep = Upkeep { reading, state };
    let name = call.procedure.last().map_or("", String::as_str);
    let is_it = |usage: &&str| usage.split_once('(').is_some_and(|(known, _)| known == name);
    let Some(usage) = USAGES.into_iter().find(is_it) else { return Ok(None) };
    let arguments = upkeep.arguments(call, usage)?;
    Ok(Some(match name {
        "rewrite_data_files" => upkeep.rewrite(&arguments).await?,
        "expire_snapshots" => upkeep.expire(&arguments).await?,
        "rewrite_manifests" => upkeep.rewrite_manifests(&arguments)?,
        _ => upkeep.remove_orphans(&arguments).await?,
    }))
}

/// VACUUM: what retention does not keep goes, and orphans; FULL also rewrites the tables, RETAIN n HOURS
/// says what is kept of the session's branch, DRY RUN lists the orphans and removes nothing.
///
/// # Errors
/// UndefinedTable; ReadOnly in the past; Io.
pub async fn vacuum(
    reading: &Reading,
    state: &SessionState,
    vacuum: &Vacuum,
) -> Result<Option<RecordBatch>> {
    let upkeep = Upkeep { reading, state };
    let said = |name: &str| vacuum.options.iter().find(|(option, _)| option == name);
    let mut tables = Vec::new();
    for name in &vacuum.tables {
        tables.push(upkeep.table(&name_parts(name)?.join("."))?);
    }
    let store = reading.snapshot.store();
    if said("dry_run").is_some() {
        return Ok(Some(locations(&store.remove_orphans(None, true)?)?));
    }
    if said("full").is_some_and(|(_, value)| value.as_deref() != Some("false")) {
        for (table, at) in &tables {
            upkeep
                .rewrite_table((table, at), &CompactOptions { all: true, ..Default::default() })
                .await?;
        }
    }
    let hours = said("retain_hours").and_then(|(_, hours)| hours.as_deref()?.parse::<i64>().ok());
    let mut options = ExpireOptions::default();
    if let Some(hours) = hours {
        options.branch = Some(Upkeep::branch(&reading.snapshot)?);
        let now_us = store.clock().now_us();
        options.older_than_us = Some(now_us.saturating_sub(hours.saturating_mul(HOUR_US)));
    }
    let of_tables = tables.iter().map(|(table, _)| Some(table.id()));
    let each: Vec<_> = if tables.is_empty() { vec![None] } else { of_tables.collect() };
    for table in each {
        store.expire(&ExpireOptions { table, ..options.clone() }).await?;
    }
    store.remove_orphans(None, false)?;
    Ok(None)
}

/// The values of a procedure's arguments, in the order of its usage.
struct Arguments {
    usage: &'static str,
    values: Vec<(&'static str, Option<ScalarValue>)>,
}

impl Arguments {
    fn wrong(&self, why: String) -> Error {
        Error::new(ErrorKind::InvalidValue, why).hint(format!("system.{}", self.usage))
    }

    fn value(&self, name: &str) -> Option<&ScalarValue> {
        self.values.iter().find(|(known, _)| *known == name)?.1.as_ref()
    }

    /// The names and values of an argument that holds some: a map, or text as `name=value, …`.
    fn pairs(&self, name: &str) -> Result<Vec<(String, String)>> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(ScalarValue::Map(map)) => options::of_map(map),
            Some(_) => Ok(options::of_text(&self.text(name).unwrap_or_default())),
        }
    }

    /// The whole numbers of an argument that is an array.
    fn numbers(&self, name: &str) -> Result<Option<Vec<i64>>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = || self.wrong(format!("argument \"{name}\" is no array of numbers: {value}"));
        options::of_array(value).map(Some).ok_or_else(wrong)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| match value.try_as_str() {
            Some(Some(text)) => text.to_owned(),
            _ => value.to_string(),
        })
    }

    fn count(&self, name: &str) -> Result<Option<u64>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(count))) if count > 0 => Ok(Some(count as u64)),
            _ => Err(self.wrong(format!("argument \"{name}\" is no count: {value}"))),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.value(name) {
            None => Ok(false),
            Some(ScalarValue::Boolean(Some(flag))) => Ok(*flag),
            Some(value) => Err(self.wrong(format!("argument \"{name}\" is no boolean: {value}"))),
        }
    }
}

impl Upkeep<'_> {
    fn arguments(&self, call: &Call, usage: &'static str) -> Result<Arguments> {
        let inside = usage.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
        let values = inside.split(", ").map(|name| (name, None)).collect();
        let mut arguments = Arguments { usage, values };
        for (position, argument) in call.arguments.iter().enumerate() {
            let known = |name: &String| arguments.values.iter().position(|(n, _)| n == name);
            let at = match &argument.name {
                Some(name) => known(name),
                None => Some(position).filter(|at| *at < arguments.values.len()),
            };
            let at = at.ok_or_else(|| {
                let what = argument.name.clone().unwrap_or_else(|| (position + 1).to_string());
                arguments.wrong(format!("argument {what} is not known"))
            })?;
            let expr = plan_constant(self.reading, self.state, &argument.value)?;
            let value = constant(self.reading, self.state, expr)?;
            arguments.values[at].1 = value.filter(|value| !value.is_null());
        }
        Ok(arguments)
    }

    fn store(&self) -> &Store {
        self.reading.snapshot.store()
    }

    /// A table, and the branch that its name or the session says.
    fn table(&self, name: &str) -> Result<(Arc<Table>, Snapshot)> {
        let parts: Vec<&str> = name.split('.').collect();
        let (table, at) = names::table(self.reading, &parts)?;
        Ok((table, at.unwrap_or_else(|| self.reading.snapshot.clone())))
    }

    fn named_table(&self, arguments: &Arguments) -> Result<Option<(Arc<Table>, Snapshot)>> {
        arguments.text("table").map(|name| self.table(&name)).transpose()
    }

    fn time(&self, arguments: &Arguments, name: &str) -> Result<Option<i64>> {
        let value = arguments.value(name);
        value.map(|value| time_of(value, &self.reading.text)).transpose()
    }

    /// # Errors
    /// ReadOnly where the session reads a tag, a commit or a time.
    fn branch(at: &Snapshot) -> Result<String> {
        match at.reference() {
            Some((name, RefKind::Branch)) => Ok(name.to_owned()),
            Some((_, RefKind::Tag)) | None => {
                let message = "upkeep works on a branch, and this session reads the past";
                Err(Error::new(ErrorKind::ReadOnly, message).hint("SET branch = 'main'"))
            }
        }
    }

    async fn rewrite(&self, arguments: &Arguments) -> Result<RecordBatch> {
        let Some((table, at)) = self.named_table(arguments)? else {
            return Err(arguments.wrong("argument \"table\" is missing".to_owned()));
        };
        check_order(&arguments.text("strategy"), &arguments.text("sort_order"), table.schema())?;
        let (mut options, least) = rewrite_options(arguments)?;
        if let Some(condition) = arguments.text("where") {
            options.only = Some(self.segments_matching(&table, &condition)?);
        }
        let report = match table.segments().len() as u64 + table.folded()?.files.len() as u64 {
            files if files < least && !options.all => CompactReport::default(),
            _ => self.rewrite_table((&table, &at), &options).await?,
        };
        batch([
            ("rewritten_data_files_count", numbers(&[report.rewritten_files])),
            ("added_data_files_count", numbers(&[report.added_files])),
            ("rewritten_bytes_count", numbers(&[report.rewritten_bytes])),
            ("failed_data_files_count", numbers(&[0])),
            ("removed_delete_files_count", numbers(&[0])),
        ])
    }

    /// Folds what the log has of the table, then writes the branch's version of it in order.
    async fn rewrite_table(
        &self,
        (table, at): (&Table, &Snapshot),
        options: &CompactOptions,
    ) -> Result<CompactReport> {
        let (store, branch) = (self.store(), Self::branch(at)?);
        if options.only.is_none() {
            while store.fold_one(Some(table.id()), 1).await?.is_some() {}
        }
        let report = store.compact_one(&branch, table.id(), options).await?;
        store.collect().await?;
        Ok(report.unwrap_or_default())
    }

    /// The segments that may hold rows for which a condition holds.
    fn segments_matching(&self, table: &Arc<Table>, condition: &str) -> Result<Vec<SegmentId>> {
        let schema = DFSchema::try_from(table.schema().arrow()).map_err(fault::of_datafusion)?;
        let expr = parse::expression(condition)
            .and_then(|tree| plan_expression(self.reading, self.state, &schema, &tree))
            .and_then(|expr| of_one_row(&expr, "where").map(|()| expr))
            // Where an error is in the condition tells nothing about the statement's text.
            .map_err(Error::nowhere)?;
        let scan = TableScan::new(Arc::clone(table));
        let found = scan.matching(self.state, &expr);
        Ok(found.map_err(fault::of_datafusion)?.iter().map(|s| s.meta.id).collect())
    }

    fn rewrite_manifests(&self, arguments: &Arguments) -> Result<RecordBatch> {
        let Some((_, at)) = self.named_table(arguments)? else {
            return Err(arguments.wrong("argument \"table\" is missing".to_owned()));
        };
        Self::branch(&at)?;
        batch([
            ("rewritten_manifests_count", numbers(&[0])),
            ("added_manifests_count", numbers(&[0])),
        ])
    }

    async fn expire(&self, arguments: &Arguments) -> Result<RecordBatch> {
        let table = self.named_table(arguments)?;
        let mut older_than_us = self.time(arguments, "older_than")?;
        let mut retain_last = arguments.count("retain_last")?;
        self.expire_options(arguments, (&mut older_than_us, &mut retain_last))?;
        let at = table.as_ref().map_or(&self.reading.snapshot, |(_, at)| at);
        let table = table.as_ref().map(|(table, _)| table.id());
        if let Some(ids) = arguments.numbers("snapshot_ids")? {
            if older_than_us.is_some() || retain_last.is_some() {
                let why = "snapshot_ids says which go, older_than and retain_last say it again";
                return Err(arguments.wrong(why.to_owned()));
            }
            Self::branch(at)?;
            older_than_us = match time_of_first_kept(at, table, &ids)? {
                Some(time_us) => Some(time_us),
                None => return expired(&ExpireReport::default()),
            };
        }
        let is_explicit = older_than_us.is_some() || retain_last.is_some() || table.is_some();
        let branch = is_explicit.then(|| Self::branch(at)).transpose()?;
        let options = ExpireOptions { table, branch, older_than_us, retain_last };
        expired(&self.store().expire(&options).await?)
    }

    /// What the options of expire_snapshots say in the place of its arguments.
    fn expire_options(
        &self,
        arguments: &Arguments,
        (older_than_us, retain_last): (&mut Option<i64>, &mut Option<u64>),
    ) -> Result<()> {
        for (name, value) in arguments.pairs("options")? {
            let wrong = || arguments.wrong(format!("option {name} cannot be {value}"));
            match name.replace('_', "-").as_str() {
                "older-than" => {
                    let value = ScalarValue::from(value.as_str());
                    *older_than_us = Some(time_of(&value, &self.reading.text)?);
                }
                "retain-last" => {
                    let count = value.parse::<u64>().ok().filter(|count| *count > 0);
                    *retain_last = Some(count.ok_or_else(wrong)?);
                }
                _ => {
                    let message = format!("option {name} of expire_snapshots");
                    return Err(Error::new(ErrorKind::NotSupported, message)
                        .hint("options => map('older-than', '2026-01-01', 'retain-last', '10')"));
                }
            }
        }
        Ok(())
    }

    async fn remove_orphans(&self, arguments: &Arguments) -> Result<RecordBatch> {
        // Orphans are nobody's, so of a table it is only asked that there is one.
        self.named_table(arguments)?;
        let older_than_us = self.time(arguments, "older_than")?;
        let dry_run = arguments.flag("dry_run")?;
        let store = self.store();
        if !dry_run {
            store.collect().await?;
        }
        locations(&store.remove_orphans(older_than_us, dry_run)?)
    }
}

fn expired(report: &ExpireReport) -> Result<RecordBatch> {
    batch([
        ("deleted_data_files_count", numbers(&[report.data_files])),
        ("deleted_position_delete_files_count", numbers(&[report.delete_links])),
        ("deleted_equality_delete_files_count", numbers(&[0])),
        ("deleted_manifest_files_count", numbers(&[report.versions])),
        ("deleted_manifest_lists_count", numbers(&[report.commits])),
        ("deleted_statistics_files_count", numbers(&[0])),
    ])
}

fn locations(names: &[String]) -> Result<RecordBatch> {
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(names));
    batch([("orphan_file_location", column)])
}

fn numbers(values: &[u64]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.iter().map(|value| *value as i64)))
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch> {
    RecordBatch::try_from_iter(columns).map_err(fault::of_arrow)
}
