//! What stands in FROM: system tables by their bare names, and functions that return rows.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, Ident, JoinOperator, ObjectName,
    ObjectNamePart, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias,
    TableFactor, TableFunctionArgs, TableWithJoins, Value, Values, WindowSpec, WindowType,
    visit_expressions,
};

use super::{build, calls, series};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::fold;
use crate::plan::pg_catalog::relation::relation;

/// Functions that return rows about things we never have, and the columns of those rows.
const EMPTY_FUNCTIONS: [(&str, &[(&str, &str)]); 8] = [
    ("pg_partition_ancestors", &[("relid", "oid")]),
    (
        "pg_partition_tree",
        &[("relid", "oid"), ("parentrelid", "oid"), ("isleaf", "bool"), ("level", "int4")],
    ),
    ("pg_options_to_table", &[("option_name", "text"), ("option_value", "text")]),
    ("pg_listening_channels", &[("pg_listening_channels", "text")]),
    ("pg_get_publication_tables", &[("relid", "oid")]),
    ("pg_logical_slot_peek_changes", &[("lsn", "text"), ("xid", "xid"), ("data", "text")]),
    ("pg_ls_dir", &[("pg_ls_dir", "text")]),
    (
        "aclexplode",
        &[
            ("grantor", "oid"),
            ("grantee", "oid"),
            ("privilege_type", "text"),
            ("is_grantable", "bool"),
        ],
    ),
];

type Columns = &'static [(&'static str, &'static str)];

/// The columns of a function that never returns a row.
pub fn empty_function(name: &ObjectName) -> Option<Columns> {
    let name = build::bare(name)?;
    EMPTY_FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, columns)| *columns)
}

/// Every relation in FROM, those inside parentheses too.
pub fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    all_factors(&select.from)
}

fn all_factors(from: &[TableWithJoins]) -> impl Iterator<Item = &TableFactor> {
    let mut all = Vec::new();
    from.iter().for_each(|from| collect(from, &mut all));
    all.into_iter()
}

fn collect<'a>(from: &'a TableWithJoins, all: &mut Vec<&'a TableFactor>) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => collect(table_with_joins, all),
            factor => all.push(factor),
        }
    }
}

/// # Errors
/// DuplicateAlias where two relations in FROM have one name.
pub fn check_aliases(select: &Select) -> Result<()> {
    check_names(None, &select.from)
}

/// # Errors
/// DuplicateAlias where two relations have one name, or one has the name that is taken.
pub fn check_names(taken: Option<&str>, from: &[TableWithJoins]) -> Result<()> {
    let mut seen: HashSet<String> = taken.into_iter().map(str::to_owned).collect();
    for factor in all_factors(from) {
        let name = match factor {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. } => fold(&alias.name),
            TableFactor::Table { name, args: None, .. } => build::parts(name).join("."),
            _ => continue,
        };
        let shown = name.rsplit('.').next().unwrap_or_default().to_owned();
        if !seen.insert(name) {
            let message = format!("table name \"{shown}\" specified more than once");
            return Err(Error::new(ErrorKind::DuplicateAlias, message)
                .hint("give one of them another name: FROM t JOIN t AS other"));
        }
    }
    Ok(())
}

/// The relations in FROM without a row of which the select has no row.
pub fn required_factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select.from.iter().flat_map(|from| {
        // A full or right join somewhere makes rows out of nothing on its left.
        let keeps_left = from.joins.iter().all(|join| {
            !matches!(
                join.join_operator,
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
            )
        });
        let joined = from.joins.iter().filter(|join| {
            matches!(
                join.join_operator,
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
            )
        });
        let all = std::iter::once(&from.relation).chain(joined.map(|join| &join.relation));
        all.filter(move |_| keeps_left)
    })
}

/// `SELECT f(…)` of a function that returns no rows: `SELECT * FROM f(…)`.
pub fn functions_to_from(select: &mut Select) {
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        select.projection.as_slice()
    else {
        return;
    };
    let Expr::Function(function) = expr else { return };
    let (Some(columns), true) = (empty_function(&function.name), select.from.is_empty()) else {
        return;
    };
    let (first, _) = columns[0];
    let relation = no_rows(columns, None);
    select.from.push(TableWithJoins { relation, joins: Vec::new() });
    select.projection = vec![SelectItem::UnnamedExpr(Expr::Identifier(Ident::new(first)))];
}

