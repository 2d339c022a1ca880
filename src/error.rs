//! The only error type of the crate: a kind that decides the SQLSTATE and what a caller may do, a
//! message that names the object, and, where known, a hint, a position and the cause.
//!
//! Errors of other crates are converted in the room that owns the crate; this file imports nothing.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller may want to act on it. One kind, one SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not SQL we know.
    Syntax,
    /// A table, view or metadata table that is not there.
    UndefinedTable,
    /// A column that is not there.
    UndefinedColumn,
    /// A column name that means two columns.
    AmbiguousColumn,
    /// A function or operator that is not there for these types.
    UndefinedFunction,
    /// A branch, tag, commit, setting or type that is not there.
    UndefinedObject,
    /// A schema that is not there.
    UndefinedSchema,
    /// A database name other than the ones we answer to.
    UndefinedDatabase,
    /// A prepared statement that is not there.
    UndefinedStatement,
    /// A cursor or portal that is not there.
    UndefinedCursor,
    /// A parameter that was not bound.
    UndefinedParameter,
    /// A table or view of that name exists.
    DuplicateTable,
    /// A column of that name exists.
    DuplicateColumn,
    /// A branch, tag or other object of that name exists.
    DuplicateObject,
    /// A schema of that name exists.
    DuplicateSchema,
    /// A prepared statement of that name exists.
    DuplicateStatement,
    /// A cursor of that name exists.
    DuplicateCursor,
    /// A name that may not be used.
    InvalidName,
    /// A definition that contradicts itself: two primary keys, an unknown clustering column.
    InvalidDefinition,
    /// Columns that no key or list has as they are named.
    InvalidColumnReference,
    /// Types that do not fit each other.
    DatatypeMismatch,
    /// The type of a parameter cannot be told.
    IndeterminateType,
    /// GROUP BY and aggregates that do not fit.
    Grouping,
    /// A value a function, setting or clause cannot take.
    InvalidValue,
    /// Text that is not a value of the type.
    InvalidText,
    /// Text that is no regular expression.
    InvalidRegex,
    /// An escape that is not one character.
    InvalidEscape,
    /// A table's name or alias that stands twice in one FROM.
    DuplicateAlias,
    /// Bytes that are not a value of the type.
    InvalidBinary,
    /// Text that is not UTF-8.
    InvalidEncoding,
    /// A number outside the range of its type.
    OutOfRange,
    /// A string longer than its column.
    StringTooLong,
    /// A date or time outside its range.
    DatetimeOutOfRange,
    /// Text that is not a date or time.
    InvalidDatetime,
    /// A division by zero.
    DivisionByZero,
    /// A row of COPY that does not have the shape of the table.
    BadCopyFormat,
    /// A sub-select in the place of a value that returned several rows.
    Cardinality,
    /// A NULL in a NOT NULL column.
    NotNullViolation,
    /// A key that exists.
    UniqueViolation,
    /// A CHECK that does not hold.
    CheckViolation,
    /// A value for a column that makes its own.
    GeneratedAlways,
    /// A sequence that has no further value.
    SequenceLimit,
    /// An object that others need.
    DependentObjects,
    /// A statement that cannot run inside a transaction block.
    ActiveTransaction,
    /// A statement that needs a transaction block.
    NoActiveTransaction,
    /// A transaction that has failed already.
    FailedTransaction,
    /// A write to a tag, a commit or the past.
    ReadOnly,
    /// Another transaction changed the same rows first; running it again may succeed.
    Conflict,
    /// Two branches changed the same thing in different ways: a person has to choose.
    MergeConflict,
    /// The object is not in the state that the statement needs.
    WrongState,
    /// A version older than what retention keeps.
    SnapshotExpired,
    /// Something a user may expect and we do not do.
    NotSupported,
    /// A bound on length, count or depth.
    LimitExceeded,
    /// A statement nested too deeply.
    TooComplex,
    /// The statement needs more memory than it may have.
    OutOfMemory,
    /// The disk is full.
    DiskFull,
    /// A bound of the server, such as its number of connections.
    TooManyConnections,
    /// Nothing within the bound of time: a lock, a queue.
    QueueTimeout,
    /// The user cancelled, or a timeout did.
    Cancelled,
    /// The server is going down.
    ShuttingDown,
    /// A message that breaks the protocol.
    Protocol,
    /// A wrong or missing password, a role that may not connect.
    InvalidAuthorization,
    /// A right that is missing.
    InsufficientPrivilege,
    /// Bytes on disk that are not what was written.
    Corrupt,
    /// The operating system refused.
    Io,
    /// A file that is not there.
    UndefinedFile,
    /// The data folder is in use, or of a format this program does not know.
    DataDirectory,
    /// Our own fault.
    Internal,
}

