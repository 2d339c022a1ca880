//! The fields of lines to columns.

use arrow::array::ArrayRef;

use super::csv::Marks;
use super::lines::{Line, Lines};
use super::place::{broken, in_column, in_line};
use super::{CopyColumn, CopyFormat, CopyHeader, CopyOptions, csv, text};
use crate::error::Result;
use crate::spec::text::{TextBuilder, TextOptions};

/// One builder per column, and what a field must be compared with to be NULL.
pub(super) struct TextRows {
    table: String,
    columns: Vec<CopyColumn>,
    builders: Vec<TextBuilder>,
    options: CopyOptions,
    force_null: Vec<bool>,
    force_not_null: Vec<bool>,
    header_pending: bool,
    scratch: Vec<u8>,
}

impl TextRows {
    pub(super) fn new(
        table: &str,
        columns: &[CopyColumn],
        options: &CopyOptions,
        text: &TextOptions,
    ) -> Result<TextRows> {
        Ok(TextRows {
            table: table.to_owned(),
            columns: columns.to_vec(),
            builders: columns.iter().map(|c| TextBuilder::new(&c.data_type, text)).collect(),
            options: options.clone(),
            force_null: options.force_null_flags(columns)?,
            force_not_null: options.force_not_null_flags(columns)?,
            header_pending: options.header != CopyHeader::None,
            scratch: Vec::new(),
        })
    }

    /// Refuses an input that ended before the header it must have.
    pub(super) fn check_end(&self) -> Result<()> {
        match self.header_pending && self.options.header == CopyHeader::Match {
            true => self.check_header(b"", false).map_err(|e| in_line(e, &self.table, 1, b"")),
            false => Ok(()),
        }
    }

    pub(super) fn finish(&mut self) -> Vec<ArrayRef> {
        self.builders.iter_mut().map(TextBuilder::finish).collect()
    }

    /// Appends the row that a line is; whether it was one, and not the header.
    pub(super) fn append(&mut self, lines: &Lines, line: &Line) -> Result<bool> {
        let bytes = lines.bytes(line.range.clone());
        if std::mem::take(&mut self.header_pending) {
            if self.options.header == CopyHeader::Match {
                self.check_header(bytes, line.special)
                    .map_err(|e| in_line(e, &self.table, lines.number(), bytes))?;
            }
            return Ok(false);
        }
        let number = lines.number();
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut at = 0;
        let outcome = self.fields(bytes, line.special, &mut scratch, &mut at, number);
        self.scratch = scratch;
        outcome?;
        match self.columns.get(at) {
            None => Ok(true),
            Some(column) => {
                let e = broken(format!("missing data for column \"{}\"", column.name));
                Err(in_line(e, &self.table, number, bytes))
            }
        }
    }

    fn fields(
        &mut self,
        line: &[u8],
        special: bool,
        scratch: &mut Vec<u8>,
        at: &mut usize,
        number: u64,
    ) -> Result<()> {
        if self.columns.is_empty() && line.is_empty() {
            return Ok(());
        }
        let null = self.options.null.as_bytes();
        let (table, columns, builders) = (&self.table, &self.columns, &mut self.builders);
        let mut put = |field: Option<&[u8]>| {
            let Some(builder) = builders.get_mut(*at) else {
                let e = broken("extra data after last expected column");
                return Err(in_line(e, table, number, line));
            };
            let appended = match field {
                Some(text) => builder.append(text),
                None => {
                    builder.append_null();
                    Ok(())
                }
            };
            let place = *at;
            *at += 1;
            appended.map_err(|e| in_column(e, (table, number), &columns[place].name, field))
        };
        if self.options.format != CopyFormat::Csv {
            let marks = (self.options.delimiter, null);
            return text::fields(line, special, marks, scratch, put);
        }
        let (force_null, force_not_null) = (&self.force_null, &self.force_not_null);
        let mut place = 0;
        csv::fields(line, special, marks(&self.options), scratch, |field, quoted| {
            let flag = |flags: &[bool]| flags.get(place).copied().unwrap_or(false);
            let is_null = match field == null {
                true if quoted => flag(force_null),
                true => !flag(force_not_null),
                false => false,
            };
            place += 1;
            put((!is_null).then_some(field))
        })
    }

    fn check_header(&self, line: &[u8], special: bool) -> Result<()> {
        let mut names: Vec<Option<Vec<u8>>> = Vec::new();
        let null = self.options.null.as_bytes();
        let mut scratch = Vec::new();
        let Ok(()) = match self.options.format {
            CopyFormat::Csv => {
                csv::fields(line, special, marks(&self.options), &mut scratch, |name, quoted| {
                    names.push((quoted || name != null).then(|| name.to_vec()));
                    Ok::<_, std::convert::Infallible>(())
                })
            }
            CopyFormat::Text | CopyFormat::Binary | CopyFormat::Parquet => {
                let marks = (self.options.delimiter, null);
                text::fields(line, special, marks, &mut scratch, |name| {
                    names.push(name.map(<[u8]>::to_vec));
                    Ok(())
                })
            }
        };
        if names.len() != self.columns.len() {
            let (got, expected) = (names.len(), self.columns.len());
            return Err(broken(format!(
                "wrong number of fields in header line: got {got}, expected {expected}"
            )));
        }
        let mut pairs = names.iter().zip(&self.columns).zip(1..);
        pairs
            .try_for_each(|((name, column), field)| self.check_name(name.as_deref(), column, field))
    }

    fn check_name(&self, name: Option<&[u8]>, column: &CopyColumn, field: usize) -> Result<()> {
        let expected = &column.name;
        let got = match name {
            Some(name) if name == expected.as_bytes() => return Ok(()),
            Some(name) => format!("got \"{}\"", String::from_utf8_lossy(name)),
            None => format!("got null value (\"{}\")", self.options.null),
        };
        let message = format!("column name mismatch in header line field {field}: {got}");
        Err(broken(format!("{message}, expected \"{expected}\"")))
    }
}

fn marks(options: &CopyOptions) -> Marks {
    Marks { delimiter: options.delimiter, quote: options.quote, escape: options.escape }
}
