//! PostgreSQL's functions, types and operators that DataFusion lacks.
//!
//! [`install`] adds all of them to a session's state, given the session's [`SessionFacts`]: who asks,
//! from where, and hooks for what changes (settings, time, the catalogue). Functions that DataFusion
//! has are left to it, except the clock's: `now()` is the transaction's start, told by the session.
//!
//! Nothing here parses a statement, reads a clock or touches the store. Start reading at
//! [`row_function`], which says how one is declared.

mod array;
mod at_time_zone;
mod bigint_sum;
mod casts;
mod catalog;
mod chain;
mod changed;
mod clock;
mod date_part;
mod domain;
mod facts;
mod folding;
mod in_range;
mod interval;
mod json;
mod json_build;
mod json_change;
mod justify;
mod long_value;
mod make_time;
mod members;
mod named_cast;
mod number_format;
mod number_picture;
mod numbers;
mod operators;
mod ordered_set;
mod privilege;
mod regexp;
mod round;
mod row_comparison;
mod row_function;
mod sequence;
mod session;
mod similar_to;
mod single_value;
mod size;
mod sleep;
mod text;
mod to_char;
mod to_number;
mod total_order;
mod type_planner;
mod unknown_literal;
mod uuid;
mod versions;
mod width_bucket;

use std::sync::Arc;

use datafusion::error::Result as DataFusionResult;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::functions_aggregate::bool_and_or::bool_and_udaf;
use datafusion::functions_aggregate::variance::var_samp_udaf;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub use casts::{below_clock, is_as_written, type_of};
pub use facts::{SequenceName, SessionFacts, SessionHooks, Times};
pub use folding::while_planning;
pub use named_cast::NAMED_CAST;
pub use numbers::{holding, unscaled};
pub use operators::PostgresOperators;
pub use round::ROUND_EVEN;
pub use similar_to::SIMILAR;
pub use total_order::{is_total_order, total_order};
pub use type_planner::PostgresTypes;
pub use unknown_literal::ALIKE;

/// Adds types and operators to a state in the making. Ours are asked before DataFusion's.
pub fn with_planners(
    mut builder: SessionStateBuilder,
    facts: &SessionFacts,
) -> SessionStateBuilder {
    let ours: Arc<dyn ExprPlanner> = Arc::new(PostgresOperators::new(facts.call_bytes_max));
    builder.expr_planners().get_or_insert_with(Vec::new).insert(0, ours);
    builder.with_type_planner(Arc::new(PostgresTypes))
}

/// Adds every function to a state, in place of DataFusion's of the same name, and casts.
///
/// # Errors
/// None of DataFusion's own registries refuses; a foreign one may.
pub fn install(state: &mut SessionState, facts: &Arc<SessionFacts>) -> DataFusionResult<()> {
    for function in scalar_functions(facts) {
        state.register_udf(Arc::new(function))?;
    }
    state.register_udaf(Arc::new(AggregateUDF::from(single_value::SingleValue::new())))?;
    state.register_udaf(Arc::new(AggregateUDF::from(bigint_sum::BigintSum::new())))?;
    let variance = var_samp_udaf().as_ref().clone().with_aliases(["variance", "var_sample"]);
    state.register_udaf(Arc::new(variance))?;
    let every = bool_and_udaf().as_ref().clone().with_aliases(["every"]);
    state.register_udaf(Arc::new(every))?;
    for function in ordered_set::functions() {
        state.register_udaf(Arc::new(function))?;
    }
    state.register_function_rewrite(Arc::new(members::UnknownMembers::new()))?;
    state.register_function_rewrite(Arc::new(row_comparison::RowsOfNulls))?;
    casts::install(state, facts)?;
    state.add_analyzer_rule(Arc::new(numbers::Numbers::new()));
    Ok(())
}

fn scalar_functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let mut functions = session::functions(facts);
    functions.extend(catalog::functions(facts));
    functions.extend(privilege::functions(facts));
    functions.extend(size::functions(facts));
    functions.extend(clock::functions(facts));
    functions.extend(to_char::functions(facts));
    functions.extend(text::functions(facts));
    functions.extend(date_part::functions());
    functions.extend(justify::functions());
    functions.extend(make_time::functions(facts));
    functions.extend(to_number::functions());
    functions.extend(width_bucket::functions());
    functions.extend(domain::functions());
    functions.extend(array::functions());
    functions.extend(in_range::functions());
    functions.extend(long_value::functions(facts.call_bytes_max));
    functions.extend(sequence::functions(facts));
    functions.push(sleep::function());
    functions.push(named_cast::function());
    functions.push(at_time_zone::function());
    functions.push(round::function());
    functions.extend(similar_to::functions());
    functions.extend(regexp::functions(facts.call_bytes_max));
    functions.extend(json::functions());
    functions.extend(json_build::functions(facts));
    functions.extend(unknown_literal::functions(facts.call_bytes_max));
    functions.extend(uuid::functions());
    functions.extend(versions::functions(facts));
    functions
}
