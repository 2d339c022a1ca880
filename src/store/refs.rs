//! Branches and tags, as statements use them.

pub use super::commit::NewRef;
use super::commit::{Answer, RefRequest, Request};
use super::snapshot::Snapshot;
use super::{MAIN, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{ancestry, refs};
use crate::spec::text::{TextOptions, parse_timestamptz};
use crate::spec::{
    CommitId, Ref, RefKind, ReflogAction, ReflogEntry, Retention, TableId, ref_label, table_ref,
};

/// Whether a branch has to move, and may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It is there already.
    UpToDate,
    /// It moved.
    Moved,
}

impl Store {
    /// The branches and tags of the whole database, by name.
    pub fn refs(&self) -> Result<Vec<Ref>> {
        let mut found = self.all_refs()?;
        found.retain(|r| r.table().is_none());
        Ok(found)
    }

    /// Every branch and tag, those of one table too.
    pub fn all_refs(&self) -> Result<Vec<Ref>> {
        refs::list(&self.shared.log.read()?, refs::DATABASE)
    }

    /// The branches and tags of one table alone, by name.
    pub fn refs_of(&self, table: TableId) -> Result<Vec<Ref>> {
        let mut found = self.all_refs()?;
        found.retain(|r| r.table() == Some(table));
        Ok(found)
    }

    /// The branch or tag of the whole database of this name.
    pub fn find_ref(&self, name: &str) -> Result<Option<Ref>> {
        let found = refs::get(&self.shared.log.read()?, refs::DATABASE, name)?;
        Ok(found.filter(|r| r.table().is_none()))
    }

    /// The branch or tag of this full name.
    pub fn ref_of_full_name(&self, name: &str) -> Result<Option<Ref>> {
        refs::get(&self.shared.log.read()?, refs::DATABASE, name)
    }

    /// What a name means to a table, which has to be something.
    ///
    /// # Errors
    /// UndefinedObject.
    pub fn ref_for(&self, table: TableId, label: &str) -> Result<Ref> {
        self.find_ref_of(Some(table), label)?.ok_or_else(|| unknown_ref(label))
    }

    /// What a name means to a table: a ref of its own, else one of the whole database.
    pub fn find_ref_of(&self, table: Option<TableId>, label: &str) -> Result<Option<Ref>> {
        if let Some(table) = table {
            let view = self.shared.log.read()?;
            let own = refs::get(&view, refs::DATABASE, &table_ref(table, label))?;
            if own.is_some() {
                return Ok(own);
            }
        }
        self.find_ref(label)
    }

    /// Whether any table has a branch of this name of its own.
    pub fn is_table_branch(&self, label: &str) -> Result<bool> {
        let own = |r: &Ref| r.table().is_some() && r.label() == label && r.kind == RefKind::Branch;
        Ok(self.all_refs()?.iter().any(own))
    }

    /// Where a ref pointed when, oldest first.
    pub fn reflog(&self, target: &Ref) -> Result<Vec<ReflogEntry>> {
        refs::moves(&self.shared.log.read()?, target.id)
    }

    /// Makes a branch or tag at a commit.
    ///
    /// # Errors
    /// DuplicateObject; InvalidName where the name could be taken for a commit or a time.
    pub async fn create_ref(&self, name: &str, kind: RefKind, at: CommitId) -> Result<()> {
        let retention = Retention::default();
        self.make_ref(NewRef { name: name.to_owned(), kind, at, retention, replace: false }).await
    }

    /// Makes a branch or tag, or moves the one that is there.
    ///
    /// # Errors
    /// As [`Store::create_ref`]; WrongState where one of the name is protected.
    pub async fn make_ref(&self, made: NewRef) -> Result<()> {
        check_name(ref_label(&made.name))?;
        self.submit(Request::Ref(RefRequest::Create(made))).await.map(drop)
    }

    /// Gives a branch another name; the reflog goes with it.
    ///
    /// # Errors
    /// UndefinedObject, DuplicateObject, InvalidName; WrongState for main and protected branches.
    pub async fn rename_ref(&self, name: &str, to: &str) -> Result<()> {
        check_name(ref_label(to))?;
        if name == MAIN {
            return Err(Error::new(ErrorKind::WrongState, "branch \"main\" cannot be renamed"));
        }
        let request = RefRequest::Rename { name: name.to_owned(), to: to.to_owned() };
        self.submit(Request::Ref(request)).await.map(drop)
    }

    /// Protects a branch or tag, or lifts that.
    ///
    /// # Errors
    /// UndefinedObject.
    pub async fn protect_ref(&self, name: &str, protected: bool) -> Result<()> {
        let request = RefRequest::Protect { name: name.to_owned(), protected };
        self.submit(Request::Ref(request)).await.map(drop)
    }

    /// Drops a branch or tag.
    ///
    /// # Errors
    /// UndefinedObject; WrongState for main.
    pub async fn drop_ref(&self, name: &str, kind: RefKind) -> Result<()> {
        if name == MAIN {
            return Err(Error::new(ErrorKind::WrongState, "branch \"main\" cannot be dropped"));
        }
        let request = RefRequest::Drop { name: name.to_owned(), kind, at: None };
        self.submit(Request::Ref(request)).await.map(drop)
    }

