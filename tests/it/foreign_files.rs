//! COPY FROM of Parquet files that hold what no value may be: refused, and nothing of it is kept.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, LargeStringArray, StringArray, Time64MicrosecondArray,
    TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use parquet::arrow::ArrowWriter;

use crate::guest::Guest;
use crate::property::home;

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;

/// A file of one column, `x`.
fn write(path: &Path, values: ArrayRef) {
    let batch = RecordBatch::try_from_iter([("x", values)]).expect("a batch");
    let schema: Arc<Schema> = batch.schema();
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, schema, None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

#[test]
fn what_is_no_value_of_its_type_is_refused() {
    let (folder, settings) = home(START_US);
    let database = Database::open(&settings.data, settings.clone()).expect("a database");
    let runtime = query_runtime(&settings).expect("threads");
    let times = |time: i64| Arc::new(Time64MicrosecondArray::from(vec![0, time])) as ArrayRef;
    let texts = || Arc::new(StringArray::from(vec!["a", "a\0b"])) as ArrayRef;
    let cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("time", times(-5), "22008"),
        ("time", times(90_000_000_000), "22008"),
        ("text", times(-5), "22008"),
        ("text", texts(), "22021"),
        ("jsonb", texts(), "22021"),
        ("json", Arc::new(LargeStringArray::from(vec!["{}", "{a"])), "22P02"),
        ("date", Arc::new(Date32Array::from(vec![0, i32::MIN + 1])), "22008"),
        ("bigint", Arc::new(UInt64Array::from(vec![1, u64::MAX])), "22003"),
        ("timestamp", Arc::new(TimestampSecondArray::from(vec![0, i64::MAX / 2])), "22003"),
    ];
    runtime.block_on(async {
        let mut guest = Guest::arrive(&database);
        for (at, (of, values, state)) in cases.into_iter().enumerate() {
            let file = folder.path().join(format!("{at}.parquet"));
            let first = values.slice(0, 1);
            write(&file, values);
            guest.must(&format!("CREATE TABLE t{at} (x {of})")).await;
            let copy = format!("COPY t{at} FROM '{}'", file.display());
            let error = guest.run(&copy).await.expect_err("one value is none of its type");
            assert_eq!(error.kind().sqlstate(), state, "{of}: {error:?}");
            // The value before it is one.
            write(&file, first);
            match of {
                "jsonb" => drop(guest.run(&copy).await.expect_err("a is no json")),
                _ => drop(guest.must(&copy).await),
            }
            let count = if of == "jsonb" { "0" } else { "1" };
            assert_eq!(guest.must(&format!("SELECT count(x) FROM t{at}")).await, [[count]]);
        }
    });
}
