//! KNOWN AT: the clause, and the right side's row versions with the periods they were known in.
//!
//! The right side is one table under filters and projections, so what makes it of the table's rows at
//! one time makes it of all its row versions: these take the table's place, and the operator passes
//! over those that a label does not know of.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Spanned, Value};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::coerce::Coercion;
use super::condition::refuse_undecided;
use super::external;
use super::ties::{TieOrder, TieSource, Tied, expose};
use crate::error::{Error, ErrorKind};
use crate::exec::asof_join::{KnownFloor, TIE_PREFIX};
use crate::exec::scan::TableScan;
use crate::spec::Type;
use crate::store::TEMPORARY_NAMESPACE;

/// A table's rows, each with the period it was known in.
#[derive(Clone, Debug)]
pub struct Knowledge {
    /// The rows and what breaks their ties.
    pub ties: TieOrder,
    /// The column that says since when; NULL is never.
    pub from: String,
    /// The column that says until when; without one rows are known for ever.
    pub until: Option<String>,
    /// Where what is kept begins.
    pub floor: Option<KnownFloor>,
}

/// KNOWN AT in the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Hash)]
pub struct KnownExpr {
    /// Over the left input.
    pub at: Expr,
    /// Over the right input.
    pub from: Expr,
    /// Over the right input.
    pub until: Option<Expr>,
    /// Where what is kept begins.
    pub floor: Option<KnownFloor>,
}

/// An error in a clause that begins there, unless it has a place of its own.
pub(super) fn placed(error: Error, span: Span) -> DataFusionError {
    match (error.place(), span.start.line) {
        (None, 1..) => external(error.at_place(span.start.line, span.start.column)),
        _ => external(error),
    }
}

/// The expression of KNOWN AT over the left side, after a look at the right side.
///
/// # Errors
/// InvalidColumnReference for a column of the right side, DatatypeMismatch for what is no time,
/// NotSupported for a right side that has no row versions; all with their place.
pub(super) fn plan_known_at(
    written: SqlExpr,
    left: &LogicalPlan,
    right: &LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<Expr> {
    let span = written.span();
    let placed = |error: Error| placed(error, span);
    let is_text = matches!(&written, SqlExpr::Value(value)
        if matches!(value.value, Value::SingleQuotedString(_)));
    let (left, both) = (left.schema(), left.schema().join(right.schema())?);
    let expr = match context.sql_to_expr(written.clone(), left) {
        Ok(expr) => expr,
        Err(_) if context.sql_to_expr(written, &both).is_ok() => {
            let message = "KNOWN AT must reference only the left input";
            return Err(placed(
                Error::new(ErrorKind::InvalidColumnReference, message)
                    .hint("it says what each left row knew when: KNOWN AT l.ts"),
            ));
        }
        Err(error) => return Err(error),
    };
    refuse_undecided(&expr).map_err(placed)?;
    known_table(right).map_err(placed)?;
    Ok(match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Some(Arc::new(Type::Timestamptz.field("", true)));
            Expr::Placeholder(Placeholder { id, field })
        }
        text if is_text => text,
        expr => {
            check_time(&expr, left).map_err(placed)?;
            expr
        }
    })
}

fn check_time(expr: &Expr, schema: &DFSchema) -> crate::error::Result<()> {
    let mismatch = |message: String| {
        Error::new(ErrorKind::DatatypeMismatch, message)
            .hint("give a timestamptz: KNOWN AT l.ts, or to_timestamp(…) of a number")
    };
    let (_, field) = expr.to_field(schema).map_err(|cause| {
        mismatch("the type of KNOWN AT cannot be told".to_owned()).caused_by(cause)
    })?;
    match field.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Null => Ok(()),
        other => {
            let own = Type::of_field(&field).map_or_else(|| other.to_string(), |t| t.to_string());
            Err(mismatch(format!("KNOWN AT must be a time, not {own}")))
        }
    }
}

/// The table whose rows a right side is made of, one for one.
fn known_table(right: &LogicalPlan) -> crate::error::Result<Arc<dyn TableProvider>> {
    let refused = |message: String| {
        Error::new(ErrorKind::NotSupported, message).hint(
            "KNOWN AT answers from the row versions of one table, perhaps filtered and projected; join \
             or aggregate what it found",
        )
    };
    if right.expressions().iter().any(reads_more) {
        return Err(refused("KNOWN AT over a subquery".to_owned()));
    }
    match right {
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
            known_table(right.inputs()[0])
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source);
            let name = scan.table_name.table();
            let Some(provider) = provider.ok().filter(|p| p.downcast_ref::<TableScan>().is_some())
            else {
                return Err(refused(format!("KNOWN AT over \"{name}\", which is not a table")));
            };
            let table = provider.downcast_ref::<TableScan>().expect("just filtered").table();
            let schema = table.schema();
            match schema.namespace.as_str() {
                TEMPORARY_NAMESPACE if schema.known_time.is_none() => {
                    let message = format!("temporary table \"{}\" has no versions", schema.name);
                    Err(Error::new(ErrorKind::NotSupported, message)
                        .hint("only tables of the database keep their past"))
                }
                _ => Ok(provider),
            }
        }
        LogicalPlan::Limit(_) => Err(refused("KNOWN AT over a LIMIT".to_owned())),
        _ => Err(refused("KNOWN AT over what is not the rows of one table".to_owned())),
    }
}

