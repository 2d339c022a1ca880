//! The commits that stay, and of which tables: the rule of [`crate::store::floors`], for all at once, and
//! below the floors what merging living branches needs.

use std::collections::{BTreeMap, HashMap, HashSet};

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::log::floors::ALL_TABLES;
use crate::log::{Records, Space, ancestry, key, refs};
use crate::spec::{Commit, CommitId, Ref, RefKind, TableId};
use crate::store::floors::{Floors, is_about, stations};

/// What can be read, and what merges begin with.
pub(in crate::store) struct Kept {
    /// Commits that show every table, those in `own` aside.
    whole: HashSet<CommitId>,
    /// Of tables with floors or refs of their own the commits that show them.
    own: HashMap<TableId, HashSet<CommitId>>,
    /// Commits of which only the record is needed: merges find their way by them.
    between: HashSet<CommitId>,
}

impl Kept {
    pub fn read(records: &impl Records, floors: &Floors) -> Result<Kept> {
        let refs = refs::list(records, refs::DATABASE)?;
        let mut tables = floors.tables();
        tables.extend(refs.iter().filter_map(Ref::table));
        // A commit that was made on a branch of one table may be nobody's by now.
        let mut only = HashSet::new();
        let mut commits = Vec::new();
        records.scan(Space::Commits, &key([0]), &[0xff; 9], &mut |_, value| {
            let commit = Commit::decode(value)?;
            only.extend(commit.only);
            commits.push((commit.id, commit.only));
            Ok(true)
        })?;
        tables.extend(only);
        let joints = joints(records, &refs)?;
        let walk = Walk { floors, refs, commits, bases: joints.bases };
        let whole = walk.kept(records, ALL_TABLES)?;
        let mut own = HashMap::new();
        for table in tables {
            own.insert(table, walk.kept(records, table)?);
        }
        Ok(Kept { whole, own, between: joints.between })
    }

    /// Commits of which only the record is needed.
    pub fn between(&self) -> &HashSet<CommitId> {
        &self.between
    }

    /// Every commit that shows anything.
    pub fn commits(&self) -> HashSet<CommitId> {
        self.own.values().flatten().chain(&self.whole).copied().collect()
    }

    /// Whether a commit shows every table, those of [`Kept::own`] aside.
    pub fn is_whole(&self, commit: CommitId) -> bool {
        self.whole.contains(&commit)
    }

    /// Of tables with floors or refs of their own the commits that show them.
    pub fn own(&self) -> &HashMap<TableId, HashSet<CommitId>> {
        &self.own
    }

    /// Whether every commit shows all of its tables.
    pub fn is_uniform(&self) -> bool {
        self.own.is_empty()
    }

    pub fn shows(&self, commit: CommitId, table: TableId) -> bool {
        self.own.get(&table).unwrap_or(&self.whole).contains(&commit)
    }
}

struct Walk<'a> {
    floors: &'a Floors,
    refs: Vec<Ref>,
    /// Every commit, and the table it is of alone.
    commits: Vec<(CommitId, Option<TableId>)>,
    /// The state that a merge of two branches begins with.
    bases: HashSet<CommitId>,
}

impl Walk<'_> {
    /// The commits that show one table, or [`ALL_TABLES`].
    fn kept(&self, records: &impl Records, table: TableId) -> Result<HashSet<CommitId>> {
        let highest = self.floors.highest(table);
        let recent = self
            .commits
            .iter()
            .filter(|(id, only)| *id >= highest && only.is_none_or(|only| only == table));
        let mut kept: HashSet<CommitId> = recent.map(|(id, _)| *id).collect();
        kept.extend(&self.bases);
        for target in self.refs.iter().filter(|target| is_about(target, table)) {
            kept.insert(target.commit);
            if target.kind == RefKind::Tag {
                continue;
            }
            let floor = self.floors.of(target.id, table);
            let lowest = floor.map_or(CommitId(0), |floor| floor.commit);
            let mut at = Some(target.commit).filter(|id| *id >= lowest);
            while let Some(id) = at {
                let Some(commit) = ancestry::find(records, id)? else { break };
                kept.insert(id);
                at = commit.parent.filter(|parent| *parent >= lowest);
            }
            kept.extend(stations(records, target.id, floor.map_or(0, |floor| floor.time_us))?);
        }
        Ok(kept)
    }
}

