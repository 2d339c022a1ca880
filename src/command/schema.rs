//! ALTER SCHEMA, COMMENT ON SCHEMA. A schema is a name that its relations carry, each in the record of
//! its own version: what was there before a rename goes on to be called as it was.

use datafusion::sql::sqlparser::ast::ObjectName;

use super::Writing;
use super::table::{check_schema_name, namespace_of};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::ObjectChange;
use crate::plan::time_travel::name_parts;
use crate::spec::{SchemaId, Sequence, TableSchema, View};
use crate::store::{DEFAULT_NAMESPACE, Relation};

/// ALTER SCHEMA.
///
/// # Errors
/// UndefinedSchema, DuplicateSchema, InvalidName; WrongState for the schema that names without one mean.
pub fn alter(writing: &mut Writing<'_>, name: &ObjectName, change: &ObjectChange) -> Result<()> {
    let was = there(writing, name)?;
    let ObjectChange::Rename(to) = change else { return Ok(()) };
    if was == DEFAULT_NAMESPACE {
        let message = format!("schema \"{was}\" cannot be renamed");
        return Err(Error::new(ErrorKind::WrongState, message).hint("names without one mean it"));
    }
    // A schema of another catalog stays in it.
    let to = match was.rsplit_once('.') {
        Some((catalog, _)) => format!("{catalog}.{to}"),
        None => to.clone(),
    };
    check_schema_name(&to)?;
    let snapshot = writing.transaction.snapshot();
    let members: Vec<Relation> =
        snapshot.relations()?.into_iter().filter(|relation| relation.name().0 == was).collect();
    let comment = snapshot.namespace_comment(&was)?;
    writing.transaction.create_namespace(&to)?;
    if comment.is_some() {
        writing.transaction.comment_namespace(&to, comment);
    }
    for member in members {
        let namespace = to.clone();
        match member {
            Relation::Table(table) => {
                let id = SchemaId(table.store().next_id());
                let schema = TableSchema { id, namespace, ..table.schema().as_ref().clone() };
                writing.transaction.alter_table(&table, schema, false)?;
            }
            Relation::View(view) => {
                let next = View { namespace, ..view.as_ref().clone() };
                writing.transaction.alter_view(&view, next)?;
            }
            Relation::Sequence(sequence) => {
                let next = Sequence { namespace, ..sequence.as_ref().clone() };
                writing.transaction.alter_sequence(&sequence, next)?;
            }
        }
    }
    writing.transaction.drop_namespace(&was);
    Ok(())
}

/// COMMENT ON SCHEMA.
///
/// # Errors
/// UndefinedSchema.
pub fn comment(writing: &mut Writing<'_>, name: &ObjectName, text: Option<String>) -> Result<()> {
    let name = there(writing, name)?;
    writing.transaction.comment_namespace(&name, text);
    Ok(())
}

/// The name of a schema as it is kept.
fn there(writing: &Writing<'_>, name: &ObjectName) -> Result<String> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let name = namespace_of(&parts);
    if !writing.transaction.snapshot().namespaces()?.contains(&name) {
        let message = format!("schema \"{name}\" does not exist");
        return Err(Error::new(ErrorKind::UndefinedSchema, message));
    }
    Ok(name)
}
