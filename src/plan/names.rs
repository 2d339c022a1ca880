//! From a name to what it stands for.
//!
//! | written | means, in this order |
//! |---|---|
//! | `t` | a system table, else `t` in a schema of the search path |
//! | `a.b` | table `b` of schema `a`, else version or metadata `b` of table `a` |
//! | `c.a.b` | table `b` of schema `a` of catalog `c`, else version or metadata `b` of table `c.a` |
//! | `c.s.t.b` | version or metadata `b` of table `c.s.t` |
//!
//! A version among names is `branch_x`, `tag_x` or `snapshot_id_n`, metadata may follow it; both also
//! come behind a dollar sign in the last name: `t$branch_x$files`. `"t@x"` is `t@x` in quotes.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result as DataFusionResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource};
use futures::FutureExt;

pub use super::addressed::table;
use super::metadata;
use super::query::plan_view;
use super::scope::Reading;
use super::time_travel::{of_label, of_ref};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::TableScan;
use crate::fault;
use crate::spec::{RefKind, Sequence, TableId, ViewUse, ref_label};
use crate::store::{Relation, Snapshot, TEMPORARY_NAMESPACE, Table, Version};

/// The catalog of schemas made without one.
const MAIN_CATALOG: &str = "main";

/// Where tables about the whole database are found.
const SYSTEM_SCHEMA: &str = "asofdb";

/// The version that a name is read at.
#[derive(Clone)]
pub struct At {
    /// Where rows are.
    pub data: Snapshot,
    /// Whose views count: today's for AS OF a time or a commit, the branch's own for `v@branch`.
    pub views: Snapshot,
}

/// What a name stands for.
pub enum Named {
    /// A table, and the snapshot it is read at.
    Table(Arc<Table>, Snapshot),
    /// A view and the snapshot it is read at.
    View(Arc<crate::spec::View>, Snapshot),
    /// A table about a table.
    Metadata(metadata::Kind, Arc<Table>, Snapshot),
    /// A system table.
    System(Arc<dyn TableProvider>),
}

/// The source of rows that a name stands for, at the version that was asked for.
///
/// # Errors
/// UndefinedTable; UndefinedObject for a branch or tag among the names.
pub fn source(
    reading: &Reading,
    state: &SessionState,
    parts: &[&str],
    version: Option<&At>,
) -> Result<Arc<dyn TableSource>> {
    let provider: Arc<dyn TableProvider> = match resolve(reading, parts, version)? {
        // A version has the shape it had; without one a view keeps that of the day it was made.
        Named::Table(table, at) if version.is_some() => Arc::new(scan(reading, table, at)),
        Named::Table(table, at) => shown_in_view(reading, parts, table, at)?,
        Named::View(view, at) => {
            let plan = plan_view(&reading.at(at.clone()), state, &view)?;
            let plan = scans_at(plan, &at).map_err(fault::of_datafusion)?;
            Arc::new(ViewTable::new(plan, Some(view.query.clone())))
        }
        Named::Metadata(kind, table, at) => metadata::provider(kind, &table, &at, &reading.text)?,
        Named::System(provider) => provider,
    };
    Ok(provider_as_source(provider))
}

fn scan(reading: &Reading, table: Arc<Table>, at: Snapshot) -> TableScan {
    TableScan::new(table).of_version(told_version(reading, &at)).seen_at(at)
}

/// A version as EXPLAIN tells it: the commit, and the branch or tag that was named. None where it is
/// the session's own.
pub fn told_version(reading: &Reading, at: &Snapshot) -> Option<Arc<str>> {
    let own = &reading.own;
    if at.commit() == own.commit() && at.reference() == own.reference() {
        return None;
    }
    Some(match at.reference() {
        Some((name, _)) => format!("{} ({})", at.commit(), ref_label(name)).into(),
        None => at.commit().to_string().into(),
    })
}

