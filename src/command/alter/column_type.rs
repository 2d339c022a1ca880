//! One column's type, default, NOT NULL and way of being generated.

use arrow::compute::{CastOptions, cast_with_options};

use super::{Alteration, rewrite_values};
use crate::command::depend::views_over;
use crate::command::sequence;
use crate::command::verify::quoted;
use crate::command::write::values::{default_array, default_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{self, Identity, mentions};
use crate::spec::{Column, ColumnId, Generated, TableSchema, Type};

impl Alteration<'_, '_> {
    /// ALTER COLUMN TYPE: a widening changes the shape alone; any other change writes the rows again
    /// into a column of its own, so that other versions keep theirs.
    pub(super) async fn set_type(
        &mut self,
        name: &str,
        to: &Type,
        using: Option<&str>,
    ) -> Result<()> {
        let column = self.column(name)?;
        let from = &column.data_type;
        if from == to && using.is_none() {
            return Ok(());
        }
        self.refuse_computed(name)?;
        if using.is_none() && from.widens_to(to) {
            let mut next = column.clone();
            next.default = default_as(&column, to);
            next.data_type = to.clone();
            let options = CastOptions { safe: false, ..CastOptions::default() };
            let missing = cast_with_options(&column.missing_value()?, &to.arrow(), &options);
            next.set_missing_value(missing.map_err(fault::of_arrow)?.as_ref())?;
            return self.change(false, |schema| {
                let at = schema.position(column.id).expect("found by name");
                schema.columns[at] = next;
                check_clauses(schema, column.id)
            });
        }
        let value = match using {
            Some(text) => format!("({text})"),
            None if is_assignable(from, to) => quoted(name),
            None => return Err(not_castable(&column, to)),
        };
        self.rewrite_column(&column, to, &value).await
    }

    async fn rewrite_column(&mut self, column: &Column, to: &Type, value: &str) -> Result<()> {
        let views = views_over(&self.writing.reading, self.table.id(), Some(column.id))?;
        if let Some(view) = views.first() {
            let message = "cannot alter type of a column used by a view or rule";
            return Err(Error::new(ErrorKind::NotSupported, message).detail(format!(
                "rule _RETURN on view {} depends on column \"{}\"",
                view.name, column.name
            )));
        }
        let id = ColumnId(self.table.store().next_id());
        let mut schema = self.schema().as_ref().clone();
        let own = schema.columns.iter_mut().find(|other| other.id == column.id);
        let own = own.expect("found by name");
        let default = default_as(own, to);
        let data_type = to.clone();
        *own = Column { id, data_type, default, missing: None, filled: true, ..own.clone() };
        replace_id(&mut schema, column.id, id);
        check_clauses(&schema, id)?;
        // A length is asked of the value that comes, which a cast would cut.
        let cast_to = match to {
            Type::Varchar(_) | Type::Char(_) => Type::Text,
            other => other.clone(),
        };
        let value = format!("CAST({value} AS {cast_to})");
        let before = self.schema().as_ref().clone();
        let values = rewrite_values(&before, &schema, id, &value);
        self.rewrite(schema, &values).await?;
        let next = self.column(&column.name)?;
        if next.default.is_some() {
            default_array(self.writing, &next, 1).map_err(|cause| {
                let message = format!(
                    "default for column \"{}\" cannot be cast automatically to type {to}",
                    next.name
                );
                Error::new(ErrorKind::DatatypeMismatch, message).caused_by(cause)
            })?;
        }
        Ok(())
    }

    fn refuse_computed(&self, name: &str) -> Result<()> {
        for other in &self.schema().columns {
            let Some(Generated::Stored(text)) = &other.generated else { continue };
            if other.name == name || mentions(text)?.iter().any(|(_, named)| named == name) {
                let message = "cannot alter type of a column used by a generated column";
                return Err(Error::new(ErrorKind::NotSupported, message).detail(format!(
                    "Column \"{name}\" is used by generated column \"{}\".",
                    other.name
                )));
            }
        }
        Ok(())
    }

    pub(super) fn set_default(&mut self, name: &str, text: Option<&str>) -> Result<()> {
        let column = self.column(name)?;
        let what = match &column.generated {
            Some(Generated::Identity { .. }) => Some("an identity column"),
            Some(Generated::Stored(_)) => Some("a generated column"),
            Some(Generated::Serial { .. }) | None => None,
        };
        if let Some(what) = what {
            let table = &self.schema().name;
            let message = format!("column \"{name}\" of relation \"{table}\" is {what}");
            return Err(Error::new(ErrorKind::Syntax, message));
        }
        if let Some(text) = text {
            parse::expression(text)?;
            let next = Column { default: Some(text.to_owned()), ..column.clone() };
            default_of(&self.writing.reading, self.writing.state, &next)?;
        }
        self.change(false, |schema| {
            let at = schema.position(column.id).expect("found by name");
            schema.columns[at].default = text.map(str::to_owned);
            Ok(())
        })
    }

    pub(super) async fn set_not_null(&mut self, name: &str) -> Result<()> {
        let column = self.column(name)?;
        if column.not_null {
            return Ok(());
        }
        self.verify().not_null(name).await?;
        self.change(true, |schema| {
            let at = schema.position(column.id).expect("found by name");
            schema.columns[at].not_null = true;
            Ok(())
        })
    }

    pub(super) fn drop_not_null(&mut self, name: &str) -> Result<()> {
        let column = self.column(name)?;
        let schema = self.schema();
        let key = schema.primary_key.as_ref().is_some_and(|key| key.columns.contains(&column.id));
        let place = match () {
            _ if key => "a primary key".to_owned(),
            _ if schema.cluster_by.contains(&column.id) => {
                format!("CLUSTER BY of \"{}\"", schema.name)
            }
            _ if matches!(column.generated, Some(Generated::Identity { .. })) => {
                let table = &schema.name;
                let message =
                    format!("column \"{name}\" of relation \"{table}\" is an identity column");
                return Err(Error::new(ErrorKind::Syntax, message));
            }
            _ => {
                return self.change(false, |schema| {
                    let at = schema.position(column.id).expect("found by name");
                    schema.columns[at].not_null = false;
                    Ok(())
                });
            }
        };
        Err(Error::new(ErrorKind::InvalidDefinition, format!("column \"{name}\" is in {place}")))
    }

    pub(super) fn add_identity(&mut self, name: &str, identity: &Identity) -> Result<()> {
        let mut column = self.column(name)?;
        let table = self.schema().name.clone();
        if !column.not_null {
            let message = format!(
                "column \"{name}\" of relation \"{table}\" must be declared NOT NULL before \
                 identity can be added"
            );
            return Err(Error::new(ErrorKind::WrongState, message));
        }
        if column.generated.is_some() || column.default.is_some() {
            let message =
                format!("column \"{name}\" of relation \"{table}\" already has a default value");
            return Err(Error::new(ErrorKind::WrongState, message));
        }
        let schema = self.schema().as_ref().clone();
        sequence::own(self.writing, &schema, &mut column, identity)?;
        self.refresh()?;
        self.put(column)
    }

    pub(super) fn drop_identity(&mut self, name: &str, if_exists: bool) -> Result<()> {
        let mut column = self.column(name)?;
        let Some(Generated::Identity { sequence: owned, .. }) = column.generated else {
            return self.not_generated(name, "an identity column", if_exists);
        };
        sequence::drop_owned(self.writing, owned, self.table.id())?;
        self.refresh()?;
        (column.generated, column.default) = (None, None);
        self.put(column)
    }

    pub(super) fn drop_expression(&mut self, name: &str, if_exists: bool) -> Result<()> {
        let mut column = self.column(name)?;
        if !matches!(column.generated, Some(Generated::Stored(_))) {
            return self.not_generated(name, "a stored generated column", if_exists);
        }
        column.generated = None;
        self.put(column)
    }

    fn not_generated(&mut self, name: &str, what: &str, if_exists: bool) -> Result<()> {
        let table = &self.schema().name;
        let message = format!("column \"{name}\" of relation \"{table}\" is not {what}");
        if !if_exists {
            return Err(Error::new(ErrorKind::WrongState, message));
        }
        self.notices.push(format!("{message}, skipping"));
        Ok(())
    }

    fn put(&mut self, column: Column) -> Result<()> {
        self.change(false, |schema| {
            let at = schema.position(column.id).expect("found by name");
            schema.columns[at] = column;
            Ok(())
        })
    }
}

/// The DEFAULT under another type: the value it was, cast. A whole number and a text are the same
/// under every type they go to without being asked, and stay as written.
fn default_as(column: &Column, to: &Type) -> Option<String> {
    use Type::{Int2, Int4, Int8, Numeric, Text, Varchar};
    let text = column.default.as_ref()?;
    let from = &column.data_type;
    let same = match (from, to) {
        (Int2 | Int4 | Int8, Int2 | Int4 | Int8 | Numeric(..)) => true,
        (Varchar(_) | Text, Varchar(_) | Text) => true,
        _ => column.generated.is_some(),
    };
    Some(if same { text.clone() } else { format!("CAST({text} AS {from})") })
}

/// Whether PostgreSQL casts in an assignment, without being asked to.
fn is_assignable(from: &Type, to: &Type) -> bool {
    use Type::{
        Bool, Bytea, Char, Date, Float4, Float8, Int2, Int4, Int8, Interval, Json, Jsonb, Numeric,
        Text, Time, Timestamp, Timestamptz, Uuid, Varchar,
    };
    let number = |t: &Type| matches!(t, Int2 | Int4 | Int8 | Float4 | Float8 | Numeric(..));
    let moment = |t: &Type| matches!(t, Date | Timestamp | Timestamptz);
    match (from, to) {
        (from, to) if number(from) && number(to) || moment(from) && moment(to) => true,
        (_, Text | Varchar(_) | Char(_)) => true,
        (Json, Jsonb) | (Jsonb, Json) | (Interval, Time) | (Time, Interval) => true,
        (Timestamp | Timestamptz, Time) => true,
        (Bool | Bytea | Uuid, _) => false,
        (Type::Array(from), Type::Array(to)) => is_assignable(from, to),
        _ => false,
    }
}

fn not_castable(column: &Column, to: &Type) -> Error {
    let name = &column.name;
    let message = format!("column \"{name}\" cannot be cast automatically to type {to}");
    Error::new(ErrorKind::DatatypeMismatch, message)
        .hint(format!("You might need to specify \"USING {name}::{to}\"."))
}

/// Keys and clauses go on with the column that took the place of another.
fn replace_id(schema: &mut TableSchema, from: ColumnId, to: ColumnId) {
    let keys = schema.primary_key.iter_mut().map(|key| &mut key.columns);
    let unique = schema.unique.iter_mut().map(|key| &mut key.columns);
    let clauses = [&mut schema.cluster_by, &mut schema.ties];
    for id in keys.chain(unique).chain(clauses).flatten() {
        if *id == from {
            *id = to;
        }
    }
    for id in [&mut schema.event_time, &mut schema.known_time].into_iter().flatten() {
        if *id == from {
            *id = to;
        }
    }
}

/// # Errors
/// InvalidDefinition where the new type cannot do what a key or a clause needs of it.
fn check_clauses(schema: &TableSchema, id: ColumnId) -> Result<()> {
    let column = schema.column(id).expect("it was just put there");
    let keyed = schema.primary_key.iter().flat_map(|key| &key.columns);
    let keyed = keyed.chain(schema.unique.iter().flat_map(|key| &key.columns));
    let mut ordered = keyed.chain(&schema.cluster_by).chain(&schema.ties);
    if ordered.any(|other| *other == id) && !column.data_type.is_ordered() {
        let (name, of) = (&column.name, &column.data_type);
        let message = format!("column \"{name}\" of type {of} has no order");
        return Err(Error::new(ErrorKind::InvalidDefinition, message)
            .hint("a key or a clause of the table needs one: drop it first"));
    }
    for (time, clause) in [(schema.event_time, "EVENT TIME"), (schema.known_time, "KNOWN TIME")] {
        crate::command::table::check_time(&schema.columns, time, clause)?;
    }
    Ok(())
}
