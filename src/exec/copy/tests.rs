use arrow::array::*;
use arrow::compute::concat_batches;
use proptest::prelude::*;

use super::*;
use crate::error::{Error, Result};
use crate::spec::text::{TextFormatter, TextOptions};
use crate::spec::{Type, samples};

fn columns(types: &[(&str, Type)]) -> Vec<CopyColumn> {
    let column = |(name, data_type): &(&str, Type)| CopyColumn {
        name: (*name).to_owned(),
        data_type: data_type.clone(),
    };
    types.iter().map(column).collect()
}

fn ab() -> Vec<CopyColumn> {
    columns(&[("a", Type::Int4), ("b", Type::Text)])
}

fn csv() -> CopyOptions {
    CopyOptions::new(CopyFormat::Csv)
}

fn text() -> CopyOptions {
    CopyOptions::new(CopyFormat::Text)
}

fn read<'c>(
    columns: &[CopyColumn],
    options: &CopyOptions,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<Vec<RecordBatch>> {
    let mut reader = CopyReader::new("t", columns, options, &TextOptions::default())?;
    let mut batches = Vec::new();
    for mut chunk in chunks {
        while let Some(batch) = reader.read(&mut chunk)? {
            batches.push(batch);
        }
        assert!(chunk.is_empty(), "a reader that has no batch has used up the chunk");
    }
    batches.extend(reader.finish()?);
    Ok(batches)
}

/// Rows as `a|b`, NULL as `~`.
fn rows(columns: &[CopyColumn], options: &CopyOptions, input: &[u8]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in read(columns, options, [input]).expect("the input is sound") {
        for row in 0..batch.num_rows() {
            let fields = columns.iter().zip(batch.columns()).map(|(column, array)| {
                let options = TextOptions::default();
                let formatter = TextFormatter::new(&column.data_type, array, &options);
                let formatter = formatter.expect("a reader builds what its types say");
                let mut out = Vec::new();
                if formatter.is_null(row) {
                    return "~".to_owned();
                }
                formatter.write(row, &mut out);
                String::from_utf8(out).expect("text is UTF-8")
            });
            rows.push(fields.collect::<Vec<_>>().join("|"));
        }
    }
    rows
}

fn refused(columns: &[CopyColumn], options: &CopyOptions, input: &[u8]) -> String {
    told(&read(columns, options, [input]).expect_err("the input is broken"))
}

fn told(e: &Error) -> String {
    format!("{} {} / {}", e.kind().sqlstate(), e.message(), e.context_text().unwrap_or(""))
}

#[test]
fn text_is_read_as_postgresql_reads_it() {
    assert_eq!(rows(&ab(), &text(), b"1\tx\n\\N\t\\N\n3\t"), ["1|x", "~|~", "3|"]);
    assert_eq!(rows(&ab(), &text(), b"1\ta\\tb\\\\\\x41\\101\\N\\q\\\n2\n"), ["1|a\tb\\AANq\n2"]);
    assert_eq!(rows(&ab(), &text(), b"1\tx\r\n2\ty\r\n"), ["1|x", "2|y"]);
    assert_eq!(rows(&ab(), &text(), b"1\tx\r2\ty\r"), ["1|x", "2|y"]);
    assert_eq!(rows(&ab(), &text(), b"1\tx\n\\.\nwhatever \"follows"), ["1|x"]);
    assert_eq!(rows(&ab(), &text(), b"1\tx\n\\."), ["1|x"]);
    let one = columns(&[("a", Type::Text)]);
    assert_eq!(rows(&one, &text(), b"\n\nx\n"), ["", "", "x"]);
    let options = CopyOptions { delimiter: b'|', null: "null".to_owned(), ..text() };
    assert_eq!(rows(&ab(), &options, b"1|null\n2|\\null\n3|a\\|b\n"), ["1|~", "2|\null", "3|a|b"]);
    let header = CopyOptions { header: CopyHeader::Names, ..text() };
    assert_eq!(rows(&ab(), &header, b"x\ty\n1\tx\n"), ["1|x"]);
}

