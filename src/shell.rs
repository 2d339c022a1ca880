//! `asofdb sql`: statements in this process, results as psql prints them.
//!
//! Statements of one text run in order, each in a transaction of its own unless they say BEGIN; the
//! first error ends the run. COPY … FROM STDIN reads the rows that stand behind it in the text, up to a
//! line `\.`, or else standard input; COPY … TO STDOUT writes standard output.

mod progress;

use std::io::{IsTerminal, Read, Write};
use std::sync::Arc;

use asofdb::activity::{Activity, SessionActivity, SessionFacts};
use asofdb::config::Settings;
use asofdb::error::{Error, ErrorKind, Result};
use asofdb::fault;
use asofdb::memory::{Account, charged};
use asofdb::parse::{ScriptPart, script};
use asofdb::server::query_runtime;
use asofdb::session::{
    CopyIn, CopyOut, Database, Notice, Outcome, OutputColumn, RowsTag, Session, SessionOptions,
};
use asofdb::spec::Type;
use asofdb::spec::text::{TextFormatter, TextOptions};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use self::progress::Progress;

/// Rows are aligned to each other in groups of this many: a long result is printed as it comes.
const GROUP_ROWS: usize = 1000;
const COPY_READ_BYTES: usize = 64 * 1024;

/// Where the SQL stands.
pub(crate) enum Source {
    Text(String),
    StandardInput,
}

/// Runs everything the source holds.
///
/// # Errors
/// Those of opening the data folder and of reading. An error of a statement is printed here, with
/// its place in the text; then the answer is false.
pub(crate) fn run(settings: Settings, source: Source) -> Result<bool> {
    let (text, whole) = match source {
        Source::Text(text) => (text, false),
        Source::StandardInput => (read_standard_input()?, true),
    };
    let runtime = query_runtime(&settings)?;
    // On a thread of the runtime, whose stack is large; the main thread's is not.
    let task = runtime.spawn(run_text(settings, text, whole));
    let result = runtime.block_on(task);
    result.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the statement panicked")))
}

fn read_standard_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| {
        Error::new(ErrorKind::InvalidEncoding, "cannot read standard input").caused_by(error)
    })?;
    Ok(text)
}

async fn run_text(settings: Settings, text: String, whole: bool) -> Result<bool> {
    let database = Database::open(&settings.data, settings.clone())?;
    let facts = SessionFacts {
        user: "asofdb".to_owned(),
        database: "main".to_owned(),
        ..SessionFacts::default()
    };
    let activity = database.activity().register(facts, "asofdb sql");
    let mut session = database.session(SessionOptions {
        user: "asofdb".to_owned(),
        database: "main".to_owned(),
        application_name: "asofdb sql".to_owned(),
        parameters: Vec::new(),
        cancel: activity.cancel_token(),
        pid: activity.pid(),
    })?;
    let watched = Watched { activity: &activity, list: database.activity() };
    let mut failed = None;
    for part in script(&text, whole) {
        let work = run_statements(&mut session, &part, &watched);
        if let Err(error) = charged(Account::open(), work).await {
            failed = Some((error, part.start));
            break;
        }
    }
    drop((session, activity));
    database.close();
    if let Some((error, start)) = failed {
        let before = text[..start].chars().count();
        let error = match error.position() {
            Some(position) => error.at(before + position),
            None => error,
        };
        print_error(&error, Some(&text));
        return Ok(false);
    }
    Ok(true)
}

/// The list of what sessions do, and our own line of it.
struct Watched<'a> {
    activity: &'a SessionActivity,
    list: &'a Activity,
}

async fn run_statements(
    session: &mut Session,
    part: &ScriptPart<'_>,
    watched: &Watched<'_>,
) -> Result<()> {
    let text = part.statements;
    let statements = session.parse(text)?;
    let last = statements.len().saturating_sub(1);
    for (at, parsed) in statements.into_iter().enumerate() {
        watched.activity.begin_statement(text);
        let mut progress = Progress::start(watched.list, watched.activity.pid());
        let prepared = session.prepare(parsed, &[]).await?;
        if !prepared.parameters.is_empty() {
            return Err(Error::new(ErrorKind::UndefinedParameter, "there is no parameter $1"));
        }
        let outcome = session.execute(&prepared, Vec::new()).await;
        session.take_notices().iter().for_each(print_notice);
        match outcome? {
            Outcome::Rows { columns, stream, tag } => {
                let options = session.text_options();
                print_rows(&columns, stream, &options, &tag, &mut progress).await?;
            }
            Outcome::Done { tag } => {
                progress.end();
                print(&format!("{tag}\n"))?;
            }
            Outcome::CopyIn(copy) => {
                let rows = part.rows.filter(|_| at == last);
                let tag = copy_in(*copy, rows).await?;
                progress.end();
                print(&format!("{tag}\n"))?;
            }
            Outcome::CopyOut(copy) => {
                // A terminal shows the rows themselves.
                if std::io::stdout().is_terminal() {
                    progress.end();
                }
                copy_out(copy).await?;
            }
            Outcome::Empty => {}
        }
        session.take_notices().iter().for_each(print_notice);
    }
    Ok(())
}

async fn copy_in(mut copy: CopyIn, rows: Option<&str>) -> Result<String> {
    if let Some(rows) = rows {
        copy.write(rows.as_bytes()).await?;
        return copy.finish().await;
    }
    let mut bytes = vec![0; COPY_READ_BYTES];
    loop {
        let read = std::io::stdin().lock().read(&mut bytes).map_err(|error| {
            Error::new(ErrorKind::Io, "cannot read standard input").caused_by(error)
        })?;
        match read {
            0 => return copy.finish().await,
            read => copy.write(&bytes[..read]).await?,
        }
    }
}

