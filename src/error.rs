//! The only error type of the crate: a kind that decides the SQLSTATE and what a caller may do, a
//! message that names the object, and, where known, a hint, a position and the cause.
//!
//! Errors of other crates are converted in the room that owns the crate; this file imports nothing.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kinds, each with its SQLSTATE: the five characters clients act on.
macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident = $state:literal,)*) => {
        /// What went wrong, as far as a caller may want to act on it. One kind, one SQLSTATE.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$about])* $kind,)*
        }

        impl ErrorKind {
            /// The five characters clients act on.
            pub fn sqlstate(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $state,)*
                }
            }
        }
    };
}

kinds! {
    /// The text is not SQL we know.
    Syntax = "42601",
    /// A table, view or metadata table that is not there.
    UndefinedTable = "42P01",
    /// A column that is not there.
    UndefinedColumn = "42703",
    /// A column name that means two columns.
    AmbiguousColumn = "42702",
    /// A function or operator that is not there for these types.
    UndefinedFunction = "42883",
    /// A branch, tag, commit, setting or type that is not there.
    UndefinedObject = "42704",
    /// A schema that is not there.
    UndefinedSchema = "3F000",
    /// A database name other than the ones we answer to.
    UndefinedDatabase = "3D000",
    /// A prepared statement that is not there.
    UndefinedStatement = "26000",
    /// A cursor or portal that is not there.
    UndefinedCursor = "34000",
    /// A savepoint that is not there.
    UndefinedSavepoint = "3B001",
    /// A parameter that was not bound.
    UndefinedParameter = "42P02",
    /// A table or view of that name exists.
    DuplicateTable = "42P07",
    /// A column of that name exists.
    DuplicateColumn = "42701",
    /// A branch, tag or other object of that name exists.
    DuplicateObject = "42710",
    /// A schema of that name exists.
    DuplicateSchema = "42P06",
    /// A prepared statement of that name exists.
    DuplicateStatement = "42P05",
    /// A cursor of that name exists.
    DuplicateCursor = "42P03",
    /// A name that may not be used.
    InvalidName = "42602",
    /// A definition that contradicts itself: two primary keys, an unknown clustering column.
    InvalidDefinition = "42P16",
    /// Columns that no key or list has as they are named.
    InvalidColumnReference = "42P10",
    /// Types that do not fit each other.
    DatatypeMismatch = "42804",
    /// The type of a parameter cannot be told.
    IndeterminateType = "42P18",
    /// GROUP BY and aggregates that do not fit.
    Grouping = "42803",
    /// Windows that contradict each other.
    Windowing = "42P20",
    /// A clause for another kind of object or function.
    WrongObjectType = "42809",
    /// A value a function, setting or clause cannot take.
    InvalidValue = "22023",
    /// Text that is not a value of the type.
    InvalidText = "22P02",
    /// Text that is no regular expression.
    InvalidRegex = "2201B",
    /// An escape that is not one character.
    InvalidEscape = "22019",
    /// A table's name or alias that stands twice in one FROM.
    DuplicateAlias = "42712",
    /// Bytes that are not a value of the type.
    InvalidBinary = "22P03",
    /// Text that is not UTF-8.
    InvalidEncoding = "22021",
    /// A number outside the range of its type.
    OutOfRange = "22003",
    /// A string longer than its column.
    StringTooLong = "22001",
    /// A date or time outside its range.
    DatetimeOutOfRange = "22008",
    /// Text that is not a date or time.
    InvalidDatetime = "22007",
    /// A logarithm of what has none.
    InvalidLogarithm = "2201E",
    /// A root or power that is no number.
    InvalidPower = "2201F",
    /// A division by zero.
    DivisionByZero = "22012",
    /// A row of COPY that does not have the shape of the table.
    BadCopyFormat = "22P04",
    /// A sub-select in the place of a value that returned several rows.
    Cardinality = "21000",
    /// A NULL in a NOT NULL column.
    NotNullViolation = "23502",
    /// A key that exists.
    UniqueViolation = "23505",
    /// A CHECK that does not hold.
    CheckViolation = "23514",
    /// A value for a column that makes its own.
    GeneratedAlways = "428C9",
    /// A sequence that has no further value.
    SequenceLimit = "2200H",
    /// An object that others need.
    DependentObjects = "2BP01",
    /// A statement that cannot run inside a transaction block.
    ActiveTransaction = "25001",
    /// A statement that needs a transaction block.
    NoActiveTransaction = "25P01",
    /// A transaction that has failed already.
    FailedTransaction = "25P02",
    /// A write to a tag, a commit or the past.
    ReadOnly = "25006",
    /// Another transaction changed the same rows first; running it again may succeed.
    Conflict = "40001",
    /// Two branches changed the same thing in different ways: a person has to choose.
    MergeConflict = "55M01",
    /// The object is not in the state that the statement needs.
    WrongState = "55000",
    /// A version older than what retention keeps.
    SnapshotExpired = "72000",
    /// Something a user may expect and we do not do.
    NotSupported = "0A000",
    /// A bound on length, count or depth.
    LimitExceeded = "54000",
    /// A statement nested too deeply.
    TooComplex = "54001",
    /// The statement needs more memory than it may have.
    OutOfMemory = "53200",
    /// The disk is full.
    DiskFull = "53100",
    /// A bound of the server, such as its number of connections.
    TooManyConnections = "53300",
    /// Nothing within the bound of time: a lock, a queue.
    QueueTimeout = "53400",
    /// The user cancelled, or a timeout did.
    Cancelled = "57014",
    /// The server is going down.
    ShuttingDown = "57P01",
    /// A message that breaks the protocol.
    Protocol = "08P01",
    /// A wrong or missing password, a role that may not connect.
    InvalidAuthorization = "28000",
    /// A right that is missing.
    InsufficientPrivilege = "42501",
    /// Bytes on disk that are not what was written.
    Corrupt = "XX001",
    /// The operating system refused.
    Io = "58030",
    /// A file that is not there.
    UndefinedFile = "58P01",
    /// The data folder is in use, or of a format this program does not know.
    DataDirectory = "F0000",
    /// Our own fault.
    Internal = "XX000",
}

impl ErrorKind {
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
