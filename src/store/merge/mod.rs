//! Two histories brought together: what a branch would be with the changes of another.
//!
//! ```text
//!  base ──► ours                objects by id, tables by row version; whoever changed something
//!     └───► theirs ──► merged   alone is followed, what both changed in two ways is a conflict
//! ```
//! The answer is a [`Transaction`] on our branch: a snapshot that checks can read, and one proposal
//! that the committer takes or sends back. Nothing is copied: segments and stretches of lines are
//! taken over, stamped with the commit. Maintenance is no change. The rules, with their reasons, are
//! in `docs/decisions`; start reading at [`Store::merge`], then `objects`, `rows`, `compose`.

mod changed;
mod compose;
mod crossed;
mod diff;
mod fetch;
mod follow;
mod keys;
mod lost;
mod names;
mod objects;
mod ranges;
mod returned;
mod rows;
mod rules;
mod shape;
mod table;
mod views;

pub(super) use fetch::rows_since;
pub(super) use ranges::{within, without};
pub(super) use table::{count, whole};

use self::crossed::Crossed;
use super::Store;
use super::snapshot::Snapshot;
use super::transaction::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::log::ancestry;
use crate::spec::{CommitId, TableId};

/// Which side's version of something stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pick {
    #[default]
    Ours,
    Theirs,
}

/// What is done about a conflict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Nothing: it is reported.
    #[default]
    Neither,
    /// What the branch merged into has stands.
    Ours,
    /// What the branch merged has stands.
    Theirs,
}

impl Prefer {
    fn pick(self) -> Pick {
        match self {
            Prefer::Neither | Prefer::Ours => Pick::Ours,
            Prefer::Theirs => Pick::Theirs,
        }
    }

    /// What a conflict is that either side's version settles.
    fn settled(self) -> Settled {
        match self {
            Prefer::Neither => Settled::Open,
            Prefer::Ours | Prefer::Theirs => Settled::Decided,
        }
    }
}

/// What the base is to the two sides.
#[derive(Clone, Copy)]
enum Base<'a> {
    /// Their newest common past, and the other bases, where there are several.
    Common(Option<&'a Crossed>),
    /// What one commit of theirs was made on, of which ours may know nothing.
    Parent,
}

impl<'a> Base<'a> {
    fn crossed(self) -> Option<&'a Crossed> {
        match self {
            Base::Common(crossed) => crossed,
            Base::Parent => None,
        }
    }
}

/// Something that both sides changed in different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The table or view.
    pub relation: String,
    /// The primary key's values, as `(1, a)`; empty where there is none.
    pub key: String,
    /// The row in the common past; None where it was not there.
    pub base: Option<String>,
    /// The row on the branch merged into.
    pub ours: Option<String>,
    /// The row on the branch merged.
    pub theirs: Option<String>,
    /// What is wrong.
    pub why: String,
    /// Whether it is settled.
    pub settled: Settled,
}

/// Whether a conflict is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// By the side that was preferred.
    Decided,
    /// Not: no side was preferred.
    Open,
    /// Not, and preferring this side, or either, would lose values: only another change on a branch
    /// settles it.
    ByHand,
}

impl Conflict {
    /// A conflict about a whole relation: its shape, its name, whether it is there.
    pub fn of_relation(relation: &str, why: impl Into<String>, settled: Settled) -> Conflict {
        Conflict {
            relation: relation.to_owned(),
            key: String::new(),
            base: None,
            ours: None,
            theirs: None,
            why: why.into(),
            settled,
        }
    }
}

/// What a merge would do to one table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name, after the merge.
    pub relation: String,
    /// `created`, `dropped`, `renamed`, `changed`.
    pub how: &'static str,
    /// Rows that come.
    pub added_rows: u64,
    /// Rows that go.
    pub deleted_rows: u64,
}

/// What one side demands of a table's rows and the other side's were never held to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRules {
    /// The table.
    pub table: TableId,
    /// Columns that refuse NULL.
    pub not_null: Vec<String>,
    /// Conditions, by name.
    pub checks: Vec<String>,
    /// Keys, by name.
    pub keys: Vec<String>,
}

/// A merge that was worked out and not committed.
pub struct Merged {
    /// The branch with the changes, ready to be committed.
    pub transaction: Transaction,
    /// What changes on the branch.
    pub changes: Vec<Changed>,
    /// What both sides changed; settled where a side was preferred.
    pub conflicts: Vec<Conflict>,
    /// What the caller has to look into before it commits.
    pub rules: Vec<NewRules>,
}

/// What there is to do to bring a commit into a branch.
pub enum Joining {
    /// The branch has it already.
    UpToDate,
    /// The branch has nothing else: it can be moved there.
    Forward,
    /// Both have changes since this commit.
    Apart(CommitId),
}

