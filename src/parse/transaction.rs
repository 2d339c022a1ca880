//! Transactions and savepoints.

use datafusion::sql::sqlparser::ast;

/// What BEGIN and SET TRANSACTION say; None where they do not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<Isolation>,
    /// READ ONLY, READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE, NOT DEFERRABLE.
    pub deferrable: Option<bool>,
    /// AS OF SYSTEM TIME e.
    pub as_of: Option<ast::Expr>,
    /// SET TRANSACTION SNAPSHOT 'id'.
    pub snapshot: Option<String>,
}

/// ISOLATION LEVEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// READ UNCOMMITTED.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}
