//! A statement planned far enough to tell its parameters and its columns.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::Query;

use super::explain::plan_type;
use super::locate::located;
use super::lookup::Lookup;
use super::result_columns::result_columns;
use super::writes::row_word;
use super::{OutputColumn, Session};
use crate::command::call::usage_of;
use crate::command::write::{self, Scene};
use crate::error::Result;
use crate::fault;
use crate::parse::{CopyTarget, Fetch, Parsed, Show, Statement};
use crate::plan::functions::type_of;
use crate::plan::parameters::{cast_types, inferred_types};
use crate::plan::pg_catalog::types::{PgType, catalog_type};
use crate::plan::query::Planned;
use crate::plan::version_parameters::{argument_types, time_types};
use crate::plan::{Parameters, Reading, plan_query};
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
        if matches!(parsed.statement, Statement::SetTransaction { .. }) {
            // A block reads what it says, so nothing may be read before it has said it.
            return Ok(Arc::new(Prepared::new(parsed, Described::default())));
        }
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
        let mut fields: Vec<_> =
            (0..count).map(|n| Some(Arc::new(declared(n)?.field("", true)))).collect();
        if let Some(time) = &parsed.as_of {
            time_types(time, &mut fields);
        }
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
                match explain.statement.as_ref() {
                    Statement::Query(query) => {
                        self.plan_typed(reading, query, &mut fields)?;
                    }
                    change if row_word(change).is_some() => {
                        self.describe_change(reading, change, &mut fields)?;
                    }
                    _ => {}
                }
                Described::columns(&[("QUERY PLAN", plan_type(explain)?)])
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
            Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_)
            | Statement::With(_) => {
                let columns = self.describe_change(reading, statement, &mut fields)?;
                return Ok(Described { fields, columns });
            }
            Statement::Call(call) => {
                if let Some(usage) = usage_of(call) {
                    argument_types(usage, call, &mut fields);
                }
                result_columns(statement).map_or_else(Described::default, Described::columns)
            }
            Statement::Show(Show::Name(name)) => Described::columns(&[(name, Type::Text)]),
            Statement::Show(Show::All) => Described::columns(&[
                ("name", Type::Text),
                ("setting", Type::Text),
                ("description", Type::Text),
            ]),
            Statement::History(what) => {
                Described { columns: self.history(what)?.into_columns(), ..Described::default() }
            }
            Statement::Copy(copy) => {
                // The client is told by the protocol of COPY, not by columns; names are checked early.
                if let CopyTarget::Query(query) = &copy.target {
                    plan_query(reading, &self.state, query)?;
                }
                Described::default()
            }
            other => result_columns(other).map_or_else(Described::default, Described::columns),
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

    /// What a statement that changes rows tells: the columns of RETURNING, and parameters by what
    /// they meet. A statement that answers nothing is planned only where a parameter's type is not
    /// known yet.
    fn describe_change(
        &self,
        reading: &Reading,
        statement: &Statement,
        fields: &mut [Option<FieldRef>],
    ) -> Result<Option<Vec<OutputColumn>>> {
        self.hints(reading, statement, fields)?;
        let returns = returns(statement);
        if fields.iter().all(Option::is_some) && !returns {
            return Ok(None);
        }
        let reading = typed(reading, fields);
        let scene = Scene::described(&reading, &self.state);
        let described = match write::describe(&scene, statement) {
            Ok(described) => described,
            // Parameters without a type may keep it from being planned before they have values.
            Err(_) if !returns => return Ok(None),
            Err(error) => return Err(error),
        };
        inferred_types(&described.plan, fields)?;
        if let Some(planned) = &described.returning {
            inferred_types(&planned.plan, fields)?;
        }
        Ok(described.returning.as_ref().map(output_columns))
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

/// Whether a statement that changes rows answers some.
fn returns(statement: &Statement) -> bool {
    match statement {
        Statement::Insert(insert) => insert.insert.returning.is_some(),
        Statement::Update(update) => update.update.returning.is_some(),
        Statement::Delete(delete) => delete.delete.returning.is_some(),
        Statement::Merge(merge) => merge.merge.output.is_some(),
        Statement::With(with) => {
            matches!(with.main.as_ref(), Statement::Query(_)) || returns(&with.main)
        }
        _ => false,
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
