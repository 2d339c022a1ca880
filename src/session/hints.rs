//! The types that the target of a write gives to parameters.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::sql::sqlparser::ast::{
    Assignment, Expr as SqlExpr, FromTable, Insert, Merge, MergeAction, MergeInsertKind,
    ObjectName, OnConflictAction, OnInsert, SetExpr, TableFactor, Visit, Visitor,
};

use super::describe::Describing;
use crate::command::write::{insert_columns, insert_name};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{Statement, TableVersionSpec, version_of};
use crate::plan::addressed_table;
use crate::plan::parameters::{cast_types, placeholder};
use crate::plan::time_travel::name_parts;
use crate::spec::Type;
use crate::store::Table;

impl Describing {
    /// Types that the target of a write gives to parameters.
    pub(super) fn hints(
        &self,
        statement: &Statement,
        fields: &mut [Option<FieldRef>],
    ) -> Result<()> {
        let mut hints = HashMap::new();
        match statement {
            Statement::Insert(insert) => {
                cast_types(&insert.insert, fields)?;
                let name = insert_name(&insert.insert)?;
                if let Some(table) = self.target(name, insert.version.as_ref())? {
                    hint_insert(&table, &insert.insert, &mut hints)?;
                }
            }
            Statement::Update(update) => {
                cast_types(&update.update, fields)?;
                if let Some(table) = self.of_factor(&update.update.table.relation)? {
                    hint_assignments(&update.update.assignments, &table, &mut hints);
                    hint_conditions(&update.update.selection, &table, &mut hints);
                }
            }
            Statement::Delete(delete) => {
                cast_types(&delete.delete, fields)?;
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                    &delete.delete.from;
                if let Some(first) = from.first()
                    && let Some(table) = self.of_factor(&first.relation)?
                {
                    hint_conditions(&delete.delete.selection, &table, &mut hints);
                }
            }
            Statement::With(with) => {
                for part in &with.parts {
                    self.hints(&part.statement, fields)?;
                }
                self.hints(&with.main, fields)?;
            }
            Statement::Query(query) => cast_types(query, fields)?,
            Statement::Merge(merge) => {
                cast_types(&merge.merge, fields)?;
                if let Some(table) = self.of_factor(&merge.merge.table)? {
                    hint_clauses(&table, &merge.merge, &mut hints)?;
                }
            }
            _ => {}
        }
        take_hints(hints, fields);
        Ok(())
    }

    fn of_factor(&self, factor: &TableFactor) -> Result<Option<Arc<Table>>> {
        match factor {
            TableFactor::Table { name, .. } => self.target(name, version_of(factor)?.as_ref()),
            _ => Ok(None),
        }
    }

    /// The table that is written, as the session has it where a parameter that has no value yet says its
    /// version; None where the session has none.
    fn target(
        &self,
        name: &ObjectName,
        version: Option<&TableVersionSpec>,
    ) -> Result<Option<Arc<Table>>> {
        let waits = |error: &Error| error.kind() == ErrorKind::UndefinedParameter;
        match addressed_table(&self.reading, &self.state, name, version) {
            Ok((table, _)) => Ok(Some(table)),
            // It may be there on the branch that the parameter will name.
            Err(error) if waits(&error) => {
                let here = addressed_table(&self.reading, &self.state, name, None);
                Ok(here.ok().map(|(table, _)| table))
            }
            Err(error) => Err(error),
        }
    }
}

fn hint_clauses(table: &Table, merge: &Merge, hints: &mut HashMap<usize, Type>) -> Result<()> {
    for clause in &merge.clauses {
        hint_merge(&clause.action, table, hints)?;
        hint_conditions(&clause.predicate, table, hints);
    }
    Ok(())
}

fn take_hints(hints: HashMap<usize, Type>, fields: &mut [Option<FieldRef>]) {
    for (at, hint) in hints {
        if let Some(slot @ None) = fields.get_mut(at) {
            *slot = Some(Arc::new(hint.field("", true)));
        }
    }
}

