//! RETURNING: the rows a statement wrote, as a relation that a SELECT reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Ident, SelectItem, With};
use futures::StreamExt;

use super::Scene;
use super::target::Target;
use crate::command::run;
use crate::error::Result;
use crate::exec::spool::{Spool, Spooled};
use crate::fault;
use crate::plan::{Given, Planned, Reading, Selecting, plan_selecting};
use crate::spec::Type;

/// What the written rows are called.
const NAME: &str = "asofdb written";

/// What RETURNING shows, ready for the client.
pub struct Returned {
    /// Names and types.
    pub columns: Vec<(String, Type)>,
    /// The rows.
    pub rows: Spooled,
}

/// A column of the written rows.
struct Written {
    relation: Option<TableReference>,
    name: String,
    field: FieldRef,
}

/// A RETURNING clause.
pub struct Returning {
    items: Vec<SelectItem>,
    with: Option<With>,
    given: Vec<Given>,
    /// As they are set aside: the table's columns, those besides, and the action where it is asked.
    written: Vec<Written>,
    /// `*` shows the table's columns last, as MERGE does.
    table_last: bool,
    width: usize,
    /// Whether `merge_action()` is asked for.
    pub(super) tells_action: bool,
}

impl Returning {
    /// A clause over the rows of a table.
    pub fn new(items: &[SelectItem], with: Option<&With>, target: &Target) -> Returning {
        let schema = target.schema();
        let column = |c: &crate::spec::Column| Written {
            relation: Some(target.reference()),
            name: c.name.clone(),
            field: Arc::new(c.data_type.field(&c.name, true)),
        };
        Returning {
            items: items.to_vec(),
            with: with.cloned(),
            given: Vec::new(),
            written: schema.columns.iter().map(column).collect(),
            table_last: false,
            width: schema.columns.len(),
            tells_action: false,
        }
    }

    /// Names that stand for plans in it.
    pub fn with_given(mut self, given: &[Given]) -> Returning {
        self.given = given.to_vec();
        self
    }

    /// The columns of other relations come behind the table's.
    pub fn besides<'f>(
        mut self,
        fields: impl Iterator<Item = (Option<&'f TableReference>, &'f FieldRef)>,
    ) -> Returning {
        self.written.extend(fields.map(|(relation, field)| Written {
            relation: relation.cloned(),
            name: field.name().clone(),
            field: Arc::clone(field),
        }));
        self
    }

    /// As MERGE has it: the source's columns before the table's, and `merge_action()`.
    pub fn of_merge(mut self) -> Returning {
        self.table_last = true;
        let action = super::merge::name_action(&mut self.items);
        if let Some(name) = action {
            let wildcards = self.relations();
            let spread = |item: SelectItem| match item {
                SelectItem::Wildcard(_) => wildcards.clone(),
                item => vec![item],
            };
            self.items = self.items.into_iter().flat_map(spread).collect();
            let field = Arc::new(Type::Text.field(&name, true));
            self.written.push(Written { relation: None, name, field });
            self.tells_action = true;
        }
        self
    }

    /// `s.*, t.*`: what `*` stands for where a column that nobody named is there too.
    fn relations(&self) -> Vec<SelectItem> {
        let (table, besides) = self.written.split_at(self.width);
        let mut names: Vec<&TableReference> = Vec::new();
        for relation in besides.iter().chain(table).filter_map(|w| w.relation.as_ref()) {
            if !names.contains(&relation) {
                names.push(relation);
            }
        }
        let all = |name: &&TableReference| {
            use datafusion::sql::sqlparser::ast::{
                ObjectName, SelectItemQualifiedWildcardKind, WildcardAdditionalOptions,
            };
            let name = ObjectName::from(Ident::with_quote('"', name.table()));
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                WildcardAdditionalOptions::default(),
            )
        };
        names.iter().map(all).collect()
    }

    /// The schema in which written rows are set aside; its names say nothing.
    pub fn stored(&self) -> SchemaRef {
        let field = |(i, written): (usize, &Written)| -> Field {
            written.field.as_ref().clone().with_name(i.to_string()).with_nullable(true)
        };
        Arc::new(Schema::new(self.written.iter().enumerate().map(field).collect::<Vec<_>>()))
    }

    /// Its columns, planned over no rows.
    ///
    /// # Errors
    /// UndefinedColumn and whatever else its expressions give.
    pub fn describe(&self, scene: &Scene<'_>) -> Result<Planned> {
        let none = Spool::new(self.stored(), &scene.reading.runtime).finish();
        self.plan(&scene.reading, scene.state, none.provider()?)
    }

    fn plan(
        &self,
        reading: &Reading,
        state: &SessionState,
        rows: Arc<dyn TableProvider>,
    ) -> Result<Planned> {
        let mut order: Vec<usize> = (0..self.written.len()).collect();
        if self.table_last {
            order.rotate_left(self.width);
        }
        let source = provider_as_source(rows);
        let column = |i: &usize| {
            let Written { relation, name, .. } = &self.written[*i];
            let column = PlanColumn::new(Some(TableReference::bare(NAME)), i.to_string());
            Expr::Column(column).alias_qualified(relation.clone(), name.clone())
        };
        let plan = LogicalPlanBuilder::scan(TableReference::bare(NAME), source, None)
            .and_then(|scan| scan.project(order.iter().map(column)))
            .and_then(LogicalPlanBuilder::build)
            .map_err(fault::of_datafusion)?;
        let written = Given { name: NAME.to_owned(), plan };
        let from = vec![written.factor()?];
        let mut given = self.given.clone();
        given.push(written);
        plan_selecting(
            reading,
            state,
            Selecting {
                with: self.with.as_ref(),
                given,
                from,
                items: self.items.clone(),
                named: true,
                ..Selecting::default()
            },
        )
    }

    /// Evaluates it over the rows that were written.
    ///
    /// # Errors
    /// Whatever its expressions give.
    pub async fn run(
        &self,
        reading: &Reading,
        state: &Arc<SessionState>,
        rows: Spooled,
    ) -> Result<Returned> {
        let planned = self.plan(reading, state, rows.provider()?)?;
        let columns = planned.columns();
        let mut stream = run::start_in_order(reading, state, planned.plan).await?;
        let mut shown = Spool::new(stream.schema(), &reading.runtime);
        while let Some(batch) = stream.next().await {
            shown.push(batch.map_err(fault::of_datafusion)?)?;
        }
        Ok(Returned { columns, rows: shown.finish() })
    }
}

/// Columns as a batch that is set aside.
///
/// # Errors
/// Internal where their types are not the schema's.
pub fn as_stored(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(fault::of_arrow)
}
