//! Stretches of lines: what one version has and another lacks, and since when a branch has it.

use crate::spec::{CommitId, LineRange};
use crate::store::table::UNCOMMITTED;

/// The parts of `ranges` that are not in `others`.
pub(in crate::store) fn without(ranges: &[LineRange], others: &[LineRange]) -> Vec<LineRange> {
    let mut rest = ranges.to_vec();
    for other in others {
        rest = rest.into_iter().flat_map(|range| cut(range, other)).collect();
    }
    rest
}

/// The parts of `ranges` that are in `others` too.
pub(in crate::store) fn within(ranges: &[LineRange], others: &[LineRange]) -> Vec<LineRange> {
    let pairs = ranges.iter().flat_map(|range| others.iter().map(move |other| (range, other)));
    pairs.filter_map(|(range, other)| common(range, other)).collect()
}

/// `ranges`, where each part that a version of `known` has keeps its `since` there, and the rest is
/// taken over now.
pub(super) fn stamped(ranges: &[LineRange], known: &[&[LineRange]]) -> Vec<LineRange> {
    let mut rest = ranges.to_vec();
    let mut found = Vec::new();
    for known in known {
        for there in *known {
            let parts = rest.iter().filter_map(|range| common(range, there));
            found.extend(parts.map(|part| LineRange { since: there.since, ..part }));
        }
        rest = without(&rest, known);
    }
    found.extend(rest.into_iter().map(|range| LineRange { since: Some(UNCOMMITTED), ..range }));
    joined(found)
}

/// Neighbours of one line and one `since` as one range, in the order of commits.
pub(super) fn joined(mut ranges: Vec<LineRange>) -> Vec<LineRange> {
    ranges.sort_by_key(|range| (range.from, range.line));
    let mut kept: Vec<LineRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let before = kept.iter_mut().find(|before| {
            before.line == range.line
                && before.since == range.since
                && before.to.0 + 1 == range.from.0
        });
        match before {
            Some(before) => before.to = range.to,
            None => kept.push(range),
        }
    }
    kept
}

fn common(a: &LineRange, b: &LineRange) -> Option<LineRange> {
    let (from, to) = (a.from.max(b.from), a.to.min(b.to));
    (a.line == b.line && from <= to).then_some(LineRange { from, to, ..*a })
}

fn cut(range: LineRange, other: &LineRange) -> Vec<LineRange> {
    let Some(part) = common(&range, other) else { return vec![range] };
    let mut rest = Vec::with_capacity(2);
    if range.from < part.from {
        rest.push(LineRange { to: CommitId(part.from.0 - 1), ..range });
    }
    if part.to < range.to {
        rest.push(LineRange { from: CommitId(part.to.0 + 1), ..range });
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::LineId;

    fn range(line: u64, from: u64, to: u64, since: Option<u64>) -> LineRange {
        let since = since.map(CommitId);
        LineRange { line: LineId(line), from: CommitId(from), to: CommitId(to), since }
    }

    #[test]
    fn a_range_is_cut_where_another_begins_and_ends() {
        let all = [range(1, 2, 9, None), range(2, 4, 6, None)];
        let rest = without(&all, &[range(1, 4, 5, None), range(2, 1, 8, None)]);
        assert_eq!(rest, [range(1, 2, 3, None), range(1, 6, 9, None)]);
        assert_eq!(within(&all, &[range(1, 8, 20, None)]), [range(1, 8, 9, None)]);
    }

    #[test]
    fn what_is_known_keeps_its_time_and_the_rest_is_taken_over_now() {
        let now = Some(UNCOMMITTED.0);
        let known = [range(1, 2, 4, None), range(1, 5, 6, Some(7))];
        let found = stamped(&[range(1, 2, 9, Some(3)), range(3, 1, 1, None)], &[&known]);
        let wanted = [
            range(3, 1, 1, now),
            range(1, 2, 4, None),
            range(1, 5, 6, Some(7)),
            range(1, 7, 9, now),
        ];
        assert_eq!(found, wanted);
        let neighbours = vec![range(1, 5, 6, None), range(1, 2, 4, None)];
        assert_eq!(joined(neighbours), [range(1, 2, 6, None)]);
    }
}
