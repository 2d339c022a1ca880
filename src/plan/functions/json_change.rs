//! jsonb put together and taken apart: `||` and `-`.

use crate::error::{Error, ErrorKind, Result};
use crate::spec::text::{JsonKind, JsonPart, json_quoted, jsonb_text};

/// `a || b`: the members of both, of one name the second; or the items of both, what is no array being
/// one item.
pub(super) fn concat(a: JsonPart<'_>, b: JsonPart<'_>) -> Result<String> {
    if a.kind() == JsonKind::Object && b.kind() == JsonKind::Object {
        let mut members = a.members()?;
        members.extend(b.members()?);
        return object(members);
    }
    let items = |part: JsonPart<'_>| match part.kind() {
        JsonKind::Array => part.items().into_iter().map(|item| item.text().to_owned()).collect(),
        _ => vec![part.text().to_owned()],
    };
    array(items(a).into_iter().chain(items(b)))
}

/// `a - 'k'`: without the member, or the strings among items, of that name.
pub(super) fn without_key(json: JsonPart<'_>, key: &str) -> Result<String> {
    match json.kind() {
        JsonKind::Object => {
            object(json.members()?.into_iter().filter(|(name, _)| name != key).collect())
        }
        JsonKind::Array => {
            let mut kept = Vec::new();
            for item in json.items() {
                let is_it =
                    item.kind() == JsonKind::String && item.unquoted()?.as_deref() == Some(key);
                if !is_it {
                    kept.push(item.text().to_owned());
                }
            }
            array(kept)
        }
        _ => Err(scalar()),
    }
}

/// `a - 1`: without the item at that place, counted from the end below 0.
pub(super) fn without_item(json: JsonPart<'_>, index: i64) -> Result<String> {
    match json.kind() {
        JsonKind::Array => {
            let items = json.items();
            let at = if index < 0 { index + items.len() as i64 } else { index };
            let kept = items.iter().enumerate().filter(|(place, _)| *place as i64 != at);
            array(kept.map(|(_, item)| item.text().to_owned()))
        }
        JsonKind::Object => {
            let message = "cannot delete from object using integer index";
            Err(Error::new(ErrorKind::InvalidValue, message))
        }
        _ => Err(scalar()),
    }
}

fn scalar() -> Error {
    Error::new(ErrorKind::InvalidValue, "cannot delete from scalar")
}

fn object(members: Vec<(String, JsonPart<'_>)>) -> Result<String> {
    let members =
        members.iter().map(|(key, value)| format!("{}:{}", json_quoted(key), value.text()));
    jsonb_text(&format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}

fn array(items: impl IntoIterator<Item = String>) -> Result<String> {
    jsonb_text(&format!("[{}]", items.into_iter().collect::<Vec<_>>().join(",")))
}
