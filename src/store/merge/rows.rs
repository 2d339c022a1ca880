//! Row by row: whose version stands.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::diff::{Diff, Version, of_row};
use super::fetch::rows_at;
use super::{Conflict, Pick, Prefer};
use crate::error::Result;
use crate::spec::text::value_text;
use crate::spec::{ColumnId, RowId, TableSchema};
use crate::store::keys::enforced_key;
use crate::store::table::Table;

/// One row that either side changed: its version in each state, None where the state lacks it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub base: Option<Version>,
    pub ours: Option<Version>,
    pub theirs: Option<Version>,
    pub pick: Pick,
    /// Whether another base than the newest said what it was.
    pub rebased: bool,
    /// Both states show one version, and only where theirs has it does it have all of its columns.
    pub short: bool,
}

impl Row {
    /// A row that no state has.
    pub fn none() -> Row {
        let pick = Pick::Ours;
        Row { base: None, ours: None, theirs: None, pick, rebased: false, short: false }
    }

    /// Its version on one side.
    pub fn of(&self, side: Pick) -> Option<Version> {
        match side {
            Pick::Ours => self.ours,
            Pick::Theirs => self.theirs,
        }
    }

    /// Whether both states show the same version, and it does not matter where it is read.
    pub fn is_agreed(&self) -> bool {
        !self.short && self.ours.map(|v| v.name()) == self.theirs.map(|v| v.name())
    }
}

/// Whether two states show different versions of a row.
pub(super) fn is_changed(one: Option<Version>, other: Option<Version>) -> bool {
    one.map(|version| version.commit) != other.map(|version| version.commit)
}

/// The three states of one table.
pub(super) struct Sides<'a> {
    pub base: &'a Table,
    pub ours: &'a Table,
    pub theirs: &'a Table,
    /// The shape that rows will have.
    pub schema: &'a Arc<TableSchema>,
}

/// Every row that a side changed, ascending, and those of them that both changed in different ways.
pub(super) fn decide(ours: &Diff, theirs: &Diff) -> (Vec<Row>, Vec<usize>) {
    let mut ids: Vec<RowId> = [&ours.gone, &ours.came, &theirs.gone, &theirs.came]
        .into_iter()
        .flatten()
        .map(|version| version.row)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut contested = Vec::new();
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        let (our_base, their_base) = (of_row(&ours.gone, id), of_row(&theirs.gone, id));
        let base = our_base.or(their_base);
        let side = |diff: &Diff, gone: Option<Version>| match of_row(&diff.came, id) {
            Some(version) => Some(version),
            None if gone.is_some() => None,
            None => of_row(&diff.moved, id).or(base),
        };
        let row = Row {
            base,
            ours: side(ours, our_base),
            theirs: side(theirs, their_base),
            pick: Pick::Ours,
            rebased: false,
            short: false,
        };
        let touched = |diff: &Diff| of_row(&diff.gone, id).or(of_row(&diff.came, id)).is_some();
        let pick = match (touched(ours), touched(theirs)) {
            (false, true) => Pick::Theirs,
            _ => Pick::Ours,
        };
        if touched(ours) && touched(theirs) && !row.is_agreed() {
            contested.push(rows.len());
        }
        rows.push(Row { pick, ..row });
    }
    (rows, contested)
}

/// Settles rows that both sides have other versions of. By their values: the same change is one change,
/// a value that is the base's again is none; the rest is a conflict.
pub(super) fn settle(
    sides: &Sides<'_>,
    rows: &mut [Row],
    contested: &[usize],
    prefer: Prefer,
) -> Result<Vec<Conflict>> {
    let picked = |i: &usize| &rows[*i];
    let base = Shown::of(sides.base, sides.schema, contested.iter().map(|i| picked(i).base))?;
    let ours = Shown::of(sides.ours, sides.schema, contested.iter().map(|i| picked(i).ours))?;
    let theirs = Shown::of(sides.theirs, sides.schema, contested.iter().map(|i| picked(i).theirs))?;
    let mut conflicts = Vec::new();
    for (at, i) in contested.iter().enumerate() {
        let (before, mine, other) = (base.values(at), ours.values(at), theirs.values(at));
        let rebased = rows[*i].rebased;
        if mine == other || (before == other && !rebased) {
            continue;
        }
        if before == mine && !rebased {
            rows[*i].pick = Pick::Theirs;
            continue;
        }
        rows[*i].pick = prefer.pick();
        let known = [&ours, &theirs, &base].into_iter().find_map(|side| side.key(at));
        conflicts.push(Conflict {
            relation: sides.ours.schema().name.clone(),
            key: known.unwrap_or_default(),
            base: base.row(at),
            ours: ours.row(at),
            theirs: theirs.row(at),
            why: "the row was changed on both sides".to_owned(),
            settled: prefer.settled(),
        });
    }
    Ok(conflicts)
}

/// Rows as people read them: `(1, a, NULL)`.
pub(super) struct Shown {
    /// Which row of the batch, where the side has the row.
    at: Vec<Option<usize>>,
    /// The columns of `schema`.
    batch: RecordBatch,
    schema: Arc<TableSchema>,
    key: Vec<usize>,
}

impl Shown {
    /// Rows of one state; None where it lacks the row.
    pub fn of(
        table: &Table,
        schema: &Arc<TableSchema>,
        versions: impl Iterator<Item = Option<Version>>,
    ) -> Result<Shown> {
        let mut wanted = Vec::new();
        let mut at = Vec::new();
        for version in versions {
            at.push(version.map(|version| {
                wanted.push(version);
                wanted.len() - 1
            }));
        }
        let columns: Vec<ColumnId> = schema.columns.iter().map(|column| column.id).collect();
        let batch = rows_at(table, schema, &columns, &wanted)?;
        let key = enforced_key(schema).map_or(&[][..], |(columns, _)| columns);
        let key = key.iter().filter_map(|id| schema.position(*id)).collect();
        Ok(Shown { at, batch, schema: Arc::clone(schema), key })
    }

    /// The whole row.
    pub fn row(&self, i: usize) -> Option<String> {
        self.values(i).map(|values| in_brackets(&values))
    }

    /// The row's values, as text; None for NULL.
    pub fn values(&self, i: usize) -> Option<Vec<Option<String>>> {
        let row = self.at[i]?;
        Some((0..self.batch.num_columns()).map(|column| self.value(row, column)).collect())
    }

    /// Its primary key; None where the table has none.
    pub fn key(&self, i: usize) -> Option<String> {
        let row = self.at[i].filter(|_| !self.key.is_empty())?;
        let values: Vec<_> = self.key.iter().map(|column| self.value(row, *column)).collect();
        Some(in_brackets(&values))
    }

    fn value(&self, row: usize, column: usize) -> Option<String> {
        let (data_type, values) =
            (&self.schema.columns[column].data_type, self.batch.column(column));
        value_text(data_type, values.as_ref(), row).expect("rows come in their columns' types")
    }
}

fn in_brackets(values: &[Option<String>]) -> String {
    let texts: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
    format!("({})", texts.join(", "))
}
