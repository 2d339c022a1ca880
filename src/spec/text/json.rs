use crate::error::Result;
pub(in crate::spec) fn validate(_text: &str) -> Result<()> {
    Ok(())
}
pub(in crate::spec) fn normalise(text: &str) -> Result<String> {
    Ok(text.to_owned())
}
