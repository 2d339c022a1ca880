//! Windows made of others: `OVER w`, `OVER (w …)`, `WINDOW u AS (w …)`. DataFusion's planner takes a specification
//! without what the window that it names says, so each is written out before it is planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, VisitMut, VisitorMut,
    WindowSpec, WindowType,
};

use crate::error::{Error, ErrorKind, Result};
use crate::parse::fold;

/// Writes out the windows that ORDER BY of a query names.
///
/// # Errors
/// As [`of_select`].
pub(super) fn of_order(query: &mut Query) -> Result<()> {
    let (SetExpr::Select(select), Some(order_by)) = (query.body.as_mut(), &mut query.order_by)
    else {
        return Ok(());
    };
    let known = definitions(select)?;
    flow(order_by.visit(&mut Calls { known: &known, depth: 0 }))
}

/// Writes out the windows of a SELECT, not those of its sub-selects.
///
/// # Errors
/// UndefinedObject for a name that no window has; Windowing where a window and the one it is made of
/// contradict each other.
pub(super) fn of_select(select: &mut Select) -> Result<()> {
    let known = definitions(select)?;
    flow(select.visit(&mut Calls { known: &known, depth: 0 }))
}

fn flow(flow: ControlFlow<Error>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

type Known = Vec<(String, WindowSpec)>;

/// The windows that WINDOW defines: each may be made of those before it.
fn definitions(select: &mut Select) -> Result<Known> {
    let mut known = Known::new();
    for NamedWindowDefinition(name, definition) in &mut select.named_window {
        let name = fold(name);
        if known.iter().any(|(other, _)| *other == name) {
            return Err(refused(format!("window \"{name}\" is already defined")));
        }
        let NamedWindowExpr::WindowSpec(spec) = definition else {
            let message = format!("the definition of window \"{name}\" is not in parentheses");
            return Err(Error::new(ErrorKind::Syntax, message));
        };
        complete(spec, &known)?;
        known.push((name, spec.clone()));
    }
    Ok(known)
}

fn find<'k>(known: &'k Known, name: &str) -> Result<&'k WindowSpec> {
    let found = known.iter().find(|(other, _)| other == name);
    found.map(|(_, spec)| spec).ok_or_else(|| {
        Error::new(ErrorKind::UndefinedObject, format!("window \"{name}\" does not exist"))
    })
}

/// Adds what the window says that the specification begins with.
fn complete(spec: &mut WindowSpec, known: &Known) -> Result<()> {
    let Some(name) = spec.window_name.as_ref().map(fold) else { return Ok(()) };
    let base = find(known, &name)?;
    if !spec.partition_by.is_empty() {
        return Err(refused(format!("cannot override PARTITION BY clause of window \"{name}\"")));
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return Err(refused(format!("cannot override ORDER BY clause of window \"{name}\"")));
    }
    if base.window_frame.is_some() {
        let message = format!("cannot copy window \"{name}\" because it has a frame clause");
        return Err(refused(message).hint("OVER without parentheses takes the frame as well"));
    }
    spec.window_name = None;
    spec.partition_by.clone_from(&base.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    Ok(())
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Windowing, message)
}

/// The calls of window functions that belong to one SELECT.
struct Calls<'k> {
    known: &'k Known,
    /// How many sub-selects are around.
    depth: usize,
}

impl VisitorMut for Calls<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let completed = match &mut function.over {
            None => Ok(()),
            Some(WindowType::WindowSpec(spec)) => complete(spec, self.known),
            Some(WindowType::NamedWindow(name)) => find(self.known, &fold(name)).map(|spec| {
                function.over = Some(WindowType::WindowSpec(spec.clone()));
            }),
        };
        match completed {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
