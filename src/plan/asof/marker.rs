//! Functions that no query can name: three that mark what a carrier means.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, lit,
};

use crate::exec::asof_join::Comparison;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mark {
    /// The join is an ASOF join; the arguments are the conditions of MATCH_CONDITION.
    Match,
    /// KNOWN AT: the argument is the expression.
    Known,
    /// A comparison of tuples: its symbol, the left elements, the right elements.
    Tuple,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marker {
    mark: Mark,
    signature: Signature,
}

static MATCH: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(marker(Mark::Match)));
static KNOWN: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(marker(Mark::Known)));
static TUPLE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(marker(Mark::Tuple)));

fn marker(mark: Mark) -> ScalarUDF {
    let arities = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    let signature = Signature::one_of(arities, Volatility::Immutable);
    ScalarUDF::new_from_impl(Marker { mark, signature })
}

/// Marks the join whose filter it stands in.
pub(super) fn match_marker(conditions: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&MATCH), conditions))
}

/// The conditions of MATCH_CONDITION, if this is the mark; none where there is no such clause.
pub(super) fn as_match_marker(expr: &Expr) -> Option<&[Expr]> {
    marked(expr, Mark::Match)
}

/// Says what each left row of the join knows.
pub(super) fn known_marker(at: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&KNOWN), vec![at]))
}

/// The expression of KNOWN AT, if this is its mark.
pub(super) fn as_known_marker(expr: &Expr) -> Option<&Expr> {
    marked(expr, Mark::Known)?.first()
}

/// `(lefts) <comparison> (rights)`.
pub(super) fn tuple_marker(comparison: Comparison, lefts: Vec<Expr>, rights: Vec<Expr>) -> Expr {
    let symbol = lit(comparison.symbol());
    let args = std::iter::once(symbol).chain(lefts).chain(rights).collect();
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&TUPLE), args))
}

/// The parts of a tuple comparison: the symbol, the elements of its first and second operand.
pub(super) fn as_tuple_marker(expr: &Expr) -> Option<(Comparison, &[Expr], &[Expr])> {
    let (symbol, elements) = marked(expr, Mark::Tuple)?.split_first()?;
    let comparisons = [
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];
    let comparison = comparisons.into_iter().find(|c| *symbol == lit(c.symbol()))?;
    let (first, second) = elements.split_at(elements.len() / 2);
    Some((comparison, first, second))
}

fn marked(expr: &Expr, mark: Mark) -> Option<&[Expr]> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let marker = call.func.inner().downcast_ref::<Marker>()?;
    (marker.mark == mark).then_some(call.args.as_slice())
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        match self.mark {
            Mark::Match => "asofdb_match",
            Mark::Known => "asofdb_known",
            Mark::Tuple => "asofdb_tuple",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("an asof join was planned as an ordinary join")
    }
}
