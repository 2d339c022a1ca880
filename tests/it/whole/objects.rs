//! Tables made, dropped, brought back, renamed, cloned and restored.

use std::sync::Arc;

use super::Object;
use super::model::{State, Table, fresh};
use super::world::World;

impl World {
    pub(super) async fn object(&mut self, object: &Object) {
        match object {
            Object::Create { keyed } => self.create(*keyed).await,
            Object::Drop(table) => self.drop_table(*table).await,
            Object::Undrop(n) => self.undrop(*n).await,
            Object::Rename(table) => self.rename(*table).await,
            Object::Clone { table, at } => self.clone_table(*table, *at).await,
            Object::Restore { table, at } => self.restore(*table, *at).await,
        }
    }

    fn new_table_name(&mut self) -> String {
        let name = self.new_name('t');
        self.tables.insert(name.clone());
        name
    }

    async fn create(&mut self, keyed: bool) {
        let name = self.new_table_name();
        let key = if keyed { " PRIMARY KEY" } else { "" };
        let sql = format!("CREATE TABLE {name} (u bigint, k integer{key}, v smallint)");
        let after = self.after(fresh(), Table::new(name, keyed));
        self.write(&sql, Ok(after)).await;
    }

    async fn drop_table(&mut self, n: usize) {
        let Some((id, table)) = self.nth_table(n) else { return };
        let mut after = self.model.now().clone();
        after.remove(&id);
        if self.write(&format!("DROP TABLE {}", table.name), Ok(after)).await
            && let Some(block) = &mut self.model.block
        {
            block.dropped.push((id, table));
        }
    }

    /// The last table of each name that was dropped in this block or on the branch's own line.
    fn dropped(&self) -> Vec<(u64, Arc<Table>)> {
        let mut dropped: Vec<(u64, Arc<Table>)> = Vec::new();
        let mut add = |id: u64, table: &Arc<Table>| {
            if dropped.iter().all(|(_, known)| known.name != table.name) {
                dropped.push((id, Arc::clone(table)));
            }
        };
        if let Some(block) = &self.model.block {
            // A table of this block's own never was.
            let before = self.model.state(self.model.head(&self.model.on));
            for (id, _) in block.dropped.iter().rev() {
                before.get(id).into_iter().for_each(|table| add(*id, table));
            }
        }
        for pair in self.model.line(self.model.head(&self.model.on)).windows(2) {
            let (state, before) = (self.model.state(pair[0]), self.model.state(pair[1]));
            for (id, table) in before.iter().filter(|(id, _)| !state.contains_key(id)) {
                add(*id, table);
            }
        }
        dropped
    }

    async fn undrop(&mut self, n: usize) {
        let dropped = self.dropped();
        let Some((id, table)) = dropped.get(n % dropped.len().max(1)).cloned() else { return };
        let now = self.model.now();
        let taken = now.contains_key(&id) || now.values().any(|other| other.name == table.name);
        let sql = format!("UNDROP TABLE {}", table.name);
        let after = self.after(id, table.as_ref().clone());
        if self.write(&sql, if taken { Err("42P07") } else { Ok(after) }).await
            && let Some(block) = &mut self.model.block
        {
            block.dropped.retain(|(dropped, _)| *dropped != id);
        }
    }

    async fn rename(&mut self, n: usize) {
        let Some((id, table)) = self.nth_table(n) else { return };
        let name = self.new_table_name();
        let sql = format!("ALTER TABLE {} RENAME TO {name}", table.name);
        let after = self.after(id, Table { name, ..table.as_ref().clone() });
        self.write(&sql, Ok(after)).await;
    }

    async fn clone_table(&mut self, n: usize, at: usize) {
        let at = self.model.nth_commit(at);
        let there = self.model.state(at);
        let Some((id, model)) = there.iter().nth(n % there.len().max(1)) else { return };
        let (id, model) = (*id, Arc::clone(model));
        if self.model.block.is_some() && self.changed_in_block(id) {
            return;
        }
        let name = self.new_table_name();
        let sql = format!("CREATE TABLE {name} CLONE {} VERSION AS OF {at}", model.name);
        let table = Table { name, ..model.as_ref().clone() };
        let after = self.after(fresh(), table);
        self.write(&sql, Ok(after)).await;
    }

    fn changed_in_block(&self, id: u64) -> bool {
        let before: &State = self.model.state(self.model.head(&self.model.on));
        match (before.get(&id), self.model.now().get(&id)) {
            (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
            (before, now) => before.is_some() || now.is_some(),
        }
    }

    async fn restore(&mut self, n: usize, at: usize) {
        let Some((id, table)) = self.nth_table(n) else { return };
        let at = self.model.nth_commit(at);
        let sql = format!("RESTORE TABLE {} TO VERSION AS OF {at}", table.name);
        let then = self.model.state(at).get(&id).map(|then| then.as_ref().clone());
        let after = then.map(|then| self.after(id, Table { name: table.name.clone(), ..then }));
        self.write(&sql, after.ok_or("42P01")).await;
    }
}