fn hint_insert(table: &Table, insert: &Insert, hints: &mut HashMap<usize, Type>) -> Result<()> {
    let names = insert_columns(table.schema(), insert)?;
    if let Some(source) = &insert.source {
        let column = |at: usize| {
            let (_, column) = table.schema().column_named(names.get(at)?)?;
            Some(column.data_type.clone())
        };
        hint_values(&source.body, &column, hints);
    }
    if let Some(OnInsert::OnConflict(clause)) = &insert.on
        && let OnConflictAction::DoUpdate(update) = &clause.action
    {
        hint_assignments(&update.assignments, table, hints);
        hint_conditions(&update.selection, table, hints);
    }
    Ok(())
}

fn hint_assignments(assignments: &[Assignment], table: &Table, hints: &mut HashMap<usize, Type>) {
    for assignment in assignments {
        let name = assignment.target.to_string();
        let column = table.schema().column_named(name.trim_matches('"'));
        hint(&assignment.value, column.map(|(_, c)| &c.data_type), hints);
    }
}

fn hint_merge(action: &MergeAction, table: &Table, hints: &mut HashMap<usize, Type>) -> Result<()> {
    match action {
        MergeAction::Update(update) => hint_assignments(&update.assignments, table, hints),
        MergeAction::Insert(insert) => {
            let MergeInsertKind::Values(values) = &insert.kind else { return Ok(()) };
            let columns = &table.schema().columns;
            for row in &values.rows {
                for (at, value) in row.content.iter().enumerate() {
                    let column = match insert.columns.get(at) {
                        Some(name) => {
                            let name = name_parts(name)?.pop().unwrap_or_default();
                            table.schema().column_named(&name).map(|(_, column)| column)
                        }
                        None => columns.get(at),
                    };
                    hint(value, column.map(|c| &c.data_type), hints);
                }
            }
        }
        MergeAction::Delete { .. } => {}
    }
    Ok(())
}

/// In VALUES a parameter has its column's type; so has one that a SELECT hands through.
fn hint_values(
    body: &SetExpr,
    column: &dyn Fn(usize) -> Option<Type>,
    hints: &mut HashMap<usize, Type>,
) {
    match body {
        SetExpr::Values(values) => {
            for row in &values.rows {
                for (at, value) in row.content.iter().enumerate() {
                    hint(value, column(at).as_ref(), hints);
                }
            }
        }
        SetExpr::Select(select) => {
            use datafusion::sql::sqlparser::ast::SelectItem;
            for (at, item) in select.projection.iter().enumerate() {
                if let SelectItem::UnnamedExpr(value)
                | SelectItem::ExprWithAlias { expr: value, .. } = item
                {
                    hint(value, column(at).as_ref(), hints);
                }
            }
        }
        _ => {}
    }
}

fn hint(value: &SqlExpr, data_type: Option<&Type>, hints: &mut HashMap<usize, Type>) {
    if let (Some(number), Some(data_type)) = (placeholder(value), data_type) {
        hints.insert(number, data_type.clone());
    }
}

/// `column <op> $n` anywhere in a condition gives the parameter the column's type.
fn hint_conditions(condition: &Option<SqlExpr>, table: &Table, hints: &mut HashMap<usize, Type>) {
    struct Comparisons<'a>(&'a crate::store::Table, &'a mut HashMap<usize, Type>);
    impl Visitor for Comparisons<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<()> {
            if let SqlExpr::BinaryOp { left, right, .. } = expr {
                for (column, value) in [(left, right), (right, left)] {
                    let name = match column.as_ref() {
                        SqlExpr::Identifier(ident) => Some(crate::parse::fold(ident)),
                        SqlExpr::CompoundIdentifier(parts) => parts.last().map(crate::parse::fold),
                        _ => None,
                    };
                    let found = name.and_then(|name| {
                        let (_, column) = self.0.schema().column_named(&name)?;
                        Some(column.data_type.clone())
                    });
                    hint(value, found.as_ref(), self.1);
                }
            }
            ControlFlow::Continue(())
        }
    }
    if let Some(condition) = condition {
        let _ = condition.visit(&mut Comparisons(table, hints));
    }
}
