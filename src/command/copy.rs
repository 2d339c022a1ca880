//! COPY: bytes to rows of a table, and rows to bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::DFSchema;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::Writing;
use super::foreign::Assignment;
use super::write::gate::Gate;
use super::write::values::{check_columns, default_of};
use crate::activity::{CancelToken, Copying};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::copy::{
    ColumnChoice, CopyColumn, CopyFormat, CopyHeader, CopyOptions, CopyReader, CopyWriter,
};
use crate::fault;
use crate::parse;
use crate::segment::{ParquetOut, ParquetRows};
use crate::spec::Type;
use crate::spec::text::TextOptions;
use crate::store::{Load, Loaded, Table};
use crate::vfs::{File, outside};

/// How often a file is read.
const READ_BYTES: usize = 1 << 20;

/// Rows on their way into a table.
pub struct CopyInto {
    table: Arc<Table>,
    gate: Gate,
    load: Load,
    /// For each column of the table: which field it is, or the value it gets instead.
    columns: Vec<Source>,
    /// How many fields a line has.
    width: usize,
    reader: Option<CopyReader>,
    binary: bool,
    copying: Copying,
    cancel: CancelToken,
    text: TextOptions,
    state: Arc<SessionState>,
}

enum Source {
    Field(usize),
    /// Evaluated for every row, over no columns.
    Value(Arc<dyn PhysicalExpr>),
}

impl CopyInto {
    /// Begins to copy into some columns of a table (none named: all).
    ///
    /// # Errors
    /// UndefinedColumn; InvalidValue for options that contradict each other.
    pub fn new(
        writing: &Writing<'_>,
        table: Arc<Table>,
        names: &[String],
        options: &parse::CopyOptions,
        copying: Copying,
    ) -> Result<CopyInto> {
        let schema = table.schema();
        check_columns(schema, names)?;
        let all = || schema.columns.iter().map(|c| c.name.clone()).collect();
        let names: Vec<String> = if names.is_empty() { all() } else { names.to_vec() };
        let column = |name: &String| {
            let (_, column) = schema.column_named(name).expect("checked above");
            CopyColumn { name: name.clone(), data_type: column.data_type.clone() }
        };
        let fields: Vec<CopyColumn> = names.iter().map(column).collect();
        let columns = sources(writing, &table, &names)?;
        let options = copy_options(options)?;
        let reader = match options.format {
            CopyFormat::Parquet => None,
            CopyFormat::Text | CopyFormat::Csv | CopyFormat::Binary => {
                let text = &writing.reading.text;
                Some(CopyReader::new(&schema.name, &fields, &options, text)?)
            }
        };
        Ok(CopyInto {
            gate: Gate::new(&writing.reading, writing.state, &table)?,
            load: Load::new(&table),
            width: names.len(),
            binary: matches!(options.format, CopyFormat::Binary | CopyFormat::Parquet),
            table: Arc::clone(&table),
            columns,
            reader,
            copying,
            cancel: writing.reading.cancel.clone(),
            text: writing.reading.text.clone(),
            state: Arc::clone(writing.state),
        })
    }

    /// Whether the client sends bytes rather than text.
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// Whether the bytes are a Parquet file, which must be whole before it can be read.
    pub fn is_parquet(&self) -> bool {
        self.reader.is_none()
    }

