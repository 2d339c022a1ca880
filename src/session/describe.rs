//! What planning tells of a statement before it runs: its columns, and the types of its parameters.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::Query;

use super::OutputColumn;
use super::explain::plan_type;
use super::prepare::output_columns;
use super::writes::row_word;
use crate::command::write::{self, Scene};
use crate::error::Result;
use crate::parse::{AlterOperation, CopyTarget, History, Statement, TableVersionSpec};
use crate::plan::parameters::{cast_types, inferred_types};
use crate::plan::query::Planned;
use crate::plan::{Parameters, Reading, plan_query};
use crate::spec::Type;

/// Where a statement is described; owns what it needs, since planning may be given up.
pub(super) struct Describing {
    pub reading: Reading,
    pub state: Arc<SessionState>,
}

/// Whether a plan is needed to describe a statement.
pub(super) fn is_planned(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_)
        | Statement::Explain(_)
        | Statement::Declare(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_)
        | Statement::With(_) => true,
        Statement::Copy(copy) => matches!(copy.target, CopyTarget::Query(_)),
        _ => false,
    }
}

impl Describing {
    /// `fields` are what is known of the parameters.
    pub fn describe(
        &self,
        statement: &Statement,
        mut fields: Vec<Option<FieldRef>>,
    ) -> Result<Described> {
        let columns = match statement {
            Statement::Query(query) => Some(output_columns(&self.plan_typed(query, &mut fields)?)),
            Statement::Explain(explain) => {
                match explain.statement.as_ref() {
                    Statement::Query(query) => {
                        self.plan_typed(query, &mut fields)?;
                    }
                    change if row_word(change).is_some() => {
                        self.describe_change(change, &mut fields)?;
                    }
                    _ => {}
                }
                Described::columns(&[("QUERY PLAN", plan_type(explain)?)]).columns
            }
            Statement::Declare(declare) => {
                self.plan_typed(&declare.query, &mut fields)?;
                None
            }
            Statement::Copy(copy) => {
                // The client is told by the protocol of COPY, not by columns; names are checked early.
                if let CopyTarget::Query(query) = &copy.target {
                    plan_query(&self.reading, &self.state, query)?;
                }
                None
            }
            change => self.describe_change(change, &mut fields)?,
        };
        Ok(Described { fields, columns })
    }

    /// A query's plan once its parameters have the types that it tells.
    fn plan_typed(&self, query: &Query, fields: &mut [Option<FieldRef>]) -> Result<Planned> {
        cast_types(query, fields)?;
        let planned = plan_query(&typed(&self.reading, fields), &self.state, query)?;
        let open = |fields: &[Option<FieldRef>]| fields.iter().filter(|f| f.is_none()).count();
        let before = open(fields);
        if before == 0 {
            return Ok(planned);
        }
        inferred_types(&planned.plan, fields)?;
        match open(fields) == before {
            true => Ok(planned),
            false => plan_query(&typed(&self.reading, fields), &self.state, query),
        }
    }

    /// What a statement that changes rows tells: the columns of RETURNING, and parameters by what
    /// they meet. A statement that answers nothing is planned only where a parameter's type is not
    /// known yet.
    fn describe_change(
        &self,
        statement: &Statement,
        fields: &mut [Option<FieldRef>],
    ) -> Result<Option<Vec<OutputColumn>>> {
        self.hints(statement, fields)?;
        let returns = returns(statement);
        if fields.iter().all(Option::is_some) && !returns {
            return Ok(None);
        }
        let reading = typed(&self.reading, fields);
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
pub(super) fn planned_field(field: &FieldRef) -> FieldRef {
    match Type::of_field(field) {
        Some(Type::Varchar(_) | Type::Char(_)) => Arc::new(Type::Text.field("", true)),
        _ => Arc::clone(field),
    }
}

#[derive(Default)]
pub(super) struct Described {
    /// What is known of the parameters, by position.
    pub fields: Vec<Option<FieldRef>>,
    pub columns: Option<Vec<OutputColumn>>,
}

impl Described {
    pub fn columns(columns: &[(&str, Type)]) -> Described {
        let column = |(name, data_type): &(&str, Type)| OutputColumn {
            name: (*name).to_owned(),
            data_type: data_type.clone(),
            catalog_type: None,
            table: None,
        };
        Described { columns: Some(columns.iter().map(column).collect()), ..Described::default() }
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

/// The versions that a statement names which is not planned.
pub(super) fn said_versions(statement: &Statement) -> impl Iterator<Item = &TableVersionSpec> {
    let mut said: Vec<Option<&TableVersionSpec>> = Vec::new();
    match statement {
        Statement::CreateRef(create) => said.push(create.from.as_ref()),
        Statement::RollbackBranch(roll_back) => said.push(Some(&roll_back.to)),
        Statement::RestoreTable(restore) => {
            said.extend([restore.table.version.as_ref(), Some(&restore.to)]);
        }
        Statement::Begin(modes) | Statement::SetTransaction { modes, .. } => {
            said.push(modes.as_of.as_ref());
        }
        Statement::CreateTable(create) => {
            said.push(create.like.as_ref().and_then(|like| like.table.version.as_ref()));
        }
        Statement::AlterTable(alter) => {
            said.extend(alter.operations.iter().map(|operation| match operation {
                AlterOperation::CreateRef(create) => create.from.as_ref(),
                _ => None,
            }));
        }
        Statement::Describe(target)
        | Statement::History(
            History::Branches(Some(target))
            | History::Tags(Some(target))
            | History::Log { table: Some(target), .. }
            | History::Table { table: target, .. },
        ) => said.push(target.version.as_ref()),
        _ => {}
    }
    said.into_iter().flatten()
}

/// A history of the table as it is.
pub(super) fn without_version(what: &History) -> History {
    let mut what = what.clone();
    if let History::Branches(Some(target))
    | History::Tags(Some(target))
    | History::Log { table: Some(target), .. }
    | History::Table { table: target, .. } = &mut what
    {
        target.version = None;
    }
    what
}
