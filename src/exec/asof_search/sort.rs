//! Labels in the order of their keys and times, sorted as integers by all workers.
//!
//! Where the span of keys and the span of times fit into 64 bits together, a label is one number. Each
//! worker has a share of the buckets that its leading bits choose: it takes those labels out of all, and
//! sorts bucket after bucket.

use std::sync::Arc;

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
/// Bits that labels of one bucket are told apart by at once.
const DIGIT_BITS: u32 = 8;
/// So many labels are sorted by comparing them.
const COMPARED_MAX: usize = 64;
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
    let shares = packing.shares(&columns, if seen.labels < SHARED_FROM { 1 } else { workers });
    let columns: Arc<[Columns]> = columns.into();
    let mut tasks = JoinSet::new();
    let mut sorted: Vec<Option<InOrder>> = shares.iter().map(|_| None).collect();
    for (n, share) in shares.into_iter().enumerate() {
        // The others are put behind the first.
        let room = if n == 0 { seen.labels } else { share.labels() };
        let columns = Arc::clone(&columns);
        tasks.spawn(async move { (n, share.sort(&columns, packing, room).await) });
    }
    drop(columns);
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

/// What one worker sorts: some buckets, one behind the other.
struct Share {
    first_bucket: usize,
    /// Where each bucket begins, and where the last one ends.
    bounds: Vec<usize>,
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

    /// The buckets, in order, in about equal shares.
    fn shares(&self, columns: &[Columns], shares: usize) -> Vec<Share> {
        let mut counts = vec![0_usize; 1 << BUCKET_BITS];
        each(columns, |key, time, _| counts[self.bucket(self.pack(key, time))] += 1);
        let fair = counts.iter().sum::<usize>().div_ceil(shares.max(1));
        let mut out: Vec<Share> = Vec::new();
        for (bucket, count) in counts.into_iter().enumerate() {
            if out.last().is_none_or(|share| share.labels() >= fair) {
                out.push(Share { first_bucket: bucket, bounds: vec![0] });
            }
            let share = out.last_mut().expect("pushed above");
            share.bounds.push(share.labels() + count);
        }
        out
    }
}

impl Share {
    fn labels(&self) -> usize {
        self.bounds.last().copied().unwrap_or(0)
    }

    async fn sort(self, columns: &[Columns], packing: Packing, room: usize) -> InOrder {
        let mut labels = vec![(0_u64, 0_u32); self.labels()];
        // The place of each bucket's next label.
        let mut next = self.bounds[..self.bounds.len() - 1].to_vec();
        each(columns, |key, time, place| {
            let packed = packing.pack(key, time);
            let bucket = packing.bucket(packed).checked_sub(self.first_bucket);
            if let Some(next) = bucket.and_then(|bucket| next.get_mut(bucket)) {
                labels[*next] = (packed, place);
                *next += 1;
            }
        });
        let largest = self.bounds.windows(2).map(|bucket| bucket[1] - bucket[0]).max();
        let mut scratch = vec![(0_u64, 0_u32); largest.unwrap_or(0)];
        let bits = packing.bits.saturating_sub(BUCKET_BITS);
        for (n, bucket) in self.bounds.windows(2).enumerate() {
            sort_packed(&mut labels[bucket[0]..bucket[1]], &mut scratch, bits);
            if n % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        let mut sorted = InOrder::with_capacity(room);
        for (packed, place) in labels {
            let (key, time) = packing.unpack(packed);
            sorted.push(key, time, place);
        }
        sorted
    }
}

/// Sorts labels that differ in their last `bits` bits only, by eight bits after eight until few are left.
fn sort_packed(labels: &mut [(u64, u32)], scratch: &mut [(u64, u32)], bits: u32) {
    if labels.len() <= COMPARED_MAX || bits == 0 {
        labels.sort_unstable_by_key(|(packed, _)| *packed);
        return;
    }
    let rest = bits.saturating_sub(DIGIT_BITS);
    let digit = |packed: u64| (packed >> rest) as usize % (1 << DIGIT_BITS);
    let mut ends = [0_usize; 1 << DIGIT_BITS];
    labels.iter().for_each(|(packed, _)| ends[digit(*packed)] += 1);
    let mut end = 0;
    for count in &mut ends {
        (*count, end) = (end, end + *count);
    }
    for label in labels.iter() {
        let at = &mut ends[digit(label.0)];
        scratch[*at] = *label;
        *at += 1;
    }
    labels.copy_from_slice(&scratch[..labels.len()]);
    let mut start = 0;
    for end in ends {
        if end - start > 1 {
            sort_packed(&mut labels[start..end], scratch, rest);
        }
        start = end;
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

        /// One label far off, so that all others are in one bucket.
        #[test]
        fn sorts_a_bucket_of_many(
            near in prop::collection::vec((0..3i64, 0..100_000i64), 0..900), far in 20..50_u32,
        ) {
            let batches = vec![near, vec![(0, 1 << far)]];
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
