//! What refs and tables say of how long things stay, and what may go by that.

use asofdb::store::ExpireOptions;

use super::{House, Said, TABLES};

impl House {
    /// A ref of one table at a commit that shows it; its name.
    pub(super) async fn own(&mut self, table: usize, n: usize, kind: &str) -> Option<String> {
        let commits = self.model.commits.keys().rev().copied();
        let kept: Vec<u64> = commits.filter(|id| self.must_stay(*id, table)).collect();
        let at = *kept.get(n % kept.len().max(1))?;
        let name = self.new_name('o');
        let of = TABLES[table];
        self.must(&format!("ALTER TABLE {of} CREATE {kind} {name} AS OF VERSION {at}")).await;
        let rows = self.model.commits[&at][table].clone();
        self.model.own.insert(name.clone(), (table, at, rows));
        Some(name)
    }

    pub(super) async fn own_branch(&mut self, table: usize, n: usize) {
        let Some(name) = self.own(table, n, "BRANCH").await else { return };
        let of = TABLES[table];
        self.must(&format!("INSERT INTO {of}@{name} VALUES (-1, -1)")).await;
        let (_, _, rows) = self.model.own.get_mut(&name).expect("just made");
        rows.push((-1, -1));
        rows.sort_unstable();
    }

    /// What a table says of its history from here on.
    pub(super) async fn say(&mut self, table: usize, seconds: Option<u64>) {
        let of = TABLES[table];
        let word = match seconds {
            Some(seconds) => format!("SET (retention = '{seconds} seconds')"),
            None => "RESET (retention)".to_owned(),
        };
        let on = self.model.on.clone();
        let (now, mut said, before) = (self.now(), self.said(&on), self.head(&on));
        self.must(&format!("ALTER TABLE {of} {word}")).await;
        said[table] = seconds;
        let head = self.head(&on);
        if head != before {
            self.model.said.insert(head, (self.settings.clock.now_us(), said));
            self.model.commits.insert(head, now);
            self.model.branches.get_mut(&on).expect("known").push(head);
        }
    }

    pub(super) fn said(&self, branch: &str) -> Said {
        let tip = self.model.branches[branch].last().expect("a branch has a commit");
        self.model.said[tip].1
    }

    /// The oldest commit of a branch that a table keeps by its own word.
    pub(super) fn oldest_said(&self, branch: &str, table: usize) -> Option<u64> {
        let seconds = self.said(branch)[table]?;
        let then = self.settings.clock.now_us() - seconds as i64 * 1_000_000;
        let chain = &self.model.branches[branch];
        let shown = chain.iter().rev().find(|id| self.model.said[id].0 <= then);
        Some(shown.or(chain.first()).copied().expect("a branch has a commit"))
    }

    /// No branch has more than a hundred commits, so that only tables and branches have a say.
    pub(super) async fn expire_by_rule(&mut self) {
        self.store().expire(&ExpireOptions::default()).await.expect("it expires");
        self.age();
        for branch in self.model.branches.keys().cloned().collect::<Vec<_>>() {
            for table in 0..2 {
                let Some(oldest) = self.oldest_said(&branch, table) else { continue };
                let first = self.model.branches[&branch].first().copied().expect("a commit");
                // A branch that has a word of its own keeps at least that.
                let is_said = self.model.keeping.contains_key(&branch);
                self.forget(table, if is_said { oldest.min(first) } else { oldest });
            }
        }
    }

    /// What of a table lies below a commit may go. What other branches keep is not modelled: it may stay.
    pub(super) fn forget(&mut self, table: usize, oldest: u64) {
        let gone: Vec<u64> = self.model.commits.range(..oldest).map(|(id, _)| *id).collect();
        self.model.expired.extend(gone.into_iter().map(|commit| (commit, table)));
    }

    /// Tags whose time has come are gone.
    pub(super) fn age(&mut self) {
        let now_us = self.settings.clock.now_us();
        let is_old =
            |(made_us, seconds): &(i64, u64)| now_us - made_us > *seconds as i64 * 1_000_000;
        let aging = &self.model.aging;
        let old: Vec<String> =
            aging.iter().filter(|(_, age)| is_old(age)).map(|(name, _)| name.clone()).collect();
        for name in old {
            self.model.aging.remove(&name);
            self.model.tags.remove(&name);
        }
    }
}
