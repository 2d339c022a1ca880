//! Parquet files of other programs: read for COPY FROM, written for COPY TO.

use std::io::{self, Read, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};

use super::foreign_types::{check_types, schema_of};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;
use crate::vfs::File;

/// Rows of a batch that is read.
const BATCH_ROWS: usize = 8192;

/// The rows of one file. Nothing about it was checked when it was written: a panic of the decoder
/// ends the statement that reads.
pub struct ParquetRows {
    name: String,
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
}

impl ParquetRows {
    /// Opens a file.
    ///
    /// # Errors
    /// BadCopyFormat where it is not Parquet, NotSupported for a compression that is not built in.
    pub fn open(file: &File) -> Result<ParquetRows> {
        let name = file.name().to_owned();
        let builder = ParquetRecordBatchReaderBuilder::try_new(Source(file.clone()));
        let builder = builder.map_err(|cause| unreadable(&name, cause))?;
        check_compression(&name, builder.metadata())?;
        let schema = Arc::clone(builder.schema());
        let reader = builder.with_batch_size(BATCH_ROWS).build();
        Ok(ParquetRows { schema, reader: reader.map_err(|cause| unreadable(&name, cause))?, name })
    }

    /// The columns, as the file names them.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Iterator for ParquetRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(|cause| unreadable(&self.name, cause)))
    }
}

/// # Errors
/// NotSupported.
fn check_compression(name: &str, file: &ParquetMetaData) -> Result<()> {
    let columns = file.row_groups().iter().flat_map(|group| group.columns());
    for column in columns {
        let codec = match column.compression() {
            Compression::GZIP(_) => "gzip",
            Compression::BROTLI(_) => "brotli",
            Compression::LZO => "lzo",
            _ => continue,
        };
        let message = format!("\"{name}\" is compressed with {codec}, which is not supported");
        return Err(Error::new(ErrorKind::NotSupported, message)
            .hint("write the file with zstd, snappy, lz4 or without compression"));
    }
    Ok(())
}

fn unreadable(name: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::BadCopyFormat, format!("\"{name}\" cannot be read as Parquet"))
        .caused_by(cause)
}

struct Source(File);

impl Length for Source {
    fn len(&self) -> u64 {
        self.0.len().unwrap_or(0)
    }
}

impl ChunkReader for Source {
    type T = io::BufReader<Part>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(io::BufReader::new(Part { file: self.0.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // A length that the file does not have must not reserve the machine.
        if start.saturating_add(length as u64) > self.len() {
            return Err(ParquetError::EOF("a column ends beyond the file".to_owned()));
        }
        self.0.bytes_at(start, length).map_err(|e| ParquetError::External(Box::new(e)))
    }
}

struct Part {
    file: File,
    at: u64,
}

impl Read for Part {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.at, out).map_err(io::Error::other)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Writes one file, whose bytes are taken piece by piece.
pub struct ParquetOut {
    writer: ArrowWriter<Pieces>,
    pieces: Pieces,
}

#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<u8>>>);

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ParquetOut {
    /// Begins a file of these columns, whose types are `types`.
    ///
    /// # Errors
    /// NotSupported for a type that Parquet cannot hold.
    pub fn new(schema: SchemaRef, types: &[Type]) -> Result<ParquetOut> {
        check_types(&schema, types)?;
        let level = ZstdLevel::try_new(3).expect("3 is a level of zstd");
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_parquet_schema(schema_of(&schema, types).map_err(refused)?);
        let pieces = Pieces::default();
        let writer = ArrowWriter::try_new_with_options(pieces.clone(), schema, options);
        Ok(ParquetOut { writer: writer.map_err(refused)?, pieces })
    }

    /// Adds rows and returns the bytes that are ready.
    ///
    /// # Errors
    /// Internal where the rows do not have the columns.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        self.writer.write(batch).map_err(refused)?;
        Ok(std::mem::take(&mut *self.pieces.0.lock()))
    }

    /// Ends the file and returns its last bytes.
    ///
    /// # Errors
    /// As [`ParquetOut::write`].
    pub fn finish(self) -> Result<Vec<u8>> {
        self.writer.close().map_err(refused)?;
        Ok(std::mem::take(&mut *self.pieces.0.lock()))
    }
}

fn refused(cause: ParquetError) -> Error {
    Error::new(ErrorKind::NotSupported, "the rows cannot be written as Parquet").caused_by(cause)
}
