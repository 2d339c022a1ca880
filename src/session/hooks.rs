//! What functions and system tables ask the session, while a statement runs.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use datafusion::catalog::SchemaProvider;
use datafusion::execution::session_state::SessionState;
use parking_lot::Mutex;

use super::cursor::Cursors;
use super::set::own_name;
use super::settings::SessionSettings;
use super::statements::Statements;
use super::work::Work;
use super::{Database, SessionOptions};
use crate::activity::CancelReason;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::changes::commit_as_of;
use crate::plan::functions::{SequenceName, SessionHooks, Times};
use crate::plan::names;
use crate::plan::pg_catalog::{
    Activity, Catalog, CatalogInputs, SequenceFacts, TableFacts, ViewFacts, name_parts,
    relation_id, schema_providers,
};
use crate::plan::query::{Planned, plan_view};
use crate::plan::{Reading, SystemTables};
use crate::spec::{Sequence, TableId, Type, View, ref_label};
use crate::store::{Relation, Snapshot};

/// Shared by the session and its functions.
pub(super) struct Hooks {
    database: Database,
    clock: Clock,
    user: String,
    connected: String,
    settings: Arc<Mutex<SessionSettings>>,
    work: Arc<Mutex<Work>>,
    statements: Arc<Mutex<Statements>>,
    cursors: Arc<Mutex<Cursors>>,
    /// What the running statement reads; None between statements.
    reading: Mutex<Option<Reading>>,
    /// The system tables of the running statement, and how many statements there were: a planning that
    /// was given up must not leave those of its own behind.
    catalog: Mutex<(u64, Option<Arc<Catalog>>)>,
    /// What each sequence gave this session last, and which gave last of all.
    given: Mutex<(HashMap<TableId, i64>, Option<TableId>)>,
    /// To plan views with. Weak: the state's functions hold these hooks.
    state: Mutex<Weak<SessionState>>,
}

impl Hooks {
    pub fn new(
        database: &Database,
        options: &SessionOptions,
        settings: &Arc<Mutex<SessionSettings>>,
        work: &Arc<Mutex<Work>>,
    ) -> Hooks {
        Hooks {
            database: database.clone(),
            clock: database.inner().settings.clock.clone(),
            user: options.user.clone(),
            connected: options.database.clone(),
            settings: Arc::clone(settings),
            work: Arc::clone(work),
            statements: Arc::default(),
            cursors: Arc::default(),
            reading: Mutex::default(),
            catalog: Mutex::default(),
            given: Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// With what the session has given names to.
    pub fn with_named(
        self,
        statements: &Arc<Mutex<Statements>>,
        cursors: &Arc<Mutex<Cursors>>,
    ) -> Hooks {
        Hooks { statements: Arc::clone(statements), cursors: Arc::clone(cursors), ..self }
    }

    /// A statement begins that reads this.
    pub fn read(&self, reading: &Reading, state: &Arc<SessionState>) {
        *self.state.lock() = Arc::downgrade(state);
        *self.reading.lock() = Some(reading.clone());
        let mut catalog = self.catalog.lock();
        *catalog = (catalog.0 + 1, None);
    }

    fn inputs(&self) -> Result<CatalogInputs> {
        let settings = self.settings.lock();
        let (search_path, all) = (settings.search_path(&self.user), settings.all());
        drop(settings);
        let mut inputs = CatalogInputs {
            database: self.connected.clone(),
            user: self.user.clone(),
            search_path,
            settings: all,
            activity: self.activity(),
            prepared: self.statements.lock().facts(),
            cursors: self.cursors.lock().facts(),
            ..CatalogInputs::default()
        };
        let Some(reading) = self.reading.lock().clone() else { return Ok(inputs) };
        inputs.namespaces = reading.snapshot.namespaces()?;
        for name in &inputs.namespaces {
            let comment = reading.snapshot.namespace_comment(name)?;
            inputs.namespace_comments.extend(comment.map(|comment| (name.clone(), comment)));
        }
        for relation in reading.snapshot.relations()? {
            match relation {
                Relation::Table(table) => inputs.tables.push(TableFacts {
                    schema: Arc::clone(table.schema()),
                    rows: Some(table.row_count()),
                    bytes: table.segments().iter().map(|s| s.meta.file.bytes).sum(),
                    comment: table.schema().comment.clone(),
                }),
                Relation::View(view) => {
                    let columns = self.view_columns(&reading, &view);
                    inputs.views.push(ViewFacts { view, columns });
                }
                Relation::Sequence(sequence) => {
                    let (last, called) = self.database.store().last_value(&sequence)?;
                    let last_value = called.then_some(last);
                    inputs.sequences.push(SequenceFacts { sequence, last_value });
                }
            }
        }
        Ok(inputs)
    }

    /// A sequence as it counts in the running statement's transaction.
    fn counting(&self, sequence: &Sequence) -> Sequence {
        match &*self.reading.lock() {
            Some(reading) => reading.snapshot.counting(sequence),
            None => sequence.clone(),
        }
    }

    /// None where the view's text no longer plans: it is listed all the same.
    fn view_columns(&self, reading: &Reading, view: &Arc<View>) -> Vec<(String, Type)> {
        let Some(state) = self.state.lock().upgrade() else { return Vec::new() };
        let planned = plan_view(reading, &state, view).map(|plan| Planned { plan });
        planned.map(|planned| planned.columns()).unwrap_or_default()
    }

    fn activity(&self) -> Vec<Activity> {
        let sessions = self.database.activity().sessions();
        let row = |session: crate::activity::SessionSnapshot| Activity {
            pid: session.facts.pid,
            user: session.facts.user.clone(),
            database: session.facts.database.clone(),
            application_name: session.application_name.clone(),
            client_address: session
                .facts
                .client
                .rsplit_once(':')
                .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))),
            ssl: false,
            state: session.state.as_str().to_owned(),
            query: session.statement.to_string(),
            backend_start_us: session.facts.started_us,
            transaction_start_us: None,
            query_start_us: session.statement_started_us,
            copying: session.copying,
        };
        sessions.into_iter().map(row).collect()
    }
}

