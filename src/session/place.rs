//! Where a statement writes: on the session's branch, or on the one that the tables it names say.

use datafusion::sql::sqlparser::ast::{FromTable, TableFactor};

use super::Session;
use super::work::Base;
use crate::command::write::insert_name;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{CommentTarget, Statement, Target, version_of};
use crate::plan::addressed::{snapshot_said, without_branch};
use crate::plan::{Addressed, Reading, SaidBy, addressed};
use crate::spec::{RefKind, ref_label, ref_table};
use crate::store::{Snapshot, Store, TEMPORARY_NAMESPACE, check_unprotected};

/// Where a statement writes.
#[derive(Clone)]
pub(super) struct Place {
    /// What its transaction is of.
    pub base: Base,
    /// Whether it writes temporary tables alone, which are of no branch.
    pub temporary: bool,
}

impl Place {
    fn of(base: Base) -> Place {
        Place { base, temporary: false }
    }

    fn is(&self, other: &Place) -> bool {
        match (&self.base, &other.base) {
            (Base::Branch(one), Base::Branch(other)) => one == other,
            (Base::TableBranch(one), Base::TableBranch(other)) => one == other,
            (Base::Past(one), Base::Past(other)) => {
                one.commit() == other.commit() && one.reference() == other.reference()
            }
            (Base::Branch(_) | Base::TableBranch(_) | Base::Past(_), _) => false,
        }
    }

    /// Whether a transaction that writes `branch` can write here.
    ///
    /// # Errors
    /// ActiveTransaction for another branch; WrongState for a protected one.
    pub fn check(&self, reading: &Reading, branch: &str) -> Result<()> {
        if self.temporary {
            return Ok(());
        }
        match &self.base {
            Base::Branch(name) if name != branch => {
                let (writes, other) = (shown(reading, branch)?, shown(reading, name)?);
                let message = format!("this transaction writes {writes} and cannot write {other}");
                Err(Error::new(ErrorKind::ActiveTransaction, message)
                    .hint("COMMIT first: a transaction writes one branch"))
            }
            Base::Branch(_) | Base::TableBranch(_) | Base::Past(_) => {
                check_protected(reading.snapshot.store(), branch)
            }
        }
    }
}

/// A branch as people know it.
fn shown(reading: &Reading, branch: &str) -> Result<String> {
    let label = ref_label(branch);
    let Some(table) = ref_table(branch) else { return Ok(format!("branch \"{label}\"")) };
    Ok(match reading.snapshot.relation_by_id(table)? {
        Some(table) => format!("branch \"{label}\" of table \"{}\"", table.name().1),
        None => format!("branch \"{label}\" of one table"),
    })
}

/// A protected branch is not written directly.
fn check_protected(store: &Store, branch: &str) -> Result<()> {
    match store.find_ref_of(ref_table(branch), ref_label(branch))? {
        Some(target) => check_unprotected(&target, "written"),
        None => Ok(()),
    }
}

impl Session {
    /// Where a statement writes.
    ///
    /// # Errors
    /// NotSupported where it names tables of several branches; WrongState where the session's branch is
    /// of other tables alone; UndefinedObject and the like for a version that is not there.
    pub(super) fn place_of(&self, reading: &Reading, statement: &Statement) -> Result<Place> {
        if let Statement::UndropTable(Target { version: Some(version), .. }) = statement {
            // The table is not there; the branch is.
            return snapshot_said(reading, &self.state, None, version).map(base_at).map(Place::of);
        }
        let targets = targets(statement)?;
        if targets.is_empty() {
            let temporary = matches!(statement, Statement::CreateTable(c) if c.temporary);
            return self.own_place(temporary);
        }
        self.place_of_all(reading, &targets)
    }

