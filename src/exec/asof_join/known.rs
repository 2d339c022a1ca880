//! KNOWN AT: which right rows a left row may know of.
//!
//! Each right row is known in a period, each left row knows what was known at one moment. Among rows
//! in order, the nearest known one is found by walking back, over whole blocks of rows of which none
//! is known then. Of a block the union of its rows' periods is kept, which says exactly that: so the
//! walk takes a few steps a level, whatever came late, was corrected or removed, and an hour in which
//! a million rows were gone costs no more than any other.
//!
//! ```text
//! rows      [3,∞) [5,9) [6,∞) [8,∞) | [1,2) [9,∞) [2,4) [9,∞) | …
//! blocks    [3,∞)                   | [1,4) [9,∞)             | …
//! moment 4, from the end of what is shown: skips the second block, then walks to [3,∞)
//! ```

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::physical_expr::PhysicalExpr;

use crate::error::{Error, ErrorKind};
use crate::store::show_time;

type Expr = Arc<dyn PhysicalExpr>;

/// Right rows are known in [from, until); a left row sees those known at its moment.
#[derive(Clone, Debug)]
pub struct Known {
    /// Over the left input: the moment. NULL knows nothing.
    pub at: Expr,
    /// Over the right input: since when. NULL is never.
    pub from: Expr,
    /// Over the right input: until when; infinity is for ever, and so is every row without one.
    pub until: Option<Expr>,
    /// Before this nobody can tell what was known.
    pub floor: Option<KnownFloor>,
}

/// Where the history of a table begins that is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KnownFloor {
    /// µs since 1970-01-01 UTC.
    pub time_us: i64,
    /// The table.
    pub table: String,
}

/// Both ends included, in µs; an end that never comes is the greatest value.
#[derive(Clone, Copy)]
struct Period {
    from: i64,
    last: i64,
}

/// When the rows of a batch are known.
pub(super) struct Periods {
    rows: Vec<Period>,
    /// Blocks of [`FANOUT`] rows, then blocks of so many of these, and so on up to one.
    levels: Vec<Blocks>,
}

/// The unions of the periods of blocks, each disjoint and in order.
struct Blocks {
    /// Where each block's begin, and the end.
    starts: Vec<usize>,
    periods: Vec<Period>,
}

/// So many periods are in one block of the level above.
const FANOUT: usize = 32;

const NEVER: Period = Period { from: i64::MAX, last: i64::MIN };

impl Period {
    fn has(self, moment: i64) -> bool {
        self.from <= moment && moment <= self.last
    }
}

impl Known {
    /// The moment of each left row.
    ///
    /// # Errors
    /// SnapshotExpired for one before the floor.
    pub(super) fn moments(&self, at: &ArrayRef) -> Result<Vec<Option<i64>>> {
        let moments = micros(at)?;
        let floor = self.floor.as_ref();
        let lost = |moment: &i64| floor.is_some_and(|floor| *moment < floor.time_us);
        match (moments.iter().flatten().find(|moment| lost(moment)), floor) {
            (Some(lost), Some(floor)) => {
                Err(DataFusionError::External(Box::new(floor.error(*lost))))
            }
            _ => Ok(moments),
        }
    }

    /// The period of each right row.
    pub(super) fn periods(&self, from: &ArrayRef, until: Option<&ArrayRef>) -> Result<Periods> {
        let until = until.map(micros).transpose()?;
        let end = |row: usize| match until.as_ref().and_then(|until| until[row]) {
            None | Some(i64::MAX) => i64::MAX,
            Some(until) => until.saturating_sub(1),
        };
        let period = |(row, from): (usize, Option<i64>)| {
            from.map_or(NEVER, |from| Period { from, last: end(row) })
        };
        Ok(Periods::new(micros(from)?.into_iter().enumerate().map(period).collect()))
    }
}

impl KnownFloor {
    fn error(&self, moment: i64) -> Error {
        let KnownFloor { time_us, table } = self;
        let message = format!("what table \"{table}\" was at {} has expired", show_time(moment));
        let hint = format!("the earliest time that KNOWN AT can answer is {}", show_time(*time_us));
        Error::new(ErrorKind::SnapshotExpired, message).hint(hint)
    }
}

