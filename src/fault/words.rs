//! The engine's sentences in PostgreSQL's words. What is none of the known ones goes out as it came,
//! unless it speaks of the engine itself: then it goes to the log.

use crate::error::{Error, ErrorKind};

const CAST_HINT: &str = "No function matches the given name and argument types. You might need to add explicit type casts.";
const OPERATOR_HINT: &str = "No operator matches the given name and argument types. You might need to add explicit type casts.";

/// What the planner refuses: it has one variant for all of it.
pub(super) fn of_plan(text: &str) -> Error {
    let known = unknown_function(text)
        .or_else(|| no_operator(text))
        .or_else(|| no_signature(text))
        .or_else(|| ungrouped(text));
    if let Some(error) = known {
        return error;
    }
    // What no statement can be blamed for.
    if text.starts_with("Plan: [") || text.starts_with("Physical plan does not support logical") {
        return internal(text);
    }
    let kind = if text.starts_with("table '") && text.ends_with("not found") {
        ErrorKind::UndefinedTable
    } else if text.starts_with("Invalid function") || text.contains("No function matches") {
        ErrorKind::UndefinedFunction
    } else if text.contains("must be in GROUP BY")
        || text.contains("must appear in the GROUP BY")
        || text.starts_with("Aggregate functions are not allowed")
    {
        ErrorKind::Grouping
    } else {
        ErrorKind::DatatypeMismatch
    };
    plain(kind, text)
}

/// What fails while it runs.
pub(super) fn of_running(kind: ErrorKind, text: &str) -> Error {
    if text.contains("regex parse error") {
        let reason = text.rsplit("error: ").next().unwrap_or(text).trim();
        return Error::new(
            ErrorKind::InvalidRegex,
            format!("invalid regular expression: {reason}"),
        );
    }
    if let Some((array, _)) = text.split_once("Array overflow on abs(") {
        return out_of_range(array);
    }
    if let Some((_, of)) = text.strip_prefix("Can't cast value").and(text.rsplit_once(" to type "))
    {
        return out_of_range(of);
    }
    if let Some((_, of)) = text.strip_prefix("value of ").and(text.rsplit_once(" out of range ")) {
        return out_of_range(of);
    }
    let beyond = ["too large to store in a Decimal", "too small to store in a Decimal"];
    if beyond.iter().any(|words| text.contains(words))
        || text.starts_with("Cannot cast to Decimal") && text.contains("Overflowing on")
    {
        return Error::new(ErrorKind::OutOfRange, "numeric field overflow");
    }
    plain(kind, text)
}

/// `Overflow happened on: …`.
pub(super) fn of_overflow(text: &str) -> Error {
    let negated = text.rsplit_once("on: - ").and_then(|(_, value)| value.parse().ok());
    match negated.map(i64::unsigned_abs) {
        Some(0x8000) => out_of_range("Int16"),
        Some(0x8000_0000) => out_of_range("Int32"),
        Some(0x8000_0000_0000_0000) => out_of_range("Int64"),
        _ => Error::new(ErrorKind::OutOfRange, "value out of range"),
    }
}

/// Our own fault, or the engine's: the client cannot act on how it was told.
pub(super) fn internal(text: &str) -> Error {
    tracing::error!(error = text, "the engine failed");
    Error::new(ErrorKind::Internal, "the statement could not be planned or run")
        .hint("this is a fault of the server, whose log says more; another form of it may work")
}

fn plain(kind: ErrorKind, text: &str) -> Error {
    let lower = text.to_ascii_lowercase();
    let speaks_of_itself = ["datafusion", "internal error", "http://", "https://"]
        .iter()
        .any(|word| lower.contains(word));
    if speaks_of_itself {
        let error = internal(text);
        return Error::new(kind, error.message()).hint(error.hint_text().unwrap_or_default());
    }
    Error::new(kind, text)
}

fn out_of_range(of: &str) -> Error {
    Error::new(ErrorKind::OutOfRange, format!("{} out of range", type_name(of.trim())))
}

fn unknown_function(text: &str) -> Option<Error> {
    let (name, rest) = text.strip_prefix("Invalid function '")?.split_once('\'')?;
    let missing = format!("function {name} does not exist");
    let missing = Error::new(ErrorKind::UndefinedFunction, missing);
    Some(match rest.split('\'').nth(1) {
        Some(near) => missing.hint(format!("there is a function {near}")),
        None => missing,
    })
}

