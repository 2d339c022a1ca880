//! Branches and tags of one table go when the table is dropped and no branch of the database has it any
//! more: nothing could name them then, and their names would stay taken.

use std::collections::BTreeSet;

use super::apply::Batch;
use super::proposal::{CatalogWrite, Proposal};
use crate::error::Result;
use crate::log::refs;
use crate::spec::{Ref, RefKind, ReflogAction, ReflogEntry, TableId};
use crate::store::catalog;

impl Batch<'_> {
    /// The branches and tags that go with the tables that a proposal drops.
    pub(super) fn refs_that_go(&self, proposal: &Proposal) -> Result<Vec<Ref>> {
        let mut dropped: BTreeSet<TableId> = BTreeSet::new();
        for write in &proposal.catalog {
            if let CatalogWrite::Drop { id, .. } = write {
                dropped.insert(*id);
            }
        }
        if dropped.is_empty() {
            return Ok(Vec::new());
        }
        let all = refs::list(&self.transaction, refs::DATABASE)?;
        let mut going: Vec<Ref> = Vec::new();
        for own in all.iter().filter(|r| r.table().is_some_and(|id| dropped.contains(&id))) {
            let table = own.table().expect("it is of one of the dropped");
            if !self.is_elsewhere(&all, &proposal.branch, table)? {
                going.push(own.clone());
            }
        }
        Ok(going)
    }

    /// Whether a branch of the database but this one has the table.
    fn is_elsewhere(&self, all: &[Ref], branch: &str, table: TableId) -> Result<bool> {
        let others = all
            .iter()
            .filter(|r| r.kind == RefKind::Branch && r.table().is_none() && r.name != branch);
        for other in others {
            if let Ok((_, head)) = self.branch(&other.name)?
                && catalog::object(&self.transaction, head.root, table)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn remove_ref(&mut self, target: &Ref, time_us: i64) -> Result<()> {
        let moved = ReflogEntry { time_us, action: ReflogAction::Drop, commit: target.commit };
        refs::remove(&self.transaction, refs::DATABASE, target, &moved)?;
        if target.kind == RefKind::Branch {
            self.heads.insert(target.name.clone(), None);
        }
        Ok(())
    }
}
