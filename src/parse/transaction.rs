//! Transactions and savepoints.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::Grammar;
use super::statement::Statement;
use super::version::{Slot, TableVersionSpec};
use crate::error::Result;

/// What BEGIN and SET TRANSACTION say; None where they do not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<Isolation>,
    /// READ ONLY, READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE, NOT DEFERRABLE.
    pub deferrable: Option<bool>,
    /// AS OF SYSTEM TIME e, or any other version clause.
    pub as_of: Option<TableVersionSpec>,
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

impl Grammar<'_> {
    /// BEGIN, COMMIT, ROLLBACK and their kin.
    pub(super) fn transaction(&mut self) -> Result<Statement> {
        if self.accepts("BEGIN") || self.accepts("START TRANSACTION") {
            self.accepts_work();
            return self.modes().map(Statement::Begin);
        }
        if self.accepts("SAVEPOINT") {
            return self.name().map(Statement::Savepoint);
        }
        if self.accepts("RELEASE") {
            self.accepts("SAVEPOINT");
            return self.name().map(Statement::Release);
        }
        if self.accepts("COMMIT") || self.accepts("END") {
            self.accepts_work();
            return Ok(Statement::Commit { chain: self.chain()? });
        }
        self.expects_one(&["ROLLBACK", "ABORT"])?;
        self.accepts_work();
        if self.accepts("TO") {
            self.accepts("SAVEPOINT");
            return self.name().map(Statement::RollbackTo);
        }
        Ok(Statement::Rollback { chain: self.chain()? })
    }

    fn accepts_work(&mut self) {
        if !self.accepts("WORK") {
            self.accepts("TRANSACTION");
        }
    }

    fn chain(&mut self) -> Result<bool> {
        if self.accepts("AND CHAIN") {
            return Ok(true);
        }
        self.accepts("AND NO CHAIN");
        Ok(false)
    }

    /// Modes, with or without commas between them, as PostgreSQL takes them.
    pub(super) fn modes(&mut self) -> Result<TransactionModes> {
        let mut modes = TransactionModes::default();
        while !self.at_end() {
            self.mode(&mut modes)?;
            if self.accepts_sign(&Token::Comma) && self.at_end() {
                return Err(self.unexpected());
            }
        }
        Ok(modes)
    }

    fn mode(&mut self, modes: &mut TransactionModes) -> Result<()> {
        if self.accepts("ISOLATION LEVEL") {
            let levels = [
                ("READ UNCOMMITTED", Isolation::ReadUncommitted),
                ("READ COMMITTED", Isolation::ReadCommitted),
                ("REPEATABLE READ", Isolation::RepeatableRead),
                ("SNAPSHOT", Isolation::RepeatableRead),
                ("SERIALIZABLE", Isolation::Serializable),
            ];
            let found = levels.iter().find(|(words, _)| self.accepts(words));
            modes.isolation = Some(found.ok_or_else(|| self.unexpected())?.1);
        } else if self.accepts("READ ONLY") {
            modes.read_only = Some(true);
        } else if self.accepts("READ WRITE") {
            modes.read_only = Some(false);
        } else if self.accepts("NOT DEFERRABLE") {
            modes.deferrable = Some(false);
        } else if self.accepts("DEFERRABLE") {
            modes.deferrable = Some(true);
        } else if self.accepts("AS OF SYSTEM TIME") {
            let value = self.constant()?;
            let slot = Slot::Time;
            modes.as_of = Some(TableVersionSpec { slot, value, before: false, within: None });
        } else if let Some(version) = self.version()? {
            modes.as_of = Some(version);
        } else if self.accepts("SNAPSHOT") {
            modes.snapshot = Some(self.string()?);
        } else {
            return Err(self.unexpected());
        }
        Ok(())
    }
}
