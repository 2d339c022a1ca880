//! What a writer asks of the committer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::segment::InlineRows;
use crate::spec::{
    CommitId, RefKind, ReflogAction, SegmentMeta, TableId, TableSchema, VersionId, View,
};
use crate::store::table::Table;
use crate::store::transaction::RowRefs;

/// A transaction, as far as the committer needs to know it.
pub(in crate::store) struct Proposal {
    pub branch: String,
    /// The commit it was checked against.
    pub base: CommitId,
    pub tables: BTreeMap<TableId, TableProposal>,
    pub catalog: Vec<CatalogWrite>,
    pub properties: Vec<(String, String)>,
    /// The commit of another branch that this one joins.
    pub merged: Option<CommitId>,
    /// Whether the branch must still be at `base`: a check was evaluated there.
    pub exact: bool,
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

/// A change of names.
#[derive(Clone)]
pub(in crate::store) enum CatalogWrite {
    CreateTable(Arc<TableSchema>),
    CreateView(Arc<View>),
    CreateNamespace(String),
    Drop { id: TableId, namespace: String, name: String },
}

impl CatalogWrite {
    /// The id of what it makes.
    pub fn made(&self) -> Option<TableId> {
        match self {
            CatalogWrite::CreateTable(schema) => Some(schema.table),
            CatalogWrite::CreateView(view) => Some(view.id),
            CatalogWrite::CreateNamespace(_) | CatalogWrite::Drop { .. } => None,
        }
    }

    /// Whether it drops this.
    pub fn drops(&self, object: TableId) -> bool {
        matches!(self, CatalogWrite::Drop { id, .. } if *id == object)
    }
}

/// A change of refs.
pub(in crate::store) enum RefRequest {
    Create {
        name: String,
        kind: RefKind,
        at: CommitId,
    },
    Drop {
        name: String,
        kind: RefKind,
    },
    /// Moves a branch from the commit it is expected to be at.
    Move {
        name: String,
        from: CommitId,
        to: CommitId,
        action: ReflogAction,
    },
}
