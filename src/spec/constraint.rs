//! What rows of a table must satisfy, and where values that nobody gives come from.

use super::codec::{Reader, Writer};
use super::ids::{ColumnId, TableId};
use crate::error::Result;

/// PRIMARY KEY (…) [NOT ENFORCED].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryKey {
    /// The constraint's name.
    pub name: String,
    /// In the order written.
    pub columns: Vec<ColumnId>,
    /// Whether a second row of one key is refused.
    pub enforced: bool,
}

/// UNIQUE (…).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    /// The constraint's name, unique in its table.
    pub name: String,
    /// In the order written.
    pub columns: Vec<ColumnId>,
    /// Whether a second row of one key is refused.
    pub enforced: bool,
    /// Whether keys with a NULL in them are equal to no other, as they are unless said otherwise.
    pub nulls_distinct: bool,
}

/// CHECK (…).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The constraint's name, unique in its table.
    pub name: String,
    /// The condition's SQL text, over the table's columns by their names of today.
    pub text: String,
    /// Whether rows that do not satisfy it are refused.
    pub enforced: bool,
    /// Whether every row is known to satisfy it; false after NOT VALID.
    pub valid: bool,
}

/// Where the values of a column come from that is not simply written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Generated {
    /// GENERATED … AS IDENTITY: from this sequence; with `always` a value of the user's is refused.
    Identity { sequence: TableId, always: bool },
    /// serial: the column owns the sequence that its DEFAULT names.
    Serial { sequence: TableId },
    /// GENERATED ALWAYS AS (…) STORED: the SQL text, over the table's other columns.
    Stored(String),
}

/// One enforced key of a table, the primary one or another.
#[derive(Clone, Copy, Debug)]
pub struct EnforcedKey<'a> {
    /// The constraint's name.
    pub name: &'a str,
    /// In the order written.
    pub columns: &'a [ColumnId],
    /// Whether keys with a NULL in them are equal to no other.
    pub nulls_distinct: bool,
}

impl Generated {
    /// The sequence that a column owns.
    pub fn sequence(&self) -> Option<TableId> {
        match self {
            Generated::Identity { sequence, .. } | Generated::Serial { sequence } => {
                Some(*sequence)
            }
            Generated::Stored(_) => None,
        }
    }

    pub(super) fn write(&self, w: &mut Writer) {
        match self {
            Generated::Identity { sequence, always } => {
                w.u8(0);
                w.u64(sequence.0);
                w.bool(*always);
            }
            Generated::Serial { sequence } => {
                w.u8(1);
                w.u64(sequence.0);
            }
            Generated::Stored(text) => {
                w.u8(2);
                w.str(text);
            }
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Generated> {
        Ok(match r.u8()? {
            0 => Generated::Identity { sequence: TableId(r.u64()?), always: r.bool()? },
            1 => Generated::Serial { sequence: TableId(r.u64()?) },
            2 => Generated::Stored(r.str()?),
            _ => return Err(r.corrupt("has a column that is generated in an unknown way")),
        })
    }
}

impl UniqueKey {
    pub(super) fn write(&self, w: &mut Writer) {
        w.str(&self.name);
        write_columns(w, &self.columns);
        w.bool(self.enforced);
        w.bool(self.nulls_distinct);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<UniqueKey> {
        Ok(UniqueKey {
            name: r.str()?,
            columns: read_columns(r)?,
            enforced: r.bool()?,
            nulls_distinct: r.bool()?,
        })
    }
}

impl Check {
    pub(super) fn write(&self, w: &mut Writer) {
        w.str(&self.name);
        w.str(&self.text);
        w.bool(self.enforced);
        w.bool(self.valid);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Check> {
        Ok(Check { name: r.str()?, text: r.str()?, enforced: r.bool()?, valid: r.bool()? })
    }
}

pub(super) fn write_columns(w: &mut Writer, columns: &[ColumnId]) {
    w.list(columns, |w, id| w.u64(id.0));
}

pub(super) fn read_columns(r: &mut Reader<'_>) -> Result<Vec<ColumnId>> {
    r.list(|r| Ok(ColumnId(r.u64()?)))
}