#[test]
fn csv_is_read_as_postgresql_reads_it() {
    let input = b"1,\"\"\n2,\n3,\"a\"\"b,\nc\"\n4,ab\"c,d\"e\n5,\" x \"";
    assert_eq!(rows(&ab(), &csv(), input), ["1|", "2|~", "3|a\"b,\nc", "4|abc,de", "5| x "]);
    assert_eq!(rows(&ab(), &csv(), b"1,x\n\\.\n2,y\n"), ["1|x"]);
    assert_eq!(rows(&ab(), &csv(), b"1,\\.\n2,\"\\.\"\n"), ["1|\\.", "2|\\."]);
    let options = CopyOptions { escape: b'\\', quote: b'\'', ..csv() };
    let input = br"1,'a\'b\\c\d'
2,'x,\'
y'";
    assert_eq!(rows(&ab(), &options, input), [r"1|a'b\c\d", "2|x,'\ny"]);
    let only = |name: &str| ColumnChoice::Only(vec![name.to_owned()]);
    let options = CopyOptions { force_null: only("b"), ..csv() };
    assert_eq!(rows(&ab(), &options, b"1,\"\"\n2,\n"), ["1|~", "2|~"]);
    let options = CopyOptions { force_not_null: only("b"), ..csv() };
    assert_eq!(rows(&ab(), &options, b"1,\n"), ["1|"]);
    let options = CopyOptions { null: "NULL".to_owned(), ..csv() };
    assert_eq!(rows(&ab(), &options, b"1,NULL\n2,\"NULL\"\nNULL,\n"), ["1|~", "2|NULL", "~|"]);
    let options = CopyOptions { header: CopyHeader::Match, ..csv() };
    assert_eq!(rows(&ab(), &options, b"\"a\",b\r\n1,x\r\n"), ["1|x"]);
}

#[test]
fn errors_say_where_and_have_postgresql_s_codes() {
    let cases = [
        (ab(), text(), "1\tx\n2\n", "22P04 missing data for column \"b\" / COPY t, line 2: \"2\""),
        (
            ab(),
            csv(),
            "1,x,y\n",
            "22P04 extra data after last expected column / COPY t, line 1: \"1,x,y\"",
        ),
        (
            ab(),
            csv(),
            "1,\"x\ny\"\nabc,x\n",
            "22P02 invalid input syntax for type integer: \"abc\" / COPY t, line 3, column a: \"abc\"",
        ),
        (ab(), csv(), "1,\"x\n", "22P04 unterminated CSV quoted field / COPY t, line 2"),
        (
            ab(),
            csv(),
            "1,x\n2,y\r\n",
            "22P04 unquoted carriage return found in data / COPY t, line 2",
        ),
        (ab(), text(), "1\tx\r\n2\ty\n", "22P04 literal newline found in data / COPY t, line 2"),
        (
            ab(),
            text(),
            "1\tx\\.\n",
            "22P04 end-of-copy marker is not alone on its line / COPY t, line 1",
        ),
        (ab(), text(), "99999999999\tx\n", "22003"),
        (ab(), text(), "1\t\\xff\n", "22021"),
    ];
    for (columns, options, input, expected) in cases {
        let told = refused(&columns, &options, input.as_bytes());
        assert!(told.starts_with(expected), "{input:?}: {told}");
    }
    let header = CopyOptions { header: CopyHeader::Match, ..csv() };
    assert_eq!(
        refused(&ab(), &header, b"a,c\n"),
        "22P04 column name mismatch in header line field 2: got \"c\", expected \"b\" \
         / COPY t, line 1: \"a,c\""
    );
    assert!(refused(&ab(), &header, b"a\n").starts_with("22P04 wrong number of fields"));
    assert!(refused(&ab(), &header, b"").starts_with("22P04 wrong number of fields"));
    let unknown = CopyOptions { force_null: ColumnChoice::Only(vec!["z".to_owned()]), ..csv() };
    assert!(refused(&ab(), &unknown, b"").starts_with("42703"));
    let clash = CopyOptions { delimiter: b'"', ..csv() };
    assert!(refused(&ab(), &clash, b"").starts_with("22023"));
}

#[test]
fn binary_is_framed_as_postgresql_frames_it() {
    let options = CopyOptions::new(CopyFormat::Binary);
    let one = columns(&[("a", Type::Int2)]);
    let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    let with = |tail: &[u8]| [header, tail].concat();
    let rows_of = |input: &[u8]| rows(&one, &options, input);
    assert_eq!(rows_of(&with(b"\0\x01\0\0\0\x02\0\x07\0\x01\xff\xff\xff\xff\xff\xff")), ["7", "~"]);
    assert_eq!(rows_of(&with(b"")), Vec::<String>::new());
    let broken = |input: &[u8]| refused(&one, &options, input);
    assert!(broken(b"PGCOPX").starts_with("22P04 COPY file signature not recognized"));
    assert!(broken(&with(b"\0\x02")).starts_with("22P04 row field count is 2, expected 1"));
    assert!(broken(&with(b"\0\x01\0\0")).starts_with("22P04 unexpected EOF in COPY data"));
    assert!(broken(&with(b"\xff\xff\0")).starts_with("22P04 received copy data after EOF"));
    assert!(broken(&with(b"\0\x01\0\0\0\x03abc")).starts_with("22P03"));
    assert!(broken(&with(b"\0\x01\x7f\0\0\0")).starts_with("54000"));
}

#[test]
fn memory_is_bounded() {
    let one = columns(&[("a", Type::Text)]);
    let piece = vec![b'x'; 1 << 20];
    let chunks = std::iter::repeat_n(&piece[..], 17);
    let e = read(&one, &text(), chunks).expect_err("the line is too long");
    assert_eq!(e.kind().sqlstate(), "54000");

    let line = [&piece[..], b"\n"].concat();
    let batches = read(&one, &csv(), std::iter::repeat_n(&line[..], 9)).expect("lines fit");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [4, 4, 1]);
    let narrow = b"1\tx\n".repeat(BATCH_ROWS + 1);
    let batches = read(&ab(), &text(), [&narrow[..]]).expect("lines are sound");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS, 1]);
}

