//! What a table's rows are to KNOWN AT: its row versions, each in the period in which its branch showed
//! it; or, where the table says itself since when a row is known, its rows of today.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::asof::{Knowledge, TieOrder};
use crate::error::Result;
use crate::exec::asof_join::KnownFloor;
use crate::exec::changes::{ChangeScan, Moment, Shown};
use crate::exec::scan::TableScan;
use crate::store::Snapshot;

/// The rows of a scan's table with their periods; None where nothing says which branch it is of.
///
/// # Errors
/// Those of reading the log.
pub(super) fn knowledge(scan: &TableScan) -> Result<Option<Knowledge>> {
    let schema = scan.table().schema();
    let hidden = scan.hidden();
    let columns = hidden.tie_columns();
    if let Some(known) = schema.known_time.and_then(|id| schema.column(id)) {
        let ties = TieOrder { provider: Arc::new(hidden), columns };
        let from = known.name.clone();
        return Ok(Some(Knowledge { ties, from, until: None, floor: None }));
    }
    let Some(at) = scan.at() else { return Ok(None) };
    let (provider, floor_us) = versions(scan, at)?;
    let table = schema.name.clone();
    Ok(Some(Knowledge {
        ties: TieOrder { provider, columns },
        from: "_system_from".to_owned(),
        until: Some("_system_to".to_owned()),
        floor: floor_us.map(|time_us| KnownFloor { time_us, table }),
    }))
}

fn versions(scan: &TableScan, at: &Snapshot) -> Result<(Arc<dyn TableProvider>, Option<i64>)> {
    let table = scan.table();
    let history = at.store().table_history(at, table.id())?;
    let moments = history.steps.into_iter().map(Moment::from).collect();
    let shown = Shown::Versions { last: history.last.into() };
    let (store, schema) = (table.store().clone(), Arc::clone(table.schema()));
    let provider = Arc::new(ChangeScan::new(store, schema, moments, shown));
    Ok((provider, history.floor_us))
}