/// A table as the view around its name knew it: with the columns of then, by their names of then.
fn shown_in_view(
    reading: &Reading,
    parts: &[&str],
    table: Arc<Table>,
    at: Snapshot,
) -> Result<Arc<dyn TableProvider>> {
    let scan = Arc::new(scan(reading, Arc::clone(&table), at));
    let Some(used) = used(reading, parts).filter(|used| used.object == table.id()) else {
        return Ok(scan);
    };
    let schema = table.schema();
    let today = schema.columns.iter().map(|column| (column.id, column.name.as_str()));
    if today.eq(used.columns.iter().map(|(id, name)| (*id, name.as_str()))) {
        return Ok(scan);
    }
    let shown = used.columns.iter().filter_map(|(id, name)| {
        let column = schema.column(*id)?;
        Some(Expr::Column(Column::new_unqualified(&column.name)).alias(name))
    });
    let source = provider_as_source(scan);
    let name = at_commit(&TableReference::bare(schema.name.as_str()), &reading.snapshot);
    let plan = LogicalPlanBuilder::scan(name, source, None)
        .and_then(|plan| plan.project(shown.collect::<Vec<Expr>>()))
        .and_then(LogicalPlanBuilder::build);
    Ok(Arc::new(ViewTable::new(plan.map_err(fault::of_datafusion)?, None)))
}

fn used<'a>(reading: &'a Reading, parts: &[&str]) -> Option<&'a ViewUse> {
    reading.view.as_ref()?.uses.iter().find(|used| used.written.iter().eq(parts))
}

/// The name under which a version of a table is scanned. DataFusion holds two scans of one name to be
/// the same and answers one of two scalar subqueries with the other, so the commit is in the name.
pub fn at_commit(name: &TableReference, at: &Snapshot) -> TableReference {
    let changed = if at.is_changed() { "+" } else { "" };
    let table = format!("{}@{}{changed}", name.table(), at.commit());
    match (name.catalog(), name.schema()) {
        (Some(catalog), Some(schema)) => TableReference::full(catalog, schema, table),
        (None, Some(schema)) => TableReference::partial(schema, table),
        (_, None) => TableReference::bare(table),
    }
}

/// A view's plan with the commit in the names of its scans.
fn scans_at(plan: LogicalPlan, at: &Snapshot) -> DataFusionResult<LogicalPlan> {
    let named = plan.transform_up_with_subqueries(|plan| {
        let LogicalPlan::TableScan(scan) = plan else { return Ok(Transformed::no(plan)) };
        let name = at_commit(&scan.table_name, at);
        let scanned = LogicalPlanBuilder::scan_with_filters_fetch(
            name,
            scan.source,
            scan.projection,
            scan.filters,
            scan.fetch,
        )?;
        Ok(Transformed::yes(scanned.alias(scan.table_name)?.build()?))
    });
    Ok(named?.data)
}

/// The table that a name is about, whatever version or metadata it names; None where it is another
/// thing or nothing.
pub fn table_id(reading: &Reading, parts: &[&str], at: &Snapshot) -> Result<Option<TableId>> {
    if let Some(found) = relation(reading, parts, at)? {
        return Ok(match found {
            Relation::Table(table) => Some(table.id()),
            Relation::View(_) | Relation::Sequence(_) => None,
        });
    }
    match peel(parts) {
        Some((base, _)) => table_id(reading, &borrowed(&base), at),
        None => Ok(None),
    }
}

/// What a name stands for, at a version where one was asked for.
///
/// # Errors
/// As [`source`].
pub fn resolve(reading: &Reading, parts: &[&str], version: Option<&At>) -> Result<Named> {
    if let Some(system) = system_table(reading, parts)? {
        return match version {
            None => Ok(Named::System(system)),
            Some(_) => Err(Error::new(
                ErrorKind::NotSupported,
                format!("system table \"{}\" has no versions", parts.join(".")),
            )
            .hint("read t.snapshots, or connect to dbname@ref")),
        };
    }
    if let Some(found) = plain(reading, parts, version)? {
        return Ok(found);
    }
    if let Some(Relation::Sequence(sequence)) = any_relation(reading, parts, &reading.snapshot)? {
        return match version {
            None => metadata::of_sequence(&sequence, &reading.snapshot).map(Named::System),
            Some(_) => Err(Error::new(
                ErrorKind::NotSupported,
                format!("sequence \"{}\" has no versions", parts.join(".")),
            )
            .hint("it counts for every branch; read it without a version")),
        };
    }
    let at = version.map_or(&reading.snapshot, |version| &version.data);
    let Some((base, suffix)) = peel(parts) else { return Err(undefined(reading, parts, at)) };
    let base = borrowed(&base);
    if base == [SYSTEM_SCHEMA]
        && let Some(provider) = metadata::of_database(suffix, at)?
    {
        return Ok(Named::System(provider));
    }
    if let Some(kind) = metadata::Kind::of_name(suffix) {
        return match about(reading, &base, version)? {
            Some((table, at)) => Ok(Named::Metadata(kind, table, at)),
            None => Err(undefined(reading, parts, at)),
        };
    }
    if let Some(past) = suffix_version(reading, &base, suffix, at)? {
        version.map_or(Ok(()), |_| refuse_second(suffix))?;
        let past = At { views: past.clone(), data: past };
        if let Some(found) = plain(reading, &base, Some(&past))? {
            return Ok(found);
        }
    }
    if metadata::is_foreign(suffix)
        && let Some(Relation::Table(_)) = relation(reading, &base, at)?
    {
        let message = format!("metadata table \"{}\"", parts.join("."));
        return Err(Error::new(ErrorKind::NotSupported, message).hint(metadata::HINT));
    }
    Err(undefined(reading, parts, at))
}

