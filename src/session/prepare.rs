//! A statement planned far enough to tell its parameters and its columns.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    Assignment, Expr as SqlExpr, FromTable, MergeAction, MergeInsertKind, OnConflictAction,
    OnInsert, SetExpr, Value, Visit, Visitor,
};

use super::lookup::Lookup;
use super::{OutputColumn, Session};
use crate::command::write::{self, Scene, insert_columns, insert_name};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{CopyTarget, History, Parsed, Show, Statement};
use crate::plan::query::Planned;
use crate::plan::time_travel::name_parts;
use crate::plan::{Reading, names, plan_query};
use crate::spec::Type;

/// A statement, ready to run.
pub struct Prepared {
    /// The types of `$1 …`.
    pub parameters: Vec<Type>,
    /// The columns of its result; None where it has none.
    pub columns: Option<Vec<OutputColumn>>,
    pub(super) parsed: Arc<Parsed>,
    /// What runs it without the planner, where it is a look-up.
    pub(super) lookup: Option<Lookup>,
}

impl Prepared {
    /// Whether it is answered by key, without the planner: in microseconds, on any thread.
    pub fn is_look_up(&self) -> bool {
        self.lookup.is_some()
    }
}

impl Session {
    /// Plans a statement far enough to describe it. `types` are those the client declared.
    ///
    /// # Errors
    /// Whatever planning gives; FailedTransaction inside a block that failed.
    pub async fn prepare(
        &mut self,
        parsed: Arc<Parsed>,
        types: &[Option<Type>],
    ) -> Result<Arc<Prepared>> {
        self.check_not_failed(&parsed.statement)?;
        self.begin_statement();
        let reading = self.reading(None)?;
        let lookup = self.recognise(&reading, &parsed, types)?;
        if let Some((lookup, parameters, columns)) = lookup {
            let (columns, lookup) = (Some(columns), Some(lookup));
            return Ok(Arc::new(Prepared { parameters, columns, parsed, lookup }));
        }
        let described = self.describe(&reading, &parsed.statement, parsed.parameters)?;
        let count = parsed.parameters.max(types.len());
        let parameter = |n: usize| match types.get(n).cloned().flatten() {
            Some(declared) => declared,
            None => described.parameters.get(&n).cloned().unwrap_or(Type::Text),
        };
        let parameters = (0..count).map(parameter).collect();
        let columns = described.columns;
        Ok(Arc::new(Prepared { parameters, columns, parsed, lookup: None }))
    }

    fn describe(
        &self,
        reading: &Reading,
        statement: &Statement,
        parameters: usize,
    ) -> Result<Described> {
        Ok(match statement {
            Statement::Query(query) => {
                let planned = plan_query(reading, &self.state, query)?;
                Described {
                    parameters: inferred(&planned, parameters)?,
                    columns: Some(output_columns(&planned)),
                }
            }
            Statement::Explain(_) => Described::columns(&[("QUERY PLAN", Type::Text)]),
            Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_) => self.describe_change(reading, statement, parameters)?,
            Statement::Show(Show::Name(name)) => Described::columns(&[(name, Type::Text)]),
            Statement::Show(Show::All) => Described::columns(&[
                ("name", Type::Text),
                ("setting", Type::Text),
                ("description", Type::Text),
            ]),
            Statement::Show(Show::Tables | Show::Schemas | Show::Databases)
            | Statement::History(
                History::Branches(_)
                | History::Tags(_)
                | History::Log { .. }
                | History::Table { .. },
            )
            | Statement::Describe(_)
            | Statement::Call(_) => Described { columns: Some(Vec::new()), ..Described::default() },
            Statement::Copy(copy) => {
                // The client is told by the protocol of COPY, not by columns; names are checked early.
                if let CopyTarget::Query(query) = &copy.target {
                    plan_query(reading, &self.state, query)?;
                }
                Described::default()
            }
            _ => Described::default(),
        })
    }

    /// What a statement that changes rows tells: the columns of RETURNING, and parameters by what
    /// they meet. A statement that answers nothing is planned only where it has parameters.
    fn describe_change(
        &self,
        reading: &Reading,
        statement: &Statement,
        parameters: usize,
    ) -> Result<Described> {
        let hints = self.hints(reading, statement, parameters)?;
        let returns = returns(statement);
        if parameters == 0 && !returns {
            return Ok(Described { parameters: hints, columns: None });
        }
        let scene = Scene { reading: reading.clone(), state: &self.state, written: None };
        let described = match write::describe(&scene, statement) {
            Ok(described) => described,
            // Parameters without a type may keep it from being planned before they have values.
            Err(_) if !returns => return Ok(Described { parameters: hints, columns: None }),
            Err(error) => return Err(error),
        };
        let mut types = inferred_of(&described.plan, parameters).unwrap_or_default();
        if let Some(planned) = &described.returning {
            types.extend(inferred(planned, parameters)?);
        }
        types.extend(hints);
        Ok(Described {
            parameters: types,
            columns: described.returning.as_ref().map(output_columns),
        })
    }

    /// Types that the target of a write gives to parameters.
    fn hints(
        &self,
        reading: &Reading,
        statement: &Statement,
        parameters: usize,
    ) -> Result<HashMap<usize, Type>> {
        let mut hints = HashMap::new();
        match statement {
            Statement::Insert(insert) => {
                let parts = name_parts(insert_name(&insert.insert)?)?;
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let (table, _) = names::table(reading, &parts)?;
                let names = insert_columns(table.schema(), &insert.insert)?;
                if let Some(source) = &insert.insert.source {
                    if parameters > 0 {
                        hints = inferred_loosely(reading, self, source, parameters);
                    }
                    let column = |at: usize| {
                        let (_, column) = table.schema().column_named(names.get(at)?)?;
                        Some(column.data_type.clone())
                    };
                    hint_values(&source.body, &column, &mut hints);
                }
                if let Some(OnInsert::OnConflict(clause)) = &insert.insert.on
                    && let OnConflictAction::DoUpdate(update) = &clause.action
                {
                    hint_assignments(&update.assignments, &table, &mut hints);
                    hint_conditions(&update.selection, &table, &mut hints);
                }
            }
            Statement::Update(update) => {
                if let Ok(parts) = factor_parts(&update.update.table.relation) {
                    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                    let (table, _) = names::table(reading, &parts)?;
                    hint_assignments(&update.update.assignments, &table, &mut hints);
                    hint_conditions(&update.update.selection, &table, &mut hints);
                }
            }
            Statement::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                    &delete.delete.from;
                if let Some(first) = from.first()
                    && let Ok(parts) = factor_parts(&first.relation)
                {
                    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                    let (table, _) = names::table(reading, &parts)?;
                    hint_conditions(&delete.delete.selection, &table, &mut hints);
                }
            }
            Statement::Merge(merge) => {
                if let Ok(parts) = factor_parts(&merge.merge.table) {
                    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                    let (table, _) = names::table(reading, &parts)?;
                    for clause in &merge.merge.clauses {
                        hint_merge(&clause.action, &table, &mut hints)?;
                        hint_conditions(&clause.predicate, &table, &mut hints);
                    }
                }
            }
            _ => {}
        }
        Ok(hints)
    }
}