/// `Cannot … arithmetic expression Int32 + Utf8 to valid types` and its kin for other operators.
fn no_operator(text: &str) -> Option<Error> {
    let operation = match text.split_once("Cannot coerce arithmetic expression ") {
        Some((_, rest)) => rest.split(" to valid types").next()?,
        None => {
            let (_, rest) = text.split_once("Cannot infer common argument type for ")?;
            rest.split_once("operation ")?.1
        }
    };
    let words = outside_parentheses(operation, ' ');
    let ([left, right], middle) =
        ([*words.first()?, *words.last()?], words.get(1..words.len() - 1)?);
    let (left, right) = (type_name(left), type_name(right));
    let message = format!("operator does not exist: {left} {} {right}", middle.join(" "));
    Some(Error::new(ErrorKind::UndefinedFunction, message).hint(OPERATOR_HINT))
}

/// `… argument types 'lower(Int64, Int64)'. You might …`.
fn no_signature(text: &str) -> Option<Error> {
    let (_, rest) = text.split_once("argument types '")?;
    let (call, _) = rest.split_once("'. You might")?;
    let (name, types) = call.strip_suffix(')')?.split_once('(')?;
    let types: Vec<String> =
        outside_parentheses(types, ',').iter().map(|of| type_name(of.trim())).collect();
    let message = format!("function {name}({}) does not exist", types.join(", "));
    Some(Error::new(ErrorKind::UndefinedFunction, message).hint(CAST_HINT))
}

fn ungrouped(text: &str) -> Option<Error> {
    let (before, _) = text.split_once("\" must appear in the GROUP BY clause")?;
    let (_, column) = before.rsplit_once("column \"")?;
    let message = format!(
        "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
    );
    Some(Error::new(ErrorKind::Grouping, message))
}

/// The parts between separators that no parentheses are around.
fn outside_parentheses(text: &str, separator: char) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == separator && depth == 0
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// PostgreSQL's name of what Arrow calls a type.
fn type_name(arrow: &str) -> String {
    let (base, inside) = arrow.split_once('(').unwrap_or((arrow, ""));
    let name = match base {
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" | "UInt64" => "bigint",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => "numeric",
        "Utf8" | "LargeUtf8" | "Utf8View" | "String" => "text",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        "FixedSizeBinary" => "uuid",
        "Boolean" => "boolean",
        "Date32" | "Date64" | "Date" => "date",
        "Time32" | "Time64" => "time without time zone",
        "Timestamp" if inside.contains(',') => "timestamp with time zone",
        "Timestamp" => "timestamp without time zone",
        "Interval" | "Duration" => "interval",
        "Null" => "unknown",
        "List" | "LargeList" | "FixedSizeList" => {
            let item = inside.trim_end_matches(')').rsplit(' ').next().unwrap_or(inside);
            return format!("{}[]", type_name(item));
        }
        other => other,
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, sqlstate: &str, message: &str) {
        assert_eq!((error.kind().sqlstate(), error.message()), (sqlstate, message));
    }

    #[test]
    fn what_does_not_fit_is_told_in_types_that_people_wrote() {
        let text =
            "Cannot coerce arithmetic expression Timestamp(µs, \"UTC\") + Utf8View to valid types";
        let message = "operator does not exist: timestamp with time zone + text";
        check(of_plan(text), "42883", message);
        let text = "Cannot infer common argument type for comparison operation Int64 IS DISTINCT FROM Boolean";
        check(of_plan(text), "42883", "operator does not exist: bigint IS DISTINCT FROM boolean");
        let text = "Internal error: … https://x. No function matches the given name and argument types \
                    'f(Timestamp(µs), Utf8)'. You might need";
        check(
            of_plan(text),
            "42883",
            "function f(timestamp without time zone, text) does not exist",
        );
        let text = "x: While expanding wildcard, column \"u.t\" must appear in the GROUP BY clause or must";
        let message =
            "column \"u.t\" must appear in the GROUP BY clause or be used in an aggregate function";
        check(of_plan(text), "42803", message);
    }

    #[test]
    fn numbers_and_expressions_that_do_not_fit() {
        check(of_overflow("Overflow happened on: - -2147483648"), "22003", "integer out of range");
        let text = "Can't cast value 70000 to type Int16";
        check(of_running(ErrorKind::InvalidText, text), "22003", "smallint out of range");
        let text = "regex parse error:\n    (\n    ^\nerror: unclosed group";
        let message = "invalid regular expression: unclosed group";
        check(of_running(ErrorKind::InvalidValue, text), "2201B", message);
    }

    #[test]
    fn the_engine_is_not_spoken_of() {
        let text = "likely a bug in DataFusion's code, see https://github.com";
        for error in [of_plan(text), of_running(ErrorKind::InvalidValue, text), internal(text)] {
            assert!(!error.message().contains("DataFusion"), "{error}");
        }
    }
}
