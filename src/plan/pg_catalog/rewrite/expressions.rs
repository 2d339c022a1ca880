//! Expressions, each by itself: qualified functions and operators, collations, casts to names.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Interval, ObjectName, Value,
};

use super::from::names_column;
use super::{build, calls, series};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::functions::{ROUND_EVEN, SIMILAR};
use crate::plan::pg_catalog::output_names::is_call;

/// The types whose values are shown by name. Casts to them call `asofdb_<type>` and, to show the
/// name, `asofdb_<type>_name`.
const REG_TYPES: [&str; 5] = ["regclass", "regtype", "regnamespace", "regrole", "regproc"];

/// `INTERVAL '1 day 02:03:04'`.
fn names_hours(interval: &Interval) -> bool {
    let is_plain = interval.leading_field.is_none() && interval.last_field.is_none();
    let Expr::Value(value) = interval.value.as_ref() else { return false };
    is_plain && matches!(&value.value, Value::SingleQuotedString(text) if text.contains(':'))
}

/// Rewrites an expression whose parts are rewritten.
pub fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Function(function) => {
            if let Some(said) = call(function) {
                *expr = said;
            }
        }
        Expr::Value(value) => check_number(&value.value)?,
        // A cast reads what PostgreSQL writes; the engine's literal knows words of units only.
        Expr::Interval(interval) if names_hours(interval) => {
            let to = DataType::Interval { fields: None, precision: None };
            *expr = build::cast(take(&mut interval.value), to);
        }
        // DataFusion forgets the rows around a sub-select where it plans the elements of an array.
        Expr::Array(array) if array.elem.iter().any(names_column) => {
            *expr = build::call("make_array", std::mem::take(&mut array.elem));
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = build::call("timezone", vec![take(time_zone), take(timestamp)]);
        }
        Expr::SimilarTo { negated, expr: text, pattern, escape_char } => {
            let escape = escape_char.take().map(Expr::Value);
            let pattern = [take(pattern)].into_iter().chain(escape).collect();
            let op = match negated {
                true => BinaryOperator::PGRegexNotMatch,
                false => BinaryOperator::PGRegexMatch,
            };
            *expr = build::binary(take(text), op, build::call(SIMILAR, pattern));
        }
        Expr::BinaryOp { op, .. } => {
            if let Some(plain) = operator(op) {
                *op = plain;
            }
        }
        Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => {
            if let Some(plain) = operator(compare_op) {
                *compare_op = plain;
            }
        }
        Expr::Collate { expr: inner, collation } => {
            check_collation(collation)?;
            *expr = take(inner);
        }
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, ..
        } => {
            if let Some(rewritten) = cast(inner, data_type) {
                *expr = rewritten;
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } if matches!(**root, Expr::Nested(_)) => {
            if let Some(field) = field_of(root, access_chain) {
                *expr = field;
            }
        }
        Expr::Identifier(ident) if is_call(ident) => {
            *expr = build::call(&ident.value.to_lowercase(), Vec::new());
        }
        _ => {}
    }
    Ok(())
}

/// A call by the engine's name; another expression where no call of its says the same.
fn call(function: &mut Function) -> Option<Expr> {
    if let Some(bare) = unqualified(&function.name) {
        function.name = build::name(&bare);
    }
    if let Some(planned) = calls::planned(function) {
        return Some(planned);
    }
    if let Some(to) = counts(function) {
        return Some(build::cast(Expr::Function(function.clone()), to));
    }
    let remainder = remainder(function);
    if remainder.is_none() && rounds_a_float(function) {
        function.name = build::name(ROUND_EVEN);
    }
    remainder
}

/// # Errors
/// OutOfRange for a number that no double holds.
fn check_number(value: &Value) -> Result<()> {
    match value {
        Value::Number(digits, _) if digits.parse().is_ok_and(f64::is_infinite) => {
            let message = format!("\"{digits}\" is out of range for type double precision");
            Err(Error::new(ErrorKind::OutOfRange, message))
        }
        _ => Ok(()),
    }
}

/// The type of what counts rows; DataFusion counts without a sign, for which PostgreSQL has no type.
fn counts(function: &Function) -> Option<DataType> {
    match build::bare(&function.name)?.as_str() {
        "row_number" | "rank" | "dense_rank" if function.over.is_some() => {
            Some(DataType::BigInt(None))
        }
        "ntile" if function.over.is_some() => Some(DataType::Integer(None)),
        "regr_count" | "approx_distinct" => Some(DataType::BigInt(None)),
        _ => None,
    }
}

/// `mod(a, b)`, which is `a % b`.
fn remainder(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match (build::bare(&function.name)?.as_str(), list.args.as_slice()) {
        (
            "mod",
            [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(left)),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(right)),
            ],
        ) => {
            let nested = |side: &Expr| Expr::Nested(Box::new(side.clone()));
            Some(build::binary(nested(left), BinaryOperator::Modulo, nested(right)))
        }
        _ => None,
    }
}

/// `round(x)` of a column or a cast to a float. What is written as a number, and what avg() makes of
/// whole numbers, is a numeric in PostgreSQL, which rounds halves away from zero.
fn rounds_a_float(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))] = list.args.as_slice() else {
        return false;
    };
    build::bare(&function.name).as_deref() == Some("round") && is_surely_float(arg)
}