    /// How many fields a line has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.load.rows()
    }

    /// Takes bytes, cut anywhere.
    ///
    /// # Errors
    /// BadCopyFormat and what a value may be refused for, with the line and the column.
    pub fn write(&mut self, mut data: &[u8]) -> Result<()> {
        self.copying.add_bytes(data.len());
        while !data.is_empty() {
            let Some(reader) = &mut self.reader else { break };
            if let Some(batch) = reader.read(&mut data)? {
                self.push(batch.columns(), batch.num_rows())?;
            }
        }
        Ok(())
    }

    /// Takes a whole file.
    ///
    /// # Errors
    /// As [`CopyInto::write`]; UndefinedColumn where a Parquet file lacks a column.
    pub fn write_file(&mut self, file: &File) -> Result<()> {
        if self.is_parquet() {
            return self.write_parquet(file);
        }
        let mut at = 0;
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let read = file.read_at(at, &mut bytes)?;
            if read == 0 {
                return Ok(());
            }
            at += read as u64;
            self.write(&bytes[..read])?;
        }
    }

    fn write_parquet(&mut self, file: &File) -> Result<()> {
        let rows = ParquetRows::open(file)?;
        let assignments = self.assignments(file, rows.schema())?;
        for batch in rows {
            self.cancel.check()?;
            let batch = batch?;
            let fields = assignments.iter().map(|assignment| assignment.values(&batch, &self.text));
            let fields = fields.collect::<Result<Vec<ArrayRef>>>()?;
            self.push(&fields, batch.num_rows())?;
        }
        self.copying.add_bytes(usize::try_from(file.len()?).unwrap_or(usize::MAX));
        Ok(())
    }

    /// The columns of a file, each for the column of the table that has its name.
    fn assignments(&mut self, file: &File, found: &Schema) -> Result<Vec<Assignment>> {
        let mut assignments = Vec::new();
        for (source, column) in self.columns.iter_mut().zip(&self.table.schema().columns) {
            let Source::Field(at) = source else { continue };
            let Ok(position) = found.index_of(&column.name) else {
                return Err(Error::new(
                    ErrorKind::UndefinedColumn,
                    format!("\"{}\" has no column \"{}\"", file.name(), column.name),
                )
                .hint("name the columns the file has: COPY t (a, b) FROM …"));
            };
            *at = assignments.len();
            let field = (position, found.field(position));
            assignments.push(Assignment::new(&self.state, field, column)?);
        }
        Ok(assignments)
    }

    /// Takes rows: the fields in the types of their columns.
    fn push(&mut self, fields: &[ArrayRef], count: usize) -> Result<()> {
        self.cancel.check()?;
        self.copying.add_rows(count);
        let column = |source: &Source| -> Result<ArrayRef> {
            match source {
                Source::Field(at) => Ok(Arc::clone(&fields[*at])),
                Source::Value(value) => {
                    let rows = RecordBatchOptions::new().with_row_count(Some(count));
                    let none = Arc::new(Schema::empty());
                    let none = RecordBatch::try_new_with_options(none, Vec::new(), &rows);
                    let value = value.evaluate(&none.map_err(fault::of_arrow)?);
                    value.and_then(|value| value.into_array(count)).map_err(fault::of_datafusion)
                }
            }
        };
        let columns: Vec<ArrayRef> = self.columns.iter().map(column).collect::<Result<_>>()?;
        let rows =
            self.gate.admit(columns.clone()).map_err(|error| self.in_its_line(columns, error))?;
        self.load.push(&rows)
    }

    /// The error of the first row that the table does not admit, with its line where that is known.
    fn in_its_line(&self, columns: Vec<ArrayRef>, error: Error) -> Error {
        let refused = |from: usize, rows: usize| {
            self.gate.admit(columns.iter().map(|column| column.slice(from, rows)).collect()).err()
        };
        let (mut good, mut bad) = (0, columns.first().map_or(0, |column| column.len()));
        while bad > good + 1 {
            let middle = good.midpoint(bad);
            match refused(0, middle) {
                Some(_) => bad = middle,
                None => good = middle,
            }
        }
        match (&self.reader, refused(good, 1)) {
            (Some(reader), Some(first)) => reader.in_line_of(good, first),
            _ => error,
        }
    }

    /// Ends the copy.
    ///
    /// # Errors
    /// As [`CopyInto::write`]; UniqueViolation.
    pub fn finish(mut self) -> Result<(Arc<Table>, Loaded)> {
        if let Some(batch) = self.reader.as_mut().map(CopyReader::finish).transpose()?.flatten() {
            self.push(batch.columns(), batch.num_rows())?;
        }
        Ok((self.table, self.load.finish()?))
    }
}

