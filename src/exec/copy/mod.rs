//! COPY's own formats, text, CSV and binary, exactly as PostgreSQL reads and writes them: bytes in
//! chunks of any size to record batches, and back.
//!
//! No plan, no table and no I/O: the caller moves the bytes and the batches. Parquet is not here; it
//! is a segment's business. Memory is bounded: one batch in the making (at most [`BATCH_ROWS`] rows or
//! [`BATCH_BYTES`] of input) and one line (at most [`LINE_BYTES_MAX`]).
//!
//! ```text
//! chunks → lines (or binary tuples) → fields → spec::text / spec::binary builders → RecordBatch
//! ```
//!
//! Every error about a row has the SQLSTATE PostgreSQL gives and says where:
//! `COPY flights, line 123, column dep_time: "abc"`. Start reading at [`CopyReader::read`].

mod csv;
mod fit;
mod lines;
mod options;
mod place;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod text;
mod tuples;
mod write;

pub use fit::fit;
pub use options::{ColumnChoice, CopyColumn, CopyFormat, CopyHeader, CopyOptions};
pub use read::CopyReader;
pub use write::CopyWriter;

/// Rows of a batch.
pub const BATCH_ROWS: usize = 8_192;
/// Bytes of input after which a batch is complete.
pub const BATCH_BYTES: usize = 4 << 20;
/// Bytes of the longest line, or binary row, that is taken.
pub const LINE_BYTES_MAX: usize = 16 << 20;