    /// Drops a branch or tag that has not moved meanwhile; whether it did so.
    pub(super) async fn drop_unmoved(&self, target: &Ref) -> Result<bool> {
        let Ref { name, kind, commit, .. } = target.clone();
        let request = RefRequest::Drop { name, kind, at: Some(commit) };
        match self.submit(Request::Ref(request)).await {
            Ok(answer) => Ok(!matches!(answer, Answer::Stale)),
            // Somebody else dropped or protected it.
            Err(error)
                if matches!(error.kind(), ErrorKind::UndefinedObject | ErrorKind::WrongState) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Moves a branch forward to a commit that its head lies behind.
    ///
    /// # Errors
    /// WrongState where the head does not lie behind the commit; Conflict where the branch moved
    /// meanwhile.
    pub async fn fast_forward(&self, branch: &str, to: &Snapshot) -> Result<Advance> {
        let head = self.head(branch)?;
        let view = self.shared.log.read()?;
        // Upkeep changes no rows, so it stands in nobody's way.
        let ours = ancestry::content(&view, head.commit())?;
        let theirs = ancestry::content(&view, to.commit())?;
        if ancestry::is_ancestor(&view, theirs, head.commit())? {
            return Ok(Advance::UpToDate);
        }
        if !ancestry::is_ancestor(&view, ours, to.commit())? {
            return Err(Error::new(
                ErrorKind::WrongState,
                format!(
                    "branch \"{}\" has commits that commit {} lacks",
                    ref_label(branch),
                    to.commit()
                ),
            )
            .hint("a fast-forward only adds commits; MERGE BRANCH joins two histories"));
        }
        drop(view);
        self.move_ref(branch, head.commit(), to.commit(), ReflogAction::FastForward).await?;
        Ok(Advance::Moved)
    }

    /// Points a branch at any commit.
    ///
    /// # Errors
    /// Conflict where the branch moved meanwhile.
    pub async fn reset(&self, branch: &str, to: CommitId) -> Result<()> {
        let from = self.head(branch)?.commit();
        self.move_ref(branch, from, to, ReflogAction::Reset).await
    }

    async fn move_ref(
        &self,
        name: &str,
        from: CommitId,
        to: CommitId,
        action: ReflogAction,
    ) -> Result<()> {
        let request = RefRequest::Move { name: name.to_owned(), from, to, action };
        match self.submit(Request::Ref(request)).await? {
            Answer::Done(_) | Answer::Noted => Ok(()),
            Answer::Stale => {
                let message = format!("branch \"{}\" moved meanwhile", ref_label(name));
                Err(Error::new(ErrorKind::Conflict, message).hint("run the statement again"))
            }
        }
    }

    /// The commit whose rows a commit has: itself, or the newest behind it that is not upkeep.
    pub fn content(&self, commit: CommitId) -> Result<CommitId> {
        ancestry::content(&self.shared.log.read()?, commit)
    }

    /// Whether `old` is `new` or lies behind it.
    pub fn is_ancestor(&self, old: CommitId, new: CommitId) -> Result<bool> {
        ancestry::is_ancestor(&self.shared.log.read()?, old, new)
    }
}

/// Names that could be taken for a commit, a time or Iceberg's suffixes are refused, so that no
/// version can mean two things.
fn check_name(name: &str) -> Result<()> {
    let bad = |why: &str| {
        Err(Error::new(
            ErrorKind::InvalidName,
            format!("\"{name}\" cannot name a branch or tag: {why}"),
        )
        .hint("use a word such as audit_a1b2"))
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return bad("it needs 1 to 255 printable characters");
    }
    if digits(name) || name.strip_prefix('v').is_some_and(digits) {
        return bad("it looks like a commit");
    }
    if parse_timestamptz(name.as_bytes(), &TextOptions::default()).is_ok() {
        return bad("it looks like a time");
    }
    if name.starts_with("branch_") || name.starts_with("tag_") {
        return bad("branch_ and tag_ are prefixes of table names");
    }
    if name.eq_ignore_ascii_case("head") || name.contains(['@', '~', '/']) {
        return bad("HEAD, @, ~ and / are part of how versions are written");
    }
    Ok(())
}

/// Of a name that either kind could have.
pub(super) fn unknown_ref(name: &str) -> Error {
    let message = format!("branch or tag \"{name}\" does not exist");
    Error::new(ErrorKind::UndefinedObject, message)
        .hint("SHOW BRANCHES and SHOW TAGS list those that do")
}

pub(super) fn unknown(kind: RefKind, name: &str) -> Error {
    let name = ref_label(name);
    let (word, list) = match kind {
        RefKind::Branch => ("branch", "SHOW BRANCHES"),
        RefKind::Tag => ("tag", "SHOW TAGS"),
    };
    Error::new(ErrorKind::UndefinedObject, format!("{word} \"{name}\" does not exist"))
        .hint(format!("{list} lists those that do"))
}

pub(super) fn exists(name: &str) -> Error {
    let name = ref_label(name);
    Error::new(ErrorKind::DuplicateObject, format!("a branch or tag \"{name}\" already exists"))
        .hint("choose another name, or drop it first")
}

/// A protected ref stays where it is but for what is published to it.
pub fn check_unprotected(target: &Ref, verb: &str) -> Result<()> {
    if !target.protected {
        return Ok(());
    }
    let message = format!("branch \"{}\" is protected and cannot be {verb}", target.label());
    Err(Error::new(ErrorKind::WrongState, message).hint(format!(
        "work on a branch and PUBLISH it, or ALTER BRANCH {} SET UNPROTECTED",
        target.label()
    )))
}
