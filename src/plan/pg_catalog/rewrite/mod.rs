//! PostgreSQL's idioms turned into what DataFusion plans, in a statement's syntax tree.
//!
//! | written | becomes |
//! |---|---|
//! | `pg_catalog.f(…)`, `OPERATOR(pg_catalog.~)`, `COLLATE "C"` | `f(…)`, `~`, nothing |
//! | `FROM pg_class`, `FROM pg_timezone_names()` | `FROM pg_catalog.pg_class`, `… pg_timezone_names` |
//! | `x::regclass`, `x::regclass::text` and kin | a look-up by name or number |
//! | `x::uuid` | `asofdb_uuid(x)` |
//! | `c.tableoid` of a system table | its number |
//! | a sub-select in the place of a value | the same with an aggregate that errs on a second row |
//! | `ARRAY(SELECT …)`, `EXISTS (…)` among the results | the same as aggregates |
//! | `f(…) WITH ORDINALITY`, `generate_subscripts(a, 1)` | `row_number()`, `unnest(…)` |
//! | `(f(x)).field` | `get_field(f(x), 'field')` |
//! | `json_agg(x)`, `json_object_agg(k, v)`, `make_interval(days => 1)` | calls of our own, of `array_agg` |
//! | `t AT TIME ZONE z`, `x SIMILAR TO p`, `round(x::float8)` | calls of our own |
//! | `a JOIN b USING (k) JOIN c …` | `(a JOIN b USING (k)) JOIN c …` |
//! | `FROM a JOIN b USING (k) WHERE …` | `FROM (a JOIN b USING (k) WHERE …)`, in a form of our own |
//! | `FROM (SELECT count(*) …)` | `FROM (SELECT count(*) AS count …)` |
//! | `CASE WHEN t.typtype = 'd' THEN (WITH RECURSIVE …)`, where there is no domain | without that arm |
//! | `VALUES (date '…'), ('…')`, not INSERT's | the text as a value like the one above it |
//! | a sub-select on `pg_sequence` among the results | a left join |
//! | `a OR b OR …`, `… UNION ALL … UNION ALL …` of many | a balanced tree of the same |
//! | a SELECT that joins a system table which is always empty | `… WHERE false` |
//!
//! Every rule keeps the meaning of any statement it matches; none looks at a statement's text. The
//! order of work is one walk over the tree: selects on the way down, expressions on the way up.

mod balance;
mod build;
mod calls;
mod correlation;
mod expressions;
mod from;
mod sequence;
mod series;
mod subqueries;
mod unreachable;
mod using;
mod values;

pub use build::call;
pub use calls::array_of;
pub use expressions::is_named;
pub use from::check_names;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, SelectItem, Statement, TableFactor, VisitMut, VisitorMut,
};

use super::output_names::name_inner;
use super::relation::{Relation, relation};
use crate::error::{Error, Result};
use crate::parse;

/// Rewrites a statement, before it is planned.
///
/// # Errors
/// `NotSupported` for a collation whose order is not that of bytes.
pub fn rewrite(statement: &mut Statement) -> Result<()> {
    walk(statement)
}

/// Rewrites a query, before it is planned.
///
/// # Errors
/// As [`rewrite`].
pub fn rewrite_query(query: &mut Query) -> Result<()> {
    walk(query)
}

fn walk<T: VisitMut>(node: &mut T) -> Result<()> {
    match node.visit(&mut Rewriter::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// What the walk knows on its way.
#[derive(Default)]
struct Rewriter {
    /// Names of common table expressions, which hide system tables. Scopes do not matter: nobody
    /// names one of these `pg_class` and means the table elsewhere in the statement.
    ctes: HashSet<String>,
    /// For each select around us, what its aliases stand for.
    scopes: Vec<HashMap<String, &'static Relation>>,
    /// How many queries are around us.
    depth: usize,
}

impl VisitorMut for Rewriter {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        if let Err(error) = parse::refuse_write(query) {
            return ControlFlow::Break(error);
        }
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.ctes.insert(cte.alias.name.value.to_lowercase());
        }
        from::drop_empty_arm(&mut query.body);
        balance::unions(&mut query.body);
        // INSERT's own VALUES take the types of its columns.
        if self.depth > 1 {
            values::give_types(&mut query.body);
        }
        match values::split_asking(query, self.depth == 1) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        from::functions_to_from(select);
        sequence::to_left_join(select);
        let scope = from::factors(select).filter_map(|factor| self.system_alias(factor)).collect();
        self.scopes.push(scope);
        if self.is_empty(select) {
            subqueries::make_empty(select);
        }
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                subqueries::exists_to_count(expr);
                expressions::sets_to_unnest(expr);
            }
        }
        select.from.iter_mut().for_each(using::nest);
        using::filter_from(select);
        match from::check_aliases(select) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.scopes.pop();
        if self.depth == 1 {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                {
                    expressions::show_name(expr);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match factor {
            TableFactor::Derived { subquery, .. } => name_inner(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => {
                using::nest_inside(table_with_joins)
            }
            _ => {}
        }
        from::rewrite(factor, |name| !self.ctes.contains(name));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        balance::conditions(expr);
        unreachable::drop_arms(expr, |alias| {
            let relation = self.scopes.iter().rev().find_map(|scope| scope.get(alias));
            relation.is_some_and(|relation| relation.name == "pg_type")
        });
        // Before it becomes an aggregate, which has a row of its own.
        if subqueries::inner_select(expr).is_some_and(|select| self.is_empty(select)) {
            subqueries::replace_empty(expr);
        }
        subqueries::rewrite(expr);
        if let Some(oid) = self.table_oid(expr) {
            *expr = build::number(i64::from(oid));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match expressions::rewrite(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Rewriter {
    /// Whether a select can have no rows.
    fn is_empty(&self, select: &Select) -> bool {
        let needs_none = from::required_factors(select).any(|f| self.is_always_empty(f));
        needs_none && !subqueries::is_aggregate(select)
    }

    fn system_alias(&self, factor: &TableFactor) -> Option<(String, &'static Relation)> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            return None;
        };
        let relation = self.system_relation(name)?;
        let alias = alias.as_ref().map_or(relation.name, |alias| alias.name.value.as_str());
        Some((alias.to_lowercase(), relation))
    }

    fn system_relation(&self, name: &ObjectName) -> Option<&'static Relation> {
        match build::parts(name).as_slice() {
            [name] if self.ctes.contains(name) => None,
            [name] => relation("pg_catalog", name),
            [schema, name] | [_, schema, name] => relation(schema, name),
            _ => None,
        }
    }

    fn is_always_empty(&self, factor: &TableFactor) -> bool {
        match factor {
            TableFactor::Table { name, args: None, .. } => self
                .system_relation(name)
                .is_some_and(|r| !super::rows::is_filled(r.schema, r.name)),
            TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => {
                from::empty_function(name).is_some()
            }
            _ => false,
        }
    }

    fn table_oid(&self, expr: &Expr) -> Option<u32> {
        let Expr::CompoundIdentifier(parts) = expr else {
            return None;
        };
        let [.., alias, column] = parts.as_slice() else {
            return None;
        };
        if !column.value.eq_ignore_ascii_case("tableoid") {
            return None;
        }
        let alias = alias.value.to_lowercase();
        self.scopes.iter().rev().find_map(|scope| scope.get(&alias)).map(|r| r.oid)
    }
}
