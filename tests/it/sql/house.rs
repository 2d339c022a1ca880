//! Where one file's statements run: a folder, a clock, a database, and perhaps a server before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use asofdb::activity::{SessionActivity, SessionFacts};
use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::error::Error;
use asofdb::server::{Server, query_runtime};
use asofdb::session::{Database, Session, SessionOptions, TransactionStatus};
use asofdb::store::{CompactOptions, Relation};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;
/// What the clock moves before each statement.
const TICK: Duration = Duration::from_secs(1);
/// The database is closed and opened at each so manieth chance.
const REOPEN_EVERY: u64 = 3;

/// How the statements reach the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Embedded,
    Reopened,
    Wire,
}

impl Mode {
    pub(super) fn label(self) -> &'static str {
        match self {
            Mode::Embedded => "embedded",
            Mode::Reopened => "reopened",
            Mode::Wire => "wire",
        }
    }
}

/// How tables lie when a statement asks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Small commits in the log.
    Inline,
    /// Each commit in a file of its own.
    Segments,
    /// What was in the log, in files.
    Folded,
    /// A file a table, as far as there are no branches.
    Compacted,
}

/// A shared handle.
#[derive(Clone)]
pub(super) struct House(Arc<Inner>);

struct Inner {
    mode: Mode,
    layout: Layout,
    settings: Settings,
    server: Option<Server>,
    rooms: Mutex<Rooms>,
    folder: tempfile::TempDir,
}

/// The database and the sessions on it, by their person.
pub(super) struct Rooms {
    database: Option<Database>,
    sessions: BTreeMap<u64, Guest>,
    next: u64,
    chances: u64,
}

/// A session of this process.
pub(super) struct Guest {
    pub(super) session: Session,
    pub(super) activity: SessionActivity,
    /// Whether it keeps something that a new session would not have.
    pub(super) keeps_state: bool,
}

impl House {
    pub(super) fn build(mode: Mode) -> Self {
        House::build_in(mode, Layout::Inline)
    }

    pub(super) fn build_in(mode: Mode, layout: Layout) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("exchange")).expect("a folder for files");
        let settings = Settings {
            data: folder.path().join("data"),
            listen: "127.0.0.1:0".to_owned(),
            clock: Clock::manual(START_US),
            query_threads: 2,
            io_threads: 1,
            ..Settings::default()
        };
        let settings = match layout {
            Layout::Inline | Layout::Folded => settings,
            Layout::Segments | Layout::Compacted => Settings { inline_rows_max: 0, ..settings },
        };
        let database = open(&settings);
        let server = match mode {
            Mode::Wire => {
                Some(Server::start(database.clone(), settings.clone()).expect("a server"))
            }
            Mode::Embedded | Mode::Reopened => None,
        };
        let rooms = Mutex::new(Rooms {
            database: Some(database),
            sessions: BTreeMap::new(),
            next: 0,
            chances: 0,
        });
        House(Arc::new(Inner { mode, layout, settings, server, rooms, folder }))
    }

    pub(super) fn mode(&self) -> Mode {
        self.0.mode
    }

    pub(super) fn runtime(&self) -> Runtime {
        query_runtime(&self.0.settings).expect("threads")
    }

    /// Where a file may COPY to and from.
    pub(super) fn exchange_folder(&self) -> String {
        self.0.folder.path().join("exchange").display().to_string()
    }

    pub(super) fn port(&self) -> u16 {
        self.0.server.as_ref().expect("a server in this mode").address().port()
    }

    pub(super) fn tick(&self) {
        self.0.settings.clock.advance(TICK);
    }

    pub(super) async fn rooms(&self) -> tokio::sync::MutexGuard<'_, Rooms> {
        self.0.rooms.lock().await
    }

    /// A session for somebody new.
    pub(super) async fn enter(&self) -> Result<u64, asofdb::error::Error> {
        let mut rooms = self.rooms().await;
        let id = rooms.next;
        rooms.next += 1;
        let guest = rooms.guest()?;
        rooms.sessions.insert(id, guest);
        Ok(id)
    }

    /// Closes the database and opens it again, if no session would notice.
    pub(super) async fn perhaps_reopen(&self) {
        let mut rooms = self.rooms().await;
        let idle = |guest: &Guest| {
            !guest.keeps_state && guest.session.transaction_status() == TransactionStatus::Idle
        };
        if self.0.mode != Mode::Reopened || !rooms.sessions.values().all(idle) {
            return;
        }
        rooms.chances += 1;
        if rooms.chances % REOPEN_EVERY != 0 {
            return;
        }
        let guests: Vec<u64> = std::mem::take(&mut rooms.sessions).into_keys().collect();
        rooms.database.take().expect("it is open").close();
        rooms.database = Some(open(&self.0.settings));
        for id in guests {
            let guest = rooms.guest().expect("the same session again");
            rooms.sessions.insert(id, guest);
        }
    }

    /// Brings the tables of main into this house's layout.
    pub(super) async fn lay_out(&self) -> Result<(), Error> {
        let rooms = self.rooms().await;
        let store = rooms.database.as_ref().expect("it is open").store();
        match self.0.layout {
            Layout::Inline | Layout::Segments => {}
            Layout::Folded => while store.fold_one(None, 1).await?.is_some() {},
            Layout::Compacted => {
                let options = CompactOptions { target_bytes: 1 << 30, all: true, only: None };
                for relation in store.head("main")?.relations()? {
                    if let Relation::Table(table) = relation {
                        store.compact_one("main", table.id(), &options).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Stops everything; what a check of the folder finds is an error.
    pub(super) fn tear_down(self) -> Result<(), String> {
        let mut inner = Arc::into_inner(self.0).expect("everybody has left");
        if let Some(server) = inner.server.take() {
            server.stop();
        }
        let mut rooms = inner.rooms.into_inner();
        rooms.sessions.clear();
        rooms.database.take().expect("it is open").close();
        let problems =
            Database::check(&inner.settings.data).map_err(|error| format!("{error:?}"))?;
        match problems.is_empty() {
            true => Ok(()),
            false => Err(format!("the folder is not sound:\n{}", problems.join("\n"))),
        }
    }
}

impl Rooms {
    pub(super) fn session(&mut self, id: u64) -> &mut Guest {
        self.sessions.get_mut(&id).expect("it entered")
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.sessions.remove(&id);
    }

    fn guest(&self) -> Result<Guest, asofdb::error::Error> {
        let database = self.database.as_ref().expect("it is open");
        let facts = SessionFacts {
            user: "ann".to_owned(),
            database: "main".to_owned(),
            ..SessionFacts::default()
        };
        let activity = database.activity().register(facts, "slt");
        let session = database.session(SessionOptions {
            user: "ann".to_owned(),
            database: "main".to_owned(),
            application_name: "slt".to_owned(),
            parameters: Vec::new(),
            cancel: activity.cancel_token(),
            pid: activity.pid(),
        })?;
        Ok(Guest { session, activity, keeps_state: false })
    }
}

fn open(settings: &Settings) -> Database {
    Database::open(&settings.data, settings.clone()).expect("a database")
}
