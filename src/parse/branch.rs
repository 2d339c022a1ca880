//! Branches, tags, going back, and what happened: the statements about versions themselves.

use datafusion::sql::sqlparser::ast;

use super::statement::Target;
use super::version::TableVersionSpec;

/// CREATE BRANCH, CREATE TAG.
#[derive(Clone, Debug)]
pub struct CreateRef {
    /// A tag rather than a branch.
    pub tag: bool,
    /// Folded.
    pub name: String,
    /// CREATE OR REPLACE, REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// FROM ref, AT (…), AS OF …; None: the session's head.
    pub from: Option<TableVersionSpec>,
    /// RETAIN.
    pub retain: Option<Retain>,
}

/// How long a ref is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    /// RETAIN: the ref's age in µs, after which it goes.
    pub age_us: Option<i64>,
    /// WITH SNAPSHOT RETENTION n SNAPSHOTS.
    pub commits: Option<u64>,
    /// WITH SNAPSHOT RETENTION … n DAYS, in µs.
    pub commits_age_us: Option<i64>,
}

/// MERGE BRANCH from INTO into.
#[derive(Clone, Debug)]
pub struct MergeBranch {
    /// Whose commits.
    pub from: String,
    /// Which branch moves.
    pub into: String,
    /// WHEN CONFLICT.
    pub on_conflict: OnConflict,
    /// DRY RUN: say what would happen.
    pub dry_run: bool,
}

/// WHEN CONFLICT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse.
    #[default]
    Fail,
    /// Keep the rows of the branch merged into.
    Ours,
    /// Take the rows of the branch merged.
    Theirs,
}

/// PUBLISH BRANCH.
#[derive(Clone, Debug)]
pub struct PublishBranch {
    /// Whose commits.
    pub branch: String,
    /// INTO; main where not said.
    pub into: String,
    /// EXPECT n: the commit that was audited.
    pub expect: Option<u64>,
    /// CHECK (SELECT …): each must answer true; the tree and its text.
    pub checks: Vec<(Box<ast::Query>, String)>,
}

/// RESTORE TABLE.
#[derive(Clone, Debug)]
pub struct RestoreTable {
    /// The table, on this branch.
    pub table: Target,
    /// To its state at.
    pub to: TableVersionSpec,
}

/// ROLLBACK BRANCH.
#[derive(Clone, Debug)]
pub struct RollbackBranch {
    /// The branch.
    pub branch: String,
    /// To its state at.
    pub to: TableVersionSpec,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum History {
    /// SHOW BRANCHES [IN TABLE t].
    Branches(Option<Target>),
    /// SHOW TAGS [IN TABLE t].
    Tags(Option<Target>),
    /// SHOW LOG [branch] [LIMIT n].
    Log { branch: Option<String>, limit: Option<u64> },
    /// DESCRIBE HISTORY t [LIMIT n].
    Table { table: Target, limit: Option<u64> },
}
