//! What a text can say: one arm a family. Queries and expressions stay sqlparser's trees.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Location;

use super::alter::AlterTable;
use super::branch::{CreateRef, History, MergeBranch, PublishBranch, RestoreTable, RollbackBranch};
use super::copy::Copy;
use super::create::{CreateIndex, CreateSchema, CreateTable, CreateView};
use super::cursor::{Declare, Fetch};
use super::drop::{Comment, Drop};
use super::sequence::{AlterObject, CreateSequence, ObjectChange};
use super::setting::{Set, Show};
use super::transaction::TransactionModes;
use super::version::TableVersionSpec;
use crate::spec::Type;

/// One statement of a text.
///
/// A tree may be as deep as `limits` lets it. Making and dropping one is safe on a stack of
/// 2 MiB; copying, printing, visiting and planning one is not, and wants a large stack.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says.
    pub statement: Statement,
    /// Its own part of the text, without the semicolon.
    pub text: String,
    /// The highest `$n`; 0 without parameters.
    pub parameters: usize,
    /// `… AS OF SYSTEM TIME e`: the whole statement reads the past. Only on statements that read.
    pub as_of: Option<ast::Expr>,
    /// What comments beside it say: `/* run_id=42 */`.
    pub properties: Vec<(String, String)>,
    /// Characters of the text sent before this statement's own.
    pub offset: usize,
    /// Where `text` begins in the text sent: the spans in the tree count from the same origin.
    pub(super) start: Location,
}

