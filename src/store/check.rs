//! Does everything in the folder hold? Every record, every reference, every byte of every segment.

use std::collections::HashSet;

use super::Store;
use super::catalog::{self, Object};
use super::open::parse_name;
use crate::error::Result;
use crate::log::{Records, Space, View, deletes, inline, refs, versions};
use crate::segment::SEGMENTS_DIR;
use crate::spec::{Commit, SegmentMeta, VersionId};

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
    roots: HashSet<u64>,
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
        let mut checker = Checker {
            store: self,
            view,
            roots: HashSet::new(),
            versions: HashSet::new(),
            problems: Vec::new(),
        };
        checker.commits()?;
        checker.refs()?;
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

    fn commits(&mut self) -> Result<()> {
        for commit in self.each(Space::Commits, Commit::decode)? {
            let what = format!("commit {}", commit.id);
            if let Some(parent) = commit.parent
                && let Err(error) = crate::log::ancestry::commit(&self.view, parent)
            {
                self.problem(&what, &error);
            }
            if self.roots.insert(commit.root) {
                match catalog::objects(&self.view, commit.root) {
                    Ok(objects) => objects.into_iter().for_each(|object| self.object(object)),
                    Err(error) => self.problem(&what, &error),
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, object: Object) {
        match object {
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
        // Older versions' ranges are beginnings of this one's, so a line's newest commit suffices.
        for range in &record.ranges {
            let newest = crate::spec::LineRange { from: range.to, ..*range };
            for (_, bytes) in inline::read(&self.view, record.table, &newest)? {
                self.store.decode_inline(&bytes)?;
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
                Some((_, id)) => self.view.get(Space::Segments, &crate::log::key([id]))?.is_some(),
                None => false,
            };
            if !known {
                self.problem(&format!("{SEGMENTS_DIR}/{name}"), &"no record names this file");
            }
        }
        Ok(())
    }
}