/// `SELECT f(…) UNION ALL q` of a function that returns no rows: `q`.
pub fn drop_empty_arm(body: &mut SetExpr) {
    let SetExpr::SetOperation {
        left,
        right,
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
    } = body
    else {
        return;
    };
    let SetExpr::Select(select) = left.as_ref() else { return };
    let [SelectItem::UnnamedExpr(Expr::Function(function))] = select.projection.as_slice() else {
        return;
    };
    if select.from.is_empty() && empty_function(&function.name).is_some() {
        *body = match right.as_ref() {
            SetExpr::Values(values) if values.rows.iter().all(|row| row.len() == 1) => {
                select_values(values.clone())
            }
            other => other.clone(),
        };
    }
}

/// `VALUES (a), (b)` as a select, which may stand behind IN.
fn select_values(values: Values) -> SetExpr {
    let mut query = build::select(Vec::new(), Vec::new(), None);
    query.body = Box::new(SetExpr::Values(values));
    let column = SelectItem::UnnamedExpr(Expr::Identifier(Ident::new("value")));
    let rows = build::derived(query, Some(build::alias("rows", &["value"])));
    *build::select(vec![column], vec![rows], None).body
}

/// Rewrites one relation. `may_be_system` says whether a bare name can mean a system table.
pub fn rewrite(factor: &mut TableFactor, may_be_system: impl Fn(&str) -> bool) {
    match factor {
        TableFactor::Table { name, args: None, .. } => match build::parts(name).as_slice() {
            [bare] if may_be_system(bare) && relation("pg_catalog", bare).is_some() => {
                name.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
            }
            [_, schema, _] if schema == "pg_catalog" || schema == "information_schema" => {
                name.0.remove(0);
            }
            _ => {}
        },
        // A version or a sample of a function's rows is for others to refuse, not for us to drop.
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            with_ordinality,
            version: None,
            sample: None,
            ..
        } => {
            let args = std::mem::take(&mut args.args);
            *factor = function(name.clone(), args, alias.take(), *with_ordinality);
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            let args = std::mem::take(args);
            *factor = function(name.clone(), args, alias.take(), *with_ordinality);
        }
        TableFactor::UNNEST { array_exprs, alias, with_offset: false, with_ordinality, .. } => {
            let arrays = std::mem::take(array_exprs);
            *factor = unnest(arrays, alias.take(), *with_ordinality);
        }
        _ => {}
    }
}

fn function(
    name: ObjectName,
    args: Vec<FunctionArg>,
    alias: Option<TableAlias>,
    ordinality: bool,
) -> TableFactor {
    if let Some(columns) = empty_function(&name) {
        return no_rows(columns, alias);
    }
    let Some(bare) = build::bare(&name) else {
        return call(name, args, alias);
    };
    if args.is_empty() && relation("pg_catalog", &bare).is_some() {
        return relation_of(&bare, alias);
    }
    if bare == "unnest" {
        let arrays = args.into_iter().filter_map(expression).collect();
        return unnest(arrays, alias, ordinality);
    }
    let array = calls::array_of(&bare).filter(|_| !bare.starts_with("generate_"));
    if let Some(array) = array.filter(|_| bare != "_pg_expandarray") {
        let mut alias = alias.unwrap_or_else(|| build::alias(&bare, &[]));
        if alias.columns.is_empty() && bare.contains("_elements") {
            alias.columns.push(build::column(Ident::new("value")));
        }
        let args = args.into_iter().filter_map(expression).collect();
        return unnest(vec![build::call(array, args)], Some(alias), ordinality);
    }
    if bare == "generate_series" {
        let mut bounds: Vec<Expr> = args.iter().cloned().filter_map(expression).collect();
        if series::give_types(&mut bounds) || bounds.iter().any(names_column) {
            let alias = alias.unwrap_or_else(|| build::alias(&bare, &[]));
            return unnest(vec![build::call(&bare, bounds)], Some(alias), ordinality);
        }
    }
    let alias = match bare.as_str() {
        "generate_series" => Some(column_named_as_table(alias, &bare, ordinality)),
        _ => alias,
    };
    match ordinality {
        true => numbered(call(build::name(&bare), args, None), alias),
        false => call(build::name(&bare), args, alias),
    }
}