/// A table or view by its own name.
fn plain(reading: &Reading, parts: &[&str], version: Option<&At>) -> Result<Option<Named>> {
    let Some(version) = version else {
        return Ok(match relation(reading, parts, &reading.snapshot)? {
            Some(Relation::Table(table)) => {
                let (table, at) = on_own_branch(reading, table)?;
                Some(Named::Table(table, at))
            }
            Some(Relation::View(view)) => Some(Named::View(view, reading.snapshot.clone())),
            Some(Relation::Sequence(sequence)) => return Err(no_rows(&sequence)),
            None => None,
        });
    };
    let then = relation(reading, parts, &version.data)?;
    if let Some(Relation::Table(table)) = then {
        return Ok(Some(Named::Table(table, version.data.clone())));
    }
    let view = match relation(reading, parts, &version.views)? {
        Some(Relation::View(view)) => Some(view),
        _ => match then {
            Some(Relation::View(view)) => Some(view),
            _ => None,
        },
    };
    Ok(view.map(|view| Named::View(view, version.data.clone())))
}

/// The table that metadata is about, and the snapshot it is told of.
fn about(
    reading: &Reading,
    parts: &[&str],
    version: Option<&At>,
) -> Result<Option<(Arc<Table>, Snapshot)>> {
    let at = version.map_or(&reading.snapshot, |version| &version.data);
    if let Some(found) = relation(reading, parts, at)? {
        let Relation::Table(table) = found else { return Ok(None) };
        return Ok(Some(match own_branch(reading, table.id())?.filter(|_| version.is_none()) {
            Some(own) => (own.table_by_id(table.id())?.unwrap_or(table), own),
            None => (table, at.clone()),
        }));
    }
    let Some((base, suffix)) = peel(parts) else { return Ok(None) };
    let base = borrowed(&base);
    let Some(past) = suffix_version(reading, &base, suffix, at)? else { return Ok(None) };
    version.map_or(Ok(()), |_| refuse_second(suffix))?;
    match relation(reading, &base, &past)? {
        Some(Relation::Table(table)) => Ok(Some((table, past))),
        _ => Ok(None),
    }
}

pub(super) fn no_rows(sequence: &Sequence) -> Error {
    let message = format!("\"{}\" is a sequence and holds no rows", sequence.name);
    Error::new(ErrorKind::WrongState, message)
}

/// # Errors
/// Syntax: a version among names meets a version clause.
pub(super) fn refuse_second(suffix: &str) -> Result<()> {
    let message = format!("\"{suffix}\" names a version and a version clause follows");
    Err(Error::new(ErrorKind::Syntax, message).hint("say the version once"))
}

/// Where the session's branch stands for a table that has a branch of that name of its own.
pub(super) fn own_branch(reading: &Reading, table: TableId) -> Result<Option<Snapshot>> {
    let Some(branch) = &reading.table_branch else { return Ok(None) };
    let store = reading.snapshot.store();
    match store.find_ref_of(Some(table), branch)? {
        Some(own) => store.resolve(&reading.snapshot, &Version::Ref(own.name)).map(Some),
        None => Ok(None),
    }
}

