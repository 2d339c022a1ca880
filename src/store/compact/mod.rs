//! Compaction: one branch's version of a table, written again as sorted files that do not overlap.
//!
//! ```text
//!  segments, folded files, inline rows ──► read with every row's commit, id and end
//!        ──► merge ──┬─ living ──► segments of the target size
//!                    └─ dead ────► files of history, until the floor passes them
//! ```
//! The rows keep their `_row_id` and `_commit`; the shape and the order are today's. Other refs and older
//! versions keep the files they name. The result is a commit of kind `maintain`, which no history shows.
//! Whoever writes meanwhile is not disturbed: appends stand beside the new files; deletes of rows that
//! moved are found again by row id ([`remap`]), and the proposal is made again until it fits.
//!
//! Start reading at [`Store::compact_one`].

mod ends;
mod inputs;
mod outputs;
mod remap;

use std::sync::Arc;

use self::inputs::Inputs;
use self::outputs::Outputs;
pub(super) use self::remap::is_start;
use super::commit::{Answer, Request, Upkeep};
use super::fold::blocking;
use super::snapshot::Snapshot;
use super::table::Table;
use super::{Store, collect};
use crate::error::{Error, ErrorKind, Result};
use crate::log::deletes::Positions;
use crate::spec::{
    CommitId, LineRange, LinkId, RetiredEntry, SegmentEntry, SegmentId, SegmentMeta, TableId,
    ref_label,
};

/// Writers may come first so many times; then they wait once.
const ROUNDS: usize = 3;

/// How a table is compacted.
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// A file is full at about so many bytes.
    pub target_bytes: u64,
    /// Also where the table is in order already.
    pub all: bool,
    /// Only these segments, and nothing outside segments; None: everything.
    pub only: Option<Vec<SegmentId>>,
}

impl Default for CompactOptions {
    fn default() -> Self {
        CompactOptions { target_bytes: 256 << 20, all: false, only: None }
    }
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Files that the branch no longer names: segments, and folded files of which no row is left to it.
    pub rewritten_files: u64,
    /// Their bytes.
    pub rewritten_bytes: u64,
    /// Files of living rows that it names instead.
    pub added_files: u64,
    /// Their bytes.
    pub added_bytes: u64,
    /// Files of dead rows that were written.
    pub history_files: u64,
}

/// What the committer is asked to put in the place of what.
#[derive(Clone)]
pub(super) struct Compaction {
    pub branch: String,
    pub table: TableId,
    /// The commit whose rows were read.
    pub base: CommitId,
    /// The deletes that it knows of.
    pub deletes: Option<LinkId>,
    pub removed: Vec<SegmentId>,
    /// Ranges of the base, taken whole.
    pub ranges: Vec<LineRange>,
    pub added: Vec<(Arc<SegmentMeta>, SegmentEntry)>,
    /// New files of dead rows.
    pub history: Vec<(Arc<SegmentMeta>, RetiredEntry)>,
    /// Dead rows that the table's floor has passed: files that go.
    pub floor: CommitId,
    /// Rows of `added` that were deleted since, by the commit that did.
    pub dead: Vec<(CommitId, Positions)>,
}

impl Store {
    /// Compacts one table of a branch. None where it is in order already, or changed so much meanwhile
    /// that the work is void; nothing is left behind then.
    ///
    /// # Errors
    /// UndefinedObject for the branch, UndefinedTable; Io, DiskFull, Corrupt.
    pub async fn compact_one(
        &self,
        branch: &str,
        table: TableId,
        options: &CompactOptions,
    ) -> Result<Option<CompactReport>> {
        let _alone = self.shared.compacting.lock().await;
        let base = self.head(branch)?;
        let Some(found) = base.table_by_id(table)? else {
            let branch = ref_label(branch);
            let message = format!("table {table} is not on branch \"{branch}\"");
            return Err(Error::new(ErrorKind::UndefinedTable, message));
        };
        let (store, options, branch) = (self.clone(), options.clone(), branch.to_owned());
        let read = Arc::clone(&found);
        let written = blocking(move || store.rewrite(&branch, &base, &read, &options)).await?;
        let Some((compaction, report)) = written else { return Ok(None) };
        let files: Vec<SegmentMeta> = new_files(&compaction);
        // After an error nobody knows what was committed: the files may be named.
        let done = self.settle(compaction, found).await?;
        if !done {
            collect::discard(&self.shared.vfs, &files)?;
        }
        self.shared.vfs.point("compact.done")?;
        Ok(done.then_some(report))
    }

