//! Look-ups by key: ranks against counting, filters against the keys they were given.

use arrow::array::{AsArray, StringViewArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::*;
use crate::spec::Value;
use crate::spec::key::KeyEncoder;

fn ints(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_rank_is_a_count(
        per_key in prop::sample::select(vec![1i64, 3, 700, 5000]),
        probes in prop::collection::vec((-1i64..3001, -5i64..10_000), 1..30),
        both in any::<bool>(),
    ) {
        let folder = Folder::new();
        let (schema, batch) = events(3000, per_key);
        let segment = folder.open(&folder.write(spec(&schema), std::slice::from_ref(&batch))).unwrap();
        let key = |c: usize| batch.column(c).as_primitive::<Int64Type>().values().to_vec();
        let (ks, tss) = (key(0), key(1));
        let rows: Vec<Vec<i64>> = (0..3000)
            .map(|i| if both { vec![ks[i], tss[i]] } else { vec![ks[i]] })
            .collect();
        let probes: Vec<Vec<i64>> = probes
            .iter()
            .map(|(k, ts)| {
                let k = k % (3000 / per_key + 2);
                if both { vec![k, ts / 10 * 5] } else { vec![k] }
            })
            .collect();
        let columns: Vec<ArrayRef> = (0..if both { 2 } else { 1 })
            .map(|c| ints(probes.iter().map(|p| p[c]).collect()))
            .collect();
        let count = |f: &dyn Fn(&Vec<i64>) -> bool| rows.iter().filter(|r| f(r)).count() as u64;
        let before: Vec<u64> = probes.iter().map(|p| count(&|r| r < p)).collect();
        let after: Vec<u64> = probes.iter().map(|p| count(&|r| r <= p)).collect();
        prop_assert_eq!(&segment.rank(&schema, &columns, Side::Before).unwrap(), &before);
        prop_assert_eq!(&segment.rank(&schema, &columns, Side::After).unwrap(), &after);
        let found = segment.find(&schema, &columns).unwrap();
        let expected: Vec<_> = before.into_iter().zip(after).map(|(b, a)| b..a).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn text_keys_longer_than_their_bounds_are_found() {
    let folder = Folder::new();
    let schema = table(&[("k", Type::Text), ("v", Type::Int8)], 1);
    // All alike in the 64 bytes that bounds keep.
    let text = |i: i64| format!("{}{:05}", "p".repeat(80), i * 2);
    let keys: StringViewArray = (0..2500).map(|i| Some(text(i))).collect();
    let values: Int64Array = (0..2500).map(Some).collect();
    let batch =
        RecordBatch::try_new(schema.arrow(), vec![Arc::new(keys), Arc::new(values)]).unwrap();
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();
    let probe =
        |texts: Vec<String>| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(texts)) };
    let all = probe((0..2500).map(text).collect());
    let expected: Vec<_> = (0..2500).map(|i| i..i + 1).collect();
    assert_eq!(segment.find(&schema, &[all]).unwrap(), expected);
    let missing = probe(vec!["p".into(), format!("{}00001", "p".repeat(80)), "q".into()]);
    assert_eq!(segment.find(&schema, &[missing]).unwrap(), [0..0, 1..1, 2500..2500]);
}

#[test]
fn floats_with_both_zeros_and_nan_are_found() {
    let folder = Folder::new();
    let schema = table(&[("k", Type::Float8), ("v", Type::Int8)], 1);
    let mut floats = vec![-1.0; 600];
    floats.extend((0..600).map(|i| if i % 2 == 0 { 0.0 } else { -0.0 }));
    floats.extend(vec![2.0; 600]);
    floats.extend((0..600).map(|i| if i % 2 == 0 { f64::NAN } else { -f64::NAN }));
    let column = |floats: &[f64]| {
        let values: Vec<_> = floats.iter().map(|f| Some(Value::Float(*f))).collect();
        Value::array(&values, &Type::Float8).unwrap()
    };
    let values = ints((0..2400).collect());
    let batch = RecordBatch::try_new(schema.arrow(), vec![column(&floats), values]).unwrap();
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();
    let probes = column(&[-0.0, f64::NAN, 2.0, f64::INFINITY, -2.0]);
    let found = segment.find(&schema, &[probes]).unwrap();
    assert_eq!(found, [600..1200, 1800..2400, 1200..1800, 1800..1800, 0..0]);
}

#[test]
fn ties_may_be_null_and_come_first() {
    let folder = Folder::new();
    let mut schema = TableSchema::clone(&table(&[("k", Type::Int8), ("seq", Type::Int8)], 1));
    schema.ties = ids(&[2]);
    schema.primary_key = None;
    let schema = Arc::new(schema);
    let seq: Int64Array = (0..3000).map(|i| (i >= 1400).then_some(i)).collect();
    let batch = RecordBatch::try_new(schema.arrow(), vec![ints(vec![5; 3000]), Arc::new(seq)]);
    let meta = folder.write(spec(&schema), &[batch.unwrap()]);
    assert_eq!((meta.keys.is_none(), meta.order.len()), (true, 2));
    let segment = folder.open(&meta).unwrap();
    let probes: ArrayRef =
        Arc::new(Int64Array::from(vec![None, Some(1399), Some(1400), Some(2999)]));
    let found = segment.find(&schema, &[ints(vec![5; 4]), probes]).unwrap();
    assert_eq!(found, [0..1400, 1400..1400, 1400..1401, 2999..3000]);
}

#[test]
fn key_filters_know_their_keys_and_few_others() {
    let folder = Folder::new();
    let (schema, batch) = events(20_000, 4);
    let segment = folder.open(&folder.write(spec(&schema), std::slice::from_ref(&batch))).unwrap();
    let filter = segment.key_filter(&schema, &ids(&[1, 2])).unwrap().unwrap();
    assert_eq!(filter.keys(), 20_000);
    let encoder = KeyEncoder::new(&[Type::Int8, Type::Int8]).unwrap();
    let own = encoder.encode(&batch.columns()[..2]).unwrap();
    assert!(own.iter().all(|key| filter.may_contain(key).unwrap()));
    let others = [ints((0..20_000).collect()), ints(vec![1; 20_000])];
    let others = encoder.encode(&others).unwrap();
    let wrong = others.iter().filter(|key| filter.may_contain(key).unwrap()).count();
    assert!(wrong < 300, "{wrong} of 20000 keys wrongly kept");
    assert!(segment.key_filter(&schema, &ids(&[1])).unwrap().is_none());

    // Another width of integer asks the same filter, another type cannot.
    let mut later = TableSchema::clone(&schema);
    later.columns[0].data_type = Type::Numeric(20, 0);
    assert!(segment.key_filter(&later, &ids(&[1, 2])).unwrap().is_none());
    later.columns[0].data_type = Type::Int4;
    assert!(segment.key_filter(&later, &ids(&[1, 2])).unwrap().is_some());
}

#[test]
fn scans_and_look_ups_run_on_any_thread() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    sent::<Scan>();
    sent::<SegmentWriter>();
    shared::<Segment>();
    shared::<KeyFilter>();
    let folder = Folder::new();
    let (schema, batch) = events(6000, 4);
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();
    let projection = Projection::new(schema, ids(&[1, 3]));
    std::thread::scope(|scope| {
        for part in segment.split(4) {
            let (segment, projection) = (segment.clone(), projection.clone());
            scope.spawn(move || {
                let mut request = ScanRequest::new(projection.clone());
                request.rows = Some(part.clone());
                let scanned = scan_all(&segment, request).unwrap();
                let taken = segment.take(&projection, &part.collect::<Vec<_>>()).unwrap();
                assert_eq!(scanned, taken);
            });
        }
    });
}

#[test]
fn look_ups_stay_within_the_cache_budget() {
    let folder = Folder::new();
    let (schema, batch) = events(20_000, 4);
    let meta = Arc::new(folder.write(spec(&schema), &[batch]));
    let cache = Cache::new(200_000, 70_000);
    let segment = Segment::open(&folder.vfs, meta, &cache).unwrap();
    let projection = Projection::new(schema.clone(), ids(&[1, 2, 3]));
    for start in 0..39 {
        let positions: Vec<u64> = (start * 512..start * 512 + 3).collect();
        let taken = segment.take(&projection, &positions).unwrap();
        assert_eq!(taken.num_rows(), 3);
    }
    let (pages, keys) = cache.bytes();
    assert!(pages > 0 && pages <= 200_000 && keys <= 70_000, "{pages} {keys}");
}
