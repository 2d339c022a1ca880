//! Which rows a table has at one version: segments, ranges of inline batches, and what was deleted.
//!
//! A version is a delta on the version before it, or, now and then, a base: the whole list, cut into
//! pages that bases share. Reading one therefore costs a base and a bounded number of deltas.

use super::codec::{Reader, Writer};
use super::ids::{CommitId, LineId, LinkId, RowId, SchemaId, SegmentId, TableId, VersionId};
use crate::error::Result;

/// One segment of one version of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// The file.
    pub segment: SegmentId,
    /// The `_commit` of its rows, where the file does not store one for each.
    pub commit: CommitId,
    /// When this branch took it over, where that is later than `commit`.
    pub since: Option<CommitId>,
}

/// A segment of which no row lives any more, kept for readers of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetiredEntry {
    /// The segment as it was.
    pub entry: SegmentEntry,
    /// The commit that deleted its last row.
    pub until: CommitId,
}

/// The inline batches of one line that a version holds: those of commits `from ..= to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRange {
    /// The line.
    pub line: LineId,
    /// The first commit whose batches count.
    pub from: CommitId,
    /// The last commit whose batches count.
    pub to: CommitId,
    /// When this branch took them over, where that is later.
    pub since: Option<CommitId>,
}

/// One state of a table, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableVersion {
    /// Its id.
    pub id: VersionId,
    /// The table.
    pub table: TableId,
    /// The shape rows are read in.
    pub schema: SchemaId,
    /// The version that `added` and `removed` change; None where `pages` say it all.
    pub previous: Option<VersionId>,
    /// How many versions lie between this one and its base.
    pub depth: u64,
    /// How many segment changes lie between this one and its base.
    pub drift: u64,
    /// The pages of a base, in order; empty in a delta.
    pub pages: Vec<u64>,
    /// Segments that came since `previous`.
    pub added: Vec<SegmentEntry>,
    /// Segments that went since `previous`.
    pub removed: Vec<SegmentId>,
    /// Segments deleted whole since `previous`.
    pub retired: Vec<RetiredEntry>,
    /// Files of dead rows that upkeep took out of segments, each until its last row was hidden; all of
    /// them, whether this is a base or not.
    pub history: Vec<RetiredEntry>,
    /// Ranges that do not overlap; several of one line where parts of it were taken over at other times.
    pub ranges: Vec<LineRange>,
    /// The tip of the deletion chain.
    pub deletes: Option<LinkId>,
    /// Living rows.
    pub rows: u64,
    /// Segments in all, so that a delta knows when a base pays.
    pub segments: u64,
}

impl TableVersion {
    /// Of no rows, in no record yet: a base without pages.
    pub fn empty(table: TableId, schema: SchemaId) -> TableVersion {
        TableVersion {
            id: VersionId(0),
            table,
            schema,
            previous: None,
            depth: 0,
            drift: 0,
            pages: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            retired: Vec::new(),
            history: Vec::new(),
            ranges: Vec::new(),
            deletes: None,
            rows: 0,
            segments: 0,
        }
    }
}

/// What one commit deleted from one table; links name their parent, so branches share them.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteLink {
    /// The link before it; None at the start of the chain.
    pub parent: Option<LinkId>,
    /// The deleting commit: it hides versions of these rows with a smaller `_commit`.
    pub commit: CommitId,
    /// Rows of inline batches and folded files, ascending.
    pub rows: Vec<RowId>,
    /// Positions in segments: serialised roaring bitmaps, ascending by segment.
    pub positions: Vec<(SegmentId, Vec<u8>)>,
    /// How many links lie between this one and the last union.
    pub depth: u64,
    /// Everything up to and including this link, where it was worth writing down.
    pub union: Option<DeleteUnion>,
}

/// All deletes of a chain up to one link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteUnion {
    /// The greatest deleting commit of each row, ascending by row.
    pub rows: Vec<(RowId, CommitId)>,
    /// All deleted positions, ascending by segment.
    pub positions: Vec<(SegmentId, Vec<u8>)>,
}

impl SegmentEntry {
    fn write(&self, w: &mut Writer) {
        w.u64(self.segment.0);
        w.u64(self.commit.0);
        w.option(self.since, |w, id| w.u64(id.0));
    }

    fn read(r: &mut Reader<'_>) -> Result<SegmentEntry> {
        Ok(SegmentEntry {
            segment: SegmentId(r.u64()?),
            commit: CommitId(r.u64()?),
            since: r.option(Reader::u64)?.map(CommitId),
        })
    }

    /// The record of a page of a base.
    pub fn encode_page(entries: &[SegmentEntry]) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.list(entries, |w, e| e.write(w));
        w.finish()
    }

    /// The entries of a page.
    pub fn decode_page(bytes: &[u8]) -> Result<Vec<SegmentEntry>> {
        Reader::open_version(bytes, "page of segments", 1)?.list(SegmentEntry::read)
    }
}

