//! Branches and tags: made, dropped, published, moved.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;

use super::run;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{CreateRef, PublishBranch, TableVersionSpec};
use crate::plan::query::plan_constant;
use crate::plan::time_travel::{constant, snapshot_of};
use crate::plan::{Reading, plan_query};
use crate::spec::RefKind;
use crate::store::{Advance, Snapshot};

/// How often a publish starts again because its target moved.
const PUBLISH_ROUNDS: usize = 10;

/// CREATE BRANCH, CREATE TAG; false where it was there and IF NOT EXISTS was said.
///
/// # Errors
/// DuplicateObject, InvalidName; UndefinedObject for where it starts.
pub async fn create(reading: &Reading, state: &SessionState, create: &CreateRef) -> Result<bool> {
    if create.retain.is_some() {
        return Err(Error::new(ErrorKind::NotSupported, "RETAIN of branches and tags"));
    }
    let store = reading.snapshot.store();
    let kind = if create.tag { RefKind::Tag } else { RefKind::Branch };
    if let Some(existing) = store.find_ref(&create.name)? {
        if create.if_not_exists {
            return Ok(false);
        }
        if create.or_replace && existing.kind == kind {
            store.drop_ref(&create.name, kind).await?;
        }
    }
    let at = match &create.from {
        Some(spec) => version(reading, state, spec)?,
        None => reading.snapshot.clone(),
    };
    store.create_ref(&create.name, kind, at.commit()).await?;
    Ok(true)
}

/// DROP BRANCH, DROP TAG; false where it was not there and IF EXISTS was said.
///
/// # Errors
/// UndefinedObject; WrongState for main.
pub async fn drop(reading: &Reading, tag: bool, name: &str, if_exists: bool) -> Result<bool> {
    let store = reading.snapshot.store();
    if if_exists && store.find_ref(name)?.is_none() {
        return Ok(false);
    }
    let kind = if tag { RefKind::Tag } else { RefKind::Branch };
    store.drop_ref(name, kind).await?;
    Ok(true)
}

/// The snapshot that a clause of a statement names.
///
/// # Errors
/// UndefinedObject, InvalidValue.
pub fn version(
    reading: &Reading,
    state: &SessionState,
    spec: &TableVersionSpec,
) -> Result<Snapshot> {
    let expr = plan_constant(reading, state, &spec.value)?;
    let value = constant(reading, state, expr)?.ok_or_else(|| {
        Error::new(ErrorKind::UndefinedParameter, "the version is a parameter without a value")
    })?;
    snapshot_of(reading, &reading.snapshot, spec, &value)
}

/// PUBLISH BRANCH: the target moves to the branch's head if every check holds there.
///
/// # Errors
/// CheckViolation where a check does not hold; WrongState where the target has commits of its own;
/// Conflict where it moved again and again.
pub async fn publish(
    reading: &Reading,
    state: &Arc<SessionState>,
    publish: &PublishBranch,
) -> Result<Advance> {
    let store = reading.snapshot.store();
    let source = store.head(&publish.branch)?;
    if let Some(expected) = publish.expect
        && source.commit().0 != expected
        && store.content(source.commit())?.0 != expected
    {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!(
                "branch \"{}\" is at commit {}, not at {expected}",
                publish.branch,
                source.commit()
            ),
        )
        .hint("audit the new commits, then publish with their number"));
    }
    for _ in 0..PUBLISH_ROUNDS {
        check(&reading.at(source.clone()), state, publish).await?;
        match store.fast_forward(&publish.into, &source).await {
            Err(error) if error.kind() == ErrorKind::Conflict => continue,
            moved => return moved,
        }
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("branch \"{}\" moved {PUBLISH_ROUNDS} times meanwhile", publish.into),
    )
    .hint("run the statement again"))
}

async fn check(
    reading: &Reading,
    state: &Arc<SessionState>,
    publish: &PublishBranch,
) -> Result<()> {
    for (query, text) in &publish.checks {
        let planned = plan_query(reading, state, query)?;
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

/// Moves a branch forward to where a ref points.
///
/// # Errors
/// UndefinedObject; WrongState where it would not be forward, with the arguments the right way
/// round where they are reversed.
pub async fn fast_forward(reading: &Reading, branch: &str, to: &str) -> Result<Advance> {
    let store = reading.snapshot.store();
    let target = store.at_ref(to)?;
    let head = store.head(branch)?;
    let behind = store.content(target.commit())? != store.content(head.commit())?
        && store.is_ancestor(store.content(target.commit())?, head.commit())?;
    if behind {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!("\"{to}\" lies behind \"{branch}\": there is nothing to move to"),
        )
        .hint(format!("to move \"{to}\" up to \"{branch}\", swap the two arguments")));
    }
    store.fast_forward(branch, &target).await
}

/// ROLLBACK BRANCH: points a branch at any commit.
///
/// # Errors
/// UndefinedObject, InvalidValue.
pub async fn roll_back(
    reading: &Reading,
    state: &SessionState,
    branch: &str,
    to: &TableVersionSpec,
) -> Result<()> {
    let store = reading.snapshot.store();
    let reading = reading.at(store.head(branch)?);
    let target = version(&reading, state, to)?;
    store.reset(branch, target.commit()).await
}