impl SessionHooks for Hooks {
    fn catalog(&self) -> Arc<Catalog> {
        let statement = match &*self.catalog.lock() {
            (_, Some(catalog)) => return Arc::clone(catalog),
            (statement, None) => *statement,
        };
        let inputs = self.inputs().unwrap_or_else(|error| {
            tracing::error!(%error, "the system tables could not be filled");
            CatalogInputs { namespaces: vec!["public".to_owned()], ..CatalogInputs::default() }
        });
        let catalog = Arc::new(Catalog::new(inputs));
        let mut kept = self.catalog.lock();
        if kept.0 == statement {
            kept.1 = Some(Arc::clone(&catalog));
        }
        drop(kept);
        catalog
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.lock().get(own_name(name))
    }

    fn set_setting(&self, name: &str, value: &str, local: bool) -> Result<String> {
        // A statement sees one version from its beginning to its end.
        if let version @ ("branch" | "as_of") = own_name(name) {
            let message = format!("set_config of \"{name}\"");
            return Err(Error::new(ErrorKind::NotSupported, message)
                .hint(format!("SET {version} = '…' is a statement of its own")));
        }
        self.settings.lock().set(name, Some(value), local)
    }

    fn times(&self) -> Times {
        let work = self.work.lock();
        Times {
            transaction_us: work.began_us,
            statement_us: work.statement_us,
            clock_us: self.clock.now_us(),
        }
    }

