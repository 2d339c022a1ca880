//! Names of things that never change meaning: newtypes over the log's counters.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A commit: 1, 2, 3 …; numbers may skip, and grow in the order of visibility.
    CommitId
    /// A table or view, over all its versions and branches.
    TableId
    /// A column of one table; a dropped column's id is never used again.
    ColumnId
    /// An immutable Parquet file.
    SegmentId
    /// One shape of a table: its columns, keys and options.
    SchemaId
    /// One state of a table: which rows there are.
    VersionId
    /// The commits of one branch since its fork; inline batches hang on it.
    LineId
    /// One link of a deletion chain.
    LinkId
    /// A row of a table, kept through updates.
    RowId
}
