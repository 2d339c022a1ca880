//! Statements that write: run on the session's transaction, committed outside a block.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{ObjectName, TableFactor};

use super::answer::{Answer, Bounds};
use super::copy::{CopyIn, Source, Spool};
use super::execute::{Parameters, done, refuse};
use super::place::reads_where_it_writes;
use super::work::{Base, Block};
use super::{CopyOut, Outcome, OutputColumn, RowsTag, Session};
use crate::activity::{CopyFacts, Copying};
use crate::command::alter::alter_table;
use crate::command::copy::{CopyInto, copy_out, copy_to_file};
use crate::command::drop::{drop_objects, word_of};
use crate::command::object::{alter_object, comment, create_index};
use crate::command::sequence::create_sequence;
use crate::command::table::{Created, create_schema, create_table, create_view};
use crate::command::write::target::Target;
use crate::command::write::{self, Returned};
use crate::command::{Before, Writing, past, run, schema};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{self, Copy, CopyFormat, CopyLocation, CopyTarget, Statement, version_tree};
use crate::plan::thread::given_up;
use crate::plan::time_travel::name_parts;
use crate::plan::{Reading, addressed_table, plan_apart};
use crate::spec::Type;
use crate::vfs::{File, outside};

/// A statement that lost against another is run again this often.
const RETRIES: usize = 10;
/// One that lost so often runs alone among those that did: each round one of them gets through.
const ROUNDS_AT_ONCE: usize = 3;

