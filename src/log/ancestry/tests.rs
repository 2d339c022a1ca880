//! Random histories, and where two of them part.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::log::Visit;
use crate::spec::LineId;

/// The commits, and how many were read.
#[derive(Default)]
struct Memory {
    commits: BTreeMap<Vec<u8>, Vec<u8>>,
    reads: std::cell::Cell<u64>,
}

impl Records for Memory {
    fn get(&self, _: Space, at: &[u8]) -> Result<Option<Vec<u8>>> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.commits.get(at).cloned())
    }

    fn scan(&self, _: Space, _: &[u8], _: &[u8], _: Visit<'_>) -> Result<()> {
        unreachable!("ancestry asks for one commit at a time")
    }

    fn last(&self, _: Space, _: &[u8], _: &[u8]) -> Result<Option<Vec<u8>>> {
        unreachable!("ancestry asks for one commit at a time")
    }
}

impl Memory {
    fn add(&mut self, id: u64, parent: Option<u64>, other: Option<u64>) {
        let before = parent.map(|id| commit(self, CommitId(id)).expect("it is there"));
        let (depth, jump) = match &before {
            Some(before) => below(self, before).expect("they are there"),
            None => (0, None),
        };
        let joined = before.and_then(|before| before.joined);
        let made = Commit {
            id: CommitId(id),
            parent: parent.map(CommitId),
            merge_parent: other.map(CommitId),
            merged_table: None,
            depth,
            jump,
            joined: other.map_or(joined, |_| Some(CommitId(id))),
            time_us: id as i64,
            kind: CommitKind::Append,
            line: LineId(1),
            only: None,
            root: 0,
            changes: Vec::new(),
            properties: Vec::new(),
        };
        self.commits.insert(key([id]), made.encode());
    }

    fn history(&self, of: u64) -> BTreeSet<u64> {
        let (mut found, mut open) = (BTreeSet::new(), vec![of]);
        while let Some(id) = open.pop() {
            if found.insert(id) {
                let at = commit(self, CommitId(id)).expect("it is there");
                open.extend([at.parent, at.merge_parent].into_iter().flatten().map(|id| id.0));
            }
        }
        found
    }
}

proptest! {
    #[test]
    fn the_base_is_the_newest_that_both_hold(
        made in proptest::collection::vec((any::<u32>(), any::<u32>(), 0..4_u8), 2..60),
    ) {
        let mut memory = Memory::default();
        memory.add(1, None, None);
        for (i, (parent, other, kind)) in made.iter().enumerate() {
            let id = i as u64 + 2;
            // Mostly the few newest, so that lines grow long.
            let near = |n: u32, far: u32| (id - 1).saturating_sub(u64::from(n % far)).max(1);
            let (parent, other) = (near(*parent, 4), near(*other, 12));
            memory.add(id, Some(parent), (*kind == 0 && other != parent).then_some(other));
        }
        let newest = made.len() as u64 + 1;
        for a in newest.saturating_sub(6).max(1)..=newest {
            let ours = memory.history(a);
            for b in 1..=newest {
                let wanted = memory.history(b).intersection(&ours).max().copied();
                let found = merge_base(&memory, CommitId(a), CommitId(b), None).expect("it reads");
                prop_assert_eq!(found.map(|id| id.0), wanted, "{} and {}", a, b);
                let both: BTreeSet<u64> = memory.history(b).intersection(&ours).copied().collect();
                let behind: BTreeSet<u64> = both
                    .iter()
                    .flat_map(|id| memory.history(*id).into_iter().filter(move |old| old != id))
                    .collect();
                let wanted: Vec<u64> =
                    both.iter().rev().filter(|id| !behind.contains(id)).copied().collect();
                let found = merge_bases(&memory, CommitId(a), CommitId(b), None).expect("it reads");
                let found: Vec<u64> = found.into_iter().map(|id| id.0).collect();
                prop_assert_eq!(found, wanted, "bases of {} and {}", a, b);
            }
        }
    }
}

#[test]
fn a_far_base_takes_few_reads() {
    const FAR: u64 = 20_000;
    let mut memory = Memory::default();
    memory.add(1, None, None);
    (2..=FAR).for_each(|id| memory.add(id, Some(id - 1), None));
    // A branch from the middle that took over main once, and main that took over the branch.
    memory.add(FAR + 1, Some(FAR / 2), None);
    memory.add(FAR + 2, Some(FAR + 1), Some(FAR - 10));
    memory.add(FAR + 3, Some(FAR), Some(FAR + 1));
    (FAR + 4..FAR + 1000).for_each(|id| memory.add(id, Some(id - 1), None));
    memory.reads.set(0);
    let (ours, theirs) = (CommitId(FAR + 999), CommitId(FAR + 2));
    let found = merge_base(&memory, ours, theirs, None).expect("it reads");
    assert_eq!(found, Some(CommitId(FAR + 1)));
    assert!(memory.reads.get() < 500, "{} reads", memory.reads.get());
}
