//! The storages of each kind of value, told apart once a value by one match.

use arrow::array::types::*;
use arrow::array::*;
use arrow::datatypes::{
    DataType, IntervalDayTime, IntervalMonthDayNano, IntervalUnit, TimeUnit, i256,
};

pub(in crate::spec) enum Ints<'a> {
    I8(&'a [i8]),
    U8(&'a [u8]),
    I16(&'a [i16]),
    U16(&'a [u16]),
    I32(&'a [i32]),
    U32(&'a [u32]),
    I64(&'a [i64]),
}

impl<'a> Ints<'a> {
    /// Storage whose every value fits an integer of `width` bytes. What has no sign are the catalogue's
    /// numbers of objects, which are sent as four bytes.
    pub(super) fn of(array: &'a dyn Array, width: usize) -> Option<Ints<'a>> {
        let (ints, needs) = match array.data_type() {
            DataType::Int8 => (Ints::I8(array.as_primitive::<Int8Type>().values()), 2),
            DataType::UInt8 => (Ints::U8(array.as_primitive::<UInt8Type>().values()), 2),
            DataType::Int16 => (Ints::I16(array.as_primitive::<Int16Type>().values()), 2),
            DataType::UInt16 => (Ints::U16(array.as_primitive::<UInt16Type>().values()), 4),
            DataType::Int32 => (Ints::I32(array.as_primitive::<Int32Type>().values()), 4),
            DataType::UInt32 => (Ints::U32(array.as_primitive::<UInt32Type>().values()), 4),
            DataType::Int64 => (Ints::I64(array.as_primitive::<Int64Type>().values()), 8),
            _ => return None,
        };
        (needs <= width).then_some(ints)
    }

    pub(in crate::spec) fn get(&self, row: usize) -> i64 {
        match self {
            Ints::I8(v) => v[row].into(),
            Ints::U8(v) => v[row].into(),
            Ints::I16(v) => v[row].into(),
            Ints::U16(v) => v[row].into(),
            Ints::I32(v) => v[row].into(),
            Ints::U32(v) => v[row].into(),
            Ints::I64(v) => v[row],
        }
    }
}

pub(in crate::spec) enum Floats<'a> {
    F16(&'a Float16Array),
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl<'a> Floats<'a> {
    pub(super) fn of(array: &'a dyn Array, width: usize) -> Option<Floats<'a>> {
        Some(match array.data_type() {
            DataType::Float16 => Floats::F16(array.as_primitive::<Float16Type>()),
            DataType::Float32 => Floats::F32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 if width == 8 => {
                Floats::F64(array.as_primitive::<Float64Type>().values())
            }
            _ => return None,
        })
    }

    pub(in crate::spec) fn get(&self, row: usize) -> f64 {
        match self {
            Floats::F16(v) => v.value(row).to_f64(),
            Floats::F32(v) => v[row].into(),
            Floats::F64(v) => v[row],
        }
    }
}

/// Unscaled numbers with their scale; integers have scale 0.
pub(in crate::spec) enum Decimals<'a> {
    D32(&'a [i32], i8),
    D64(&'a [i64], i8),
    D128(&'a [i128], i8),
    D256(&'a [i256], i8),
    U64(&'a [u64]),
    Int(Ints<'a>),
}

impl<'a> Decimals<'a> {
    pub(super) fn of(array: &'a dyn Array) -> Option<Decimals<'a>> {
        Some(match array.data_type() {
            DataType::Decimal32(_, s) => {
                Decimals::D32(array.as_primitive::<Decimal32Type>().values(), *s)
            }
            DataType::Decimal64(_, s) => {
                Decimals::D64(array.as_primitive::<Decimal64Type>().values(), *s)
            }
            DataType::Decimal128(_, s) => {
                Decimals::D128(array.as_primitive::<Decimal128Type>().values(), *s)
            }
            DataType::Decimal256(_, s) => {
                Decimals::D256(array.as_primitive::<Decimal256Type>().values(), *s)
            }
            DataType::UInt64 => Decimals::U64(array.as_primitive::<UInt64Type>().values()),
            _ => Decimals::Int(Ints::of(array, 8)?),
        })
    }

    pub(in crate::spec) fn scale(&self) -> i8 {
        match self {
            Decimals::D32(_, s)
            | Decimals::D64(_, s)
            | Decimals::D128(_, s)
            | Decimals::D256(_, s) => *s,
            Decimals::U64(_) | Decimals::Int(_) => 0,
        }
    }

    /// The unscaled value; None where it needs more than 128 bits: see [`Decimals::wide`].
    pub(in crate::spec) fn get(&self, row: usize) -> Option<i128> {
        Some(match self {
            Decimals::D32(v, _) => v[row].into(),
            Decimals::D64(v, _) => v[row].into(),
            Decimals::D128(v, _) => v[row],
            Decimals::D256(v, _) => return v[row].to_i128(),
            Decimals::U64(v) => v[row].into(),
            Decimals::Int(v) => v.get(row).into(),
        })
    }

    /// The decimal digits of an unscaled value of any size, without sign, and whether it is negative.
    pub(in crate::spec) fn wide(&self, row: usize) -> (String, bool) {
        let text = match self {
            Decimals::D256(v, _) => v[row].to_string(),
            Decimals::D32(_, _)
            | Decimals::D64(_, _)
            | Decimals::D128(_, _)
            | Decimals::U64(_)
            | Decimals::Int(_) => self.get(row).expect("128 bits hold it").to_string(),
        };
        match text.strip_prefix('-') {
            Some(digits) => (digits.to_owned(), true),
            None => (text, false),
        }
    }
}

pub(in crate::spec) enum Strings<'a> {
    Small(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
    /// Texts made of values that have no text of their own.
    Made(Vec<String>),
}

impl<'a> Strings<'a> {
    pub(super) fn of(array: &'a dyn Array) -> Option<Strings<'a>> {
        Some(match array.data_type() {
            DataType::Utf8 => Strings::Small(array.as_string()),
            DataType::LargeUtf8 => Strings::Large(array.as_string()),
            DataType::Utf8View => Strings::View(array.as_string_view()),
            _ => return None,
        })
    }

    pub(in crate::spec) fn get(&self, row: usize) -> &str {
        match self {
            Strings::Small(a) => a.value(row),
            Strings::Large(a) => a.value(row),
            Strings::View(a) => a.value(row),
            Strings::Made(texts) => &texts[row],
        }
    }
}

/// Maps of text to text as JSON objects, spaced as PostgreSQL's jsonb; None for other storage.
pub(super) fn objects<'a>(array: &dyn Array) -> Option<Strings<'a>> {
    let map = array.as_map_opt()?;
    let keys = Strings::of(map.keys())?;
    let values = Strings::of(map.values())?;
    let quoted = |text: &str| {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        out + "\""
    };
    let object = |row: usize| {
        let (start, end) = (map.value_offsets()[row], map.value_offsets()[row + 1]);
        let entry = |at: usize| match map.values().is_null(at) {
            true => format!("{}: null", quoted(keys.get(at))),
            false => format!("{}: {}", quoted(keys.get(at)), quoted(values.get(at))),
        };
        let entries: Vec<String> = (start as usize..end as usize).map(entry).collect();
        format!("{{{}}}", entries.join(", "))
    };
    Some(Strings::Made((0..map.len()).map(object).collect()))
}

pub(in crate::spec) enum Blobs<'a> {
    Small(&'a BinaryArray),
    Large(&'a LargeBinaryArray),
    View(&'a BinaryViewArray),
    Fixed(&'a FixedSizeBinaryArray),
}

impl<'a> Blobs<'a> {
    pub(super) fn of(array: &'a dyn Array) -> Option<Blobs<'a>> {
        Some(match array.data_type() {
            DataType::Binary => Blobs::Small(array.as_binary()),
            DataType::LargeBinary => Blobs::Large(array.as_binary()),
            DataType::BinaryView => Blobs::View(array.as_binary_view()),
            DataType::FixedSizeBinary(_) => Blobs::Fixed(array.as_fixed_size_binary()),
            _ => return None,
        })
    }

    pub(in crate::spec) fn get(&self, row: usize) -> &'a [u8] {
        match self {
            Blobs::Small(a) => a.value(row),
            Blobs::Large(a) => a.value(row),
            Blobs::View(a) => a.value(row),
            Blobs::Fixed(a) => a.value(row),
        }
    }
}

pub(in crate::spec) enum Days<'a> {
    Days(&'a [i32]),
    Millis(&'a [i64]),
}

impl<'a> Days<'a> {
    pub(super) fn of(array: &'a dyn Array) -> Option<Days<'a>> {
        Some(match array.data_type() {
            DataType::Date32 => Days::Days(array.as_primitive::<Date32Type>().values()),
            DataType::Date64 => Days::Millis(array.as_primitive::<Date64Type>().values()),
            _ => return None,
        })
    }

    /// Days since 1970-01-01.
    pub(in crate::spec) fn get(&self, row: usize) -> i32 {
        match self {
            Days::Days(v) => v[row],
            Days::Millis(v) => {
                let days = v[row].div_euclid(86_400_000);
                days.clamp(i32::MIN.into(), i32::MAX.into()) as i32
            }
        }
    }
}

/// Times in any unit, told in µs.
pub(in crate::spec) enum Micros<'a> {
    Wide(&'a [i64], TimeUnit),
    Narrow(&'a [i32], TimeUnit),
}

impl<'a> Micros<'a> {
    pub(super) fn of_time(array: &'a dyn Array) -> Option<Micros<'a>> {
        use TimeUnit::*;
        Some(match array.data_type() {
            DataType::Time32(Second) => {
                Micros::Narrow(array.as_primitive::<Time32SecondType>().values(), Second)
            }
            DataType::Time32(_) => {
                Micros::Narrow(array.as_primitive::<Time32MillisecondType>().values(), Millisecond)
            }
            DataType::Time64(Nanosecond) => {
                Micros::Wide(array.as_primitive::<Time64NanosecondType>().values(), Nanosecond)
            }
            DataType::Time64(_) => {
                Micros::Wide(array.as_primitive::<Time64MicrosecondType>().values(), Microsecond)
            }
            _ => return None,
        })
    }

    pub(super) fn of_timestamp(array: &'a dyn Array) -> Option<Micros<'a>> {
        let DataType::Timestamp(unit, _) = array.data_type() else { return None };
        let values: &[i64] = match unit {
            TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
            TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
        };
        Some(Micros::Wide(values, *unit))
    }

    pub(in crate::spec) fn get(&self, row: usize) -> i64 {
        match self {
            Micros::Wide(v, unit) => micros(v[row], *unit),
            Micros::Narrow(v, unit) => micros(v[row].into(), *unit),
        }
    }
}

/// µs, rounded down; the limits of i64 stay what they are.
fn micros(value: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Microsecond => value,
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1_000),
        TimeUnit::Nanosecond if value == i64::MAX || value == i64::MIN => value,
        TimeUnit::Nanosecond => value.div_euclid(1_000),
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

pub(in crate::spec) enum Intervals<'a> {
    MonthDayNano(&'a [IntervalMonthDayNano]),
    DayTime(&'a [IntervalDayTime]),
    YearMonth(&'a [i32]),
    Duration(&'a [i64], TimeUnit),
}

impl<'a> Intervals<'a> {
    pub(super) fn of(array: &'a dyn Array) -> Option<Intervals<'a>> {
        Some(match array.data_type() {
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Intervals::MonthDayNano(array.as_primitive::<IntervalMonthDayNanoType>().values())
            }
            DataType::Interval(IntervalUnit::DayTime) => {
                Intervals::DayTime(array.as_primitive::<IntervalDayTimeType>().values())
            }
            DataType::Interval(IntervalUnit::YearMonth) => {
                Intervals::YearMonth(array.as_primitive::<IntervalYearMonthType>().values())
            }
            DataType::Duration(unit) => {
                let values: &[i64] = match unit {
                    TimeUnit::Second => array.as_primitive::<DurationSecondType>().values(),
                    TimeUnit::Millisecond => {
                        array.as_primitive::<DurationMillisecondType>().values()
                    }
                    TimeUnit::Microsecond => {
                        array.as_primitive::<DurationMicrosecondType>().values()
                    }
                    TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().values(),
                };
                Intervals::Duration(values, *unit)
            }
            _ => return None,
        })
    }

    /// Months, days, µs.
    pub(in crate::spec) fn get(&self, row: usize) -> (i32, i32, i64) {
        match self {
            Intervals::MonthDayNano(v) => {
                let v = v[row];
                (v.months, v.days, v.nanoseconds / 1_000)
            }
            Intervals::DayTime(v) => (0, v[row].days, i64::from(v[row].milliseconds) * 1_000),
            Intervals::YearMonth(v) => (v[row], 0, 0),
            // The difference of two times, which in PostgreSQL is days and what is left of one.
            Intervals::Duration(v, unit) => {
                let micros = micros(v[row], *unit);
                (0, (micros / DAY_MICROS) as i32, micros % DAY_MICROS)
            }
        }
    }
}