impl Blocks {
    fn of<'a>(parts: impl Iterator<Item = &'a [Period]>) -> Blocks {
        let mut blocks = Blocks { starts: vec![0], periods: Vec::new() };
        for part in parts {
            let mut sorted: Vec<Period> =
                part.iter().copied().filter(|p| p.from <= p.last).collect();
            sorted.sort_unstable_by_key(|period| period.from);
            let start = blocks.periods.len();
            for next in sorted {
                match blocks.periods[start..].last_mut() {
                    Some(last) if next.from <= last.last.saturating_add(1) => {
                        last.last = last.last.max(next.last);
                    }
                    _ => blocks.periods.push(next),
                }
            }
            blocks.starts.push(blocks.periods.len());
        }
        blocks
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn has(&self, block: usize, moment: i64) -> bool {
        let union = &self.periods[self.starts[block]..self.starts[block + 1]];
        let begun = union.partition_point(|period| period.from <= moment);
        begun > 0 && union[begun - 1].has(moment)
    }
}

impl Periods {
    fn new(rows: Vec<Period>) -> Periods {
        let mut levels: Vec<Blocks> = Vec::new();
        while levels.last().map_or(rows.len(), Blocks::len) > 1 {
            let level = match levels.last() {
                None => Blocks::of(rows.chunks(FANOUT)),
                Some(below) => Blocks::of((0..below.len()).step_by(FANOUT).map(|block| {
                    let end = (block + FANOUT).min(below.len());
                    &below.periods[below.starts[block]..below.starts[end]]
                })),
            };
            levels.push(level);
        }
        Periods { rows, levels }
    }

    /// The last of these rows that is known at a moment.
    pub(super) fn last_known(&self, rows: Range<usize>, moment: i64) -> Option<usize> {
        let mut end = rows.end;
        'next: while end > rows.start {
            let row = end - 1;
            let mut width = FANOUT.pow(self.levels.len() as u32);
            for level in self.levels.iter().rev() {
                if !level.has(row / width, moment) {
                    end = row / width * width;
                    continue 'next;
                }
                width /= FANOUT;
            }
            if self.rows[row].has(moment) {
                return Some(row);
            }
            end = row;
        }
        None
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        let blocks = |level: &Blocks| {
            level.periods.len() * size_of::<Period>() + level.starts.len() * size_of::<usize>()
        };
        self.rows.len() * size_of::<Period>() + self.levels.iter().map(blocks).sum::<usize>()
    }
}

/// Times as µs, earlier ones where they are finer; infinity stays infinity.
fn micros(times: &ArrayRef) -> Result<Vec<Option<i64>>> {
    let scaled: fn(i64) -> i64 = match times.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => |t| t.saturating_mul(1_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => |t| t.saturating_mul(1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => |t| t,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => |t| match t {
            i64::MIN | i64::MAX => t,
            t => t.div_euclid(1_000),
        },
        other => return internal_err!("KNOWN AT a moment of type {other}"),
    };
    let times = cast(times, &DataType::Int64)?;
    Ok(times.as_primitive::<Int64Type>().iter().map(|time| time.map(scaled)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn walking_over_blocks_is_walking(
            rows in proptest::collection::vec((0..40_i64, 0..12_i64), 1..3000),
            moment in 0..50_i64,
            ends in (0..3000_usize, 0..3000_usize),
        ) {
            let period = |(from, length): &(i64, i64)| match length {
                11 => NEVER,
                10 => Period { from: *from, last: i64::MAX },
                length => Period { from: *from, last: from + length - 1 },
            };
            let rows: Vec<Period> = rows.iter().map(period).collect();
            let (a, b) = (ends.0.min(rows.len()), ends.1.min(rows.len()));
            let range = a.min(b)..a.max(b);
            let naive = range.clone().rev().find(|row| rows[*row].has(moment));
            prop_assert_eq!(Periods::new(rows).last_known(range, moment), naive);
        }
    }
}
