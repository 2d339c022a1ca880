//! How long a ref lasts, and how much of its history with it.

use super::codec::{Reader, Writer};
use crate::error::Result;

/// What was said when a ref was made; None takes the database's rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The ref goes when its newest commit is older than this: µs.
    pub age_us: Option<i64>,
    /// At least so many commits of its history stay.
    pub commits: Option<u64>,
    /// Commits of its history that are younger than this stay: µs.
    pub commits_age_us: Option<i64>,
}

impl Retention {
    pub(super) fn write(&self, w: &mut Writer) {
        w.option(self.age_us, Writer::i64);
        w.option(self.commits, Writer::u64);
        w.option(self.commits_age_us, Writer::i64);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Retention> {
        Ok(Retention {
            age_us: r.option(Reader::i64)?,
            commits: r.option(Reader::u64)?,
            commits_age_us: r.option(Reader::i64)?,
        })
    }
}
