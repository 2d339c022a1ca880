//! Damaged files: an error that names the file, never other rows.

use super::*;
use crate::error::ErrorKind;

struct Damaged {
    folder: Folder,
    meta: SegmentMeta,
    schema: Arc<TableSchema>,
    rows: RecordBatch,
}

fn damaged() -> Damaged {
    let folder = Folder::new();
    // Several blocks of 64 KiB: some are read at open, some only by the scan.
    let schema = table(&[("k", Type::Int8), ("t", Type::Text)], 1);
    let word = |i: u64| format!("{:x}", (i * i).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let noise = |i: u64| (1..6).map(|j| word(i * 6 + j)).collect::<String>();
    let texts: arrow::array::StringViewArray = (0..6000).map(|i| Some(noise(i))).collect();
    let keys: Int64Array = (0..6000).map(Some).collect();
    let rows = RecordBatch::try_new(schema.arrow(), vec![Arc::new(keys), Arc::new(texts)]).unwrap();
    let meta = folder.write(spec(&schema), std::slice::from_ref(&rows));
    assert!(meta.file.blocks.len() >= 3, "{} bytes", meta.file.bytes);
    Damaged { folder, meta, schema, rows }
}

impl Damaged {
    fn read(&self) -> Result<RecordBatch> {
        let segment = self.folder.open(&self.meta)?;
        let projection = Projection::new(self.schema.clone(), ids(&[1, 2]));
        let taken = segment.take(&projection, &[0, 2500, 5999])?;
        let all = scan_all(&segment, ScanRequest::new(projection))?;
        assert_eq!(taken.column(1).slice(1, 1).as_ref(), all.column(1).slice(2500, 1).as_ref());
        Ok(all)
    }

    fn path(&self) -> String {
        format!("{SEGMENTS_DIR}/{}", self.meta.file_name())
    }

    fn check(&self, what: &str) {
        match self.read() {
            Ok(rows) => {
                assert_eq!(rows.column(0), self.rows.column(0), "{what}");
                assert_eq!(rows.column(1), self.rows.column(1), "{what}");
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Corrupt, "{what}: {e}");
                assert!(e.message().contains("e3-7.parquet"), "{what}: {e}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let damaged = damaged();
    let file = damaged.folder.vfs.open_write(&damaged.path()).unwrap();
    let bytes = damaged.meta.file.bytes;
    let tail = (bytes - 600..bytes).step_by(7);
    let everywhere = (0..bytes).step_by(bytes as usize / 60);
    for at in everywhere.chain(tail).chain([0, bytes - 1]) {
        let byte = file.bytes_at(at, 1).unwrap()[0];
        file.write_at(at, &[byte ^ 1 << (at % 8)]).unwrap();
        damaged.check(&format!("bit flipped at {at}"));
        let segment = damaged.folder.open(&damaged.meta);
        let verified = segment.and_then(|s| s.verify());
        assert_eq!(verified.unwrap_err().kind(), ErrorKind::Corrupt);
        file.write_at(at, &[byte]).unwrap();
    }
    assert_eq!(damaged.read().unwrap().num_rows(), 6000);
}

#[test]
fn an_error_names_the_block() {
    let damaged = damaged();
    let file = damaged.folder.vfs.open_write(&damaged.path()).unwrap();
    file.write_at(70_000, &[0; 64]).unwrap();
    let error = damaged.read().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("block at byte 65536"), "{error}");
}

#[test]
fn truncated_extended_swapped_and_missing_files_are_corrupt() {
    let damaged = damaged();
    let vfs = &damaged.folder.vfs;
    let file = vfs.open_write(&damaged.path()).unwrap();
    let bytes = damaged.meta.file.bytes;
    let all = file.bytes_at(0, bytes as usize).unwrap();
    for length in [0, 1, 100, bytes / 2, bytes - 1, bytes + 1] {
        file.set_len(length).unwrap();
        assert_eq!(damaged.read().unwrap_err().kind(), ErrorKind::Corrupt, "{length}");
        file.write_at(0, &all).unwrap();
        file.set_len(bytes).unwrap();
    }
    // Two blocks exchanged, a zeroed page.
    file.write_at(0, &all[65_536..131_072]).unwrap();
    file.write_at(65_536, &all[..65_536]).unwrap();
    assert_eq!(damaged.read().unwrap_err().kind(), ErrorKind::Corrupt);
    vfs.remove(&damaged.path()).unwrap();
    assert_eq!(damaged.read().unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_file_cut_while_it_is_open_is_corrupt() {
    let damaged = damaged();
    let segment = damaged.folder.open(&damaged.meta).unwrap();
    damaged.folder.vfs.open_write(&damaged.path()).unwrap().set_len(1000).unwrap();
    let request = ScanRequest::new(Projection::new(damaged.schema.clone(), ids(&[2])));
    assert_eq!(scan_all(&segment, request).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_damaged_key_filter_is_noticed() {
    let damaged = damaged();
    let path = format!("{SEGMENTS_DIR}/{}", damaged.meta.keys_name());
    let file = damaged.folder.vfs.open_write(&path).unwrap();
    let bytes = damaged.meta.keys.as_ref().unwrap().bytes;
    for at in (0..bytes).step_by(bytes as usize / 40) {
        let byte = file.bytes_at(at, 1).unwrap()[0];
        file.write_at(at, &[byte ^ 0x10]).unwrap();
        let segment = damaged.folder.open(&damaged.meta).unwrap();
        let error = segment.key_filter(&damaged.schema, &ids(&[1])).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("e3-7.keys"), "{error}");
        file.write_at(at, &[byte]).unwrap();
    }
}
