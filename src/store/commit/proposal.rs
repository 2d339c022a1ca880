//! What a writer asks of the committer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::segment::InlineRows;
use crate::spec::{
    CommitId, RefKind, ReflogAction, Retention, SegmentMeta, Sequence, TableId, TableSchema,
    VersionId, View,
};
use crate::store::replaced::Replaced;
use crate::store::table::Table;
use crate::store::transaction::RowRefs;

/// A transaction, as far as the committer needs to know it.
pub(in crate::store) struct Proposal {
    pub branch: String,
    /// The commit it was checked against.
    pub base: CommitId,
    pub tables: BTreeMap<TableId, TableProposal>,
    pub catalog: Vec<CatalogWrite>,
    /// Sequences that count anew, and the counts they go on from.
    pub restarted: Vec<(TableId, TableId)>,
    pub properties: Vec<(String, String)>,
    /// The commit of another branch that this one joins, all of it or one table.
    pub merged: Option<(CommitId, Option<TableId>)>,
    /// Whether the branch must still be at `base`: a check was evaluated there.
    pub exact: bool,
}

impl Proposal {
    /// Whether it rests on having seen every row of a table.
    pub fn verified(&self, table: TableId) -> bool {
        verified(&self.catalog, table)
    }
}

/// Whether these changes rest on having seen every row of a table.
pub(in crate::store) fn verified(writes: &[CatalogWrite], table: TableId) -> bool {
    writes.iter().any(|write| {
        matches!(write, CatalogWrite::AlterTable { schema, verified: true, .. } if schema.table == table)
    })
}

/// The change of one table.
#[derive(Clone, Default)]
pub(in crate::store) struct TableProposal {
    /// The state that the rest of the change is made on, where it is not the branch's own.
    pub taken: Option<Taken>,
    /// Published segments.
    pub segments: Vec<Arc<SegmentMeta>>,
    /// Rows for the log.
    pub inline: Option<InlineRows>,
    /// Rows that go.
    pub deleted: RowRefs,
    /// Which rows the new ones come in place of: none that came meanwhile may be among them.
    pub replaced: Vec<Replaced>,
    /// A key that came to be there meanwhile is a conflict, not a duplicate.
    pub reruns: bool,
    pub added_rows: u64,
    pub deleted_rows: u64,
}

/// A state of a table that its branch takes over: a merge's, an earlier one, another branch's.
#[derive(Clone)]
pub(in crate::store) struct Taken {
    /// Its record is not written yet, but for the chain of deletes unless `united`. Entries and
    /// ranges whose `since` is [`crate::store::table::UNCOMMITTED`] get the commit's number.
    pub table: Arc<Table>,
    /// The version on the branch that it was made for; None where the branch has no such table.
    pub instead_of: Option<VersionId>,
    /// Whether its deletes are in no chain yet.
    pub united: bool,
    pub added_rows: u64,
    pub deleted_rows: u64,
}

/// A change of names and shapes.
#[derive(Clone)]
pub(in crate::store) enum CatalogWrite {
    CreateTable(Arc<TableSchema>),
    AlterTable {
        /// The schema (namespace) and the name before.
        was: (String, String),
        schema: Arc<TableSchema>,
        /// Whether rows were looked at, so that none may have come since.
        verified: bool,
    },
    CreateView(Arc<View>),
    AlterView {
        was: (String, String),
        view: Arc<View>,
    },
    CreateSequence(Arc<Sequence>),
    AlterSequence {
        was: (String, String),
        sequence: Arc<Sequence>,
    },
    CreateNamespace(String),
    CommentNamespace {
        name: String,
        comment: Option<String>,
    },
    DropNamespace(String),
    Drop {
        id: TableId,
        namespace: String,
        name: String,
    },
}

impl CatalogWrite {
    /// The id of what it makes.
    pub fn made(&self) -> Option<TableId> {
        match self {
            CatalogWrite::CreateTable(schema) => Some(schema.table),
            CatalogWrite::CreateView(view) => Some(view.id),
            CatalogWrite::CreateSequence(sequence) => Some(sequence.id),
            CatalogWrite::AlterTable { .. }
            | CatalogWrite::AlterView { .. }
            | CatalogWrite::AlterSequence { .. }
            | CatalogWrite::CreateNamespace(_)
            | CatalogWrite::CommentNamespace { .. }
            | CatalogWrite::DropNamespace(_)
            | CatalogWrite::Drop { .. } => None,
        }
    }

