//! Upkeep, and a session that reads while it goes on.

use asofdb::spec::TableId;
use asofdb::store::{CompactOptions, ExpireOptions};

use super::Care;
use super::world::World;
use crate::guest::Guest;

impl World {
    pub(super) async fn care(&mut self, care: &Care) {
        let store = self.store();
        match care {
            Care::Fold => drop(store.fold_one(None, 1).await.expect("it folds")),
            Care::Compact { table, small_files } => self.compact(*table, *small_files).await,
            Care::Expire { keep, table } => self.expire(*keep, *table).await,
            Care::Orphans => {
                store.remove_orphans(None, false).expect("it looks");
                let orphans = store.remove_orphans(None, true).expect("it looks");
                assert_eq!(orphans, Vec::<String>::new(), "they were removed");
            }
            Care::Read => return self.read().await,
            Care::EndRead => self.reader = None,
        }
        store.collect().await.expect("it collects");
        if self.model.block.is_none() {
            self.compare_all().await;
        }
    }

    /// A table of the session's branch, as it is committed.
    fn committed_table(&self, n: usize) -> Option<(u64, TableId)> {
        let there = self.model.state(self.model.head(&self.model.on));
        let (id, table) = there.iter().nth(n % there.len().max(1))?;
        let head = self.store().head(&self.model.on).expect("the branch is there");
        let found = head.table("public", &table.name).expect("it reads").expect("it is there");
        Some((*id, found.id()))
    }

    async fn compact(&mut self, n: usize, small_files: bool) {
        let Some((_, id)) = self.committed_table(n) else { return };
        let target_bytes = if small_files { 2_000 } else { 1 << 20 };
        let options = CompactOptions { target_bytes, all: true, only: None };
        self.store().compact_one(&self.model.on, id, &options).await.expect("it compacts");
    }

    async fn expire(&mut self, keep: u64, table: Option<usize>) {
        let on = self.model.on.clone();
        let table = match table {
            None => None,
            Some(n) => match self.committed_table(n) {
                None => return,
                Some(found) => Some(found),
            },
        };
        let options = ExpireOptions {
            table: table.map(|(_, id)| id),
            branch: Some(on.clone()),
            older_than_us: Some(self.now_us() + 1),
            retain_last: Some(keep),
        };
        let line = self.model.line(self.model.head(&on));
        let oldest = line.iter().take(keep as usize).next_back().expect("a branch keeps its head");
        self.store().expire(&options).await.expect("it expires");
        let floor = self.model.floors.entry((on.clone(), table.map(|(id, _)| id))).or_default();
        *floor = (*oldest).max(*floor);
        let now_us = self.now_us();
        self.model.expired_us.insert(on, now_us);
    }

    /// Everything that may go is gone, and everything that is there is named.
    pub(super) async fn leave_nothing(&mut self) {
        let options = ExpireOptions {
            older_than_us: Some(self.now_us() + 1),
            retain_last: Some(1),
            ..ExpireOptions::default()
        };
        let store = self.store();
        store.expire(&options).await.expect("it expires");
        let again = store.expire(&options).await.expect("it expires");
        assert_eq!(again, Default::default(), "the first time left something");
        store.collect().await.expect("it collects");
        self.compare_heads().await;
        // Statements that were refused may have left some.
        store.remove_orphans(None, false).expect("it looks");
        assert_eq!(store.check(|_, _| {}).expect("a check"), []);
    }

    async fn read(&mut self) {
        let mut guest = Guest::arrive(&self.open.as_ref().expect("open").1);
        let state = self.model.state(self.model.head(&self.model.on)).clone();
        guest.must(&format!("SET branch = '{}'", self.model.on)).await;
        guest.must("BEGIN").await;
        guest.must("SELECT 1").await;
        for table in state.values() {
            guest.must(&format!("SELECT count(*) FROM {}", table.name)).await;
        }
        self.reader = Some((guest, state));
    }
}
