//! What the system holds in memory for this process.

use std::fs;

/// The bytes of the process's own pages, in which freed pieces between used ones count, and files that
/// are only mapped do not; None where the system does not tell.
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_pages() {
        let before = super::resident_bytes().expect("the system tells it");
        let pages = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = super::resident_bytes().expect("the system tells it");
        assert!(before > 0 && after > 32 << 20, "{before}, {after} with {} more", pages.len());
    }
}