    /// What it was called, for messages.
    pub fn name(&self) -> &str {
        match self {
            CatalogWrite::CreateTable(schema) => &schema.name,
            CatalogWrite::CreateView(view) => &view.name,
            CatalogWrite::CreateSequence(sequence) => &sequence.name,
            CatalogWrite::AlterTable { was, .. }
            | CatalogWrite::AlterView { was, .. }
            | CatalogWrite::AlterSequence { was, .. } => &was.1,
            CatalogWrite::CreateNamespace(name)
            | CatalogWrite::DropNamespace(name)
            | CatalogWrite::CommentNamespace { name, .. }
            | CatalogWrite::Drop { name, .. } => name,
        }
    }

    /// The id of what it changes and keeps.
    pub fn alters(&self) -> Option<TableId> {
        match self {
            CatalogWrite::AlterTable { schema, .. } => Some(schema.table),
            CatalogWrite::AlterView { view, .. } => Some(view.id),
            CatalogWrite::AlterSequence { sequence, .. } => Some(sequence.id),
            _ => None,
        }
    }

    /// Whether it drops this.
    pub fn drops(&self, object: TableId) -> bool {
        matches!(self, CatalogWrite::Drop { id, .. } if *id == object)
    }

    /// Whether it frees this name for another object.
    pub fn frees(&self, namespace: &str, name: &str) -> bool {
        match self {
            CatalogWrite::AlterTable { was, .. }
            | CatalogWrite::AlterView { was, .. }
            | CatalogWrite::AlterSequence { was, .. } => {
                (was.0.as_str(), was.1.as_str()) == (namespace, name)
            }
            CatalogWrite::Drop { namespace: n, name: m, .. } => {
                (n.as_str(), m.as_str()) == (namespace, name)
            }
            _ => false,
        }
    }

    /// The name that an object gets.
    pub fn takes(&self) -> Option<(&str, &str)> {
        Some(match self {
            CatalogWrite::CreateTable(schema) => (&schema.namespace, &schema.name),
            CatalogWrite::CreateView(view) => (&view.namespace, &view.name),
            CatalogWrite::CreateSequence(sequence) => (&sequence.namespace, &sequence.name),
            CatalogWrite::AlterTable { was, schema, .. } => {
                return renamed(was, &schema.namespace, &schema.name);
            }
            CatalogWrite::AlterView { was, view } => {
                return renamed(was, &view.namespace, &view.name);
            }
            CatalogWrite::AlterSequence { was, sequence } => {
                return renamed(was, &sequence.namespace, &sequence.name);
            }
            CatalogWrite::CreateNamespace(_)
            | CatalogWrite::CommentNamespace { .. }
            | CatalogWrite::DropNamespace(_)
            | CatalogWrite::Drop { .. } => return None,
        })
    }
}

fn renamed<'a>(
    was: &(String, String),
    namespace: &'a str,
    name: &'a str,
) -> Option<(&'a str, &'a str)> {
    ((was.0.as_str(), was.1.as_str()) != (namespace, name)).then_some((namespace, name))
}

/// A branch or tag to be made.
#[derive(Clone, Debug)]
pub struct NewRef {
    /// Its full name.
    pub name: String,
    /// Branch or tag.
    pub kind: RefKind,
    /// Where it points.
    pub at: CommitId,
    /// How long it lasts.
    pub retention: Retention,
    /// One of this name and kind moves there instead.
    pub replace: bool,
}

/// A change of refs.
pub(in crate::store) enum RefRequest {
    Create(NewRef),
    Rename {
        name: String,
        to: String,
    },
    Protect {
        name: String,
        protected: bool,
    },
    Drop {
        name: String,
        kind: RefKind,
        /// Only if it still points there.
        at: Option<CommitId>,
    },
    /// Moves a branch from the commit it is expected to be at.
    Move {
        name: String,
        from: CommitId,
        to: CommitId,
        action: ReflogAction,
    },
}
