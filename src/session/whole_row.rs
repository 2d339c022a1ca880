//! The name of a table where a value is wanted: a whole row, which PostgreSQL has as a value.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{TableFactor, Visitor};

use super::locate::visit;
use crate::error::{Error, ErrorKind};
use crate::parse::{Parsed, fold};

/// The error of a column that does not exist, or of a function of rows, said for what was meant.
pub(super) fn explained(error: Error, parsed: &Parsed) -> Error {
    match error.kind() {
        ErrorKind::UndefinedFunction if error.message().starts_with("function row_to_json ") => {
            error.hint("json_build_object('a', t.a, 'b', t.b) makes an object of columns")
        }
        ErrorKind::UndefinedColumn => {
            let quoted = error.message().split('"').nth(1).unwrap_or_default();
            let whole = format!("column \"{quoted}\" does not exist") == error.message();
            if !whole || !visit(&parsed.statement, &mut Named(quoted)).is_break() {
                return error;
            }
            let message = format!("the whole row of \"{quoted}\" as a value");
            let position = error.position();
            let said = Error::new(ErrorKind::NotSupported, message).hint(format!(
                "{quoted}.* lists its columns, json_build_object('a', {quoted}.a) makes one value of \
                 them, count(*) counts rows"
            ));
            match position {
                Some(position) => said.at(position),
                None => said,
            }
        }
        _ => error,
    }
}

/// Looks for a table that is called so in FROM.
struct Named<'a>(&'a str);

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let alias = match factor {
            TableFactor::Table { name, alias, .. } => match alias {
                Some(alias) => Some(&alias.name),
                None => name.0.last().and_then(|part| part.as_ident()),
            },
            TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| &alias.name),
            _ => None,
        };
        match alias.is_some_and(|alias| fold(alias) == self.0) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
