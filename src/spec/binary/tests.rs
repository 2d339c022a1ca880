use arrow::array::*;
use proptest::prelude::*;

use super::{BinaryBuilder, BinaryFormatter};
use crate::spec::{Type, samples};

fn bytes(data_type: &Type, array: &dyn Array) -> Vec<Option<Vec<u8>>> {
    let formatter = BinaryFormatter::new(data_type, array).expect("storage fits the type");
    let value = |row| {
        let mut out = Vec::new();
        formatter.write(row, &mut out);
        out
    };
    (0..array.len()).map(|row| (!formatter.is_null(row)).then(|| value(row))).collect()
}

fn hex(data_type: &Type, array: &dyn Array) -> String {
    let bytes = bytes(data_type, array)[0].clone().expect("a value is not NULL");
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn numeric(unscaled: i128, precision: u8, scale: i8) -> String {
    let array = Decimal128Array::from(vec![unscaled]).with_precision_and_scale(precision, scale);
    hex(&Type::Numeric(precision, scale), &array.expect("digits fit"))
}

/// What PostgreSQL 15's send functions give.
#[test]
fn values_have_postgresql_s_bytes() {
    assert_eq!(hex(&Type::Bool, &BooleanArray::from(vec![true])), "01");
    assert_eq!(hex(&Type::Int8, &Int32Array::from(vec![-2])), "fffffffffffffffe");
    assert_eq!(hex(&Type::Date, &Date32Array::from(vec![0])), "ffffd533");
    assert_eq!(hex(&Type::Date, &Date32Array::from(vec![i32::MAX])), "7fffffff");
    let epoch = TimestampMicrosecondArray::from(vec![0]);
    assert_eq!(hex(&Type::Timestamp, &epoch), "fffca2fec4c82000");
    assert_eq!(numeric(0, 10, 3), "0000000000000003");
    assert_eq!(numeric(12_345_678, 10, 3), "0003000100000003000109291a7c");
    assert_eq!(numeric(-12, 10, 5), "0002ffff40000005000107d0");
    assert_eq!(numeric(100_000_000, 10, 0), "00010002000000000001");
    assert_eq!(hex(&Type::Jsonb, &StringArray::from(vec!["{}"])), "017b7d");
    let duration =
        IntervalMonthDayNanoArray::from(vec![arrow::datatypes::IntervalMonthDayNano::new(
            1,
            2,
            3_000_000_000,
        )]);
    assert_eq!(hex(&Type::Interval, &duration), "00000000002dc6c00000000200000001");
    let list = |items: Vec<Option<i32>>| {
        ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([Some(items)])
    };
    let integers = Type::Array(Box::new(Type::Int4));
    assert_eq!(hex(&integers, &list(vec![])), "000000000000000000000017");
    assert_eq!(
        hex(&integers, &list(vec![Some(1), None])),
        "00000001000000010000001700000002000000010000000400000001ffffffff"
    );
}

#[test]
fn what_is_no_value_is_refused() {
    let refuse = |data_type: Type, bytes: &[u8]| {
        let refused = BinaryBuilder::new(&data_type).append(bytes).expect_err("no value");
        refused.kind().sqlstate()
    };
    assert_eq!(refuse(Type::Int4, &[0; 3]), "22P03");
    assert_eq!(refuse(Type::Text, b"a\0"), "22021");
    assert_eq!(refuse(Type::Varchar(Some(1)), b"ab"), "22001");
    assert_eq!(refuse(Type::Jsonb, b"\x02{}"), "22P03");
    assert_eq!(refuse(Type::Numeric(4, 0), &[0, 0, 0, 0, 0xC0, 0, 0, 0]), "0A000");
    assert_eq!(refuse(Type::Numeric(4, 0), &[0, 1, 0, 1, 0, 0, 0, 0, 0, 1]), "22003");
    assert_eq!(refuse(Type::Timestamp, &(i64::MAX - 1).to_be_bytes()), "22008");
    assert_eq!(refuse(Type::Date, &(i32::MAX - 1).to_be_bytes()), "22008");
    assert_eq!(refuse(Type::Time, &(-1i64).to_be_bytes()), "22008");
    let texts = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25];
    assert_eq!(refuse(Type::Array(Box::new(Type::Int4)), &texts), "42804");
    let matrix = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23];
    assert_eq!(refuse(Type::Array(Box::new(Type::Int4)), &matrix), "0A000");
}

/// A numeric is rounded half away from zero when it has more decimals than the column.
#[test]
fn numerics_are_rounded_to_their_scale() {
    for (unscaled, from, to, expected) in [
        (12_345_i128, 4, 2, 123_i128),
        (12_350, 4, 2, 124),
        (-12_350, 4, 2, -124),
        (49_999, 5, 0, 0),
        (50_000, 5, 0, 1),
        (5, 9, 8, 1),
        (123_456_789, 3, -2, 1_235),
    ] {
        let source = Decimal128Array::from(vec![unscaled]).with_precision_and_scale(20, from);
        let bytes = bytes(&Type::Numeric(20, from), &source.expect("digits fit"));
        let mut builder = BinaryBuilder::new(&Type::Numeric(20, to));
        builder.append(bytes[0].as_ref().expect("not NULL")).expect("a numeric");
        let array = builder.finish();
        let value = array.as_primitive::<arrow::datatypes::Decimal128Type>().value(0);
        assert_eq!(value, expected, "{unscaled}e-{from} at scale {to}");
    }
}

proptest! {
    #[test]
    fn bytes_come_back((data_type, array) in samples::columns()) {
        let mut builder = BinaryBuilder::new(&data_type);
        for value in bytes(&data_type, &array) {
            match value {
                Some(value) => builder.append(&value).expect("what was written is read"),
                None => builder.append_null(),
            }
        }
        prop_assert_eq!(builder.len(), array.len());
        prop_assert_eq!(&builder.finish(), &array);
    }

    #[test]
    fn no_bytes_panic(
        data_type in prop::sample::select(samples::types()),
        head in prop::sample::select(vec![&b""[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut builder = BinaryBuilder::new(&data_type);
        if builder.append(&[head, &tail].concat()).is_ok() {
            prop_assert_eq!(builder.finish().len(), 1);
        }
    }
}
