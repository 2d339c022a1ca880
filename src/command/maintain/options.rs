//! What the arguments of rewrite_data_files mean here, in Iceberg's words: options as a map or as text, a
//! sort order. What is asked for and would not happen is refused, with the reason.

use std::sync::Arc;

use arrow::array::{Array, AsArray, MapArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;

use super::Arguments;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::spec::TableSchema;
use crate::store::CompactOptions;

/// What rewrites do, and how many files there must be for one.
pub(super) fn rewrite_options(arguments: &Arguments) -> Result<(CompactOptions, u64)> {
    let (mut options, mut least) = (CompactOptions::default(), 0);
    for (name, value) in arguments.pairs("options")? {
        let wrong = || arguments.wrong(format!("option {name} cannot be {value}"));
        match name.as_str() {
            "rewrite-all" => options.all = value.parse().map_err(|_| wrong())?,
            "target-file-size-bytes" => {
                let bytes: u64 = value.parse().map_err(|_| wrong())?;
                options.target_bytes = bytes.max(1);
            }
            "min-input-files" => least = value.parse().map_err(|_| wrong())?,
            _ => {
                let message = format!("option {name} of rewrite_data_files");
                return Err(Error::new(ErrorKind::NotSupported, message).hint(
                    "options => map('rewrite-all', 'true', 'target-file-size-bytes', '268435456', \
                     'min-input-files', '5')",
                ));
            }
        }
    }
    Ok((options, least))
}

/// `name=value, …`; a name alone is true.
pub(super) fn of_text(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        (name.trim().to_owned(), value.trim().to_owned())
    };
    pairs.map(pair).collect()
}

/// The pairs of a map, as text.
///
/// # Errors
/// InvalidValue for what cannot be text.
pub(super) fn of_map(map: &Arc<MapArray>) -> Result<Vec<(String, String)>> {
    let texts = |values: &dyn Array| -> Result<Vec<String>> {
        let values = cast(values, &DataType::Utf8).map_err(fault::of_arrow)?;
        let values = values.as_string::<i32>();
        Ok(values.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
    };
    let entries = map.value(0);
    Ok(texts(entries.column(0))?.into_iter().zip(texts(entries.column(1))?).collect())
}

/// The whole numbers of an array; None where it is another thing.
pub(super) fn of_array(value: &ScalarValue) -> Option<Vec<i64>> {
    let ScalarValue::List(list) = value else { return None };
    let items = cast(&list.value(0), &DataType::Int64).ok()?;
    let numbers = items.as_primitive::<Int64Type>();
    numbers.iter().collect()
}

/// Refuses an order in which files are not written.
///
/// # Errors
/// NotSupported.
pub(super) fn check_order(
    strategy: &Option<String>,
    order: &Option<String>,
    schema: &TableSchema,
) -> Result<()> {
    if let Some(strategy) = strategy
        && !["sort", "binpack"].contains(&strategy.to_lowercase().as_str())
    {
        let message = format!("rewriting by \"{strategy}\"");
        return Err(Error::new(ErrorKind::NotSupported, message)
            .hint("'sort' and 'binpack' both write the table's clustering order"));
    }
    let Some(order) = order else { return Ok(()) };
    let named = schema.order().into_iter().filter_map(|id| schema.column(id));
    let own: Vec<&str> = named.map(|column| column.name.as_str()).collect();
    let is = own.join(", ");
    let mut asked = Vec::new();
    for part in order.split(',') {
        let mut words = part.split_whitespace();
        let column = words.next().unwrap_or_default().trim_matches('"');
        let words: Vec<String> = words.map(str::to_uppercase).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] | ["ASC"] | ["ASC", "NULLS", "FIRST" | "LAST"] | ["NULLS", "FIRST" | "LAST"] => {}
            ["DESC", ..] => {
                let message = format!("files in the order \"{}\"", part.trim());
                return Err(Error::new(ErrorKind::NotSupported, message)
                    .detail("Files are written in ascending order and read in either.")
                    .hint(format!("leave DESC out: sort_order => '{column}'")));
            }
            _ => return Err(other_order(order, &is)),
        }
        asked.push(column.to_owned());
    }
    // A shorter order is kept by the longer one.
    let kept = asked.iter().zip(&own).all(|(asked, own)| asked.eq_ignore_ascii_case(own));
    match kept && asked.len() <= own.len() {
        true => Ok(()),
        false => Err(other_order(order, &is)),
    }
}

fn other_order(order: &str, own: &str) -> Error {
    let is = if own.is_empty() { "no clustering order".to_owned() } else { format!("({own})") };
    Error::new(ErrorKind::NotSupported, format!("files in the order \"{order}\""))
        .detail(format!("Every file of a table is in the order of its CLUSTER BY: {is}."))
        .hint("make the table with CLUSTER BY of these columns, or leave sort_order out")
}