#[test]
fn lines_are_written_as_postgresql_writes_them() {
    let batch = RecordBatch::try_from_iter([
        ("a", std::sync::Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef),
        ("b,", std::sync::Arc::new(StringArray::from(vec![Some(""), Some("x\"\n")])) as ArrayRef),
    ]);
    let batch = batch.expect("two columns of two rows");
    let columns = columns(&[("a", Type::Int4), ("b,", Type::Text)]);
    let written = |options: CopyOptions| {
        let writer = CopyWriter::new(&columns, &options, &TextOptions::default());
        let writer = writer.expect("the options are sound");
        let mut out = Vec::new();
        writer.start(&mut out);
        writer.write(&batch, &mut out, &mut Vec::new()).expect("storage fits the types");
        writer.finish(&mut out);
        String::from_utf8(out).expect("lines are UTF-8")
    };
    let header = CopyHeader::Names;
    assert_eq!(written(CopyOptions { header, ..csv() }), "a,\"b,\"\n1,\"\"\n,\"x\"\"\n\"\n");
    let options = CopyOptions { force_quote: ColumnChoice::All, escape: b'\\', ..csv() };
    assert_eq!(written(options), "\"1\",\"\"\n,\"x\\\"\n\"\n");
    assert_eq!(written(text()), "1\t\n\\N\tx\"\\n\n");
    let tabs = RecordBatch::try_from_iter([(
        "a",
        std::sync::Arc::new(StringArray::from(vec!["x\ty|z"])) as ArrayRef,
    )]);
    let writer = CopyWriter::new(&columns[1..], &text(), &TextOptions::default()).expect("sound");
    let mut out = Vec::new();
    writer
        .write(&tabs.expect("one column"), &mut out, &mut Vec::new())
        .expect("storage fits the type");
    assert_eq!(out, b"x\\ty|z\n");
}

fn formats() -> Vec<CopyOptions> {
    vec![
        text(),
        csv(),
        CopyOptions {
            header: CopyHeader::Match,
            delimiter: b'|',
            null: "\\~".to_owned(),
            ..text()
        },
        CopyOptions { escape: b'\\', null: "a".to_owned(), header: CopyHeader::Match, ..csv() },
        CopyOptions::new(CopyFormat::Binary),
    ]
}

/// Cuts at the places given, in any order.
fn cut<'b>(bytes: &'b [u8], places: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.push(0);
    places.push(bytes.len());
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        (data_type, array) in samples::columns(),
        options in prop::sample::select(formats()),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let columns = columns(&[("only", data_type.clone()), ("again", data_type)]);
        let batch = RecordBatch::try_from_iter([("only", array.clone()), ("again", array)]);
        let batch = batch.expect("two columns of one length");
        let writer = CopyWriter::new(&columns, &options, &TextOptions::default()).expect("sound");
        let mut bytes = Vec::new();
        writer.start(&mut bytes);
        writer.write(&batch, &mut bytes, &mut Vec::new()).expect("storage fits");
        writer.finish(&mut bytes);
        let batches = read(&columns, &options, cut(&bytes, &places)).expect("what was written");
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        prop_assert_eq!(rows, batch.num_rows());
        if let Some(first) = batches.first() {
            let read = concat_batches(&first.schema(), &batches).expect("one schema");
            prop_assert_eq!(read.columns(), batch.columns());
        }
    }

    /// Chunks may begin and end anywhere: rows and errors are those of one chunk.
    #[test]
    fn chunks_make_no_difference(
        options in prop::sample::select(formats()),
        bytes in prop_oneof![
            prop::collection::vec(prop::sample::select(b"a1,\t|\"\\\n\r.x{}N\xff".to_vec()), 0..60),
            prop::collection::vec(prop::sample::select(
                vec!["a\n", "a,b\r\n", "\"", "\\.", "\n", "\r", "\\", "PGCOPY\n\u{0}", "1\t2\n", "a,\"b\n\"\n"]
            ), 0..12).prop_map(|parts| parts.concat().into_bytes()),
            prop::collection::vec(prop::sample::select(vec![0u8, 0, 0, 1, 2, 255]), 0..40)
                .prop_map(|tail| [&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..], &tail].concat()),
        ],
        width in 1usize..3,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let columns = columns(&[("a", Type::Text), ("b", Type::Text)][..width]);
        let whole = read(&columns, &options, [&bytes[..]]).map_err(|e| told(&e));
        let cut = read(&columns, &options, cut(&bytes, &places)).map_err(|e| told(&e));
        prop_assert_eq!(whole, cut);
    }
}
