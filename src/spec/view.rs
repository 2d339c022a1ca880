//! Views and sequences: the objects of a catalog that hold no rows.

use super::codec::{Reader, Writer};
use super::constraint::{read_columns, write_columns};
use super::ids::{ColumnId, TableId};
use crate::error::Result;

/// A view: its text, and what the names in it stood for when it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Shares the tables' counter.
    pub id: TableId,
    /// The schema (namespace).
    pub namespace: String,
    /// The view's name.
    pub name: String,
    /// The SELECT.
    pub query: String,
    /// The names of its first columns; the others have the query's.
    pub columns: Vec<String>,
    /// The objects its text names.
    pub uses: Vec<ViewUse>,
    /// COMMENT ON VIEW.
    pub comment: Option<String>,
}

/// A name in a view's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewUse {
    /// The parts of the name as written, folded.
    pub written: Vec<String>,
    /// The table or view it stood for.
    pub object: TableId,
    /// A table's columns as they were called then: the view goes on to call them so.
    pub columns: Vec<(ColumnId, String)>,
    /// Those of them that the view needs.
    pub needed: Vec<ColumnId>,
}

/// A sequence's definition. What it has counted to is kept apart: that is of the whole database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Shares the tables' counter.
    pub id: TableId,
    /// The schema (namespace).
    pub namespace: String,
    /// The sequence's name.
    pub name: String,
    /// The first value.
    pub start: i64,
    /// From one value to the next; not 0.
    pub increment: i64,
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// Whether it begins again behind its last value.
    pub cycle: bool,
    /// The column that owns it: they go together.
    pub owner: Option<(TableId, ColumnId)>,
    /// COMMENT ON SEQUENCE.
    pub comment: Option<String>,
}

impl View {
    /// The record of this view.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(2);
        w.u64(self.id.0);
        w.str(&self.namespace);
        w.str(&self.name);
        w.str(&self.query);
        w.list(&self.columns, |w, name| w.str(name));
        w.list(&self.uses, |w, used| {
            w.list(&used.written, |w, part| w.str(part));
            w.u64(used.object.0);
            w.list(&used.columns, |w, (id, name)| {
                w.u64(id.0);
                w.str(name);
            });
            write_columns(w, &used.needed);
        });
        w.option(self.comment.as_deref(), Writer::str);
        w.finish()
    }

    /// The view of a record.
    pub fn decode(bytes: &[u8]) -> Result<View> {
        let mut r = Reader::open_version(bytes, "view", 2)?;
        Ok(View {
            id: TableId(r.u64()?),
            namespace: r.str()?,
            name: r.str()?,
            query: r.str()?,
            columns: r.list(Reader::str)?,
            uses: r.list(|r| {
                Ok(ViewUse {
                    written: r.list(Reader::str)?,
                    object: TableId(r.u64()?),
                    columns: r.list(|r| Ok((ColumnId(r.u64()?), r.str()?)))?,
                    needed: read_columns(r)?,
                })
            })?,
            comment: r.option(Reader::str)?,
        })
    }
}

impl Sequence {
    /// The record of this sequence.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.0);
        w.str(&self.namespace);
        w.str(&self.name);
        for number in [self.start, self.increment, self.min, self.max] {
            w.i64(number);
        }
        w.bool(self.cycle);
        w.option(self.owner, |w, (table, column)| {
            w.u64(table.0);
            w.u64(column.0);
        });
        w.option(self.comment.as_deref(), Writer::str);
        w.finish()
    }

    /// The sequence of a record.
    pub fn decode(bytes: &[u8]) -> Result<Sequence> {
        let mut r = Reader::open_version(bytes, "sequence", 1)?;
        Ok(Sequence {
            id: TableId(r.u64()?),
            namespace: r.str()?,
            name: r.str()?,
            start: r.i64()?,
            increment: r.i64()?,
            min: r.i64()?,
            max: r.i64()?,
            cycle: r.bool()?,
            owner: r.option(|r| Ok((TableId(r.u64()?), ColumnId(r.u64()?))))?,
            comment: r.option(Reader::str)?,
        })
    }
}