async fn copy_out(mut copy: CopyOut) -> Result<()> {
    while let Some(piece) = copy.stream.next().await {
        write_out(&piece?.bytes)?;
    }
    Ok(())
}

/// Rows as psql's aligned format shows them, and how many there were.
async fn print_rows(
    columns: &Arc<Vec<OutputColumn>>,
    mut stream: SendableRecordBatchStream,
    options: &TextOptions,
    tag: &RowsTag,
    progress: &mut Progress,
) -> Result<()> {
    let mut group = Group::new(columns);
    let mut count = 0_usize;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(fault::of_datafusion)?;
        let pairs = columns.iter().zip(batch.columns());
        let formatters = pairs
            .map(|(column, array)| TextFormatter::new(&column.data_type, array, options))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            group.push(formatters.iter().map(|column| cell(column, row)).collect());
            count += 1;
            if group.rows.len() == GROUP_ROWS {
                progress.end();
                print(&group.take())?;
            }
        }
    }
    progress.end();
    print(&group.take())?;
    print(&format!("({count} row{})\n\n", if count == 1 { "" } else { "s" }))?;
    match tag {
        RowsTag::Tagged(word @ ("INSERT 0" | "UPDATE" | "DELETE" | "MERGE")) => {
            print(&format!("{word} {count}\n"))
        }
        RowsTag::Select | RowsTag::Fetch { .. } | RowsTag::Tagged(_) => Ok(()),
    }
}

fn cell(column: &TextFormatter<'_>, row: usize) -> String {
    let mut out = Vec::new();
    if !column.is_null(row) {
        column.write(row, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Rows that are aligned to each other.
struct Group<'a> {
    columns: &'a [OutputColumn],
    rows: Vec<Vec<String>>,
    is_first: bool,
}

impl<'a> Group<'a> {
    fn new(columns: &'a [OutputColumn]) -> Self {
        Group { columns, rows: Vec::new(), is_first: true }
    }

    fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The rows as text, the first time under their header.
    fn take(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = rows.iter().flat_map(|row| row[at].lines().map(width));
                cells.chain([width(&self.columns[at].name)]).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        if std::mem::take(&mut self.is_first) {
            let names = self.columns.iter().zip(&widths);
            let header: Vec<String> =
                names.map(|(column, width)| centred(&column.name, *width)).collect();
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            out = format!(" {} \n{}\n", header.join(" | "), rules.join("+"));
        }
        rows.iter().for_each(|row| out.push_str(&self.line(row, &widths)));
        out
    }

    /// One row; a cell of several lines takes several, each but its last marked with a plus.
    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells: Vec<Vec<&str>> = row.iter().map(|cell| cell.split('\n').collect()).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        let mut out = String::new();
        for at in 0..height {
            for (column, lines) in cells.iter().enumerate() {
                let text = lines.get(at).copied().unwrap_or("");
                let pad = " ".repeat(widths[column].saturating_sub(width(text)));
                let (left, right) = match is_number(&self.columns[column].data_type) {
                    true => (pad.as_str(), ""),
                    false => ("", pad.as_str()),
                };
                let goes_on = at + 1 < lines.len();
                let is_last = column + 1 == cells.len();
                // psql writes nothing behind the last column but the mark of a line that goes on.
                out.push_str(&match (goes_on, is_last) {
                    (true, true) => format!(" {left}{text}{right}+"),
                    (true, false) => format!(" {left}{text}{right}+|"),
                    (false, true) => format!(" {left}{text}"),
                    (false, false) => format!(" {left}{text}{right} |"),
                });
            }
            out.push('\n');
        }
        out
    }
}

fn is_number(data_type: &Type) -> bool {
    matches!(
        data_type,
        Type::Int2 | Type::Int4 | Type::Int8 | Type::Float4 | Type::Float8 | Type::Numeric(_, _)
    )
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn centred(text: &str, to: usize) -> String {
    let space = to.saturating_sub(width(text));
    format!("{}{text}{}", " ".repeat(space / 2), " ".repeat(space - space / 2))
}

fn print(text: &str) -> Result<()> {
    write_out(text.as_bytes())
}

fn write_out(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| {
        Error::new(ErrorKind::Io, "cannot write to standard output").caused_by(error)
    })
}

fn print_notice(notice: &Notice) {
    eprintln!("{}:  {}", notice.severity, notice.message);
    if let Some(hint) = &notice.hint {
        eprintln!("HINT:  {hint}");
    }
}

/// The error as psql prints it; with the text, the line it is about and a caret below.
pub(crate) fn print_error(error: &Error, text: Option<&str>) {
    eprintln!("ERROR:  {error}");
    if let (Some(position), Some(text)) = (error.position(), text)
        && let Some((number, line, column)) = place(text, position)
    {
        let label = format!("LINE {number}: ");
        eprintln!("{label}{line}\n{}^", " ".repeat(width(&label) + column));
    }
    if let Some(detail) = error.detail_text() {
        eprintln!("DETAIL:  {detail}");
    }
    if let Some(hint) = error.hint_text() {
        eprintln!("HINT:  {hint}");
    }
    if let Some(context) = error.context_text() {
        eprintln!("CONTEXT:  {context}");
    }
}

/// The line a position is in: its number from 1, itself, and the column from 0.
fn place(text: &str, position: usize) -> Option<(usize, &str, usize)> {
    let mut first = 1;
    for (number, line) in text.split('\n').enumerate() {
        let length = width(line);
        if position <= first + length {
            return Some((number + 1, line, position.checked_sub(first)?));
        }
        first += length + 1;
    }
    None
}
