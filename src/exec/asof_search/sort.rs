//! Labels in the order of their keys and times, sorted as integers by all workers.
//!
//! Where the span of keys and the span of times fit into 64 bits together, a label is one number: a
//! first pass throws it into a bucket by its leading bits, then workers sort bucket after bucket.

use arrow::array::BooleanArray;
use arrow::buffer::ScalarBuffer;
use datafusion::common::Result;
use datafusion::common::runtime::JoinSet;
use datafusion::error::DataFusionError;

/// Keys and times of one batch of labels, and which of them take part.
pub(super) struct Columns {
    /// None where there is no key.
    pub keys: Option<ScalarBuffer<i64>>,
    pub times: ScalarBuffer<i64>,
    pub eligible: Option<BooleanArray>,
}

/// Labels by key, then time.
#[derive(Default)]
pub(super) struct InOrder {
    pub keys: Vec<i64>,
    pub times: Vec<i64>,
    /// Each one's place among the labels as they came.
    pub places: Vec<u32>,
}

/// Bits that choose a bucket.
const BUCKET_BITS: u32 = 12;
/// Fewer labels than this are sorted where they are.
const SHARED_FROM: usize = 100_000;

/// What is common to all labels, subtracted so that the rest packs into few bits.
#[derive(Clone, Copy)]
struct Packing {
    key: i64,
    time: i64,
    time_bits: u32,
    bits: u32,
}

