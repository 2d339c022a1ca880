use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{Int8Type, Int32Type, i256};
use proptest::prelude::*;

use super::*;
use crate::error::Result;
use crate::spec::{Type, samples};

fn zone(name: &str) -> TextOptions {
    TextOptions { time_zone: parse_time_zone(name).expect("a known zone"), ..Default::default() }
}

fn show(data_type: &Type, array: &dyn Array, options: &TextOptions) -> Vec<Option<String>> {
    let formatter = TextFormatter::new(data_type, array, options).expect("storage fits the type");
    let text = |row| {
        let mut out = Vec::new();
        formatter.write(row, &mut out);
        String::from_utf8(out).expect("text is UTF-8")
    };
    (0..array.len()).map(|row| (!formatter.is_null(row)).then(|| text(row))).collect()
}

/// What psql shows for `'text'::type`.
fn cast(data_type: &Type, text: &str, options: &TextOptions) -> Result<String> {
    let mut builder = TextBuilder::new(data_type, options);
    builder.append(text.as_bytes())?;
    let shown = show(data_type, &builder.finish(), options);
    Ok(shown[0].clone().expect("a value is not NULL"))
}

/// Lines of `type | input | what PostgreSQL 15 answers`: a text, or a SQLSTATE after `!`.
fn check(facts: &str, options: &TextOptions) {
    for fact in facts.lines().filter(|line| !line.trim().is_empty()) {
        let parts: Vec<&str> = fact.split('|').map(str::trim).collect();
        let [data_type, input, expected] = parts[..] else { panic!("three parts: {fact}") };
        let data_type = Type::parse(data_type).expect("a type's name");
        let got = cast(&data_type, input, options)
            .unwrap_or_else(|e| format!("!{}", e.kind().sqlstate()));
        assert_eq!(got, expected, "{fact}");
    }
}

#[test]
fn numbers_read_and_show_as_postgresql() {
    check(
        "
        boolean | tru | t
        boolean | OFF | f
        boolean | o | !22P02
        boolean | 1 | t
        integer | +5 | 5
        integer | -2147483648 | -2147483648
        integer | 2147483648 | !22003
        integer | 1.5 | !22P02
        bigint | 9223372036854775808 | !22003
        smallint | 99999999999999999999999x | !22P02
        double precision | 1 | 1
        double precision | .1 | 0.1
        double precision | 1e20 | 1e+20
        double precision | 1e15 | 1e+15
        double precision | 999999999999999 | 999999999999999
        double precision | 0.00001 | 1e-05
        double precision | 0.0001 | 0.0001
        double precision | 1e23 | 9.999999999999999e+22
        double precision | -567015895315540.2 | -567015895315540.2
        double precision | -inf | -Infinity
        double precision | nan | NaN
        double precision | -0 | -0
        double precision | 1e400 | !22003
        double precision | 1e-400 | !22003
        real | 1e6 | 1e+06
        real | 0.000244140625 | 0.00024414062
        real | 3.4028235e39 | !22003
        numeric(10,3) | 9.9995 | 10.000
        numeric(10,3) | -0.0005 | -0.001
        numeric(10,3) | 1e-30 | 0.000
        numeric(5,0) | 99999.5 | !22003
        numeric(5,0) | 1.5e3 | 1500
        numeric(5,-2) | 12355 | 12400
        numeric(3,5) | 0.00999 | 0.00999
        numeric(10,3) | 1 2 | !22P02
        numeric(10,3) | NaN | !0A000
        ",
        &TextOptions::default(),
    );
    let rounded = TextOptions { extra_float_digits: 0, ..TextOptions::default() };
    check(
        "
        double precision | 0.1 | 0.1
        double precision | 123456789.123456789 | 123456789.123457
        double precision | 1e15 | 1e+15
        real | 3.14159265 | 3.14159
        ",
        &rounded,
    );
}

