//! ALTER of what has no rows, CREATE INDEX, COMMENT ON.

use super::Writing;
use super::alter;
use super::named::{shown, undefined};
use super::{schema, sequence};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{
    AlterObject, AlterOperation, AlterTable, Comment, CommentTarget, CreateIndex, KeySpec,
    ObjectChange, ObjectKind, Target,
};
use crate::plan::time_travel::name_parts;
use crate::spec::{SchemaId, Sequence, View};
use crate::store::Relation;

/// ALTER SEQUENCE, ALTER VIEW; answers what the client is told beside it.
///
/// # Errors
/// UndefinedTable, WrongState for an object of another kind, DuplicateTable, UndefinedSchema.
pub fn alter_object(writing: &mut Writing<'_>, alter: &AlterObject) -> Result<Vec<String>> {
    let word = if alter.view { "view" } else { "sequence" };
    let Some(found) = writing.named(&alter.object)? else {
        let undefined = undefined(&alter.object.name)?;
        return match alter.if_exists {
            true => Ok(vec![format!("{}, skipping", undefined.message())]),
            false => Err(undefined),
        };
    };
    if found.word() != word {
        let message = format!("\"{}\" is not a {word}", shown(&alter.object.name)?);
        return Err(Error::new(ErrorKind::WrongState, message).hint(format!(
            "it is a {0}: ALTER {1}",
            found.word(),
            found.word().to_uppercase()
        )));
    }
    match (&alter.change, &found) {
        (ObjectChange::Owner(_), _) => {}
        (ObjectChange::Options(options), Relation::Sequence(before)) => {
            sequence::alter_sequence(writing, before, options)?;
        }
        (change, found) => rename(writing, found, change)?,
    }
    Ok(Vec::new())
}

fn rename(writing: &mut Writing<'_>, found: &Relation, change: &ObjectChange) -> Result<()> {
    let (namespace, name) = found.name();
    let (namespace, name) = match change {
        ObjectChange::Rename(name) => (namespace.to_owned(), name.clone()),
        ObjectChange::SetSchema(namespace) => (namespace.clone(), name.to_owned()),
        ObjectChange::Owner(_) | ObjectChange::Options(_) => return Ok(()),
    };
    match found {
        Relation::View(before) => {
            let view = View { namespace, name, ..before.as_ref().clone() };
            writing.transaction.alter_view(before, view)
        }
        Relation::Sequence(before) => {
            let sequence = Sequence { namespace, name, ..before.as_ref().clone() };
            writing.transaction.alter_sequence(before, sequence)
        }
        Relation::Table(_) => unreachable!("tables have ALTER TABLE"),
    }
}

/// ALTER TABLE on a view or a sequence, as far as PostgreSQL takes it.
///
/// # Errors
/// WrongState for what only a table can do; as [`alter_object`].
pub fn alter_as_table(
    writing: &mut Writing<'_>,
    mut found: Relation,
    operations: &[AlterOperation],
) -> Result<Vec<String>> {
    for operation in operations {
        let change = match operation {
            AlterOperation::Rename(name) => ObjectChange::Rename(name.clone()),
            AlterOperation::SetSchema(namespace) => ObjectChange::SetSchema(namespace.clone()),
            AlterOperation::Owner(owner) => ObjectChange::Owner(owner.clone()),
            _ => {
                let (name, word) = (found.name().1, found.word());
                let message = format!("\"{name}\" is a {word} and cannot be altered so");
                return Err(Error::new(ErrorKind::WrongState, message).hint("name a table"));
            }
        };
        rename(writing, &found, &change)?;
        let after = writing.transaction.snapshot().relation_by_id(found.id())?;
        found = after.expect("a transaction keeps what it renames");
    }
    Ok(Vec::new())
}

