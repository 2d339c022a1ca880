//! COPY in all the spellings PostgreSQL ever took, and FORMAT parquet.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::Grammar;
use super::statement::{Statement, Target};
use crate::error::{Error, ErrorKind, Result};

/// COPY.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub target: CopyTarget,
    /// FROM (into the table) rather than TO.
    pub from: bool,
    /// Where the bytes are.
    pub location: CopyLocation,
    /// How they look.
    pub options: CopyOptions,
    /// COPY … FROM … WHERE.
    pub filter: Option<ast::Expr>,
}

/// What COPY copies.
#[derive(Clone, Debug)]
pub enum CopyTarget {
    /// A table and the columns named (none: all).
    Table { table: Target, columns: Vec<String> },
    /// A query; only TO.
    Query(Box<ast::Query>),
}

/// Where COPY reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyLocation {
    /// The client sends.
    Stdin,
    /// The client receives.
    Stdout,
    /// A file of the server.
    File(String),
}

/// The options as said; what is None has the format's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Text where nothing was said, Parquet where the file's name ends in `.parquet`.
    pub format: CopyFormat,
    /// DELIMITER: one byte.
    pub delimiter: Option<u8>,
    /// NULL: the text that means NULL.
    pub null: Option<String>,
    /// HEADER.
    pub header: CopyHeader,
    /// QUOTE: one byte.
    pub quote: Option<u8>,
    /// ESCAPE: one byte.
    pub escape: Option<u8>,
    /// ENCODING.
    pub encoding: Option<String>,
    /// FORCE_NULL: None of the columns, or these; an empty list is `*`.
    pub force_null: Option<Vec<String>>,
    /// FORCE_NOT_NULL; an empty list is `*`.
    pub force_not_null: Option<Vec<String>>,
    /// FORCE_QUOTE; an empty list is `*`.
    pub force_quote: Option<Vec<String>>,
    /// FREEZE: said, and of no effect here.
    pub freeze: bool,
    /// Options of our own formats: compression, row_group_rows …, folded.
    pub other: Vec<(String, String)>,
}

/// FORMAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's text format.
    #[default]
    Text,
    /// CSV.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
    /// Parquet.
    Parquet,
}

/// HEADER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyHeader {
    /// No first line of names.
    #[default]
    No,
    /// A first line, written or skipped.
    Yes,
    /// A first line that must name the columns.
    Match,
}