#[test]
fn texts_and_bytes_read_and_show_as_postgresql() {
    check(
        r#"
        character varying(3) | abcd | !22001
        bytea | \xDEad 00 | \xdead00
        bytea | a\\b\001 | \x615c6201
        bytea | \xabc | !22023
        bytea | \9 | !22P02
        uuid | {A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11} | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
        uuid | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1 | !22P02
        json | {"a" : 1,"a":2} | {"a" : 1,"a":2}
        json | {a:1} | !22P02
        json | [1,] | !22P02
        json | 01 | !22P02
        jsonb | {"bb":1e2,"a":[1.50,-0],"a":null} | {"a": null, "bb": 100}
        jsonb | "\u00e9\ud83d\ude00\/" | "é😀/"
        jsonb | "\ud83d" | !22P02
        jsonb | "\u0000" | !22P02
        integer[] | [2:3]={1,NULL} | {1,NULL}
        integer[] | {1,} | !22P02
        integer[] | {{1},{2}} | !0A000
        integer[][] | {{1,2},{3}} | {{1,2},{3}}
        text[] | { a b ,"null",N\ULL,"", "c\"" } | {"a b","null","NULL","","c\""}
        text[] | {"a"b} | !22P02
        timestamp without time zone[] | {2024-01-01} | {"2024-01-01 00:00:00"}
        "#,
        &TextOptions::default(),
    );
    // Spaces beyond the limit are cut off; those of char(n) come back as padding.
    let options = TextOptions::default();
    let shown = |t, text| cast(&t, text, &options).expect("it fits");
    assert_eq!(shown(Type::Char(4), "ab "), "ab  ");
    assert_eq!(shown(Type::Varchar(Some(3)), "ab   "), "ab ");
    let nul = cast(&Type::Text, "a\0", &options).expect_err("NUL is refused");
    assert_eq!(nul.kind().sqlstate(), "22021");
}

#[test]
fn dates_and_times_read_and_show_as_postgresql() {
    check(
        "
        date | 1999-01-08 | 1999-01-08
        date | January 8, 1999 | 1999-01-08
        date | 1/8/1999 | 1999-01-08
        date | 08-Jan-99 | 1999-01-08
        date | 19990108 | 1999-01-08
        date | 0044-03-15 BC | 0044-03-15 BC
        date | 5874897-12-31 | 5874897-12-31
        date | 5874898-01-01 | !22008
        date | 4714-11-24 BC | 4714-11-24 BC
        date | 4714-11-23 BC | !22008
        date | 2023-02-29 | !22008
        date | 18/08/1999 | !22008
        date | infinity | infinity
        date | epoch | 1970-01-01
        date | yesterday-ish | !22007
        time without time zone | 04:05 PM | 16:05:00
        time without time zone | 040506.789 | 04:05:06.789
        time without time zone | 24:00:00 | 24:00:00
        time without time zone | 24:00:01 | !22008
        timestamp without time zone | 2024-01-01T10:00:00.1234567+05 | 2024-01-01 10:00:00.123457
        timestamp without time zone | 23:59:60 2024-12-31 | 2025-01-01 00:00:00
        timestamp without time zone | -infinity | -infinity
        timestamp without time zone | 0001-01-01 BC | 0001-01-01 00:00:00 BC
        timestamp without time zone | 294277-01-01 | !22008
        timestamp without time zone | 2024-01-01 25:00 | !22008
        timestamp with time zone | 2024-01-01 10:00 America/Nowhere | !22023
        timestamp with time zone | 2024-01-01 10:00+16 | !22008
        ",
        &TextOptions::default(),
    );
    let dmy = TextOptions { date_order: DateOrder::Dmy, ..TextOptions::default() };
    check("date | 1/8/1999 | 1999-08-01", &dmy);
}

/// At a change of clocks PostgreSQL takes standard time; zones go on by their rules for ever.
#[test]
fn zones_are_resolved_as_postgresql() {
    check(
        "
        timestamp with time zone | 2024-03-10 02:30 | 2024-03-10 03:30:00-04
        timestamp with time zone | 2024-11-03 01:30 | 2024-11-03 01:30:00-05
        timestamp with time zone | 2024-11-03 01:30 EDT | 2024-11-03 01:30:00-04
        timestamp with time zone | 2150-07-01 00:00 | 2150-07-01 00:00:00-04
        timestamp with time zone | 1800-01-01 00:00 | 1800-01-01 00:00:00-04:56:02
        timestamp with time zone | 2024-07-01T00:00Z | 2024-06-30 20:00:00-04
        timestamp with time zone | 2024-07-01 00:00 asia/kolkata | 2024-06-30 14:30:00-04
        timestamp with time zone | 0044-03-15 12:00 BC | 0044-03-15 12:00:00-04:56:02 BC
        ",
        &zone("America/New_York"),
    );
    check(
        "
        timestamp with time zone | 2024-04-07 01:45 | 2024-04-07 01:45:00+10:30
        timestamp with time zone | 2024-01-01 00:00-0530 | 2024-01-01 16:30:00+11
        ",
        &zone("Australia/Lord_Howe"),
    );
}

#[test]
fn intervals_read_and_show_as_postgresql() {
    check(
        "
        interval | 1 year 2 mons 3 days 04:05:06.789 | 1 year 2 mons 3 days 04:05:06.789
        interval | 1.5 months | 1 mon 15 days
        interval | 1.5 days ago | -1 days -12:00:00
        interval | -1 day +02:03 | -1 days +02:03:00
        interval | 1-2 3 4:05:06 | 1 year 2 mons 3 days 04:05:06
        interval | 90 | 00:01:30
        interval | 2h30m | 02:30:00
        interval | P1Y2M3W4DT5H6M7.8S | 1 year 2 mons 25 days 05:06:07.8
        interval | PT-90M | -01:30:00
        interval | 0 days | 00:00:00
        interval | 100:00:00 | 100:00:00
        interval | -13 months 1 day | -1 years -1 mons +1 day
        interval | 1 day 2 days | !22007
        interval | 1 fortnight | !22007
        interval | 3000000000 days | !22008
        ",
        &TextOptions::default(),
    );
}

