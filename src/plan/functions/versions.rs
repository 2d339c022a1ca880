//! Functions that name versions: `current_commit()`, `snapshot_id_as_of(time)`.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::facts::SessionFacts;
use super::row_function::RowFunction;
use crate::plan::pg_catalog::cell::Cell;

pub(super) fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let session = Arc::clone(facts);
    let current = RowFunction::new("current_commit", &[""], "int8", move |_| {
        session.hooks.commit(None).map(cell)
    });
    let session = Arc::clone(facts);
    let as_of =
        RowFunction::new("snapshot_id_as_of", &["z"], "int8", move |row| match row.timestamp(0) {
            Some((time_us, _)) => session.hooks.commit(Some(time_us)).map(cell),
            None => Ok(Cell::Null),
        });
    [current, as_of].into_iter().map(ScalarUDF::from).collect()
}

fn cell(commit: u64) -> Cell {
    Cell::Int(commit as i64)
}