/// What a statement that writes answers.
struct Written {
    tag: String,
    /// Rows that INSERT, UPDATE, DELETE or MERGE changed.
    rows: u64,
    notices: Vec<String>,
    /// RETURNING, and the word of its tag.
    returned: Option<(Returned, &'static str)>,
}

impl Written {
    fn of(tag: String, notices: Vec<String>) -> Written {
        Written { tag, rows: 0, notices, returned: None }
    }
}

impl Session {
    pub(super) async fn write(
        &mut self,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<Outcome> {
        let (written, bounds) = self.written(statement, parameters).await?;
        match written.returned {
            None => done(&written.tag),
            Some((returned, word)) => Ok(self.returned(returned, word, bounds)),
        }
    }

    /// Writes, again where another was first, and tells its notices.
    async fn written(
        &mut self,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<(Written, Bounds)> {
        let mut round = 0;
        loop {
            round += 1;
            let database = self.database.clone();
            let _alone = match round > ROUNDS_AT_ONCE {
                true => tokio::select! {
                    turn = database.inner().losers.lock() => Some(turn),
                    reason = self.cancel.cancelled() => return Err(reason.error()),
                },
                false => None,
            };
            match self.write_once(statement, parameters.clone()).await {
                Err(error) if error.kind() == ErrorKind::Conflict && self.may_retry(round) => {}
                Err(error) => return Err(error),
                Ok((mut written, bounds)) => {
                    let notices = std::mem::take(&mut written.notices);
                    notices.into_iter().for_each(|notice| self.notice(notice));
                    return Ok((written, bounds));
                }
            }
        }
    }

    /// Runs a statement that changes rows, and answers how many.
    pub(super) async fn write_counted(
        &mut self,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<u64> {
        Ok(self.written(statement, parameters).await?.0.rows)
    }

    /// What RETURNING shows: all of it is there, and committed outside a block.
    fn returned(&self, returned: Returned, word: &'static str, bounds: Bounds) -> Outcome {
        let column =
            |(name, data_type)| OutputColumn { name, data_type, catalog_type: None, table: None };
        let columns = Arc::new(returned.columns.into_iter().map(column).collect());
        let stream = Answer::stream(returned.rows.stream(), bounds);
        Outcome::Rows { columns, stream, tag: RowsTag::Tagged(word) }
    }

    fn may_retry(&self, round: usize) -> bool {
        round < RETRIES && self.work.lock().block == Block::None
    }

    async fn write_once(
        &mut self,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<(Written, Bounds)> {
        let reading = self.reading(parameters)?;
        let place = self.place_of(&reading, statement)?;
        let mut transaction =
            self.work.lock().writing(&place, &self.base, self.database.store())?;
        place.check(&reading, transaction.branch())?;
        let own = matches!(&self.base, Base::Branch(name) if name == transaction.branch());
        let there = own || reads_where_it_writes(statement);
        let source = if there { reading.at(transaction.snapshot()) } else { reading };
        self.hooks.read(&source, &self.state);
        let (source, bounds) = self.bounded(&source)?;
        let cancelled = source.cancel.clone();
        let mut writing = Writing {
            reading: source,
            state: &self.state,
            transaction: &mut transaction,
            before: Before::default(),
        };
        let written = tokio::select! {
            biased;
            written = run_write(&mut writing, statement) => written?,
            reason = given_up(&cancelled) => return Err(reason.error()),
        };
        let block = self.work.lock().block;
        match block {
            Block::None => self.commit_transaction(transaction).await?,
            Block::Implicit | Block::Explicit => {
                self.work.lock().transaction = Some(transaction);
            }
        }
        Ok((written, bounds))
    }

    pub(super) async fn copy(&mut self, copy: &Copy, parameters: Parameters) -> Result<Outcome> {
        match copy.from {
            true => self.copy_from(copy, parameters).await,
            false => self.copy_to(copy, parameters).await,
        }
    }

    async fn copy_from(&mut self, copy: &Copy, parameters: Parameters) -> Result<Outcome> {
        let CopyTarget::Table { table: target, columns } = &copy.target else {
            return Err(Error::new(ErrorKind::Syntax, "COPY of a query goes only TO"));
        };
        if copy.filter.is_some() {
            return Err(Error::new(ErrorKind::NotSupported, "COPY FROM … WHERE")
                .hint("COPY into a table of its own, then INSERT … SELECT … WHERE"));
        }
        let (reading, bounds) = self.bounded(&self.reading(parameters)?)?;
        let cancel = reading.cancel.clone();
        let place = self.place_of_all(&reading, std::slice::from_ref(target))?;
        let store = self.database.store().clone();
        let mut transaction = self.work.lock().writing(&place, &self.base, &store)?;
        place.check(&reading, transaction.branch())?;
        let before = Before::default();
        let writing =
            Writing { reading, state: &self.state, transaction: &mut transaction, before };
        let found = Target::named(&writing.scene(), &target.name, target.version.as_ref(), None)?;
        let table = found.table;
        let file = match &copy.location {
            CopyLocation::File(path) => Some(outside::open(path)?),
            CopyLocation::Stdin | CopyLocation::Stdout => None,
        };
        let copying = self.database.activity().copying(
            self.pid,
            CopyFacts {
                from: true,
                file: file.is_some(),
                table: Some(table.id()),
                bytes_total: file.as_ref().map_or(Ok(0), File::len)?,
            },
        );
        let into = CopyInto::new(&writing, table, columns, &copy.options, copying)?;
        let source = match file {
            Some(file) => Source::File(file),
            None if into.is_parquet() => Source::Spooled(Spool::new(&store)?),
            None => Source::Client,
        };
        let copy_in = CopyIn {
            into,
            work: self.shared_work(),
            place,
            own: self.base.clone(),
            options: self.commit_options(),
            source,
            cancel,
            store,
            _bounds: bounds,
            _state: Arc::clone(&self.state),
        };
        match &copy.location {
            CopyLocation::Stdin => Ok(Outcome::CopyIn(Box::new(copy_in))),
            CopyLocation::File(_) => Ok(Outcome::Done { tag: copy_in.finish().await? }),
            CopyLocation::Stdout => Err(Error::new(ErrorKind::Syntax, "COPY FROM STDOUT")
                .hint("write COPY t FROM STDIN, or COPY t TO STDOUT")),
        }
    }

    async fn copy_to(&mut self, copy: &Copy, parameters: Parameters) -> Result<Outcome> {
        let reading = self.reading(parameters)?;
        let query = match &copy.target {
            CopyTarget::Query(query) => query.clone(),
            CopyTarget::Table { table, columns } => {
                let mut query = parse::query("SELECT * FROM t")?;
                name_source(&mut query, table, columns);
                query
            }
        };
        let (reading, bounds) = self.bounded(&reading)?;
        let planned = plan_apart(&reading, &self.state, &query, &[]).await?;
        let columns: Vec<(String, Type)> = planned.columns();
        let rows = run::start(&reading, &self.state, planned.plan).await?;
        let rows = Answer::stream(rows, bounds);
        let copying = self.copying_to(&reading, copy);
        let bytes = copy_out(&columns, rows, &copy.options, &reading.text, copying)?;
        match &copy.location {
            CopyLocation::File(path) => {
                let rows = copy_to_file(bytes, path).await?;
                done(&format!("COPY {rows}"))
            }
            CopyLocation::Stdin | CopyLocation::Stdout => Ok(Outcome::CopyOut(CopyOut {
                columns: columns.len(),
                binary: matches!(copy.options.format, CopyFormat::Binary | CopyFormat::Parquet),
                stream: bytes.stream,
                rows: bytes.rows,
            })),
        }
    }
}

impl Session {
    /// COPY TO shows the table it copies, where it is one.
    fn copying_to(&self, reading: &Reading, copy: &Copy) -> Copying {
        let table = match &copy.target {
            CopyTarget::Table { table, .. } => {
                let found =
                    addressed_table(reading, &self.state, &table.name, table.version.as_ref());
                found.ok().map(|(table, _)| table.id())
            }
            CopyTarget::Query(_) => None,
        };
        let file = matches!(copy.location, CopyLocation::File(_));
        let facts = CopyFacts { from: false, file, table, bytes_total: 0 };
        self.database.activity().copying(self.pid, facts)
    }
}

/// `SELECT * FROM t` becomes the columns and the table that COPY names.
fn name_source(
    query: &mut datafusion::sql::sqlparser::ast::Query,
    table: &parse::Target,
    columns: &[String],
) {
    use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem, SetExpr};
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if let Some(TableFactor::Table { name, version, .. }) =
        select.from.first_mut().map(|from| &mut from.relation)
    {
        *name = table.name.clone();
        *version = table.version.as_ref().map(version_tree);
    }
    if !columns.is_empty() {
        let item = |name: &String| {
            SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', name.clone())))
        };
        select.projection = columns.iter().map(item).collect();
    }
}

async fn run_write(writing: &mut Writing<'_>, statement: &Statement) -> Result<Written> {
    let plain = |tag: String| Ok(Written::of(tag, Vec::new()));
    if let Some(word) = row_word(statement) {
        let changed = Box::pin(write::run(writing, statement)).await?;
        let tag = format!("{word} {}", changed.rows);
        let returned = changed.returned.map(|returned| (returned, word));
        return Ok(Written { rows: changed.rows, returned, ..Written::of(tag, Vec::new()) });
    }
    match statement {
        Statement::Truncate(truncate) => {
            write::delete::truncate(writing, truncate)?;
            plain("TRUNCATE TABLE".to_owned())
        }
        Statement::CreateTable(create) => Ok(match create_table(writing, create).await? {
            Created::Rows(rows) => {
                let tag = format!("SELECT {rows}");
                Written::of(tag, Vec::new())
            }
            made => created("CREATE TABLE", &create.name, made),
        }),
        Statement::CreateView(create) => {
            Ok(created("CREATE VIEW", &create.name, create_view(writing, create).await?))
        }
        Statement::CreateSchema(create) => {
            let parts = name_parts(&create.name)?;
            let made = create_schema(writing, &parts, create.if_not_exists)?;
            Ok(created("CREATE SCHEMA", &create.name, made))
        }
        Statement::Drop(drop) => {
            let notices = drop_objects(writing, drop)?;
            let tag = format!("DROP {}", word_of(drop.kind).to_uppercase());
            Ok(Written::of(tag, notices))
        }
        Statement::AlterTable(alter) => {
            let notices = alter_table(writing, alter).await?;
            Ok(Written::of("ALTER TABLE".to_owned(), notices))
        }
        Statement::AlterObject(alter) => {
            let notices = alter_object(writing, alter)?;
            let word = if alter.view { "VIEW" } else { "SEQUENCE" };
            Ok(Written::of(format!("ALTER {word}"), notices))
        }
        Statement::AlterSchema { name, change } => {
            schema::alter(writing, name, change)?;
            plain("ALTER SCHEMA".to_owned())
        }
        Statement::CreateIndex(index) => {
            let notices = create_index(writing, index).await?;
            Ok(Written::of("CREATE INDEX".to_owned(), notices))
        }
        Statement::CreateSequence(create) => {
            let made = create_sequence(writing, create)?;
            Ok(created("CREATE SEQUENCE", &create.name, made))
        }
        Statement::Comment(said) => {
            comment(writing, said)?;
            plain("COMMENT".to_owned())
        }
        Statement::RestoreTable(restore) => {
            past::restore(writing, restore)?;
            plain("RESTORE TABLE".to_owned())
        }
        Statement::UndropTable(table) => {
            past::undrop(writing, &table.name)?;
            plain("UNDROP TABLE".to_owned())
        }
        other => Err(refuse(other)),
    }
}

fn created(tag: &str, name: &ObjectName, made: Created) -> Written {
    let what = if tag == "CREATE SCHEMA" { "schema" } else { "relation" };
    let notices = match made {
        Created::Existed => vec![format!("{what} \"{name}\" already exists, skipping")],
        Created::Made | Created::Rows(_) => Vec::new(),
    };
    Written::of(tag.to_owned(), notices)
}

/// The word that counts rows in the tag of a statement that changes some.
pub(super) fn row_word(statement: &Statement) -> Option<&'static str> {
    match statement {
        Statement::Insert(_) => Some("INSERT 0"),
        Statement::Update(_) => Some("UPDATE"),
        Statement::Delete(_) => Some("DELETE"),
        Statement::Merge(_) => Some("MERGE"),
        Statement::With(with) => row_word(&with.main).or(Some("SELECT")),
        _ => None,
    }
}
