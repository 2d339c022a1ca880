//! A statement planned far enough to tell its parameters and its columns.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, FromTable, Query, SetExpr, Visit, Visitor};

use super::locate::located;
use super::lookup::Lookup;
use super::{OutputColumn, Session};
use crate::command::write::{insert_columns, insert_name};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{CopyTarget, Fetch, History, Parsed, Show, Statement};
use crate::plan::functions::type_of;
use crate::plan::parameters::{cast_types, inferred_types, placeholder};
use crate::plan::pg_catalog::types::{PgType, catalog_type};
use crate::plan::query::Planned;
use crate::plan::time_travel::name_parts;
use crate::plan::{Parameters, Reading, names, plan_query};
use crate::spec::Type;

/// A statement, ready to run.
pub struct Prepared {
    /// The types of `$1 …`.
    pub parameters: Vec<Type>,
    /// The types of PostgreSQL's catalogue that they are shown as: oid, name …
    pub catalog_types: Vec<Option<&'static PgType>>,
    /// The columns of its result; None where it has none.
    pub columns: Option<Vec<OutputColumn>>,
    pub(super) parsed: Arc<Parsed>,
    /// What the planner takes the parameters as.
    fields: Vec<Option<FieldRef>>,
    /// What runs it without the planner, where it is a look-up.
    pub(super) lookup: Option<Lookup>,
}

/// A statement about an open cursor.
#[derive(Clone, Copy, Debug)]
pub enum CursorStatement<'a> {
    /// FETCH, MOVE.
    Fetch(&'a Fetch),
    /// CLOSE.
    Close(&'a str),
}

impl Prepared {
    /// Whether it is answered by key, without the planner: in microseconds, on any thread.
    pub fn is_look_up(&self) -> bool {
        self.lookup.is_some()
    }

    /// What it does to a cursor that is open already.
    pub fn cursor_statement(&self) -> Option<CursorStatement<'_>> {
        match &self.parsed.statement {
            Statement::Fetch(fetch) => Some(CursorStatement::Fetch(fetch)),
            Statement::Close(Some(name)) => Some(CursorStatement::Close(name)),
            _ => None,
        }
    }

    fn new(parsed: Arc<Parsed>, described: Described) -> Prepared {
        let shown = |field: &Option<FieldRef>| match field {
            Some(field) => (type_of(field).unwrap_or(Type::Text), catalog_type(field)),
            None => (Type::Text, None),
        };
        let Described { fields, columns } = described;
        let (parameters, catalog_types) = fields.iter().map(shown).unzip();
        let text = || Arc::new(Type::Text.field("", true));
        let planned = |field: FieldRef| Some(planned_field(&field));
        let fields = fields.into_iter().map(|field| planned(field.unwrap_or_else(text))).collect();
        Prepared { parameters, catalog_types, columns, parsed, fields, lookup: None }
    }

    /// The parameters as the planner takes them.
    ///
    /// # Errors
    /// OutOfRange and the like, for a value that its type does not hold.
    pub(super) fn bind(&self, values: Vec<ScalarValue>) -> Result<Parameters> {
        let typed = |(at, value): (usize, ScalarValue)| match self.fields.get(at) {
            Some(Some(field)) if *field.data_type() != value.data_type() => {
                value.cast_to(field.data_type()).map_err(fault::of_datafusion)
            }
            _ => Ok(value),
        };
        let values = values.into_iter().enumerate().map(typed).collect::<Result<_>>()?;
        Ok(Parameters { fields: self.fields.clone(), values })
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
        let prepared = self.prepare_parsed(Arc::clone(&parsed), types);
        prepared.map_err(|error| located(error, &parsed))
    }

    fn prepare_parsed(
        &mut self,
        parsed: Arc<Parsed>,
        types: &[Option<Type>],
    ) -> Result<Arc<Prepared>> {
        self.check_not_failed(&parsed.statement)?;
        self.begin_statement();
        let reading = self.reading(None)?;
        let lookup = self.recognise(&reading, &parsed, types)?;
        if let Some((lookup, parameters, columns)) = lookup {
            let typed = |of: &Type| Some(Arc::new(of.field("", true)));
            let fields = parameters.iter().map(typed).collect();
            let described = Described { fields, columns: Some(columns) };
            let prepared = Prepared::new(parsed, described);
            return Ok(Arc::new(Prepared { lookup: Some(lookup), ..prepared }));
        }
        let count = parsed.parameters.max(types.len());
        let declared = |n: usize| types.get(n).cloned().flatten();
        let fields = (0..count).map(|n| Some(Arc::new(declared(n)?.field("", true)))).collect();
        let described = self.describe(&reading, &parsed.statement, fields)?;
        Ok(Arc::new(Prepared::new(parsed, described)))
    }

    fn describe(
        &self,
        reading: &Reading,
        statement: &Statement,
        mut fields: Vec<Option<FieldRef>>,
    ) -> Result<Described> {
        let described = match statement {
            Statement::Query(query) => {
                let planned = self.plan_typed(reading, query, &mut fields)?;
                return Ok(Described { fields, columns: Some(output_columns(&planned)) });
            }
            Statement::Explain(explain) => {
                if let Statement::Query(query) = explain.statement.as_ref() {
                    self.plan_typed(reading, query, &mut fields)?;
                }
                Described::columns(&[("QUERY PLAN", Type::Text)])
            }
            Statement::Declare(declare) => {
                self.plan_typed(reading, &declare.query, &mut fields)?;
                Described::default()
            }
            Statement::Execute { name, .. } => {
                let named = self.existing(name)?;
                let columns = named.prepared.as_ref().and_then(|p| p.columns.clone());
                Described { columns, ..Described::default() }
            }
            Statement::Fetch(fetch) if !fetch.moves => Described {
                columns: self.cursor_columns(&fetch.cursor).map(|columns| columns.to_vec()),
                ..Described::default()
            },
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
                self.hints(reading, statement, &mut fields)?;
                Described::default()
            }
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
        };
        Ok(Described { fields, ..described })
    }

    /// A query's plan once its parameters have the types that it tells.
    fn plan_typed(
        &self,
        reading: &Reading,
        query: &Query,
        fields: &mut [Option<FieldRef>],
    ) -> Result<Planned> {
        cast_types(query, fields)?;
        let planned = plan_query(&typed(reading, fields), &self.state, query)?;
        let open = |fields: &[Option<FieldRef>]| fields.iter().filter(|f| f.is_none()).count();
        let before = open(fields);
        if before == 0 {
            return Ok(planned);
        }
        inferred_types(&planned.plan, fields)?;
        match open(fields) == before {
            true => Ok(planned),
            false => plan_query(&typed(reading, fields), &self.state, query),
        }
    }

    /// Types that the target of a write gives to parameters.
    fn hints(
        &self,
        reading: &Reading,
        statement: &Statement,
        fields: &mut [Option<FieldRef>],
    ) -> Result<()> {
        let mut hints = HashMap::new();
        match statement {
            Statement::Insert(insert) => {
                cast_types(&insert.insert, fields)?;
                let parts = name_parts(insert_name(&insert.insert)?)?;
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let (table, _) = names::table(reading, &parts)?;
                let names = insert_columns(&table, &insert.insert)?;
                if let Some(source) = &insert.insert.source {
                    let column = |at: usize| {
                        let (_, column) = table.schema().column_named(names.get(at)?)?;
                        Some(column.data_type.clone())
                    };
                    hint_values(&source.body, &column, &mut hints);
                    take_hints(hints, fields);
                    if fields.iter().any(Option::is_none) {
                        // What cannot be planned is told when it runs.
                        let _ = self.plan_typed(reading, source, fields);
                    }
                    return Ok(());
                }
            }
            Statement::Update(update) => {
                cast_types(&update.update, fields)?;
                if let Ok(parts) = factor_parts(&update.update.table.relation) {
                    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                    let (table, _) = names::table(reading, &parts)?;
                    for assignment in &update.update.assignments {
                        let name = assignment.target.to_string();
                        let column = table.schema().column_named(name.trim_matches('"'));
                        hint(&assignment.value, column.map(|(_, c)| &c.data_type), &mut hints);
                    }
                    hint_conditions(&update.update.selection, &table, &mut hints);
                }
            }
            Statement::Delete(delete) => {
                cast_types(&delete.delete, fields)?;
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
            _ => {}
        }
        take_hints(hints, fields);
        Ok(())
    }
}

