//! A database of five relations, and a session over its catalogue.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::{CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::Result;
use crate::plan::functions::{self, SequenceName, SessionFacts, SessionHooks, Times};
use crate::plan::pg_catalog::catalog::relation_oid;
use crate::plan::pg_catalog::output_names::{name_outputs, shown};
use crate::plan::pg_catalog::rewrite::rewrite;
use crate::plan::pg_catalog::{
    Activity, Catalog, CatalogInputs, Setting, TableFacts, ViewFacts, schema_providers,
};
use crate::spec::{
    Column, ColumnId, PrimaryKey, SchemaId, Sequence, TableId, TableSchema, Type, View,
};

/// 2024-02-05 15:04:09.012345 UTC.
pub const NOW_US: i64 = 1_707_145_449_012_345;

/// Rows as text, NULL as `∅`.
pub type Answer = Vec<Vec<String>>;

fn table(
    id: u64,
    namespace: &str,
    name: &str,
    columns: &[(&str, Type, bool, Option<&str>)],
    key: &[u64],
) -> TableFacts {
    let columns = columns.iter().enumerate().map(|(i, (name, of, not_null, default))| Column {
        not_null: *not_null,
        default: default.map(str::to_owned),
        ..Column::new(ColumnId(i as u64 + 1), *name, of.clone())
    });
    let schema = TableSchema {
        id: SchemaId(id),
        table: TableId(id),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        columns: columns.collect(),
        primary_key: (!key.is_empty()).then(|| PrimaryKey {
            name: format!("{name}_pkey"),
            columns: key.iter().map(|id| ColumnId(*id)).collect(),
            enforced: true,
        }),
        unique: Vec::new(),
        checks: Vec::new(),
        cluster_by: Vec::new(),
        event_time: None,
        known_time: None,
        ties: Vec::new(),
        options: Vec::new(),
        comment: None,
    };
    TableFacts { schema: Arc::new(schema), rows: Some(3), bytes: 16_384, comment: None }
}

/// The number of the object with this id.
pub fn oid(id: u64) -> u32 {
    relation_oid(TableId(id))
}

/// The ids of the fixture's relations.
pub const USERS: u64 = 1;
pub const EVENTS: u64 = 2;
pub const TOP_USERS: u64 = 4;

pub fn inputs() -> CatalogInputs {
    let users = table(
        USERS,
        "public",
        "users",
        &[
            ("id", Type::Int8, true, None),
            ("name", Type::Varchar(Some(20)), true, None),
            ("score", Type::Numeric(10, 2), false, Some("0")),
            ("created", Type::Timestamptz, false, Some("now()")),
            ("tags", Type::Array(Box::new(Type::Text)), false, None),
        ],
        &[1],
    );
    let events = table(
        EVENTS,
        "public",
        "events",
        &[
            ("k", Type::Int4, true, None),
            ("ts", Type::Timestamp, true, None),
            ("v", Type::Float8, false, None),
            ("j", Type::Jsonb, false, None),
        ],
        &[1, 2],
    );
    let bare = table(
        3,
        "public",
        "bare",
        &[
            ("a", Type::Text, false, None),
            ("b", Type::Uuid, false, None),
            ("c", Type::Char(3), false, None),
        ],
        &[],
    );
    let hidden = table(5, "feat", "f", &[("x", Type::Int4, false, None)], &[]);
    let view = View {
        id: TableId(TOP_USERS),
        namespace: "public".to_owned(),
        name: "top_users".to_owned(),
        query: "SELECT id, name FROM users".to_owned(),
        ..View::default()
    };
    let columns = vec![("id".to_owned(), Type::Int8), ("name".to_owned(), Type::Varchar(Some(20)))];
    CatalogInputs {
        database: "main".to_owned(),
        user: "ada".to_owned(),
        namespaces: vec!["public".to_owned(), "feat".to_owned()],
        namespace_comments: Vec::new(),
        search_path: vec!["public".to_owned()],
        tables: vec![TableFacts { comment: Some("who".to_owned()), ..users }, events, bare, hidden],
        views: vec![ViewFacts { view: Arc::new(view), columns }],
        settings: vec![Setting {
            name: "search_path".to_owned(),
            value: "public".to_owned(),
            default: "public".to_owned(),
            ..Setting::default()
        }],
        activity: vec![Activity { pid: 42, state: "active".to_owned(), ..Activity::default() }],
        prepared: Vec::new(),
        cursors: Vec::new(),
        sequences: Vec::new(),
    }
}

struct Hooks(Arc<Catalog>);

