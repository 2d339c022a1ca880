//! CREATE SEQUENCE, ALTER SEQUENCE, and the sequences that columns own.

use super::Writing;
use super::table::Created;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{CreateSequence, Identity, SequenceOptions};
use crate::plan::names;
use crate::plan::time_travel::name_parts;
use crate::spec::{Column, Generated, Sequence, TableId, TableSchema, Type};
use crate::store::{Relation, Snapshot};

/// CREATE SEQUENCE.
///
/// # Errors
/// DuplicateTable, UndefinedSchema; InvalidValue for options that contradict each other.
pub fn create_sequence(writing: &mut Writing<'_>, create: &CreateSequence) -> Result<Created> {
    let parts = name_parts(&create.name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (namespace, name) = names::place(&writing.reading, &parts)?;
    let there = writing.reading.snapshot.relation(&namespace, &name)?.is_some();
    if there && create.if_not_exists {
        return Ok(Created::Existed);
    }
    let data_type = create.options.data_type.clone().unwrap_or(Type::Int8);
    let mut sequence = ascending(writing, namespace, name, &data_type, &create.options)?;
    set_owner(writing, &mut sequence, &create.options)?;
    set_options(&mut sequence, &create.options, &data_type)?;
    if create.options.start.is_none() {
        sequence.start = if sequence.increment > 0 { sequence.min } else { sequence.max };
    }
    check(&sequence)?;
    writing.transaction.create_sequence(sequence)?;
    Ok(Created::Made)
}

/// How a sequence counts, changed.
///
/// # Errors
/// InvalidValue, UndefinedTable, UndefinedColumn.
pub fn alter_sequence(
    writing: &mut Writing<'_>,
    before: &Sequence,
    options: &SequenceOptions,
) -> Result<()> {
    let mut sequence = before.clone();
    let data_type = options.data_type.clone().unwrap_or(Type::Int8);
    if options.data_type.is_some() {
        let (min, max) = bounds(&data_type, sequence.increment)?;
        (sequence.min, sequence.max) = (min.max(sequence.min), max.min(sequence.max));
    }
    set_owner(writing, &mut sequence, options)?;
    set_options(&mut sequence, options, &data_type)?;
    check(&sequence)?;
    if let Some(restart) = options.restart {
        let value = restart.unwrap_or(sequence.start);
        writing.transaction.restart_sequence(&sequence, value)?;
    }
    writing.transaction.alter_sequence(before, sequence)
}

/// Gives a column a sequence of its own, and a DEFAULT that asks it.
///
/// # Errors
/// DatatypeMismatch where the column is no integer; as [`create_sequence`].
pub fn own(
    writing: &mut Writing<'_>,
    table: &TableSchema,
    column: &mut Column,
    identity: &Identity,
) -> Result<()> {
    if column.default.is_some() {
        let (name, table) = (&column.name, &table.name);
        let message =
            format!("multiple default values specified for column \"{name}\" of table \"{table}\"");
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    let plain = format!("{}_{}_seq", table.name, column.name);
    let name = writing.transaction.free_name(&table.namespace, &plain)?;
    let namespace = table.namespace.clone();
    let mut sequence = ascending(writing, namespace, name, &column.data_type, &identity.options)?;
    set_options(&mut sequence, &identity.options, &column.data_type)?;
    if identity.options.start.is_none() {
        sequence.start = if sequence.increment > 0 { sequence.min } else { sequence.max };
    }
    check(&sequence)?;
    sequence.owner = Some((table.table, column.id));
    let id = sequence.id;
    writing.transaction.create_sequence(sequence)?;
    writing.reading.snapshot = writing.transaction.snapshot();
    column.default = Some(default_text(id));
    column.not_null = true;
    column.generated = Some(match identity.always {
        Some(always) => Generated::Identity { sequence: id, always },
        None => Generated::Serial { sequence: id },
    });
    Ok(())
}

/// Gives each column of a clone, which still asks the model's sequence, one of its own that counts on from
/// where that one stands. `was`: where the model is from.
///
/// # Errors
/// Io, DiskFull.
pub fn own_copies(
    writing: &mut Writing<'_>,
    schema: &mut TableSchema,
    was: &Snapshot,
) -> Result<()> {
    let store = was.store().clone();
    for column in &mut schema.columns {
        let Some(id) = column.generated.as_ref().and_then(Generated::sequence) else { continue };
        let model =
            match (writing.transaction.snapshot().relation_by_id(id)?, was.relation_by_id(id)?) {
                (Some(Relation::Sequence(model)), _) | (_, Some(Relation::Sequence(model))) => {
                    model
                }
                _ => continue,
            };
        let plain = format!("{}_{}_seq", schema.name, column.name);
        let sequence = Sequence {
            id: TableId(store.next_id()),
            namespace: schema.namespace.clone(),
            name: writing.transaction.free_name(&schema.namespace, &plain)?,
            owner: Some((schema.table, column.id)),
            ..model.as_ref().clone()
        };
        let (last, called) = store.last_value(&model)?;
        store.set_value(&sequence, last, called)?;
        column.default = Some(default_text(sequence.id));
        column.generated = column.generated.as_ref().map(|generated| match generated {
            Generated::Identity { always, .. } => {
                Generated::Identity { sequence: sequence.id, always: *always }
            }
            _ => Generated::Serial { sequence: sequence.id },
        });
        writing.transaction.create_sequence(sequence)?;
    }
    writing.reading.snapshot = writing.transaction.snapshot();
    Ok(())
}

/// The DEFAULT of a column that owns a sequence: by number, so that a rename does not matter.
pub fn default_text(sequence: TableId) -> String {
    format!("nextval({})", crate::plan::pg_catalog::relation_oid(sequence))
}

/// Drops the sequence that a column of a table owned.
///
/// # Errors
/// Whatever reading the catalog gives.
pub fn drop_owned(writing: &mut Writing<'_>, sequence: TableId, table: TableId) -> Result<()> {
    let snapshot = writing.transaction.snapshot();
    if let Some(Relation::Sequence(found)) = snapshot.relation_by_id(sequence)?
        && found.owner.is_some_and(|(owner, _)| owner == table)
    {
        let found = Relation::Sequence(found);
        writing.transaction.drop_relation(&found);
        writing.reading.snapshot = writing.transaction.snapshot();
    }
    Ok(())
}

/// RESTART IDENTITY: the sequences of a table's columns begin again.
///
/// # Errors
/// Whatever reading the catalog gives.
pub fn restart_owned(writing: &mut Writing<'_>, table: &TableSchema) -> Result<()> {
    let snapshot = writing.transaction.snapshot();
    let owned = table.columns.iter().filter_map(|c| c.generated.as_ref()?.sequence());
    for id in owned {
        if let Some(Relation::Sequence(sequence)) = snapshot.relation_by_id(id)? {
            writing.transaction.restart_sequence(&sequence, sequence.start)?;
        }
    }
    Ok(())
}

fn ascending(
    writing: &Writing<'_>,
    namespace: String,
    name: String,
    data_type: &Type,
    options: &SequenceOptions,
) -> Result<Sequence> {
    let increment = options.increment.unwrap_or(1);
    let (min, max) = bounds(data_type, increment)?;
    let id = TableId(writing.reading.snapshot.store().next_id());
    let start = if increment > 0 { min } else { max };
    let (owner, comment) = (None, None);
    Ok(Sequence { id, namespace, name, start, increment, min, max, cycle: false, owner, comment })
}

/// The bounds of a sequence of which nothing is said.
fn bounds(data_type: &Type, increment: i64) -> Result<(i64, i64)> {
    let (least, greatest) = match data_type {
        Type::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Type::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Type::Int8 => (i64::MIN, i64::MAX),
        _ => {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
    };
    Ok(if increment > 0 { (1, greatest) } else { (least, -1) })
}

fn set_options(sequence: &mut Sequence, options: &SequenceOptions, data_type: &Type) -> Result<()> {
    sequence.increment = options.increment.unwrap_or(sequence.increment);
    let (min, max) = bounds(data_type, sequence.increment)?;
    if let Some(said) = options.min {
        sequence.min = said.unwrap_or(min);
    }
    if let Some(said) = options.max {
        sequence.max = said.unwrap_or(max);
    }
    sequence.cycle = options.cycle.unwrap_or(sequence.cycle);
    sequence.start = options.start.unwrap_or(sequence.start);
    Ok(())
}

fn set_owner(
    writing: &Writing<'_>,
    sequence: &mut Sequence,
    options: &SequenceOptions,
) -> Result<()> {
    let Some(owner) = &options.owned_by else { return Ok(()) };
    sequence.owner = match owner.as_deref() {
        None => None,
        Some((table, column)) => {
            let table = writing.named_table(table)?;
            let schema = table.schema();
            let Some((_, column)) = schema.column_named(column) else {
                let name = &schema.name;
                let message = format!("column \"{column}\" of relation \"{name}\" does not exist");
                return Err(Error::new(ErrorKind::UndefinedColumn, message));
            };
            Some((table.id(), column.id))
        }
    };
    Ok(())
}

fn check(sequence: &Sequence) -> Result<()> {
    let Sequence { start, increment, min, max, .. } = sequence;
    let message = match () {
        _ if *increment == 0 => "INCREMENT must not be zero".to_owned(),
        _ if min >= max => format!("MINVALUE ({min}) must be less than MAXVALUE ({max})"),
        _ if start < min => format!("START value ({start}) cannot be less than MINVALUE ({min})"),
        _ if start > max => {
            format!("START value ({start}) cannot be greater than MAXVALUE ({max})")
        }
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidValue, message))
}
