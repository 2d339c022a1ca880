use std::io::Read;
use std::process::Command;

use super::points::Action;
use super::*;
use crate::error::ErrorKind;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn folder() -> (tempfile::TempDir, Vfs) {
    let dir = tempfile::tempdir().unwrap();
    let vfs = Vfs::open(&dir.path().join("data")).unwrap();
    (dir, vfs)
}

#[test]
fn files_are_written_read_renamed_and_listed() {
    let (_dir, vfs) = folder();
    vfs.make_dir("segments/deep").unwrap();
    let file = vfs.create_new("segments/a").unwrap();
    file.reserve(1 << 16).unwrap();
    file.append().write(b"hello world").unwrap();
    assert_eq!(file.len().unwrap(), 11);
    file.set_len(5).unwrap();
    file.sync_all().unwrap();
    let again = vfs.open_read("segments/a").unwrap();
    assert_eq!(&again.bytes_at(1, 4).unwrap()[..], b"ello");
    assert_eq!(again.bytes_at(1, 5).unwrap_err().kind(), ErrorKind::Corrupt);
    let mut text = String::new();
    again.reader().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");

    vfs.create_new("segments/b").unwrap();
    assert_eq!(vfs.rename_new("segments/a", "segments/b").unwrap_err().kind(), ErrorKind::Io);
    vfs.rename_new("segments/a", "segments/c").unwrap();
    vfs.sync_dir("segments").unwrap();
    let (files, dirs) = vfs.list("segments").unwrap();
    assert_eq!((files, dirs), (vec!["b".into(), "c".into()], vec!["deep".to_owned()]));
    assert_eq!(vfs.len("segments/c").unwrap(), 5);
    vfs.remove_dir_all("segments").unwrap();
    vfs.remove_dir_all("segments").unwrap();
    assert!(!vfs.exists("segments").unwrap());
    assert!(vfs.free_bytes().unwrap() > 0);
}

#[test]
fn errors_name_the_file_and_their_kind() {
    let (_dir, vfs) = folder();
    let missing = vfs.open_read("nothing").err().unwrap();
    assert_eq!(missing.kind(), ErrorKind::UndefinedFile);
    assert!(missing.message().contains("\"nothing\""), "{missing}");
    vfs.create_new("there").unwrap();
    let error = vfs.create_new("there").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    for name in ["../x", "/etc/passwd", "a/../b", "a//b", "", ".", "a\0b"] {
        assert_eq!(vfs.open_write(name).err().unwrap().kind(), ErrorKind::InvalidName, "{name:?}");
    }
}

#[test]
fn symbolic_links_are_not_followed() {
    let (dir, vfs) = folder();
    std::os::unix::fs::symlink(dir.path(), vfs.root().join("out")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", vfs.root().join("link")).unwrap();
    assert!(vfs.open_read("link").is_err());
    assert!(vfs.create_new("out/file").is_err());
}

#[test]
fn a_folder_is_locked_by_one_at_a_time() {
    let (_dir, vfs) = folder();
    let lock = vfs.lock().unwrap();
    let other = Vfs::open(vfs.root()).unwrap();
    let error = other.lock().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::DataDirectory);
    let (root, pid) = (vfs.root().display(), std::process::id());
    assert_eq!(error.message(), format!("data directory \"{root}\" is in use by pid {pid}"));
    drop(lock);
    other.lock().unwrap();
}

#[test]
fn the_chosen_call_fails_with_the_chosen_error() {
    let dir = tempfile::tempdir().unwrap();
    let work = |faults: &std::sync::Arc<Faults>| {
        let vfs = Vfs::open_faulty(dir.path(), faults)?;
        let file = vfs.open_write("f")?;
        file.write_at(0, b"x")?;
        file.sync_data()?;
        vfs.remove("f")
    };
    let counted = Faults::new(0, 0);
    work(&counted).unwrap();
    assert_eq!(counted.calls(), 4);
    for call in 1..=4 {
        assert_eq!(work(&Faults::new(call, EIO)).unwrap_err().kind(), ErrorKind::Io);
        let error = work(&Faults::new(call, ENOSPC)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DiskFull);
    }
}

#[test]
fn fail_points_act_at_their_hit() {
    let (_dir, vfs) = folder();
    vfs.point("a").unwrap();
    vfs.points().arm_all("a=error(ENOSPC)@2, b=sleep(0)").unwrap();
    vfs.point("a").unwrap();
    vfs.point("b").unwrap();
    assert_eq!(vfs.point("a").unwrap_err().kind(), ErrorKind::DiskFull);
    vfs.point("a").unwrap();
    vfs.points().arm("c", Action::Error(EIO), None);
    assert_eq!(vfs.point("c").unwrap_err().kind(), ErrorKind::Io);
    vfs.points().disarm();
    vfs.point("c").unwrap();
    for wrong in ["a", "a=explode", "a=error(EIO)@x", "a=sleep"] {
        assert_eq!(vfs.points().arm_all(wrong).unwrap_err().kind(), ErrorKind::InvalidValue);
    }
}

/// Run by the next test in a process of its own.
#[test]
fn torn_write_of_a_child_process() {
    let Ok(root) = std::env::var("ASOFDB_TEST_TORN") else { return };
    let vfs = Vfs::open(std::path::Path::new(&root)).unwrap();
    let file = vfs.create_new("torn").unwrap();
    vfs.point_write("w", b"0123456789", &file, 0).unwrap();
    panic!("the fail point did not kill the process");
}

#[test]
fn a_torn_write_leaves_its_first_bytes_and_kills() {
    use std::os::unix::process::ExitStatusExt;
    let (_dir, vfs) = folder();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "vfs::tests::torn_write_of_a_child_process"])
        .env("ASOFDB_TEST_TORN", vfs.root())
        .env("ASOFDB_FAILPOINTS", "w=torn(4)")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9));
    assert_eq!(&vfs.open_read("torn").unwrap().bytes_at(0, 4).unwrap()[..], b"0123");
    assert_eq!(vfs.len("torn").unwrap(), 4);
}

#[test]
fn outside_files_are_made_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.csv");
    let path = path.to_str().unwrap();
    outside::create(path).unwrap().append().write(b"1,2\n").unwrap();
    outside::create(path).unwrap().append().write(b"3\n").unwrap();
    let mut text = String::new();
    outside::open(path).unwrap().reader().read_to_string(&mut text).unwrap();
    assert_eq!(text, "3\n");
    assert_eq!(outside::open("/nowhere/x").err().unwrap().kind(), ErrorKind::UndefinedFile);
    assert!(outside::open(dir.path().to_str().unwrap()).is_err());
}