fn on_own_branch(reading: &Reading, table: Arc<Table>) -> Result<(Arc<Table>, Snapshot)> {
    match own_branch(reading, table.id())? {
        Some(at) => Ok((at.table_by_id(table.id())?.unwrap_or(table), at)),
        None => Ok((table, reading.snapshot.clone())),
    }
}

/// The part of a name that names an object: without a version or metadata table at its end.
///
/// # Errors
/// Whatever reading the catalog gives.
pub fn of_object(reading: &Reading, written: &[&str]) -> Result<Vec<String>> {
    let mut parts: Vec<String> = written.iter().map(|part| (*part).to_owned()).collect();
    while any_relation(reading, &borrowed(&parts), &reading.snapshot)?.is_none() {
        match peel(&borrowed(&parts)) {
            Some((base, _)) => parts = base,
            None => return Ok(written.iter().map(|part| (*part).to_owned()).collect()),
        }
    }
    Ok(parts)
}

/// The last name, or what follows the last `$` or `@` in it, and the names before.
pub(super) fn peel<'p>(parts: &[&'p str]) -> Option<(Vec<String>, &'p str)> {
    let (last, before) = parts.split_last()?;
    let mut base: Vec<String> = before.iter().map(|part| (*part).to_owned()).collect();
    if let Some((name, suffix)) = last.rsplit_once(['$', '@'])
        && !name.is_empty()
    {
        let at_sign = last[..last.len() - suffix.len()].ends_with('@');
        base.push(name.to_owned());
        return Some((base, if at_sign { &last[name.len()..] } else { suffix }));
    }
    (!base.is_empty()).then_some((base, *last))
}

pub(super) fn borrowed(parts: &[String]) -> Vec<&str> {
    parts.iter().map(String::as_str).collect()
}

/// The sequence of a name.
///
/// # Errors
/// UndefinedTable; WrongState where the name is of something else.
pub fn sequence(reading: &Reading, parts: &[&str]) -> Result<Arc<Sequence>> {
    match any_relation(reading, parts, &reading.snapshot)? {
        Some(Relation::Sequence(sequence)) => Ok(sequence),
        Some(_) => {
            let message = format!("\"{}\" is not a sequence", parts.join("."));
            Err(Error::new(ErrorKind::WrongState, message))
        }
        None => {
            let message = format!("relation \"{}\" does not exist", parts.join("."));
            Err(Error::new(ErrorKind::UndefinedTable, message))
        }
    }
}

/// What holds rows under this name at a version: what has the name there, else what has it today.
pub(super) fn relation(
    reading: &Reading,
    parts: &[&str],
    at: &Snapshot,
) -> Result<Option<Relation>> {
    if let Some(used) = used(reading, parts)
        && let Some(found) = at.relation_by_id(used.object)?
    {
        return Ok(Some(found));
    }
    let rows = |found: &Relation| !matches!(found, Relation::Sequence(_));
    if let Some(found) = any_relation(reading, parts, at)?.filter(rows) {
        return Ok(Some(found));
    }
    // Renamed since: the name of today is as good.
    if at.commit() == reading.snapshot.commit() && at.is_changed() == reading.snapshot.is_changed()
    {
        return Ok(None);
    }
    match any_relation(reading, parts, &reading.snapshot)?.filter(rows) {
        Some(today) if today.name().0 == TEMPORARY_NAMESPACE => Err(Error::new(
            ErrorKind::NotSupported,
            format!("temporary table \"{}\" has no versions", today.name().1),
        )
        .hint("only tables of the database keep their past")),
        Some(today) => at.relation_by_id(today.id()),
        None => Ok(None),
    }
}

