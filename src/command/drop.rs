//! DROP of tables, views, sequences and schemas, and of the views that read what is dropped.

use super::named::{is_made_up, shown};
use super::{Writing, depend, sequence};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{Drop, ObjectKind, Target};
use crate::plan::time_travel::name_parts;
use crate::spec::{Generated, SchemaId, View, ref_label, ref_table};
use crate::store::{DEFAULT_NAMESPACE, Relation};

/// DROP. Answers what the client is told beside it.
///
/// # Errors
/// UndefinedTable and its like; DependentObjects where something needs the object and CASCADE was not
/// said; NotSupported for kinds that there are none of.
pub fn drop_objects(writing: &mut Writing<'_>, drop: &Drop) -> Result<Vec<String>> {
    let mut notices = Vec::new();
    for target in &drop.names {
        let parts = name_parts(&target.name)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match drop.kind {
            ObjectKind::Table | ObjectKind::View | ObjectKind::Sequence => {
                drop_relation(writing, drop, target, &mut notices)?;
            }
            ObjectKind::Schema => drop_schema(writing, drop, &parts, &mut notices)?,
            ObjectKind::Index => drop_index(writing, drop, &parts, &mut notices)?,
            other => {
                let message = format!("DROP of a {other:?}");
                return Err(Error::new(ErrorKind::NotSupported, message));
            }
        }
    }
    Ok(notices)
}

/// The word for a kind, in lower case.
pub fn word_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::View => "view",
        ObjectKind::Sequence => "sequence",
        ObjectKind::Schema => "schema",
        ObjectKind::Index => "index",
        _ => "table",
    }
}

fn drop_relation(
    writing: &mut Writing<'_>,
    drop: &Drop,
    target: &Target,
    notices: &mut Vec<String>,
) -> Result<()> {
    let (word, name) = (word_of(drop.kind), shown(&target.name)?);
    if ref_table(writing.transaction.branch()).is_some() {
        return Err(of_one_table(&name, writing.transaction.branch()));
    }
    let Some(relation) = writing.named(target)? else {
        if is_made_up(&writing.reading, &target.name)? {
            let message = format!("\"{name}\" cannot be dropped");
            return Err(Error::new(ErrorKind::WrongState, message));
        }
        let message = format!("{word} \"{name}\" does not exist");
        if !drop.if_exists {
            return Err(Error::new(ErrorKind::UndefinedTable, message));
        }
        notices.push(format!("{message}, skipping"));
        return Ok(());
    };
    if relation.word() != word {
        let is = relation.word();
        return Err(Error::new(ErrorKind::WrongState, format!("\"{name}\" is not a {word}"))
            .hint(format!("use DROP {} to remove a {is}", is.to_uppercase())));
    }
    drop_with_dependents(writing, &relation, drop.cascade, notices)
}

fn of_one_table(name: &str, branch: &str) -> Error {
    let label = ref_label(branch);
    let message =
        format!("branch \"{label}\" is of one table and \"{name}\" cannot be dropped there");
    Error::new(ErrorKind::WrongState, message)
        .hint(format!("ALTER TABLE … DROP BRANCH {label}, or RESET branch"))
}

/// Drops a relation; before it what needs it, if CASCADE was said.
fn drop_with_dependents(
    writing: &mut Writing<'_>,
    relation: &Relation,
    cascade: bool,
    notices: &mut Vec<String>,
) -> Result<()> {
    let (word, name) = (relation.word(), relation.name().1.to_owned());
    let refused = |detail: String| {
        let message = format!("cannot drop {word} {name} because other objects depend on it");
        Error::new(ErrorKind::DependentObjects, message)
            .detail(detail)
            .hint("use DROP … CASCADE to drop the dependent objects too")
    };
    for view in depend::views_over(&writing.reading, relation.id(), None)? {
        if !cascade {
            return Err(refused(format!("view {} depends on {word} {name}", view.name)));
        }
        drop_views(writing, &view, notices)?;
    }
    match relation {
        Relation::Table(table) => {
            let owned = table.schema().columns.iter();
            let owned = owned.filter_map(|c| c.generated.as_ref().and_then(Generated::sequence));
            for id in owned.collect::<Vec<_>>() {
                sequence::drop_owned(writing, id, table.id())?;
            }
        }
        Relation::Sequence(sequence) => {
            let default = sequence::default_text(sequence.id);
            for other in writing.reading.snapshot.relations()? {
                let Relation::Table(table) = other else { continue };
                let schema = table.schema();
                let asks = schema.columns.iter().find(|c| c.default.as_ref() == Some(&default));
                let Some(column) = asks else { continue };
                if !cascade {
                    return Err(refused(format!(
                        "default value for column {} of table {} depends on sequence {name}",
                        column.name, schema.name
                    )));
                }
                let mut next = schema.as_ref().clone();
                next.id = SchemaId(table.store().next_id());
                for column in
                    next.columns.iter_mut().filter(|c| c.default.as_ref() == Some(&default))
                {
                    (column.default, column.generated) = (None, None);
                }
                writing.transaction.alter_table(&table, next, false)?;
            }
        }
        Relation::View(_) => {}
    }
    writing.transaction.drop_relation(relation);
    writing.reading.snapshot = writing.transaction.snapshot();
    Ok(())
}

