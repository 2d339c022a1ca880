//! Temporary tables and views: of one session, on top of whatever it reads, never in the log.
//!
//! They live in the overlay of the session's snapshots and transactions, which marks them. A
//! transaction that is rolled back leaves them as they were: the session keeps what the last one that
//! committed had. Segments of large ones are files that no record names; they go with the session, or
//! when the folder is opened again.

use std::sync::Arc;

use super::snapshot::{Overlay, Snapshot};
use super::table::Table;
use super::transaction::Transaction;
use super::{SEGMENTS_DIR, Store};
use crate::spec::TableId;

/// The schema (namespace) of temporary tables.
pub const TEMPORARY_NAMESPACE: &str = "pg_temp";

/// What ON COMMIT does, as a temporary table's options have it.
pub const ON_COMMIT: &str = "on_commit";

/// The temporary tables of a session.
#[derive(Clone, Default)]
pub struct Temporary(Option<Arc<Overlay>>);

impl Temporary {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// After a commit: those made ON COMMIT DROP are gone, those ON COMMIT DELETE ROWS empty.
    pub fn after_commit(mut self) -> Temporary {
        let Some(overlay) = &mut self.0 else { return self };
        let asked: Vec<(TableId, bool)> = overlay
            .tables
            .iter()
            .filter_map(|(id, table)| {
                let options = &table.schema().options;
                let (_, what) = options.iter().find(|(name, _)| name == ON_COMMIT)?;
                Some((*id, what == "drop"))
            })
            .collect();
        for (id, drop) in asked {
            let overlay = Arc::make_mut(overlay);
            let Some(table) = overlay.tables.remove(&id) else { continue };
            match drop {
                true => {
                    overlay.names.retain(|_, named| *named != Some(id));
                    overlay.temporary.remove(&id);
                }
                false => {
                    let empty = Table::empty(table.store().clone(), Arc::clone(table.schema()));
                    overlay.tables.insert(id, Arc::new(empty));
                }
            }
        }
        if overlay.temporary.is_empty() { Temporary::default() } else { self }
    }

    /// Removes the files of large ones; nothing reads them any more.
    pub fn remove_files(&self, store: &Store) {
        for table in self.0.iter().flat_map(|overlay| overlay.tables.values()) {
            for segment in table.segments() {
                let meta = &segment.meta;
                let names = [Some(meta.file_name()), meta.keys.as_ref().map(|_| meta.keys_name())];
                for name in names.into_iter().flatten() {
                    if let Err(error) = store.vfs().remove(&format!("{SEGMENTS_DIR}/{name}")) {
                        tracing::warn!(%error, "a temporary file stays until the folder is opened");
                    }
                }
            }
        }
    }
}

impl Snapshot {
    /// Whether it shows temporary tables.
    pub fn has_temporary(&self) -> bool {
        self.overlay.as_ref().is_some_and(|overlay| !overlay.temporary.is_empty())
    }

    /// The same, with a session's temporary tables on top.
    pub fn with_temporary(mut self, temporary: &Temporary) -> Snapshot {
        if self.overlay.is_none() {
            self.overlay.clone_from(&temporary.0);
        }
        self
    }
}

impl Transaction {
    /// Its temporary tables as it leaves them.
    pub fn temporary(&self) -> Temporary {
        let marked = &self.overlay.temporary;
        if marked.is_empty() {
            return Temporary::default();
        }
        let mut kept = Overlay { temporary: marked.clone(), ..Overlay::default() };
        for (id, table) in &self.overlay.tables {
            if marked.contains(id) {
                let schema = table.schema();
                kept.names.insert((schema.namespace.clone(), schema.name.clone()), Some(*id));
                kept.tables.insert(*id, Arc::clone(table));
            }
        }
        for (id, view) in self.overlay.views.iter().filter(|(id, _)| marked.contains(id)) {
            kept.names.insert((view.namespace.clone(), view.name.clone()), Some(*id));
            kept.views.insert(*id, Arc::clone(view));
        }
        Temporary(Some(Arc::new(kept)))
    }

    pub(super) fn is_temporary(&self, table: TableId) -> bool {
        self.overlay.temporary.contains(&table)
    }
}