impl SessionHooks for Hooks {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0)
    }

    fn setting(&self, name: &str) -> Option<String> {
        let known = self.0.inputs().settings.iter();
        known.filter(|s| s.name.eq_ignore_ascii_case(name)).map(|s| s.value.clone()).next()
    }

    fn set_setting(&self, _: &str, value: &str, _: bool) -> Result<String> {
        Ok(value.to_owned())
    }

    fn times(&self) -> Times {
        Times { transaction_us: NOW_US, statement_us: NOW_US + 1, clock_us: NOW_US + 2 }
    }

    fn commit(&self, _: Option<i64>) -> Result<u64> {
        Ok(1)
    }

    fn transaction_id(&self) -> u64 {
        7
    }

    fn sequence(&self, _: SequenceName<'_>) -> Result<Arc<Sequence>> {
        Err(crate::error::Error::new(crate::error::ErrorKind::UndefinedTable, "there is none"))
    }
    fn next_value(&self, sequence: &Sequence) -> Result<i64> {
        Ok(sequence.start)
    }
    fn set_value(&self, _: &Sequence, _: i64, _: bool) -> Result<()> {
        Ok(())
    }
    fn current_value(&self, _: Option<&Sequence>) -> Result<i64> {
        Ok(1)
    }
    fn signal(&self, pid: i32, _: bool) -> Result<bool> {
        Ok(pid == 42)
    }
}

/// The catalogue `main` with the two system schemas and an empty table for each of the fixture's.
fn state() -> SessionState {
    let catalog = Arc::new(Catalog::new(inputs()));
    let (pg_catalog, information_schema) = schema_providers(Arc::clone(&catalog));
    let main = MemoryCatalogProvider::new();
    let public = MemorySchemaProvider::new();
    for table in &catalog.inputs().tables {
        let arrow = table.schema.arrow();
        let rows = MemTable::try_new(arrow.clone(), vec![vec![RecordBatch::new_empty(arrow)]]);
        let rows = Arc::new(rows.expect("an empty table"));
        datafusion::catalog::SchemaProvider::register_table(
            &public,
            table.schema.name.clone(),
            rows,
        )
        .expect("a new name");
    }
    main.register_schema("public", Arc::new(public)).expect("a new name");
    main.register_schema("pg_catalog", pg_catalog).expect("a new name");
    main.register_schema("information_schema", information_schema).expect("a new name");
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_default_catalog_and_schema("main", "public")
        .with_create_default_catalog_and_schema(false);
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    let facts = SessionFacts {
        user: "ada".to_owned(),
        database: "main".to_owned(),
        pid: 42,
        server_version: "16.4".to_owned(),
        product: "AsofDB 0.1.0".to_owned(),
        server_start_us: NOW_US,
        server_address: None,
        client_address: None,
        call_bytes_max: 256 << 20,
        hooks: Arc::new(Hooks(catalog)),
    };
    let mut state = functions::with_planners(builder, &facts).build();
    state.catalog_list().register_catalog("main".to_owned(), Arc::new(main));
    functions::install(&mut state, &Arc::new(facts)).expect("names are free to take");
    state
}

/// A session over the fixture.
pub struct Session {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
}

impl Session {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let context = SessionContext::new_with_state(state());
        Session { context, runtime: runtime.expect("a runtime") }
    }

    /// Runs one statement: the names of its results, and its rows.
    pub fn ask(&self, sql: &str) -> Result<(Vec<String>, Answer), String> {
        let mut statements =
            Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|e| format!("parse: {e}"))?;
        let mut statement = statements.remove(0);
        if let Statement::Query(query) = &mut statement {
            name_outputs(query);
        }
        rewrite(&mut statement).map_err(|e| format!("rewrite: {e}"))?;
        let statement = DataFusionStatement::Statement(Box::new(statement));
        self.runtime.block_on(async {
            let plan = self.context.state().statement_to_plan(statement).await;
            let plan = plan.map_err(|e| format!("plan: {e}"))?;
            let frame = self.context.execute_logical_plan(plan).await;
            let frame = frame.map_err(|e| format!("optimize: {e}"))?;
            let names = frame.schema().fields().iter().map(|f| shown(f.name()).to_owned());
            let names = names.collect();
            let batches = frame.collect().await.map_err(|e| format!("run: {e}"))?;
            Ok((names, batches.iter().flat_map(rows).collect()))
        })
    }

    /// The rows of a statement that must run.
    pub fn rows(&self, sql: &str) -> Answer {
        match self.ask(sql) {
            Ok((_, rows)) => rows,
            Err(error) => panic!("{error}\n{sql}"),
        }
    }

    /// The only value of a statement that must run.
    pub fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows[0].join("|")
    }
}

fn rows(batch: &RecordBatch) -> Answer {
    let options = FormatOptions::default().with_null("∅");
    let formatters: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).expect("a printable type"))
        .collect();
    (0..batch.num_rows())
        .map(|row| formatters.iter().map(|f| f.value(row).to_string()).collect())
        .collect()
}
