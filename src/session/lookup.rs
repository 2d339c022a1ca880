//! Point look-ups: recognised once, answered by key without the planner.
//!
//! `SELECT columns FROM t WHERE k = $1 [AND k2 = $2 …]`, where the conditions name the whole primary
//! key, each once. Anything more goes the usual way.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr as SqlExpr, GroupByExpr, Query, SelectItem, SetExpr, TableFactor,
};

use super::work::Base;
use super::{Outcome, OutputColumn, RowsTag, Session};
use crate::command::run::stream_of;
use crate::error::Result;
use crate::fault;
use crate::parse::{Parsed, Statement, fold, version_of};
use crate::plan::functions::unscaled;
use crate::plan::parameters::placeholder;
use crate::plan::time_travel::name_parts;
use crate::plan::{Reading, names};
use crate::spec::{SchemaId, Type};
use crate::store::{KeyBatch, Table};

/// A recognised look-up.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    namespace: String,
    table: String,
    /// Under which the name was found: another may mean another table.
    search_path: String,
    /// The shape it was recognised in: another is planned anew.
    schema: SchemaId,
    /// For each column of the key, which parameter it equals.
    keys: Vec<usize>,
    key_types: Vec<Type>,
    /// Positions among the table's columns.
    columns: Vec<usize>,
    output: Arc<Vec<OutputColumn>>,
}

type Recognised = (Lookup, Vec<Type>, Vec<OutputColumn>);

impl Session {
    /// # Errors
    /// UndefinedTable and the like, as planning would give.
    pub(super) fn recognise(
        &self,
        reading: &Reading,
        parsed: &Parsed,
        declared: &[Option<Type>],
    ) -> Result<Option<Recognised>> {
        let Statement::Query(query) = &parsed.statement else { return Ok(None) };
        let Some((table, alias, items, conditions)) = shape(query) else { return Ok(None) };
        if parsed.parameters == 0 || parsed.as_of.is_some() || reading.table_branch.is_some() {
            return Ok(None);
        }
        let parts: Vec<&str> = table.iter().map(String::as_str).collect();
        let Ok(names::Named::Table(found, _)) = names::resolve(reading, &parts, None) else {
            return Ok(None);
        };
        if parts.last().is_none_or(|name| *name != found.schema().name) {
            // t.branch_x: the look-up would read the session's own branch.
            return Ok(None);
        }
        let plain = match_columns(&found, &alias, &table, items, &conditions);
        let Some((columns, keys)) = plain else { return Ok(None) };
        let schema = found.schema();
        let key = schema.primary_key.as_ref().expect("a key was matched");
        let key_types: Vec<Type> = key
            .columns
            .iter()
            .filter_map(|id| schema.column(*id).map(|c| c.data_type.clone()))
            .collect();
        let mut parameters = vec![Type::Text; parsed.parameters];
        for (at, key_type) in keys.iter().zip(&key_types) {
            let said = declared.get(*at).cloned().flatten();
            // A value of another type may not fit the key's; the planner knows what that means.
            if said.as_ref().is_some_and(|said| !fits(said, key_type)) {
                return Ok(None);
            }
            parameters[*at] = said.unwrap_or_else(|| asked_as(key_type));
        }
        let column = |at: &usize| OutputColumn {
            name: schema.columns[*at].name.clone(),
            data_type: schema.columns[*at].data_type.clone(),
            catalog_type: None,
            table: None,
        };
        let output: Vec<OutputColumn> = columns.iter().map(column).collect();
        let lookup = Lookup {
            namespace: schema.namespace.clone(),
            table: schema.name.clone(),
            search_path: self.settings.lock().get("search_path").unwrap_or_default(),
            schema: schema.id,
            keys,
            key_types,
            columns,
            output: Arc::new(output.clone()),
        };
        Ok(Some((lookup, parameters, output)))
    }

    /// Answers a look-up; None where its name or its shape may mean something else by now.
    pub(super) fn look_up(
        &self,
        lookup: &Lookup,
        parameters: &[ScalarValue],
    ) -> Result<Option<Outcome>> {
        let same_path = self.settings.lock().is("search_path", &lookup.search_path);
        if !same_path || matches!(self.base, Base::TableBranch(_)) {
            return Ok(None);
        }
        // A temporary table may have the name by now.
        if !self.work.lock().temporary.is_empty() {
            return Ok(None);
        }
        let snapshot = self.work.lock().reading(&self.base, self.database.store())?;
        let found = snapshot.table(&lookup.namespace, &lookup.table)?;
        let Some(table) = found.filter(|table| table.schema().id == lookup.schema) else {
            return Ok(None);
        };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(lookup.keys.len());
        for (at, key_type) in lookup.keys.iter().zip(&lookup.key_types) {
            let Ok(value) = parameters[*at].cast_to(&key_type.arrow()) else { return Ok(None) };
            let value = match key_type {
                Type::Char(_) => without_blanks(value),
                _ => value,
            };
            // A numeric of more digits than the key's equals none: the planner answers that.
            let same = || value.cast_to(&parameters[*at].data_type()).ok();
            if matches!(key_type, Type::Numeric(..)) && same().as_ref() != Some(&parameters[*at]) {
                return Ok(None);
            }
            arrays.push(value.to_array().map_err(fault::of_datafusion)?);
        }
        let missing = arrays.iter().any(|array| array.null_count() > 0);
        let keys = match missing {
            // NULL equals nothing.
            true => KeyBatch::default(),
            false => KeyBatch::new(arrays, &lookup.key_types)?,
        };
        let rows = table.find(&keys, &lookup.columns)?;
        Ok(Some(Outcome::Rows {
            columns: Arc::clone(&lookup.output),
            stream: stream_of(rows),
            tag: RowsTag::Select,
        }))
    }
}

