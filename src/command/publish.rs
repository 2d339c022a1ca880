//! PUBLISH BRANCH: what was audited reaches its target in one step, or not at all.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;

use super::merge::{Ends, ROUNDS, hold_to_rules};
use super::run;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::PublishBranch;
use crate::plan::{Reading, plan_apart};
use crate::store::{Advance, CommitOptions, Joining, Prefer, Snapshot};

/// The target gets the branch's commits, or, where it has commits of its own, one that joins both,
/// if every check holds on the result.
///
/// # Errors
/// CheckViolation where a check does not hold; MergeConflict where both changed the same thing;
/// WrongState where the branch is not at the expected commit; Conflict where the target moved again
/// and again.
pub async fn publish(
    reading: &Reading,
    state: &Arc<SessionState>,
    publish: &PublishBranch,
    options: &CommitOptions,
) -> Result<Advance> {
    let store = reading.snapshot.store();
    let names = (publish.branch.as_str(), publish.into.as_str());
    let ends = Ends::of(reading, names, publish.table.as_ref())?;
    let source = store.head(&ends.from)?;
    expect(publish, &source)?;
    for _ in 0..ROUNDS {
        let target = store.head(&ends.into)?;
        match store.joining(&target, source.commit(), ends.table)? {
            Joining::UpToDate => {
                check(&reading.at(target), state, publish).await?;
                return Ok(Advance::UpToDate);
            }
            Joining::Forward => {
                check(&reading.at(source.clone()), state, publish).await?;
                match store.fast_forward(&ends.into, &source).await {
                    // It moved since it was looked at: perhaps it has commits of its own now.
                    Err(error)
                        if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::WrongState) => {}
                    moved => return moved,
                }
            }
            Joining::Apart(base) => {
                let merged = store.merge(base, &target, &source, Prefer::Neither, ends.table)?;
                let what = format!("publishing branch \"{}\"", publish.branch);
                merged.check_decided(&what, || how_to_decide(publish))?;
                hold_to_rules(reading, state, &merged).await?;
                check(&reading.at(merged.transaction.snapshot()), state, publish).await?;
                let exact = !publish.checks.is_empty();
                let before = target.commit();
                match store.commit_joined(merged.transaction, options, exact).await? {
                    Some(commit) if commit == before => return Ok(Advance::UpToDate),
                    Some(_) => return Ok(Advance::Moved),
                    None => {}
                }
            }
        }
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("branch \"{}\" moved {ROUNDS} times meanwhile", publish.into),
    )
    .hint("run the statement again"))
}

fn how_to_decide(publish: &PublishBranch) -> String {
    let PublishBranch { branch, into, table, .. } = publish;
    let of = table.as_ref().map_or_else(String::new, |table| format!(" IN TABLE {table}"));
    format!(
        "nothing was published; MERGE BRANCH {into}{of} INTO {branch} WHEN CONFLICT OURS or THEIRS \
         decides on the branch, where it can be audited, then publish again"
    )
}

fn expect(publish: &PublishBranch, source: &Snapshot) -> Result<()> {
    let Some(expected) = publish.expect else { return Ok(()) };
    let commit = source.commit();
    if commit.0 == expected || source.store().content(commit)?.0 == expected {
        return Ok(());
    }
    let message = format!("branch \"{}\" is at commit {commit}, not at {expected}", publish.branch);
    Err(Error::new(ErrorKind::WrongState, message)
        .hint("audit the new commits, then publish with their number"))
}

async fn check(
    reading: &Reading,
    state: &Arc<SessionState>,
    publish: &PublishBranch,
) -> Result<()> {
    for (query, text) in &publish.checks {
        let planned = plan_apart(reading, state, query, &[]).await?;
        match run::single(reading, state, planned.plan).await? {
            ScalarValue::Boolean(Some(true)) => {}
            ScalarValue::Boolean(_) => {
                return Err(Error::new(
                    ErrorKind::CheckViolation,
                    format!("a check of branch \"{}\" does not hold", publish.branch),
                )
                .detail(text.clone())
                .hint("nothing was published; repair the branch or drop it"));
            }
            other => {
                let message = format!("a check must answer true or false, not {other}");
                return Err(Error::new(ErrorKind::DatatypeMismatch, message));
            }
        }
    }
    Ok(())
}