pub(super) async fn sort(columns: Vec<Columns>, workers: usize) -> Result<InOrder> {
    let Some(seen) = Seen::of(&columns) else { return Ok(InOrder::default()) };
    if seen.is_sorted {
        let mut all = InOrder::with_capacity(seen.labels);
        each(&columns, |key, time, place| all.push(key, time, place));
        return Ok(all);
    }
    let Some(packing) = seen.packing() else {
        let mut wide = Vec::with_capacity(seen.labels);
        each(&columns, |key, time, place| wide.push((key, time, place)));
        wide.sort_unstable_by_key(|(key, time, _)| (*key, *time));
        let mut all = InOrder::with_capacity(wide.len());
        wide.into_iter().for_each(|(key, time, place)| all.push(key, time, place));
        return Ok(all);
    };
    let shares = packing.scatter(&columns, if seen.labels < SHARED_FROM { 1 } else { workers });
    drop(columns);
    let mut tasks = JoinSet::new();
    let mut sorted: Vec<Option<InOrder>> = shares.iter().map(|_| None).collect();
    for (n, share) in shares.into_iter().enumerate() {
        // The others are put behind the first.
        let room = if n == 0 { seen.labels } else { share.labels.len() };
        tasks.spawn(async move { (n, share.sort(packing, room).await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (n, part) = done.map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))?;
        sorted[n] = Some(part);
    }
    let mut parts = sorted.into_iter().flatten();
    let mut all = parts.next().unwrap_or_default();
    for part in parts {
        all.keys.extend_from_slice(&part.keys);
        all.times.extend_from_slice(&part.times);
        all.places.extend_from_slice(&part.places);
    }
    Ok(all)
}

fn each(columns: &[Columns], mut label: impl FnMut(i64, i64, u32)) {
    let mut first = 0_u32;
    for Columns { keys, times, eligible } in columns {
        let key = |row: usize| keys.as_ref().map_or(0, |keys| keys[row]);
        match eligible {
            None => {
                (0..times.len()).for_each(|row| label(key(row), times[row], first + row as u32));
            }
            Some(eligible) => eligible
                .values()
                .set_indices()
                .for_each(|row| label(key(row), times[row], first + row as u32)),
        }
        first += times.len() as u32;
    }
}

/// What one look at all labels tells.
struct Seen {
    labels: usize,
    is_sorted: bool,
    keys: (i64, i64),
    times: (i64, i64),
}

impl Seen {
    fn of(columns: &[Columns]) -> Option<Seen> {
        let wide = (i64::MAX, i64::MIN);
        let mut seen = Seen { labels: 0, is_sorted: true, keys: wide, times: wide };
        let mut last = (i64::MIN, i64::MIN);
        each(columns, |key, time, _| {
            seen.labels += 1;
            seen.keys = (seen.keys.0.min(key), seen.keys.1.max(key));
            seen.times = (seen.times.0.min(time), seen.times.1.max(time));
            seen.is_sorted &= last <= (key, time);
            last = (key, time);
        });
        (seen.labels > 0).then_some(seen)
    }

    fn packing(&self) -> Option<Packing> {
        let bits = |(min, max): (i64, i64)| u64::BITS - max.abs_diff(min).leading_zeros();
        let (key_bits, time_bits) = (bits(self.keys), bits(self.times));
        let bits = key_bits + time_bits;
        let fits = bits <= u64::BITS && time_bits < u64::BITS;
        fits.then_some(Packing { key: self.keys.0, time: self.times.0, time_bits, bits })
    }
}

/// What one worker sorts: whole buckets, one behind the other.
struct Share {
    labels: Vec<(u64, u32)>,
    /// Where each bucket ends.
    ends: Vec<usize>,
}

impl Packing {
    fn pack(&self, key: i64, time: i64) -> u64 {
        key.abs_diff(self.key) << self.time_bits | time.abs_diff(self.time)
    }

    fn unpack(&self, packed: u64) -> (i64, i64) {
        let time = packed & ((1 << self.time_bits) - 1);
        let key = packed >> self.time_bits;
        (self.key.wrapping_add(key as i64), self.time.wrapping_add(time as i64))
    }

    fn bucket(&self, packed: u64) -> usize {
        (packed >> self.bits.saturating_sub(BUCKET_BITS)) as usize
    }

    /// Buckets of labels, in order, in about equal shares.
    fn scatter(&self, columns: &[Columns], shares: usize) -> Vec<Share> {
        let mut counts = vec![0_usize; 1 << BUCKET_BITS];
        each(columns, |key, time, _| counts[self.bucket(self.pack(key, time))] += 1);
        let total: usize = counts.iter().sum();
        let fair = total.div_ceil(shares.max(1));
        let mut out: Vec<Share> = Vec::new();
        // For each bucket, its share and the place of its next label there.
        let mut next = Vec::with_capacity(counts.len());
        let mut filled = fair;
        for count in counts {
            if filled >= fair {
                out.push(Share { labels: Vec::new(), ends: Vec::new() });
                filled = 0;
            }
            next.push((out.len() - 1, filled));
            filled += count;
            let share = out.last_mut().expect("pushed above");
            share.ends.push(filled);
        }
        for share in &mut out {
            share.labels = vec![(0, 0); share.ends.last().copied().unwrap_or(0)];
        }
        each(columns, |key, time, place| {
            let packed = self.pack(key, time);
            let (share, at) = &mut next[self.bucket(packed)];
            out[*share].labels[*at] = (packed, place);
            *at += 1;
        });
        out
    }
}

impl Share {
    async fn sort(mut self, packing: Packing, room: usize) -> InOrder {
        let mut start = 0;
        for (n, end) in self.ends.iter().enumerate() {
            self.labels[start..*end].sort_unstable_by_key(|(packed, _)| *packed);
            start = *end;
            if n % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        let mut sorted = InOrder::with_capacity(room);
        for (packed, place) in self.labels {
            let (key, time) = packing.unpack(packed);
            sorted.push(key, time, place);
        }
        sorted
    }
}

impl InOrder {
    fn with_capacity(labels: usize) -> InOrder {
        InOrder {
            keys: Vec::with_capacity(labels),
            times: Vec::with_capacity(labels),
            places: Vec::with_capacity(labels),
        }
    }

    fn push(&mut self, key: i64, time: i64, place: u32) {
        self.keys.push(key);
        self.times.push(time);
        self.places.push(place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(batches: Vec<Vec<(i64, i64)>>) -> Vec<(i64, i64)> {
        let columns = batches.iter().map(|batch| Columns {
            keys: Some(batch.iter().map(|label| label.0).collect()),
            times: batch.iter().map(|label| label.1).collect(),
            eligible: None,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(sort(columns.collect(), 3)).unwrap();
        let all: Vec<_> = batches.into_iter().flatten().collect();
        for (at, place) in found.places.iter().enumerate() {
            assert_eq!(all[*place as usize], (found.keys[at], found.times[at]));
        }
        found.keys.into_iter().zip(found.times).collect()
    }

    fn label() -> impl Strategy<Value = (i64, i64)> {
        (prop_oneof![0..5i64, any::<i64>()], prop_oneof![-3..3i64, any::<i64>()])
    }

    proptest! {
        #[test]
        fn sorts_by_key_then_time_however_far_apart(
            batches in prop::collection::vec(prop::collection::vec(label(), 0..20), 0..4),
        ) {
            let mut expected: Vec<_> = batches.concat();
            expected.sort_unstable();
            prop_assert_eq!(sorted(batches), expected);
        }

        #[test]
        fn sorts_what_packs_into_one_number(
            batches in prop::collection::vec(
                prop::collection::vec((-50..50i64, -1_000_000_000..1_000_000_000i64), 0..200), 0..4),
        ) {
            let mut expected: Vec<_> = batches.concat();
            expected.sort_unstable();
            prop_assert_eq!(sorted(batches), expected);
        }
    }
}
