//! One open data folder and what all its sessions share.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;

use super::hooks::Hooks;
use super::set::own_name;
use super::settings::SessionSettings;
use super::work::{Base, Work};
use super::{Session, SessionOptions};
use crate::activity::Activity;
use crate::clock::Clock;
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::memory::{self, Memory, MemoryWatch};
use crate::plan::functions::SessionFacts;
use crate::plan::session_state;
use crate::store::{MAIN, Store, StoreOptions};
use crate::vfs;

/// PostgreSQL's version that we answer for.
pub(super) const SERVER_VERSION: &str = "16.4";

/// Part of the memory bound that one load may gather before it writes a segment, one in so many.
const LOAD_SHARE: u64 = 16;

/// One open data folder. Clones share it.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

pub(super) struct Inner {
    pub store: Store,
    pub activity: Activity,
    pub memory: Memory,
    pub settings: Settings,
    pub runtime: Arc<RuntimeEnv>,
    pub started_us: i64,
    /// Where statements that lost several times wait for each other.
    pub losers: tokio::sync::Mutex<()>,
    _watch: MemoryWatch,
}

impl Database {
    /// Opens a data folder, or makes it.
    ///
    /// # Errors
    /// DataDirectory where another process has it, or it is not ours or too new; Corrupt; Io.
    pub fn open(path: &Path, settings: Settings) -> Result<Database> {
        let load_bytes = (settings.memory_limit_bytes / LOAD_SHARE).clamp(8 << 20, 256 << 20);
        let options = StoreOptions {
            clock: settings.clock.clone(),
            load_bytes: load_bytes as usize,
            inline_rows: settings.inline_rows_max,
        };
        let store = Store::open(path, options)?;
        let memory =
            Memory::new(settings.memory_limit_bytes, settings.statement_memory_limit_bytes);
        let watch = memory.watch(vfs::resident_bytes).map_err(|cause| {
            Error::new(ErrorKind::Io, "the memory watch could not start").caused_by(cause)
        })?;
        memory::charge_tasks();
        let runtime = runtime(&store, path, &settings)?;
        Ok(Database(Arc::new(Inner {
            activity: Activity::new(settings.clock.clone()),
            started_us: settings.clock.now_us(),
            losers: tokio::sync::Mutex::new(()),
            store,
            memory,
            settings,
            runtime,
            _watch: watch,
        })))
    }

    /// What every session does.
    pub fn activity(&self) -> &Activity {
        &self.0.activity
    }

    /// The tables.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Makes a session.
    ///
    /// # Errors
    /// UndefinedDatabase; UndefinedObject for a ref in the database's name; InvalidValue for a
    /// setting.
    pub fn session(&self, options: SessionOptions) -> Result<Session> {
        let (name, reference) = match options.database.split_once(['@', '/']) {
            Some((name, reference)) => (name, Some(reference)),
            None => (options.database.as_str(), None),
        };
        self.check_name(name, &options.user)?;
        let mut settings = SessionSettings::new(&options.user, &options.application_name);
        let is_version = |name: &str| matches!(own_name(name), "branch" | "as_of");
        let (versions, others): (Vec<_>, Vec<_>) =
            options.parameters.iter().partition(|(name, _)| is_version(name));
        for (name, value) in others {
            settings.start_with(name, value)?;
        }
        let base = match reference {
            Some(reference) => self.base(reference)?,
            None => Base::Branch(MAIN.to_owned()),
        };
        if let Some(branch) = base.branch() {
            settings.start_with("branch", branch)?;
        }
        let settings = Arc::new(Mutex::new(settings));
        let work = Arc::new(Mutex::new(Work::default()));
        let statements = Arc::default();
        let cursors = Arc::default();
        let hooks = Hooks::new(self, &options, &settings, &work);
        let hooks = Arc::new(hooks.with_named(&statements, &cursors));
        let facts = Arc::new(SessionFacts {
            user: options.user.clone(),
            database: name.to_owned(),
            pid: options.pid,
            server_version: SERVER_VERSION.to_owned(),
            product: format!("AsofDB {}", env!("CARGO_PKG_VERSION")),
            server_start_us: self.0.started_us,
            server_address: None,
            client_address: None,
            call_bytes_max: (self.0.settings.memory_limit_bytes / 4).clamp(32 << 20, 1 << 30),
            hooks: Arc::clone(&hooks) as _,
        });
        let config = config(&self.0.settings);
        let state = Arc::new(session_state(config, Arc::clone(&self.0.runtime), &facts)?);
        let versions: Vec<(String, String)> = versions.into_iter().cloned().collect();
        let mut session = Session {
            database: self.clone(),
            user: options.user,
            connected: name.to_owned(),
            home: base.clone(),
            base,
            settings,
            work,
            state,
            hooks,
            statements,
            cursors,
            notices: Vec::new(),
            cancel: options.cancel,
            pid: options.pid,
        };
        for (name, value) in &versions {
            session.assign(own_name(name), Some(value), false)?;
        }
        Ok(session)
    }

