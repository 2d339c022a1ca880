//! What the kept commits reach, and the records that they do not.

use std::collections::{HashMap, HashSet};

use super::ExpireReport;
use super::keep::Kept;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Records, Space, ancestry, deletes, folds, inline, key, refs, tree, versions};
use crate::spec::{CommitId, LineId, LinkId, RefKind, SegmentId, TableId, VersionId};
use crate::store::catalog::{self, Object};
use crate::store::floors::{Floors, is_about};

/// Everything that can be reached.
#[derive(Default)]
pub(in crate::store) struct Live {
    pub commits: HashSet<CommitId>,
    /// Commits of which only the record is kept: merges find their way by them.
    between: HashSet<CommitId>,
    nodes: HashSet<u64>,
    /// Versions that can be read.
    pub versions: HashSet<VersionId>,
    /// Versions that others are changes of.
    bases: HashSet<VersionId>,
    pages: HashSet<u64>,
    links: HashSet<LinkId>,
    pub segments: HashSet<SegmentId>,
    /// For each line the first and the last commit of a table that count.
    ranges: HashMap<(TableId, LineId), (CommitId, CommitId)>,
    /// What no table of any branch can be asked about any more lies at or below this.
    forgotten: HashMap<TableId, CommitId>,
}

/// Records that nothing reaches.
#[derive(Default)]
pub(super) struct Dead(Vec<(Space, Vec<u8>)>);

impl Live {
    /// Marks from every commit that can be read or is being read.
    pub fn mark(records: &impl Records, floors: &Floors, readers: &[CommitId]) -> Result<Live> {
        let kept = Kept::read(records, floors)?;
        let mut live = Live { commits: kept.commits(), ..Live::default() };
        live.commits.extend(readers);
        live.mark_roots(records, &kept)?;
        for (table, commits) in kept.own() {
            for id in commits {
                let Some(commit) = ancestry::find(records, *id)? else { continue };
                let found = catalog::object(records, commit.root, *table)?;
                if let Some(Object::Table(_, version)) = found {
                    live.versions.insert(version);
                }
            }
        }
        for id in readers {
            live.mark_read(records, *id)?;
        }
        live.between.clone_from(kept.between());
        live.mark_versions(records, floors)?;
        live.mark_folds(records)?;
        Ok(live)
    }

    /// The trees of all commits, and the versions that those show which show everything.
    fn mark_roots(&mut self, records: &impl Records, kept: &Kept) -> Result<()> {
        let mut ids: Vec<CommitId> = self.commits.iter().copied().collect();
        // Those that show everything come first: what is in their trees counts.
        ids.sort_unstable_by_key(|id| (!kept.is_whole(*id), *id));
        for id in ids {
            // Where a ref stood may have gone with an earlier expiry.
            let Some(commit) = ancestry::find(records, id)? else { continue };
            let entries = tree::unseen(records, commit.root, &mut self.nodes)?;
            for entry in entries.iter().filter(|_| kept.is_whole(id)) {
                if let Some(Object::Table(table, version)) = catalog::object_of(entry)?
                    && !kept.own().contains_key(&table)
                {
                    self.versions.insert(version);
                }
            }
        }
        Ok(())
    }

    /// The versions of a commit that is being read. What its snapshot does not show may be gone, or half
    /// gone, since before it was opened.
    fn mark_read(&mut self, records: &impl Records, id: CommitId) -> Result<()> {
        let Some(commit) = ancestry::find(records, id)? else { return Ok(()) };
        for object in catalog::objects(records, commit.root)? {
            if let Object::Table(_, version) = object
                && (self.versions.contains(&version) || is_whole(records, version)?)
            {
                self.versions.insert(version);
            }
        }
        Ok(())
    }

    fn mark_versions(&mut self, records: &impl Records, floors: &Floors) -> Result<()> {
        for id in self.versions.clone() {
            let version = versions::get(records, id)?;
            let lowest = self.lowest(records, floors, version.table)?;
            self.segments.extend(version.added.iter().map(|entry| entry.segment));
            let history = version.history.iter().filter(|entry| entry.until > lowest);
            self.segments.extend(history.map(|entry| entry.entry.segment));
            for range in &version.ranges {
                let at = (version.table, range.line);
                let known = self.ranges.entry(at).or_insert((range.from, range.to));
                *known = (known.0.min(range.from), known.1.max(range.to));
            }
            self.pages.extend(&version.pages);
            // What the version before has is marked with that one, if that one can be read.
            if version.previous.is_none_or(|previous| !self.versions.contains(&previous)) {
                let entries = versions::segments(records, &version)?;
                self.segments.extend(entries.iter().map(|entry| entry.segment));
            }
            self.mark_bases(records, version.previous)?;
            self.mark_links(records, version.deletes, lowest)?;
        }
        Ok(())
    }

    fn mark_bases(&mut self, records: &impl Records, first: Option<VersionId>) -> Result<()> {
        let mut at = first;
        while let Some(id) = at
            && !self.versions.contains(&id)
            && self.bases.insert(id)
        {
            let base = versions::get(records, id)?;
            self.pages.extend(&base.pages);
            at = base.previous;
        }
        Ok(())
    }

    fn mark_links(
        &mut self,
        records: &impl Records,
        tip: Option<LinkId>,
        lowest: CommitId,
    ) -> Result<()> {
        let mut at = tip;
        while let Some(id) = at
            && !self.links.contains(&id)
        {
            let Some(link) = deletes::find(records, id)? else { break };
            self.links.insert(id);
            let is_last = link.union.is_some() && link.commit <= lowest;
            at = if is_last { None } else { link.parent };
        }
        Ok(())
    }

