//! Functions of regular expressions, with PostgreSQL's flags: `regexp_match`, `regexp_matches`,
//! `regexp_replace`, `regexp_split_to_array`, `regexp_substr`.
//!
//! The engine's own know one flag or two, and `\1` in what replaces, but not `\&`. Patterns are those of
//! the engine: no back references, and of several ways to match from one place the first one counts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringViewArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions::regex::compile_regex;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::long_value::{Numbers, check};
use super::row_function::check_length;
use crate::error::{Error, ErrorKind, Result};

/// The functions of this file. One call makes at most so many bytes for all rows of a batch.
pub fn functions(call_bytes_max: u64) -> Vec<ScalarUDF> {
    [Kind::Match, Kind::Matches, Kind::Replace, Kind::Split, Kind::Part]
        .map(|kind| ScalarUDF::new_from_impl(Regexp::new(kind, call_bytes_max)))
        .into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Match,
    /// One row a match: the items of an array, on which `unnest` is called.
    Matches,
    Replace,
    Split,
    /// `regexp_substr(text, pattern [, start [, n [, flags [, group]]]])`
    Part,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Regexp {
    kind: Kind,
    call_bytes_max: u64,
    signature: Signature,
}

/// Where a match is, then its groups; None where a group took no part.
type Found = Vec<Option<(usize, usize)>>;
type Finder = dyn Fn(&str, usize) -> Vec<Found>;

/// A pattern that was compiled.
struct Pattern {
    text: String,
    flags: String,
    /// Finds so many matches, 0 for all.
    find: Box<Finder>,
    global: bool,
}

impl Pattern {
    fn new(text: &str, flags: &str) -> Result<Pattern> {
        let (mut modes, mut global, mut literal) = ("s".to_owned(), false, false);
        for flag in flags.chars() {
            match flag {
                'g' => global = true,
                'i' => modes.push('i'),
                'c' => modes.retain(|mode| mode != 'i'),
                's' => modes = modes.replace('m', ""),
                'n' | 'm' => modes = modes.replace('s', "") + "m",
                'p' => modes = modes.replace('s', ""),
                'w' => modes.push('m'),
                'x' => modes.push('x'),
                'q' => literal = true,
                // The kinds of regular expressions there are.
                'a' | 'b' | 'e' | 't' => {}
                other => {
                    let message = format!("invalid regular expression option: \"{other}\"");
                    return Err(Error::new(ErrorKind::InvalidValue, message));
                }
            }
        }
        let pattern = if literal { escaped(text) } else { translated(text) };
        let modes = if modes.is_empty() { String::new() } else { format!("(?{modes})") };
        let regex = compile_regex(&format!("{modes}{pattern}"), None).map_err(|_| {
            let message = format!("invalid regular expression: \"{text}\"");
            Error::new(ErrorKind::InvalidRegex, message)
        })?;
        let find = move |text: &str, count: usize| -> Vec<Found> {
            let found = regex.captures_iter(text).map(|captures| {
                captures
                    .iter()
                    .map(|group| group.map(|group| (group.start(), group.end())))
                    .collect()
            });
            if count == 0 { found.collect() } else { found.take(count).collect() }
        };
        let (text, flags) = (text.to_owned(), flags.to_owned());
        Ok(Pattern { text, flags, find: Box::new(find), global })
    }

    fn is(&self, text: &str, flags: &str) -> bool {
        self.text == text && self.flags == flags
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() || c == ' ' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// PostgreSQL's escapes for places, in the engine's words.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c != '\\' {
            continue;
        }
        match chars.next() {
            Some('y') => out.push('b'),
            Some('Y') => out.push('B'),
            Some('m') => out.push_str("b{start}"),
            Some('M') => out.push_str("b{end}"),
            Some('Z') => out.push('z'),
            other => out.extend(other),
        }
    }
    out
}

