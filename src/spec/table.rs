//! The shape of a table: columns, keys, the order of its rows and what time means in it.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::codec::{Reader, Writer};
use super::ids::{ColumnId, SchemaId, TableId};
use super::types::Type;
use crate::error::Result;

/// One column. Its id is its identity; its name can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Never used again, not even for a column of the same name.
    pub id: ColumnId,
    /// As written, folded to lower case unless quoted.
    pub name: String,
    /// The logical type.
    pub data_type: Type,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// The SQL text of DEFAULT, for rows that do not say.
    pub default: Option<String>,
}

/// PRIMARY KEY (…) [NOT ENFORCED].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryKey {
    /// In the order written.
    pub columns: Vec<ColumnId>,
    /// Whether a second row of one key is refused.
    pub enforced: bool,
}

/// One shape of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// This shape's own id: segments and inline batches name the shape they were written in.
    pub id: SchemaId,
    /// The table.
    pub table: TableId,
    /// The schema (namespace) and the name.
    pub namespace: String,
    /// The table's name.
    pub name: String,
    /// In the order of `*`.
    pub columns: Vec<Column>,
    /// At most one.
    pub primary_key: Option<PrimaryKey>,
    /// The order rows have inside a segment; the primary key's columns where nothing was said.
    pub cluster_by: Vec<ColumnId>,
    /// EVENT TIME: when a row was true.
    pub event_time: Option<ColumnId>,
    /// KNOWN TIME: when a row became known, where it is not the commit.
    pub known_time: Option<ColumnId>,
    /// TIES: which of several rows with one event time wins, the greatest of these first.
    pub ties: Vec<ColumnId>,
    /// WITH (…), as written.
    pub options: Vec<(String, String)>,
}

/// A view: text, and the columns it had when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Shares the tables' counter.
    pub id: TableId,
    /// The schema (namespace).
    pub namespace: String,
    /// The view's name.
    pub name: String,
    /// The SELECT.
    pub query: String,
}

impl TableSchema {
    /// The column with this id, dropped columns excluded.
    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// The position and the column of this name.
    pub fn column_named(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, c)| c.name == name)
    }

    /// The position of a column in `*`.
    pub fn position(&self, id: ColumnId) -> Option<usize> {
        self.columns.iter().position(|c| c.id == id)
    }

    /// The Arrow schema of the visible columns, in the order of `*`.
    pub fn arrow(&self) -> SchemaRef {
        let fields: Vec<Field> =
            self.columns.iter().map(|c| c.data_type.field(&c.name, !c.not_null)).collect();
        Arc::new(Schema::new(fields))
    }

    /// The sort order of segments: the clustering key, then TIES. `_commit` and `_row_id` follow.
    pub fn order(&self) -> Vec<ColumnId> {
        let mut order = self.cluster_by.clone();
        order.extend(self.ties.iter().filter(|id| !self.cluster_by.contains(id)));
        order
    }

    /// The record of this shape.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.0);
        w.u64(self.table.0);
        w.str(&self.namespace);
        w.str(&self.name);
        w.list(&self.columns, |w, c| {
            w.u64(c.id.0);
            w.str(&c.name);
            c.data_type.write(w);
            w.bool(c.not_null);
            w.option(c.default.as_deref(), Writer::str);
        });
        w.option(self.primary_key.as_ref(), |w, key| {
            write_columns(w, &key.columns);
            w.bool(key.enforced);
        });
        write_columns(&mut w, &self.cluster_by);
        w.option(self.event_time, |w, id| w.u64(id.0));
        w.option(self.known_time, |w, id| w.u64(id.0));
        write_columns(&mut w, &self.ties);
        w.list(&self.options, |w, (name, value)| {
            w.str(name);
            w.str(value);
        });
        w.finish()
    }

    /// The shape of a record.
    pub fn decode(bytes: &[u8]) -> Result<TableSchema> {
        let mut r = Reader::open_version(bytes, "table schema", 1)?;
        Ok(TableSchema {
            id: SchemaId(r.u64()?),
            table: TableId(r.u64()?),
            namespace: r.str()?,
            name: r.str()?,
            columns: r.list(|r| {
                Ok(Column {
                    id: ColumnId(r.u64()?),
                    name: r.str()?,
                    data_type: Type::read(r)?,
                    not_null: r.bool()?,
                    default: r.option(Reader::str)?,
                })
            })?,
            primary_key: r
                .option(|r| Ok(PrimaryKey { columns: read_columns(r)?, enforced: r.bool()? }))?,
            cluster_by: read_columns(&mut r)?,
            event_time: r.option(|r| Ok(ColumnId(r.u64()?)))?,
            known_time: r.option(|r| Ok(ColumnId(r.u64()?)))?,
            ties: read_columns(&mut r)?,
            options: r.list(|r| Ok((r.str()?, r.str()?)))?,
        })
    }
}

impl View {
    /// The record of this view.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.0);
        w.str(&self.namespace);
        w.str(&self.name);
        w.str(&self.query);
        w.finish()
    }

    /// The view of a record.
    pub fn decode(bytes: &[u8]) -> Result<View> {
        let mut r = Reader::open_version(bytes, "view", 1)?;
        Ok(View { id: TableId(r.u64()?), namespace: r.str()?, name: r.str()?, query: r.str()? })
    }
}

fn write_columns(w: &mut Writer, columns: &[ColumnId]) {
    w.list(columns, |w, id| w.u64(id.0));
}

fn read_columns(r: &mut Reader<'_>) -> Result<Vec<ColumnId>> {
    r.list(|r| Ok(ColumnId(r.u64()?)))
}