/// Drops a view and the views over it, and tells.
///
/// # Errors
/// Whatever reading the catalog gives.
pub fn drop_views(writing: &mut Writing<'_>, view: &View, notices: &mut Vec<String>) -> Result<()> {
    // Two views over one table may be over each other: the second may be gone by now.
    let Some(found) = writing.reading.snapshot.relation_by_id(view.id)? else { return Ok(()) };
    notices.push(format!("drop cascades to view {}", view.name));
    drop_with_dependents(writing, &found, true, notices)
}

fn drop_schema(
    writing: &mut Writing<'_>,
    drop: &Drop,
    parts: &[&str],
    notices: &mut Vec<String>,
) -> Result<()> {
    let name = super::table::namespace_of(parts);
    if !writing.reading.snapshot.namespaces()?.contains(&name) {
        let message = format!("schema \"{name}\" does not exist");
        if !drop.if_exists {
            return Err(Error::new(ErrorKind::UndefinedSchema, message));
        }
        notices.push(format!("{message}, skipping"));
        return Ok(());
    }
    if name == DEFAULT_NAMESPACE {
        let message = format!("schema \"{name}\" cannot be dropped");
        return Err(Error::new(ErrorKind::WrongState, message).hint("names without one mean it"));
    }
    let inside = |relation: &Relation| relation.name().0 == name;
    let members: Vec<Relation> =
        writing.reading.snapshot.relations()?.into_iter().filter(inside).collect();
    if let Some(member) = members.first().filter(|_| !drop.cascade) {
        let message = format!("cannot drop schema {name} because other objects depend on it");
        let (word, member) = (member.word(), member.name().1);
        return Err(Error::new(ErrorKind::DependentObjects, message)
            .detail(format!("{word} {name}.{member} depends on schema {name}"))
            .hint("use DROP … CASCADE to drop the dependent objects too"));
    }
    for member in members {
        if writing.reading.snapshot.relation_by_id(member.id())?.is_some() {
            notices.push(format!("drop cascades to {} {name}.{}", member.word(), member.name().1));
            drop_with_dependents(writing, &member, true, notices)?;
        }
    }
    writing.transaction.drop_namespace(&name);
    writing.reading.snapshot = writing.transaction.snapshot();
    Ok(())
}

/// An index is the constraint of its name.
fn drop_index(
    writing: &mut Writing<'_>,
    drop: &Drop,
    parts: &[&str],
    notices: &mut Vec<String>,
) -> Result<()> {
    let name = parts.last().copied().unwrap_or_default();
    for relation in writing.reading.snapshot.relations()? {
        let Relation::Table(table) = relation else { continue };
        if !table.schema().unique.iter().any(|key| key.name == name) {
            continue;
        }
        let mut next = table.schema().as_ref().clone();
        next.id = SchemaId(table.store().next_id());
        next.unique.retain(|key| key.name != name);
        writing.transaction.alter_table(&table, next, false)?;
        writing.reading.snapshot = writing.transaction.snapshot();
        return Ok(());
    }
    let message = format!("index \"{}\" does not exist", parts.join("."));
    if !drop.if_exists {
        return Err(Error::new(ErrorKind::UndefinedObject, message));
    }
    notices.push(format!("{message}, skipping"));
    Ok(())
}
