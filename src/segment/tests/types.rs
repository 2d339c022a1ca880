//! Every type, with NULL, comes back; pages line up; statistics are right.

use arrow::array::{
    Array, FixedSizeBinaryArray, Int64Builder, IntervalMonthDayNanoArray, ListArray, ListBuilder,
    StringViewArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::IntervalMonthDayNano;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::*;
use crate::spec::Value;

fn every_type() -> Vec<(&'static str, Type)> {
    vec![
        ("k", Type::Int8),
        ("b", Type::Bool),
        ("i2", Type::Int2),
        ("i4", Type::Int4),
        ("f4", Type::Float4),
        ("f8", Type::Float8),
        ("small", Type::Numeric(9, 2)),
        ("large", Type::Numeric(38, 10)),
        ("t", Type::Text),
        ("vc", Type::Varchar(Some(40))),
        ("raw", Type::Bytea),
        ("d", Type::Date),
        ("tod", Type::Time),
        ("ts", Type::Timestamp),
        ("tz", Type::Timestamptz),
        ("u", Type::Uuid),
        ("iv", Type::Interval),
        ("j", Type::Jsonb),
        ("list", Type::Array(Box::new(Type::Int8))),
        ("spans", Type::Array(Box::new(Type::Interval))),
        // A table may use the names of hidden columns: columns are found by id.
        ("_commit", Type::Text),
    ]
}

fn interval(i: i64) -> IntervalMonthDayNano {
    IntervalMonthDayNano::new(i as i32, -(i as i32), i * 1000)
}

fn array_of(data_type: &Type, rows: std::ops::Range<i64>) -> ArrayRef {
    let some = |i: i64| i % 7 != 3;
    let text = |i: i64| format!("value {} {}", i % 11, "x".repeat(i as usize % 90));
    match data_type {
        Type::Interval => {
            let values = rows.map(|i| some(i).then(|| interval(i)));
            Arc::new(values.collect::<IntervalMonthDayNanoArray>())
        }
        Type::Jsonb => {
            let values = rows.map(|i| some(i).then(|| format!("{{\"a\": {i}}}")));
            Arc::new(values.collect::<StringViewArray>())
        }
        Type::Array(item) if **item == Type::Int8 => {
            let mut builder = ListBuilder::new(Int64Builder::new());
            for i in rows {
                if some(i) {
                    (0..i % 5).for_each(|j| builder.values().append_option((j != 2).then_some(j)));
                }
                builder.append(some(i));
            }
            Arc::new(builder.finish())
        }
        Type::Array(_) => {
            let lengths: Vec<usize> = rows.clone().map(|i| i as usize % 3).collect();
            let of = |i: i64| (0..i % 3).map(move |j| Some(interval(i * 3 + j)));
            let values: IntervalMonthDayNanoArray = rows.flat_map(of).collect();
            let arrow::datatypes::DataType::List(field) = data_type.arrow() else { panic!() };
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::try_new(field, offsets, Arc::new(values), None).unwrap())
        }
        ordered => {
            let value = |i: i64| {
                (*ordered == Type::Int8 || some(i)).then(|| match ordered {
                    Type::Bool => Value::Bool(i % 2 == 0),
                    Type::Float4 | Type::Float8 => Value::Float(i as f64 / 4.0 - 10.0),
                    Type::Numeric(_, _) => Value::Decimal(i128::from(i) * 37 - 500),
                    Type::Text | Type::Varchar(_) => Value::Bytes(text(i).into_bytes()),
                    Type::Bytea => Value::Bytes(vec![i as u8; i as usize % 4]),
                    Type::Uuid => Value::Bytes((i as u128 * 77).to_be_bytes().to_vec()),
                    _ => Value::Int(i),
                })
            };
            Value::array(&rows.map(value).collect::<Vec<_>>(), ordered).unwrap()
        }
    }
}

fn rows_of(schema: &TableSchema, rows: std::ops::Range<i64>) -> RecordBatch {
    let columns = schema.columns.iter().map(|c| array_of(&c.data_type, rows.clone())).collect();
    RecordBatch::try_new(schema.arrow(), columns).unwrap()
}

fn footer(folder: &Folder, meta: &SegmentMeta) -> ParquetMetaData {
    let file = folder.vfs.open_read(&format!("{SEGMENTS_DIR}/{}", meta.file_name())).unwrap();
    let bytes = file.bytes_at(0, file.len().unwrap() as usize).unwrap();
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&bytes)
        .unwrap()
}

