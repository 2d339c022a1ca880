//! The key filter beside a segment.
use crate::error::Result;

/// A filter over the encoded keys of one segment.
pub struct KeyFilter;

impl KeyFilter {
    /// Whether a row of this encoded key may be in the segment; false is certain.
    pub fn may_contain(&self, _key: &[u8]) -> Result<bool> {
        todo!()
    }
}
