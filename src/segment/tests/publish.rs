//! Publishing: whole or not at all, whatever call or point fails.

use super::*;
use crate::error::ErrorKind;
use crate::vfs::{Faults, points::Action};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn publish(vfs: &Vfs) -> Result<SegmentMeta> {
    let (schema, batch) = events(1200, 30);
    let mut spec = spec(&schema);
    spec.options.expected_bytes = 1 << 20;
    let mut writer = SegmentWriter::create(vfs, spec)?;
    writer.write(&batch)?;
    writer.finish()
}

fn names(vfs: &Vfs, dir: &str) -> Vec<String> {
    vfs.list(dir).unwrap().0
}

#[test]
fn a_published_segment_is_there_with_its_filter_and_nothing_else() {
    let folder = Folder::new();
    let meta = publish(&folder.vfs).unwrap();
    assert_eq!(names(&folder.vfs, SEGMENTS_DIR), ["e3-7.keys", "e3-7.parquet"]);
    assert!(names(&folder.vfs, TMP_DIR).is_empty());
    let segment = folder.open(&meta).unwrap();
    segment.verify().unwrap();
    assert_eq!(meta.file.bytes, folder.vfs.len("segments/e3-7.parquet").unwrap());
    // The name is taken: a second segment of the id must not replace the first.
    assert!(publish(&folder.vfs).is_err());
    segment.verify().unwrap();
}

#[test]
fn a_refused_call_at_any_step_leaves_nothing_that_a_log_could_name() {
    let counted = Faults::new(0, 0);
    let folder = Folder::new();
    publish(&Vfs::open_faulty(folder.vfs.root(), &counted).unwrap()).unwrap();
    let calls = counted.calls();
    assert!(calls > 15, "{calls}");
    for call in 1..=calls {
        for errno in [EIO, ENOSPC] {
            let folder = Folder::new();
            let faulty = Vfs::open_faulty(folder.vfs.root(), &Faults::new(call, errno)).unwrap();
            let error = publish(&faulty).expect_err("every call matters");
            let kind = if errno == EIO { ErrorKind::Io } else { ErrorKind::DiskFull };
            assert_eq!(error.kind(), kind, "call {call}: {error}");
            // The disk works again, so that what was begun could be taken away.
            assert!(names(&folder.vfs, SEGMENTS_DIR).is_empty(), "call {call}");
            assert!(names(&folder.vfs, TMP_DIR).is_empty(), "call {call}");
            publish(&folder.vfs).unwrap();
        }
    }
}

#[test]
fn every_fail_point_of_publishing_is_reached() {
    let points = [
        "seg.create",
        "seg.fallocate",
        "seg.write",
        "seg.close",
        "seg.sync",
        "seg.readback",
        "seg.rename",
        "seg.dirsync",
    ];
    for point in points {
        let folder = Folder::new();
        folder.vfs.points().arm(point, Action::Error(EIO), Some(1));
        assert_eq!(publish(&folder.vfs).unwrap_err().kind(), ErrorKind::Io, "{point}");
        assert!(names(&folder.vfs, SEGMENTS_DIR).is_empty(), "{point}");
        publish(&folder.vfs).unwrap();
    }
}

#[test]
fn a_segment_has_rows() {
    let folder = Folder::new();
    let (schema, _) = events(1, 1);
    let writer = SegmentWriter::create(&folder.vfs, spec(&schema)).unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Internal);
    assert!(names(&folder.vfs, TMP_DIR).is_empty());
}
