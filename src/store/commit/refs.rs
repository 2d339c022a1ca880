//! Changes of branches and tags, in the committer's order.

use std::sync::Arc;

use super::Answer;
use super::apply::Batch;
use super::proposal::{NewRef, RefRequest};
use crate::error::Result;
use crate::log::{ancestry, refs};
use crate::spec::{CommitId, Ref, RefKind, ReflogAction, ReflogEntry};
use crate::store::refs::{check_unprotected, exists, unknown};
use crate::store::snapshot::Point;

impl Batch<'_> {
    pub fn change_ref(&mut self, request: &RefRequest) -> Result<Result<Answer>> {
        match request {
            RefRequest::Create(made) => self.create_ref(made),
            RefRequest::Rename { name, to } => self.rename_ref(name, to),
            RefRequest::Protect { name, protected } => self.protect_ref(name, *protected),
            RefRequest::Drop { name, kind, at } => self.drop_ref(name, *kind, *at),
            RefRequest::Move { name, from, to, action } => self.move_ref(name, *from, *to, *action),
        }
    }

    fn create_ref(&mut self, made: &NewRef) -> Result<Result<Answer>> {
        let existing = refs::get(&self.transaction, refs::DATABASE, &made.name)?;
        let before = existing.filter(|found| made.replace && found.kind == made.kind);
        if let Some(Err(refused)) = before.as_ref().map(|b| check_unprotected(b, "replaced")) {
            return Ok(Err(refused));
        }
        if before.is_none() && self.is_taken(&made.name)? {
            return Ok(Err(exists(&made.name)));
        }
        if let Err(refused) = self.check_kept(&made.name, made.at)? {
            return Ok(Err(refused));
        }
        let time_us = self.next_time();
        let action = if before.is_some() { ReflogAction::Reset } else { ReflogAction::Create };
        let target = Ref {
            id: before.as_ref().map_or_else(|| self.store.next_id(), |b| b.id),
            name: made.name.clone(),
            kind: made.kind,
            commit: made.at,
            created_us: time_us,
            retention: made.retention,
            protected: false,
        };
        self.put_ref(&target, action, time_us)?;
        if target.kind == RefKind::Branch && action == ReflogAction::Create {
            self.start_floors(&target)?;
        }
        Ok(Ok(Answer::Done(made.at)))
    }

    /// A name is of the whole database or of tables alone, never both.
    fn is_taken(&self, name: &str) -> Result<bool> {
        let (label, table) = (crate::spec::ref_label(name), crate::spec::ref_table(name));
        let clashes = |other: &Ref| {
            other.label() == label
                && (other.table() == table || other.table().is_none() || table.is_none())
        };
        Ok(refs::list(&self.transaction, refs::DATABASE)?.iter().any(clashes))
    }

    fn put_ref(&mut self, target: &Ref, action: ReflogAction, time_us: i64) -> Result<()> {
        let moved = ReflogEntry { time_us, action, commit: target.commit };
        refs::put(&self.transaction, refs::DATABASE, target, &moved)?;
        if target.kind == RefKind::Branch {
            let commit = ancestry::commit(&self.transaction, target.commit)?;
            self.heads.insert(target.name.clone(), Some(Arc::new(Point::of(&commit))));
        }
        Ok(())
    }

    fn rename_ref(&mut self, name: &str, to: &str) -> Result<Result<Answer>> {
        let Some(target) = refs::get(&self.transaction, refs::DATABASE, name)? else {
            return Ok(Err(unknown(RefKind::Branch, name)));
        };
        if let Err(refused) = check_unprotected(&target, "renamed") {
            return Ok(Err(refused));
        }
        if self.is_taken(to)? {
            return Ok(Err(exists(to)));
        }
        let moved = ReflogEntry {
            time_us: self.next_time(),
            action: ReflogAction::Rename,
            commit: target.commit,
        };
        let renamed = Ref { name: to.to_owned(), ..target };
        refs::rename(&self.transaction, refs::DATABASE, name, &renamed, &moved)?;
        if renamed.kind == RefKind::Branch {
            let commit = ancestry::commit(&self.transaction, renamed.commit)?;
            self.heads.insert(name.to_owned(), None);
            self.heads.insert(renamed.name, Some(Arc::new(Point::of(&commit))));
        }
        Ok(Ok(Answer::Done(renamed.commit)))
    }

    fn protect_ref(&mut self, name: &str, protected: bool) -> Result<Result<Answer>> {
        let Some(target) = refs::get(&self.transaction, refs::DATABASE, name)? else {
            return Ok(Err(unknown(RefKind::Branch, name)));
        };
        self.next_time();
        refs::keep(&self.transaction, refs::DATABASE, &Ref { protected, ..target.clone() })?;
        Ok(Ok(Answer::Done(target.commit)))
    }

    fn drop_ref(
        &mut self,
        name: &str,
        kind: RefKind,
        at: Option<CommitId>,
    ) -> Result<Result<Answer>> {
        let found = refs::get(&self.transaction, refs::DATABASE, name)?;
        let Some(target) = found.filter(|found| found.kind == kind) else {
            return Ok(Err(unknown(kind, name)));
        };
        if let Err(refused) = check_unprotected(&target, "dropped") {
            return Ok(Err(refused));
        }
        if at.is_some_and(|at| at != target.commit) {
            return Ok(Ok(Answer::Stale));
        }
        let time_us = self.next_time();
        self.remove_ref(&target, time_us)?;
        Ok(Ok(Answer::Done(target.commit)))
    }
}
