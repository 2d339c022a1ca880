//! Decoded pages and blocks of key filters, within budgets of bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Map;

use crate::error::Result;
use crate::spec::SegmentId;

/// What look-ups keep: pages they decoded, and blocks of key filters. Shared by the open segments of
/// a database; scans pass it by, so that they push nothing out.
pub struct Cache {
    pages: Map<PageKey, ArrayRef, PageWeight>,
    blocks: Map<(SegmentId, u64), Bytes, BlockWeight>,
}

/// One page of one column of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub segment: SegmentId,
    pub column: u32,
    pub page: u32,
}

/// Bytes an entry takes beside its value.
const ENTRY_BYTES: u64 = 64;
/// About how large an entry is, from which the number of entries is guessed.
const TYPICAL_BYTES: u64 = 64 << 10;

#[derive(Clone)]
struct PageWeight;

impl Weighter<PageKey, ArrayRef> for PageWeight {
    fn weight(&self, _: &PageKey, page: &ArrayRef) -> u64 {
        page.get_array_memory_size() as u64 + ENTRY_BYTES
    }
}

#[derive(Clone)]
struct BlockWeight;

impl Weighter<(SegmentId, u64), Bytes> for BlockWeight {
    fn weight(&self, _: &(SegmentId, u64), block: &Bytes) -> u64 {
        block.len() as u64 + ENTRY_BYTES
    }
}

impl Cache {
    /// A cache that keeps at most this many bytes of decoded pages and of key filters.
    pub fn new(pages_bytes: u64, keys_bytes: u64) -> Arc<Cache> {
        let items = |bytes: u64| (bytes / TYPICAL_BYTES) as usize + 16;
        Arc::new(Cache {
            pages: Map::with_weighter(items(pages_bytes), pages_bytes, PageWeight),
            blocks: Map::with_weighter(items(keys_bytes), keys_bytes, BlockWeight),
        })
    }

    /// Bytes held now: of decoded pages, and of key filters.
    pub fn bytes(&self) -> (u64, u64) {
        (self.pages.weight(), self.blocks.weight())
    }

    pub(super) fn page(
        &self,
        key: PageKey,
        decode: impl FnOnce() -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        self.pages.get_or_insert_with(&key, decode)
    }

    pub(super) fn block(
        &self,
        key: (SegmentId, u64),
        read: impl FnOnce() -> Result<Bytes>,
    ) -> Result<Bytes> {
        self.blocks.get_or_insert_with(&key, read)
    }
}