impl ErrorKind {
    /// The five characters clients act on.
    pub fn sqlstate(self) -> &'static str {
        match self {
            ErrorKind::Syntax => "42601",
            ErrorKind::UndefinedTable => "42P01",
            ErrorKind::UndefinedColumn => "42703",
            ErrorKind::AmbiguousColumn => "42702",
            ErrorKind::UndefinedFunction => "42883",
            ErrorKind::UndefinedObject => "42704",
            ErrorKind::UndefinedSchema => "3F000",
            ErrorKind::UndefinedDatabase => "3D000",
            ErrorKind::UndefinedStatement => "26000",
            ErrorKind::UndefinedCursor => "34000",
            ErrorKind::UndefinedParameter => "42P02",
            ErrorKind::DuplicateTable => "42P07",
            ErrorKind::DuplicateColumn => "42701",
            ErrorKind::DuplicateObject => "42710",
            ErrorKind::DuplicateSchema => "42P06",
            ErrorKind::DuplicateStatement => "42P05",
            ErrorKind::DuplicateCursor => "42P03",
            ErrorKind::InvalidName => "42602",
            ErrorKind::InvalidDefinition => "42P16",
            ErrorKind::InvalidColumnReference => "42P10",
            ErrorKind::DatatypeMismatch => "42804",
            ErrorKind::IndeterminateType => "42P18",
            ErrorKind::Grouping => "42803",
            ErrorKind::InvalidValue => "22023",
            ErrorKind::InvalidText => "22P02",
            ErrorKind::InvalidRegex => "2201B",
            ErrorKind::InvalidEscape => "22019",
            ErrorKind::DuplicateAlias => "42712",
            ErrorKind::InvalidBinary => "22P03",
            ErrorKind::InvalidEncoding => "22021",
            ErrorKind::OutOfRange => "22003",
            ErrorKind::StringTooLong => "22001",
            ErrorKind::DatetimeOutOfRange => "22008",
            ErrorKind::InvalidDatetime => "22007",
            ErrorKind::DivisionByZero => "22012",
            ErrorKind::BadCopyFormat => "22P04",
            ErrorKind::Cardinality => "21000",
            ErrorKind::NotNullViolation => "23502",
            ErrorKind::UniqueViolation => "23505",
            ErrorKind::CheckViolation => "23514",
            ErrorKind::GeneratedAlways => "428C9",
            ErrorKind::SequenceLimit => "2200H",
            ErrorKind::DependentObjects => "2BP01",
            ErrorKind::ActiveTransaction => "25001",
            ErrorKind::NoActiveTransaction => "25P01",
            ErrorKind::FailedTransaction => "25P02",
            ErrorKind::ReadOnly => "25006",
            ErrorKind::Conflict => "40001",
            ErrorKind::MergeConflict => "55M01",
            ErrorKind::WrongState => "55000",
            ErrorKind::SnapshotExpired => "72000",
            ErrorKind::NotSupported => "0A000",
            ErrorKind::LimitExceeded => "54000",
            ErrorKind::TooComplex => "54001",
            ErrorKind::OutOfMemory => "53200",
            ErrorKind::DiskFull => "53100",
            ErrorKind::TooManyConnections => "53300",
            ErrorKind::QueueTimeout => "53400",
            ErrorKind::Cancelled => "57014",
            ErrorKind::ShuttingDown => "57P01",
            ErrorKind::Protocol => "08P01",
            ErrorKind::InvalidAuthorization => "28000",
            ErrorKind::InsufficientPrivilege => "42501",
            ErrorKind::Corrupt => "XX001",
            ErrorKind::Io => "58030",
            ErrorKind::UndefinedFile => "58P01",
            ErrorKind::DataDirectory => "F0000",
            ErrorKind::Internal => "XX000",
        }
    }

    /// Whether the same statement, sent again, may succeed without anyone changing anything.
    pub fn is_retryable(self) -> bool {
        matches!(self, ErrorKind::Conflict)
    }
}