fn expression(arg: FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

fn call(name: ObjectName, args: Vec<FunctionArg>, alias: Option<TableAlias>) -> TableFactor {
    table(name, alias, Some(TableFunctionArgs { args, settings: None }))
}

fn relation_of(bare: &str, alias: Option<TableAlias>) -> TableFactor {
    let name = ObjectName::from(vec![Ident::new("pg_catalog"), Ident::new(bare)]);
    table(name, alias, None)
}

fn table(
    name: ObjectName,
    alias: Option<TableAlias>,
    args: Option<TableFunctionArgs>,
) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn unnest(arrays: Vec<Expr>, alias: Option<TableAlias>, ordinality: bool) -> TableFactor {
    let alias = match arrays.len() {
        1 => Some(column_named_as_table(alias, "unnest", ordinality)),
        _ => alias,
    };
    if !ordinality && arrays.iter().any(names_column) {
        return items_of(arrays, alias);
    }
    let of = |alias| TableFactor::UNNEST {
        alias,
        array_exprs: arrays,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    };
    match ordinality {
        true => numbered(of(None), alias),
        false => of(alias),
    }
}

/// Whether the expression names a column, which in FROM can only be one of a relation further left, or has a
/// sub-select: its value is not known while the statement is planned.
pub fn names_column(expr: &Expr) -> bool {
    let named = visit_expressions(expr, |expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    named.is_break()
}

/// `LATERAL (SELECT unnest(a), unnest(b))`
fn items_of(arrays: Vec<Expr>, alias: Option<TableAlias>) -> TableFactor {
    let items = arrays.into_iter().enumerate().map(|(i, array)| SelectItem::ExprWithAlias {
        expr: build::call("unnest", vec![array]),
        alias: Ident::new(format!("item {i}")),
    });
    let subquery = Box::new(build::select(items.collect(), Vec::new(), None));
    TableFactor::Derived { lateral: true, subquery, alias, sample: None }
}

/// `f(…) AS s` is `f(…) AS s(s)` where f returns one column.
fn column_named_as_table(
    alias: Option<TableAlias>,
    function: &str,
    ordinality: bool,
) -> TableAlias {
    let mut alias = alias.unwrap_or_else(|| build::alias(function, &[]));
    if alias.columns.is_empty() {
        alias.columns.push(build::column(alias.name.clone()));
    }
    if ordinality && alias.columns.len() == 1 {
        alias.columns.push(build::column(Ident::new("ordinality")));
    }
    alias
}

/// WITH ORDINALITY: the rows with their number, counted from 1 in the order they come.
fn numbered(factor: TableFactor, alias: Option<TableAlias>) -> TableFactor {
    let mut row_number = build::call("row_number", Vec::new());
    if let Expr::Function(function) = &mut row_number {
        function.over = Some(WindowType::WindowSpec(WindowSpec {
            window_name: None,
            partition_by: Vec::new(),
            order_by: Vec::new(),
            window_frame: None,
        }));
    }
    let projection = vec![
        SelectItem::Wildcard(Default::default()),
        SelectItem::ExprWithAlias { expr: row_number, alias: Ident::new("ordinality") },
    ];
    build::derived(build::select(projection, vec![factor], None), alias)
}

/// A relation of these columns without rows.
fn no_rows(columns: Columns, alias: Option<TableAlias>) -> TableFactor {
    // A function of one column names it as its table is named.
    let renamed = match (&alias, columns) {
        (Some(alias), [_]) if alias.columns.is_empty() => Some(alias.name.clone()),
        _ => None,
    };
    let projection = columns.iter().map(|(column, typname)| SelectItem::ExprWithAlias {
        expr: Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(build::value(Value::Null)),
            data_type: DataType::Custom(build::name(typname), Vec::new()),
            array: false,
            format: None,
        },
        alias: renamed.clone().unwrap_or_else(|| Ident::new(*column)),
    });
    let query =
        build::select(projection.collect(), Vec::new(), Some(build::value(Value::Boolean(false))));
    build::derived(query, Some(alias.unwrap_or_else(|| build::alias("no_rows", &[]))))
}
