//! Quoting and formatting text: `quote_ident`, `quote_literal`, `format`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use super::SessionFacts;
use super::casts::type_of;
use super::row_function::{Row, RowFunction, check_length};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::pg_catalog::cell::Cell;
use crate::plan::pg_catalog::name::{name_parts, quote_ident};
use crate::spec::text::TextOptions;

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let all = [
        RowFunction::new("quote_ident", &["t"], "text", |row| {
            Ok(row.text(0).map(quote_ident).into())
        }),
        RowFunction::new("quote_literal", &["t"], "text", |row| {
            Ok(row.text(0).map(quote_literal).into())
        }),
        RowFunction::new("quote_nullable", &["t"], "text", |row| {
            Ok(row.text(0).map_or("NULL".to_owned(), quote_literal).into())
        })
        .with_nulls(),
        RowFunction::new("parse_ident", &["t", "tb"], "_text", |row| {
            name_parts(row.text(0).unwrap_or_default()).map(Cell::Texts)
        }),
        RowFunction::new("pg_typeof", &["a"], "text", |row| {
            let of = type_of(row.field(0));
            let of = of.or_else(|| crate::spec::Type::of_storage(row.data_type(0)));
            Ok(of.map_or("unknown".to_owned(), |of| without_modifier(&of)).into())
        })
        .with_nulls(),
    ];
    let facts = Arc::clone(facts);
    let body = move |row: &Row<'_>| format(row, &facts.text_options());
    let format = RowFunction::new("format", &["ta*"], "text", body).with_nulls();
    let all = all.into_iter().map(RowFunction::immutable);
    all.chain([format]).map(ScalarUDF::from).collect()
}

fn without_modifier(of: &crate::spec::Type) -> String {
    let oid = crate::plan::pg_catalog::types::oid_of(of);
    crate::plan::pg_catalog::types::format_type(oid, None)
}

/// A literal that reads back as `text`: quotes doubled, and `E'…'` where there are backslashes.
fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// `format('%s is %I', …)`: `%s`, `%I`, `%L`, `%%`, with a position (`%2$s`), a width and `-`.
fn format(row: &Row<'_>, options: &TextOptions) -> Result<Cell> {
    let Some(template) = row.text(0) else {
        return Ok(Cell::Null);
    };
    let mut out = Pieces::default();
    let mut next = 1;
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c.to_string().into())?;
            continue;
        }
        let mut directive = String::new();
        while let Some(c) = chars.next_if(|c| c.is_ascii_digit() || matches!(c, '$' | '-' | '*')) {
            directive.push(c);
        }
        let kind = chars.next().ok_or_else(|| invalid("unterminated format() type specifier"))?;
        if kind == '%' {
            out.push("%".into())?;
            continue;
        }
        let (position, width) = match directive.split_once('$') {
            Some((position, width)) => (position.parse().ok(), width),
            None => (None, directive.as_str()),
        };
        let width = match width.strip_suffix('*') {
            Some(sign) => {
                next += 1;
                let width = argument(row, next - 1, 's', options)?;
                format!("{sign}{width}")
            }
            None => width.to_owned(),
        };
        let index = position.unwrap_or(next);
        next = index + 1;
        pad(&mut out, argument(row, index, kind, options)?, &width)?;
    }
    Ok(out.pieces.concat().into())
}

/// What a text will be made of: it is not made where it would be too long.
#[derive(Default)]
struct Pieces<'r> {
    pieces: Vec<Cow<'r, str>>,
    bytes: usize,
}

impl<'r> Pieces<'r> {
    fn push(&mut self, piece: Cow<'r, str>) -> Result<()> {
        self.bytes = self.bytes.saturating_add(piece.len());
        check_length(self.bytes)?;
        self.pieces.push(piece);
        Ok(())
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, message)
}

/// Texts may be long: `%s` does not copy them.
fn argument<'r>(
    row: &'r Row<'_>,
    index: usize,
    kind: char,
    options: &TextOptions,
) -> Result<Cow<'r, str>> {
    if index == 0 || index >= row.len() {
        return Err(invalid("too few arguments for format()"));
    }
    let value = match (row.data_type(index), row.written(index)) {
        (DataType::Null, _) => None,
        (_, Some(text)) => Some(Cow::Borrowed(text)),
        (_, None) => row.shown(index, options)?.map(Cow::Owned),
    };
    Ok(match (kind, value) {
        ('s', Some(value)) => return Ok(value),
        ('s', None) => String::new(),
        ('I', Some(value)) => quote_ident(&value),
        ('I', None) => return Err(invalid("null values cannot be formatted as an SQL identifier")),
        ('L', Some(value)) => quote_literal(&value),
        ('L', None) => "NULL".to_owned(),
        (other, _) => {
            return Err(invalid(&format!("unrecognized format() type specifier \"{other}\"")));
        }
    }
    .into())
}

fn pad<'r>(out: &mut Pieces<'r>, value: Cow<'r, str>, width: &str) -> Result<()> {
    let left = width.starts_with('-');
    let width = width.trim_start_matches('-').parse().unwrap_or(0);
    let missing = usize::saturating_sub(width, value.chars().count());
    check_length(missing)?;
    let spaces = Cow::Owned(" ".repeat(missing));
    let (first, second) = if left { (value, spaces) } else { (spaces, value) };
    out.push(first)?;
    out.push(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_quoted_where_needed() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b"), "E'a\\\\b'");
    }
}
