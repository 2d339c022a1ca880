//! The types that the place of a version gives to parameters in it.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr};

use super::parameters::placeholder;
use crate::parse::{Call, Slot, TableVersionSpec};
use crate::spec::Type;

/// What each parameter of a version clause is, where nothing has told it yet.
pub fn version_types(spec: &TableVersionSpec, found: &mut [Option<FieldRef>]) {
    match spec.slot {
        // A number, a name or a time: text can say each.
        Slot::Version | Slot::Branch | Slot::Tag | Slot::Ref | Slot::Statement => {
            take(&spec.value, Type::Text, found);
        }
        Slot::Commit | Slot::Offset => take(&spec.value, Type::Int8, found),
        Slot::Time => time_types(&spec.value, found),
        Slot::FromTo | Slot::Between | Slot::Contained => {
            if let SqlExpr::Tuple(times) = &spec.value {
                times.iter().for_each(|time| time_types(time, found));
            }
        }
        Slot::All => {}
    }
}

/// A time, or a time and how far from it.
pub fn time_types(value: &SqlExpr, found: &mut [Option<FieldRef>]) {
    match value {
        SqlExpr::Nested(inner) => time_types(inner, found),
        SqlExpr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
            time_types(left, found);
            take(right, Type::Interval, found);
        }
        value => take(value, Type::Timestamptz, found),
    }
}

/// What the arguments of a procedure are, by its usage: `name(first, second)`.
pub fn argument_types(usage: &str, call: &Call, found: &mut [Option<FieldRef>]) {
    let inside = usage.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    for (position, argument) in call.arguments.iter().enumerate() {
        let name = argument.name.as_deref().or_else(|| inside.split(", ").nth(position));
        match name.unwrap_or_default() {
            "snapshot_ids" => take(&argument.value, Type::Array(Box::new(Type::Int8)), found),
            "snapshot_id" | "retain_last" => take(&argument.value, Type::Int8, found),
            "timestamp" | "older_than" => time_types(&argument.value, found),
            "dry_run" => take(&argument.value, Type::Bool, found),
            _ => take(&argument.value, Type::Text, found),
        }
    }
}

fn take(value: &SqlExpr, data_type: Type, found: &mut [Option<FieldRef>]) {
    let slot = placeholder(value).and_then(|at| found.get_mut(at));
    if let Some(slot @ None) = slot {
        *slot = Some(Arc::new(data_type.field("", true)));
    }
}