/// CREATE INDEX: a unique one is a constraint; any other changes nothing, and the client is told.
///
/// # Errors
/// UndefinedTable, UndefinedColumn, UniqueViolation; NotSupported for a unique index over an
/// expression or some rows.
pub async fn create_index(writing: &mut Writing<'_>, index: &CreateIndex) -> Result<Vec<String>> {
    let table = writing.named_table(&index.table)?;
    let schema = table.schema();
    let named = index.name.as_ref().map(name_parts).transpose()?;
    let name = named.and_then(|mut parts| parts.pop());
    for column in index.columns.iter().flatten() {
        if schema.column_named(column).is_none() {
            let message = format!("column \"{column}\" does not exist");
            return Err(Error::new(ErrorKind::UndefinedColumn, message));
        }
    }
    if !index.unique {
        return Ok(vec![format!(
            "no index was made on \"{}\": its clustering order and the statistics of its pages \
             serve instead",
            schema.name
        )]);
    }
    let there = |name: &String| schema.constraint_names().any(|other| other == name);
    if let Some(name) = name.as_ref().filter(|name| index.if_not_exists && there(name)) {
        return Ok(vec![format!("relation \"{name}\" already exists, skipping")]);
    }
    let (Some(columns), false) = (&index.columns, index.partial) else {
        let message = "a unique index over an expression or over some rows only";
        return Err(Error::new(ErrorKind::NotSupported, message)
            .hint("UNIQUE over a column GENERATED ALWAYS AS (…) STORED does the same"));
    };
    let name = name.or_else(|| Some(format!("{}_{}_idx", schema.name, columns.join("_"))));
    let (enforced, nulls_not_distinct) = (true, index.nulls_not_distinct);
    let key = KeySpec { name, columns: columns.clone(), enforced, nulls_not_distinct };
    let operations = vec![AlterOperation::AddUnique(key)];
    let Target { name, version } = index.table.clone();
    let alter = AlterTable { name, version, if_exists: false, operations };
    alter::alter_table(writing, &alter).await
}

/// COMMENT ON.
///
/// # Errors
/// UndefinedTable, UndefinedColumn; NotSupported for objects that keep no comment.
pub fn comment(writing: &mut Writing<'_>, comment: &Comment) -> Result<()> {
    let (CommentTarget::Column(target, _) | CommentTarget::Object(_, target)) = &comment.target;
    if matches!(comment.target, CommentTarget::Object(ObjectKind::Database, _)) {
        // There is one, and its name is the client's.
        return Ok(());
    }
    let text = comment.text.clone();
    if matches!(comment.target, CommentTarget::Object(ObjectKind::Schema, _)) {
        return schema::comment(writing, &target.name, text);
    }
    let found = writing.named(target)?;
    match (found, &comment.target) {
        (Some(Relation::Table(table)), CommentTarget::Column(_, column)) => {
            let mut schema = table.schema().as_ref().clone();
            schema.id = SchemaId(table.store().next_id());
            let own = schema.columns.iter_mut().find(|own| own.name == *column);
            let Some(own) = own else {
                let message =
                    format!("column \"{column}\" of relation \"{}\" does not exist", schema.name);
                return Err(Error::new(ErrorKind::UndefinedColumn, message));
            };
            own.comment = text;
            writing.transaction.alter_table(&table, schema, false)
        }
        (Some(Relation::Table(table)), CommentTarget::Object(ObjectKind::Table, _)) => {
            let mut schema = table.schema().as_ref().clone();
            (schema.id, schema.comment) = (SchemaId(table.store().next_id()), text);
            writing.transaction.alter_table(&table, schema, false)
        }
        (Some(Relation::View(view)), CommentTarget::Object(ObjectKind::View, _)) => {
            let next = View { comment: text, ..view.as_ref().clone() };
            writing.transaction.alter_view(&view, next)
        }
        (Some(Relation::Sequence(sequence)), CommentTarget::Object(ObjectKind::Sequence, _)) => {
            let next = Sequence { comment: text, ..sequence.as_ref().clone() };
            writing.transaction.alter_sequence(&sequence, next)
        }
        (
            None,
            CommentTarget::Object(ObjectKind::Table | ObjectKind::View | ObjectKind::Sequence, _)
            | CommentTarget::Column(..),
        ) => Err(undefined(&target.name)?),
        (
            Some(found),
            CommentTarget::Object(ObjectKind::Table | ObjectKind::View | ObjectKind::Sequence, _),
        ) => {
            let message = format!("\"{}\" is a {}", shown(&target.name)?, found.word());
            Err(Error::new(ErrorKind::WrongState, message))
        }
        (_, target) => {
            Err(Error::new(ErrorKind::NotSupported, format!("COMMENT ON {}", what(target)))
                .hint("tables, columns, views, sequences and schemas have comments"))
        }
    }
}

fn what(target: &CommentTarget) -> String {
    match target {
        CommentTarget::Column(..) => "a column of this object".to_owned(),
        CommentTarget::Object(kind, _) => format!("a {kind:?}").to_lowercase(),
    }
}
