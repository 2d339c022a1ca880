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
    Table { table: Box<Target>, columns: Vec<String> },
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
        let mut said = Said::default();
        let mut format = None;
        if self.accepts("BINARY") {
            said.add("format", self.position())?;
            format = Some(CopyFormat::Binary);
        }
        let target = self.copy_target()?;
        let from = self.expects_one(&["FROM", "TO"])? == "FROM";
        if from && matches!(target, CopyTarget::Query(_)) {
            return Err(self.refuse(ErrorKind::Syntax, "COPY of a query goes only TO"));
        }
        let location = self.copy_location(from)?;
        let position = self.position();
        if self.accepts("USING DELIMITERS") || self.accepts("DELIMITERS") {
            said.add("delimiter", position)?;
            options.delimiter = Some(self.byte("delimiter")?);
        }
        self.accepts("WITH");
        match self.accepts_sign(&Token::LParen) {
            true => {
                self.list(|g| {
                    let position = g.position();
                    let name = g.copy_option(&mut options, &mut format)?;
                    said.add(&name, position)
                })?;
                self.expects_sign(&Token::RParen)?;
            }
            false => loop {
                let position = self.position();
                let Some(name) = self.old_copy_option(&mut options, &mut format)? else { break };
                said.add(name, position)?;
            },
        }
        let filter = match from && self.accepts("WHERE") {
            true => Some(self.expr()?),
            false => None,
        };
        options.format = format.unwrap_or_else(|| location.format());
        options.check(from)?;
        Ok(Statement::Copy(Box::new(Copy { target, from, location, options, filter })))
    }

    fn copy_target(&mut self) -> Result<CopyTarget> {
        if self.accepts_sign(&Token::LParen) {
            let query = self.query()?;
            self.expects_sign(&Token::RParen)?;
            return Ok(CopyTarget::Query(query));
        }
        let table = Box::new(self.target()?);
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

    /// One option of the parenthesised form; its name.
    fn copy_option(
        &mut self,
        options: &mut CopyOptions,
        format: &mut Option<CopyFormat>,
    ) -> Result<String> {
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
                options.other.push((name.clone(), value));
            }
        }
        Ok(name)
    }

    /// One option of the form before PostgreSQL 9.0; its name, None where no option is left.
    fn old_copy_option(
        &mut self,
        options: &mut CopyOptions,
        format: &mut Option<CopyFormat>,
    ) -> Result<Option<&'static str>> {
        let words = [
            ("BINARY", "format"),
            ("CSV", "format"),
            ("PARQUET", "format"),
            ("HEADER", "header"),
            ("FREEZE", "freeze"),
            ("DELIMITER", "delimiter"),
            ("NULL", "null"),
            ("QUOTE", "quote"),
            ("ESCAPE", "escape"),
            ("ENCODING", "encoding"),
            ("FORCE NOT NULL", "force_not_null"),
            ("FORCE NULL", "force_null"),
            ("FORCE QUOTE", "force_quote"),
        ];
        let Some((word, name)) = words.into_iter().find(|(word, _)| self.accepts(word)) else {
            return Ok(None);
        };
        match name {
            "format" => *format = CopyFormat::named(&word.to_ascii_lowercase()),
            "header" => options.header = CopyHeader::Yes,
            "freeze" => options.freeze = true,
            "delimiter" => options.delimiter = Some(self.old_byte("delimiter")?),
            "null" => {
                self.accepts("AS");
                options.null = Some(self.string()?);
            }
            "quote" => options.quote = Some(self.old_byte("quote")?),
            "escape" => options.escape = Some(self.old_byte("escape")?),
            "encoding" => options.encoding = Some(self.string()?),
            "force_not_null" => options.force_not_null = Some(self.list(Self::name)?),
            "force_null" => options.force_null = Some(self.list(Self::name)?),
            _ => {
                let all = self.accepts_sign(&Token::Mul);
                options.force_quote = Some(if all { Vec::new() } else { self.list(Self::name)? });
            }
        }
        Ok(Some(name))
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

/// The options that were said.
#[derive(Default)]
struct Said(Vec<String>);

impl Said {
    /// # Errors
    /// Syntax where it was said before.
    fn add(&mut self, name: &str, position: usize) -> Result<()> {
        if self.0.iter().any(|other| other == name) {
            let message = "conflicting or redundant options";
            return Err(Error::new(ErrorKind::Syntax, message).at(position));
        }
        self.0.push(name.to_owned());
        Ok(())
    }
}

impl CopyOptions {
    /// Refuses what would have no effect.
    ///
    /// # Errors
    /// NotSupported; Syntax for an option of lines in a format without lines.
    fn check(&self, from: bool) -> Result<()> {
        let has_header = self.header != CopyHeader::No;
        let format = match self.format {
            CopyFormat::Binary => Some("BINARY"),
            CopyFormat::Parquet => Some("PARQUET"),
            CopyFormat::Text | CopyFormat::Csv => None,
        };
        let of_lines = [
            (self.delimiter.is_some(), "DELIMITER", ErrorKind::Syntax),
            (self.null.is_some(), "NULL", ErrorKind::Syntax),
            (has_header, "HEADER", ErrorKind::NotSupported),
        ];
        if let Some(format) = format
            && let Some((_, option, kind)) = of_lines.into_iter().find(|(there, _, _)| *there)
        {
            let message = format!("cannot specify {option} in {format} mode");
            return Err(Error::new(kind, message));
        }
        let not_supported = |message: String| Err(Error::new(ErrorKind::NotSupported, message));
        if self.header == CopyHeader::Match && !from {
            return not_supported("cannot use \"match\" with HEADER in COPY TO".to_owned());
        }
        for (there, option, only) in [
            (self.quote.is_some(), "quote", None),
            (self.escape.is_some(), "escape", None),
            (self.force_quote.is_some(), "force quote", Some(false)),
            (self.force_not_null.is_some(), "force not null", Some(true)),
            (self.force_null.is_some(), "force null", Some(true)),
        ] {
            if there && self.format != CopyFormat::Csv {
                return not_supported(format!("COPY {option} available only in CSV mode"));
            }
            if there && only.is_some_and(|only| only != from) {
                let way = if from { "TO" } else { "FROM" };
                return not_supported(format!("COPY {option} only available using COPY {way}"));
            }
        }
        Ok(())
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
