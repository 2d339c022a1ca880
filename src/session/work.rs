//! The transaction of a session: none, one statement's, or a block's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Session;
use super::place::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{CommitOptions, MAIN, Snapshot, Store, Temporary, Transaction, Version};

/// What a session reads when a statement says nothing else.
#[derive(Clone)]
pub(super) enum Base {
    /// A branch's head.
    Branch(String),
    /// A branch that some tables have of their own; others are read and not written on main.
    TableBranch(Arc<str>),
    /// A snapshot that does not move: a tag, a commit, a time.
    Past(Snapshot),
}

impl Base {
    /// The branch's name; None where nothing can be written.
    pub(super) fn branch(&self) -> Option<&str> {
        match self {
            Base::Branch(name) => Some(name),
            Base::TableBranch(name) => Some(name),
            Base::Past(_) => None,
        }
    }

    pub(super) fn snapshot(&self, store: &Store) -> Result<Snapshot> {
        match self {
            Base::Branch(name) => store.head(name),
            Base::TableBranch(_) => store.head(MAIN),
            Base::Past(snapshot) => Ok(snapshot.clone()),
        }
    }
}

/// Where a session stands with its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a block.
    Idle,
    /// Inside a block.
    InTransaction,
    /// Inside a block that an error ended; only ROLLBACK helps.
    Failed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Block {
    /// Each statement commits itself.
    #[default]
    None,
    /// Several statements of one message, or the messages up to Sync.
    Implicit,
    /// BEGIN was said.
    Explicit,
}

/// The transaction in progress.
#[derive(Default)]
pub(super) struct Work {
    pub block: Block,
    pub failed: bool,
    pub read_only: bool,
    /// What the block reads, from its first statement on.
    pub snapshot: Option<Snapshot>,
    /// What the block has written.
    pub transaction: Option<Transaction>,
    /// The state at each savepoint.
    savepoints: Vec<Savepoint>,
    /// The session's temporary tables, as the last transaction left them.
    pub temporary: Temporary,
    /// When the block began, or the statement outside one: µs since 1970-01-01 UTC.
    pub began_us: i64,
    /// When the running statement came.
    pub statement_us: i64,
    /// Its number, once something asked for it.
    pub number: Option<u64>,
    /// What comments of its statements said; the last word on a name counts.
    properties: BTreeMap<String, String>,
}

impl Work {
    /// What a statement reads: the block's snapshot with its own changes, else a fresh one.
    pub fn reading(&mut self, base: &Base, store: &Store) -> Result<Snapshot> {
        let snapshot = match &self.snapshot {
            Some(snapshot) => snapshot.clone(),
            None => base.snapshot(store)?.with_temporary(&self.temporary),
        };
        if self.block != Block::None && self.snapshot.is_none() {
            self.snapshot = Some(snapshot.clone());
        }
        let Some(transaction) = &self.transaction else { return Ok(snapshot) };
        let written = transaction.snapshot();
        let own = snapshot.reference().is_some_and(|(name, _)| name == transaction.branch());
        if own {
            return Ok(written);
        }
        // Temporary tables are of no branch: they are as the transaction left them.
        let temporary = transaction.temporary();
        Ok(snapshot.as_committed().with_temporary(&temporary).with_written(written))
    }

    /// Takes the block's transaction, or begins one, for a statement that writes.
    ///
    /// `place` is where it writes, `own` what the session reads.
    ///
    /// # Errors
    /// ReadOnly.
    pub fn writing(&mut self, place: &Place, own: &Base, store: &Store) -> Result<Transaction> {
        if self.read_only {
            return Err(Error::new(ErrorKind::ReadOnly, "cannot write in a read-only transaction"));
        }
        if let Some(transaction) = &self.transaction {
            return match &place.base {
                // The past is refused whatever else the transaction writes.
                Base::Past(snapshot) if !place.temporary => store.begin(snapshot),
                Base::Branch(_) | Base::TableBranch(_) | Base::Past(_) => Ok(transaction.clone()),
            };
        }
        // All refs are pinned at once, also where another branch is written first.
        let pinned = self.reading(own, store)?;
        let snapshot = match &place.base {
            Base::Branch(name) => store.resolve(&pinned, &Version::Ref(name.clone()))?,
            Base::TableBranch(_) => pinned,
            Base::Past(snapshot) => snapshot.clone(),
        };
        store.begin(&snapshot.with_temporary(&self.temporary))
    }

