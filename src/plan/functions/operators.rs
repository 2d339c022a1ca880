//! Operators that PostgreSQL plans and DataFusion does not.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::functions_nested as nested;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::{
    Expr, ExprSchemable, GetFieldAccess, Operator, ScalarUDF, binary_expr, cast, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::casts::{as_doubles, take_type_of};
use super::chain::{is_chain, type_of};
use super::interval::{IntervalAsTime, ScaleInterval, Scaling, as_time};
use super::json;
use super::long_value::TEXT_CONCAT;
use super::numbers::{beside_numeric, chained, exact, unscaled};
use super::row_comparison;
use super::unknown_literal;
use crate::plan::pg_catalog::PG_TYPE_KEY;
use crate::plan::pg_catalog::array_text;
use crate::plan::thread::check;
use crate::spec::Type;

/// `'{1,2}'` beside an array, literals compared with what has a type, subscripts of the vectors that
/// count from 0, functions compared by number, and intervals times numbers.
#[derive(Debug)]
pub struct PostgresOperators {
    function_oid: Arc<ScalarUDF>,
    interval_multiply: Arc<ScalarUDF>,
    interval_divide: Arc<ScalarUDF>,
    text_concat: Arc<ScalarUDF>,
    make_array: Arc<ScalarUDF>,
    interval_as_time: Arc<ScalarUDF>,
}

impl PostgresOperators {
    /// One call of an operator makes at most so many bytes for all rows of a batch.
    pub fn new(call_bytes_max: u64) -> Self {
        let scale = |how| Arc::new(ScalarUDF::new_from_impl(ScaleInterval::new(how)));
        PostgresOperators {
            function_oid: Arc::new(super::catalog::function_oid()),
            interval_multiply: scale(Scaling::Multiply),
            interval_divide: scale(Scaling::Divide),
            interval_as_time: Arc::new(ScalarUDF::new_from_impl(IntervalAsTime::new())),
            text_concat: Arc::new(super::long_value::text_concat(call_bytes_max)),
            make_array: Arc::new(unknown_literal::make_array(call_bytes_max)),
        }
    }

    /// A function stored by name, where a number is what it is compared with.
    fn by_number(&self, expr: &mut Expr, other: &Expr, schema: &DFSchema) {
        let Some(of) = field_of(expr, schema) else { return };
        let is_number = type_of(other, schema).is_ok_and(|of| of.is_integer());
        if pg_type(&of) == Some("regproc") && is_number {
            *expr = self.function_oid.call(vec![expr.clone()]);
        }
    }

    /// An interval times or over a number; None for anything else.
    fn scaled_interval(&self, expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let (left, right) = (type_of(&expr.left, schema).ok()?, type_of(&expr.right, schema).ok()?);
        let is_span = |of: &DataType| matches!(of, DataType::Interval(_));
        let (function, span, number) = match expr.op {
            BinaryOperator::Multiply if is_span(&left) && right.is_numeric() => {
                (&self.interval_multiply, &expr.left, &expr.right)
            }
            BinaryOperator::Multiply if left.is_numeric() && is_span(&right) => {
                (&self.interval_multiply, &expr.right, &expr.left)
            }
            BinaryOperator::Divide if is_span(&left) && right.is_numeric() => {
                (&self.interval_divide, &expr.left, &expr.right)
            }
            _ => return None,
        };
        Some(function.call(vec![span.clone(), cast(number.clone(), DataType::Float64)]))
    }
}

impl PostgresOperators {
    /// An interval that is compared.
    fn compared(&self, expr: Expr, schema: &DFSchema) -> Expr {
        match (&expr, type_of(&expr, schema)) {
            (Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), metadata), _) => {
                let time = ScalarValue::IntervalMonthDayNano(Some(as_time(*span)));
                Expr::Literal(time, metadata.clone())
            }
            (_, Ok(DataType::Interval(_))) => self.interval_as_time.call(vec![expr]),
            _ => expr,
        }
    }

    /// Text and what is not text, one after the other; None for arrays, bytes and what has no type yet.
    fn texts(&self, expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
        if expr.op != BinaryOperator::StringConcat {
            return None;
        }
        let (left, right) = (type_of(&expr.left, schema).ok()?, type_of(&expr.right, schema).ok()?);
        let fits = is_plain(&left) && is_plain(&right) && (left.is_string() || right.is_string());
        if !fits {
            return None;
        }
        let text = |of: &DataType, expr: &Expr| match of.is_string() {
            true => expr.clone(),
            false => cast(expr.clone(), DataType::Utf8View),
        };
        Some(self.text_concat.call(vec![text(&left, &expr.left), text(&right, &expr.right)]))
    }

    /// Rows that are compared; None for anything else.
    fn rows(&self, expr: &RawBinaryExpr, schema: &DFSchema) -> DataFusionResult<Option<Expr>> {
        let Some(pairs) = row_comparison::elements(&expr.left, &expr.right) else {
            return Ok(None);
        };
        row_comparison::compared(&expr.op, pairs, |op, left, right| {
            Ok(match self.plan_binary_op(RawBinaryExpr { op, left, right }, schema)? {
                PlannerResult::Planned(planned) => planned,
                PlannerResult::Original(RawBinaryExpr { op, left, right }) => {
                    let op = match op {
                        BinaryOperator::Eq => Operator::Eq,
                        BinaryOperator::NotEq => Operator::NotEq,
                        BinaryOperator::Lt => Operator::Lt,
                        BinaryOperator::LtEq => Operator::LtEq,
                        BinaryOperator::Gt => Operator::Gt,
                        _ => Operator::GtEq,
                    };
                    binary_expr(left, op, right)
                }
            })
        })
    }

    /// A chain of texts with one more.
    fn longer(expr: RawBinaryExpr, schema: &DFSchema) -> PlannerResult<RawBinaryExpr> {
        let RawBinaryExpr { op, left, right } = expr;
        let (mut chain, of) = match (left, type_of(&right, schema)) {
            (Expr::ScalarFunction(chain), Ok(of))
                if op == BinaryOperator::StringConcat
                    && chain.func.name() == TEXT_CONCAT
                    && is_plain(&of) =>
            {
                (chain, of)
            }
            (left, _) => return PlannerResult::Original(RawBinaryExpr { op, left, right }),
        };
        chain.args.push(match of.is_string() {
            true => right,
            false => cast(right, DataType::Utf8View),
        });
        PlannerResult::Planned(Expr::ScalarFunction(chain))
    }
}