/// What PostgreSQL returns of a match: its groups, of a pattern without groups all of it.
fn groups<'t>(text: &'t str, found: &Found) -> Vec<Option<&'t str>> {
    let part = |group: &Option<(usize, usize)>| group.map(|(start, end)| &text[start..end]);
    match found.as_slice() {
        [all] => vec![part(all)],
        [_, groups @ ..] => groups.iter().map(part).collect(),
        [] => Vec::new(),
    }
}

/// What replaces a match: `\1` a group of it, `\&` all of it, `\\` a backslash.
fn replacement(out: &mut String, text: &str, found: &Found, by: &str) {
    let mut chars = by.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => group(out, text, found, 0),
            Some(digit @ '1'..='9') => group(out, text, found, digit as usize - '0' as usize),
            Some('\\') | None => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
        }
    }
}

fn group(out: &mut String, text: &str, found: &Found, at: usize) {
    if let Some(Some((start, end))) = found.get(at) {
        out.push_str(&text[*start..*end]);
    }
}

impl Regexp {
    fn new(kind: Kind, call_bytes_max: u64) -> Regexp {
        Regexp { kind, call_bytes_max, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn returns(&self) -> DataType {
        let list = |of| DataType::List(Arc::new(Field::new("item", of, true)));
        match self.kind {
            Kind::Match | Kind::Split => list(DataType::Utf8View),
            Kind::Matches => list(list(DataType::Utf8View)),
            Kind::Replace | Kind::Part => DataType::Utf8View,
        }
    }

    /// The types of so many arguments: `t` text, `i` integer.
    fn shape(&self, types: &[DataType]) -> Option<&'static str> {
        match (self.kind, types.len()) {
            (Kind::Match | Kind::Matches | Kind::Split, 2) => Some("tt"),
            (Kind::Match | Kind::Matches | Kind::Split, 3) => Some("ttt"),
            (Kind::Replace, 3) => Some("ttt"),
            (Kind::Replace, 4) if types[3].is_integer() => Some("ttti"),
            (Kind::Replace, 4) => Some("tttt"),
            (Kind::Replace, 5) => Some("tttii"),
            (Kind::Replace, 6) => Some("tttiit"),
            (Kind::Part, 2) => Some("tt"),
            (Kind::Part, 3) => Some("tti"),
            (Kind::Part, 4) => Some("ttii"),
            (Kind::Part, 5) => Some("ttiit"),
            (Kind::Part, 6) => Some("ttiiti"),
            _ => None,
        }
    }
}

/// The arguments of one row that are not NULL.
struct Given<'a> {
    texts: Vec<&'a str>,
    numbers: Vec<i64>,
}

impl<'a> Given<'a> {
    /// None where one of them is NULL.
    fn of(columns: &'a [ArrayRef], row: usize) -> Option<Given<'a>> {
        let mut given = Given { texts: Vec::new(), numbers: Vec::new() };
        for column in columns {
            if column.is_null(row) {
                return None;
            }
            match column.as_string_view_opt() {
                Some(texts) => given.texts.push(texts.value(row)),
                None => given.numbers.push(column.as_primitive::<Int64Type>().value(row)),
            }
        }
        Some(given)
    }

    fn number(&self, at: usize, name: &str, least: i64) -> Result<usize> {
        let number = self.numbers.get(at).copied().unwrap_or(least);
        match usize::try_from(number).ok().filter(|_| number >= least) {
            Some(number) => Ok(number),
            None => {
                let message = format!("invalid value for parameter \"{name}\": {number}");
                Err(Error::new(ErrorKind::InvalidValue, message))
            }
        }
    }
}

/// The byte at which a character is, from 1; the end where there are fewer.
fn offset(text: &str, start: usize) -> usize {
    text.char_indices().nth(start - 1).map_or(text.len(), |(at, _)| at)
}

fn pattern<'p>(known: &'p mut Option<Pattern>, text: &str, flags: &str) -> Result<&'p Pattern> {
    if known.as_ref().is_none_or(|known| !known.is(text, flags)) {
        *known = Some(Pattern::new(text, flags)?);
    }
    Ok(known.as_ref().expect("it was set"))
}

