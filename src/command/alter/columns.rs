//! Columns that come, go, change their names and their places.

use super::Alteration;
use super::rewrite_values;
use crate::command::drop::drop_views;
use crate::command::verify::quoted;
use crate::command::write::gate::within_lengths;
use crate::command::write::values::default_array;
use crate::command::{depend, sequence};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{
    AlterOperation, Check, ColumnSpec, KeySpec, Place, mentions, with_column_renamed,
};
use crate::plan::rows::RowExpression;
use crate::spec::{Column, ColumnId, Generated, TableSchema};

impl Alteration<'_, '_> {
    pub(super) async fn add_column(&mut self, operation: &AlterOperation) -> Result<()> {
        let AlterOperation::AddColumn { column, if_not_exists, place, unique, primary_key, checks } =
            operation
        else {
            unreachable!("asked for ADD COLUMN")
        };
        if self.schema().column_named(&column.name).is_some() {
            let table = &self.schema().name;
            let message =
                format!("column \"{}\" of relation \"{table}\" already exists", column.name);
            if !if_not_exists {
                return Err(Error::new(ErrorKind::DuplicateColumn, message));
            }
            self.notices.push(format!("{message}, skipping"));
            return Ok(());
        }
        let added = self.new_column(column)?;
        self.put_column(added, place.as_ref()).await?;
        self.constrain(unique, primary_key.as_ref(), checks).await
    }

    async fn constrain(
        &mut self,
        unique: &[KeySpec],
        primary_key: Option<&KeySpec>,
        checks: &[Check],
    ) -> Result<()> {
        if let Some(key) = primary_key {
            self.add_primary_key(key).await?;
        }
        for key in unique {
            self.add_unique(key).await?;
        }
        for check in checks {
            self.add_check(check).await?;
        }
        Ok(())
    }

    /// The column, its default evaluated once for the rows there are.
    fn new_column(&mut self, spec: &ColumnSpec) -> Result<Column> {
        let columns =
            crate::command::table::columns_of(self.table.store(), std::slice::from_ref(spec))?;
        let mut column = columns.into_iter().next().expect("one was asked for");
        if let Some(identity) = &spec.identity {
            sequence::own(self.writing, self.schema().clone().as_ref(), &mut column, identity)?;
        } else if column.default.is_some() {
            let value = default_array(self.writing, &column, 1)?;
            let alone = TableSchema {
                columns: vec![Column { not_null: false, ..column.clone() }],
                ..self.schema().as_ref().clone()
            };
            let row = arrow::array::RecordBatch::try_new(alone.arrow(), vec![value]);
            let row = within_lengths(&alone, row.map_err(fault::of_arrow)?)?;
            column.set_missing_value(row.column(0).as_ref())?;
        }
        Ok(column)
    }

    async fn put_column(&mut self, mut column: Column, at: Option<&Place>) -> Result<()> {
        let mut schema = self.schema().as_ref().clone();
        let (id, name) = (column.id, column.name.clone());
        // Values that differ from row to row are written; one value is stored with the column.
        let value = match &column.generated {
            Some(Generated::Stored(text)) => {
                self.check_generated(&schema, text)?;
                Some("NULL".to_owned())
            }
            Some(Generated::Identity { .. } | Generated::Serial { .. }) => column.default.clone(),
            None => None,
        };
        let lacks = column.not_null && column.missing.is_none() && value.is_none();
        if lacks && self.table.row_count() > 0 {
            let message =
                format!("column \"{name}\" of relation \"{}\" contains null values", schema.name);
            return Err(Error::new(ErrorKind::NotNullViolation, message)
                .hint("give it a DEFAULT, or add it without NOT NULL"));
        }
        column.filled = value.is_some();
        schema.columns.push(column);
        place(&mut schema, id, at)?;
        match value.filter(|_| self.table.row_count() > 0) {
            Some(value) => {
                let values = rewrite_values(self.schema(), &schema, id, &value);
                self.rewrite(schema, &values).await
            }
            None => self.change(lacks, |next| {
                *next = schema;
                Ok(())
            }),
        }
    }

    fn check_generated(&self, schema: &TableSchema, text: &str) -> Result<()> {
        let (reading, state) = (&self.writing.reading, self.writing.state);
        check_generated(reading, state, schema, text)
    }

