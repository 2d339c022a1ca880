//! DROP of tables and views, and of the views that read what is dropped.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::visit_relations;

use super::Writing;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{self, Drop, ObjectKind};
use crate::plan::Reading;
use crate::plan::names::{self, Named};
use crate::plan::time_travel::name_parts;
use crate::spec::{TableId, View};
use crate::store::Relation;

/// DROP of tables and views. Answers the names that were not there, which IF EXISTS allows.
///
/// # Errors
/// UndefinedTable; DependentObjects where a view reads the table and CASCADE was not said.
pub fn drop_objects(writing: &mut Writing<'_>, drop: &Drop) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for name in &drop.names {
        let parts = name_parts(name)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let relation = match names::resolve(&writing.reading, &parts, None) {
            Ok(Named::Table(table)) => Relation::Table(table),
            Ok(Named::View(view, _)) => Relation::View(view),
            Ok(Named::Metadata(..) | Named::System(_)) => {
                let message = format!("\"{name}\" cannot be dropped");
                return Err(Error::new(ErrorKind::WrongState, message));
            }
            Err(error) if error.kind() == ErrorKind::UndefinedTable => {
                if !drop.if_exists {
                    return Err(undefined(drop.kind, &parts.join(".")));
                }
                missing.push(parts.join("."));
                continue;
            }
            Err(error) => return Err(error),
        };
        let fits = matches!(
            (&relation, drop.kind),
            (Relation::Table(_), ObjectKind::Table) | (Relation::View(_), ObjectKind::View)
        );
        if !fits {
            let (is, not) = match &relation {
                Relation::Table(_) => ("table", "view"),
                Relation::View(_) => ("view", "table"),
            };
            return Err(Error::new(ErrorKind::WrongState, format!("\"{name}\" is not a {not}"))
                .hint(format!("use DROP {} to remove a {is}", is.to_uppercase())));
        }
        drop_with_views(writing, &relation, drop)?;
    }
    Ok(missing)
}

fn undefined(kind: ObjectKind, name: &str) -> Error {
    let word = if kind == ObjectKind::View { "view" } else { "table" };
    Error::new(ErrorKind::UndefinedTable, format!("{word} \"{name}\" does not exist"))
}

/// Drops a relation; before it the views that read it, if CASCADE was said.
fn drop_with_views(writing: &mut Writing<'_>, relation: &Relation, drop: &Drop) -> Result<()> {
    for view in views_over(&writing.reading, relation.id())? {
        if !drop.cascade {
            let (word, name) = match relation {
                Relation::Table(_) => ("table", relation.name().1),
                Relation::View(_) => ("view", relation.name().1),
            };
            let message = format!("cannot drop {word} {name} because other objects depend on it");
            return Err(Error::new(ErrorKind::DependentObjects, message)
                .detail(format!("view {} depends on {word} {name}", view.name))
                .hint("use DROP … CASCADE to drop the dependent objects too"));
        }
        drop_with_views(writing, &Relation::View(view), drop)?;
    }
    writing.transaction.drop_relation(relation);
    writing.reading.snapshot = writing.transaction.snapshot();
    Ok(())
}

/// The views whose text names this object.
fn views_over(reading: &Reading, object: TableId) -> Result<Vec<Arc<View>>> {
    let mut found = Vec::new();
    for relation in reading.snapshot.relations()? {
        let Relation::View(view) = relation else { continue };
        if view.id != object && names_object(reading, &view, object) {
            found.push(view);
        }
    }
    Ok(found)
}

/// A text that is not read today, or a name that means nothing today, holds nothing.
fn names_object(reading: &Reading, view: &View, object: TableId) -> bool {
    let Ok(query) = parse::query(&view.query) else { return false };
    let named = visit_relations(&*query, |name| {
        let Ok(parts) = name_parts(name) else { return ControlFlow::Continue(()) };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let id = match names::resolve(reading, &parts, None) {
            Ok(Named::Table(table)) => Some(table.id()),
            Ok(Named::View(view, _)) => Some(view.id),
            Ok(Named::Metadata(_, table, _)) => Some(table.id()),
            Ok(Named::System(_)) | Err(_) => None,
        };
        if id == Some(object) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    named.is_break()
}
