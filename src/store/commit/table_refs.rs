//! Branches and tags of one table go when the last branch of the database that has the table drops it, goes
//! forward to where it is dropped, or goes itself: nothing could name them then, and their names would stay
//! taken. A branch that is moved back can be moved again, and loses nothing.

use super::apply::Batch;
use super::proposal::{CatalogWrite, Proposal};
use crate::error::Result;
use crate::log::refs;
use crate::spec::{Ref, RefKind, ReflogAction, ReflogEntry, TableId};
use crate::store::catalog;
use crate::store::refs::check_unprotected;

impl Batch<'_> {
    /// The branches and tags that go with the tables that a proposal drops.
    pub(super) fn refs_of_dropped(&self, proposal: &Proposal) -> Result<Result<Vec<Ref>>> {
        let drops = |write: &CatalogWrite| matches!(write, CatalogWrite::Drop { .. });
        if !proposal.catalog.iter().any(drops) {
            return Ok(Ok(Vec::new()));
        }
        let dropped = |id| Ok(proposal.catalog.iter().any(|write| write.drops(id)));
        self.refs_that_go(&proposal.branch, dropped)
    }

    /// Those that go where a branch goes from one catalog to another, or to none.
    pub(super) fn refs_of_lost(
        &self,
        branch: &str,
        before: u64,
        after: Option<u64>,
    ) -> Result<Result<Vec<Ref>>> {
        let has = |root, id| Ok(catalog::object(&self.transaction, root, id)?.is_some());
        self.refs_that_go(branch, |id| {
            Ok(has(before, id)? && !after.map_or(Ok(false), |root| has(root, id))?)
        })
    }

    /// Those of the tables that a branch loses. The inner error is a protected one's.
    fn refs_that_go(
        &self,
        branch: &str,
        loses: impl Fn(TableId) -> Result<bool>,
    ) -> Result<Result<Vec<Ref>>> {
        let all = refs::list(&self.transaction, refs::DATABASE)?;
        let mut going = Vec::new();
        for own in &all {
            let Some(table) = own.table() else { continue };
            if !loses(table)? || self.is_elsewhere(&all, branch, table)? {
                continue;
            }
            if let Err(refused) = check_unprotected(own, "dropped with its table") {
                return Ok(Err(refused));
            }
            going.push(own.clone());
        }
        Ok(Ok(going))
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
