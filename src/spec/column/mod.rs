//! One Arrow column seen as the values of its logical [`Type`](super::Type): read once downcast, and
//! built. The text and the binary form of a value both stand on this; nothing here knows either.
//!
//! Every storage that `Type::of_storage` names can be read. What is built is always `Type::arrow()`.
//! Times come out in µs whatever the storage's unit; the i64 and i32 limits are ±infinity in every
//! unit, as they are in PostgreSQL. Start reading at [`Column::of`].

mod build;
pub(in crate::spec) mod check;
mod read;
mod storage;

pub(in crate::spec) use build::{ColumnBuilder, ItemsBuilder};
pub(in crate::spec) use read::{Column, Items};
pub(in crate::spec) use storage::Decimals;