/// What has this name in a snapshot.
///
/// # Errors
/// Whatever reading the catalog gives.
pub fn any_relation(reading: &Reading, parts: &[&str], at: &Snapshot) -> Result<Option<Relation>> {
    match parts {
        [name] => {
            if at.has_temporary()
                && let Some(found) = at.relation(TEMPORARY_NAMESPACE, name)?
            {
                return Ok(Some(found));
            }
            for namespace in &reading.search_path {
                if let Some(found) = at.relation(namespace, name)? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        }
        [namespace, name] => at.relation(namespace, name),
        [catalog, namespace, name] if is_default(reading, catalog) => at.relation(namespace, name),
        [catalog, namespace, name] => at.relation(&format!("{catalog}.{namespace}"), name),
        _ => Ok(None),
    }
}

fn is_default(reading: &Reading, catalog: &str) -> bool {
    catalog == MAIN_CATALOG || catalog == reading.database
}

/// The schema and the name under which a new object goes.
///
/// # Errors
/// Syntax for a name of too many parts; UndefinedSchema where no schema of the search path exists.
pub fn place(reading: &Reading, parts: &[&str]) -> Result<(String, String)> {
    let own = |text: &&str| (*text).to_owned();
    match parts {
        [name] => {
            // As in PostgreSQL, schemas of the path that do not exist are passed over.
            let there = reading.snapshot.namespaces()?;
            let first = reading.search_path.iter().find(|name| there.contains(name)).cloned();
            let first = first.ok_or_else(|| {
                Error::new(ErrorKind::UndefinedSchema, "no schema has been selected to create in")
                    .hint("no schema of search_path exists: CREATE SCHEMA, or SET search_path")
            })?;
            Ok((first, own(name)))
        }
        [namespace, name] => Ok((own(namespace), own(name))),
        [catalog, namespace, name] if is_default(reading, catalog) => {
            Ok((own(namespace), own(name)))
        }
        [catalog, namespace, name] => Ok((format!("{catalog}.{namespace}"), own(name))),
        _ => Err(Error::new(
            ErrorKind::Syntax,
            format!("improper qualified name (too many dotted names): {}", parts.join(".")),
        )),
    }
}

/// The version that a suffix of a table's name is; None where it is none.
pub(super) fn suffix_version(
    reading: &Reading,
    base: &[&str],
    suffix: &str,
    at: &Snapshot,
) -> Result<Option<Snapshot>> {
    let store = at.store();
    if let Some(id) = suffix.strip_prefix("snapshot_id_").and_then(|n| n.parse().ok()) {
        return store.resolve(at, &Version::Commit(id)).map(Some);
    }
    let (kind, label) = match () {
        _ if suffix.starts_with('@') => (None, &suffix[1..]),
        _ if suffix.starts_with("branch_") => (Some(RefKind::Branch), &suffix["branch_".len()..]),
        _ if suffix.starts_with("tag_") => (Some(RefKind::Tag), &suffix["tag_".len()..]),
        _ => return Ok(None),
    };
    let table = table_id(reading, base, &reading.snapshot)?;
    if relation(reading, base, &reading.snapshot)?.is_none()
        && store.find_ref_of(table, label)?.is_none()
    {
        // Neither the table nor the ref: the name as a whole is what does not exist.
        return Ok(None);
    }
    match kind {
        Some(_) => of_ref(at, table, kind, label).map(Some),
        None => of_label(at, table, label).map(Some),
    }
}

fn system_table(reading: &Reading, parts: &[&str]) -> Result<Option<Arc<dyn TableProvider>>> {
    let (schema, name) = match parts {
        [name] => ("pg_catalog", *name),
        [schema, name] => (*schema, *name),
        [catalog, schema, name] if is_default(reading, catalog) => (*schema, *name),
        _ => return Ok(None),
    };
    if parts.len() == 1 && !name.starts_with("pg_") {
        return Ok(None);
    }
    let Some(provider) = reading.system.schema(schema) else { return Ok(None) };
    // The provider builds from memory: its future is ready at once.
    let found = provider.table(name).now_or_never().transpose().map_err(fault::of_datafusion)?;
    Ok(found.flatten())
}

pub(super) fn undefined(reading: &Reading, parts: &[&str], at: &Snapshot) -> Error {
    let name = parts.join(".");
    let error =
        Error::new(ErrorKind::UndefinedTable, format!("relation \"{name}\" does not exist"));
    let elsewhere =
        |snapshot: &Snapshot| relation(reading, parts, snapshot).is_ok_and(|found| found.is_some());
    if at.commit() != reading.snapshot.commit() && elsewhere(&reading.snapshot) {
        return error.hint(match at.reference() {
            Some((branch, RefKind::Branch)) => {
                format!("it is not on branch \"{}\"", ref_label(branch))
            }
            Some((_, RefKind::Tag)) | None => {
                let commit = at.commit();
                format!("it exists now, but not yet at commit {commit}: ask for a later version")
            }
        });
    }
    error
}