fn reads_more(expr: &Expr) -> bool {
    let mut found = false;
    let walked = expr.apply(|expr| {
        found |= matches!(
            expr,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
        );
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || walked.is_err()
}

/// The right side over row versions, with their periods.
///
/// # Errors
/// NotSupported for a right side that has no row versions; DatatypeMismatch; those of reading the log.
pub(super) fn with_periods(
    right: &LogicalPlan,
    at: Expr,
    left: &DFSchema,
    time_zone: Arc<str>,
    source: &dyn TieSource,
) -> Result<(Tied, KnownExpr)> {
    let provider = known_table(right).map_err(external)?;
    let Some(knowledge) = source.knowledge(&provider).map_err(external)? else {
        let message = "KNOWN AT over a table without row versions";
        return Err(external(Error::new(ErrorKind::NotSupported, message)));
    };
    let mut order = knowledge.ties.clone();
    let ties = order.columns.len();
    let periods = std::iter::once(&knowledge.from).chain(&knowledge.until);
    let more: Vec<&String> = periods.filter(|name| !order.columns.contains(name)).collect();
    let more: Vec<String> = more.into_iter().cloned().collect();
    order.columns.extend(more);
    let Some((plan, hidden)) = expose(right, &Only(order))? else {
        let message = "a table under filters and projections has no scan";
        return Err(external(Error::new(ErrorKind::Internal, message)));
    };
    let column = |name: &String| {
        let name = format!("{TIE_PREFIX}{name}");
        hidden.iter().find(|column| column.name == name).cloned().map(Expr::Column)
    };
    let lost = || external(Error::new(ErrorKind::Internal, "a column of periods was not exposed"));
    let from = column(&knowledge.from).ok_or_else(lost)?;
    let until = knowledge.until.as_ref().map(|name| column(name).ok_or_else(lost)).transpose()?;
    let coercion = Coercion { left, right: plan.schema(), time_zone: Arc::clone(&time_zone) };
    let at = match at.get_type(left)? {
        // As a literal is read that is compared with a time.
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            cast(at, DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone)))
        }
        _ => at,
    };
    let (at, from) = coercion.times(at, from).map_err(external)?;
    let known = KnownExpr {
        at: as_timestamp(at, left)?,
        from: as_timestamp(from, plan.schema())?,
        until,
        floor: knowledge.floor,
    };
    let ties: Vec<Expr> = hidden.iter().take(ties).cloned().map(Expr::Column).collect();
    Ok((Tied { plan, ties, hidden }, known))
}

/// A date as the midnight it begins with.
fn as_timestamp(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(match expr.get_type(schema)? {
        DataType::Date32 => cast(expr, DataType::Timestamp(TimeUnit::Microsecond, None)),
        _ => expr,
    })
}

/// Whatever the table, this is the order of its ties.
struct Only(TieOrder);

impl Debug for Only {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Only({:?})", self.0.columns)
    }
}

impl TieSource for Only {
    fn tie_order(&self, _provider: &Arc<dyn TableProvider>) -> Option<TieOrder> {
        Some(self.0.clone())
    }
}

impl KnownExpr {
    /// The expressions, in a fixed order.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        [&self.at, &self.from].into_iter().chain(&self.until)
    }

    /// The same with others in their places.
    pub(super) fn with_expressions(&self, mut take: impl FnMut() -> Expr) -> KnownExpr {
        let (at, from) = (take(), take());
        KnownExpr {
            at,
            from,
            until: self.until.as_ref().map(|_| take()),
            floor: self.floor.clone(),
        }
    }

    /// Whether the columns are there.
    pub(super) fn is_over(&self, left: &DFSchema, right: &DFSchema) -> bool {
        let over = |expr: &Expr, schema: &DFSchema| {
            expr.column_refs().into_iter().all(|column: &Column| schema.has_column(column))
        };
        over(&self.at, left)
            && over(&self.from, right)
            && self.until.as_ref().is_none_or(|until| over(until, right))
    }
}