    /// A statement begins whose comments say this.
    pub fn said(&mut self, properties: &[(String, String)]) {
        if self.block == Block::None {
            self.properties.clear();
        }
        self.properties.extend(properties.iter().cloned());
    }

    pub(super) fn end(&mut self) {
        *self = Work {
            began_us: self.began_us,
            statement_us: self.statement_us,
            temporary: std::mem::take(&mut self.temporary),
            ..Work::default()
        };
    }
}

/// What ROLLBACK TO brings back.
struct Savepoint {
    name: String,
    state: Option<Transaction>,
    /// Where the settings stood.
    set: usize,
}

impl Session {
    /// Where the session stands with its transaction.
    pub fn transaction_status(&self) -> TransactionStatus {
        let work = self.work.lock();
        match (work.block, work.failed) {
            (Block::None, _) | (Block::Implicit, false) => TransactionStatus::Idle,
            (_, true) => TransactionStatus::Failed,
            (Block::Explicit, false) => TransactionStatus::InTransaction,
        }
    }

    /// Begins a transaction that nobody asked for: the statements of one message.
    pub fn begin_implicit(&mut self) {
        let mut work = self.work.lock();
        if work.block == Block::None {
            work.block = Block::Implicit;
            self.settings.lock().begin();
        }
    }