#[test]
fn every_type_comes_back_and_pages_line_up() {
    let folder = Folder::new();
    let schema = table(&every_type(), 1);
    // Batches that fit neither pages nor row groups.
    let cuts = [0, 100, 1700, 1701, 2900, 5000];
    let batches: Vec<_> = cuts.windows(2).map(|w| rows_of(&schema, w[0]..w[1])).collect();
    let meta = folder.write(spec(&schema), &batches);
    assert_eq!(meta.rows, 5000);

    let metadata = footer(&folder, &meta);
    let index = metadata.offset_index().unwrap();
    assert_eq!(metadata.num_row_groups(), 5);
    for (group, columns) in index.iter().enumerate() {
        let rows = metadata.row_group(group).num_rows();
        let expected: Vec<i64> = (0..rows).step_by(512).collect();
        for column in columns {
            let starts: Vec<i64> =
                column.page_locations().iter().map(|p| p.first_row_index).collect();
            assert_eq!(starts, expected);
        }
    }

    let segment = folder.open(&meta).unwrap();
    let all: Vec<ColumnId> = schema.columns.iter().map(|c| c.id).collect();
    let request = ScanRequest::new(Projection::new(schema.clone(), all.clone()));
    let found = scan_all(&segment, request).unwrap();
    let expected = rows_of(&schema, 0..5000);
    for (column, array) in schema.columns.iter().zip(expected.columns()) {
        let found = found.column_by_name(&column.name).unwrap();
        assert_eq!(found.data_type(), &column.data_type.arrow());
        assert_eq!(found, array, "{}", column.name);
    }
    let picked = [0, 1, 511, 512, 1023, 1024, 3000, 4999];
    let taken = segment.take(&Projection::new(schema.clone(), all), &picked).unwrap();
    for (row, position) in picked.iter().enumerate() {
        for c in 0..schema.columns.len() {
            let one = expected.column(c).slice(*position as usize, 1);
            assert_eq!(&taken.column(c).slice(row, 1), &one);
        }
    }
}

#[test]
fn statistics_are_bounds_and_say_whether_they_occur() {
    let folder = Folder::new();
    let columns = [
        ("k", Type::Int8),
        ("f", Type::Float8),
        ("t", Type::Text),
        ("nothing", Type::Int4),
        ("nan", Type::Float4),
    ];
    let schema = table(&columns, 1);
    let rows = 2000;
    let float = |i: i64| Some(Value::Float(if i == 1500 { f64::NAN } else { i as f64 }));
    let text = |i: i64| Some(Value::Bytes(format!("{i:04}{}", "é".repeat(40)).into_bytes()));
    let make = |f: &dyn Fn(i64) -> Option<Value>, t: &Type| {
        Value::array(&(0..rows).map(f).collect::<Vec<_>>(), t).unwrap()
    };
    let batch = vec![
        make(&|i| Some(Value::Int(i - 5)), &Type::Int8),
        make(&float, &Type::Float8),
        make(&text, &Type::Text),
        make(&|_| None, &Type::Int4),
        make(&|_| Some(Value::Float(f64::NAN)), &Type::Float4),
    ];
    let batch = RecordBatch::try_new(schema.arrow(), batch).unwrap();
    let meta = folder.write(spec(&schema), &[batch]);
    let of = |id: u64| meta.statistics_of(ColumnId(id)).unwrap();
    assert_eq!(of(1).min, Some(Value::Int(-5)));
    assert_eq!(of(1).max, Some(Value::Int(1994)));
    assert!(of(1).exact);
    assert_eq!(of(2).min, Some(Value::Float(0.0)));
    assert!(matches!(of(2).max, Some(Value::Float(max)) if max.is_nan()));
    assert!(!of(3).exact);
    let (Some(Value::Bytes(min)), Some(Value::Bytes(max))) = (&of(3).min, &of(3).max) else {
        panic!("text has bounds");
    };
    assert!(min.as_slice() <= format!("0000{}", "é".repeat(40)).as_bytes());
    assert!(max.as_slice() >= format!("1999{}", "é".repeat(40)).as_bytes());
    assert_eq!((of(4).nulls, &of(4).min, &of(4).max), (2000, &None, &None));
    assert!(matches!(of(5).min, Some(Value::Float(min)) if min.is_nan()));
    assert_eq!(SegmentMeta::decode(&meta.encode()).unwrap().rows, meta.rows);
}

#[test]
fn wide_rows_have_short_pages() {
    let folder = Folder::new();
    let schema = table(&[("k", Type::Int8), ("doc", Type::Text)], 1);
    let wide: StringViewArray =
        (0..1500).map(|i| Some(format!("{i}{}", "y".repeat(900)))).collect();
    let keys: Int64Array = (0..1500).map(Some).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(wide)];
    let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
    let mut spec = spec(&schema);
    spec.options = SegmentOptions::default();
    let meta = folder.write(spec, &[batch]);
    let segment = folder.open(&meta).unwrap();
    assert_eq!(segment.page_rows(), 1024);
    let request = ScanRequest::new(Projection::new(schema, ids(&[2])));
    assert_eq!(scan_all(&segment, request).unwrap().num_rows(), 1500);
}

