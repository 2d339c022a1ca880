//! Commits and the names that point at them.

use super::codec::{Reader, Writer};
use super::ids::{CommitId, LineId, TableId, VersionId};
use super::retention::Retention;
use crate::error::Result;

/// What kind of change a commit is, in the words of `t.snapshots`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// Only new rows.
    Append,
    /// New rows in the place of old ones.
    Overwrite,
    /// Only rows gone.
    Delete,
    /// Tables, columns, views.
    Schema,
    /// Taken over from another branch.
    Merge,
    /// Rows moved, not changed: hidden from history.
    Maintain,
}

/// How one commit changed one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The table.
    pub table: TableId,
    /// Its state before; None where the commit made it.
    pub old: Option<VersionId>,
    /// Its state after; None where the commit dropped it.
    pub new: Option<VersionId>,
    /// Rows that came, new versions of updated rows included.
    pub added_rows: u64,
    /// Rows that went, old versions of updated rows included.
    pub deleted_rows: u64,
}

/// One atomic change of the whole database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its number.
    pub id: CommitId,
    /// The commit before it on its line of history; None for the first.
    pub parent: Option<CommitId>,
    /// The other parent of a merge.
    pub merge_parent: Option<CommitId>,
    /// The table that alone it took from there; None: all.
    pub merged_table: Option<TableId>,
    /// How many commits lie behind it.
    pub depth: u64,
    /// An ancestor much further back, so that any is found in O(log n) steps.
    pub jump: Option<CommitId>,
    /// The newest commit at or behind it, along first parents, that has another parent too.
    pub joined: Option<CommitId>,
    /// When it became visible: µs since 1970-01-01 UTC, strictly increasing over the database.
    pub time_us: i64,
    /// What it was.
    pub kind: CommitKind,
    /// The stretch of branch history it belongs to.
    pub line: LineId,
    /// The table whose branch it was made on: it shows nothing else. None on a branch of the database.
    pub only: Option<TableId>,
    /// The root of its catalog tree.
    pub root: u64,
    /// The tables it changed.
    pub changes: Vec<TableChange>,
    /// Run id, git hash, user, application, message: anything the writer said.
    pub properties: Vec<(String, String)>,
}

/// Whether a ref moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// Moves with every commit made on it.
    Branch,
    /// Never moves.
    Tag,
}

/// A name that points at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// Its identity in the reflog: a name made again is another ref.
    pub id: u64,
    /// The name; of a ref of one table `<table id>/<name>`: what people call a ref holds no slash.
    pub name: String,
    /// Branch or tag.
    pub kind: RefKind,
    /// Where it points.
    pub commit: CommitId,
    /// When it was made: µs since 1970-01-01 UTC.
    pub created_us: i64,
    /// How long it lasts.
    pub retention: Retention,
    /// Whether it moves only by being published to, and is not dropped or renamed.
    pub protected: bool,
}

/// The full name of a ref of one table.
pub fn table_ref(table: TableId, label: &str) -> String {
    format!("{}/{label}", table.0)
}

/// What people call the ref of this full name.
pub fn ref_label(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, label)| label)
}

/// The table that the ref of this full name is of; None where it is of the whole database.
pub fn ref_table(name: &str) -> Option<TableId> {
    name.split_once('/').and_then(|(table, _)| table.parse().ok()).map(TableId)
}

/// What moved a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReflogAction {
    /// The ref was made.
    Create,
    /// A commit was made on it.
    Commit,
    /// It was moved forward to a commit made elsewhere.
    FastForward,
    /// It was moved anywhere else.
    Reset,
    /// It was dropped.
    Drop,
    /// It got another name.
    Rename,
}

/// One move of one ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReflogEntry {
    /// When the move became visible: µs since 1970-01-01 UTC.
    pub time_us: i64,
    /// What moved it.
    pub action: ReflogAction,
    /// Where it points since.
    pub commit: CommitId,
}

impl Commit {
    /// The parents whose history a table has, or with None the whole database.
    pub fn parents_of(&self, table: Option<TableId>) -> impl Iterator<Item = CommitId> {
        let joins = self.merged_table.is_none() || self.merged_table == table;
        self.parent.into_iter().chain(self.merge_parent.filter(|_| joins))
    }