#[test]
fn every_storage_of_a_type_is_shown() {
    let options = zone("Asia/Kolkata");
    let one = |data_type: Type, array: &dyn Array| show(&data_type, array, &options)[0].clone();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(one(Type::Int2, &Int8Array::from(vec![-8])), some("-8"));
    assert_eq!(
        one(Type::Numeric(20, 0), &UInt64Array::from(vec![u64::MAX])),
        some("18446744073709551615")
    );
    let wide = Decimal256Array::from(vec![i256::from_i128(i128::MIN)]);
    let wide = wide.with_precision_and_scale(76, 2).expect("76 digits hold 128 bits");
    let digits = "-1701411834604692317316873037158841057.28";
    assert_eq!(one(Type::Numeric(38, 2), &wide), some(digits));
    assert_eq!(one(Type::Text, &StringArray::from(vec!["s"])), some("s"));
    assert_eq!(one(Type::Text, &LargeStringArray::from(vec!["l"])), some("l"));
    let seconds = TimestampSecondArray::from(vec![0]).with_timezone("UTC");
    assert_eq!(one(Type::Timestamptz, &seconds), some("1970-01-01 05:30:00+05:30"));
    let nanos = TimestampNanosecondArray::from(vec![-1]);
    assert_eq!(one(Type::Timestamp, &nanos), some("1969-12-31 23:59:59.999999"));
    assert_eq!(one(Type::Date, &Date64Array::from(vec![-1])), some("1969-12-31"));
    assert_eq!(one(Type::Time, &Time32SecondArray::from(vec![61])), some("00:01:01"));
    let hours = DurationMillisecondArray::from(vec![-7_200_500]);
    assert_eq!(one(Type::Interval, &hours), some("-02:00:00.5"));
    assert_eq!(one(Type::Text, &NullArray::new(1)), None);
    let wider = Int64Array::from(vec![1]);
    let unfit = TextFormatter::new(&Type::Int4, &wider, &options);
    assert!(unfit.is_err());
    // Beyond every calendar: no panic.
    for extreme in [i64::MIN + 1, i64::MAX - 1] {
        let array = TimestampMicrosecondArray::from(vec![extreme]).with_timezone("UTC");
        assert!(one(Type::Timestamptz, &array).is_some());
        let array = TimestampSecondArray::from(vec![extreme]);
        assert!(one(Type::Timestamp, &array).is_some());
    }

    let mut keys = StringDictionaryBuilder::<Int8Type>::new();
    keys.append_value("x");
    keys.append_null();
    let keyed = keys.finish();
    assert_eq!(show(&Type::Text, &keyed, &options), vec![some("x"), None]);
    let null_value: ArrayRef = Arc::new(StringArray::from(vec![None, Some("y")]));
    let keyed = DictionaryArray::new(Int8Array::from(vec![0, 1]), null_value);
    assert_eq!(show(&Type::Text, &keyed, &options), vec![None, some("y")]);
    let ends = Int32Array::from(vec![2, 3]);
    let runs = RunArray::<Int32Type>::try_new(&ends, &Int64Array::from(vec![7, 8]));
    let runs = runs.expect("ends grow").slice(1, 2);
    assert_eq!(show(&Type::Int8, &runs, &options), vec![some("7"), some("8")]);
}

proptest! {
    #[test]
    fn text_comes_back((data_type, array) in samples::columns(), zone_at in 0usize..4) {
        let options = zone(["UTC", "America/New_York", "Africa/Monrovia", "Pacific/Apia"][zone_at]);
        let mut builder = TextBuilder::new(&data_type, &options);
        for text in show(&data_type, &array, &options) {
            match text {
                Some(text) => builder.append(text.as_bytes()).expect("what was shown is read"),
                None => builder.append_null(),
            }
        }
        prop_assert_eq!(builder.len(), array.len());
        prop_assert_eq!(&builder.finish(), &array);
    }

    #[test]
    fn no_text_panics(
        data_type in prop::sample::select(samples::types()),
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..24),
            "[-+0-9:./ TZeEa-z{},\"\\\\P]{0,32}".prop_map(String::into_bytes),
        ],
    ) {
        let mut builder = TextBuilder::new(&data_type, &TextOptions::default());
        if builder.append(&text).is_ok() {
            show(&data_type, &builder.finish(), &TextOptions::default());
        }
    }
}