impl Store {
    /// How a branch's head and a commit lie to each other, as a whole or in one table: then the branch is
    /// never moved there.
    ///
    /// # Errors
    /// WrongState where they share no past.
    pub fn joining(
        &self,
        head: &Snapshot,
        other: CommitId,
        of: Option<TableId>,
    ) -> Result<Joining> {
        let view = self.shared.log.read()?;
        let base = ancestry::merge_base(&view, head.commit(), other, of)?.ok_or_else(|| {
            Error::new(ErrorKind::WrongState, "the two histories share no commit that is kept")
                .hint("INSERT, UPDATE and DELETE from t@branch bring rows over by hand")
        })?;
        // Upkeep changes no rows, so it stands in nobody's way.
        let (ours, theirs) =
            (ancestry::content(&view, head.commit())?, ancestry::content(&view, other)?);
        if base >= theirs {
            return Ok(Joining::UpToDate);
        }
        // A head that lies behind only by way of a merge would lose its own line of history.
        if of.is_none() && ancestry::is_ancestor(&view, ours, other)? {
            return Ok(Joining::Forward);
        }
        Ok(Joining::Apart(base))
    }

    /// The branch of `ours`, its head, with what changed from `base` to `theirs`, in one table or in all.
    ///
    /// # Errors
    /// ReadOnly where `ours` is no branch; Io, Corrupt.
    pub fn merge(
        &self,
        base: CommitId,
        ours: &Snapshot,
        theirs: &Snapshot,
        prefer: Prefer,
        only: Option<TableId>,
    ) -> Result<Merged> {
        let crossed = self.crossed(base, (ours.commit(), theirs.commit()), only)?;
        let mut merged =
            self.join((base, Base::Common(crossed.as_ref())), (ours, theirs), prefer, only)?;
        // Where all of it was here already, that it was joined is still worth knowing.
        if changed::any(&self.shared.log.read()?, base, theirs.commit())? {
            merged.transaction.joins(theirs.commit(), only);
        }
        Ok(merged)
    }

    /// The branch of `ours` with what one commit changed, in one table or in all.
    ///
    /// # Errors
    /// WrongState for the first commit; ReadOnly where `ours` is no branch; Io, Corrupt.
    pub fn cherry_pick(
        &self,
        commit: &Snapshot,
        ours: &Snapshot,
        table: Option<TableId>,
    ) -> Result<Merged> {
        let Some(parent) = self.commit_record(commit.commit())?.parent else {
            let message = format!("commit {} is the first and changed nothing", commit.commit());
            return Err(Error::new(ErrorKind::WrongState, message));
        };
        self.join((parent, Base::Parent), (ours, commit), Prefer::Neither, table)
    }

    fn join(
        &self,
        (base, of): (CommitId, Base<'_>),
        (ours, theirs): (&Snapshot, &Snapshot),
        prefer: Prefer,
        only: Option<TableId>,
    ) -> Result<Merged> {
        let base = self.begins_merge(base)?;
        let mut merged = Merged {
            transaction: self.begin(ours)?,
            changes: Vec::new(),
            conflicts: Vec::new(),
            rules: Vec::new(),
        };
        objects::merge(&mut merged, (&base, of), ours, theirs, prefer, only)?;
        let snapshot = merged.transaction.snapshot();
        if let Some(table) = only.map(|id| snapshot.table_by_id(id)).transpose()?.flatten() {
            // Of all else the other side may have, what the table's columns count with.
            merged.transaction.bring_sequences(table.schema(), theirs)?;
        }
        Ok(merged)
    }
}

impl Merged {
    /// # Errors
    /// MergeConflict where anything is left to decide, naming the first few. `hint` says how to decide
    /// what can be decided.
    pub fn check_decided(&self, what: &str, hint: impl FnOnce() -> String) -> Result<()> {
        const SHOWN: usize = 10;
        let left = self.conflicts.iter().filter(|conflict| conflict.settled != Settled::Decided);
        let left: Vec<&Conflict> = left.collect();
        let Some(first) = left.first() else { return Ok(()) };
        let mut lines: Vec<String> = left.iter().take(SHOWN).map(|one| describe(one)).collect();
        if left.len() > SHOWN {
            lines.push(format!("and {} more", left.len() - SHOWN));
        }
        let by_hand = left.iter().any(|conflict| conflict.settled == Settled::ByHand);
        let others = match left.len() - 1 {
            0 => String::new(),
            1 => " and 1 other".to_owned(),
            n => format!(" and {n} others"),
        };
        let at = format!("\"{}\"{}{others}", first.relation, first.key);
        Err(Error::new(ErrorKind::MergeConflict, format!("{what} conflicts at {at}"))
            .detail(lines.join("\n"))
            .hint(if by_hand { BY_HAND.to_owned() } else { hint() }))
    }
}

const BY_HAND: &str = "WHEN CONFLICT cannot decide all of it: change one of the branches so that both \
                       agree, then merge again";

fn describe(conflict: &Conflict) -> String {
    let side = |row: &Option<String>| row.clone().unwrap_or_else(|| "no row".to_owned());
    let Conflict { relation, key, why, .. } = conflict;
    if conflict.base.is_none() && conflict.ours.is_none() && conflict.theirs.is_none() {
        return format!("{relation}: {why}");
    }
    format!(
        "{relation}{key}: {why}: base {}, ours {}, theirs {}",
        side(&conflict.base),
        side(&conflict.ours),
        side(&conflict.theirs)
    )
}
