//! ASOF JOIN with tables whose files lie in the order of the keys and the time: nothing is sorted but
//! the labels, and of the files only what can hold a winner is read.
//!
//! # What it does
//!
//! ```text
//! labels    collected, and sorted as (key, time, place): integers, not rows
//! waves     segments that do not overlap are searched together, those nearest to the labels first;
//!           a label whose row no later wave can beat is not asked again
//! pieces    a segment is cut by labels; each piece is searched by one worker
//!             Merge   every page of the piece, once
//!             Seek    the page or two that the page index names for each label
//! winners   by time; rows of one time in several segments by tie columns, commit, row
//! fetch     the shown columns of the winners only
//! out       each left batch as it came, with its rows' winners
//! ```
//!
//! The answer is that of [`super::asof_join`]; see there what a winner is. An ASOF join distributes
//! over UNION ALL of its right side, so segments need no merge between them.
//!
//! # Contracts
//!
//! * **Nothing is required** of the left input: neither order nor distribution. Its order is kept.
//! * **The right side** is one table, filtered, projected or renamed, clustered by exactly the keys and
//!   then the time, in types that compare as integers (times, a single key) or as rows of bytes.
//!   Anything else, and kinds whose output has right rows that no label got, is the business of
//!   [`super::asof_join`].
//! * **Deleted and filtered rows** are no candidates: where they leave a page without one, the search
//!   goes on to the next.
//! * **Memory** is reserved for labels and what is shown for them. Where it ends, the labels come in
//!   turns, and the right side is read once for each turn.
//!
//! Start reading at `search.rs`, then `segment.rs`.

mod asked;
mod exec;
mod keys;
mod labels;
mod metrics;
mod pages;
mod search;
mod segment;
mod sort;
mod source;
mod spine;
mod stream;
mod sweep;
mod view;
mod winners;

pub use exec::AsofSearchExec;
pub use view::Mode;