fn replaced(given: &Given<'_>, known: &mut Option<Pattern>) -> Result<String> {
    let [text, regex, by, rest @ ..] = given.texts.as_slice() else { return Ok(String::new()) };
    let pattern = pattern(known, regex, rest.first().unwrap_or(&""))?;
    let start = offset(text, given.number(0, "start", 1)?);
    // Without a number, the first one, or with `g` all of them; 0 is all of them.
    let which = match given.numbers.get(1) {
        Some(_) => given.number(1, "n", 0)?,
        None => usize::from(!pattern.global),
    };
    let mut out = text[..start].to_owned();
    let (tail, mut done) = (&text[start..], 0);
    for (at, found) in (pattern.find)(tail, which).iter().enumerate() {
        let Some(Some((from, to))) = found.first() else { continue };
        if which != 0 && at + 1 != which {
            continue;
        }
        out.push_str(&tail[done..*from]);
        replacement(&mut out, tail, found, by);
        check_length(out.len())?;
        done = *to;
    }
    out.push_str(&tail[done..]);
    Ok(out)
}

fn part<'t>(given: &Given<'t>, known: &mut Option<Pattern>) -> Result<Option<&'t str>> {
    let [text, regex, rest @ ..] = given.texts.as_slice() else { return Ok(None) };
    let pattern = pattern(known, regex, rest.first().unwrap_or(&""))?;
    let tail = &text[offset(text, given.number(0, "start", 1)?)..];
    let (which, group) = (given.number(1, "n", 1)?, given.number(2, "subexpr", 0)?);
    let found = (pattern.find)(tail, which);
    let found = found.get(which - 1).and_then(|found| *found.get(group)?);
    Ok(found.map(|(from, to)| &tail[from..to]))
}

/// The texts between matches. An empty match parts two characters, and none at an end or behind another.
fn split<'t>(text: &'t str, pattern: &Pattern) -> Vec<&'t str> {
    let (mut parts, mut done) = (Vec::new(), 0);
    for found in (pattern.find)(text, 0) {
        let Some(Some((from, to))) = found.first().copied() else { continue };
        if from == to && (from == 0 || from == text.len() || from == done) {
            continue;
        }
        parts.push(&text[done..from]);
        done = to;
    }
    parts.push(&text[done..]);
    parts
}

impl Regexp {
    /// Refuses what a constant, or a batch of rows, may not make.
    fn check(&self, bytes: u64, rows: usize) -> Result<()> {
        let made = match rows {
            1 => Numbers::One(bytes),
            // Each value was looked at by itself.
            _ if bytes <= self.call_bytes_max => return Ok(()),
            _ => Numbers::Each(vec![bytes.div_ceil(rows as u64); rows]),
        };
        check(&made, rows, self.call_bytes_max).map_err(crate::fault::of_datafusion)
    }

