//! DataFusion's and Arrow's errors as ours: by variant, never by their text, except where a variant
//! stands for several kinds. Used by every room that runs plans or reads batches.

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::error::{Error, ErrorKind};

mod words;

/// DataFusion's error as ours. One of ours that travelled inside comes out as it went in.
pub fn of_datafusion(error: DataFusionError) -> Error {
    let error = match error {
        DataFusionError::External(inner) => return of_external(inner),
        DataFusionError::Context(_, inner) => return of_datafusion(*inner),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let error = of_datafusion(*inner);
            return match diagnostic.span {
                Some(span) if error.position().is_none() => {
                    error.at_place(span.start.line, span.start.column)
                }
                _ => error,
            };
        }
        DataFusionError::Collection(errors) => {
            return errors.into_iter().next().map_or_else(
                || Error::new(ErrorKind::Internal, "an empty collection of errors"),
                of_datafusion,
            );
        }
        DataFusionError::ArrowError(inner, _) => return of_arrow(*inner),
        DataFusionError::Shared(inner) => return of_shared(&inner),
        other => other,
    };
    plain(&error)
}

/// Arrow's error as ours.
pub fn of_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => of_external(inner),
        other => plain_arrow(&other),
    }
}

fn of_external(inner: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let inner = match inner.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<DataFusionError>() {
        Ok(datafusion) => return of_datafusion(*datafusion),
        Err(inner) => inner,
    };
    match inner.downcast::<ArrowError>() {
        Ok(arrow) => of_arrow(*arrow),
        Err(other) if other.to_string().contains("regex parse error") => {
            words::of_running(ErrorKind::InvalidRegex, &other.to_string())
        }
        Err(other) => words::internal(&other.to_string()).caused_by(other),
    }
}

/// Shared by several streams: what is ours cannot be taken out, so it is copied.
fn of_shared(error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.without_cause(),
            None => words::internal(&inner.to_string()),
        },
        DataFusionError::ArrowError(inner, _) => plain_arrow(inner),
        root => plain(root),
    }
}

fn plain(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::SQL(inner, _) => Error::new(ErrorKind::Syntax, inner.to_string()),
        DataFusionError::NotImplemented(text) => Error::new(ErrorKind::NotSupported, text),
        DataFusionError::SchemaError(inner, _) => of_schema(inner),
        DataFusionError::ResourcesExhausted(text) => Error::new(ErrorKind::OutOfMemory, text)
            .hint("ask for less at once, or start the server with a larger --memory"),
        DataFusionError::IoError(inner) => Error::new(ErrorKind::Io, inner.to_string()),
        DataFusionError::Plan(text) => words::of_plan(text),
        DataFusionError::Configuration(text) | DataFusionError::Execution(text) => {
            words::of_running(ErrorKind::InvalidValue, text)
        }
        other => words::internal(&other.to_string()),
    }
}

fn of_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::AmbiguousReference { field } => Error::new(
            ErrorKind::AmbiguousColumn,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::FieldNotFound { field, valid_fields } => {
            let missing = Error::new(
                ErrorKind::UndefinedColumn,
                format!("column \"{}\" does not exist", field.flat_name()),
            );
            let close = valid_fields.iter().find(|f| f.name.eq_ignore_ascii_case(&field.name));
            match close {
                Some(close) => missing.hint(format!("there is a column \"{}\"", close.name)),
                None => missing,
            }
        }
        SchemaError::DuplicateQualifiedField { .. }
        | SchemaError::DuplicateUnqualifiedField { .. } => {
            Error::new(ErrorKind::DuplicateColumn, error.to_string())
        }
    }
}

fn plain_arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::DivideByZero => Error::new(ErrorKind::DivisionByZero, "division by zero"),
        ArrowError::ArithmeticOverflow(text) => words::of_overflow(text),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => {
            words::of_running(ErrorKind::InvalidText, text)
        }
        ArrowError::ComputeError(text) | ArrowError::InvalidArgumentError(text) => {
            words::of_running(ErrorKind::InvalidValue, text)
        }
        ArrowError::NotYetImplemented(text) => Error::new(ErrorKind::NotSupported, text),
        ArrowError::MemoryError(text) => Error::new(ErrorKind::OutOfMemory, text),
        ArrowError::IoError(text, _) => Error::new(ErrorKind::Io, text),
        other => words::internal(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn ours_comes_out_of_every_wrapping() {
        let ours =
            || Error::new(ErrorKind::ReadOnly, "tag \"v1\" is read-only").hint("use a branch");
        let external = || DataFusionError::External(Box::new(ours()));
        for wrapped in [
            external(),
            external().context("while scanning"),
            DataFusionError::Shared(Arc::new(external())),
            DataFusionError::from(ArrowError::ExternalError(Box::new(external()))),
            DataFusionError::Collection(vec![external()]),
        ] {
            let error = of_datafusion(wrapped);
            assert_eq!(error.kind(), ErrorKind::ReadOnly);
            assert_eq!(error.hint_text(), Some("use a branch"));
        }
    }

    #[test]
    fn arithmetic_keeps_its_sqlstate() {
        let error = DataFusionError::from(ArrowError::DivideByZero).context("evaluating");
        assert_eq!(of_datafusion(error).kind().sqlstate(), "22012");
    }
}