    fn commit(&self, time_us: Option<i64>) -> Result<u64> {
        let reading = self.reading.lock().clone().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a function was called outside a statement")
        })?;
        match time_us {
            None => Ok(reading.snapshot.commit().0),
            Some(time_us) => commit_as_of(&reading, time_us),
        }
    }

    fn transaction_id(&self) -> u64 {
        let mut work = self.work.lock();
        *work.number.get_or_insert_with(|| self.database.store().next_id())
    }

    fn sequence(&self, named: SequenceName<'_>) -> Result<Arc<Sequence>> {
        let reading = self.reading.lock().clone();
        let (reading, missing) = match (reading, named) {
            (Some(reading), SequenceName::Text(name)) => {
                let parts = name_parts(name)?;
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                return names::sequence(&reading, &parts);
            }
            (Some(reading), SequenceName::Oid(oid)) => (reading, oid.to_string()),
            (None, _) => return Err(Error::new(ErrorKind::Internal, "no statement is running")),
        };
        let SequenceName::Oid(oid) = named else { unreachable!("names were found above") };
        let found = relation_id(oid).map(|id| reading.snapshot.relation_by_id(id)).transpose()?;
        let known = relation_id(oid).and_then(|id| reading.snapshot.store().known_sequence(id));
        match (found.flatten(), known) {
            (Some(Relation::Sequence(sequence)), _) | (None, Some(sequence)) => Ok(sequence),
            _ => {
                let message = format!("there is no sequence with oid {missing}");
                Err(Error::new(ErrorKind::UndefinedTable, message))
            }
        }
    }

    fn next_value(&self, sequence: &Sequence) -> Result<i64> {
        if self.work.lock().read_only {
            let message = "cannot execute nextval() in a read-only transaction";
            return Err(Error::new(ErrorKind::ReadOnly, message));
        }
        let value = self.database.store().next_value(&self.counting(sequence))?;
        let mut given = self.given.lock();
        given.0.insert(sequence.id, value);
        given.1 = Some(sequence.id);
        Ok(value)
    }

    fn set_value(&self, sequence: &Sequence, value: i64, called: bool) -> Result<()> {
        if self.work.lock().read_only {
            let message = "cannot execute setval() in a read-only transaction";
            return Err(Error::new(ErrorKind::ReadOnly, message));
        }
        self.database.store().set_value(&self.counting(sequence), value, called)?;
        if called {
            self.given.lock().0.insert(sequence.id, value);
        }
        Ok(())
    }

    fn current_value(&self, sequence: Option<&Sequence>) -> Result<i64> {
        let given = self.given.lock();
        let id = sequence.map(|sequence| sequence.id).or(given.1);
        id.and_then(|id| given.0.get(&id)).copied().ok_or_else(|| {
            let message = match sequence {
                Some(sequence) => format!(
                    "currval of sequence \"{}\" is not yet defined in this session",
                    sequence.name
                ),
                None => "lastval is not yet defined in this session".to_owned(),
            };
            Error::new(ErrorKind::WrongState, message).hint("nextval() first")
        })
    }

    fn signal(&self, pid: i32, terminate: bool) -> Result<bool> {
        let reason = if terminate { CancelReason::Shutdown } else { CancelReason::User };
        Ok(self.database.activity().cancel(pid, reason))
    }
}

/// The system tables of the running statement, made when it first names one. The hooks keep the
/// statement's reading, which keeps these: a strong way back would keep the database open for ever.
pub(super) struct StatementTables {
    hooks: Weak<Hooks>,
    providers: OnceLock<(Arc<dyn SchemaProvider>, Arc<dyn SchemaProvider>)>,
}

impl StatementTables {
    pub fn new(hooks: &Arc<Hooks>) -> Arc<StatementTables> {
        Arc::new(StatementTables { hooks: Arc::downgrade(hooks), providers: OnceLock::new() })
    }
}

impl SystemTables for StatementTables {
    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let ours = matches!(name, "pg_catalog" | "information_schema");
        if !ours {
            return None;
        }
        let hooks = self.hooks.upgrade()?;
        let (catalog, information) =
            self.providers.get_or_init(|| schema_providers(hooks.catalog()));
        Some(Arc::clone(if name == "pg_catalog" { catalog } else { information }))
    }
}

/// The snapshot as a commit's number, for messages.
pub(super) fn describe(snapshot: &Snapshot) -> String {
    match snapshot.reference() {
        Some((name, _)) => format!("{} at commit {}", ref_label(name), snapshot.commit()),
        None => format!("commit {}", snapshot.commit()),
    }
}