/// Where the branches hang together.
#[derive(Default)]
struct Joints {
    /// The merge base of every two branches: the state that a merge begins with.
    bases: HashSet<CommitId>,
    /// The commits from the heads down to these: only their records are needed, to find the base and to
    /// know which tables changed since.
    between: HashSet<CommitId>,
}

/// Where two branches took each other over before either knew, there are several bases; what was changed
/// on which side shows in the state where these part. Branches that joined nothing since they parted have one.
fn crossed(records: &impl Records, branches: &[&Ref]) -> Result<Joints> {
    let mut heads = Vec::new();
    for target in branches {
        let head = ancestry::find(records, target.commit)?;
        heads.extend(head.filter(|head| head.joined.is_some()));
    }
    let mut found = Joints::default();
    for (at, a) in heads.iter().enumerate() {
        for b in heads[at + 1..].iter().filter(|b| b.joined != a.joined) {
            let bases = ancestry::merge_bases(records, a.id, b.id, None)?;
            if let [first, second, ..] = bases.as_slice() {
                found.bases.extend(ancestry::merge_base(records, *first, *second, None)?);
                found.bases.extend(&bases);
            }
        }
    }
    Ok(found)
}

/// Whether expiry keeps the state of a commit for merges of living branches.
pub(in crate::store) fn begins_merges(records: &impl Records, commit: CommitId) -> Result<bool> {
    Ok(joints(records, &refs::list(records, refs::DATABASE)?)?.bases.contains(&commit))
}

/// Where the branches hang together, as wholes and in each table that was joined alone.
fn joints(records: &impl Records, refs: &[Ref]) -> Result<Joints> {
    let branches: Vec<&Ref> = refs.iter().filter(|target| target.kind == RefKind::Branch).collect();
    let mut found = crossed(records, &branches)?;
    let lowest = found.bases.iter().min().copied();
    // A table's base lies at or above that of the whole: the first walk meets every table of interest.
    for table in meet(records, &branches, (None, lowest), &mut found)? {
        meet(records, &branches, (Some(table), None), &mut found)?;
    }
    Ok(found)
}

/// Walks all branches at once, the newest commit first: of two branches, the first commit that both
/// reach is their base, as in [`ancestry::merge_base`]. Goes on down to `lowest`; answers the tables that
/// were joined alone.
fn meet(
    records: &impl Records,
    branches: &[&Ref],
    (of, lowest): (Option<TableId>, Option<CommitId>),
    found: &mut Joints,
) -> Result<HashSet<TableId>> {
    let all = branches.len() as u64;
    let mut tables = HashSet::new();
    let mut open: BTreeMap<CommitId, RoaringBitmap> = BTreeMap::new();
    // For each branch the branches whose base with it is found; itself is one.
    let mut met: Vec<RoaringBitmap> = Vec::with_capacity(branches.len());
    for (branch, target) in (0..).zip(branches) {
        open.entry(target.commit).or_default().insert(branch);
        met.push(RoaringBitmap::from([branch]));
    }
    while let Some((id, here)) = open.pop_last() {
        if met.iter().all(|known| known.len() == all) && lowest.is_none_or(|lowest| id < lowest) {
            break;
        }
        found.between.insert(id);
        for branch in &here {
            let known = &mut met[branch as usize];
            if !here.is_subset(known) {
                found.bases.insert(id);
                *known |= &here;
            }
        }
        let Some(commit) = ancestry::find(records, id)? else { continue };
        tables.extend(commit.merged_table);
        for parent in commit.parents_of(of) {
            *open.entry(parent).or_default() |= &here;
        }
    }
    Ok(tables)
}