fn is_surely_float(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => is_surely_float(inner),
        Expr::Cast { data_type, .. } => {
            matches!(
                data_type,
                DataType::Float(_)
                    | DataType::Real
                    | DataType::Float4
                    | DataType::Float8
                    | DataType::Double(_)
                    | DataType::DoublePrecision
            ) || matches!(last(data_type).as_deref(), Some("float8" | "float4"))
        }
        _ => false,
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, build::number(0))
}

fn unqualified(name: &ObjectName) -> Option<String> {
    if name.0.len() < 2 { None } else { build::bare(name) }
}

/// `OPERATOR(pg_catalog.~)` as `~`.
fn operator(op: &BinaryOperator) -> Option<BinaryOperator> {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else {
        return None;
    };
    let symbol = match parts.as_slice() {
        [symbol] => symbol,
        [schema, symbol] if schema.eq_ignore_ascii_case("pg_catalog") => symbol,
        _ => return None,
    };
    Some(match symbol.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "@>" => BinaryOperator::AtArrow,
        "<@" => BinaryOperator::ArrowAt,
        _ => return None,
    })
}

/// Text compares by bytes here, which is what these collations mean.
fn check_collation(collation: &ObjectName) -> Result<()> {
    const BYTES: [&str; 5] = ["default", "c", "posix", "ucs_basic", "c.utf8"];
    let parts = build::parts(collation);
    let name = parts.last().map_or("", String::as_str);
    match BYTES.contains(&name.to_lowercase().as_str()) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::NotSupported,
            format!("collation \"{name}\" is not supported"),
        )
        .hint("text is compared by bytes, as COLLATE \"C\" does")),
    }
}

fn cast(inner: &mut Expr, data_type: &DataType) -> Option<Expr> {
    if let Some(reg) = reg_type(data_type) {
        // A call tells a parameter no type.
        let named = match is_placeholder(inner) {
            true => build::cast(take(inner), DataType::Text),
            false => take(inner),
        };
        return Some(build::call(&format!("asofdb_{reg}"), vec![named]));
    }
    let is_uuid = matches!(data_type, DataType::Uuid) || last(data_type).as_deref() == Some("uuid");
    if is_uuid && !is_placeholder(inner) {
        return Some(build::call("asofdb_uuid", vec![take(inner)]));
    }
    if matches!(data_type, DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_)) {
        exact_number(inner);
        return None;
    }
    let shown = matches!(data_type, DataType::Text | DataType::Varchar(_))
        || matches!(last(data_type).as_deref(), Some("text" | "varchar" | "name"));
    if shown && show_name(inner) {
        return Some(take(inner));
    }
    None
}

/// A number that is cast to numeric keeps all its digits: as a literal it would be a double first.
fn exact_number(expr: &mut Expr) {
    if let Expr::Value(value) = expr
        && let Value::Number(digits, _) = &value.value
    {
        value.value = Value::SingleQuotedString(digits.clone());
    }
}

/// A cast tells a parameter its type, which a call would not.
fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// `(x).field`.
fn field_of(root: &Expr, access: &[AccessExpr]) -> Option<Expr> {
    let [AccessExpr::Dot(Expr::Identifier(field))] = access else {
        return None;
    };
    let field = build::value(Value::SingleQuotedString(field.value.clone()));
    Some(build::call("get_field", vec![root.clone(), field]))
}

/// Whether values of a type are the names of objects: `regclass` and its kin.
pub fn is_named(data_type: &DataType) -> bool {
    reg_type(data_type).is_some()
}

fn reg_type(data_type: &DataType) -> Option<&'static str> {
    let name = match data_type {
        DataType::Regclass => "regclass".to_owned(),
        other => last(other)?,
    };
    match name.as_str() {
        "regprocedure" => Some("regproc"),
        name => REG_TYPES.into_iter().find(|known| *known == name),
    }
}

fn last(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Custom(name, _) => build::parts(name).pop(),
        _ => None,
    }
}

/// `asofdb_regclass(x)` as `asofdb_regclass_name(x)`; whether it was one. Among the results of a
/// statement, a number cast to a name is shown as the name.
pub fn show_name(expr: &mut Expr) -> bool {
    let Expr::Function(function) = expr else {
        return false;
    };
    let name = build::parts(&function.name).pop().unwrap_or_default();
    let is_reg = name.strip_prefix("asofdb_").is_some_and(|reg| REG_TYPES.contains(&reg));
    if is_reg {
        function.name = build::name(&format!("{name}_name"));
    }
    is_reg
}

/// Functions that return rows, among the results of a select: `unnest` of the array they make.
pub fn sets_to_unnest(expr: &mut Expr) {
    let function = match expr {
        Expr::Function(function) => function,
        Expr::CompoundFieldAccess { root: inner, .. } | Expr::Nested(inner) => {
            return sets_to_unnest(inner);
        }
        _ => return,
    };
    let Some(array) = build::bare(&function.name).and_then(|name| calls::array_of(&name)) else {
        return;
    };
    let FunctionArguments::List(list) = &mut function.args else { return };
    if function.over.is_some() {
        return;
    }
    if array == "generate_series" {
        let bounds = list.args.iter().filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(bound)) => Some(bound.clone()),
            _ => None,
        });
        let mut bounds: Vec<Expr> = bounds.collect();
        if series::give_types(&mut bounds) {
            list.args = build::arguments(bounds);
        }
    }
    let call = Function { name: build::name(array), ..function.clone() };
    *expr = build::call("unnest", vec![Expr::Function(call)]);
}
