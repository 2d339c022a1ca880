//! A WITH query has no versions: `c FOR VERSION AS OF …` beside `WITH c` would be read as the table `c`, past the
//! query of that name.

use std::ops::ControlFlow;
use std::ptr;

use datafusion::sql::sqlparser::ast::{Query, TableFactor, Visit, Visitor};

use super::time_travel::name_parts;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::fold;

/// Refuses a version behind the name of a WITH query.
///
/// # Errors
/// Syntax.
pub(super) fn check(query: &Query) -> Result<()> {
    match query.visit(&mut Names::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The WITH of a query on the way to what is looked at.
struct With {
    /// The names, and where the query of each is.
    queries: Vec<(String, *const Query)>,
    /// How many of them are seen from there.
    seen: usize,
    recursive: bool,
}

#[derive(Default)]
struct Names(Vec<With>);

impl Names {
    /// Where a query stands in the WITH around it.
    fn place(&self, query: &Query) -> Option<usize> {
        let with = self.0.last()?;
        with.queries.iter().position(|(_, other)| ptr::eq(*other, query))
    }
}

impl Visitor for Names {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        if let (Some(place), Some(around)) = (self.place(query), self.0.last_mut()) {
            around.seen = if around.recursive { around.queries.len() } else { place };
        }
        let (queries, recursive) = match &query.with {
            None => (Vec::new(), false),
            Some(with) => {
                let tables = with.cte_tables.iter();
                let named =
                    tables.map(|table| (fold(&table.alias.name), ptr::from_ref(&*table.query)));
                (named.collect(), with.recursive)
            }
        };
        let seen = queries.len();
        self.0.push(With { queries, seen, recursive });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        self.0.pop();
        if let (Some(_), Some(around)) = (self.place(query), self.0.last_mut()) {
            // The body comes behind the last of them.
            around.seen = around.queries.len();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, version: Some(_), .. } = factor else {
            return ControlFlow::Continue(());
        };
        let parts = name_parts(name).unwrap_or_default();
        let [name] = parts.as_slice() else { return ControlFlow::Continue(()) };
        let names = self.0.iter().flat_map(|with| &with.queries[..with.seen]);
        match names.map(|(other, _)| other).any(|other| other == name) {
            true => {
                let message = format!("WITH query \"{name}\" has no versions");
                ControlFlow::Break(Error::new(ErrorKind::Syntax, message).hint(
                    "put the version inside the WITH query, after each table it is for, or give the \
                     query another name",
                ))
            }
            false => ControlFlow::Continue(()),
        }
    }
}