/// An error: what kind, what happened to which object, and what to do next.
pub struct Error(Box<Inner>);

struct Inner {
    told: Told,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a client is told, apart from the cause.
#[derive(Clone)]
struct Told {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    position: Option<usize>,
    place: Option<(u64, u64)>,
    object: ObjectNames,
}

/// The object that an error is about, for programs that look for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectNames {
    /// The table's schema.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
}

impl Error {
    /// An error of this kind. The message is lower case, without a full stop, and names the object.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let told = Told {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            context: None,
            position: None,
            place: None,
            object: ObjectNames::default(),
        };
        Error(Box::new(Inner { told, source: None }))
    }

    /// Says what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.told.hint = Some(hint.into());
        self
    }

    /// Says more about the object, such as the row that was refused.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.told.detail = Some(detail.into());
        self
    }

    /// Says what was being done, such as the line of a file that was read.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.told.context = Some(context.into());
        self
    }

    /// Says where in the statement: characters, counted from 1.
    pub fn at(mut self, position: usize) -> Self {
        self.0.told.position = Some(position);
        self
    }

    /// Says where in the text that was read: line and column, counted from 1. Whoever knows the text
    /// makes a position of it.
    pub fn at_place(mut self, line: u64, column: u64) -> Self {
        self.0.told.place = Some((line, column));
        self
    }

    /// Forgets where: the text is not the client's.
    pub fn nowhere(mut self) -> Self {
        self.0.told.place = None;
        self.0.told.position = None;
        self
    }

    /// Says which object it is about.
    pub fn about(mut self, object: ObjectNames) -> Self {
        self.0.told.object = object;
        self
    }

    /// Keeps the cause.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same without the cause.
    pub fn without_cause(&self) -> Error {
        Error(Box::new(Inner { told: self.0.told.clone(), source: None }))
    }

    /// The kind, which decides the SQLSTATE.
    pub fn kind(&self) -> ErrorKind {
        self.0.told.kind
    }

    /// What happened, in one line.
    pub fn message(&self) -> &str {
        &self.0.told.message
    }

    /// More about the object, if there is more.
    pub fn detail_text(&self) -> Option<&str> {
        self.0.told.detail.as_deref()
    }

    /// What to do next, if we know.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.told.hint.as_deref()
    }

    /// What was being done, if that is told.
    pub fn context_text(&self) -> Option<&str> {
        self.0.told.context.as_deref()
    }

    /// Where in the statement, in characters counted from 1.
    pub fn position(&self) -> Option<usize> {
        self.0.told.position
    }

    /// Where in the text that was read: line and column, counted from 1.
    pub fn place(&self) -> Option<(u64, u64)> {
        self.0.told.place
    }

    /// Which object it is about.
    pub fn object(&self) -> &ObjectNames {
        &self.0.told.object
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {self}", self.kind().sqlstate(), self.kind())?;
        if let Some(detail) = self.detail_text() {
            write!(f, "\n  detail: {detail}")?;
        }
        if let Some(hint) = self.hint_text() {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|s| s.as_ref() as &(dyn StdError + 'static))
    }
}
