//! Where in a statement an error is: at the place that the planner tells, else at the first name in
//! the tree that the message is about.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AssignmentTarget, Expr, Ident, ObjectName, Spanned, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use super::whole_row::explained;
use crate::error::{Error, ErrorKind};
use crate::parse::{CopyTarget, Parsed, Statement, fold};

/// The error with its position, where it can be told, and in words of the statement.
pub(super) fn located(error: Error, parsed: &Parsed) -> Error {
    explained(placed(error, parsed), parsed)
}

fn placed(error: Error, parsed: &Parsed) -> Error {
    if error.position().is_some() {
        return error;
    }
    let told = error.place().map(|(line, column)| Location { line, column });
    let named = || name_in(&error).and_then(|name| find(&parsed.statement, error.kind(), &name));
    match told.or_else(named).and_then(|place| parsed.position(place)) {
        Some(position) => error.at(position),
        None => error,
    }
}

/// The last part of the name that a message quotes first.
fn name_in(error: &Error) -> Option<String> {
    let kinds = [
        ErrorKind::UndefinedTable,
        ErrorKind::UndefinedColumn,
        ErrorKind::AmbiguousColumn,
        ErrorKind::DuplicateColumn,
        ErrorKind::UndefinedFunction,
    ];
    if !kinds.contains(&error.kind()) {
        return None;
    }
    let message = error.message();
    let name = match message.strip_prefix("function ") {
        Some(rest) => rest.split([' ', '(']).next()?,
        None => message.split('"').nth(1)?,
    };
    name.rsplit('.').next().map(|name| name.trim_matches('"').to_owned())
}

fn find(statement: &Statement, kind: ErrorKind, name: &str) -> Option<Location> {
    let mut finder = Finder { kind, name };
    let found = match statement {
        Statement::Explain(explain) => return find(&explain.statement, kind, name),
        Statement::Copy(copy) => match &copy.target {
            CopyTarget::Query(_) => visit(statement, &mut finder),
            CopyTarget::Table { table, .. } => finder.pre_visit_relation(&table.name),
        },
        Statement::Insert(insert) => {
            let columns = insert.insert.columns.iter();
            match finder.columns(columns) {
                ControlFlow::Continue(()) => visit(statement, &mut finder),
                found => found,
            }
        }
        Statement::Update(update) => {
            let targets = update.update.assignments.iter().filter_map(|a| match &a.target {
                AssignmentTarget::ColumnName(name) => Some(name),
                AssignmentTarget::Tuple(_) => None,
            });
            match finder.columns(targets) {
                ControlFlow::Continue(()) => visit(statement, &mut finder),
                found => found,
            }
        }
        Statement::Drop(drop) => {
            drop.names.iter().try_for_each(|target| finder.pre_visit_relation(&target.name))
        }
        _ => visit(statement, &mut finder),
    };
    found.break_value().map(|span| span.start).filter(|start| start.line > 0)
}

/// Visits the tree of a statement that reads, or changes rows.
pub(super) fn visit<V: Visitor>(statement: &Statement, visitor: &mut V) -> ControlFlow<V::Break> {
    match statement {
        Statement::Query(query) => query.visit(visitor),
        Statement::Declare(declare) => declare.query.visit(visitor),
        Statement::Explain(explain) => visit(&explain.statement, visitor),
        Statement::Copy(copy) => match &copy.target {
            CopyTarget::Query(query) => query.visit(visitor),
            CopyTarget::Table { .. } => ControlFlow::Continue(()),
        },
        Statement::Insert(insert) => insert.insert.visit(visitor),
        Statement::Update(update) => update.update.visit(visitor),
        Statement::Delete(delete) => delete.delete.visit(visitor),
        _ => ControlFlow::Continue(()),
    }
}

struct Finder<'a> {
    kind: ErrorKind,
    name: &'a str,
}

impl Finder<'_> {
    fn is_named(&self, ident: Option<&Ident>) -> bool {
        ident.is_some_and(|ident| fold(ident) == self.name)
    }

    fn object(&self, name: &ObjectName) -> ControlFlow<Span> {
        match self.is_named(name.0.last().and_then(|part| part.as_ident())) {
            true => ControlFlow::Break(name.span()),
            false => ControlFlow::Continue(()),
        }
    }

    fn columns<'n>(&self, mut names: impl Iterator<Item = &'n ObjectName>) -> ControlFlow<Span> {
        match self.kind {
            ErrorKind::UndefinedColumn | ErrorKind::DuplicateColumn => {
                names.try_for_each(|name| self.object(name))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Visitor for Finder<'_> {
    type Break = Span;

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Span> {
        match self.kind {
            ErrorKind::UndefinedTable => self.object(relation),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Span> {
        let column = matches!(self.kind, ErrorKind::UndefinedColumn | ErrorKind::AmbiguousColumn);
        match expr {
            Expr::Identifier(ident) if column && self.is_named(Some(ident)) => {
                ControlFlow::Break(ident.span)
            }
            Expr::CompoundIdentifier(parts) if column && self.is_named(parts.last()) => {
                ControlFlow::Break(parts.first().map_or(Span::empty(), |first| first.span))
            }
            Expr::Function(function) if self.kind == ErrorKind::UndefinedFunction => {
                self.object(&function.name)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
