//! Branches and tags: made, dropped, moved.

use datafusion::execution::session_state::SessionState;

use super::view_refs::refuse_read;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{CreateRef, TableVersionSpec};
use crate::plan::Reading;
pub use crate::plan::addressed::snapshot_said as version_for;
use crate::spec::{RefKind, Retention};
use crate::store::{Advance, NewRef, Snapshot};

/// CREATE BRANCH, CREATE TAG; false where it was there and IF NOT EXISTS was said.
///
/// # Errors
/// DuplicateObject, InvalidName; UndefinedObject for where it starts.
pub async fn create(reading: &Reading, state: &SessionState, create: &CreateRef) -> Result<bool> {
    let store = reading.snapshot.store();
    let kind = if create.tag { RefKind::Tag } else { RefKind::Branch };
    if create.if_not_exists && !create.or_replace && store.find_ref(&create.name)?.is_some() {
        return Ok(false);
    }
    let at = match &create.from {
        Some(spec) => version(reading, state, spec)?,
        None => reading.snapshot.clone(),
    };
    let (name, at, retention) = (create.name.clone(), at.commit(), retention(create));
    store.make_ref(NewRef { name, kind, at, retention, replace: create.or_replace }).await?;
    Ok(true)
}

/// What RETAIN says.
pub(super) fn retention(create: &CreateRef) -> Retention {
    create.retain.as_ref().map_or_else(Retention::default, |retain| Retention {
        age_us: retain.age_us,
        commits: retain.commits,
        commits_age_us: retain.commits_age_us,
    })
}

/// DROP BRANCH, DROP TAG; false where it was not there and IF EXISTS was said.
///
/// # Errors
/// UndefinedObject; WrongState for main; DependentObjects where a view reads it.
pub async fn drop(reading: &Reading, tag: bool, name: &str, if_exists: bool) -> Result<bool> {
    let store = reading.snapshot.store();
    if if_exists && store.find_ref(name)?.is_none() {
        return Ok(false);
    }
    let kind = if tag { RefKind::Tag } else { RefKind::Branch };
    refuse_read(store, name, kind, "drop")?;
    store.drop_ref(name, kind).await?;
    Ok(true)
}

/// ALTER BRANCH b RENAME TO c.
///
/// # Errors
/// UndefinedObject, DuplicateObject, InvalidName; WrongState for main; DependentObjects where a view
/// reads it.
pub async fn rename(reading: &Reading, branch: &str, to: &str) -> Result<()> {
    let store = reading.snapshot.store();
    refuse_read(store, branch, RefKind::Branch, "rename")?;
    store.rename_ref(branch, to).await
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
    version_for(reading, state, None, spec)
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
