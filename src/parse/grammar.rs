//! Reading tokens.

use datafusion::sql::sqlparser::ast::Ident;

/// A name as PostgreSQL knows it: lower case unless quoted.
pub fn fold(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}
