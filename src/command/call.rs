//! CALL system.…: procedures by the names people know from Iceberg.

use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;

use super::refs;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::Call;
use crate::plan::Reading;
use crate::plan::query::plan_constant;
use crate::plan::time_travel::constant;
use crate::store::Advance;

/// What a procedure did, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The columns and the only row of its answer.
    pub row: Vec<(&'static str, String)>,
}

/// Runs a procedure.
///
/// # Errors
/// UndefinedFunction for one that is not there; InvalidValue for arguments that do not fit; whatever
/// the procedure gives.
pub async fn call(reading: &Reading, state: &SessionState, call: &Call) -> Result<Called> {
    let name = call.procedure.last().map_or("", String::as_str);
    match name {
        "fast_forward" => {
            let [table, branch, to] = arguments(reading, state, call, ["table", "branch", "to"])?;
            fast_forward(reading, &table, &branch, &to).await
        }
        _ => Err(Error::new(
            ErrorKind::UndefinedFunction,
            format!("procedure {} does not exist", call.procedure.join(".")),
        )
        .hint(format!(
            "procedures: system.fast_forward(table, branch, to), {}",
            super::maintain::USAGES.map(|usage| format!("system.{usage}")).join(", ")
        ))),
    }
}

/// The values of a procedure's arguments, as text, all of which are needed.
fn arguments<const N: usize>(
    reading: &Reading,
    state: &SessionState,
    call: &Call,
    names: [&str; N],
) -> Result<[String; N]> {
    let usage = || format!("{}({})", call.procedure.join("."), names.join(", "));
    let wrong = |why: String| Error::new(ErrorKind::InvalidValue, why).hint(usage());
    let mut values: [Option<String>; N] = std::array::from_fn(|_| None);
    for (position, argument) in call.arguments.iter().enumerate() {
        let at = match &argument.name {
            Some(name) => names.iter().position(|n| n == name),
            None => Some(position).filter(|at| *at < N),
        };
        let at = at.ok_or_else(|| wrong(format!("argument {} is not known", position + 1)))?;
        let expr = plan_constant(reading, state, &argument.value)?;
        let value = constant(reading, state, expr)?.unwrap_or(ScalarValue::Null);
        values[at] = match value.try_as_str() {
            Some(Some(text)) => Some(text.to_owned()),
            _ if value.is_null() => None,
            _ => Some(value.to_string()),
        };
    }
    if let Some(missing) = values.iter().position(Option::is_none) {
        return Err(wrong(format!("argument \"{}\" is missing", names[missing])));
    }
    Ok(values.map(|value| value.expect("none is missing")))
}

/// Branches are of the whole database, so the table only has to exist.
async fn fast_forward(reading: &Reading, table: &str, branch: &str, to: &str) -> Result<Called> {
    let parts: Vec<&str> = table.split('.').collect();
    crate::plan::names::table(reading, &parts)?;
    let before = reading.snapshot.store().head(branch)?.commit();
    let moved = refs::fast_forward(reading, branch, to).await?;
    let after = reading.snapshot.store().head(branch)?.commit();
    let updated = match moved {
        Advance::Moved => after,
        Advance::UpToDate => before,
    };
    Ok(Called {
        row: vec![
            ("branch_updated", branch.to_owned()),
            ("previous_ref", before.to_string()),
            ("updated_ref", updated.to_string()),
        ],
    })
}
