//! Where floors come to lie.
//!
//! What a branch keeps: its own retention, else what the statement says, else the database's rule. Of
//! a table that has a retention of its own a branch keeps as much as the table says, and no less than the
//! branch's or the statement's word where one was said.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ExpireOptions;
use crate::error::{ErrorKind, Result};
use crate::log::floors::{ALL_TABLES, Floor};
use crate::log::{Records, ancestry, refs};
use crate::spec::{Commit, Ref, RefKind, TableId};
use crate::store::floors::{Floors, is_about};
use crate::store::refs::unknown;
use crate::store::{Relation, Store};

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
/// A branch keeps what it showed in this time …
const KEPT_US: i64 = 30 * DAY_US;
/// … but at least so many commits …
const KEPT_LEAST: u64 = 100;
/// … and at most so many.
const KEPT_MOST: u64 = 1_000_000;

/// What is kept of a history.
#[derive(Clone, Copy)]
struct Rule {
    since: Since,
    /// But so many commits stay.
    least: u64,
    /// Whether somebody said so.
    is_said: bool,
}

#[derive(Clone, Copy)]
enum Since {
    /// What was shown at this time and later: µs since 1970-01-01 UTC.
    Shown(i64),
    /// Commits made at this time and later, though an older one was current then.
    Made(i64),
}

impl Store {
    /// The floors that rise; they never fall.
    pub(super) fn floors_to_raise(&self, options: &ExpireOptions) -> Result<Vec<Floor>> {
        let view = self.shared.log.read()?;
        let floors = Arc::clone(&self.shared.floors.read());
        let mut raised = Vec::new();
        for target in branches_of(&view, options)? {
            let only = options.table.or(target.table());
            let said = match self.said_of(&target, only) {
                // It was dropped meanwhile.
                Err(error) if error.kind() == ErrorKind::UndefinedObject => continue,
                said => said?,
            };
            let branch = Branch {
                said,
                head: ancestry::commit(&view, target.commit)?,
                rule: self.rule(&target, options),
                now_us: self.clock().now_us(),
                target,
            };
            let mut after = floors.as_ref().clone();
            if only.is_none() {
                let before = floors.of(branch.target.id, ALL_TABLES);
                let floor = branch.risen(&view, &after, ALL_TABLES, before)?;
                raised.extend(floor);
                floor.into_iter().for_each(|floor| after.set(floor));
            }
            for table in branch.tables(&floors, only) {
                // A table that has its own must not follow the branch's.
                let before = floors.of(branch.target.id, table);
                raised.extend(branch.risen(&view, &after, table, before)?);
            }
        }
        Ok(raised)
    }

    fn rule(&self, target: &Ref, options: &ExpireOptions) -> Rule {
        let own = &target.retention;
        let ago = |us: i64| Since::Shown(self.clock().now_us().saturating_sub(us));
        let said = match (own.commits_age_us, options.older_than_us) {
            (Some(us), _) => Some(ago(us)),
            (None, Some(time_us)) => Some(Since::Made(time_us)),
            (None, None) => None,
        };
        let least = own.commits.or(options.retain_last);
        Rule {
            since: said.unwrap_or_else(|| ago(KEPT_US)),
            least: least.unwrap_or(if said.is_some() { 1 } else { KEPT_LEAST }).max(1),
            is_said: said.is_some() || least.is_some(),
        }
    }

    /// The tables at a branch's head that say how much of their history stays, in µs; or one of them.
    fn said_of(&self, target: &Ref, only: Option<TableId>) -> Result<Vec<(TableId, i64)>> {
        let head = self.head(&target.name)?;
        let relations = match only {
            Some(table) => head.relation_by_id(table)?.into_iter().collect(),
            None => head.relations()?,
        };
        let said = |relation: &Relation| match relation {
            Relation::Table(table) => Some((table.id(), table.schema().retention_us()?)),
            Relation::View(_) | Relation::Sequence(_) => None,
        };
        Ok(relations.iter().filter_map(said).collect())
    }
}

/// One branch, and what is kept of it.
struct Branch {
    target: Ref,
    head: Commit,
    rule: Rule,
    /// What its tables say, in µs.
    said: Vec<(TableId, i64)>,
    now_us: i64,
}

impl Branch {
    /// The tables that do not follow the branch's floor, or the one that is asked for.
    fn tables(&self, floors: &Floors, only: Option<TableId>) -> BTreeSet<TableId> {
        if let Some(table) = only {
            return [table].into();
        }
        let own = floors.of_ref(self.target.id).map(|floor| floor.table);
        let said = self.said.iter().map(|(table, _)| *table);
        own.filter(|table| *table != ALL_TABLES).chain(said).collect()
    }

    /// The floor of a table, which lay at `before`, where `floors` has another.
    fn risen(
        &self,
        records: &impl Records,
        floors: &Floors,
        table: TableId,
        before: Option<Floor>,
    ) -> Result<Option<Floor>> {
        let oldest = self.oldest_of(records, table)?;
        let reference = self.target.id;
        let floor = match before {
            Some(before) if before.commit >= oldest.id => Floor { reference, table, ..before },
            _ => Floor { reference, table, commit: oldest.id, time_us: oldest.time_us },
        };
        let is_news = match floors.of(reference, table) {
            Some(known) => known.commit != floor.commit,
            None => oldest.parent.is_some(),
        };
        Ok(is_news.then_some(floor))
    }

    /// The oldest commit at which a table stays readable.
    fn oldest_of(&self, records: &impl Records, table: TableId) -> Result<Commit> {
        let by_branch = oldest_kept(records, &self.head, self.rule)?;
        let Some((_, us)) = self.said.iter().find(|(said, _)| *said == table) else {
            return Ok(by_branch);
        };
        let since = Since::Shown(self.now_us.saturating_sub(*us));
        let own = Rule { since, least: 1, is_said: true };
        let by_table = oldest_kept(records, &self.head, own)?;
        match self.rule.is_said && by_branch.id < by_table.id {
            true => Ok(by_branch),
            false => Ok(by_table),
        }
    }
}

fn branches_of(records: &impl Records, options: &ExpireOptions) -> Result<Vec<Ref>> {
    let mut branches = refs::list(records, refs::DATABASE)?;
    branches.retain(|target| target.kind == RefKind::Branch);
    if let Some(name) = &options.branch {
        branches.retain(|target| target.name == *name);
        if branches.is_empty() {
            return Err(unknown(RefKind::Branch, name));
        }
    }
    if let Some(table) = options.table {
        branches.retain(|target| is_about(target, table));
    }
    Ok(branches)
}

/// The oldest commit that a rule keeps behind a head.
fn oldest_kept(records: &impl Records, head: &Commit, rule: Rule) -> Result<Commit> {
    let by_time = match rule.since {
        Since::Made(time_us) => match ancestry::at_time(records, head.id, time_us - 1)? {
            Some(last) => Some(ancestry::child_of(records, head.clone(), last)?.id),
            None => None,
        },
        Since::Shown(time_us) => ancestry::at_time(records, head.id, time_us)?,
    };
    let by_count = ancestry::nth_before(records, head.id, rule.least - 1)?;
    let oldest = match (by_time, by_count) {
        (Some(by_time), Some(by_count)) => ancestry::content(records, by_time.min(by_count))
            .and_then(|id| ancestry::commit(records, id))?,
        _ => ancestry::first(records, head.id)?,
    };
    match head.depth - oldest.depth >= KEPT_MOST {
        true => ancestry::at_depth(records, head.clone(), head.depth + 1 - KEPT_MOST),
        false => Ok(oldest),
    }
}
