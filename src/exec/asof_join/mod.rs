//! ASOF JOIN over two streams: for each left row the one right row with equal keys whose time is the
//! nearest on the asked side.
//!
//! # What it computes
//!
//! ```text
//! winner(l) = last r in (time towards l, ties) with  r.k = l.k  and  r.t <= l.t   for  >=
//!                                                                    r.t <  l.t   for  >
//!                                                                    r.t >= l.t   for  <=
//!                                                                    r.t >  l.t   for  <
//! ```
//!
//! and, with a residual condition, the last such `r` that satisfies it too. A winner farther than
//! the tolerance is no match; a farther row is never taken instead. KNOWN AT is one such condition:
//! rows not known at the moment of `l` are passed over (`known.rs`).
//!
//! # Contracts
//!
//! * **Distribution.** With keys, both sides are partitioned by them alike; without, both are one
//!   partition. No left row's candidates are ever in two partitions.
//! * **Order.** Both sides arrive sorted by `(keys, time)`, the right also by the tie columns. NULL
//!   comes last in keys and time (over NOT NULL columns any declared order of NULLs satisfies that)
//!   and first in ties, so that a NULL tie loses. For `<` and `<=` time descends: both directions
//!   then walk towards the left row and the winner is the last row passed.
//!
//!   ```text
//!   right, one key   t: 1  2  4  4' 6          `>=`, left t = 5
//!                       passed ----^  ^ cursor      winner 4', the last passed
//!   ```
//! * **Ties** are broken by the order alone: the last of the tied rows in tie-column order wins, in
//!   both directions. Every plan asks for the same order, so partitions, batch sizes and the layout
//!   of storage cannot change the winner.
//! * **NULL** in a key compared by `=`, or in the time of either side, never matches. A key compared
//!   by IS NOT DISTINCT FROM takes NULL as a value.
//! * **Output** follows the order of the left input; a LEFT join keeps every left row once. Of kinds that
//!   keep the right side (RIGHT, FULL), right rows that no left row got come out between, with NULL on
//!   the left: each once, as soon as no left row can get it any more. Of a right side that is held, the
//!   last partition of the left to end takes them along.
//!
//! # Memory
//!
//! The left batch, the right batch under the cursor, and the right batches that rows not yet
//! emitted point into; before more than [`PINNED_BATCHES_MAX`] are held, what is decided is
//! emitted. A residual condition, or KNOWN AT, also holds the key's rows passed so far. All of it is reserved
//! from the pool; nothing spills here (the sorts below do).
//!
//! Start reading at `stream.rs`, `AsofJoinStream::next`.

mod condition;
mod encode;
mod exec;
mod gather;
mod hash;
mod known;
mod metrics;
mod residual;
mod sides;
mod stream;
#[cfg(test)]
mod tests;
mod window;

pub use condition::{AsofCondition, AsofKey, Comparison, Kind, Tolerance};
pub use encode::unit_nanos;
pub(super) use encode::{i64_values, instant};
pub use exec::{AsofJoinExec, How, TIE_PREFIX};
pub use known::{Known, KnownFloor};
pub use residual::Residual;
pub use window::PINNED_BATCHES_MAX;
