//! Plain data that the rooms above agree on, and its bytes: ids, types, tables, segments, commits.
//!
//! Nothing here does I/O, reads a clock or takes a lock. What is written to disk is encoded by
//! [`codec`]: every record starts with a version byte of its own, so that a newer program reads what
//! an older one wrote. Start reading at [`table`].

pub mod binary;
pub mod codec;
mod column;
pub mod commit;
pub mod constraint;
pub mod foreign;
pub mod ids;
pub mod key;
pub mod length;
pub mod manifest;
mod retention;
#[cfg(test)]
pub(crate) mod samples;
pub mod segment;
pub mod table;
pub mod text;
pub mod types;
pub mod value;
pub mod view;
mod widening;

pub use commit::{
    Commit, CommitKind, Ref, RefKind, ReflogAction, ReflogEntry, TableChange, ref_label, ref_table,
    table_ref,
};
pub use constraint::{Check, EnforcedKey, Generated, PrimaryKey, UniqueKey};
pub use ids::{ColumnId, CommitId, LineId, LinkId, RowId, SchemaId, SegmentId, TableId, VersionId};
pub use manifest::{DeleteLink, DeleteUnion, LineRange, RetiredEntry, SegmentEntry, TableVersion};
pub use retention::Retention;
pub use segment::{ColumnStatistics, FileChecksums, RowIds, SegmentMeta};
pub use table::{Column, RETENTION, TableSchema, retention_us};
pub use types::Type;
pub use value::Value;
pub use view::{Sequence, View, ViewUse};
