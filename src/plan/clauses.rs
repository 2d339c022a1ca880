//! Clauses that DataFusion's planner drops without a word: each is put into a form that it plans, or
//! refused. Every field of the trees is named here, so that one that a later parser adds must be
//! thought about.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Fetch, GroupByExpr, LimitClause, LockClause, LockType, Query, Select, TableFactor, Value,
    VisitMut, VisitorMut,
};

use super::windows;
use crate::error::{Error, ErrorKind, Result};

/// Makes a query one whose every clause is planned.
///
/// # Errors
/// NotSupported, naming the clause; Syntax for two limits.
pub fn honour(query: &mut Query) -> Result<()> {
    match query.visit(&mut Clauses) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Clauses;

impl VisitorMut for Clauses {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let checked = fetch_to_limit(query).and_then(|()| check_query(query));
        flow(checked.and_then(|()| windows::of_order(query)))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        flow(check_select(select).and_then(|()| windows::of_select(select)))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        flow(check_factor(factor))
    }
}

fn flow(checked: Result<()>) -> ControlFlow<Error> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

fn refused(clause: &str) -> Error {
    Error::new(ErrorKind::NotSupported, format!("{clause} is not supported"))
}

/// Refuses the first clause that is there.
fn none_of(clauses: &[(bool, &str)]) -> Result<()> {
    match clauses.iter().find(|(there, _)| *there) {
        Some((_, clause)) => Err(refused(clause)),
        None => Ok(()),
    }
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
fn fetch_to_limit(query: &mut Query) -> Result<()> {
    let Some(Fetch { with_ties, percent, quantity }) = query.fetch.take() else { return Ok(()) };
    if with_ties {
        return Err(refused("FETCH FIRST … WITH TIES")
            .hint("ask for rank() OVER (ORDER BY …) <= n around the query"));
    }
    if percent {
        return Err(refused("FETCH FIRST … PERCENT"));
    }
    let one = || Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
    let count = Some(quantity.unwrap_or_else(one));
    query.limit_clause = Some(match query.limit_clause.take() {
        None => LimitClause::LimitOffset { limit: count, offset: None, limit_by: Vec::new() },
        Some(LimitClause::LimitOffset { limit: None, offset, limit_by }) => {
            LimitClause::LimitOffset { limit: count, offset, limit_by }
        }
        Some(_) => {
            return Err(Error::new(ErrorKind::Syntax, "multiple LIMIT clauses not allowed"));
        }
    });
    Ok(())
}

fn check_query(query: &Query) -> Result<()> {
    let Query {
        with: _,
        body: _,
        order_by: _,
        limit_clause: _,
        fetch: _,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators: _,
    } = query;
    if let Some(lock) = locks.first() {
        return Err(lock_refused(lock));
    }
    none_of(&[
        (for_clause.is_some(), "FOR XML and FOR JSON"),
        (settings.is_some(), "SETTINGS"),
        (format_clause.is_some(), "FORMAT"),
    ])
}

/// Nothing here waits, and rows that are only read are not checked for changes at COMMIT.
fn lock_refused(lock: &LockClause) -> Error {
    let clause = match lock.lock_type {
        LockType::Update => "SELECT … FOR UPDATE",
        LockType::Share => "SELECT … FOR SHARE",
    };
    refused(clause).hint(
        "leave it out: a transaction reads one snapshot, and where another changed the rows that it \
         writes it fails with 40001 and can be run again",
    )
}

fn check_select(select: &Select) -> Result<()> {
    let Select {
        select_token: _,
        // A comment to another planner.
        optimizer_hints: _,
        distinct: _,
        select_modifiers,
        top: _,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views: _,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by: _,
        distribute_by: _,
        sort_by: _,
        having: _,
        named_window: _,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    if into.is_some() {
        return Err(refused("SELECT … INTO").hint("CREATE TABLE … AS SELECT …"));
    }
    let modified = match group_by {
        GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => {
            !modifiers.is_empty()
        }
    };
    if modified {
        return Err(refused("GROUP BY … WITH").hint("GROUP BY ROLLUP (…), CUBE (…)"));
    }
    none_of(&[
        (
            select_modifiers.as_ref().is_some_and(|modifiers| modifiers.is_any_set()),
            "this modifier of SELECT",
        ),
        (exclude.is_some(), "EXCLUDE after the select list"),
        (prewhere.is_some(), "PREWHERE"),
        (!connect_by.is_empty(), "CONNECT BY"),
        (value_table_mode.is_some(), "SELECT AS VALUE and AS STRUCT"),
    ])
}

fn check_factor(factor: &TableFactor) -> Result<()> {
    match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args: _,
            with_hints,
            // Planned by `time_travel` and `sample`; WITH ORDINALITY by the rewrites.
            version: _,
            with_ordinality: _,
            partitions,
            json_path,
            sample: _,
            index_hints,
        } => none_of(&[
            (!with_hints.is_empty(), "WITH (hints) after a table"),
            (!partitions.is_empty(), "PARTITION (…) after a table"),
            (json_path.is_some(), "a path after a table"),
            (!index_hints.is_empty(), "an index hint"),
        ]),
        _ => Ok(()),
    }
}
