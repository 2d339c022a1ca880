//! Decoded pages and blocks of key filters, within a budget of bytes.
use std::sync::Arc;

/// Shared by the open segments of a database.
pub struct Cache;

impl Cache {
    /// A cache that keeps at most this many bytes of decoded pages and of key filters.
    pub fn new(_pages_bytes: u64, _keys_bytes: u64) -> Arc<Cache> {
        todo!()
    }
}
