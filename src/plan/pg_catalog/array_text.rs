//! The text form of arrays: `{1,"b c",NULL}`.

/// The items of `{a,"b c",NULL}`, None for NULL; None for what is no array of one dimension.
pub fn split(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(items);
    }
    loop {
        let mut item = String::new();
        let mut quoted = false;
        while let Some(c) = chars.next_if(|c| *c != ',') {
            match c {
                '"' => {
                    quoted = true;
                    loop {
                        match chars.next()? {
                            '"' => break,
                            '\\' => item.push(chars.next()?),
                            c => item.push(c),
                        }
                    }
                }
                '{' | '}' => return None,
                '\\' => item.push(chars.next()?),
                c => item.push(c),
            }
        }
        let item = if quoted { item } else { item.trim().to_owned() };
        items.push((quoted || !item.eq_ignore_ascii_case("null")).then_some(item));
        if chars.next().is_none() {
            return Some(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_literals_split_at_bare_commas() {
        let of = |text: &str| split(text).expect("a flat array");
        assert_eq!(of("{}"), []);
        assert_eq!(of("{1, 2}"), [Some("1".to_owned()), Some("2".to_owned())]);
        assert_eq!(
            of(r#"{"a,b",NULL,"NULL"}"#),
            [Some("a,b".to_owned()), None, Some("NULL".to_owned())]
        );
        assert_eq!(split("{{1},{2}}"), None);
    }
}