/// Whether a statement that changes rows answers some.
fn returns(statement: &Statement) -> bool {
    match statement {
        Statement::Insert(insert) => insert.insert.returning.is_some(),
        Statement::Update(update) => update.update.returning.is_some(),
        Statement::Delete(delete) => delete.delete.returning.is_some(),
        Statement::Merge(merge) => merge.merge.output.is_some(),
        _ => false,
    }
}

fn hint_assignments(
    assignments: &[Assignment],
    table: &crate::store::Table,
    hints: &mut HashMap<usize, Type>,
) {
    for assignment in assignments {
        let name = assignment.target.to_string();
        let column = table.schema().column_named(name.trim_matches('"'));
        hint(&assignment.value, column.map(|(_, c)| &c.data_type), hints);
    }
}

fn hint_merge(
    action: &MergeAction,
    table: &crate::store::Table,
    hints: &mut HashMap<usize, Type>,
) -> Result<()> {
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

#[derive(Default)]
struct Described {
    /// Types that the statement itself tells, by position.
    parameters: HashMap<usize, Type>,
    columns: Option<Vec<OutputColumn>>,
}

impl Described {
    fn columns(columns: &[(&str, Type)]) -> Described {
        let column = |(name, data_type): &(&str, Type)| OutputColumn {
            name: (*name).to_owned(),
            data_type: data_type.clone(),
            table: None,
        };
        Described { columns: Some(columns.iter().map(column).collect()), ..Described::default() }
    }
}

/// The columns of a plan as clients see them.
pub(super) fn output_columns(planned: &Planned) -> Vec<OutputColumn> {
    let column = |(name, data_type)| OutputColumn { name, data_type, table: None };
    planned.columns().into_iter().map(column).collect()
}

fn inferred(planned: &Planned, count: usize) -> Result<HashMap<usize, Type>> {
    inferred_of(&planned.plan, count)
}

fn inferred_of(plan: &LogicalPlan, count: usize) -> Result<HashMap<usize, Type>> {
    if count == 0 {
        return Ok(HashMap::new());
    }
    let types = plan.get_parameter_types().map_err(fault::of_datafusion)?;
    let known = types.into_iter().filter_map(|(name, data_type)| {
        let number: usize = name.trim_start_matches('$').parse().ok()?;
        let data_type = data_type.filter(|t| *t != DataType::Null)?;
        Some((number.checked_sub(1)?, Type::of_storage(&data_type)?))
    });
    Ok(known.collect())
}

/// What a query tells of its parameters; nothing where it cannot be planned without them.
fn inferred_loosely(
    reading: &Reading,
    session: &Session,
    query: &datafusion::sql::sqlparser::ast::Query,
    count: usize,
) -> HashMap<usize, Type> {
    let planned = plan_query(reading, &session.state, query);
    planned.and_then(|planned| inferred(&planned, count)).unwrap_or_default()
}

fn factor_parts(factor: &datafusion::sql::sqlparser::ast::TableFactor) -> Result<Vec<String>> {
    match factor {
        datafusion::sql::sqlparser::ast::TableFactor::Table { name, .. } => name_parts(name),
        _ => Err(Error::new(ErrorKind::Syntax, "only a table can be written")),
    }
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

/// The position of a parameter, from 0.
pub(super) fn placeholder(value: &SqlExpr) -> Option<usize> {
    let SqlExpr::Value(value) = value else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    name.trim_start_matches('$').parse::<usize>().ok()?.checked_sub(1)
}

/// `column <op> $n` anywhere in a condition gives the parameter the column's type.
fn hint_conditions(
    condition: &Option<SqlExpr>,
    table: &crate::store::Table,
    hints: &mut HashMap<usize, Type>,
) {
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
