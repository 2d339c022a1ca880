//! COPY in all the spellings PostgreSQL ever took, and FORMAT parquet.

use datafusion::sql::sqlparser::ast;

use super::statement::Target;

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
