//! Files on their way out: from the log's list of what nothing names to `trash/`, and away.
//!
//! A file is listed in the transaction that forgets it, with its record, and goes only when every reader
//! that began before is gone. Then its names leave `segments/`, and last its row leaves the list, so a
//! crash in between leaves something to finish and nothing to miss.

use super::commit::{Request, Upkeep};
use super::{Shared, Store};
use crate::error::{ErrorKind, Result};
use crate::log::{Log, Records, Space, Transaction, key};
use crate::segment::SEGMENTS_DIR;
use crate::spec::{SegmentId, SegmentMeta};
use crate::vfs::Vfs;

/// The folder that files leave through.
pub(super) const TRASH_DIR: &str = "trash";

/// When a file that was let go may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Once those who read now are gone: they may have been told of it.
    ForReaders,
    /// At once.
    No,
}

impl Shared {
    /// Notes the era in which files were let go.
    pub(super) fn collect_later(&self, segments: &[(u64, Wait)]) {
        if segments.is_empty() {
            return;
        }
        let era = self.readers.next_era();
        let era_of = |wait: Wait| if wait == Wait::ForReaders { era } else { 0 };
        let mut waiting = self.collecting.lock();
        waiting.extend(segments.iter().map(|(segment, wait)| (*segment, era_of(*wait))));
    }
}

impl Store {
    /// Removes the files that nothing names and that no reader needs; how many segments went.
    ///
    /// # Errors
    /// Io.
    pub async fn collect(&self) -> Result<u64> {
        let ready: Vec<u64> = {
            let oldest = self.shared.readers.oldest_era();
            let waiting = self.shared.collecting.lock();
            waiting.iter().filter(|(_, era)| *era <= oldest).map(|(id, _)| *id).collect()
        };
        if ready.is_empty() {
            return Ok(0);
        }
        let store = self.clone();
        let gone = super::fold::blocking(move || {
            store.unlink(&ready)?;
            Ok(ready)
        })
        .await?;
        self.shared.collecting.lock().retain(|(id, _)| !gone.contains(id));
        let count = gone.len() as u64;
        self.submit(Request::Upkeep(Upkeep::Collected(gone))).await?;
        Ok(count)
    }

    fn unlink(&self, segments: &[u64]) -> Result<()> {
        let view = self.shared.log.read()?;
        let mut metas = Vec::with_capacity(segments.len());
        for segment in segments {
            let bytes = view.need(Space::Collect, &key([*segment]))?;
            metas.push(SegmentMeta::decode(&bytes)?);
        }
        drop(view);
        for meta in &metas {
            self.shared.segments.remove(&SegmentId(meta.id.0));
        }
        discard(&self.shared.vfs, &metas)
    }
}

/// Takes files out of the folder of segments, durably, and away.
pub(super) fn discard(vfs: &Vfs, metas: &[SegmentMeta]) -> Result<()> {
    let names: Vec<String> = metas
        .iter()
        .flat_map(|meta| {
            let keys = meta.keys.is_some().then(|| meta.keys_name());
            std::iter::once(meta.file_name()).chain(keys)
        })
        .collect();
    discard_names(vfs, &names)
}

/// As [`discard`]; a file that is gone already is fine.
pub(super) fn discard_names(vfs: &Vfs, names: &[String]) -> Result<()> {
    vfs.point("gc.trash")?;
    for name in names {
        let moved =
            vfs.rename_new(&format!("{SEGMENTS_DIR}/{name}"), &format!("{TRASH_DIR}/{name}"));
        match moved {
            Err(error) if error.kind() != ErrorKind::UndefinedFile => return Err(error),
            _ => {}
        }
    }
    vfs.sync_dir(SEGMENTS_DIR)?;
    vfs.point("gc.unlink")?;
    for name in names {
        match vfs.remove(&format!("{TRASH_DIR}/{name}")) {
            Err(error) if error.kind() != ErrorKind::UndefinedFile => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// At opening nobody reads: everything on the list goes.
pub(super) fn finish(vfs: &Vfs, log: &Log) -> Result<()> {
    let mut metas = Vec::new();
    log.read()?.scan(Space::Collect, &[], &[0xff; 16], &mut |_, value| {
        metas.push(SegmentMeta::decode(value)?);
        Ok(true)
    })?;
    if metas.is_empty() {
        return Ok(());
    }
    discard(vfs, &metas)?;
    let transaction = log.write()?;
    forget(&transaction, metas.iter().map(|meta| meta.id.0))?;
    transaction.commit()
}

/// Strikes files that are gone off the list.
pub(super) fn forget(
    transaction: &Transaction,
    segments: impl IntoIterator<Item = u64>,
) -> Result<()> {
    segments.into_iter().try_for_each(|id| transaction.remove(Space::Collect, &key([id])))
}