fn take_hints(hints: HashMap<usize, Type>, fields: &mut [Option<FieldRef>]) {
    for (at, hint) in hints {
        if let Some(slot @ None) = fields.get_mut(at) {
            *slot = Some(Arc::new(hint.field("", true)));
        }
    }
}

/// The reading of a statement whose parameters are known so far.
fn typed(reading: &Reading, fields: &[Option<FieldRef>]) -> Reading {
    let fields = fields.iter().map(|field| field.as_ref().map(planned_field)).collect();
    let parameters = Parameters { fields, values: Vec::new() };
    Reading { parameters: Some(Arc::new(parameters)), ..reading.clone() }
}

/// A parameter of bounded length is planned as text, as literals are: rows of VALUES hold both.
fn planned_field(field: &FieldRef) -> FieldRef {
    match Type::of_field(field) {
        Some(Type::Varchar(_) | Type::Char(_)) => Arc::new(Type::Text.field("", true)),
        _ => Arc::clone(field),
    }
}

#[derive(Default)]
struct Described {
    /// What is known of the parameters, by position.
    fields: Vec<Option<FieldRef>>,
    columns: Option<Vec<OutputColumn>>,
}

impl Described {
    fn columns(columns: &[(&str, Type)]) -> Described {
        let column = |(name, data_type): &(&str, Type)| OutputColumn {
            name: (*name).to_owned(),
            data_type: data_type.clone(),
            catalog_type: None,
            table: None,
        };
        Described { columns: Some(columns.iter().map(column).collect()), ..Described::default() }
    }
}

/// The columns of a plan as clients see them.
pub(super) fn output_columns(planned: &Planned) -> Vec<OutputColumn> {
    let fields = planned.plan.schema().fields().iter().map(|field| catalog_type(field));
    let columns = planned.columns().into_iter().zip(fields);
    columns
        .map(|((name, data_type), catalog_type)| OutputColumn {
            name,
            data_type,
            catalog_type,
            table: None,
        })
        .collect()
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
