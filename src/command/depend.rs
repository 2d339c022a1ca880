//! What views need: the objects their texts name, and which columns of them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Query, visit_relations};

use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::TableScan;
use crate::plan::Reading;
use crate::plan::names::{self, Named};
use crate::plan::time_travel::name_parts;
use crate::spec::{ColumnId, TableId, View, ViewUse};
use crate::store::Table;

/// The objects that a view's query names, with the columns that its plan reads.
///
/// # Errors
/// Whatever reading the catalog gives.
pub fn uses(
    reading: &Reading,
    state: &SessionState,
    query: &Query,
    plan: &LogicalPlan,
) -> Result<Vec<ViewUse>> {
    let needed = columns_read(state, plan);
    let mut found: Vec<ViewUse> = Vec::new();
    let mut failed = None;
    let _: ControlFlow<()> = visit_relations(query, |name| {
        match name_parts(name).and_then(|parts| used(reading, parts, needed.as_ref())) {
            Ok(Some(used)) if !found.iter().any(|other| other.written == used.written) => {
                found.push(used);
            }
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
        ControlFlow::Continue(())
    });
    failed.map_or(Ok(found), Err)
}

/// None for what is no table or view of ours, such as the name of a WITH.
fn used(
    reading: &Reading,
    written: Vec<String>,
    needed: Option<&HashMap<TableId, Vec<ColumnId>>>,
) -> Result<Option<ViewUse>> {
    let parts: Vec<&str> = written.iter().map(String::as_str).collect();
    let written = names::of_object(reading, &parts)?;
    Ok(match names::resolve(reading, &parts, None) {
        Ok(Named::Table(table, _)) => {
            let columns = &table.schema().columns;
            let all: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
            let needed = match needed {
                Some(needed) => needed.get(&table.id()).cloned().unwrap_or_default(),
                None => all,
            };
            let columns = columns.iter().map(|column| (column.id, column.name.clone())).collect();
            Some(ViewUse { written, object: table.id(), columns, needed })
        }
        Ok(Named::View(view, _)) => {
            Some(ViewUse { written, object: view.id, columns: Vec::new(), needed: Vec::new() })
        }
        Ok(Named::Metadata(_, table, _)) => {
            Some(ViewUse { written, object: table.id(), columns: Vec::new(), needed: Vec::new() })
        }
        Ok(Named::System(_)) => None,
        Err(error) if error.kind() == ErrorKind::UndefinedTable => None,
        Err(error) => return Err(error),
    })
}

/// The columns of each table that a plan reads once it is optimised; None where it cannot be.
fn columns_read(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Option<HashMap<TableId, Vec<ColumnId>>> {
    let plan = state.optimize(plan).ok()?;
    let mut read: HashMap<TableId, Vec<ColumnId>> = HashMap::new();
    let visited = plan.apply_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(TreeNodeRecursion::Continue) };
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<TableScan>().map(TableScan::table) else {
            return Ok(TreeNodeRecursion::Continue);
        };
        let columns = &table.schema().columns;
        let shown = match &scan.projection {
            Some(positions) => positions.clone(),
            None => (0..columns.len()).collect(),
        };
        let filtered = scan.filters.iter().flat_map(|filter| filter.column_refs());
        let filtered = filtered.filter_map(|column| table.schema().column_named(&column.name));
        let ids = shown.iter().filter_map(|at| columns.get(*at)).map(|column| column.id);
        let ids = ids.chain(filtered.map(|(_, column)| column.id)).collect::<Vec<_>>();
        read.entry(table.id()).or_default().extend(ids);
        Ok(TreeNodeRecursion::Continue)
    });
    visited.ok()?;
    for columns in read.values_mut() {
        columns.sort_unstable();
        columns.dedup();
    }
    Some(read)
}

/// The views that name an object, and of a table those that need one of its columns if one is said.
///
/// # Errors
/// Whatever reading the catalog gives.
pub fn views_over(
    reading: &Reading,
    object: TableId,
    column: Option<ColumnId>,
) -> Result<Vec<Arc<View>>> {
    let needs = |used: &ViewUse| {
        used.object == object && column.is_none_or(|column| used.needed.contains(&column))
    };
    let mut views = reading.snapshot.views()?;
    views.retain(|view| view.uses.iter().any(needs));
    Ok(views)
}

/// # Errors
/// DependentObjects where a view needs a column.
pub fn refuse_needed(reading: &Reading, table: &Table, column: ColumnId, name: &str) -> Result<()> {
    let views = views_over(reading, table.id(), Some(column))?;
    let Some(view) = views.first() else { return Ok(()) };
    let table = &table.schema().name;
    let message =
        format!("cannot drop column {name} of table {table} because other objects depend on it");
    Err(Error::new(ErrorKind::DependentObjects, message)
        .detail(format!("view {} depends on column {name} of table {table}", view.name))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."))
}
