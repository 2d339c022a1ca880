//! One type for both sides of a comparison, never a narrower one.
//!
//! Instants of unlike units stay as they are: the operator compares them exactly, where a cast
//! would overflow or round. Floats get one zero and one NaN.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, try_cast};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::functions::total_order;
use crate::spec::Type;

/// What the types of both sides depend on.
pub(super) struct Coercion<'a> {
    pub(super) left: &'a DFSchema,
    pub(super) right: &'a DFSchema,
    /// The session's, in which a time without zone is read when compared to one with.
    pub(super) time_zone: Arc<str>,
}

#[derive(PartialEq)]
enum Family {
    Number,
    Instant,
    Text,
    Other,
}

impl Coercion<'_> {
    /// Both sides of the match. Instants may differ in unit.
    ///
    /// # Errors
    /// DatatypeMismatch for types that have no order in common.
    pub(super) fn times(&self, left: Expr, right: Expr) -> Result<(Expr, Expr)> {
        let (left, right) = (self.plain(left, self.left)?, self.plain(right, self.right)?);
        let (l, r) = (self.left_type(&left)?, self.right_type(&right)?);
        check(&left, &l, &right, &r)?;
        if family(&l) == Family::Instant && family(&r) == Family::Instant {
            return Ok((self.zoned(left, &l, &r), self.zoned(right, &r, &l)));
        }
        self.common(left, right)
    }

    /// Both sides of a key, of one type.
    ///
    /// # Errors
    /// DatatypeMismatch for types that have no equality in common.
    pub(super) fn keys(&self, left: Expr, right: Expr) -> Result<(Expr, Expr)> {
        let (left, right) = self.times(left, right)?;
        let (l, r) = (self.left_type(&left)?, self.right_type(&right)?);
        if l == r {
            return Ok((left, right));
        }
        // What the finer unit cannot say equals nothing of that unit: NULL is right for it.
        let finest = finer(&l, &r);
        Ok((try_cast(left, finest.clone()), try_cast(right, finest)))
    }

    fn common(&self, left: Expr, right: Expr) -> Result<(Expr, Expr)> {
        let (l, r) = (self.left_type(&left)?, self.right_type(&right)?);
        // As in PostgreSQL: no numeric is NaN, or as large as a float may be.
        let common = match l.is_decimal() && r.is_floating() || l.is_floating() && r.is_decimal() {
            true => Some(DataType::Float64),
            false => comparison_coercion(&l, &r),
        };
        let Some(common) = common else {
            return Err(mismatch(&left, &l, &right, &r));
        };
        let side = |expr: Expr, own: &DataType| {
            let expr = if *own == common { expr } else { cast(expr, common.clone()) };
            if common.is_floating() { total_order(expr) } else { expr }
        };
        Ok((side(left, &l), side(right, &r)))
    }

    /// Dictionaries as their values, days in milliseconds as times.
    fn plain(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        Ok(match data_type(&expr, schema)? {
            DataType::Dictionary(_, values) => cast(expr, *values),
            DataType::Date64 => cast(expr, DataType::Timestamp(TimeUnit::Millisecond, None)),
            _ => expr,
        })
    }

    /// A time without zone, or a date, as an instant, if the other side has a zone; a time in one
    /// zone in the other side's zone.
    fn zoned(&self, expr: Expr, own: &DataType, other: &DataType) -> Expr {
        let DataType::Timestamp(_, Some(zone)) = other else { return expr };
        let in_zone = |expr: Expr, unit: TimeUnit, zone: &Arc<str>| {
            cast(expr, DataType::Timestamp(unit, Some(Arc::clone(zone))))
        };
        match own {
            DataType::Timestamp(unit, None) => {
                in_zone(in_zone(expr, *unit, &self.time_zone), *unit, zone)
            }
            DataType::Timestamp(unit, Some(own)) if own > zone => in_zone(expr, *unit, zone),
            DataType::Timestamp(..) => expr,
            _ => {
                let unit = TimeUnit::Microsecond;
                let midnight = cast(expr, DataType::Timestamp(unit, None));
                in_zone(in_zone(midnight, unit, &self.time_zone), unit, zone)
            }
        }
    }

    pub(super) fn left_type(&self, expr: &Expr) -> Result<DataType> {
        data_type(expr, self.left)
    }

    pub(super) fn right_type(&self, expr: &Expr) -> Result<DataType> {
        data_type(expr, self.right)
    }
}

fn data_type(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    expr.get_type(schema).map_err(|cause| {
        let message = format!("the type of {expr} in an ASOF JOIN condition cannot be told");
        Error::new(ErrorKind::DatatypeMismatch, message).caused_by(cause)
    })
}

fn family(data_type: &DataType) -> Family {
    match data_type {
        DataType::Date32 | DataType::Timestamp(..) => Family::Instant,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        number if number.is_numeric() => Family::Number,
        _ => Family::Other,
    }
}

fn check(left: &Expr, l: &DataType, right: &Expr, r: &DataType) -> Result<()> {
    if family(l) == family(r) || l.is_null() || r.is_null() {
        return Ok(());
    }
    Err(mismatch(left, l, right, r))
}

fn mismatch(left: &Expr, l: &DataType, right: &Expr, r: &DataType) -> Error {
    let name =
        |of: &DataType| Type::of_storage(of).map_or_else(|| of.to_string(), |of| of.to_string());
    let (of_left, of_right) = (name(l), name(r));
    let message = format!(
        "ASOF JOIN cannot compare {left} of type {of_left} with {right} of type {of_right}"
    );
    let hint = match (family(l), family(r)) {
        (Family::Number, Family::Instant) | (Family::Instant, Family::Number) => {
            "convert the number with to_timestamp(…), or the time with extract(epoch from …)"
        }
        _ => "cast one of them to the type of the other",
    };
    let error = Error::new(ErrorKind::DatatypeMismatch, message).hint(hint);
    let columns = left.column_refs();
    match columns.iter().find_map(|column| column.spans().first()) {
        Some(span) => error.at_place(span.start.line, span.start.column),
        None => error,
    }
}

fn finer(l: &DataType, r: &DataType) -> DataType {
    let rank = |data_type: &DataType| match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => 1,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 2,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 3,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 4,
        _ => 0,
    };
    if rank(l) >= rank(r) { l.clone() } else { r.clone() }
}
