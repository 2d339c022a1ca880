//! `nextval`, `currval`, `lastval`, `setval`.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::facts::{SequenceName, SessionFacts};
use super::row_function::{Row, RowFunction};
use crate::error::Result;
use crate::plan::pg_catalog::cell::Cell;
use crate::spec::Sequence;

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let session = Arc::clone(facts);
    let nextval = RowFunction::new("nextval", &["n"], "int8", move |row| {
        let sequence = named(&session, row)?;
        session.hooks.next_value(&sequence).map(Cell::Int)
    });
    let session = Arc::clone(facts);
    let currval = RowFunction::new("currval", &["n"], "int8", move |row| {
        let sequence = named(&session, row)?;
        session.hooks.current_value(Some(&sequence)).map(Cell::Int)
    });
    let session = Arc::clone(facts);
    let lastval = RowFunction::new("lastval", &[""], "int8", move |_| {
        session.hooks.current_value(None).map(Cell::Int)
    });
    let session = Arc::clone(facts);
    let setval = RowFunction::new("setval", &["ni", "nib"], "int8", move |row| {
        let sequence = named(&session, row)?;
        let value = row.int(1).unwrap_or_default();
        let called = row.len() < 3 || row.bool(2) == Some(true);
        session.hooks.set_value(&sequence, value, called)?;
        Ok(Cell::Int(value))
    });
    [nextval, currval, lastval, setval].map(|function| ScalarUDF::from(function.volatile())).into()
}

fn named(session: &SessionFacts, row: &Row<'_>) -> Result<Arc<Sequence>> {
    let name = match (row.text(0), row.int(0)) {
        (Some(text), _) => SequenceName::Text(text),
        (None, oid) => SequenceName::Oid(oid.and_then(|oid| u32::try_from(oid).ok()).unwrap_or(0)),
    };
    session.hooks.sequence(name)
}
