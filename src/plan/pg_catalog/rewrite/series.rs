//! `generate_series` of times: DataFusion's takes no text beside them, and in FROM no times at all.

use datafusion::sql::sqlparser::ast::{DataType, Expr, TimezoneInfo};

use super::build;

/// Gives the arguments of a series of times their types; whether it is one.
pub fn give_types(args: &mut [Expr]) -> bool {
    let [first, last, step] = args else { return false };
    let Some(of) = time_type(first).or_else(|| time_type(last)) else { return false };
    // PostgreSQL has no series of dates.
    let of = match of {
        DataType::Date => DataType::Timestamp(None, TimezoneInfo::Tz),
        of => of,
    };
    for bound in [first, last] {
        *bound = build::cast(bound.clone(), of.clone());
    }
    *step = build::cast(step.clone(), DataType::Interval { fields: None, precision: None });
    true
}

/// The type that a time is written as.
fn time_type(expr: &Expr) -> Option<DataType> {
    let of = match expr {
        Expr::Nested(inner) => return time_type(inner),
        Expr::TypedString(typed) => &typed.data_type,
        Expr::Cast { data_type, .. } => data_type,
        Expr::Function(function) => {
            let is_now =
                matches!(build::bare(&function.name)?.as_str(), "now" | "current_timestamp");
            return is_now.then_some(DataType::Timestamp(None, TimezoneInfo::Tz));
        }
        _ => return None,
    };
    match of {
        DataType::Date | DataType::Timestamp(..) => Some(of.clone()),
        DataType::Custom(name, _) => match build::parts(name).last().map(String::as_str) {
            Some("timestamptz") => Some(DataType::Timestamp(None, TimezoneInfo::Tz)),
            _ => None,
        },
        _ => None,
    }
}
