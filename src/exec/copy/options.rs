//! What COPY was told.

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

/// A column that is copied, in the order of the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyColumn {
    /// As the table names it.
    pub name: String,
    /// Decides how its text is read and written.
    pub data_type: Type,
}

/// The form of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// Lines with backslash escapes.
    Text,
    /// Lines with quotes.
    Csv,
    /// PostgreSQL's binary form.
    Binary,
    /// Not for this room: the segment's reader and writer do it.
    Parquet,
}

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    /// A row.
    None,
    /// Names, which are skipped when read.
    Names,
    /// Names, which must be those of the columns when read.
    Match,
}

/// Columns that an option applies to.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnChoice {
    /// `*`
    All,
    /// These; none where the option was not given.
    Only(Vec<String>),
}

impl ColumnChoice {
    fn flags(&self, option: &str, columns: &[CopyColumn]) -> Result<Vec<bool>> {
        let ColumnChoice::Only(names) = self else { return Ok(vec![true; columns.len()]) };
        if let Some(name) = names.iter().find(|name| columns.iter().all(|c| c.name != **name)) {
            let message = format!("{option} column \"{name}\" not referenced by COPY");
            return Err(Error::new(ErrorKind::UndefinedColumn, message));
        }
        Ok(columns.iter().map(|c| names.contains(&c.name)).collect())
    }
}

/// The options of COPY; [`CopyOptions::new`] gives a format's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOptions {
    /// FORMAT
    pub format: CopyFormat,
    /// DELIMITER: one byte
    pub delimiter: u8,
    /// NULL: the text of a NULL
    pub null: String,
    /// HEADER
    pub header: CopyHeader,
    /// QUOTE, of CSV: one byte
    pub quote: u8,
    /// ESCAPE, of CSV: one byte
    pub escape: u8,
    /// FORCE_QUOTE, of CSV TO: quoted even where it is not needed
    pub force_quote: ColumnChoice,
    /// FORCE_NOT_NULL, of CSV FROM: the text of NULL is a value
    pub force_not_null: ColumnChoice,
    /// FORCE_NULL, of CSV FROM: the text of NULL is NULL even in quotes
    pub force_null: ColumnChoice,
}

impl CopyOptions {
    /// The defaults of a format.
    pub fn new(format: CopyFormat) -> CopyOptions {
        let csv = format == CopyFormat::Csv;
        CopyOptions {
            format,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".to_owned() },
            header: CopyHeader::None,
            quote: b'"',
            escape: b'"',
            force_quote: ColumnChoice::Only(Vec::new()),
            force_not_null: ColumnChoice::Only(Vec::new()),
            force_null: ColumnChoice::Only(Vec::new()),
        }
    }

    /// Refuses options that would make lines ambiguous. InvalidValue, NotSupported.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::InvalidValue, message));
        let csv = match self.format {
            CopyFormat::Text => false,
            CopyFormat::Csv => true,
            CopyFormat::Binary => return Ok(()),
            CopyFormat::Parquet => {
                let message = "COPY in format parquet has no lines";
                return Err(Error::new(ErrorKind::NotSupported, message));
            }
        };
        if matches!(self.delimiter, b'\n' | b'\r') || !self.delimiter.is_ascii() {
            return refuse("COPY delimiter cannot be newline or carriage return");
        }
        if self.null.contains(['\n', '\r']) {
            return refuse("COPY null representation cannot use newline or carriage return");
        }
        if !csv && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter) {
            let delimiter = char::from(self.delimiter);
            return refuse(&format!("COPY delimiter cannot be \"{delimiter}\""));
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return refuse("COPY delimiter character must not appear in the NULL specification");
        }
        if csv {
            if self.delimiter == self.quote {
                return refuse("COPY delimiter and quote must be different");
            }
            if self.null.as_bytes().contains(&self.quote) {
                return refuse("CSV quote character must not appear in the NULL specification");
            }
            let breaks = |b: u8| matches!(b, b'\n' | b'\r') || !b.is_ascii();
            if breaks(self.quote) || breaks(self.escape) {
                return refuse("COPY quote and escape must be a single one-byte character");
            }
        }
        Ok(())
    }

    pub(super) fn force_quote_flags(&self, columns: &[CopyColumn]) -> Result<Vec<bool>> {
        self.force_quote.flags("FORCE_QUOTE", columns)
    }

    pub(super) fn force_not_null_flags(&self, columns: &[CopyColumn]) -> Result<Vec<bool>> {
        self.force_not_null.flags("FORCE_NOT_NULL", columns)
    }

    pub(super) fn force_null_flags(&self, columns: &[CopyColumn]) -> Result<Vec<bool>> {
        self.force_null.flags("FORCE_NULL", columns)
    }
}
