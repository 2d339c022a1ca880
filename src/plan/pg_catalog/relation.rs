//! The system tables and views there are: names, oids and columns, as PostgreSQL 16 has them.
//!
//! `facts/relations.txt` has one line a relation: `schema.name oid kind: column type, …`. A relation
//! that no builder fills is empty, but there.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};

use super::cell::{self, Cell};
use crate::error::{Error, ErrorKind, Result};

/// The key of an Arrow field's metadata that holds PostgreSQL's name of a type (`pg_type.typname`:
/// `oid`, `name`, `char`, `regproc`, `int2vector` …) where `spec::Type` has no such type.
pub const PG_TYPE_KEY: &str = "asofdb.pg_type";

/// One system table or view.
#[derive(Debug)]
pub struct Relation {
    /// `pg_catalog` or `information_schema`.
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The oid PostgreSQL gives it.
    pub oid: u32,
    /// `r` for a table, `v` for a view.
    pub kind: char,
    /// Names and types (`pg_type.typname`) of its columns.
    pub columns: Vec<(&'static str, &'static str)>,
    /// The same as Arrow fields, with [`PG_TYPE_KEY`].
    pub arrow: SchemaRef,
}

static RELATIONS: LazyLock<Vec<Relation>> =
    LazyLock::new(|| include_str!("facts/relations.txt").lines().map(parse).collect());

static BY_NAME: LazyLock<HashMap<(&str, &str), &'static Relation>> =
    LazyLock::new(|| RELATIONS.iter().map(|r| ((r.schema, r.name), r)).collect());

/// All of them, `pg_catalog` first.
pub fn relations() -> &'static [Relation] {
    &RELATIONS
}

/// The one of this name.
pub fn relation(schema: &str, name: &str) -> Option<&'static Relation> {
    BY_NAME.get(&(schema, name)).copied()
}

fn parse(line: &'static str) -> Relation {
    let fields = || {
        let (head, columns) = line.split_once(": ")?;
        let mut head = head.split(' ');
        let (schema, name) = head.next()?.split_once('.')?;
        let oid = head.next()?.parse().ok()?;
        let kind = head.next()?.chars().next()?;
        let columns: Vec<_> = columns.split(", ").filter_map(|c| c.split_once(' ')).collect();
        Some((schema, name, oid, kind, columns))
    };
    let (schema, name, oid, kind, columns) = fields().expect("relations.txt is well formed");
    let fields: Vec<Field> = columns.iter().map(|(column, of)| field(column, of)).collect();
    Relation { schema, name, oid, kind, columns, arrow: Arc::new(Schema::new(fields)) }
}

/// An Arrow field of a PostgreSQL type, nullable, with [`PG_TYPE_KEY`] where it needs saying.
pub fn field(name: &str, typname: &str) -> Field {
    let field = Field::new(name, stored_as(typname), true);
    match typname {
        "bool" | "int2" | "int4" | "int8" | "float4" | "float8" | "text" | "bytea" | "date"
        | "time" | "numeric" | "timestamp" | "timestamptz" | "interval" | "_text" | "_int2"
        | "_int4" | "_int8" | "_float4" | "_float8" | "_bool" => field,
        _ => field.with_metadata([(PG_TYPE_KEY.to_owned(), typname.to_owned())].into()),
    }
}

/// The Arrow type that stores a PostgreSQL type.
pub fn stored_as(typname: &str) -> DataType {
    match typname {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "oid" | "xid" | "cid" | "regclass" | "regtype" => DataType::UInt32,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(38, 10),
        "bytea" => DataType::BinaryView,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "int2vector" => list_of(DataType::Int16),
        "oidvector" => list_of(DataType::UInt32),
        "anyarray" => list_of(DataType::Utf8View),
        other => match other.strip_prefix('_') {
            Some(item) => list_of(stored_as(item)),
            None => DataType::Utf8View,
        },
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// Rows of a relation in the making.
pub struct Rows {
    relation: &'static Relation,
    columns: Vec<Vec<Cell>>,
}

impl Rows {
    /// No rows yet.
    pub fn new(relation: &'static Relation) -> Self {
        Rows { relation, columns: vec![Vec::new(); relation.columns.len()] }
    }

    /// Adds a row. Columns that are not named get what PostgreSQL's tables have where nothing is
    /// known (0, false, empty), and NULL in views and in types that may be NULL.
    ///
    /// # Panics
    /// If the relation has no column of a given name.
    pub fn push<const N: usize>(&mut self, values: [(&str, Cell); N]) {
        for (column, (_, typname)) in self.columns.iter_mut().zip(&self.relation.columns) {
            column.push(absent(self.relation.kind, typname));
        }
        for (name, value) in values {
            let position = self.relation.columns.iter().position(|(column, _)| *column == name);
            let position = position.unwrap_or_else(|| panic!("{} has {name}", self.relation.name));
            *self.columns[position].last_mut().expect("a row was just added") = value;
        }
    }

    /// The rows as one batch.
    pub fn finish(self) -> Result<RecordBatch> {
        let arrow = self.relation.arrow.clone();
        let columns = arrow.fields().iter().zip(&self.columns);
        let columns = columns
            .map(|(field, cells)| cell::array(field.data_type(), cells))
            .collect::<Result<_>>()?;
        RecordBatch::try_new(arrow, columns).map_err(|e| {
            Error::new(ErrorKind::Internal, "a system table is malformed").caused_by(e)
        })
    }
}

fn absent(kind: char, typname: &str) -> Cell {
    match (kind, typname) {
        ('v', _) => Cell::Null,
        (_, "bool") => Cell::Bool(false),
        (_, "int2" | "int4" | "int8" | "oid" | "xid") => Cell::Int(0),
        (_, "float4" | "float8") => Cell::Float(0.0),
        (_, "char" | "name") => Cell::Text(String::new()),
        (_, "regproc") => Cell::Text("-".to_owned()),
        _ => Cell::Null,
    }
}
