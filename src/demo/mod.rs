//! STUB of the demo.

use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};

/// Runs the demo.
///
/// # Errors
/// Not here yet.
pub fn run(_settings: Settings) -> Result<()> {
    Err(Error::new(ErrorKind::NotSupported, "the demo is not built in"))
}
