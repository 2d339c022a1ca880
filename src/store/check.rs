//! Does everything in the folder hold? Every record, every reference, every byte of every segment.

use std::collections::{HashMap, HashSet};

use super::catalog::{self, Object};
use super::expire::{joints, kept_commits};
use super::floors::Floors;
use super::folded::split;
use super::open::parse_name;
use super::{Folded, Relation, Snapshot, Store};
use crate::error::Result;
use crate::log::floors::ALL_TABLES;
use crate::log::{Records, Space, View, ancestry, deletes, folds, inline, refs, versions};
use crate::segment::SEGMENTS_DIR;
use crate::spec::{Commit, CommitId, LineRange, RefKind, SegmentMeta, TableId, VersionId};

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The record or file.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
}

struct Checker<'a> {
    store: &'a Store,
    view: View,
    floors: Floors,
    /// Of the tables with floors of their own the commits that show them.
    kept: HashMap<TableId, HashSet<CommitId>>,
    versions: HashSet<VersionId>,
    problems: Vec<Problem>,
}

impl Store {
    /// Reads and verifies everything. `progress` hears (segments done, segments in all).
    ///
    /// # Errors
    /// Only where the check itself cannot go on; what it finds is in its answer.
    pub fn check(&self, mut progress: impl FnMut(u64, u64)) -> Result<Vec<Problem>> {
        let view = self.shared.log.read()?;
        let floors = Floors::read(&view)?;
        let joints = joints(&view)?;
        let mut kept = HashMap::new();
        for table in floors.tables() {
            kept.insert(table, kept_commits(&view, &floors, table, &[], &joints)?);
        }
        let mut checker = Checker {
            store: self,
            view,
            floors,
            kept,
            versions: HashSet::new(),
            problems: Vec::new(),
        };
        checker.commits()?;
        checker.refs()?;
        checker.heads()?;
        let segments = checker.segments()?;
        let total = segments.len() as u64;
        for (done, meta) in segments.into_iter().enumerate() {
            progress(done as u64, total);
            let verified = self.open_segment(&meta.into()).and_then(|segment| {
                segment.verify()?;
                Ok(segment.meta().file_name())
            });
            if let Err(error) = verified {
                checker.problem("segment", &error);
            }
        }
        checker.strangers()?;
        Ok(checker.problems)
    }
}

