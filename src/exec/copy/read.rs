//! COPY FROM: chunks of bytes to record batches.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};

use super::lines::{Lines, Syntax};
use super::place::{at_line, in_column};
use super::rows::TextRows;
use super::tuples::Tuples;
use super::{BATCH_BYTES, BATCH_ROWS, CopyColumn, CopyFormat, CopyOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::binary::BinaryBuilder;
use crate::spec::text::TextOptions;

/// Bytes of a chunk that are looked at in one go.
const PIECE_BYTES: usize = 256 << 10;

/// Reads one COPY. After an error it is of no further use.
pub struct CopyReader {
    table: String,
    schema: SchemaRef,
    source: Source,
    rows: usize,
    bytes: usize,
    /// The line of each row since the last batch.
    lines: Vec<u64>,
    /// The line of each row of the last batch.
    read_lines: Vec<u64>,
}

enum Source {
    Lines(Lines, TextRows),
    Binary(BinarySource),
}

impl CopyReader {
    /// A reader of these columns, in this order; the table's name is for messages.
    ///
    /// # Errors
    /// InvalidValue for options that contradict each other, UndefinedColumn for one that names a
    /// column that is not copied, NotSupported for Parquet.
    pub fn new(
        table: &str,
        columns: &[CopyColumn],
        options: &CopyOptions,
        text: &TextOptions,
    ) -> Result<CopyReader> {
        options.check()?;
        let lines = |syntax| -> Result<Source> {
            Ok(Source::Lines(Lines::new(syntax), TextRows::new(table, columns, options, text)?))
        };
        let source = match options.format {
            CopyFormat::Csv => lines(Syntax::Csv { quote: options.quote, escape: options.escape })?,
            CopyFormat::Text | CopyFormat::Parquet => lines(Syntax::Text)?,
            CopyFormat::Binary => Source::Binary(BinarySource::new(columns)),
        };
        let fields: Vec<_> = columns.iter().map(|c| c.data_type.field(&c.name, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let (lines, read_lines) = (Vec::new(), Vec::new());
        let table = table.to_owned();
        Ok(CopyReader { table, schema, source, rows: 0, bytes: 0, lines, read_lines })
    }

    /// The schema of the batches: the columns, each nullable.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Reads from the chunk, which may begin and end anywhere, and shortens it by what was taken.
    /// Returns a batch when one is complete, and None when the chunk is used up: call it again with
    /// the same chunk until then.
    ///
    /// # Errors
    /// BadCopyFormat, LimitExceeded, and whatever a value's text may be refused for.
    pub fn read(&mut self, chunk: &mut &[u8]) -> Result<Option<RecordBatch>> {
        loop {
            while self.next_row()? {
                if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
                    return self.batch().map(Some);
                }
            }
            if chunk.is_empty() {
                return Ok(None);
            }
            let (piece, rest) = chunk.split_at(chunk.len().min(PIECE_BYTES));
            *chunk = rest;
            match &mut self.source {
                Source::Lines(lines, _) => lines.push(piece),
                Source::Binary(source) => source.tuples.push(piece),
            }
        }
    }

    /// The rows that remain once every chunk has been read.
    ///
    /// # Errors
    /// As for [`CopyReader::read`]: the last line may have no end, but must be whole.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.source {
            Source::Lines(lines, _) => lines.finish(),
            Source::Binary(source) => source.tuples.finish(),
        }
        while self.next_row()? {}
        if let Source::Lines(_, rows) = &self.source {
            rows.check_end()?;
        }
        match self.rows {
            0 => Ok(None),
            _ => self.batch().map(Some),
        }
    }

    /// An error about a row of the last batch, with the line it stood in.
    pub fn in_line_of(&self, row: usize, error: Error) -> Error {
        match self.read_lines.get(row) {
            Some(line) => at_line(error, &self.table, *line),
            None => error,
        }
    }

    /// Appends the next row; false where more bytes are needed, or the input is at its end.
    fn next_row(&mut self) -> Result<bool> {
        let taken = match &mut self.source {
            Source::Lines(lines, rows) => loop {
                let line = lines.next().map_err(|e| at_line(e, &self.table, lines.number()))?;
                match line {
                    Some(line) if rows.append(lines, &line)? => break Some(line.range.len()),
                    Some(_) => {}
                    None => break None,
                }
            },
            Source::Binary(source) => source.append(&self.table)?,
        };
        let Some(bytes) = taken else { return Ok(false) };
        self.lines.push(match &self.source {
            Source::Lines(lines, _) => lines.number(),
            Source::Binary(source) => source.tuples.number(),
        });
        self.rows += 1;
        self.bytes += bytes;
        Ok(true)
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let arrays = match &mut self.source {
            Source::Lines(_, rows) => rows.finish(),
            Source::Binary(source) => source.finish(),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        self.read_lines = std::mem::take(&mut self.lines);
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options).map_err(|e| {
            Error::new(ErrorKind::Internal, "the columns of a COPY do not fit together")
                .caused_by(e)
        })
    }
}

struct BinarySource {
    tuples: Tuples,
    columns: Vec<CopyColumn>,
    builders: Vec<BinaryBuilder>,
    fields: Vec<Option<Range<usize>>>,
}

impl BinarySource {
    fn new(columns: &[CopyColumn]) -> BinarySource {
        BinarySource {
            tuples: Tuples::new(columns.len()),
            columns: columns.to_vec(),
            builders: columns.iter().map(|c| BinaryBuilder::new(&c.data_type)).collect(),
            fields: Vec::new(),
        }
    }

    fn append(&mut self, table: &str) -> Result<Option<usize>> {
        let tuple = self.tuples.next(&mut self.fields);
        let Some(bytes) = tuple.map_err(|e| at_line(e, table, self.tuples.number()))? else {
            return Ok(None);
        };
        for (i, (field, builder)) in self.fields.iter().zip(&mut self.builders).enumerate() {
            match field {
                Some(range) => builder.append(self.tuples.bytes(range.clone())).map_err(|e| {
                    in_column(e, (table, self.tuples.number()), &self.columns[i].name, None)
                })?,
                None => builder.append_null(),
            }
        }
        Ok(Some(bytes))
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.builders.iter_mut().map(BinaryBuilder::finish).collect()
    }
}
