//! Random columns of every type, for property tests of whatever reads and writes them.

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::IntervalMonthDayNano;
use proptest::prelude::*;
use std::sync::Arc;

use super::Type;

/// One type of every kind, with the parameters that matter.
pub(crate) fn types() -> Vec<Type> {
    let mut types = vec![
        Type::Bool,
        Type::Int2,
        Type::Int4,
        Type::Int8,
        Type::Float4,
        Type::Float8,
        Type::Numeric(38, 10),
        Type::Numeric(5, 0),
        Type::Numeric(9, 9),
        Type::Text,
        Type::Varchar(None),
        Type::Varchar(Some(12)),
        Type::Char(12),
        Type::Bytea,
        Type::Date,
        Type::Time,
        Type::Timestamp,
        Type::Timestamptz,
        Type::Interval,
        Type::Uuid,
        Type::Json,
        Type::Jsonb,
    ];
    let arrays = types.iter().map(|item| Type::Array(Box::new(item.clone()))).collect::<Vec<_>>();
    types.extend(arrays);
    types
}

/// A type and a column of it, at most 20 rows, some NULL.
pub(crate) fn columns() -> impl Strategy<Value = (Type, ArrayRef)> {
    let seeds = prop::collection::vec((any::<u64>(), 0..5u8), 0..20);
    (prop::sample::select(types()), seeds).prop_map(|(data_type, seeds)| {
        let seeds: Vec<Option<u64>> =
            seeds.into_iter().map(|(seed, null)| (null > 0).then_some(seed)).collect();
        let array = column(&data_type, &seeds);
        (data_type, array)
    })
}

/// A column with a value of the type for every seed.
pub(crate) fn column(data_type: &Type, seeds: &[Option<u64>]) -> ArrayRef {
    fn all<T>(seeds: &[Option<u64>], value: impl Fn(u64) -> T) -> impl Iterator<Item = Option<T>> {
        seeds.iter().map(move |seed| seed.map(&value))
    }
    let narrow = |seed: u64| (seed as i64) >> (seed % 61);
    match data_type {
        Type::Bool => Arc::new(BooleanArray::from_iter(all(seeds, |s| s % 2 == 0))),
        Type::Int2 => Arc::new(Int16Array::from_iter(all(seeds, |s| s as i16))),
        Type::Int4 => Arc::new(Int32Array::from_iter(all(seeds, |s| narrow(s) as i32))),
        Type::Int8 => Arc::new(Int64Array::from_iter(all(seeds, narrow))),
        Type::Float4 => Arc::new(Float32Array::from_iter(all(seeds, |s| float(s) as f32))),
        Type::Float8 => Arc::new(Float64Array::from_iter(all(seeds, float))),
        Type::Numeric(p, s) => {
            let limit = 10i128.pow((*p).into());
            let value = |seed| i128::from(narrow(seed)) * i128::from(seed % 1_000_003) % limit;
            let array = Decimal128Array::from_iter(all(seeds, value));
            Arc::new(array.with_precision_and_scale(*p, *s).expect("values are within the limit"))
        }
        Type::Text | Type::Varchar(_) | Type::Char(_) => {
            Arc::new(StringViewArray::from_iter(all(seeds, text)))
        }
        Type::Json | Type::Jsonb => Arc::new(StringViewArray::from_iter(all(seeds, json))),
        Type::Bytea => Arc::new(BinaryViewArray::from_iter(all(seeds, |s| {
            s.to_le_bytes()[..(s % 9) as usize].to_vec()
        }))),
        Type::Date => Arc::new(Date32Array::from_iter(all(seeds, |s| match s % 16 {
            0 => i32::MAX,
            1 => i32::MIN,
            _ => ((s / 16) % 2_147_483_493) as i32 - 2_440_588,
        }))),
        Type::Time => {
            Arc::new(Time64MicrosecondArray::from_iter(all(seeds, |s| (s % 86_400_000_001) as i64)))
        }
        Type::Timestamp => Arc::new(TimestampMicrosecondArray::from_iter(all(seeds, instant))),
        Type::Timestamptz => {
            let array = TimestampMicrosecondArray::from_iter(all(seeds, instant));
            Arc::new(array.with_timezone("UTC"))
        }
        Type::Interval => Arc::new(IntervalMonthDayNanoArray::from_iter(all(seeds, |s| {
            let micros = narrow(s.rotate_left(40)) / 1_000;
            let (months, days) = (narrow(s) as i32, narrow(s.rotate_left(20)) as i32);
            IntervalMonthDayNano { months, days, nanoseconds: micros * 1_000 }
        }))),
        Type::Uuid => {
            let value = |s: u64| u128::from(s).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(all(seeds, value), 16);
            Arc::new(array.expect("every uuid is of 16 bytes"))
        }
        Type::Array(item) => array_of(item, seeds),
    }
}

fn array_of(item: &Type, seeds: &[Option<u64>]) -> ArrayRef {
    let mut items = Vec::new();
    let mut lengths = Vec::new();
    for seed in seeds {
        let length = seed.unwrap_or(0) as usize % 4;
        lengths.push(length);
        let shuffled = |i| seed.unwrap_or(0).rotate_left(16 * i + 7);
        items.extend((0..length as u32).map(|i| (shuffled(i) % 5 > 0).then(|| shuffled(i))));
    }
    let nulls: Vec<bool> = seeds.iter().map(Option::is_some).collect();
    Arc::new(ListArray::new(
        arrow::datatypes::Field::new("item", item.arrow(), true).into(),
        OffsetBuffer::from_lengths(lengths),
        column(item, &items),
        Some(nulls.into()),
    ))
}

fn float(seed: u64) -> f64 {
    match seed % 4 {
        0 => f64::from((seed >> 8) as i32) / 100.0,
        1 => f64::from_bits(seed & 0x800F_FFFF_FFFF_FFFF | (900 + (seed >> 8) % 256) << 52),
        2 => {
            [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e23, 5e-324][seed as usize % 7]
        }
        _ => 2f64.powi((seed >> 8) as i32 % 127),
    }
}

fn instant(seed: u64) -> i64 {
    match seed % 16 {
        0 => i64::MAX,
        1 => i64::MIN,
        2 => i64::MAX - 1 - (seed % 1_000) as i64,
        3..8 => -210_866_803_200_000_000 + (seed % 9_000_000_000_000_000_000) as i64,
        _ => (seed % 4_102_444_800_000_000) as i64,
    }
}

fn text(seed: u64) -> String {
    const CHARACTERS: [char; 16] =
        ['a', 'b', 'N', ',', '"', '\\', '\t', '\n', '\r', '{', '}', 'é', '日', '😀', '.', '\u{8}'];
    (0..seed % 12).map(|i| CHARACTERS[(seed >> (4 * i + 4)) as usize % 16]).collect()
}

/// JSON in the form that jsonb has.
fn json(seed: u64) -> String {
    let number = (seed >> 8) as i16;
    match seed % 5 {
        0 => format!("{number}"),
        1 => format!("[{number}, \"é\\n\", null, true]"),
        2 => format!("{{\"a\": {number}, \"bb\": [], \"cc\": {{}}}}"),
        3 => format!("{{\"a\": [{{\"k\": \"\\\"{number}\\\\\"}}]}}"),
        _ => format!("{number}.50"),
    }
}
