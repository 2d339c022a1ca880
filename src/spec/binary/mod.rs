//! PostgreSQL's binary form of every [`Type`](super::Type), both directions, a column at a time.
//!
//! The payload only: the length word before it, and NULL as length −1, belong to the message or the
//! COPY row around it. Refused: arrays of arrays, and numeric NaN and ±infinity, which the storage
//! cannot hold. Nothing here trusts a length it was given. Start reading at [`mod@format`].

mod build;
mod format;
mod numeric;
mod oid;
#[cfg(test)]
mod tests;

pub use build::BinaryBuilder;
pub use format::BinaryFormatter;
pub use oid::oid;