    /// Where a statement writes that writes these.
    ///
    /// # Errors
    /// As [`Session::place_of`].
    pub(super) fn place_of_all(&self, reading: &Reading, targets: &[Target]) -> Result<Place> {
        let mut found: Option<Place> = None;
        let mut temporary = true;
        for target in targets {
            let version = target.version.as_ref();
            let place = match addressed(reading, &self.state, &target.name, version)? {
                Some(addressed) if is_temporary(&addressed) => continue,
                Some(addressed) => self.place_at(reading, addressed)?,
                // What is not there is the statement's to refuse.
                None => Place::of(self.base.clone()),
            };
            temporary = false;
            if found.as_ref().is_some_and(|found| !found.is(&place)) {
                let message = "one statement writes one branch";
                return Err(Error::new(ErrorKind::NotSupported, message)
                    .hint("write the tables of each branch by themselves"));
            }
            found = Some(place);
        }
        found.map_or_else(|| self.own_place(temporary), Ok)
    }

    fn place_at(&self, reading: &Reading, found: Addressed) -> Result<Place> {
        if found.said_by == SaidBy::Nobody {
            return match &reading.table_branch {
                Some(branch) => Err(without_branch(found.relation.name().1, branch)),
                None => Ok(Place::of(self.base.clone())),
            };
        }
        Ok(Place::of(base_at(found.at)))
    }

    fn own_place(&self, temporary: bool) -> Result<Place> {
        match &self.base {
            Base::TableBranch(branch) if !temporary => Err(Error::new(
                ErrorKind::WrongState,
                format!("branch \"{branch}\" is of some tables alone"),
            )
            .hint("RESET branch before a statement about other tables")),
            base => Ok(Place { base: base.clone(), temporary }),
        }
    }
}

fn base_at(at: Snapshot) -> Base {
    match at.reference() {
        Some((branch, RefKind::Branch)) => Base::Branch(branch.to_owned()),
        Some((_, RefKind::Tag)) | None => Base::Past(at),
    }
}

fn is_temporary(found: &Addressed) -> bool {
    found.relation.name().0 == TEMPORARY_NAMESPACE
}

/// Whether a statement that names what it writes reads nothing but what is there, too.
pub(super) fn reads_where_it_writes(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::RestoreTable(_)
            | Statement::UndropTable(_)
            | Statement::AlterTable(_)
            | Statement::AlterObject(_)
            | Statement::CreateIndex(_)
            | Statement::Comment(_)
            | Statement::Drop(_)
    )
}

/// The tables, views and sequences that a statement changes, as it names them.
fn targets(statement: &Statement) -> Result<Vec<Target>> {
    Ok(match statement {
        Statement::Insert(insert) => {
            let name = insert_name(&insert.insert)?.clone();
            vec![Target { name, version: insert.version.clone() }]
        }
        Statement::Update(update) => of_factor(Some(&update.update.table.relation))?,
        Statement::Merge(merge) => of_factor(Some(&merge.merge.table))?,
        Statement::Delete(delete) => {
            let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                &delete.delete.from;
            of_factor(from.first().map(|first| &first.relation))?
        }
        Statement::With(with) => {
            let mut all = targets(&with.main)?;
            for part in &with.parts {
                all.extend(targets(&part.statement)?);
            }
            all
        }
        Statement::RestoreTable(restore) => vec![restore.table.clone()],
        Statement::Truncate(truncate) => truncate.tables.clone(),
        Statement::AlterTable(alter) => {
            vec![Target { name: alter.name.clone(), version: alter.version.clone() }]
        }
        Statement::AlterObject(alter) => vec![alter.object.clone()],
        Statement::CreateIndex(index) => vec![index.table.clone()],
        Statement::Drop(drop) if drop.kind.has_versions() => drop.names.clone(),
        Statement::Comment(comment) => match &comment.target {
            CommentTarget::Column(table, _) => vec![table.clone()],
            CommentTarget::Object(kind, object) if kind.has_versions() => vec![object.clone()],
            CommentTarget::Object(..) => Vec::new(),
        },
        // What they make has no version yet.
        _ => Vec::new(),
    })
}

fn of_factor(factor: Option<&TableFactor>) -> Result<Vec<Target>> {
    Ok(match factor {
        Some(factor @ TableFactor::Table { name, .. }) => {
            vec![Target { name: name.clone(), version: version_of(factor)? }]
        }
        _ => Vec::new(),
    })
}