    fn check_name(&self, name: &str, user: &str) -> Result<()> {
        if [MAIN, "postgres", "asofdb", user].contains(&name) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::UndefinedDatabase, format!("database \"{name}\" does not exist"))
            .hint("connect to main, or to main@branch for a branch, tag or commit of it"))
    }

    /// What `@ref` in a database's name means: a branch or tag, else `v<commit>`.
    fn base(&self, reference: &str) -> Result<Base> {
        use crate::spec::RefKind;
        use crate::store::Version;
        let store = &self.0.store;
        if let Some(found) = store.find_ref(reference)? {
            return Ok(match found.kind {
                RefKind::Branch => Base::Branch(found.name),
                RefKind::Tag => Base::Past(store.at_ref(reference)?),
            });
        }
        if store.is_table_branch(reference)? {
            return Ok(Base::TableBranch(reference.into()));
        }
        let number = reference.strip_prefix('v').unwrap_or(reference).parse();
        match number {
            Ok(number) => {
                let head = store.head(MAIN)?;
                Ok(Base::Past(store.resolve(&head, &Version::Commit(number))?))
            }
            Err(_) => Err(Error::new(
                ErrorKind::UndefinedDatabase,
                format!("there is no branch, tag or commit \"{reference}\""),
            )
            .hint("connect to main and ask SHOW BRANCHES, SHOW TAGS, SHOW LOG")),
        }
    }

    /// Reads a whole data folder; what does not hold, a line each.
    ///
    /// # Errors
    /// UndefinedFile where there is no such folder, or no database in it; DataDirectory where a process has it.
    pub fn check(path: &Path) -> Result<Vec<String>> {
        if !path.is_dir() {
            let message = format!("there is no data folder \"{}\"", path.display());
            return Err(Error::new(ErrorKind::UndefinedFile, message));
        }
        if !Store::is_in(path) {
            let message = format!("there is no database in folder \"{}\"", path.display());
            return Err(Error::new(ErrorKind::UndefinedFile, message));
        }
        let options =
            StoreOptions { clock: Clock::system(), load_bytes: 64 << 20, inline_rows: 8192 };
        let store = Store::open(path, options)?;
        let problems = store.check(|_, _| {})?;
        Ok(problems.into_iter().map(|p| format!("{}: {}", p.what, p.why)).collect())
    }

    /// Closes the folder once the last session is gone. What is acknowledged is durable already.
    pub fn close(self) {}
}

fn runtime(store: &Store, path: &Path, settings: &Settings) -> Result<Arc<RuntimeEnv>> {
    store.vfs().make_dir("tmp/spill")?;
    let spill = path.join("tmp").join("spill");
    // A fifth of what is free: a query that spills must not fill the disk that commits need.
    let bound = store.vfs().free_bytes()? / 5;
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill]))
        .with_max_temp_directory_size(bound);
    // Every statement runs with a pool of its own; by this one plans know what it may hold.
    let bytes = usize::try_from(settings.statement_memory_limit_bytes).unwrap_or(usize::MAX);
    let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(bytes)));
    let runtime = builder.with_disk_manager_builder(disk).build_arc();
    runtime.map_err(fault::of_datafusion)
}

fn config(settings: &Settings) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.query_threads)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.sql_parser.enable_ident_normalization = true;
    options.optimizer.prefer_existing_sort = true;
    // Each of a plan's sorts holds so much before it has read a row.
    let per_sort =
        usize::try_from(settings.statement_memory_limit_bytes / 64).unwrap_or(usize::MAX);
    let execution = &mut options.execution;
    execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(per_sort);
    config
}