/// Trailing blanks of a char(n) do not count.
fn without_blanks(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Utf8View(Some(text)) => {
            ScalarValue::Utf8View(Some(text.trim_end_matches(' ').to_owned()))
        }
        other => other,
    }
}

/// What a parameter without a type is taken as beside a column of the key.
fn asked_as(key: &Type) -> Type {
    let of = key.field("", true);
    let of = of.clone().with_data_type(unscaled(of.data_type()));
    match Type::of_field(&of) {
        Some(Type::Varchar(_) | Type::Char(_)) => Type::Varchar(None),
        of => of.unwrap_or_else(|| key.clone()),
    }
}

/// Whether every value of a type has an equal one of the key's type, or none that could be found.
fn fits(said: &Type, key: &Type) -> bool {
    let integer = |t: &Type| matches!(t, Type::Int2 | Type::Int4 | Type::Int8);
    let text = |t: &Type| matches!(t, Type::Text | Type::Varchar(_));
    // Beside text, a char(n) is text.
    let blanks = matches!(key, Type::Char(_)) && matches!(said, Type::Varchar(_) | Type::Char(_));
    said == key || (integer(said) && integer(key)) || (text(said) && text(key)) || blanks
}

type Shape<'a> = (Vec<String>, String, &'a [SelectItem], Vec<(String, usize)>);

/// The parts of a query that is nothing but a look-up.
fn shape(query: &Query) -> Option<Shape<'_>> {
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let simple = plain
        && select.distinct.is_none()
        && select.having.is_none()
        && select.named_window.is_empty()
        && select.into.is_none()
        && matches!(&select.group_by, GroupByExpr::Expressions(by, with) if by.is_empty() && with.is_empty());
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::Table {
        name, alias, args: None, with_ordinality: false, sample: None, ..
    } = &from.relation
    else {
        return None;
    };
    if !simple || !from.joins.is_empty() || !matches!(version_of(&from.relation), Ok(None)) {
        return None;
    }
    let table = name_parts(name).ok()?;
    let alias = match alias {
        Some(alias) if alias.columns.is_empty() => fold(&alias.name),
        Some(_) => return None,
        None => table.last()?.clone(),
    };
    let mut conditions = Vec::new();
    equalities(select.selection.as_ref()?, &alias, &mut conditions)?;
    Some((table, alias, &select.projection, conditions))
}

/// Gathers `column = $n` joined by AND; None where there is anything else.
fn equalities(condition: &SqlExpr, alias: &str, found: &mut Vec<(String, usize)>) -> Option<()> {
    match condition {
        SqlExpr::Nested(inner) => equalities(inner, alias, found),
        SqlExpr::BinaryOp { left, op: BinaryOperator::And, right } => {
            equalities(left, alias, found)?;
            equalities(right, alias, found)
        }
        SqlExpr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let (column, value) = match (column_name(left, alias), column_name(right, alias)) {
                (Some(column), None) => (column, right),
                (None, Some(column)) => (column, left),
                _ => return None,
            };
            found.push((column, placeholder(value)?));
            Some(())
        }
        _ => None,
    }
}

fn column_name(expr: &SqlExpr, alias: &str) -> Option<String> {
    match expr {
        SqlExpr::Identifier(ident) => Some(fold(ident)),
        SqlExpr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, column] if fold(table) == alias => Some(fold(column)),
            _ => None,
        },
        _ => None,
    }
}

/// Positions of the columns shown, and for each column of the key its parameter.
fn match_columns(
    table: &Table,
    alias: &str,
    name: &[String],
    items: &[SelectItem],
    conditions: &[(String, usize)],
) -> Option<(Vec<usize>, Vec<usize>)> {
    let schema = table.schema();
    let key = schema.primary_key.as_ref().filter(|key| key.enforced)?;
    if conditions.len() != key.columns.len() || name.is_empty() {
        return None;
    }
    let mut keys = Vec::with_capacity(key.columns.len());
    for id in &key.columns {
        let column = schema.column(*id)?;
        let mut equal = conditions.iter().filter(|(name, _)| *name == column.name);
        keys.push(equal.next()?.1);
    }
    let mut columns = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(options) if options.to_string().is_empty() => {
                columns.extend(0..schema.columns.len());
            }
            SelectItem::UnnamedExpr(expr) => {
                columns.push(schema.column_named(&column_name(expr, alias)?)?.0);
            }
            _ => return None,
        }
    }
    Some((columns, keys))
}