/// A statement. Names of objects keep their parts and quotes; other names are folded as
/// PostgreSQL folds them ([`super::fold`]).
#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES, TABLE t, WITH … SELECT. Locking clauses stay in the tree.
    Query(Box<ast::Query>),
    /// EXPLAIN.
    Explain(Explain),
    /// INSERT, also WITH … INSERT (the WITH is in its source).
    Insert(Box<Insert>),
    /// UPDATE. The target's version, if any, is in the table factor.
    Update(Box<Update>),
    /// DELETE. The target's version, if any, is in the table factor.
    Delete(Box<Delete>),
    /// MERGE INTO. The target's version, if any, is in the table factor.
    Merge(Box<Merge>),
    /// WITH that has parts which change rows.
    With(Box<With>),
    /// TRUNCATE.
    Truncate(Truncate),
    /// COPY.
    Copy(Box<Copy>),

    /// CREATE TABLE, also AS a query.
    CreateTable(Box<CreateTable>),
    /// CREATE VIEW.
    CreateView(Box<CreateView>),
    /// CREATE SCHEMA.
    CreateSchema(CreateSchema),
    /// CREATE INDEX: known so that clients may say it.
    CreateIndex(Box<CreateIndex>),
    /// CREATE SEQUENCE.
    CreateSequence(Box<CreateSequence>),
    /// ALTER SEQUENCE, ALTER VIEW.
    AlterObject(Box<AlterObject>),
    /// ALTER SCHEMA: RENAME TO or OWNER TO.
    AlterSchema { name: ast::ObjectName, change: ObjectChange },
    /// DROP of anything but a branch or tag.
    Drop(Drop),
    /// ALTER TABLE, also CREATE / DROP BRANCH / TAG on one table.
    AlterTable(Box<AlterTable>),
    /// COMMENT ON.
    Comment(Comment),

    /// CREATE BRANCH, CREATE TAG of the whole database.
    CreateRef(Box<CreateRef>),
    /// DROP BRANCH, DROP TAG of the whole database.
    DropRef { tag: bool, name: String, if_exists: bool },
    /// MERGE BRANCH a INTO b.
    MergeBranch(MergeBranch),
    /// PUBLISH BRANCH a.
    PublishBranch(Box<PublishBranch>),
    /// ALTER BRANCH b FAST FORWARD TO x.
    FastForward { branch: String, to: String, table: Option<ast::ObjectName> },
    /// ALTER BRANCH b RENAME TO c.
    RenameBranch { branch: String, to: String, table: Option<ast::ObjectName> },
    /// ALTER BRANCH b [IN TABLE t] SET PROTECTED, SET UNPROTECTED.
    ProtectBranch { branch: String, protected: bool, table: Option<ast::ObjectName> },
    /// RESTORE TABLE t TO a version.
    RestoreTable(Box<RestoreTable>),
    /// ROLLBACK BRANCH b TO a version.
    RollbackBranch(Box<RollbackBranch>),
    /// UNDROP TABLE t.
    UndropTable(Target),
    /// USE BRANCH b: the same as SET branch = 'b'.
    UseBranch(String),
    /// SHOW BRANCHES / TAGS / LOG, DESCRIBE HISTORY t.
    History(History),
    /// DESCRIBE t.
    Describe(Target),
    /// CALL p(…).
    Call(Call),

    /// SET name = value, in all its forms but SET TRANSACTION.
    Set(Set),
    /// RESET name; None is ALL.
    Reset(Option<String>),
    /// SHOW name.
    Show(Show),
    /// DISCARD; the word after it, folded.
    Discard(String),

    /// BEGIN, START TRANSACTION.
    Begin(TransactionModes),
    /// COMMIT, END.
    Commit { chain: bool },
    /// ROLLBACK, ABORT.
    Rollback { chain: bool },
    /// SAVEPOINT.
    Savepoint(String),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(String),
    /// RELEASE SAVEPOINT.
    Release(String),
    /// SET TRANSACTION; with `session`, SET SESSION CHARACTERISTICS AS TRANSACTION.
    SetTransaction { session: bool, modes: TransactionModes },

    /// PREPARE.
    Prepare(Box<Prepare>),
    /// EXECUTE.
    Execute { name: String, arguments: Vec<ast::Expr> },
    /// DEALLOCATE; None is ALL.
    Deallocate(Option<String>),
    /// DECLARE … CURSOR.
    Declare(Box<Declare>),
    /// FETCH and MOVE.
    Fetch(Fetch),
    /// CLOSE; None is ALL.
    Close(Option<String>),

    /// LISTEN.
    Listen(String),
    /// UNLISTEN; None is `*`.
    Unlisten(Option<String>),
    /// NOTIFY.
    Notify { channel: String, payload: Option<String> },
    /// LOCK TABLE: the tables and the mode in upper case.
    Lock { tables: Vec<ast::ObjectName>, mode: Option<String>, nowait: bool },
    /// VACUUM.
    Vacuum(Vacuum),
    /// ANALYZE; no table is every table.
    Analyze { tables: Vec<ast::ObjectName>, verbose: bool },
    /// CHECKPOINT.
    Checkpoint,
    /// DO: the language in lower case and the code.
    Do { language: String, code: String },
}

/// A table that a statement writes or describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As written.
    pub name: ast::ObjectName,
    /// `t@branch` and the like.
    pub version: Option<TableVersionSpec>,
}

/// EXPLAIN.
#[derive(Clone, Debug)]
pub struct Explain {
    /// ANALYZE: run it too.
    pub analyze: bool,
    /// VERBOSE.
    pub verbose: bool,
    /// The other options of the parenthesised form, in lower case; a bare option has no value.
    pub options: Vec<(String, Option<String>)>,
    /// What is explained: a query, INSERT, UPDATE, DELETE, MERGE, CREATE TABLE AS, EXECUTE, DECLARE.
    pub statement: Box<Statement>,
}

/// Whose value an identity column gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overriding {
    /// Its own, or one that is given where it takes any.
    #[default]
    Nothing,
    /// OVERRIDING SYSTEM VALUE: the one that is given, also where it makes its own always.
    System,
    /// OVERRIDING USER VALUE: its own, whatever is given.
    User,
}

/// INSERT.
#[derive(Clone, Debug)]
pub struct Insert {
    /// The tree; `table` is a name without a version.
    pub insert: ast::Insert,
    /// The version of the target.
    pub version: Option<TableVersionSpec>,
    /// OVERRIDING … VALUE.
    pub overriding: Overriding,
    /// The rows that go when the new ones come.
    pub replace: Option<Replace>,
}

