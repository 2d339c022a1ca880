//! Refs that say how long they last: the age of a branch or tag is the time since it was made or last
//! moved, upkeep aside. Main and protected refs do not age.

use crate::error::Result;
use crate::log::{Records, Space, ancestry, key, refs};
use crate::spec::{CommitKind, Ref, ReflogAction, ReflogEntry, TableId};
use crate::store::{MAIN, Store};

impl Store {
    /// Drops the refs that are older than they say, all or those of one table; how many went.
    pub(super) async fn drop_aged(&self, table: Option<TableId>) -> Result<u64> {
        let mut dropped = 0;
        for target in self.aged(table)? {
            dropped += u64::from(self.drop_unmoved(&target).await?);
        }
        Ok(dropped)
    }

    fn aged(&self, table: Option<TableId>) -> Result<Vec<Ref>> {
        let view = self.shared.log.read()?;
        let now_us = self.clock().now_us();
        let mut found = Vec::new();
        for target in refs::list(&view, refs::DATABASE)? {
            let Some(age_us) = target.retention.age_us else { continue };
            let is_meant = table.is_none() || target.table() == table;
            if is_meant
                && target.name != MAIN
                && !target.protected
                && touched(&view, &target)? < now_us.saturating_sub(age_us)
            {
                found.push(target);
            }
        }
        Ok(found)
    }
}

/// When a ref was made or last moved: µs since 1970-01-01 UTC.
fn touched(records: &impl Records, target: &Ref) -> Result<i64> {
    let from = key([target.id, 0]);
    let mut end = key([target.id + 1, 0]);
    while let Some(bytes) = records.last(Space::Reflog, &from, &end)? {
        let moved = ReflogEntry::decode(&bytes)?;
        let idle = match moved.action {
            ReflogAction::Rename => true,
            ReflogAction::Commit => {
                let commit = ancestry::find(records, moved.commit)?;
                commit.is_some_and(|commit| commit.kind == CommitKind::Maintain)
            }
            _ => false,
        };
        if !idle {
            return Ok(moved.time_us);
        }
        end = key([target.id, moved.time_us as u64]);
    }
    Ok(target.created_us)
}
