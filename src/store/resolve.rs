//! From what a statement says to a snapshot: a ref, a commit, a time, or some commits back.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};

use super::Store;
use super::refs::unknown_ref;
use super::snapshot::Snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::log::floors::ALL_TABLES;
use crate::log::{Records, Space, ancestry, key, refs};
use crate::spec::{Commit, CommitId, RefKind};

/// A version of the database, as a statement can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// A branch or tag, by its full name.
    Ref(String),
    /// A commit.
    Commit(u64),
    /// What the branch showed at this time: µs since 1970-01-01 UTC.
    Time(i64),
    /// The commit this many before.
    Back(u64),
}

impl Store {
    /// The snapshot of a version, seen from `base`: times and steps back are those of its branch.
    ///
    /// # Errors
    /// UndefinedObject for a ref or commit that is not there; InvalidValue for a time before the
    /// first commit or after now. Both name the nearest that can be read.
    pub fn resolve(&self, base: &Snapshot, version: &Version) -> Result<Snapshot> {
        let found = match version {
            Version::Ref(name) => match base.branch(name)? {
                Some(found) => return Ok(found),
                None => self.at_ref(name)?,
            },
            Version::Commit(number) => self.at_commit(base, *number)?,
            Version::Time(time_us) => self.at_time(base, *time_us)?,
            Version::Back(steps) => self.back(base, *steps)?,
        };
        let (heads, written) = (base.heads.clone(), base.written.clone());
        Ok(Snapshot { heads, written, ..found })
    }

    /// The snapshot a branch or tag points at.
    pub fn at_ref(&self, name: &str) -> Result<Snapshot> {
        let target = refs::get(&self.shared.log.read()?, refs::DATABASE, name)?;
        let target = target.ok_or_else(|| unknown_ref(name))?;
        match target.kind {
            RefKind::Branch => self.head(name),
            RefKind::Tag => self.at_tag(name, target.commit),
        }
    }

    fn at_commit(&self, base: &Snapshot, number: u64) -> Result<Snapshot> {
        let view = self.shared.log.read()?;
        // Of a number below a floor nobody knows any more whether it was a commit.
        let below = CommitId(number) < self.shared.floors.read().highest(ALL_TABLES);
        if below || view.get(Space::Commits, &key([number]))?.is_some() {
            drop(view);
            return self.readable(CommitId(number), base);
        }
        let nearest = view.last(Space::Commits, &key([0]), &key([number]))?;
        let nearest = match nearest {
            Some(bytes) => Commit::decode(&bytes)?.id,
            None => CommitId(1),
        };
        Err(Error::new(ErrorKind::UndefinedObject, format!("commit {number} does not exist"))
            .hint(format!("the nearest commit is {nearest}; SHOW LOG lists them")))
    }

    fn at_time(&self, base: &Snapshot, time_us: i64) -> Result<Snapshot> {
        let now_us = self.clock().now_us();
        if time_us > now_us {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("{} is in the future", show_time(time_us)),
            )
            .hint(format!("it is {} now", show_time(now_us))));
        }
        self.settle_until(time_us);
        let view = self.shared.log.read()?;
        let on_branch = match base.reference() {
            Some((name, RefKind::Branch)) => refs::get(&view, refs::DATABASE, name)?,
            Some((_, RefKind::Tag)) | None => None,
        };
        let floor = on_branch.as_ref().and_then(|branch| self.shared.floors.read().lowest(branch));
        let expired = || format!("what was there at {} has expired", show_time(time_us));
        if floor.is_some_and(|floor| time_us < floor.time_us) {
            return Err(self.expired(base, &expired())?);
        }
        let found = match &on_branch {
            Some(branch) => match refs::commit_at(&view, branch.id, time_us)? {
                Some(commit) => Some(commit),
                // Before the branch was made it had the past of the commit it was made at.
                None => match refs::moves(&view, branch.id)?.first() {
                    Some(made) => ancestry::at_time(&view, made.commit, time_us)?,
                    None => None,
                },
            },
            None => ancestry::at_time(&view, base.commit(), time_us)?,
        };
        match found {
            Some(commit) => {
                drop(view);
                self.readable(commit, base)
            }
            None => {
                let first = ancestry::first(&view, base.commit())?;
                if first.parent.is_some() {
                    return Err(self.expired(base, &expired())?);
                }
                Err(Error::new(
                    ErrorKind::InvalidValue,
                    format!("there was no commit yet at {}", show_time(time_us)),
                )
                .hint(format!(
                    "the earliest that can be read is commit {} of {}",
                    first.id,
                    show_time(first.time_us)
                )))
            }
        }
    }

    fn back(&self, base: &Snapshot, steps: u64) -> Result<Snapshot> {
        let found = ancestry::nth_before(&self.shared.log.read()?, base.commit(), steps)?;
        match found {
            Some(commit) => self.readable(commit, base),
            None => {
                let first = ancestry::first(&self.shared.log.read()?, base.commit())?;
                let message = format!(
                    "history does not go back {steps} commits from commit {}",
                    base.commit()
                );
                if first.parent.is_some() {
                    return Err(self.expired(base, &message)?);
                }
                Err(Error::new(ErrorKind::UndefinedObject, message)
                    .hint("SHOW LOG lists the commits there are"))
            }
        }
    }

    /// One commit's record.
    pub fn commit_record(&self, id: CommitId) -> Result<Commit> {
        ancestry::commit(&self.shared.log.read()?, id)
    }

    /// The commits behind a snapshot, itself included, newest first, until `visit` says stop or they
    /// have expired.
    pub fn history(
        &self,
        from: &Snapshot,
        mut visit: impl FnMut(&Commit) -> Result<bool>,
    ) -> Result<()> {
        let mut at = Some(from.commit());
        while let Some(id) = at {
            let Some(commit) = ancestry::find(&self.shared.log.read()?, id)? else { break };
            let ends = id != from.commit() && {
                let floors = Arc::clone(&self.shared.floors.read());
                floors.shown(&self.shared.log.read()?, &commit)?.is_none()
            };
            if ends || !visit(&commit)? {
                break;
            }
            at = commit.parent;
        }
        Ok(())
    }
}

/// A time as errors show it: UTC, to the µs.
pub fn show_time(time_us: i64) -> String {
    match DateTime::from_timestamp_micros(time_us) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Micros, true),
        None => format!("{time_us} µs since 1970"),
    }
}