impl RetiredEntry {
    fn write(&self, w: &mut Writer) {
        self.entry.write(w);
        w.u64(self.until.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<RetiredEntry> {
        Ok(RetiredEntry { entry: SegmentEntry::read(r)?, until: CommitId(r.u64()?) })
    }
}

impl TableVersion {
    /// The record of this version.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.0);
        w.u64(self.table.0);
        w.u64(self.schema.0);
        w.option(self.previous, |w, id| w.u64(id.0));
        w.u64(self.depth);
        w.u64(self.drift);
        w.list(&self.pages, |w, id| w.u64(*id));
        w.list(&self.added, |w, e| e.write(w));
        w.list(&self.removed, |w, id| w.u64(id.0));
        w.list(&self.retired, |w, e| e.write(w));
        w.list(&self.history, |w, e| e.write(w));
        w.list(&self.ranges, |w, range| {
            w.u64(range.line.0);
            w.u64(range.from.0);
            w.u64(range.to.0);
            w.option(range.since, |w, id| w.u64(id.0));
        });
        w.option(self.deletes, |w, id| w.u64(id.0));
        w.u64(self.rows);
        w.u64(self.segments);
        w.finish()
    }

    /// The version of a record.
    pub fn decode(bytes: &[u8]) -> Result<TableVersion> {
        let mut r = Reader::open_version(bytes, "table version", 1)?;
        Ok(TableVersion {
            id: VersionId(r.u64()?),
            table: TableId(r.u64()?),
            schema: SchemaId(r.u64()?),
            previous: r.option(Reader::u64)?.map(VersionId),
            depth: r.u64()?,
            drift: r.u64()?,
            pages: r.list(Reader::u64)?,
            added: r.list(SegmentEntry::read)?,
            removed: r.list(|r| Ok(SegmentId(r.u64()?)))?,
            retired: r.list(RetiredEntry::read)?,
            history: r.list(RetiredEntry::read)?,
            ranges: r.list(|r| {
                Ok(LineRange {
                    line: LineId(r.u64()?),
                    from: CommitId(r.u64()?),
                    to: CommitId(r.u64()?),
                    since: r.option(Reader::u64)?.map(CommitId),
                })
            })?,
            deletes: r.option(Reader::u64)?.map(LinkId),
            rows: r.u64()?,
            segments: r.u64()?,
        })
    }
}

impl DeleteLink {
    /// The record of this link.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.option(self.parent, |w, id| w.u64(id.0));
        w.u64(self.commit.0);
        let mut last = 0;
        w.list(&self.rows, |w, row| {
            w.u64(row.0 - last);
            last = row.0;
        });
        write_positions(&mut w, &self.positions);
        w.u64(self.depth);
        w.option(self.union.as_ref(), |w, union| {
            let mut last = 0;
            w.list(&union.rows, |w, (row, commit)| {
                w.u64(row.0 - last);
                w.u64(commit.0);
                last = row.0;
            });
            write_positions(w, &union.positions);
        });
        w.finish()
    }

    /// The link of a record.
    pub fn decode(bytes: &[u8]) -> Result<DeleteLink> {
        let mut r = Reader::open_version(bytes, "deletion link", 1)?;
        Ok(DeleteLink {
            parent: r.option(Reader::u64)?.map(LinkId),
            commit: CommitId(r.u64()?),
            rows: {
                let mut last = 0;
                r.list(|r| next_row(r, &mut last))?
            },
            positions: read_positions(&mut r)?,
            depth: r.u64()?,
            union: r.option(|r| {
                let mut last = 0;
                let rows = r.list(|r| Ok((next_row(r, &mut last)?, CommitId(r.u64()?))))?;
                Ok(DeleteUnion { rows, positions: read_positions(r)? })
            })?,
        })
    }
}

fn next_row(r: &mut Reader<'_>, last: &mut u64) -> Result<RowId> {
    let step = r.u64()?;
    *last = last.checked_add(step).ok_or_else(|| r.corrupt("holds row ids out of range"))?;
    Ok(RowId(*last))
}

fn write_positions(w: &mut Writer, positions: &[(SegmentId, Vec<u8>)]) {
    w.list(positions, |w, (segment, bitmap)| {
        w.u64(segment.0);
        w.bytes(bitmap);
    });
}

fn read_positions(r: &mut Reader<'_>) -> Result<Vec<(SegmentId, Vec<u8>)>> {
    r.list(|r| Ok((SegmentId(r.u64()?), r.bytes()?.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_versions_come_back() {
        let link = DeleteLink {
            parent: Some(LinkId(3)),
            commit: CommitId(9),
            rows: vec![RowId(0), RowId(7), RowId(u64::MAX)],
            positions: vec![(SegmentId(4), vec![1, 2, 3])],
            depth: 2,
            union: Some(DeleteUnion { rows: vec![(RowId(7), CommitId(9))], positions: vec![] }),
        };
        assert_eq!(DeleteLink::decode(&link.encode()).unwrap(), link);
        let entry = SegmentEntry { segment: SegmentId(1), commit: CommitId(2), since: None };
        let version = TableVersion {
            id: VersionId(5),
            table: TableId(6),
            schema: SchemaId(7),
            previous: Some(VersionId(4)),
            depth: 1,
            drift: 1,
            pages: vec![],
            added: vec![entry],
            removed: vec![SegmentId(8)],
            retired: vec![RetiredEntry { entry, until: CommitId(9) }],
            history: vec![RetiredEntry { entry, until: CommitId(8) }],
            ranges: vec![LineRange {
                line: LineId(1),
                from: CommitId(1),
                to: CommitId(3),
                since: Some(CommitId(4)),
            }],
            deletes: Some(LinkId(2)),
            rows: 10,
            segments: 1,
        };
        assert_eq!(TableVersion::decode(&version.encode()).unwrap(), version);
    }
}