impl ExprPlanner for PostgresOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DataFusionResult<PlannerResult<RawBinaryExpr>> {
        check()?;
        if matches!(expr.op, BinaryOperator::And | BinaryOperator::Or) {
            return Ok(PlannerResult::Original(expr));
        }
        if let Some(rows) = self.rows(&expr, schema)? {
            return Ok(PlannerResult::Planned(rows));
        }
        let mut expr = match Self::longer(expr, schema) {
            PlannerResult::Original(expr) => expr,
            longer => return Ok(longer),
        };
        if let Some(scaled) = self.scaled_interval(&expr, schema) {
            return Ok(PlannerResult::Planned(scaled));
        }
        if let Some(found) = map_operator(&expr, schema) {
            return Ok(PlannerResult::Planned(found));
        }
        if let Some(found) = json_operator(&expr, schema) {
            return Ok(PlannerResult::Planned(found));
        }
        if let Some(texts) = self.texts(&expr, schema) {
            return Ok(PlannerResult::Planned(texts));
        }
        if let Some(number) = exact(&expr.left, &expr.op, &expr.right) {
            return Ok(PlannerResult::Planned(number));
        }
        expr.right = beside(&expr.left, expr.right, schema);
        expr.left = beside(&expr.right, expr.left, schema);
        if matches!(expr.op, BinaryOperator::Plus | BinaryOperator::Minus) {
            (expr.left, expr.right) = days_as_times(&expr.op, expr.left, expr.right, schema);
        }
        if is_arithmetic(&expr.op) {
            (expr.left, expr.right) = reckoned(&expr.op, expr.left, expr.right, schema);
            match chained(&expr.op, expr.left, expr.right, schema) {
                PlannerResult::Planned(chain) => return Ok(PlannerResult::Planned(chain)),
                PlannerResult::Original((left, right)) => (expr.left, expr.right) = (left, right),
            }
        }
        if is_comparison(&expr.op) {
            take_type_of(&mut expr.right, &expr.left, schema);
            take_type_of(&mut expr.left, &expr.right, schema);
            as_doubles(&mut [&mut expr.left, &mut expr.right], schema);
            (expr.left, expr.right) = days_beside_times(expr.left, expr.right, schema);
            expr.left = self.compared(expr.left, schema);
            expr.right = self.compared(expr.right, schema);
        }
        self.by_number(&mut expr.left, &expr.right, schema);
        self.by_number(&mut expr.right, &expr.left, schema);
        Ok(PlannerResult::Original(expr))
    }

    fn plan_field_access(
        &self,
        mut expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> DataFusionResult<PlannerResult<RawFieldAccessExpr>> {
        let of = expr.expr.to_field(schema)?.1;
        let from_zero = matches!(pg_type(&of), Some("int2vector" | "oidvector"));
        if let (true, GetFieldAccess::ListIndex { key }) = (from_zero, &mut expr.field_access) {
            **key = key.as_ref().clone() + lit(1i64);
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_array_literal(
        &self,
        elements: Vec<Expr>,
        _: &DFSchema,
    ) -> DataFusionResult<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(self.make_array.call(elements)))
    }
}

/// `->` and `->>` of a map, as of hstore: the value of a key, NULL where it is not there.
fn map_operator(expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
    let is_arrow = matches!(expr.op, BinaryOperator::Arrow | BinaryOperator::LongArrow);
    let of = type_of(&expr.left, schema).ok().filter(|_| is_arrow)?;
    if !matches!(of, DataType::Map(..)) {
        return None;
    }
    let values =
        nested::map_extract::map_extract_udf().call(vec![expr.left.clone(), expr.right.clone()]);
    let first = Expr::Literal(ScalarValue::Int64(Some(1)), None);
    Some(nested::extract::array_element_udf().call(vec![values, first]))
}