    /// The record of this commit.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(2);
        w.u64(self.id.0);
        w.option(self.parent, |w, id| w.u64(id.0));
        w.option(self.merge_parent, |w, id| w.u64(id.0));
        w.option(self.merged_table, |w, id| w.u64(id.0));
        w.u64(self.depth);
        w.option(self.jump, |w, id| w.u64(id.0));
        w.option(self.joined, |w, id| w.u64(id.0));
        w.i64(self.time_us);
        w.u8(match self.kind {
            CommitKind::Append => 0,
            CommitKind::Overwrite => 1,
            CommitKind::Delete => 2,
            CommitKind::Schema => 3,
            CommitKind::Merge => 4,
            CommitKind::Maintain => 5,
        });
        w.u64(self.line.0);
        w.option(self.only, |w, id| w.u64(id.0));
        w.u64(self.root);
        w.list(&self.changes, |w, c| {
            w.u64(c.table.0);
            w.option(c.old, |w, id| w.u64(id.0));
            w.option(c.new, |w, id| w.u64(id.0));
            w.u64(c.added_rows);
            w.u64(c.deleted_rows);
        });
        w.list(&self.properties, |w, (name, value)| {
            w.str(name);
            w.str(value);
        });
        w.finish()
    }

    /// The commit of a record.
    pub fn decode(bytes: &[u8]) -> Result<Commit> {
        let mut r = Reader::open_version(bytes, "commit", 2)?;
        Ok(Commit {
            id: CommitId(r.u64()?),
            parent: r.option(Reader::u64)?.map(CommitId),
            merge_parent: r.option(Reader::u64)?.map(CommitId),
            merged_table: r.option(Reader::u64)?.map(TableId),
            depth: r.u64()?,
            jump: r.option(Reader::u64)?.map(CommitId),
            joined: r.option(Reader::u64)?.map(CommitId),
            time_us: r.i64()?,
            kind: match r.u8()? {
                0 => CommitKind::Append,
                1 => CommitKind::Overwrite,
                2 => CommitKind::Delete,
                3 => CommitKind::Schema,
                4 => CommitKind::Merge,
                5 => CommitKind::Maintain,
                _ => return Err(r.corrupt("is of an unknown kind")),
            },
            line: LineId(r.u64()?),
            only: r.option(Reader::u64)?.map(TableId),
            root: r.u64()?,
            changes: r.list(|r| {
                Ok(TableChange {
                    table: TableId(r.u64()?),
                    old: r.option(Reader::u64)?.map(VersionId),
                    new: r.option(Reader::u64)?.map(VersionId),
                    added_rows: r.u64()?,
                    deleted_rows: r.u64()?,
                })
            })?,
            properties: r.list(|r| Ok((r.str()?, r.str()?)))?,
        })
    }
}

impl Ref {
    /// What people call it.
    pub fn label(&self) -> &str {
        ref_label(&self.name)
    }

    /// The table it is of; None where it is of the whole database.
    pub fn table(&self) -> Option<TableId> {
        ref_table(&self.name)
    }

    /// The record of this ref.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(2);
        w.u64(self.id);
        w.str(&self.name);
        w.bool(self.kind == RefKind::Branch);
        w.u64(self.commit.0);
        w.i64(self.created_us);
        self.retention.write(&mut w);
        w.bool(self.protected);
        w.finish()
    }

    /// The ref of a record.
    pub fn decode(bytes: &[u8]) -> Result<Ref> {
        let mut r = Reader::open_version(bytes, "ref", 2)?;
        Ok(Ref {
            id: r.u64()?,
            name: r.str()?,
            kind: if r.bool()? { RefKind::Branch } else { RefKind::Tag },
            commit: CommitId(r.u64()?),
            created_us: r.i64()?,
            retention: Retention::read(&mut r)?,
            protected: r.bool()?,
        })
    }
}

impl ReflogEntry {
    /// The record of this move.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.i64(self.time_us);
        w.u8(match self.action {
            ReflogAction::Create => 0,
            ReflogAction::Commit => 1,
            ReflogAction::FastForward => 2,
            ReflogAction::Reset => 3,
            ReflogAction::Drop => 4,
            ReflogAction::Rename => 5,
        });
        w.u64(self.commit.0);
        w.finish()
    }

    /// The move of a record.
    pub fn decode(bytes: &[u8]) -> Result<ReflogEntry> {
        let mut r = Reader::open_version(bytes, "reflog entry", 1)?;
        Ok(ReflogEntry {
            time_us: r.i64()?,
            action: match r.u8()? {
                0 => ReflogAction::Create,
                1 => ReflogAction::Commit,
                2 => ReflogAction::FastForward,
                3 => ReflogAction::Reset,
                4 => ReflogAction::Drop,
                5 => ReflogAction::Rename,
                _ => return Err(r.corrupt("is of an unknown action")),
            },
            commit: CommitId(r.u64()?),
        })
    }
}
