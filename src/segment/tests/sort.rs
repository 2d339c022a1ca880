//! The segment order, against a naive sort.

use std::cmp::Ordering;

use arrow::array::{AsArray, StringViewArray};
use arrow::datatypes::Float64Type;
use proptest::prelude::*;

use super::*;
use crate::spec::Value;

type Row = (Option<f64>, Option<String>, i64);

fn order(a: &Row, b: &Row) -> Ordering {
    let float = |f: &Option<f64>| f.map(|f| (f.is_nan(), if f.is_nan() { 0.0 } else { f }));
    let floats = match (float(&a.0), float(&b.0)) {
        (Some(a), Some(b)) => a.partial_cmp(&b).unwrap(),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    floats.then_with(|| a.1.as_deref().map(str::as_bytes).cmp(&b.1.as_deref().map(str::as_bytes)))
}

fn batch(schema: &TableSchema, rows: &[Row]) -> RecordBatch {
    let floats: Vec<_> = rows.iter().map(|r| r.0.map(Value::Float)).collect();
    let texts: StringViewArray = rows.iter().map(|r| r.1.as_deref()).collect();
    let tags: Int64Array = rows.iter().map(|r| Some(r.2)).collect();
    let floats = Value::array(&floats, &Type::Float8).unwrap();
    RecordBatch::try_new(schema.arrow(), vec![floats, Arc::new(texts), Arc::new(tags)]).unwrap()
}

fn nullable(columns: &[(&str, Type)]) -> Arc<TableSchema> {
    let mut schema = TableSchema::clone(&table(columns, 2));
    schema.columns.iter_mut().for_each(|c| c.not_null = false);
    Arc::new(schema)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_come_in_order_and_equal_rows_keep_theirs(
        picks in prop::collection::vec((0usize..9, 0usize..6), 0..60),
        cut in 0usize..60,
    ) {
        let floats = [None, Some(0.0), Some(-0.0), Some(f64::NAN), Some(-f64::NAN), Some(1.0),
            Some(-1.0), Some(f64::INFINITY), Some(f64::NEG_INFINITY)];
        let texts = [None, Some(""), Some("a"), Some("a\0"), Some("aaaaaaaaaaaa"), Some("é")];
        let schema = nullable(&[("f", Type::Float8), ("t", Type::Text), ("tag", Type::Int8)]);
        let mut rows: Vec<Row> = picks
            .iter()
            .enumerate()
            .map(|(i, (f, t))| (floats[*f], texts[*t].map(str::to_owned), i as i64))
            .collect();
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let batches = vec![batch(&schema, left), batch(&schema, right)];
        let sorted = sort_batches(&schema, batches).unwrap();
        let sorted = concat_batches(&schema.arrow(), &sorted).unwrap();
        rows.sort_by(order);
        let tags: Vec<i64> = rows.iter().map(|r| r.2).collect();
        let found = sorted.column(2).as_any().downcast_ref::<Int64Array>().unwrap();
        prop_assert_eq!(found.values().to_vec(), tags);
        // The values themselves are untouched: -0.0 stays -0.0.
        let bits: Vec<_> = rows.iter().map(|r| r.0.map(f64::to_bits)).collect();
        let found = sorted.column(0).as_primitive::<Float64Type>();
        let found: Vec<_> = found.iter().map(|f| f.map(f64::to_bits)).collect();
        prop_assert_eq!(found, bits);
    }

    #[test]
    fn integer_keys_take_the_short_way_to_the_same_order(
        keys in prop::collection::vec((any::<i64>().prop_map(|k| k % 4), -3i64..3), 1..60),
    ) {
        let schema = table(&[("k", Type::Int8), ("ts", Type::Timestamptz), ("tag", Type::Int8)], 2);
        let column = |f: &dyn Fn(usize) -> i64, t: &Type| {
            let values: Vec<_> = (0..keys.len()).map(|i| Some(Value::Int(f(i)))).collect();
            Value::array(&values, t).unwrap()
        };
        let columns = vec![
            column(&|i| keys[i].0, &Type::Int8),
            column(&|i| keys[i].1, &Type::Timestamptz),
            column(&|i| i as i64, &Type::Int8),
        ];
        let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
        let sorted = sort_batches(&schema, vec![batch]).unwrap();
        let mut expected: Vec<_> = keys.iter().zip(0i64..).collect();
        expected.sort();
        let expected: Vec<i64> = expected.into_iter().map(|(_, tag)| tag).collect();
        let found = sorted[0].column(2).as_any().downcast_ref::<Int64Array>().unwrap();
        prop_assert_eq!(found.values().to_vec(), expected);
    }
}

#[test]
fn sorted_rows_come_back_in_their_batches_and_hidden_columns_break_ties() {
    let (schema, batch) = events(3000, 7);
    let halves = vec![batch.slice(0, 1000), batch.slice(1000, 2000)];
    let sorted = sort_batches(&schema, halves.clone()).unwrap();
    assert_eq!(sorted, halves);

    let ints = |values: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    let hidden = |values: &[u64]| -> ArrayRef { Arc::new(UInt64Array::from(values.to_vec())) };
    let columns = [
        ("k", ints(&[1, 1, 1])),
        ("ts", ints(&[5, 5, 5])),
        ("v", ints(&[0, 1, 2])),
        (COMMIT_NAME, hidden(&[9, 8, 8])),
        (ROW_ID_NAME, hidden(&[1, 7, 6])),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let sorted = sort_batches(&schema, vec![batch]).unwrap();
    assert_eq!(sorted[0].column(2).as_ref(), &Int64Array::from(vec![2, 1, 0]));
}
