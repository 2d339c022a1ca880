//! The shape of a table: columns, keys, the order of its rows and what time means in it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::codec::{Reader, Writer};
use super::constraint::{
    Check, EnforcedKey, Generated, PrimaryKey, UniqueKey, read_columns, write_columns,
};
use super::ids::{ColumnId, SchemaId, TableId};
use super::text::{TextBuilder, TextFormatter, TextOptions, parse_interval};
use super::types::Type;
use crate::error::{Error, ErrorKind, Result};

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
    /// What rows that were written before the column came show: the text form of a value of its
    /// type, None for NULL.
    pub missing: Option<String>,
    /// Whether every row got a value of its own when the column came (a change of type, a computed
    /// column, a serial): a row from elsewhere has none, and `missing` is not it.
    pub filled: bool,
    /// Identity, serial, GENERATED … STORED.
    pub generated: Option<Generated>,
    /// COMMENT ON COLUMN.
    pub comment: Option<String>,
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
    /// The other keys.
    pub unique: Vec<UniqueKey>,
    /// What every row satisfies.
    pub checks: Vec<Check>,
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
    /// COMMENT ON TABLE.
    pub comment: Option<String>,
}

/// The option that says how much of a table's history stays readable.
pub const RETENTION: &str = "retention";

/// An interval as a retention, in µs; a month has 30 days.
///
/// # Errors
/// InvalidValue for what is no interval, or not a positive one.
pub fn retention_us(said: &str) -> Result<i64> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::InvalidValue, format!("retention cannot be \"{said}\": {why}"))
            .hint("WITH (retention = '30 days')")
    };
    let interval = parse_interval(said.as_bytes()).map_err(|_| wrong("that is no interval"))?;
    let days = i64::from(interval.months) * 30 + i64::from(interval.days);
    let us = days.saturating_mul(86_400_000_000).saturating_add(interval.nanoseconds / 1000);
    if us <= 0 { Err(wrong("it has to be longer than nothing")) } else { Ok(us) }
}

impl Column {
    /// A column of this type and nothing else.
    pub fn new(id: ColumnId, name: impl Into<String>, data_type: Type) -> Column {
        Column {
            id,
            name: name.into(),
            data_type,
            not_null: false,
            default: None,
            missing: None,
            filled: false,
            generated: None,
            comment: None,
        }
    }
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

    /// The keys of which a second row is refused; the primary key first.
    pub fn enforced_keys(&self) -> Vec<EnforcedKey<'_>> {
        let primary = self.primary_key.iter().filter(|key| key.enforced).map(|key| EnforcedKey {
            name: &key.name,
            columns: &key.columns,
            nulls_distinct: true,
        });
        let others = self.unique.iter().filter(|key| key.enforced).map(|key| EnforcedKey {
            name: &key.name,
            columns: &key.columns,
            nulls_distinct: key.nulls_distinct,
        });
        primary.chain(others).collect()
    }

    /// How much of its history stays readable, as `retention` among its options says: µs.
    pub fn retention_us(&self) -> Option<i64> {
        let (_, said) = self.options.iter().find(|(name, _)| name == RETENTION)?;
        retention_us(said).ok()
    }

    /// The names of its constraints.
    pub fn constraint_names(&self) -> impl Iterator<Item = &str> {
        let primary = self.primary_key.iter().map(|key| key.name.as_str());
        let unique = self.unique.iter().map(|key| key.name.as_str());
        primary.chain(unique).chain(self.checks.iter().map(|check| check.name.as_str()))
    }

    /// The record of this shape.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(3);
        w.u64(self.id.0);
        w.u64(self.table.0);
        w.str(&self.namespace);
        w.str(&self.name);
        w.list(&self.columns, |w, c| c.write(w));
        w.option(self.primary_key.as_ref(), |w, key| {
            w.str(&key.name);
            write_columns(w, &key.columns);
            w.bool(key.enforced);
        });
        w.list(&self.unique, |w, key| key.write(w));
        w.list(&self.checks, |w, check| check.write(w));
        write_columns(&mut w, &self.cluster_by);
        w.option(self.event_time, |w, id| w.u64(id.0));
        w.option(self.known_time, |w, id| w.u64(id.0));
        write_columns(&mut w, &self.ties);
        w.list(&self.options, |w, (name, value)| {
            w.str(name);
            w.str(value);
        });
        w.option(self.comment.as_deref(), Writer::str);
        w.finish()
    }

    /// The shape of a record.
    pub fn decode(bytes: &[u8]) -> Result<TableSchema> {
        let mut r = Reader::open_version(bytes, "table schema", 3)?;
        Ok(TableSchema {
            id: SchemaId(r.u64()?),
            table: TableId(r.u64()?),
            namespace: r.str()?,
            name: r.str()?,
            columns: r.list(Column::read)?,
            primary_key: r.option(|r| {
                Ok(PrimaryKey { name: r.str()?, columns: read_columns(r)?, enforced: r.bool()? })
            })?,
            unique: r.list(UniqueKey::read)?,
            checks: r.list(Check::read)?,
            cluster_by: read_columns(&mut r)?,
            event_time: r.option(|r| Ok(ColumnId(r.u64()?)))?,
            known_time: r.option(|r| Ok(ColumnId(r.u64()?)))?,
            ties: read_columns(&mut r)?,
            options: r.list(|r| Ok((r.str()?, r.str()?)))?,
            comment: r.option(Reader::str)?,
        })
    }
}

impl Column {
    fn write(&self, w: &mut Writer) {
        w.u64(self.id.0);
        w.str(&self.name);
        self.data_type.write(w);
        w.bool(self.not_null);
        w.option(self.default.as_deref(), Writer::str);
        w.option(self.missing.as_deref(), Writer::str);
        w.bool(self.filled);
        w.option(self.generated.as_ref(), |w, generated| generated.write(w));
        w.option(self.comment.as_deref(), Writer::str);
    }

    fn read(r: &mut Reader<'_>) -> Result<Column> {
        Ok(Column {
            id: ColumnId(r.u64()?),
            name: r.str()?,
            data_type: Type::read(r)?,
            not_null: r.bool()?,
            default: r.option(Reader::str)?,
            missing: r.option(Reader::str)?,
            filled: r.bool()?,
            generated: r.option(Generated::read)?,
            comment: r.option(Reader::str)?,
        })
    }

    /// What rows show that were written before the column came: an array of one row in the column's
    /// Arrow type.
    pub fn missing_value(&self) -> Result<ArrayRef> {
        let mut builder = TextBuilder::new(&self.data_type, &TextOptions::default());
        match &self.missing {
            None => builder.append_null(),
            Some(text) => builder.append(text.as_bytes()).map_err(|cause| {
                let message = format!("the stored default of column \"{}\" is no value", self.name);
                Error::new(ErrorKind::Corrupt, message).caused_by(cause)
            })?,
        }
        Ok(builder.finish())
    }

    /// Sets what older rows show: the value of an array of one row.
    pub fn set_missing_value(&mut self, value: &dyn Array) -> Result<()> {
        let options = TextOptions::default();
        let formatter = TextFormatter::new(&self.data_type, value, &options)?;
        self.missing = match formatter.is_null(0) {
            true => None,
            false => {
                let mut text = Vec::new();
                formatter.write(0, &mut text);
                Some(String::from_utf8(text).expect("the text form of a value is UTF-8"))
            }
        };
        Ok(())
    }
}