    pub(super) fn drop_column(&mut self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let column = match self.column(name) {
            Ok(column) => column,
            Err(error) if if_exists => {
                self.notices.push(format!("{}, skipping", error.message()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if self.schema().columns.len() == 1 {
            let message = format!("a table has at least one column: \"{name}\" is the last one");
            return Err(Error::new(ErrorKind::NotSupported, message).hint("DROP TABLE"));
        }
        if !cascade {
            depend::refuse_needed(&self.writing.reading, &self.table, column.id, name)?;
        }
        self.refuse_in_clause(&column, cascade)?;
        let dependent = self.generated_from(name)?;
        if let Some(other) = dependent.first().filter(|_| !cascade) {
            let message = format!(
                "cannot drop column {name} of table {} because other objects depend on it",
                self.schema().name
            );
            return Err(Error::new(ErrorKind::DependentObjects, message)
                .detail(format!("column {other} is generated from column {name}"))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for other in dependent {
            self.drop_column(&other, true, cascade)?;
        }
        for view in depend::views_over(&self.writing.reading, self.table.id(), Some(column.id))? {
            drop_views(self.writing, &view, &mut self.notices)?;
        }
        if let Some(owned) = column.generated.as_ref().and_then(Generated::sequence) {
            sequence::drop_owned(self.writing, owned, self.table.id())?;
        }
        self.refresh()?;
        self.change(false, |schema| without_column(schema, column.id, name))
    }

    /// Stored columns that are computed from this one.
    fn generated_from(&self, name: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for column in &self.schema().columns {
            if let Some(Generated::Stored(text)) = &column.generated
                && mentions(text)?.iter().any(|(_, named)| named == name)
            {
                found.push(column.name.clone());
            }
        }
        Ok(found)
    }

    /// A column that tells time or order goes only with its clause.
    fn refuse_in_clause(&self, column: &Column, cascade: bool) -> Result<()> {
        let schema = self.schema();
        let in_key = schema.primary_key.as_ref().is_some_and(|key| {
            key.columns == schema.cluster_by && key.columns.contains(&column.id)
        });
        let clause = match () {
            _ if schema.event_time == Some(column.id) => "EVENT TIME",
            _ if schema.known_time == Some(column.id) => "KNOWN TIME",
            _ if schema.ties.contains(&column.id) => "TIES",
            _ if schema.cluster_by.contains(&column.id) && !in_key => "CLUSTER BY",
            _ => return Ok(()),
        };
        if cascade {
            return Ok(());
        }
        let (name, table) = (&column.name, &schema.name);
        let message = format!(
            "cannot drop column {name} of table {table} because other objects depend on it"
        );
        Err(Error::new(ErrorKind::DependentObjects, message)
            .detail(format!("{clause} of table {table} needs column {name}"))
            .hint(format!("ALTER TABLE {table} DROP {clause} first, or DROP COLUMN … CASCADE")))
    }

    pub(super) fn rename_column(&mut self, from: &str, to: &str) -> Result<()> {
        let column = self.column(from)?;
        let schema = self.schema();
        if schema.column_named(to).is_some() {
            let table = &schema.name;
            let message = format!("column \"{to}\" of relation \"{table}\" already exists");
            return Err(Error::new(ErrorKind::DuplicateColumn, message));
        }
        crate::command::table::check_column_name(to)?;
        self.change(false, |schema| {
            for own in &mut schema.columns {
                if own.id == column.id {
                    to.clone_into(&mut own.name);
                }
                if let Some(Generated::Stored(text)) = &mut own.generated {
                    *text = with_column_renamed(text, from, to)?;
                }
            }
            for check in &mut schema.checks {
                check.text = with_column_renamed(&check.text, from, to)?;
            }
            Ok(())
        })
    }
}

/// # Errors
/// InvalidDefinition where the expression is not the same for the same row, or names a column that is
/// computed itself.
pub fn check_generated(
    reading: &crate::plan::Reading,
    state: &datafusion::execution::session_state::SessionState,
    schema: &TableSchema,
    text: &str,
) -> Result<()> {
    let what = "column generation expression";
    let expression = RowExpression::plan(reading, state, schema, text, what)?;
    if expression.is_volatile() {
        let message = "generation expression is not immutable";
        return Err(Error::new(ErrorKind::InvalidDefinition, message));
    }
    for (_, name) in mentions(text)? {
        let of = schema.column_named(&name).and_then(|(_, column)| column.generated.as_ref());
        if matches!(of, Some(Generated::Stored(_))) {
            let message = format!("cannot use generated column \"{name}\" in {what}");
            return Err(Error::new(ErrorKind::InvalidDefinition, message)
                .detail("A generated column cannot reference another generated column."));
        }
    }
    Ok(())
}

/// Moves a column; without a place it stays.
pub(super) fn place(schema: &mut TableSchema, id: ColumnId, to: Option<&Place>) -> Result<()> {
    let Some(to) = to else { return Ok(()) };
    if let Place::After(name) = to
        && schema.column_named(name).is_none_or(|(_, other)| other.id == id)
    {
        return Err(super::undefined_column(schema, name));
    }
    let from = schema.position(id).expect("it was found by name");
    let column = schema.columns.remove(from);
    let at = match to {
        Place::First => 0,
        Place::After(name) => schema.column_named(name).map_or(0, |(at, _)| at + 1),
    };
    schema.columns.insert(at, column);
    Ok(())
}

/// Constraints over the column go with it, as in PostgreSQL.
fn without_column(schema: &mut TableSchema, id: ColumnId, name: &str) -> Result<()> {
    let mut checks = Vec::new();
    for check in std::mem::take(&mut schema.checks) {
        if !mentions(&check.text)?.iter().any(|(_, named)| named == name) {
            checks.push(check);
        }
    }
    schema.checks = checks;
    if schema.primary_key.as_ref().is_some_and(|key| key.columns.contains(&id)) {
        let key = schema.primary_key.take().expect("just asked");
        if schema.cluster_by == key.columns {
            schema.cluster_by.clear();
        }
    }
    schema.unique.retain(|key| !key.columns.contains(&id));
    schema.cluster_by.retain(|other| *other != id);
    schema.ties.retain(|other| *other != id);
    schema.event_time = schema.event_time.filter(|other| *other != id);
    schema.known_time = schema.known_time.filter(|other| *other != id);
    schema.columns.retain(|column| column.id != id);
    Ok(())
}

/// The text of every column of the next shape over the columns of today; `id` is `value`.
pub(super) fn values_of(
    before: &TableSchema,
    after: &TableSchema,
    id: ColumnId,
    value: &str,
) -> Vec<String> {
    let text = |column: &Column| match before.column(column.id) {
        Some(old) if column.id != id => {
            format!("{} AS {}", quoted(&old.name), quoted(&column.name))
        }
        _ => format!("{value} AS {}", quoted(&column.name)),
    };
    after.columns.iter().map(text).collect()
}