    /// Commits a transaction that nobody asked for. A block that BEGIN opened meanwhile goes on.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn commit_implicit(&mut self) -> Result<()> {
        if self.work.lock().block != Block::Implicit {
            return Ok(());
        }
        self.commit_block().await
    }

    /// An error ended the statement: a block is failed, a transaction nobody asked for is gone.
    pub fn fail(&mut self) {
        let mut work = self.work.lock();
        match work.block {
            Block::Explicit => work.failed = true,
            Block::Implicit | Block::None => {
                self.settings.lock().roll_back(0);
                work.end();
                self.cursors.lock().end_transaction(false);
            }
        }
    }

    pub(super) fn begin(&mut self, read_only: bool) {
        let now_us = self.database.inner().store.clock().now_us();
        let mut work = self.work.lock();
        if work.block == Block::Explicit {
            drop(work);
            return self.warning("25001", "there is already a transaction in progress");
        }
        if work.block == Block::None {
            self.settings.lock().begin();
        }
        work.block = Block::Explicit;
        work.read_only = read_only;
        work.began_us = now_us;
    }

    /// COMMIT; false where the block had failed and was rolled back.
    pub(super) async fn commit(&mut self) -> Result<bool> {
        let (block, failed) = {
            let work = self.work.lock();
            (work.block, work.failed)
        };
        if block != Block::Explicit {
            self.warning("25P01", "there is no transaction in progress");
        }
        if block == Block::None {
            return Ok(true);
        }
        if failed {
            self.work.lock().end();
            self.cursors.lock().end_transaction(false);
            self.settings.lock().roll_back(0);
            return Ok(false);
        }
        self.commit_block().await.map(|()| true)
    }

    async fn commit_block(&mut self) -> Result<()> {
        let options = self.commit_options();
        let transaction = {
            let mut work = self.work.lock();
            let transaction = work.transaction.take();
            work.end();
            transaction
        };
        let committed = match transaction {
            Some(transaction) => self.commit_as(transaction, &options).await,
            None => Ok(()),
        };
        match committed {
            Ok(()) => self.settings.lock().commit(),
            Err(_) => self.settings.lock().roll_back(0),
        }
        self.cursors.lock().end_transaction(committed.is_ok());
        committed
    }

    pub(super) async fn commit_transaction(&self, transaction: Transaction) -> Result<()> {
        self.commit_as(transaction, &self.commit_options()).await
    }

    async fn commit_as(&self, transaction: Transaction, options: &CommitOptions) -> Result<()> {
        let store = &self.database.inner().store;
        let temporary = transaction.temporary().after_commit();
        store.commit(transaction, options).await?;
        self.work.lock().temporary = temporary;
        Ok(())
    }

    pub(super) fn commit_options(&self) -> CommitOptions {
        let mut all = self.settings.lock().commit_properties();
        all.push(("user".to_owned(), self.user.clone()));
        // What a statement says of itself comes before what the session says of all of them.
        let said = self.work.lock().properties.clone();
        all.retain(|(name, _)| !said.contains_key(name));
        let properties = said.into_iter().chain(all).collect();
        CommitOptions { properties }
    }

    pub(super) fn roll_back(&mut self) {
        if self.work.lock().block != Block::Explicit {
            self.warning("25P01", "there is no transaction in progress");
        }
        if self.work.lock().block != Block::None {
            self.settings.lock().roll_back(0);
        }
        self.work.lock().end();
        self.cursors.lock().end_transaction(false);
    }

    /// Whether the block that AND CHAIN begins is read-only, as the one that ends; None where it begins
    /// none.
    ///
    /// # Errors
    /// NoActiveTransaction for AND CHAIN outside a block.
    pub(super) fn next_block(&self, chain: bool, what: &str) -> Result<Option<bool>> {
        if !chain {
            return Ok(None);
        }
        self.need_block(what)?;
        Ok(Some(self.work.lock().read_only))
    }

    /// Begins what [`Session::next_block`] said.
    pub(super) fn chain(&mut self, next: Option<bool>) {
        if let Some(read_only) = next {
            self.begin(read_only);
        }
    }

    fn need_block(&self, what: &str) -> Result<()> {
        if self.work.lock().block == Block::Explicit {
            return Ok(());
        }
        let message = format!("{what} can only be used in transaction blocks");
        Err(Error::new(ErrorKind::NoActiveTransaction, message).hint("say BEGIN first"))
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<()> {
        self.need_block("SAVEPOINT")?;
        let mut work = self.work.lock();
        let state = work.transaction.clone();
        let set = self.settings.lock().savepoint();
        work.savepoints.push(Savepoint { name: name.to_owned(), state, set });
        self.cursors.lock().savepoint(name);
        Ok(())
    }

    pub(super) fn release(&mut self, name: &str) -> Result<()> {
        self.need_block("RELEASE SAVEPOINT")?;
        let at = self.find_savepoint(name)?;
        self.work.lock().savepoints.truncate(at);
        Ok(())
    }

    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<()> {
        self.need_block("ROLLBACK TO SAVEPOINT")?;
        let at = self.find_savepoint(name)?;
        let mut work = self.work.lock();
        work.savepoints.truncate(at + 1);
        work.transaction = work.savepoints[at].state.clone();
        work.failed = false;
        self.settings.lock().roll_back(work.savepoints[at].set);
        self.cursors.lock().roll_back_to(name);
        Ok(())
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        let work = self.work.lock();
        work.savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(|| {
            let message = format!("savepoint \"{name}\" does not exist");
            Error::new(ErrorKind::UndefinedSavepoint, message)
        })
    }

    /// # Errors
    /// ActiveTransaction inside a block.
    pub(super) fn need_no_block(&self, what: &str) -> Result<()> {
        if self.work.lock().block != Block::Explicit {
            return Ok(());
        }
        let message = format!("{what} cannot run inside a transaction block");
        Err(Error::new(ErrorKind::ActiveTransaction, message).hint("COMMIT or ROLLBACK first"))
    }

    /// A statement that is a transaction of its own begins. Statements before it in one message that
    /// only read are done with.
    ///
    /// # Errors
    /// ActiveTransaction inside a block, and behind statements of one message that wrote.
    pub(super) fn need_no_transaction(&self, what: &str) -> Result<()> {
        self.need_no_block(what)?;
        let mut work = self.work.lock();
        if work.transaction.is_some() {
            let message = format!("{what} cannot run behind statements of one message that wrote");
            return Err(Error::new(ErrorKind::ActiveTransaction, message)
                .hint("the statements of one message are one transaction: send it by itself"));
        }
        work.block = Block::None;
        work.snapshot = None;
        Ok(())
    }

    pub(super) fn shared_work(&self) -> Arc<parking_lot::Mutex<Work>> {
        Arc::clone(&self.work)
    }
}
