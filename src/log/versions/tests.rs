//! What a history costs: as much as it changed, however long it is.

use super::*;
use crate::log::{Log, View};
use crate::spec::{CommitId, SchemaId, TableId};
use crate::vfs::Vfs;

/// Bytes of all versions and of the pages of their bases.
fn bytes(view: &View) -> u64 {
    let mut sum = 0;
    for space in [Space::Versions, Space::Pages] {
        let mut add = |_: &[u8], value: &[u8]| {
            sum += value.len() as u64;
            Ok(true)
        };
        view.scan(space, &key([0]), &[0xff; 9], &mut add).unwrap();
    }
    sum
}

#[test]
fn a_history_is_as_large_as_what_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(&Vfs::open(&dir.path().join("data")).unwrap()).unwrap();
    let mut id = 0;
    let mut next_id = || {
        id += 1;
        id
    };
    let mut last: Option<TableVersion> = None;
    let mut sizes = Vec::new();
    for _ in 0..4 {
        let transaction = log.write().unwrap();
        for _ in 0..1000 {
            let number = next_id();
            let next = TableVersion {
                id: VersionId(number),
                ..TableVersion::empty(TableId(1), SchemaId(1))
            };
            let (segment, commit) = (SegmentId(number), CommitId(number));
            let added = vec![SegmentEntry { segment, commit, since: None }];
            let change = SegmentChange { added, ..SegmentChange::default() };
            last = Some(put(&transaction, last.as_ref(), next, change, &mut next_id).unwrap());
        }
        transaction.commit().unwrap();
        let view = log.read().unwrap();
        let found = segments(&view, last.as_ref().unwrap()).unwrap();
        assert_eq!(found.len(), 1000 * (sizes.len() + 1));
        assert!(last.as_ref().unwrap().depth < DEPTH_MAX, "a version is few reads from its base");
        sizes.push(bytes(&view));
    }
    // Were every version, or every base, to list all there is, the last thousand would cost seven times
    // the first.
    let (first, fourth) = (sizes[0], sizes[3] - sizes[2]);
    assert!(fourth < first * 2, "1000 commits cost {first} bytes, then {fourth}");
}
