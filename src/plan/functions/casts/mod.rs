//! Casts between text and other types, between times with and without a zone, and between days and times,
//! as PostgreSQL does them: they go by the session's settings, and infinity stays.
//!
//! DataFusion leaves a cast to Arrow, which reads fewer texts than PostgreSQL and writes others. So
//! every cast from or to text becomes a call of [`function::SessionCast`], which reads and writes as the wire and
//! COPY do, in the session's time zone and styles. A bare literal takes the type of what it is
//! compared with, as PostgreSQL's untyped literals do, before DataFusion picks a type of its own
//! (for timestamps one of nanoseconds, which holds neither infinity nor the year 2300).
//!
//! Twice on the way to a plan: before DataFusion's type coercion, so that an expression planned
//! alone is covered too, and after it, for the casts that it adds. The name and type of no column
//! change. Integers are written by Arrow, whose text is PostgreSQL's; other casts
//! between two types that are not text are not touched. A cast to varchar(n) or char(n) cuts what is
//! too long; where char(n) is compared, or read as a whole with its padding, see [`padding`].
//!
//! Start reading at [`rule`].

mod beside;
mod function;
mod padding;
mod rule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::error::Result as DataFusionResult;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;

use super::SessionFacts;

pub use beside::{as_doubles, is_as_written, take_type_of};
pub use function::{below_clock, type_of};

/// Adds both rewrites to a state whose analyzer has all rules that add casts.
pub fn install(state: &mut SessionState, facts: &Arc<SessionFacts>) -> DataFusionResult<()> {
    let casts = Arc::new(rule::SessionCasts::new(facts));
    state.register_function_rewrite(Arc::new(beside::ComparedLiterals))?;
    state.register_function_rewrite(Arc::new(padding::Padding::new(facts)))?;
    state.register_function_rewrite(Arc::clone(&casts) as _)?;
    state.add_analyzer_rule(casts);
    Ok(())
}
