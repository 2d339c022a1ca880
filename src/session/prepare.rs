//! A statement planned far enough to tell its parameters and its columns.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;

use super::branches::is_about_refs;
use super::describe::{
    Described, Describing, is_planned, planned_field, said_versions, without_version,
};
use super::locate::located;
use super::lookup::Lookup;
use super::result_columns::result_columns;
use super::{OutputColumn, Session};
use crate::command::call::usage_of;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{Fetch, Parsed, Show, Statement};
use crate::plan::Parameters;
use crate::plan::functions::type_of;
use crate::plan::pg_catalog::types::{PgType, catalog_type};
use crate::plan::query::Planned;
use crate::plan::thread::apart;
use crate::plan::version_parameters::{argument_types, time_types, version_types};
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
            Some(field) => (asked_for(field), catalog_type(field)),
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
        let prepared = self.prepare_parsed(Arc::clone(&parsed), types).await;
        prepared.map_err(|error| located(error, &parsed))
    }

    async fn prepare_parsed(
        &mut self,
        parsed: Arc<Parsed>,
        types: &[Option<Type>],
    ) -> Result<Arc<Prepared>> {
        self.check_not_failed(&parsed.statement)?;
        self.begin_statement();
        // What is not planned needs no snapshot: a session whose branch is gone can still leave it.
        let reading = match is_planned(&parsed.statement) {
            true => Some(self.reading(None)?),
            false => None,
        };
        let lookup = match &reading {
            Some(reading) => self.recognise(reading, &parsed, types)?,
            None => None,
        };
        if let Some((lookup, parameters, columns)) = lookup {
            let typed = |of: &Type| Some(Arc::new(of.field("", true)));
            let fields = parameters.iter().map(typed).collect();
            let described = Described { fields, columns: Some(columns) };
            let prepared = Prepared::new(parsed, described);
            return Ok(Arc::new(Prepared { lookup: Some(lookup), ..prepared }));
        }
        if parsed.parameters > 0 && defines(&parsed.statement) {
            let message = "there is no parameter $1";
            return Err(Error::new(ErrorKind::UndefinedParameter, message)
                .hint("what is defined is kept as it is written: write the value itself"));
        }
        let count = parsed.parameters.max(types.len());
        let declared = |n: usize| types.get(n).cloned().flatten();
        let mut fields: Vec<_> =
            (0..count).map(|n| Some(Arc::new(declared(n)?.field("", true)))).collect();
        if let Some(time) = &parsed.as_of {
            time_types(time, &mut fields);
        }
        let described = if let Some(reading) = reading {
            let (reading, _bounds) = self.bounded(&reading)?;
            let (cancel, state) = (reading.cancel.clone(), Arc::clone(&self.state));
            let planned = Arc::clone(&parsed);
            let describing = Describing { reading, state };
            apart(&cancel, async move { describing.describe(&planned.statement, fields) }).await?
        } else {
            if let Statement::Call(call) = &parsed.statement
                && let Some(usage) = usage_of(call)
            {
                argument_types(usage, call, &mut fields);
            }
            said_versions(&parsed.statement).for_each(|spec| version_types(spec, &mut fields));
            Described { fields, ..self.describe(&parsed.statement)? }
        };
        Ok(Arc::new(Prepared::new(parsed, described)))
    }

    /// What is known of a statement that is not planned.
    fn describe(&self, statement: &Statement) -> Result<Described> {
        Ok(match statement {
            Statement::Execute { name, .. } => {
                let named = self.existing(name)?;
                let columns = named.prepared.as_ref().and_then(|p| p.columns.clone());
                Described { columns, ..Described::default() }
            }
            Statement::Fetch(fetch) if !fetch.moves => Described {
                columns: self.cursor_columns(&fetch.cursor).map(|columns| columns.to_vec()),
                ..Described::default()
            },
            Statement::Show(Show::Name(name)) => Described::columns(&[(name, Type::Text)]),
            Statement::Show(Show::All) => Described::columns(&[
                ("name", Type::Text),
                ("setting", Type::Text),
                ("description", Type::Text),
            ]),
            Statement::History(what) => {
                // The columns are the same at every version, which a parameter may still say.
                let columns = self.history(&without_version(what), None)?.into_columns();
                Described { columns, ..Described::default() }
            }
            other => result_columns(other).map_or_else(Described::default, Described::columns),
        })
    }
}

/// Whether a statement keeps expressions that run later, when nobody knows its parameters.
fn defines(statement: &Statement) -> bool {
    match statement {
        Statement::CreateView(_) | Statement::AlterObject(_) => true,
        Statement::AlterTable(alter) => !is_about_refs(alter),
        Statement::CreateTable(create) => {
            create.query.is_none() && create.like.as_ref().is_none_or(|like| !like.rows)
        }
        _ => false,
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

/// What a client is asked for: what is compared or cast may be longer than its type.
fn asked_for(field: &FieldRef) -> Type {
    match type_of(field) {
        Some(Type::Varchar(_) | Type::Char(_)) => Type::Varchar(None),
        of => of.unwrap_or(Type::Text),
    }
}
