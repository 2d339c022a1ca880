//! Statements of PostgreSQL that are known by their first words and that nothing here does: refused by
//! name, where an unknown word is a syntax error.

use super::grammar::Grammar;
use crate::error::{Error, ErrorKind};

/// Statements of one form each.
const STATEMENTS: [&str; 10] = [
    "GRANT",
    "REVOKE",
    "REASSIGN OWNED",
    "DROP OWNED",
    "SECURITY LABEL",
    "CLUSTER",
    "REINDEX",
    "REFRESH MATERIALIZED VIEW",
    "LOAD",
    "IMPORT FOREIGN SCHEMA",
];

/// What CREATE, ALTER and DROP are said of besides what is here.
const OBJECTS: [&str; 43] = [
    "ROLE",
    "USER MAPPING",
    "USER",
    "GROUP",
    "FUNCTION",
    "PROCEDURE",
    "ROUTINE",
    "TRIGGER",
    "CONSTRAINT TRIGGER",
    "EVENT TRIGGER",
    "RULE",
    "TYPE",
    "DOMAIN",
    "SEQUENCE",
    "EXTENSION",
    "AGGREGATE",
    "OPERATOR",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "DEFAULT CONVERSION",
    "DATABASE",
    "TABLESPACE",
    "SERVER",
    "FOREIGN TABLE",
    "FOREIGN DATA WRAPPER",
    "TRUSTED LANGUAGE",
    "PROCEDURAL LANGUAGE",
    "LANGUAGE",
    "POLICY",
    "PUBLICATION",
    "SUBSCRIPTION",
    "STATISTICS",
    "TEXT SEARCH",
    "TRANSFORM",
    "ACCESS METHOD",
    "DEFAULT PRIVILEGES",
    "SYSTEM",
    "LARGE OBJECT",
    "VIEW",
    "MATERIALIZED VIEW",
    "INDEX",
    "SCHEMA",
];

impl Grammar<'_> {
    /// The error for a statement that PostgreSQL has and we do not; a syntax error for any other.
    pub(super) fn unknown_statement(&self) -> Error {
        match STATEMENTS.iter().find(|words| self.sees(words)) {
            Some(words) => self.not_supported(words),
            None => self.unexpected(),
        }
    }

    /// The same behind CREATE, ALTER or DROP.
    pub(super) fn unknown_object(&self, verb: &str) -> Error {
        match OBJECTS.iter().find(|words| self.sees(words)) {
            Some(words) => self.not_supported(&format!("{verb} {words}")),
            None => self.unexpected(),
        }
    }

    fn not_supported(&self, words: &str) -> Error {
        self.refuse(ErrorKind::NotSupported, format!("{words} is not supported"))
    }
}