    fn rewrite(
        &self,
        branch: &str,
        base: &Snapshot,
        table: &Table,
        options: &CompactOptions,
    ) -> Result<Option<(Compaction, CompactReport)>> {
        self.shared.vfs.point("compact.read")?;
        let inputs = Inputs::of(table, options)?;
        if inputs.is_empty() || (!options.all && inputs.is_in_order(table, options)) {
            return Ok(None);
        }
        let floor = self.floor_of(branch, table.id())?;
        let mut outputs =
            Outputs::new(self, table.schema(), options.target_bytes, inputs.row_bytes());
        let written = self.write_groups(table, &inputs, floor, &mut outputs);
        if let Err(error) = written {
            outputs.discard();
            return Err(error);
        }
        let mut report = inputs.report();
        report.added_files = outputs.added.len() as u64;
        report.added_bytes = outputs.added.iter().map(|(meta, _)| meta.file.bytes).sum();
        report.history_files = outputs.history.len() as u64;
        let compaction = Compaction {
            branch: branch.to_owned(),
            table: table.id(),
            base: base.commit(),
            deletes: table.version().and_then(|v| v.deletes),
            removed: inputs.segments.iter().map(|s| s.meta.id).collect(),
            ranges: inputs.ranges.clone(),
            added: outputs.added,
            history: outputs.history,
            floor,
            dead: Vec::new(),
        };
        Ok(Some((compaction, report)))
    }

    /// Rows that this branch learnt of at different times keep apart: a file has one `since`.
    fn write_groups(
        &self,
        table: &Table,
        inputs: &Inputs,
        floor: CommitId,
        outputs: &mut Outputs<'_>,
    ) -> Result<()> {
        let ends = Arc::new(ends::Ends::of(table, floor)?);
        for since in inputs.sinces() {
            let merged = inputs.merged(table, &ends, since)?;
            outputs.write(merged, since, floor)?;
        }
        Ok(())
    }

    /// Proposes until it fits; false where the table changed so much that it never will.
    async fn settle(&self, mut compaction: Compaction, mut seen: Arc<Table>) -> Result<bool> {
        let mut alone = None;
        for round in 0.. {
            if round == ROUNDS {
                alone = Some(self.shared.turnstile.write().await);
            }
            self.shared.vfs.point("compact.commit")?;
            let request = Upkeep::Compact(Box::new(compaction.clone()));
            match self.submit(Request::Upkeep(request)).await? {
                Answer::Done(_) | Answer::Noted => break,
                Answer::Stale => {}
            }
            let store = self.clone();
            let again = blocking(move || store.follow(compaction, &seen)).await?;
            let Some(again) = again else { return Ok(false) };
            (compaction, seen) = again;
        }
        drop(alone);
        Ok(true)
    }

    fn floor_of(&self, branch: &str, table: TableId) -> Result<CommitId> {
        let id = self.find_ref(branch)?.map(|target| target.id);
        let floors = self.shared.floors.read();
        Ok(id.and_then(|id| floors.of(id, table)).map_or(CommitId(0), |floor| floor.commit))
    }
}

fn new_files(compaction: &Compaction) -> Vec<SegmentMeta> {
    let added = compaction.added.iter().map(|(meta, _)| meta);
    let history = compaction.history.iter().map(|(meta, _)| meta);
    added.chain(history).map(|meta| meta.as_ref().clone()).collect()
}
