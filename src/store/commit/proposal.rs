//! What a writer asks of the committer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::segment::InlineRows;
use crate::spec::{
    CommitId, RefKind, ReflogAction, Retention, SegmentMeta, TableId, TableSchema, View,
};
use crate::store::transaction::RowRefs;

/// A transaction, as far as the committer needs to know it.
pub(in crate::store) struct Proposal {
    pub branch: String,
    /// The commit it was checked against.
    pub base: CommitId,
    pub tables: BTreeMap<TableId, TableProposal>,
    pub catalog: Vec<CatalogWrite>,
    pub properties: Vec<(String, String)>,
}

/// The change of one table.
#[derive(Clone, Default)]
pub(in crate::store) struct TableProposal {
    /// Published segments.
    pub segments: Vec<Arc<SegmentMeta>>,
    /// Rows for the log.
    pub inline: Option<InlineRows>,
    /// Rows that go.
    pub deleted: RowRefs,
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
    },
    /// Moves a branch from the commit it is expected to be at.
    Move {
        name: String,
        from: CommitId,
        to: CommitId,
        action: ReflogAction,
    },
}
