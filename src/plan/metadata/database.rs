//! asofdb.commits, asofdb.refs, asofdb.reflog: the whole database's history.

use std::collections::{HashMap, HashSet};

use super::build::{Built, batch, maps, maybe_texts, numbers, retention, texts, times, truths};
use super::history::operation;
use crate::error::Result;
use crate::spec::{Commit, CommitKind, Ref, RefKind, ReflogAction, TableId};
use crate::store::{Relation, Snapshot};

/// Every commit behind a living ref, oldest first; upkeep left out.
pub(super) fn commits(at: &Snapshot) -> Result<Built> {
    let store = at.store();
    let (mut seen, mut found): (HashSet<u64>, Vec<Commit>) = (HashSet::new(), Vec::new());
    let mut starts = vec![at.clone()];
    if matches!(at.reference(), Some((_, RefKind::Branch))) {
        for target in store.all_refs()? {
            starts.push(store.at_ref(&target.name)?);
        }
    }
    for start in &starts {
        store.history(start, |commit| {
            let fresh = seen.insert(commit.id.0);
            if fresh && commit.kind != CommitKind::Maintain {
                found.push(commit.clone());
            }
            Ok(fresh)
        })?;
    }
    found.sort_by_key(|commit| commit.id);
    let properties = match maps(found.iter().map(|c| c.properties.clone())) {
        Ok(properties) => properties,
        Err(error) => return Ok(Err(error)),
    };
    let sum = |of: fn(&crate::spec::TableChange) -> u64| {
        numbers(found.iter().map(move |c| Some(c.changes.iter().map(of).sum())))
    };
    Ok(batch([
        ("commit_id", numbers(found.iter().map(|c| Some(c.id.0))), false),
        ("parent_id", numbers(found.iter().map(|c| c.parent.map(|p| p.0))), true),
        ("merge_parent_id", numbers(found.iter().map(|c| c.merge_parent.map(|p| p.0))), true),
        ("committed_at", times(found.iter().map(|c| c.time_us)), false),
        ("operation", texts(found.iter().map(|c| operation(c.kind))), false),
        ("tables", numbers(found.iter().map(|c| Some(c.changes.len() as u64))), false),
        ("added_rows", sum(|change| change.added_rows), false),
        ("deleted_rows", sum(|change| change.deleted_rows), false),
        ("properties", properties, false),
    ]))
}

/// Every branch and tag, those of one table with the table.
pub(super) fn refs(at: &Snapshot) -> Result<Built> {
    let refs = at.store().all_refs()?;
    let tables = table_names(at)?;
    let of = |r: &Ref, part: fn(&(String, String)) -> &String| {
        r.table().and_then(|id| tables.get(&id)).map(|name| part(name).clone())
    };
    let kind = |kind| if kind == RefKind::Branch { "BRANCH" } else { "TAG" };
    let [age, commits, commits_age] = retention(refs.iter().map(|r| &r.retention));
    Ok(batch([
        ("name", texts(refs.iter().map(|r| r.label())), false),
        ("type", texts(refs.iter().map(|r| kind(r.kind))), false),
        ("table_schema", maybe_texts(refs.iter().map(|r| of(r, |name| &name.0))), true),
        ("table_name", maybe_texts(refs.iter().map(|r| of(r, |name| &name.1))), true),
        ("commit_id", numbers(refs.iter().map(|r| Some(r.commit.0))), false),
        ("created_at", times(refs.iter().map(|r| r.created_us)), false),
        age,
        commits,
        commits_age,
        ("protected", truths(refs.iter().map(|r| r.protected)), false),
    ]))
}

/// Every move of every living ref, in the order of time.
pub(super) fn reflog(at: &Snapshot) -> Result<Built> {
    let store = at.store();
    let mut moves = Vec::new();
    for target in store.all_refs()? {
        for moved in store.reflog(&target)? {
            moves.push((target.label().to_owned(), moved));
        }
    }
    moves.sort_by_key(|(_, moved)| moved.time_us);
    Ok(batch([
        ("name", texts(moves.iter().map(|(name, _)| name.as_str())), false),
        ("moved_at", times(moves.iter().map(|(_, m)| m.time_us)), false),
        ("action", texts(moves.iter().map(|(_, m)| action(m.action))), false),
        ("commit_id", numbers(moves.iter().map(|(_, m)| Some(m.commit.0))), false),
    ]))
}

fn action(action: ReflogAction) -> &'static str {
    match action {
        ReflogAction::Create => "create",
        ReflogAction::Commit => "commit",
        ReflogAction::FastForward => "fast-forward",
        ReflogAction::Reset => "reset",
        ReflogAction::Drop => "drop",
        ReflogAction::Rename => "rename",
    }
}

fn table_names(at: &Snapshot) -> Result<HashMap<TableId, (String, String)>> {
    let named = |relation: Relation| {
        let (namespace, name) = relation.name();
        (relation.id(), (namespace.to_owned(), name.to_owned()))
    };
    Ok(at.relations()?.into_iter().map(named).collect())
}