impl Checker<'_> {
    fn problem(&mut self, what: &str, why: &dyn std::fmt::Display) {
        self.problems.push(Problem { what: what.to_owned(), why: why.to_string() });
    }

    /// All records of a space; those that cannot be read are problems.
    fn each<T>(&mut self, space: Space, decode: fn(&[u8]) -> Result<T>) -> Result<Vec<T>> {
        let mut good = Vec::new();
        let mut bad = Vec::new();
        self.view.scan(space, &[], &[0xff; 40], &mut |_, value| {
            match decode(value) {
                Ok(record) => good.push(record),
                Err(error) => bad.push(error),
            }
            Ok(true)
        })?;
        for error in bad {
            self.problem(&format!("{space:?}"), &error);
        }
        Ok(good)
    }

    /// Every commit that can be read; of others, expiry may have left half.
    fn commits(&mut self) -> Result<()> {
        let joints = joints(&self.view)?;
        let kept = kept_commits(&self.view, &self.floors, ALL_TABLES, &[], &joints)?;
        let highest = self.floors.highest(ALL_TABLES);
        let mut roots = HashSet::new();
        for commit in self.each(Space::Commits, Commit::decode)? {
            if !kept.contains(&commit.id) {
                continue;
            }
            let what = format!("commit {}", commit.id);
            let parent = commit.parent.filter(|parent| *parent >= highest);
            if let Some(parent) = parent
                && let Err(error) = ancestry::commit(&self.view, parent)
            {
                self.problem(&what, &error);
            }
            let seen = !roots.insert(commit.root);
            if seen && self.kept.is_empty() {
                continue;
            }
            match catalog::objects(&self.view, commit.root) {
                Ok(objects) => {
                    objects.into_iter().for_each(|object| self.object(commit.id, object));
                }
                Err(error) => self.problem(&what, &error),
            }
        }
        Ok(())
    }

    fn object(&mut self, commit: CommitId, object: Object) {
        match object {
            Object::Table(id, _) if self.kept.get(&id).is_some_and(|k| !k.contains(&commit)) => {}
            Object::Table(id, version) => {
                if self.versions.insert(version)
                    && let Err(error) = self.version(version)
                {
                    self.problem(&format!("version {version} of table {id}"), &error);
                }
            }
            Object::Sequence(id, record) => {
                if let Err(error) = catalog::sequence(&self.view, record) {
                    self.problem(&format!("sequence {id}"), &error);
                }
            }
            Object::View(id, record) | Object::Namespace(id, record) => {
                if let Err(error) = catalog::view(&self.view, record) {
                    self.problem(&format!("view {id}"), &error);
                }
            }
        }
    }

    fn version(&self, id: VersionId) -> Result<()> {
        let record = versions::get(&self.view, id)?;
        catalog::schema(&self.view, record.schema)?;
        for entry in versions::segments(&self.view, &record)? {
            self.store.segment_meta(&self.view, entry.segment)?;
        }
        if let Some(tip) = record.deletes {
            deletes::load(&self.view, tip)?;
        }
        for entry in record.history.iter().filter(|h| h.until > self.floors.highest(record.table)) {
            self.store.segment_meta(&self.view, entry.entry.segment)?;
        }
        for range in &record.ranges {
            let stretches = folds::of_line(&self.view, record.table, range.line)?;
            let (folded, gaps) = split(range, &stretches);
            for (_, stretch) in &folded {
                self.store.segment_meta(&self.view, stretch.segment)?;
            }
            // Older versions' ranges are beginnings of this one's, so the newest commit suffices.
            if let Some(gap) = gaps.last() {
                let newest = LineRange { from: gap.to, ..*gap };
                for (_, bytes) in inline::read(&self.view, record.table, &newest)? {
                    self.store.decode_inline(&bytes)?;
                }
            }
        }
        Ok(())
    }

    /// What a head counts is what it has, wherever upkeep put it.
    fn heads(&mut self) -> Result<()> {
        for found in refs::list(&self.view, refs::DATABASE)? {
            if found.kind == RefKind::Tag {
                continue;
            }
            let what = format!("branch \"{}\"", found.name);
            let counted = self.store.head(&found.name).and_then(|head| wrong_counts(&head));
            match counted {
                Ok(wrong) => wrong.iter().for_each(|why| self.problem(&what, why)),
                Err(error) => self.problem(&what, &error),
            }
            self.window(&found)?;
        }
        Ok(())
    }

    /// Down to its floor a branch has all its commits.
    fn window(&mut self, branch: &crate::spec::Ref) -> Result<()> {
        let floor = self.floors.of(branch.id, ALL_TABLES).map_or(CommitId(0), |f| f.commit);
        let mut at = Some(branch.commit);
        while let Some(id) = at.filter(|id| *id == branch.commit || *id >= floor) {
            match ancestry::find(&self.view, id)? {
                Some(commit) => at = commit.parent,
                None => {
                    let why = format!("commit {id} is gone, and the floor is commit {floor}");
                    self.problem(&format!("branch \"{}\"", branch.name), &why);
                    break;
                }
            }
        }
        Ok(())
    }

    fn refs(&mut self) -> Result<()> {
        for found in refs::list(&self.view, refs::DATABASE)? {
            if let Err(error) = crate::log::ancestry::commit(&self.view, found.commit) {
                self.problem(&format!("ref \"{}\"", found.name), &error);
            }
            if let Err(error) = refs::moves(&self.view, found.id) {
                self.problem(&format!("reflog of \"{}\"", found.name), &error);
            }
        }
        Ok(())
    }

    fn segments(&mut self) -> Result<Vec<SegmentMeta>> {
        self.each(Space::Segments, SegmentMeta::decode)
    }

    /// Files of ours that no record names: recovery removes them, so there should be none.
    fn strangers(&mut self) -> Result<()> {
        for name in self.store.shared.vfs.list(SEGMENTS_DIR)?.0 {
            let known = match parse_name(&name) {
                Some((_, id)) => {
                    let at = crate::log::key([id]);
                    self.view.get(Space::Segments, &at)?.is_some()
                        || self.view.get(Space::Collect, &at)?.is_some()
                }
                None => false,
            };
            if !known {
                self.problem(&format!("{SEGMENTS_DIR}/{name}"), &"no record names this file");
            }
        }
        Ok(())
    }
}

fn wrong_counts(head: &Snapshot) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for relation in head.relations()? {
        let Relation::Table(table) = relation else { continue };
        let mut rows: u64 = table.segments().iter().map(|segment| segment.rows()).sum();
        for batch in table.loose_rows(&Folded::default())? {
            rows += batch.num_rows() as u64;
        }
        if rows != table.row_count() {
            let (name, counted) = (&table.schema().name, table.row_count());
            wrong.push(format!("table \"{name}\" has {rows} rows and says {counted}"));
        }
    }
    Ok(wrong)
}