impl Grammar<'_> {
    /// COPY.
    pub(super) fn copy(&mut self) -> Result<Statement> {
        self.expects("COPY")?;
        let mut options = CopyOptions::default();
        let mut format = self.accepts("BINARY").then_some(CopyFormat::Binary);
        let target = self.copy_target()?;
        let from = self.expects_one(&["FROM", "TO"])? == "FROM";
        if from && matches!(target, CopyTarget::Query(_)) {
            return Err(self.refuse(ErrorKind::Syntax, "COPY of a query goes only TO"));
        }
        let location = self.copy_location(from)?;
        if self.accepts("USING DELIMITERS") || self.accepts("DELIMITERS") {
            options.delimiter = Some(self.byte("delimiter")?);
        }
        self.accepts("WITH");
        match self.accepts_sign(&Token::LParen) {
            true => {
                self.list(|g| g.copy_option(&mut options, &mut format))?;
                self.expects_sign(&Token::RParen)?;
            }
            false => while self.old_copy_option(&mut options, &mut format)? {},
        }
        let filter = match from && self.accepts("WHERE") {
            true => Some(self.expr()?),
            false => None,
        };
        options.format = format.unwrap_or_else(|| location.format());
        Ok(Statement::Copy(Box::new(Copy { target, from, location, options, filter })))
    }

    fn copy_target(&mut self) -> Result<CopyTarget> {
        if self.accepts_sign(&Token::LParen) {
            let query = self.query()?;
            self.expects_sign(&Token::RParen)?;
            return Ok(CopyTarget::Query(query));
        }
        let table = self.target()?;
        let columns = match self.sees_sign(&Token::LParen) {
            true => self.columns()?,
            false => Vec::new(),
        };
        Ok(CopyTarget::Table { table, columns })
    }

    fn copy_location(&mut self, from: bool) -> Result<CopyLocation> {
        if self.accepts("PROGRAM") {
            return Err(self.refuse(ErrorKind::NotSupported, "COPY … PROGRAM is not supported"));
        }
        // psql sends STDIN for \copy in both directions; PostgreSQL takes either word.
        if self.accepts("STDIN") || self.accepts("STDOUT") {
            return Ok(if from { CopyLocation::Stdin } else { CopyLocation::Stdout });
        }
        self.string().map(CopyLocation::File)
    }

    /// One option of the parenthesised form.
    fn copy_option(
        &mut self,
        options: &mut CopyOptions,
        format: &mut Option<CopyFormat>,
    ) -> Result<()> {
        let name = self.name()?.to_lowercase();
        match name.as_str() {
            "format" => {
                let (position, word) = (self.position(), self.setting_value()?.to_lowercase());
                *format = Some(CopyFormat::named(&word).ok_or_else(|| {
                    let message = format!("COPY format \"{word}\" not recognized");
                    Error::new(ErrorKind::InvalidValue, message)
                        .at(position)
                        .hint("the formats are text, csv, binary and parquet")
                })?);
            }
            "delimiter" => options.delimiter = Some(self.byte("delimiter")?),
            "null" => options.null = Some(self.string()?),
            "quote" => options.quote = Some(self.byte("quote")?),
            "escape" => options.escape = Some(self.byte("escape")?),
            "encoding" => options.encoding = Some(self.setting_value()?),
            "header" => options.header = self.header()?,
            "freeze" => options.freeze = self.flag()?,
            "force_null" => options.force_null = Some(self.columns_or_star()?),
            "force_not_null" => options.force_not_null = Some(self.columns_or_star()?),
            "force_quote" => options.force_quote = Some(self.columns_or_star()?),
            _ => {
                let value = match self.ends_option() {
                    true => "true".to_owned(),
                    false => self.setting_value()?,
                };
                options.other.push((name, value));
            }
        }
        Ok(())
    }

    /// One option of the form before PostgreSQL 9.0; false where none is left.
    fn old_copy_option(
        &mut self,
        options: &mut CopyOptions,
        format: &mut Option<CopyFormat>,
    ) -> Result<bool> {
        if self.accepts("BINARY") {
            *format = Some(CopyFormat::Binary);
        } else if self.accepts("CSV") {
            *format = Some(CopyFormat::Csv);
        } else if self.accepts("PARQUET") {
            *format = Some(CopyFormat::Parquet);
        } else if self.accepts("HEADER") {
            options.header = CopyHeader::Yes;
        } else if self.accepts("FREEZE") {
            options.freeze = true;
        } else if self.accepts("DELIMITER") {
            options.delimiter = Some(self.old_byte("delimiter")?);
        } else if self.accepts("NULL") {
            self.accepts("AS");
            options.null = Some(self.string()?);
        } else if self.accepts("QUOTE") {
            options.quote = Some(self.old_byte("quote")?);
        } else if self.accepts("ESCAPE") {
            options.escape = Some(self.old_byte("escape")?);
        } else if self.accepts("ENCODING") {
            options.encoding = Some(self.string()?);
        } else if self.accepts("FORCE NOT NULL") {
            options.force_not_null = Some(self.list(Self::name)?);
        } else if self.accepts("FORCE NULL") {
            options.force_null = Some(self.list(Self::name)?);
        } else if self.accepts("FORCE QUOTE") {
            let all = self.accepts_sign(&Token::Mul);
            options.force_quote = Some(if all { Vec::new() } else { self.list(Self::name)? });
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn old_byte(&mut self, what: &str) -> Result<u8> {
        self.accepts("AS");
        self.byte(what)
    }

    /// A string of one byte.
    fn byte(&mut self, what: &str) -> Result<u8> {
        let position = self.position();
        let text = self.string()?;
        match text.as_bytes() {
            [byte] => Ok(*byte),
            _ => {
                let message = format!("COPY {what} must be a single one-byte character");
                Err(Error::new(ErrorKind::NotSupported, message).at(position))
            }
        }
    }

    fn ends_option(&self) -> bool {
        self.sees_sign(&Token::Comma) || self.sees_sign(&Token::RParen)
    }

    fn header(&mut self) -> Result<CopyHeader> {
        if self.accepts("MATCH") {
            return Ok(CopyHeader::Match);
        }
        self.flag().map(|on| if on { CopyHeader::Yes } else { CopyHeader::No })
    }

    /// A boolean option; alone it is true.
    fn flag(&mut self) -> Result<bool> {
        if self.ends_option() {
            return Ok(true);
        }
        let position = self.position();
        match self.setting_value()?.to_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(Error::new(ErrorKind::Syntax, "a Boolean value was expected").at(position)),
        }
    }

    fn columns_or_star(&mut self) -> Result<Vec<String>> {
        match self.accepts_sign(&Token::Mul) {
            true => Ok(Vec::new()),
            false => self.columns(),
        }
    }
}

impl CopyFormat {
    fn named(word: &str) -> Option<CopyFormat> {
        Some(match word {
            "text" => CopyFormat::Text,
            "csv" => CopyFormat::Csv,
            "binary" => CopyFormat::Binary,
            "parquet" => CopyFormat::Parquet,
            _ => return None,
        })
    }
}

impl CopyLocation {
    /// The format where none was said.
    fn format(&self) -> CopyFormat {
        match self {
            CopyLocation::File(path) if path.to_lowercase().ends_with(".parquet") => {
                CopyFormat::Parquet
            }
            _ => CopyFormat::Text,
        }
    }
}
