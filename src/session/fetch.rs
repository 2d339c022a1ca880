//! What FETCH and MOVE mean: from where a cursor stands to the rows it gives and where it stands then.

use crate::parse::FetchDirection;

/// Where a cursor stands: 0 before the first row, n on row n, one more than there are after the last.
pub(super) type Place = u64;

/// Rows to give, by number from 1, and where the cursor stands afterwards. Numbers are bounded by the
/// rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The lowest row given.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// From the highest to the lowest.
    pub backward: bool,
    pub then: Place,
}

/// How many rows must be known before [`step`] can tell; None for all of them.
pub(super) fn needed(direction: FetchDirection, at: Place) -> Option<u64> {
    match direction {
        FetchDirection::Absolute(n) if n < 0 => None,
        FetchDirection::Absolute(n) => Some(n.unsigned_abs()),
        FetchDirection::Relative(n) => Some(at.saturating_add_signed(n)),
        FetchDirection::Forward(None) => None,
        FetchDirection::Forward(Some(n)) => Some(at.saturating_add_signed(n)),
        FetchDirection::Backward(Some(n)) => Some(at.saturating_add_signed(n.saturating_neg())),
        FetchDirection::Backward(None) => Some(0),
    }
}

/// What a direction gives from a place, where `rows` are known: all there are, or as many as
/// [`needed`] says.
pub(super) fn step(direction: FetchDirection, at: Place, rows: u64) -> Step {
    match direction {
        FetchDirection::Absolute(n) if n < 0 => {
            single((rows + 1).saturating_sub(n.unsigned_abs()), rows)
        }
        FetchDirection::Absolute(n) => single(n.unsigned_abs(), rows),
        FetchDirection::Relative(n) => single(at.saturating_add_signed(n), rows),
        FetchDirection::Forward(None) => forward(u64::MAX, at, rows),
        FetchDirection::Backward(None) => backward(u64::MAX, at),
        FetchDirection::Forward(Some(0)) | FetchDirection::Backward(Some(0)) => single(at, rows),
        FetchDirection::Forward(Some(n)) if n > 0 => forward(n.unsigned_abs(), at, rows),
        FetchDirection::Forward(Some(n)) => backward(n.unsigned_abs(), at),
        FetchDirection::Backward(Some(n)) if n > 0 => backward(n.unsigned_abs(), at),
        FetchDirection::Backward(Some(n)) => forward(n.unsigned_abs(), at, rows),
    }
}

fn single(row: u64, rows: u64) -> Step {
    let there = (1..=rows).contains(&row);
    Step { first: row, count: there.into(), backward: false, then: row.min(rows + 1) }
}

fn forward(n: u64, at: Place, rows: u64) -> Step {
    let last = at.saturating_add(n);
    let count = last.min(rows).saturating_sub(at);
    Step { first: at + 1, count, backward: false, then: last.min(rows + 1) }
}

fn backward(n: u64, at: Place) -> Step {
    let then = at.saturating_sub(n);
    let first = then.max(1);
    Step { first, count: at.saturating_sub(first), backward: true, then }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Row by row, as a cursor over a list would walk.
    fn walked(direction: FetchDirection, at: Place, rows: u64) -> (Vec<u64>, Place) {
        let last = rows as i64 + 1;
        let mut place = at as i64;
        let mut given = Vec::new();
        let to = |target: i64| {
            let there = (1..last).contains(&target);
            (if there { vec![target as u64] } else { vec![] }, target.clamp(0, last) as u64)
        };
        let (way, mut left) = match direction {
            FetchDirection::Absolute(n) if n < 0 => return to(last + n),
            FetchDirection::Absolute(n) => return to(n),
            FetchDirection::Relative(n) => return to(place + n),
            FetchDirection::Forward(Some(0)) | FetchDirection::Backward(Some(0)) => {
                return to(place);
            }
            FetchDirection::Forward(n) => (n.map_or(1, i64::signum), n.map_or(last + 1, i64::abs)),
            FetchDirection::Backward(n) => {
                (-n.map_or(1, i64::signum), n.map_or(last + 1, i64::abs))
            }
        };
        while left > 0 {
            left -= 1;
            place = (place + way).clamp(0, last);
            if place == 0 || place == last {
                break;
            }
            given.push(place as u64);
        }
        (given, place as u64)
    }

    fn direction() -> impl Strategy<Value = FetchDirection> {
        prop_oneof![
            (-9..9i64).prop_map(FetchDirection::Absolute),
            (-9..9i64).prop_map(FetchDirection::Relative),
            proptest::option::of(-9..9i64).prop_map(FetchDirection::Forward),
            proptest::option::of(-9..9i64).prop_map(FetchDirection::Backward),
        ]
    }

    proptest! {
        #[test]
        fn a_cursor_goes_where_one_step_after_the_other_goes(
            rows in 0..7u64,
            directions in proptest::collection::vec(direction(), 1..12),
        ) {
            let mut at = 0;
            for direction in directions {
                let known = needed(direction, at).map_or(rows, |needed| needed.min(rows));
                let step = step(direction, at, known);
                let mut given: Vec<u64> = (step.first..step.first + step.count).collect();
                if step.backward {
                    given.reverse();
                }
                prop_assert_eq!((given, step.then), walked(direction, at, rows), "{:?}", direction);
                at = step.then;
            }
        }
    }
}
