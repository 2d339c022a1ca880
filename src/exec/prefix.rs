//! Where a condition that holds for a prefix of sorted rows stops to hold.

use std::ops::Range;

/// The first place of the range for which `holds` does not; its end where there is none.
pub fn first_not(range: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// The same, found by doubling steps from the start: for a place that is likely near.
pub fn gallop(range: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut step) = (range.start, 1);
    while low < range.end && holds(low) {
        let next = low + step;
        if next >= range.end || !holds(next) {
            return first_not(low + 1..next.min(range.end), holds);
        }
        low = next;
        step *= 2;
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_find_every_end_of_every_range() {
        for end in 0..40 {
            for start in 0..=end {
                for limit in 0..=end + 1 {
                    let expected = limit.clamp(start, end);
                    assert_eq!(first_not(start..end, |at| at < limit), expected);
                    assert_eq!(gallop(start..end, |at| at < limit), expected);
                }
            }
        }
    }
}
