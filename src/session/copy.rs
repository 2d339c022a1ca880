//! STUB: COPY of tab-separated text only, without escapes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::{CopyOut, columns_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::spec::Type;
use crate::spec::text::{TextBuilder, TextFormatter, TextOptions};

pub struct CopyIn {
    context: SessionContext,
    table: String,
    schema: SchemaRef,
    builders: Vec<TextBuilder>,
    rest: Vec<u8>,
    rows: u64,
    binary: bool,
}

impl CopyIn {
    pub(super) fn new(
        context: SessionContext,
        table: String,
        schema: SchemaRef,
        binary: bool,
    ) -> Result<Self> {
        let builders = schema
            .fields()
            .iter()
            .map(|f| {
                let t = Type::of_field(f).expect("stub tables have types");
                TextBuilder::new(&t, &TextOptions::default())
            })
            .collect();
        Ok(CopyIn { context, table, schema, builders, rest: Vec::new(), rows: 0, binary })
    }

    pub fn format(&self) -> u8 {
        u8::from(self.binary)
    }

    pub fn columns(&self) -> usize {
        self.schema.fields().len()
    }

    pub async fn write(&mut self, data: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(data);
        while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = &line[..end];
            if line == b"\\." {
                continue;
            }
            let fields: Vec<&[u8]> = line.split(|b| *b == b'\t').collect();
            if fields.len() != self.builders.len() {
                return Err(Error::new(
                    ErrorKind::BadCopyFormat,
                    format!("row {} has {} columns", self.rows + 1, fields.len()),
                ));
            }
            for (builder, field) in self.builders.iter_mut().zip(fields) {
                match field {
                    b"\\N" => builder.append_null(),
                    text => builder.append(text)?,
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    pub async fn finish(mut self) -> Result<String> {
        let arrays = self.builders.iter_mut().map(|b| b.finish()).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(fault::of_arrow)?;
        let frame = self.context.read_batch(batch).map_err(fault::of_datafusion)?;
        frame
            .write_table(&self.table, datafusion::dataframe::DataFrameWriteOptions::new())
            .await
            .map_err(fault::of_datafusion)?;
        Ok(format!("COPY {}", self.rows))
    }
}

pub(super) fn out(stream: SendableRecordBatchStream) -> Result<CopyOut> {
    let columns = columns_of(&stream.schema())?;
    let rows = Arc::new(AtomicU64::new(0));
    let (count, counted) = (columns.len(), rows.clone());
    let stream = stream.map(move |batch| {
        let batch = batch.map_err(fault::of_datafusion)?;
        let options = TextOptions::default();
        let formatters = columns
            .iter()
            .zip(batch.columns())
            .map(|(c, a)| TextFormatter::new(&c.data_type, a, &options))
            .collect::<Result<Vec<_>>>()?;
        let mut rows = Vec::new();
        for row in 0..batch.num_rows() {
            let mut out = Vec::new();
            for (at, formatter) in formatters.iter().enumerate() {
                if at > 0 {
                    out.push(b'\t');
                }
                match formatter.is_null(row) {
                    true => out.extend_from_slice(b"\\N"),
                    false => formatter.write(row, &mut out),
                }
            }
            out.push(b'\n');
            rows.push(Ok(Bytes::from(out)));
        }
        counted.fetch_add(batch.num_rows() as u64, Ordering::AcqRel);
        Ok::<_, Error>(futures::stream::iter(rows))
    });
    let stream = futures::TryStreamExt::try_flatten(stream);
    Ok(CopyOut { columns: count, binary: false, stream: stream.boxed(), rows })
}
