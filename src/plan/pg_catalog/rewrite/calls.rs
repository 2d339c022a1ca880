//! Calls that DataFusion has no form for: aggregates that make json, functions that return rows, and
//! arguments that may be left out.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, OrderByExpr, OrderByOptions,
};

use super::build;

/// Functions that return rows, and the function whose array has one item for each of them.
const SETS: [(&str, &str); 12] = [
    ("generate_subscripts", "asofdb_subscripts"),
    ("generate_series", "generate_series"),
    ("_pg_expandarray", "_pg_expandarray"),
    ("json_array_elements", "json_array_elements"),
    ("jsonb_array_elements", "jsonb_array_elements"),
    ("json_array_elements_text", "json_array_elements_text"),
    ("jsonb_array_elements_text", "jsonb_array_elements_text"),
    ("json_object_keys", "json_object_keys"),
    ("jsonb_object_keys", "jsonb_object_keys"),
    ("regexp_matches", "regexp_matches"),
    ("regexp_split_to_table", "regexp_split_to_array"),
    ("string_to_table", "string_to_array"),
];

/// The function whose array holds the rows of this one.
pub fn array_of(set: &str) -> Option<&'static str> {
    SETS.iter().find(|(name, _)| *name == set).map(|(_, array)| *array)
}

/// A call in a form that is planned; None where it is as it is.
pub fn planned(function: &Function) -> Option<Expr> {
    match build::bare(&function.name)?.as_str() {
        "json_agg" => json_list(function, "asofdb_json"),
        "jsonb_agg" => json_list(function, "asofdb_jsonb"),
        "json_object_agg" => json_object(function, "asofdb_json_object"),
        "jsonb_object_agg" => json_object(function, "asofdb_jsonb_object"),
        "make_interval" => make_interval(function),
        _ => None,
    }
}

/// `json_agg(x)` is the list of `array_agg(to_json(x))`; of distinct values, which json does not have,
/// that of `array_agg(DISTINCT x)`, in their order as PostgreSQL finds them.
fn json_list(function: &Function, made: &str) -> Option<Expr> {
    let mut gathered = function.clone();
    gathered.name = build::name("array_agg");
    let FunctionArguments::List(list) = &mut gathered.args else { return None };
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = list.args.as_mut_slice() else {
        return None;
    };
    if distinct {
        let ordered = |c: &FunctionArgumentClause| matches!(c, FunctionArgumentClause::OrderBy(_));
        if !list.clauses.iter().any(ordered) {
            let options = OrderByOptions { asc: None, nulls_first: None };
            let by = OrderByExpr { expr: value.clone(), options, with_fill: None };
            list.clauses.push(FunctionArgumentClause::OrderBy(vec![by]));
        }
        return Some(build::call(&format!("{made}_items"), vec![Expr::Function(gathered)]));
    }
    *value = build::call("to_json", vec![std::mem::replace(value, build::number(0))]);
    Some(build::call(&format!("{made}_list"), vec![Expr::Function(gathered)]))
}

/// `json_object_agg(k, v)` is the object of the members that `array_agg` gathers.
fn json_object(function: &Function, made: &str) -> Option<Expr> {
    let mut gathered = function.clone();
    gathered.name = build::name("array_agg");
    let FunctionArguments::List(list) = &mut gathered.args else { return None };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(key)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)),
    ] = list.args.as_slice()
    else {
        return None;
    };
    let member = build::call("asofdb_json_member", vec![key.clone(), value.clone()]);
    list.args = build::arguments(vec![member]);
    Some(build::call(made, vec![Expr::Function(gathered)]))
}

/// All seven arguments in their places, 0 for those that are left out.
fn make_interval(function: &Function) -> Option<Expr> {
    const NAMES: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
    let FunctionArguments::List(list) = &function.args else { return None };
    let mut values = NAMES.map(|_| None);
    for (at, arg) in list.args.iter().enumerate() {
        let (at, value) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (at, value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                (place(&NAMES, name)?, value)
            }
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                ..
            } => (place(&NAMES, name)?, value),
            _ => return None,
        };
        // Twice the same, or more than there are, is for the function itself to refuse.
        values.get(at).filter(|value| value.is_none())?;
        values[at] = Some(value.clone());
    }
    let values = values.map(|value| value.unwrap_or_else(|| build::number(0)));
    Some(build::call("asofdb_make_interval", values.into()))
}

fn place(names: &[&str], name: &Ident) -> Option<usize> {
    names.iter().position(|known| name.value.eq_ignore_ascii_case(known))
}