    /// Below this no branch can be asked about the table.
    fn lowest(
        &mut self,
        records: &impl Records,
        floors: &Floors,
        table: TableId,
    ) -> Result<CommitId> {
        if let Some(known) = self.forgotten.get(&table) {
            return Ok(*known);
        }
        let branches = refs::list(records, refs::DATABASE)?;
        let floors = branches
            .iter()
            .filter(|target| target.kind == RefKind::Branch && is_about(target, table))
            .map(|target| floors.of(target.id, table).map_or(CommitId(0), |floor| floor.commit));
        let lowest = floors.min().unwrap_or(CommitId(0));
        self.forgotten.insert(table, lowest);
        Ok(lowest)
    }

    fn mark_folds(&mut self, records: &impl Records) -> Result<()> {
        for (table, line, stretch) in folds::all(records)? {
            if self.reaches(table, line, stretch.from, stretch.to) {
                self.segments.insert(stretch.segment);
            }
        }
        Ok(())
    }

    fn reaches(&self, table: TableId, line: LineId, from: CommitId, to: CommitId) -> bool {
        self.ranges.get(&(table, line)).is_some_and(|range| range.0 <= to && from <= range.1)
    }

    /// The records that were not marked, commits first.
    pub(super) fn dead(&self, records: &impl Records, floors: &Floors) -> Result<Dead> {
        let mut dead = Dead::default();
        dead.gather(records, Space::Commits, |id| {
            self.commits.contains(&CommitId(id)) || self.between.contains(&CommitId(id))
        })?;
        self.dead_moves(records, floors, &mut dead)?;
        dead.gather(records, Space::Nodes, |id| self.nodes.contains(&id))?;
        dead.gather(records, Space::Versions, |id| {
            self.versions.contains(&VersionId(id)) || self.bases.contains(&VersionId(id))
        })?;
        dead.gather(records, Space::Pages, |id| self.pages.contains(&id))?;
        dead.gather(records, Space::Links, |id| self.links.contains(&LinkId(id)))?;
        records.scan(Space::Inline, &[], &[0xff; 40], &mut |at, _| {
            let ((table, line), (commit, _)) = (inline::owner(at)?, inline::parts(at)?);
            if !self.reaches(table, line, commit, commit) {
                dead.0.push((Space::Inline, at.to_vec()));
            }
            Ok(true)
        })?;
        records.scan(Space::Folds, &[], &[0xff; 40], &mut |at, _| {
            let (table, line, from, to) = folds::parts(at)?;
            if !self.reaches(table, line, from, to) {
                dead.0.push((Space::Folds, at.to_vec()));
            }
            Ok(true)
        })?;
        dead.gather(records, Space::Segments, |id| self.segments.contains(&SegmentId(id)))?;
        Ok(dead)
    }

    /// Of each ref's moves stay those since its floor and the last before it.
    fn dead_moves(&self, records: &impl Records, floors: &Floors, dead: &mut Dead) -> Result<()> {
        let refs = refs::list(records, refs::DATABASE)?;
        let mut last: Option<(u64, Vec<u8>)> = None;
        records.scan(Space::Reflog, &[], &[0xff; 24], &mut |at, value| {
            let moved = crate::spec::ReflogEntry::decode(value)?;
            let reference = part(at)?;
            let target = refs.iter().find(|target| target.id == reference);
            let lives = target.is_some();
            let floor = target.and_then(|target| floors.lowest(target));
            if !lives && !self.commits.contains(&moved.commit) {
                dead.0.push((Space::Reflog, at.to_vec()));
            }
            if !lives || floor.is_none_or(|floor| moved.time_us > floor.time_us) {
                return Ok(true);
            }
            let before = last.replace((reference, at.to_vec()));
            if let Some((same, before)) = before
                && same == reference
            {
                dead.0.push((Space::Reflog, before));
            }
            Ok(true)
        })
    }
}

impl Dead {
    fn gather(
        &mut self,
        records: &impl Records,
        space: Space,
        lives: impl Fn(u64) -> bool,
    ) -> Result<()> {
        records.scan(space, &[], &[0xff; 9], &mut |at, _| {
            if !lives(part(at)?) {
                self.0.push((space, at.to_vec()));
            }
            Ok(true)
        })
    }

    pub fn report(&self) -> ExpireReport {
        let count = |wanted: &[Space]| {
            self.0.iter().filter(|(space, _)| wanted.contains(space)).count() as u64
        };
        ExpireReport {
            data_files: count(&[Space::Segments]),
            delete_links: count(&[Space::Links]),
            versions: count(&[Space::Versions, Space::Pages]),
            commits: count(&[Space::Commits]),
            refs: 0,
        }
    }

    /// The records in the order in which they go, so many at a time.
    pub fn slices(self, size: usize) -> Vec<Vec<(Space, Vec<u8>)>> {
        self.0.chunks(size).map(<[_]>::to_vec).collect()
    }
}

/// Whether everything that a version is a change of is there.
fn is_whole(records: &impl Records, id: VersionId) -> Result<bool> {
    let mut at = Some(id);
    while let Some(id) = at {
        let Some(version) = versions::find(records, id)? else { return Ok(false) };
        for page in &version.pages {
            if records.get(Space::Pages, &key([*page]))?.is_none() {
                return Ok(false);
            }
        }
        at = version.previous;
    }
    Ok(true)
}

fn part(at: &[u8]) -> Result<u64> {
    let number = at.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    number.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the key of a record is damaged"))
}

/// The key of a segment's record.
pub(in crate::store) fn segment_of(at: &[u8]) -> Result<u64> {
    debug_assert_eq!(at, key([part(at)?]));
    part(at)
}