fn sources(writing: &Writing<'_>, table: &Table, names: &[String]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for column in &table.schema().columns {
        sources.push(match names.iter().position(|name| *name == column.name) {
            Some(field) => Source::Field(field),
            None => {
                let storage = column.data_type.arrow();
                let expr = datafusion::logical_expr::cast(
                    default_of(&writing.reading, writing.state, column)?,
                    storage,
                );
                let expr = writing.state.create_physical_expr(expr, &DFSchema::empty());
                Source::Value(expr.map_err(fault::of_datafusion)?)
            }
        });
    }
    Ok(sources)
}

/// The options as the formats want them.
///
/// # Errors
/// InvalidValue, NotSupported.
pub fn copy_options(said: &parse::CopyOptions) -> Result<CopyOptions> {
    let mut options = CopyOptions::new(match said.format {
        parse::CopyFormat::Text => CopyFormat::Text,
        parse::CopyFormat::Csv => CopyFormat::Csv,
        parse::CopyFormat::Binary => CopyFormat::Binary,
        parse::CopyFormat::Parquet => CopyFormat::Parquet,
    });
    options.delimiter = said.delimiter.unwrap_or(options.delimiter);
    options.quote = said.quote.unwrap_or(options.quote);
    options.escape = said.escape.or(said.quote).unwrap_or(options.escape);
    options.null = said.null.clone().unwrap_or(options.null);
    options.header = match said.header {
        parse::CopyHeader::No => CopyHeader::None,
        parse::CopyHeader::Yes => CopyHeader::Names,
        parse::CopyHeader::Match => CopyHeader::Match,
    };
    let choice = |names: &Option<Vec<String>>| match names.as_deref() {
        None => ColumnChoice::Only(Vec::new()),
        Some([]) => ColumnChoice::All,
        Some(names) => ColumnChoice::Only(names.to_vec()),
    };
    options.force_null = choice(&said.force_null);
    options.force_not_null = choice(&said.force_not_null);
    options.force_quote = choice(&said.force_quote);
    if let Some((name, _)) = said.other.first() {
        let message = format!("option \"{name}\" of COPY is not known");
        return Err(Error::new(ErrorKind::InvalidValue, message));
    }
    let utf8 = |name: &String| matches!(name.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8");
    if said.encoding.as_ref().is_some_and(|name| !utf8(name)) {
        return Err(Error::new(ErrorKind::NotSupported, "COPY in an encoding other than UTF8"));
    }
    Ok(options)
}

/// Some bytes of COPY TO, and where rows end in them: drivers take one message for one row.
#[derive(Clone, Debug, Default)]
pub struct CopyPiece {
    /// The bytes.
    pub bytes: Bytes,
    /// Ends of messages, ascending; the last is the length.
    pub ends: Vec<usize>,
}

/// Rows as the bytes of COPY TO, and how many there were so far.
pub struct CopyBytes {
    /// The pieces.
    pub stream: BoxStream<'static, Result<CopyPiece>>,
    /// Counts rows as they are written.
    pub rows: Arc<AtomicU64>,
}

/// Turns rows into the bytes of COPY TO.
///
/// # Errors
/// InvalidValue for options that contradict each other.
pub fn copy_out(
    columns: &[(String, Type)],
    rows: SendableRecordBatchStream,
    options: &parse::CopyOptions,
    text: &TextOptions,
    copying: Copying,
) -> Result<CopyBytes> {
    let options = copy_options(options)?;
    let schema = rows.schema();
    let encoder = match options.format {
        CopyFormat::Parquet => Encoder::parquet(columns, &schema)?,
        CopyFormat::Text | CopyFormat::Csv | CopyFormat::Binary => {
            let column = |(name, data_type): &(String, Type)| CopyColumn {
                name: name.clone(),
                data_type: data_type.clone(),
            };
            let columns: Vec<CopyColumn> = columns.iter().map(column).collect();
            Encoder::Lines(CopyWriter::new(&columns, &options, text)?)
        }
    };
    let counter = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&counter);
    let begun = (rows, Some(encoder), copying, false);
    let stream =
        futures::stream::try_unfold(begun, move |(mut rows, encoder, copying, started)| {
            let counted = Arc::clone(&counted);
            async move {
                let Some(mut encoder) = encoder else { return Ok(None) };
                let (mut out, mut ends) = (Vec::new(), Vec::new());
                if !started {
                    encoder.start(&mut out, &mut ends);
                }
                match rows.next().await.transpose().map_err(fault::of_datafusion)? {
                    Some(batch) => {
                        encoder.write(&batch, &mut out, &mut ends)?;
                        counted.fetch_add(batch.num_rows() as u64, Ordering::AcqRel);
                        copying.add_rows(batch.num_rows());
                        copying.add_bytes(out.len());
                        Ok(Some((piece(out, ends), (rows, Some(encoder), copying, true))))
                    }
                    None => {
                        encoder.finish(&mut out)?;
                        copying.add_bytes(out.len());
                        Ok(Some((piece(out, ends), (rows, None, copying, true))))
                    }
                }
            }
        });
    Ok(CopyBytes { stream: stream.boxed(), rows: counter })
}

