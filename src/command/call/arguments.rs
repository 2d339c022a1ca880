//! The arguments of a procedure, by name or by position.

use datafusion::common::ScalarValue;

use super::Calling;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::query::plan_constant;
use crate::plan::time_travel::{constant, time_of, whole_number, written};

/// Values in the order of a usage, `name(first, second)`; None where one was not said or is NULL.
pub(super) struct Arguments {
    usage: &'static str,
    names: Vec<&'static str>,
    values: Vec<Option<ScalarValue>>,
}

impl Arguments {
    /// Reads the arguments that a usage names.
    ///
    /// # Errors
    /// InvalidValue for one that is not known or said twice; whatever evaluating them gives.
    pub fn of(calling: &Calling<'_>, usage: &'static str) -> Result<Arguments> {
        let inside = usage.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
        let names: Vec<&str> = inside.split(", ").collect();
        let mut arguments = Arguments { usage, values: vec![None; names.len()], names };
        let mut said = vec![false; arguments.names.len()];
        for (position, argument) in calling.call.arguments.iter().enumerate() {
            let at = match &argument.name {
                Some(name) => arguments.names.iter().position(|known| known == name),
                None => Some(position).filter(|at| *at < arguments.names.len()),
            };
            let at = at.ok_or_else(|| {
                let what = argument.name.clone().unwrap_or_else(|| (position + 1).to_string());
                arguments.wrong(format!("argument {what} is not known"))
            })?;
            if std::mem::replace(&mut said[at], true) {
                return Err(
                    arguments.wrong(format!("argument {} is said twice", arguments.names[at]))
                );
            }
            let expr = plan_constant(calling.reading, calling.state, &argument.value)?;
            let value = constant(calling.reading, calling.state, expr)?;
            arguments.values[at] = value.filter(|value| !value.is_null());
        }
        Ok(arguments)
    }

    /// An error of kind InvalidValue that says how the procedure is called.
    pub fn wrong(&self, why: String) -> Error {
        Error::new(ErrorKind::InvalidValue, why).hint(format!("system.{}", self.usage))
    }

    fn value(&self, name: &str) -> Option<&ScalarValue> {
        let at = self.names.iter().position(|known| *known == name)?;
        self.values[at].as_ref()
    }

    fn missing(&self, name: &str) -> Error {
        self.wrong(format!("argument \"{name}\" is missing"))
    }

    /// A text, if it was said.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| match value.try_as_str() {
            Some(Some(text)) => text.to_owned(),
            _ => value.to_string(),
        })
    }

    /// A text that has to be there.
    pub fn needed_text(&self, name: &str) -> Result<String> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    /// A commit's number, if it was said.
    pub fn commit(&self, name: &str) -> Result<Option<u64>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = whole_number(value).ok().and_then(|number| u64::try_from(number).ok());
        let wrong = || self.wrong(format!("argument \"{name}\" is no commit: {}", written(value)));
        number.ok_or_else(wrong).map(Some)
    }

    /// A commit's number that has to be there.
    pub fn needed_commit(&self, name: &str) -> Result<u64> {
        self.commit(name)?.ok_or_else(|| self.missing(name))
    }

    /// A time that has to be there: µs since 1970-01-01 UTC.
    pub fn needed_time(&self, name: &str, calling: &Calling<'_>) -> Result<i64> {
        let value = self.value(name).ok_or_else(|| self.missing(name))?;
        time_of(value, &calling.reading.text)
    }
}
