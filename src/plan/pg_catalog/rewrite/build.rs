//! Small pieces of syntax tree, and questions about them.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident,
    ObjectName, OrderByExpr, Query, Select, SelectFlavor, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, TableWithJoins, Value,
};

/// A name's parts, in lower case unless quoted.
pub fn parts(name: &ObjectName) -> Vec<String> {
    let parts = name.0.iter().filter_map(|part| part.as_ident());
    parts
        .map(|ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        })
        .collect()
}

/// A function's name without the schema of the system; None where another schema is named.
pub fn bare(name: &ObjectName) -> Option<String> {
    match <[String; 1]>::try_from(parts(name)) {
        Ok([name]) => Some(name),
        Err(parts) => match parts.as_slice() {
            [schema, name] if schema == "pg_catalog" || schema == "information_schema" => {
                Some(name.clone())
            }
            _ => None,
        },
    }
}

pub fn name(name: &str) -> ObjectName {
    ObjectName::from(Ident::new(name))
}

pub fn value(value: Value) -> Expr {
    Expr::Value(value.into())
}

pub fn number(number: i64) -> Expr {
    value(Value::Number(number.to_string(), false))
}

pub fn arguments(exprs: Vec<Expr>) -> Vec<FunctionArg> {
    exprs.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect()
}

/// `name(…)`.
pub fn call(function: &str, exprs: Vec<Expr>) -> Expr {
    call_with(function, arguments(exprs), Vec::new())
}

/// `name(… ORDER BY …)`.
pub fn call_with(function: &str, args: Vec<FunctionArg>, order: Vec<OrderByExpr>) -> Expr {
    let clauses = match order.is_empty() {
        true => Vec::new(),
        false => vec![FunctionArgumentClause::OrderBy(order)],
    };
    Expr::Function(Function {
        name: name(function),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses,
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub fn select(projection: Vec<SelectItem>, from: Vec<TableFactor>, filter: Option<Expr>) -> Query {
    let from = from.into_iter().map(|relation| TableWithJoins { relation, joins: Vec::new() });
    query(Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: from.collect(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: filter,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    })
}

fn query(select: Select) -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// `(query) AS alias (columns)`.
pub fn derived(subquery: Query, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery: Box::new(subquery), alias, sample: None }
}

pub fn alias(name: &str, columns: &[&str]) -> TableAlias {
    TableAlias {
        explicit: true,
        name: Ident::new(name),
        columns: columns.iter().map(|c| column(Ident::new(*c))).collect(),
        at: None,
    }
}

pub fn column(name: Ident) -> TableAliasColumnDef {
    TableAliasColumnDef { name, data_type: None }
}

/// `CAST(expr AS to)`
pub fn cast(expr: Expr, to: DataType) -> Expr {
    let expr = Box::new(expr);
    Expr::Cast { kind: CastKind::Cast, expr, data_type: to, array: false, format: None }
}

/// `left op right`.
pub fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