fn piece(bytes: Vec<u8>, mut ends: Vec<usize>) -> CopyPiece {
    if ends.last() != Some(&bytes.len()) && !bytes.is_empty() {
        ends.push(bytes.len());
    }
    CopyPiece { bytes: Bytes::from(bytes), ends }
}

enum Encoder {
    Lines(CopyWriter),
    Parquet(ParquetOut, SchemaRef),
}

impl Encoder {
    fn parquet(columns: &[(String, Type)], schema: &SchemaRef) -> Result<Encoder> {
        let field = |((name, _), field): (&(String, Type), &Arc<arrow::datatypes::Field>)| {
            field.as_ref().clone().with_name(name.clone())
        };
        let fields: Vec<_> = columns.iter().zip(schema.fields()).map(field).collect();
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        let types: Vec<Type> = columns.iter().map(|(_, of)| of.clone()).collect();
        Ok(Encoder::Parquet(ParquetOut::new(Arc::clone(&schema), &types)?, schema))
    }

    fn start(&self, out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        if let Encoder::Lines(writer) = self {
            writer.start(out);
            // The header of names is a message; the binary one goes with the first row.
            ends.extend(out.ends_with(b"\n").then_some(out.len()));
        }
    }

    fn write(
        &mut self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<()> {
        match self {
            Encoder::Lines(writer) => writer.write(batch, out, ends),
            Encoder::Parquet(writer, schema) => {
                let columns = batch.columns().to_vec();
                let batch = RecordBatch::try_new(Arc::clone(schema), columns);
                out.extend(writer.write(&batch.map_err(fault::of_arrow)?)?);
                Ok(())
            }
        }
    }

    fn finish(self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Encoder::Lines(writer) => writer.finish(out),
            Encoder::Parquet(writer, _) => out.extend(writer.finish()?),
        }
        Ok(())
    }
}

/// Writes the bytes of COPY TO into a file; answers how many rows there were.
///
/// # Errors
/// Io; whatever the rows give.
pub async fn copy_to_file(mut bytes: CopyBytes, path: &str) -> Result<u64> {
    let file = outside::create(path)?;
    let mut end = file.append();
    while let Some(piece) = bytes.stream.next().await {
        end.write(&piece?.bytes)?;
    }
    file.sync_all()?;
    Ok(bytes.rows.load(Ordering::Acquire))
}