/// Which rows an INSERT replaces.
#[derive(Clone, Debug)]
pub enum Replace {
    /// OVERWRITE: all.
    All,
    /// REPLACE WHERE: those that the condition is true of; new rows must be such ones, too.
    Where(Box<ast::Expr>),
}

/// UPDATE.
#[derive(Clone, Debug)]
pub struct Update {
    /// WITH before it.
    pub with: Option<ast::With>,
    /// The tree.
    pub update: ast::Update,
}

/// DELETE.
#[derive(Clone, Debug)]
pub struct Delete {
    /// WITH before it.
    pub with: Option<ast::With>,
    /// The tree.
    pub delete: ast::Delete,
}

/// MERGE INTO.
#[derive(Clone, Debug)]
pub struct Merge {
    /// WITH before it.
    pub with: Option<ast::With>,
    /// The tree.
    pub merge: ast::Merge,
}

/// WITH x AS (DELETE … RETURNING …) …
#[derive(Clone, Debug)]
pub struct With {
    /// The parts that change rows, in their order; at least one. Parts that are queries are in the
    /// WITH of each statement behind them.
    pub parts: Vec<Part>,
    /// What they are for: a query or a statement that changes rows.
    pub main: Box<Statement>,
}

/// A part of WITH that changes rows.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name, folded.
    pub name: String,
    /// Names for its columns, the first ones.
    pub columns: Vec<String>,
    /// INSERT, UPDATE, DELETE or MERGE.
    pub statement: Statement,
}

/// TRUNCATE.
#[derive(Clone, Debug)]
pub struct Truncate {
    /// At least one.
    pub tables: Vec<Target>,
    /// RESTART IDENTITY.
    pub restart_identity: bool,
    /// CASCADE.
    pub cascade: bool,
}

/// CALL.
#[derive(Clone, Debug)]
pub struct Call {
    /// The last two parts of the name, folded: `system.fast_forward` whatever the catalog, or one.
    pub procedure: Vec<String>,
    /// All positional or all named.
    pub arguments: Vec<CallArgument>,
}

/// One argument of CALL.
#[derive(Clone, Debug)]
pub struct CallArgument {
    /// The name, folded, of `name => value`.
    pub name: Option<String>,
    /// A constant expression or a parameter.
    pub value: ast::Expr,
}

/// PREPARE.
#[derive(Clone, Debug)]
pub struct Prepare {
    /// Its name.
    pub name: String,
    /// The types of the first parameters.
    pub types: Vec<Type>,
    /// What it runs.
    pub statement: Box<Statement>,
    /// The highest `$n` in it.
    pub parameters: usize,
}

/// VACUUM.
#[derive(Clone, Debug)]
pub struct Vacuum {
    /// The options in lower case: full, freeze, verbose, analyze, …; a bare option has no value.
    pub options: Vec<(String, Option<String>)>,
    /// No table is every table.
    pub tables: Vec<ast::ObjectName>,
}

impl Parsed {
    /// What a PREPARE of this text prepares.
    pub fn within_prepare(&self, prepare: &Prepare) -> Parsed {
        Parsed {
            statement: prepare.statement.as_ref().clone(),
            text: self.text.clone(),
            parameters: prepare.parameters,
            properties: self.properties.clone(),
            as_of: self.as_of.clone(),
            offset: self.offset,
            start: self.start,
        }
    }

    /// The position, in characters from 1 over the whole text sent, of a place in the tree; None
    /// where the tree does not know its place.
    pub fn position(&self, place: Location) -> Option<usize> {
        if place.line < self.start.line || place.line == 0 {
            return None;
        }
        let lines_down = (place.line - self.start.line) as usize;
        if lines_down == 0 {
            let right = place.column.checked_sub(self.start.column)? as usize;
            return Some(self.offset + right + 1);
        }
        let above: usize =
            self.text.split_inclusive('\n').take(lines_down).map(|l| l.chars().count()).sum();
        Some(self.offset + above + place.column as usize)
    }
}
