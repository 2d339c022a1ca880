//! Clauses of aggregates and windows behind functions that are neither, which DataFusion's planner drops without a
//! word: `upper(g) FILTER (WHERE …)`, `upper(DISTINCT g)`.

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArguments, Query, Visit,
    Visitor,
};

use super::pg_catalog::rewrite::array_of;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::fold;

/// Refuses them.
///
/// # Errors
/// WrongObjectType.
pub(super) fn check(query: &Query, state: &SessionState) -> Result<()> {
    match query.visit(&mut Calls(state)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Calls<'s>(&'s SessionState);

impl Visitor for Calls<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let Some(clause) = clause_of(call) else { return ControlFlow::Continue(()) };
        let name = call.name.0.last().and_then(|part| part.as_ident()).map(fold);
        let Some(name) = name else { return ControlFlow::Continue(()) };
        // Such a name is never an aggregate's: the planner asks for scalar functions first.
        if !self.0.scalar_functions().contains_key(&name) && !is_set_returning(&name) {
            return ControlFlow::Continue(());
        }
        let wanted = match clause {
            "OVER" => "a window function nor an aggregate function",
            _ => "an aggregate function",
        };
        let message = format!("{clause} specified, but {name} is not {wanted}");
        ControlFlow::Break(Error::new(ErrorKind::WrongObjectType, message))
    }
}

/// What becomes a part of FROM.
fn is_set_returning(name: &str) -> bool {
    name == "unnest" || array_of(name).is_some()
}

/// The first clause of a call that is for aggregates or windows.
fn clause_of(call: &Function) -> Option<&'static str> {
    let (mut distinct, mut ordered) = (false, false);
    if let FunctionArguments::List(list) = &call.args {
        distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        ordered =
            list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    }
    let clauses = [
        (!call.within_group.is_empty(), "WITHIN GROUP"),
        (distinct, "DISTINCT"),
        (ordered, "ORDER BY"),
        (call.filter.is_some(), "FILTER"),
        (call.over.is_some(), "OVER"),
    ];
    clauses.into_iter().find(|(there, _)| *there).map(|(_, clause)| clause)
}
