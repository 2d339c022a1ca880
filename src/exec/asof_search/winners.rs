//! Each label's nearest row so far, over all sources.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;

use super::segment::Nearest;
use super::source::Sources;
use super::sweep::Direction;

/// A row of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub source: u32,
    pub position: u32,
}

/// The place of a label's row where it has none: there is no such position in any file.
const NOWHERE: Place = Place { source: u32::MAX, position: u32::MAX };

/// One for each sorted label.
pub(super) struct Winners {
    direction: Direction,
    pub times: Vec<i64>,
    /// [`NOWHERE`] where there is none yet.
    places: Vec<Place>,
    /// Rows of other sources at the same time as the winner.
    tied: HashMap<u32, Vec<Place>>,
}

impl Winners {
    pub(super) fn new(labels: usize, direction: Direction) -> Winners {
        let (times, places) = (vec![0; labels], vec![NOWHERE; labels]);
        Winners { direction, times, places, tied: HashMap::new() }
    }

    /// Takes what is nearer.
    pub(super) fn offer(&mut self, source: u32, nearest: &Nearest) {
        for hit in &nearest.hits {
            let (label, at) = (&hit.label, hit.label as usize);
            let place = Place { source, position: hit.position };
            let order = match (self.places[at], self.direction.forward) {
                (NOWHERE, _) => Ordering::Greater,
                (_, false) => hit.time.cmp(&self.times[at]),
                (_, true) => self.times[at].cmp(&hit.time),
            };
            match order {
                Ordering::Less => {}
                Ordering::Equal => self.tied.entry(*label).or_default().push(place),
                Ordering::Greater => {
                    (self.times[at], self.places[at]) = (hit.time, place);
                    if !self.tied.is_empty() {
                        self.tied.remove(label);
                    }
                }
            }
        }
    }

    /// Where a label's row is.
    pub(super) fn place(&self, label: usize) -> Option<Place> {
        Some(self.places[label]).filter(|place| *place != NOWHERE)
    }

    /// The label has no row after all.
    pub(super) fn reject(&mut self, label: usize) {
        self.places[label] = NOWHERE;
    }

    /// Whether no row that reaches only so far towards the labels can be nearer than this one's.
    pub(super) fn is_settled(&self, label: u32, reach: i64) -> bool {
        let (time, place) = (self.times[label as usize], self.places[label as usize]);
        place != NOWHERE && if self.direction.forward { time < reach } else { time > reach }
    }

    /// Among rows of one time the last wins: by the table's tie columns, then commit, then row.
    pub(super) fn break_ties(&mut self, sources: &Sources) -> Result<()> {
        if self.tied.is_empty() {
            return Ok(());
        }
        let mut asked: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (label, places) in &self.tied {
            let first = self.places[*label as usize];
            for place in places.iter().copied().chain([first]) {
                asked.entry(place.source).or_default().push(u64::from(place.position));
            }
        }
        let (mut columns, mut starts): (Vec<Vec<ArrayRef>>, _) = (Vec::new(), HashMap::new());
        let mut rows = 0;
        for (source, positions) in &mut asked {
            positions.sort_unstable();
            positions.dedup();
            columns.push(sources.ties(*source, positions)?);
            starts.insert(*source, rows);
            rows += positions.len();
        }
        let options = SortOptions { descending: false, nulls_first: true };
        let fields = columns[0]
            .iter()
            .map(|column| SortField::new_with_options(column.data_type().clone(), options));
        let converter = RowConverter::new(fields.collect())?;
        let mut ranks = converter.empty_rows(rows, 0);
        columns.iter().try_for_each(|columns| converter.append(&mut ranks, columns))?;
        let rank = |place: &Place| {
            let at = asked[&place.source].binary_search(&u64::from(place.position));
            ranks.row(starts[&place.source] + at.expect("every tied place was asked for"))
        };
        for (label, places) in &self.tied {
            let first = self.places[*label as usize];
            let best = places.iter().copied().chain([first]).max_by(|a, b| rank(a).cmp(&rank(b)));
            self.places[*label as usize] = best.unwrap_or(first);
        }
        self.tied.clear();
        Ok(())
    }
}
