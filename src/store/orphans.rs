//! Orphans: files of segments that nothing names and nothing will.
//!
//! The epoch in a file's name says which run wrote it. What an earlier run left without a record is an
//! orphan, and goes when the folder is opened. What this run left is one when whoever published it is gone
//! without committing it: a statement that failed, a block that was rolled back.

use std::sync::{Arc, Weak};

use super::open::parse_name;
use super::{Store, collect};
use crate::error::Result;
use crate::log::{Records, Space, key};
use crate::segment::SEGMENTS_DIR;
use crate::spec::{SegmentId, SegmentMeta};

impl Store {
    /// Notes a published segment, which nothing names before its commit.
    pub(super) fn published(&self, meta: SegmentMeta) -> Arc<SegmentMeta> {
        let meta = Arc::new(meta);
        self.shared.published.lock().insert(meta.id, Arc::downgrade(&meta));
        meta
    }

    /// Removes orphans, or only lists them; their names in the data folder. With a time (µs since
    /// 1970-01-01 UTC), only those that were last written before it.
    ///
    /// # Errors
    /// Io.
    pub fn remove_orphans(&self, older_than_us: Option<i64>, dry_run: bool) -> Result<Vec<String>> {
        let vfs = &self.shared.vfs;
        let mut orphans = Vec::new();
        for name in vfs.list(SEGMENTS_DIR)?.0 {
            if self.is_orphan(&name)? && self.is_older(&name, older_than_us)? {
                orphans.push(name);
            }
        }
        if !dry_run && !orphans.is_empty() {
            collect::discard_names(vfs, &orphans)?;
        }
        Ok(orphans.into_iter().map(|name| format!("{SEGMENTS_DIR}/{name}")).collect())
    }

    fn is_orphan(&self, name: &str) -> Result<bool> {
        let Some((epoch, id)) = parse_name(name) else { return Ok(false) };
        // Asked before the log: who committed it and is gone left its record there.
        let abandoned = match self.shared.published.lock().get(&SegmentId(id)) {
            Some(published) => Weak::strong_count(published) == 0,
            None => epoch < self.shared.epoch,
        };
        if !abandoned {
            return Ok(false);
        }
        let view = self.shared.log.read()?;
        let named = view.get(Space::Segments, &key([id]))?.is_some()
            || view.get(Space::Collect, &key([id]))?.is_some();
        if named {
            self.shared.published.lock().remove(&SegmentId(id));
        }
        Ok(!named)
    }

    fn is_older(&self, name: &str, than_us: Option<i64>) -> Result<bool> {
        match than_us {
            Some(than_us) => {
                Ok(self.shared.vfs.modified_us(&format!("{SEGMENTS_DIR}/{name}"))? < than_us)
            }
            None => Ok(true),
        }
    }
}
