//! SQL text to [`Statement`]s: PostgreSQL's dialect, and our clauses added to it.
//!
//! One tokenisation. The tokens are bounded (`limits`), versions and ASOF joins are rewritten in
//! place to the one shape the grammar below knows (`rewrite`), then each statement is read by its
//! family's file; queries and expressions are sqlparser's. Tokens keep the place they were written
//! at, so an error's position counts characters over the whole text sent.
//!
//! The room refuses what it does not know: an unknown word is a syntax error, a version clause is
//! never dropped, and text is never printed from a tree and parsed again. It resolves no name and
//! knows no table.
//!
//! Start reading at [`parse`], then `statement`.

mod alter;
mod asof;
mod branch;
mod clause;
mod column;
mod comment;
mod copy;
mod create;
mod cursor;
mod dialect;
mod dispatch;
mod drop;
mod foreign;
mod grammar;
mod limits;
mod mentions;
mod query;
mod refused;
mod rewrite;
mod script;
mod sequence;
mod setting;
mod source;
mod statement;
#[cfg(test)]
mod tests;
mod transaction;
mod types;
mod version;

pub use alter::{AlterColumn, AlterOperation, AlterTable, Place, TableOption};
pub use asof::{AsofKind, AsofSyntax, asof_of};
pub use branch::{
    CreateRef, History, MergeBranch, OnConflict, PublishBranch, RestoreTable, Retain,
    RollbackBranch,
};
pub use column::{Check, ColumnSpec, Identity, KeySpec};
pub use comment::set_properties;
pub use copy::{Copy, CopyFormat, CopyHeader, CopyLocation, CopyOptions, CopyTarget};
pub use create::{
    CreateIndex, CreateSchema, CreateTable, CreateView, Like, OnCommit, TableClauses,
};
pub use cursor::{Declare, Fetch, FetchDirection};
pub use drop::{Comment, CommentTarget, Drop, ObjectKind};
pub use grammar::fold;
pub use mentions::{mentions, with_column_renamed, with_columns_named};
pub use query::{expression, parse, query, refuse_write, version_literal};
pub use rewrite::does_nothing;
pub use script::{ScriptPart, script};
pub use sequence::{AlterObject, CreateSequence, ObjectChange, SequenceOptions};
pub use setting::{Set, SettingValue, Show};
pub use statement::{
    Call, CallArgument, Delete, Explain, Insert, Merge, Overriding, Parsed, Part, Prepare, Replace,
    Statement, Target, Truncate, Update, Vacuum, With,
};
pub use transaction::{Isolation, TransactionModes};
pub use types::map_type;
pub use version::{Slot, TableVersionSpec, version_of, version_tree};
