//! Names in SQL text: quoting them, and taking them apart.

use crate::error::{Error, ErrorKind, Result};

/// A name as it must be written in SQL: quoted unless it is lower case and no reserved word.
pub fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plain && !RESERVED.split_whitespace().any(|word| word == name) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The parts of `a.b."C"`, folded to lower case unless quoted.
///
/// # Errors
/// `InvalidName` for what is no name.
pub fn name_parts(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new(ErrorKind::InvalidName, format!("invalid name syntax: \"{text}\""));
    let mut parts = Vec::new();
    let mut chars = text.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next().ok_or_else(invalid)? {
                    '"' if chars.next_if_eq(&'"').is_some() => part.push('"'),
                    '"' => break,
                    c => part.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.' && *c != '"') {
                part.extend(c.to_lowercase());
            }
        }
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        match chars.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(_) => return Err(invalid()),
        }
    }
}

/// Words that cannot name a column or table without quotes (categories R and T of PostgreSQL's
/// keyword list, and C, which `quote_ident` quotes too).
const RESERVED: &str = "\
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
    boolean both case cast char character check coalesce collate collation column concurrently \
    constraint create cross current_catalog current_date current_role current_schema \
    current_time current_timestamp current_user dec decimal default deferrable desc distinct do \
    else end except exists extract false fetch float for foreign freeze from full grant \
    greatest group grouping having ilike in initially inner inout int integer intersect \
    interval into is isnull join lateral leading least left like limit localtime localtimestamp \
    national natural nchar none normalize not notnull null nullif numeric offset on only or \
    order out outer overlaps overlay placing position precision primary real references \
    returning right row select session_user setof similar smallint some substring symmetric \
    system_user table tablesample then time timestamp to trailing treat trim true union unique \
    user using values varchar variadic verbose when where window with xmlattributes xmlconcat \
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_are_quoted() {
        for name in ["plain_1", "select", "Mixed\"Case", "with.dot", "1st"] {
            assert_eq!(name_parts(&quote_ident(name)).expect("a name"), [name]);
        }
        assert_eq!(quote_ident("plain_1"), "plain_1");
        assert_eq!(quote_ident("select"), "\"select\"");
        assert_eq!(name_parts("Public.\"T\"").expect("a name"), ["public", "T"]);
        assert!(name_parts("a.").is_err() && name_parts("\"open").is_err());
    }
}
