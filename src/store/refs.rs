//! Branches and tags, as statements use them.

use super::commit::{Answer, RefRequest, Request};
use super::snapshot::Snapshot;
use super::{MAIN, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{ancestry, refs};
use crate::spec::text::{TextOptions, parse_timestamptz};
use crate::spec::{CommitId, Ref, RefKind, ReflogAction, ReflogEntry};

/// Whether a branch has to move, and may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It is there already.
    UpToDate,
    /// It moved.
    Moved,
}

impl Store {
    /// All branches and tags, by name.
    pub fn refs(&self) -> Result<Vec<Ref>> {
        refs::list(&self.shared.log.read()?, refs::DATABASE)
    }

    /// The branch or tag of this name.
    pub fn find_ref(&self, name: &str) -> Result<Option<Ref>> {
        refs::get(&self.shared.log.read()?, refs::DATABASE, name)
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
        check_name(name)?;
        let request = RefRequest::Create { name: name.to_owned(), kind, at };
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
        let request = RefRequest::Drop { name: name.to_owned(), kind };
        self.submit(Request::Ref(request)).await.map(drop)
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
                format!("branch \"{branch}\" has commits that commit {} lacks", to.commit()),
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
                Err(Error::new(ErrorKind::Conflict, format!("branch \"{name}\" moved meanwhile"))
                    .hint("run the statement again"))
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

pub(super) fn unknown(kind: RefKind, name: &str) -> Error {
    let (word, list) = match kind {
        RefKind::Branch => ("branch", "SHOW BRANCHES"),
        RefKind::Tag => ("tag", "SHOW TAGS"),
    };
    Error::new(ErrorKind::UndefinedObject, format!("{word} \"{name}\" does not exist"))
        .hint(format!("{list} lists those that do"))
}

pub(super) fn exists(name: &str) -> Error {
    Error::new(ErrorKind::DuplicateObject, format!("a branch or tag \"{name}\" already exists"))
        .hint("choose another name, or drop it first")
}