    fn evaluate(&self, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let mut known = None;
        let item = || Arc::new(Field::new("item", DataType::Utf8View, true));
        match self.kind {
            Kind::Replace | Kind::Part => {
                let mut texts = StringViewBuilder::with_capacity(rows);
                let mut bytes = 0_u64;
                for row in 0..rows {
                    match Given::of(columns, row) {
                        Some(given) if self.kind == Kind::Replace => {
                            let text = replaced(&given, &mut known)?;
                            bytes += text.len() as u64;
                            self.check(bytes, rows)?;
                            texts.append_value(text);
                        }
                        Some(given) => texts.append_option(part(&given, &mut known)?),
                        None => texts.append_null(),
                    }
                }
                Ok(Arc::new(texts.finish()))
            }
            Kind::Matches => {
                let inner = ListBuilder::new(StringViewBuilder::new()).with_field(item());
                let of = DataType::List(item());
                let mut lists =
                    ListBuilder::new(inner).with_field(Arc::new(Field::new("item", of, true)));
                for row in 0..rows {
                    if let Some((text, found, _)) = all(columns, row, &mut known)? {
                        for found in &found {
                            groups(text, found)
                                .into_iter()
                                .for_each(|part| lists.values().values().append_option(part));
                            lists.values().append(true);
                        }
                    }
                    lists.append(true);
                }
                Ok(Arc::new(lists.finish()))
            }
            Kind::Match | Kind::Split => {
                let mut lists = ListBuilder::new(StringViewBuilder::new()).with_field(item());
                for row in 0..rows {
                    let parts = match (Given::of(columns, row), self.kind) {
                        (Some(given), Kind::Split) => {
                            let flags = given.texts.get(2).unwrap_or(&"");
                            let pattern = pattern(&mut known, given.texts[1], flags)?;
                            Some(split(given.texts[0], pattern).into_iter().map(Some).collect())
                        }
                        _ => match all(columns, row, &mut known)? {
                            Some((_, _, true)) => return Err(no_global()),
                            Some((text, found, _)) => {
                                found.first().map(|found| groups(text, found))
                            }
                            None => None,
                        },
                    };
                    let is_some = parts.is_some();
                    let parts: Vec<Option<&str>> = parts.unwrap_or_default();
                    parts.into_iter().for_each(|part| lists.values().append_option(part));
                    lists.append(is_some);
                }
                Ok(Arc::new(lists.finish()))
            }
        }
    }
}

fn no_global() -> Error {
    Error::new(ErrorKind::InvalidValue, "regexp_match() does not support the \"global\" option")
        .hint("use the regexp_matches function instead")
}

/// The text of a row, what was found in it, and whether all of it was asked for; None where an argument
/// is NULL.
fn all<'a>(
    columns: &'a [ArrayRef],
    row: usize,
    known: &mut Option<Pattern>,
) -> Result<Option<(&'a str, Vec<Found>, bool)>> {
    let Some(given) = Given::of(columns, row) else { return Ok(None) };
    let [text, regex, flags @ ..] = given.texts.as_slice() else { return Ok(None) };
    let pattern = pattern(known, regex, flags.first().unwrap_or(&""))?;
    let found = (pattern.find)(text, usize::from(!pattern.global));
    Ok(Some((text, found, pattern.global)))
}

impl ScalarUDFImpl for Regexp {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Match => "regexp_match",
            Kind::Matches => "regexp_matches",
            Kind::Replace => "regexp_replace",
            Kind::Split => "regexp_split_to_array",
            Kind::Part => "regexp_substr",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.returns())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), self.returns(), true)))
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let Some(shape) = self.shape(types) else {
            return plan_err!("function {} does not take {} arguments", self.name(), types.len());
        };
        let fits = |(letter, of): (char, &DataType)| match letter {
            't' if of.is_string() || of.is_null() => Ok(DataType::Utf8View),
            'i' if of.is_integer() || of.is_null() => Ok(DataType::Int64),
            _ => plan_err!("function {}({of}) does not exist", self.name()),
        };
        shape.chars().zip(types).map(fits).collect()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns = args.args.into_iter().map(|arg| match arg.into_array(rows)? {
            // NULL for every row.
            nulls if nulls.data_type().is_null() => {
                Ok(Arc::new(StringViewArray::new_null(rows)) as ArrayRef)
            }
            array if array.data_type().is_string() => Ok(cast(&array, &DataType::Utf8View)?),
            array => Ok(cast(&array, &DataType::Int64)?),
        });
        let columns = columns.collect::<DataFusionResult<Vec<_>>>()?;
        let found = self.evaluate(&columns, rows);
        let found = found.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?),
            false => ColumnarValue::Array(found),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_matches_part_characters() {
        let between = |text: &'static str, regex: &str| {
            split(text, &Pattern::new(regex, "").expect("a pattern"))
        };
        assert_eq!(between("abc", ""), ["a", "b", "c"]);
        assert_eq!(between("a, b,c", ",\\s*"), ["a", "b", "c"]);
        assert_eq!(between(",a,", ","), ["", "a", ""]);
        assert_eq!(between("", ","), [""]);
    }
}
