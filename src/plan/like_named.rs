//! Calls and groups that differ in a cast alone. DataFusion names an expression without its casts, so `sum(a)`
//! and `sum(a::float8)` would be two columns of one name, which it refuses. Where that happens the casts
//! of the SELECT become calls of [`NAMED_CAST`], which is named by what it casts to and is gone once names
//! are settled.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, OrderBy, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
};

use super::functions::NAMED_CAST;
use super::pg_catalog::rewrite::call;
use crate::parse::fold;

/// Makes the names of such expressions differ, in all SELECTs of a query.
pub(super) fn tell_apart(query: &mut Query, state: &SessionState) {
    // Nothing in it stops the walk.
    let _: ControlFlow<()> = query.visit(&mut Queries(state));
}

struct Queries<'s>(&'s SessionState);

impl VisitorMut for Queries<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        body(&mut query.body, query.order_by.as_mut(), self.0);
        ControlFlow::Continue(())
    }
}

fn body(of: &mut SetExpr, order_by: Option<&mut OrderBy>, state: &SessionState) {
    match of {
        SetExpr::Select(select) => {
            let mut parts = Parts { select, order_by };
            if parts.has_casts() && parts.are_alike(state) {
                let _: ControlFlow<()> = parts.visit(&mut Naming { depth: 0 });
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            body(left, None, state);
            body(right, None, state);
        }
        _ => {}
    }
}

/// What a SELECT computes from its rows.
struct Parts<'q> {
    select: &'q mut Select,
    order_by: Option<&'q mut OrderBy>,
}

impl Parts<'_> {
    fn visit<V: VisitorMut>(&mut self, visitor: &mut V) -> ControlFlow<V::Break> {
        self.select.projection.visit(visitor)?;
        self.select.group_by.visit(visitor)?;
        self.select.having.visit(visitor)?;
        self.select.qualify.visit(visitor)?;
        self.order_by.as_deref_mut().map_or(ControlFlow::Continue(()), |by| by.visit(visitor))
    }

    fn has_casts(&mut self) -> bool {
        self.visit(&mut AnyCast).is_break()
    }

    fn are_alike(&mut self, state: &SessionState) -> bool {
        let mut alike = Alike { state, depth: 0, said: HashMap::new() };
        let groups = match &self.select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(groups, _) => {
                let found = groups.iter().any(|group| alike.add(group).is_break());
                if found {
                    return true;
                }
                !groups.is_empty()
            }
        };
        // GROUP BY may name results, and count them.
        let found = self.select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } if groups => {
                alike.add(expr).is_break()
            }
            _ => false,
        });
        found || self.visit(&mut alike).is_break()
    }
}

struct AnyCast;

impl VisitorMut for AnyCast {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Looks for aggregates, windows and groups that are alike without their casts.
struct Alike<'s> {
    state: &'s SessionState,
    /// How many sub-selects are around.
    depth: usize,
    /// The text of each without its casts, and with them.
    said: HashMap<String, String>,
}

impl Alike<'_> {
    fn add(&mut self, expr: &Expr) -> ControlFlow<()> {
        let mut bare = expr.clone();
        let _: ControlFlow<()> = bare.visit(&mut Bare);
        let (bare, whole) = (bare.to_string().to_lowercase(), expr.to_string());
        match self.said.get(&bare) {
            Some(other) if *other != whole => ControlFlow::Break(()),
            Some(_) => ControlFlow::Continue(()),
            None => {
                self.said.insert(bare, whole);
                ControlFlow::Continue(())
            }
        }
    }
}

impl VisitorMut for Alike<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = &*expr else { return ControlFlow::Continue(()) };
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold);
        let aggregates = |name: String| self.state.aggregate_functions().contains_key(&name);
        match self.depth == 0 && (function.over.is_some() || name.is_some_and(aggregates)) {
            true => self.add(expr),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Takes away casts, and what tables columns are said to be of.
struct Bare;

impl VisitorMut for Bare {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { expr: inner, .. } | Expr::Nested(inner) => {
                *expr = std::mem::replace(&mut **inner, Expr::Tuple(Vec::new()));
            }
            Expr::CompoundIdentifier(parts) => {
                if let Some(last) = parts.pop() {
                    *expr = Expr::Identifier(last);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Naming {
    /// How many sub-selects are around.
    depth: usize,
}

impl VisitorMut for Naming {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0 && matches!(expr, Expr::Cast { .. }) {
            let cast = std::mem::replace(expr, Expr::Tuple(Vec::new()));
            *expr = call(NAMED_CAST, vec![cast]);
        }
        ControlFlow::Continue(())
    }
}
