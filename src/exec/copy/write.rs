//! COPY TO: record batches to bytes.

use arrow::array::RecordBatch;

use super::tuples::{SIGNATURE, TRAILER};
use super::{CopyColumn, CopyFormat, CopyHeader, CopyOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::binary::BinaryFormatter;
use crate::spec::text::{TextFormatter, TextOptions};

/// Writes one COPY: [`CopyWriter::start`], the batches, [`CopyWriter::finish`]. Everything is appended
/// to the caller's buffer.
pub struct CopyWriter {
    columns: Vec<CopyColumn>,
    options: CopyOptions,
    text: TextOptions,
    force_quote: Vec<bool>,
    /// Bytes that a value of a line cannot hold as they are.
    special: [bool; 256],
}

impl CopyWriter {
    /// A writer of batches with these columns in this order, whatever their storage.
    ///
    /// # Errors
    /// As for the reader.
    pub fn new(
        columns: &[CopyColumn],
        options: &CopyOptions,
        text: &TextOptions,
    ) -> Result<CopyWriter> {
        options.check()?;
        let mut special = [false; 256];
        let marks: &[u8] = match options.format {
            CopyFormat::Csv => &[b'\n', b'\r', options.delimiter, options.quote],
            CopyFormat::Text | CopyFormat::Binary | CopyFormat::Parquet => {
                &[8, 9, 10, 11, 12, 13, b'\\', options.delimiter]
            }
        };
        marks.iter().for_each(|&b| special[usize::from(b)] = true);
        Ok(CopyWriter {
            columns: columns.to_vec(),
            force_quote: options.force_quote_flags(columns)?,
            options: options.clone(),
            text: text.clone(),
            special,
        })
    }

    /// What comes before the rows: the header, if any.
    pub fn start(&self, out: &mut Vec<u8>) {
        if self.options.format == CopyFormat::Binary {
            out.extend_from_slice(SIGNATURE);
            out.extend_from_slice(&[0; 8]);
            return;
        }
        if self.options.header == CopyHeader::None {
            return;
        }
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push(self.options.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(column.name.as_bytes());
            self.protect(start, false, out);
        }
        out.push(b'\n');
    }

    /// The rows of a batch; where each ends in `out` is added to `ends`.
    ///
    /// # Errors
    /// DatatypeMismatch where the storage cannot hold a column's type.
    pub fn write(
        &self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            let (has, wants) = (batch.num_columns(), self.columns.len());
            let message = format!("a batch of {has} columns came to a COPY of {wants}");
            return Err(Error::new(ErrorKind::Internal, message));
        }
        match self.options.format {
            CopyFormat::Binary => self.write_binary(batch, out, ends),
            CopyFormat::Text | CopyFormat::Csv | CopyFormat::Parquet => {
                self.write_lines(batch, out, ends)
            }
        }
    }

    /// What comes after the rows.
    pub fn finish(&self, out: &mut Vec<u8>) {
        if self.options.format == CopyFormat::Binary {
            out.extend_from_slice(&TRAILER.to_be_bytes());
        }
    }

    fn write_binary(
        &self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<()> {
        let columns = self.columns.iter().zip(batch.columns());
        let formatters = columns
            .map(|(column, array)| BinaryFormatter::new(&column.data_type, array))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            out.extend_from_slice(&(formatters.len() as i16).to_be_bytes());
            for formatter in &formatters {
                if formatter.is_null(row) {
                    out.extend_from_slice(&(-1i32).to_be_bytes());
                    continue;
                }
                let start = out.len();
                out.extend_from_slice(&[0; 4]);
                formatter.write(row, out);
                let length = (out.len() - start - 4) as i32;
                out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            }
            ends.push(out.len());
        }
        Ok(())
    }

    fn write_lines(
        &self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<()> {
        let columns = self.columns.iter().zip(batch.columns());
        let formatters = columns
            .map(|(column, array)| TextFormatter::new(&column.data_type, array, &self.text))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            for (i, formatter) in formatters.iter().enumerate() {
                if i > 0 {
                    out.push(self.options.delimiter);
                }
                if formatter.is_null(row) {
                    out.extend_from_slice(self.options.null.as_bytes());
                    continue;
                }
                let start = out.len();
                formatter.write(row, out);
                self.protect(start, self.force_quote[i], out);
            }
            out.push(b'\n');
            ends.push(out.len());
        }
        Ok(())
    }

    /// Escapes or quotes the value that stands after `start`.
    fn protect(&self, start: usize, force_quote: bool, out: &mut Vec<u8>) {
        let value = &out[start..];
        let special = value.iter().position(|&b| self.special[usize::from(b)]);
        if self.options.format != CopyFormat::Csv {
            if let Some(first) = special {
                self.escape(start + first, out);
            }
            return;
        }
        let ambiguous =
            value == self.options.null.as_bytes() || self.columns.len() == 1 && value == b"\\.";
        if special.is_some() || force_quote || ambiguous {
            self.quote(start, out);
        }
    }

    fn escape(&self, start: usize, out: &mut Vec<u8>) {
        let value = out.split_off(start);
        for b in value {
            if self.special[usize::from(b)] {
                out.push(b'\\');
            }
            out.push(match b {
                8 => b'b',
                9 => b't',
                10 => b'n',
                11 => b'v',
                12 => b'f',
                13 => b'r',
                _ => b,
            });
        }
    }

    fn quote(&self, start: usize, out: &mut Vec<u8>) {
        let value = out.split_off(start);
        out.push(self.options.quote);
        for b in value {
            if b == self.options.quote || b == self.options.escape {
                out.push(self.options.escape);
            }
            out.push(b);
        }
        out.push(self.options.quote);
    }
}