#[test]
fn hidden_columns_are_stored_or_made() {
    let folder = Folder::new();
    let (schema, batch) = events(1500, 10);
    let mut projection = Projection::new(schema.clone(), ids(&[1]));
    projection.constant_commit = crate::spec::CommitId(42);
    (projection.commit, projection.row_id, projection.position) = (true, true, true);
    let made = folder.open(&folder.write(spec(&schema), std::slice::from_ref(&batch))).unwrap();
    let found = scan_all(&made, ScanRequest::new(projection.clone())).unwrap();
    let expected = UInt64Array::from_iter_values(1000..2500);
    assert_eq!(found.column_by_name(ROW_ID_NAME).unwrap().as_ref(), &expected);
    let expected = UInt64Array::from(vec![42; 1500]);
    assert_eq!(found.column_by_name(COMMIT_NAME).unwrap().as_ref(), &expected);
    assert_eq!(positions(&found), (0..1500).collect::<Vec<_>>());

    let mut stored = spec(&schema);
    (stored.id, stored.row_ids, stored.commit_stored) = (SegmentId(8), RowIds::Stored, true);
    let commits = UInt64Array::from_iter_values((0..1500).map(|i| i % 3));
    let row_ids = UInt64Array::from_iter_values((0..1500).map(|i| u64::MAX - i));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(commits.clone()));
    columns.push(Arc::new(row_ids.clone()));
    let mut fields = batch.schema().fields().to_vec();
    for name in [COMMIT_NAME, ROW_ID_NAME] {
        let field = arrow::datatypes::Field::new(name, arrow::datatypes::DataType::UInt64, false);
        fields.push(Arc::new(field));
    }
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let batch = RecordBatch::try_new(schema, columns).unwrap();
    let stored = folder.open(&folder.write(stored, &[batch])).unwrap();
    let found = scan_all(&stored, ScanRequest::new(projection)).unwrap();
    assert_eq!(found.column_by_name(COMMIT_NAME).unwrap().as_ref(), &commits);
    assert_eq!(found.column_by_name(ROW_ID_NAME).unwrap().as_ref(), &row_ids);
}

#[test]
fn columns_are_found_by_id_missing_ones_filled_and_narrow_ones_widened() {
    let folder = Folder::new();
    let schema = table(&[("k", Type::Int4), ("gone", Type::Int4)], 1);
    let rows = |i: i64| Some(Value::Int(i));
    let ints = Value::array(&(0..1300).map(rows).collect::<Vec<_>>(), &Type::Int4).unwrap();
    let batch = RecordBatch::try_new(schema.arrow(), vec![ints.clone(), ints]).unwrap();
    let segment = folder.open(&folder.write(spec(&schema), &[batch])).unwrap();

    // Dropped and added again under the same name: another id, another column.
    let mut later = TableSchema::clone(&schema);
    later.columns[0].name = "renamed".into();
    later.columns[0].data_type = Type::Int8;
    later.columns[1].id = ColumnId(9);
    later.columns[1].data_type = Type::Text;
    later.columns.push(Column { id: ColumnId(10), ..later.columns[1].clone() });
    later.columns[2].name = "added".into();
    later.columns[2].missing = Some("dflt".into());
    let projection = Projection::new(Arc::new(later), ids(&[9, 1, 10]));
    for found in [
        scan_all(&segment, ScanRequest::new(projection.clone())).unwrap(),
        segment.take(&projection, &(0..1300).collect::<Vec<_>>()).unwrap(),
    ] {
        assert_eq!(found.column(0).null_count(), 1300);
        let wide: Int64Array = (0..1300).map(Some).collect();
        assert_eq!(found.column(1).as_ref(), &wide);
        let filled = StringViewArray::from(vec!["dflt"; 1300]);
        assert_eq!(found.column(2).as_ref(), &filled);
    }
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![700, i64::MAX]));
    let found = segment.find(&projection.schema, &[keys]).unwrap();
    assert_eq!(found, [700..701, 1300..1300]);
}

#[test]
fn arrays_of_another_type_are_refused() {
    let folder = Folder::new();
    let schema = table(&[("k", Type::Int8), ("b", Type::Bool)], 1);
    let raw = FixedSizeBinaryArray::try_from_iter([[1u8; 4]].iter()).unwrap();
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let fields = vec![
        arrow::datatypes::Field::new("k", keys.data_type().clone(), false),
        arrow::datatypes::Field::new("b", raw.data_type().clone(), false),
    ];
    let wrong = Arc::new(arrow::datatypes::Schema::new(fields));
    let batch = RecordBatch::try_new(wrong, vec![keys, Arc::new(raw)]).unwrap();
    let mut writer = SegmentWriter::create(&folder.vfs, spec(&schema)).unwrap();
    assert!(writer.write(&batch).is_err());
    drop(writer);
    assert!(folder.vfs.list(TMP_DIR).unwrap().0.is_empty());
}