/// An operator of json; None where neither side is json.
fn json_operator(expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
    let is_json = |side: &Expr| field_of(side, schema).is_some_and(|of| json::is_json(&of));
    if !is_json(&expr.left) && !is_json(&expr.right) {
        return None;
    }
    let symbol = expr.op.to_string();
    let is_jsonb = |side: &Expr| {
        field_of(side, schema).and_then(|of| Type::of_field(&of)) == Some(Type::Jsonb)
    };
    if json::is_change(&symbol) && !is_jsonb(&expr.left) && !is_jsonb(&expr.right) {
        return None;
    }
    let function = json::operator(&symbol)?;
    Some(function.call(vec![expr.left.clone(), expr.right.clone()]))
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

/// A day that is compared with a time is the midnight it begins with, in the time's own unit: DataFusion
/// compares them by the nanosecond, which no infinity has, nor the year 2300.
fn days_beside_times(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    match (type_of(&left, schema), type_of(&right, schema)) {
        (Ok(DataType::Date32), Ok(time @ DataType::Timestamp(..))) => (cast(left, time), right),
        (Ok(time @ DataType::Timestamp(..)), Ok(DataType::Date32)) => {
            let right = cast(right, time);
            (left, right)
        }
        _ => (left, right),
    }
}

/// A day to which a span is added is the midnight it begins with: the result has a time.
fn days_as_times(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    let is = |expr: &Expr, of: fn(&DataType) -> bool| type_of(expr, schema).is_ok_and(|t| of(&t));
    let is_day = |expr: &Expr| is(expr, |of| *of == DataType::Date32);
    let is_span = |expr: &Expr| is(expr, |of| matches!(of, DataType::Interval(_)));
    let midnight = |day: Expr| cast(day, DataType::Timestamp(TimeUnit::Microsecond, None));
    match () {
        () if is_day(&left) && is_span(&right) => (midnight(left), right),
        () if *op == BinaryOperator::Plus && is_span(&left) && is_day(&right) => {
            (left, midnight(right))
        }
        () => (left, right),
    }
}

/// A quoted text beside a number is a number; added to a time it is a span, taken from one a time.
fn reckoned(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    let typed = |text: Expr, other: &Expr| {
        let is_text =
            matches!(&text, Expr::Literal(value, _) if value.try_as_str().flatten().is_some());
        let Ok(of) = type_of(other, schema) else { return text };
        match of {
            DataType::Timestamp(..) if is_text && *op == BinaryOperator::Plus => {
                cast(text, DataType::Interval(IntervalUnit::MonthDayNano))
            }
            of if is_text && (of.is_numeric() || of.is_temporal()) => {
                let number = match &text {
                    Expr::Literal(value, _) => {
                        value.try_as_str().flatten().and_then(|text| beside_numeric(text, &of))
                    }
                    _ => None,
                };
                number.map_or_else(|| cast(text, of), lit)
            }
            _ => text,
        }
    };
    let right = typed(right, &left);
    (typed(left, &right), right)
}

fn is_plain(of: &DataType) -> bool {
    of.is_string() || of.is_numeric() || of.is_temporal()
}

/// An operand's type and what more is known of it. The result of an operator says nothing more than
/// its type, and its own field would be named by all that is in it: a chain of operators would be spelled
/// out for each of its links. None where a name that USING made one is not resolved yet.
fn field_of(expr: &Expr, schema: &DFSchema) -> Option<FieldRef> {
    match expr {
        Expr::ScalarFunction(call) if is_chain(call) => {
            Some(Arc::new(Field::new("", type_of(expr, schema).ok()?, true)))
        }
        Expr::BinaryExpr(_) => Some(Arc::new(Field::new("", type_of(expr, schema).ok()?, true))),
        expr => expr.to_field(schema).ok().map(|(_, field)| field),
    }
}

fn pg_type(field: &Field) -> Option<&str> {
    field.metadata().get(PG_TYPE_KEY).map(String::as_str)
}

/// A literal as the expression beside it needs it.
fn beside(other: &Expr, literal: Expr, schema: &DFSchema) -> Expr {
    let Expr::Literal(value, _) = &literal else {
        return literal;
    };
    let Some(of) = field_of(other, schema) else {
        return literal;
    };
    match (of.data_type(), value.try_as_str().flatten()) {
        (DataType::List(item), Some(text)) => {
            match array_literal(text, &unscaled(item.data_type())) {
                Some(list) => Expr::Literal(list, None),
                None => literal,
            }
        }
        _ => literal,
    }
}

/// `{a,"b c",NULL}` as an array of one dimension; None for what is not, or has an item that is not
/// of the type.
fn array_literal(text: &str, item: &DataType) -> Option<ScalarValue> {
    let items: Option<Vec<ScalarValue>> = array_text::split(text)?
        .into_iter()
        .map(|text| match text {
            None => ScalarValue::try_from(item).ok(),
            Some(text) => ScalarValue::try_from_string(text, item).ok(),
        })
        .collect();
    Some(ScalarValue::List(ScalarValue::new_list(&items?, item, true)))
}
