//! Branches, tags, going back, and what happened: the statements about versions themselves.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::alter::{AlterOperation, AlterTable};
use super::grammar::Grammar;
use super::query::version_literal;
use super::statement::{Statement, Target};
use super::version::{Slot, TableVersionSpec};
use crate::error::{Error, ErrorKind, Result};

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
    /// IN TABLE t: of this table alone.
    pub table: Option<ast::ObjectName>,
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
    /// IN TABLE t: only this table's changes, and its own branches first.
    pub table: Option<ast::ObjectName>,
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
    /// IN TABLE t: only this table's changes, and its own branches first.
    pub table: Option<ast::ObjectName>,
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

/// ROLLBACK BRANCH, RESET BRANCH, ASSIGN BRANCH.
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
    /// `SHOW LOG [branch] [IN TABLE t] [LIMIT n]`.
    Log { branch: Option<String>, table: Option<Target>, limit: Option<u64> },
    /// DESCRIBE HISTORY t [LIMIT n].
    Table { table: Target, limit: Option<u64> },
}

/// The branch that a database begins with.
const MAIN: &str = "main";

impl Grammar<'_> {
    /// What follows CREATE [OR REPLACE]: BRANCH or TAG, a name, and where it starts.
    pub(super) fn created_ref(&mut self, or_replace: bool) -> Result<CreateRef> {
        let tag = self.expects_one(&["BRANCH", "TAG"])? == "TAG";
        let if_not_exists = self.accepts("IF NOT EXISTS");
        let name = self.name_or_string()?;
        let table = self.ref_table()?;
        let from = self.ref_start()?;
        let retain = self.retain()?;
        Ok(CreateRef { tag, name, or_replace, if_not_exists, from, retain, table })
    }

    /// IN TABLE t.
    pub(super) fn ref_table(&mut self) -> Result<Option<ast::ObjectName>> {
        match self.accepts("IN TABLE") {
            true => self.object().map(Some),
            false => Ok(None),
        }
    }

    /// CREATE BRANCH b IN TABLE t is ALTER TABLE t CREATE BRANCH b.
    pub(super) fn ref_statement(mut created: CreateRef) -> Statement {
        match created.table.take() {
            Some(name) => {
                let operations = vec![AlterOperation::CreateRef(Box::new(created))];
                let (version, if_exists) = (None, false);
                let alter = AlterTable { name, version, if_exists, operations };
                Statement::AlterTable(Box::new(alter))
            }
            None => Statement::CreateRef(Box::new(created)),
        }
    }

    /// `FROM ref [version]`, or a version alone.
    fn ref_start(&mut self) -> Result<Option<TableVersionSpec>> {
        if !self.accepts("FROM") {
            return self.version();
        }
        let start = self.named_version()?;
        Ok(Some(match self.version()? {
            None => start,
            Some(at) if at.within.is_none() => TableVersionSpec { within: Some(start.value), ..at },
            Some(_) => return Err(self.unexpected()),
        }))
    }

    /// A ref's name, a string or a commit's number.
    fn named_version(&mut self) -> Result<TableVersionSpec> {
        if matches!(self.parser.peek_token_ref().token, Token::Word(_)) {
            self.accepts_one_of_kinds();
            let name = version_literal(&self.name_or_string()?);
            return Ok(TableVersionSpec { slot: Slot::Ref, ..name });
        }
        let value = self.constant()?;
        Ok(TableVersionSpec { slot: Slot::Version, value, before: false, within: None })
    }

    /// BRANCH or TAG before a name says nothing that the name does not.
    fn accepts_one_of_kinds(&mut self) {
        if matches!(self.parser.peek_nth_token_ref(1).token, Token::Word(_))
            && !self.sees_end_word()
        {
            _ = self.accepts("BRANCH") || self.accepts("TAG");
        }
    }

    fn sees_end_word(&self) -> bool {
        ["RETAIN", "AT", "AS", "FOR", "VERSION", "TIMESTAMP", "WITH"]
            .iter()
            .any(|end| self.word(1).is_some_and(|word| word.eq_ignore_ascii_case(end)))
    }

    /// RETAIN 7 DAYS, RETAIN '7 days', WITH SNAPSHOT RETENTION 5 SNAPSHOTS 2 DAYS.
    fn retain(&mut self) -> Result<Option<Retain>> {
        let mut retain = Retain::default();
        if self.accepts("RETAIN") {
            retain.age_us = Some(self.age()?);
        }
        if self.accepts("WITH SNAPSHOT RETENTION") {
            match self.word(1).is_some_and(|word| word.eq_ignore_ascii_case("SNAPSHOTS")) {
                true => {
                    retain.commits = Some(self.count()?);
                    self.expects("SNAPSHOTS")?;
                    if !self.at_end() {
                        retain.commits_age_us = Some(self.age()?);
                    }
                }
                false => retain.commits_age_us = Some(self.age()?),
            }
        }
        Ok((retain != Retain::default()).then_some(retain))
    }

    /// `7 DAYS`, `'7 days'`, `INTERVAL '7 days'`: in µs.
    fn age(&mut self) -> Result<i64> {
        self.accepts("INTERVAL");
        let position = self.position();
        let words = match self.sees_string() {
            true => self.string()?,
            false => format!("{} {}", self.count()?, self.name()?),
        };
        age_us(&words).ok_or_else(|| {
            Error::new(ErrorKind::InvalidValue, format!("\"{words}\" is not an age"))
                .at(position)
                .hint("for example: 7 DAYS, 12 HOURS, 30 MINUTES")
        })
    }

    fn sees_string(&self) -> bool {
        matches!(self.parser.peek_token_ref().token, Token::SingleQuotedString(_))
    }

    /// BRANCH b, TAG t, after DROP: whether a tag, the name, and IF EXISTS.
    pub(super) fn dropped_ref(&mut self) -> Result<(bool, String, bool)> {
        let tag = self.expects_one(&["BRANCH", "TAG"])? == "TAG";
        let if_exists = self.accepts("IF EXISTS");
        Ok((tag, self.name_or_string()?, if_exists))
    }

    /// MERGE BRANCH, PUBLISH BRANCH, RESTORE, ROLLBACK / RESET / ASSIGN BRANCH, UNDROP, USE.
    pub(super) fn about_refs(&mut self) -> Result<Statement> {
        if self.accepts("MERGE BRANCH") {
            return self.merge_branch().map(Statement::MergeBranch);
        }
        if self.accepts("PUBLISH") {
            self.accepts("BRANCH");
            return self.publish_branch();
        }
        let moves = ["ROLLBACK BRANCH", "RESET BRANCH", "ASSIGN BRANCH"];
        if moves.iter().any(|words| self.accepts(words)) {
            let branch = self.name_or_string()?;
            let to = self.destination()?;
            return Ok(Statement::RollbackBranch(Box::new(RollbackBranch { branch, to })));
        }
        if self.accepts("RESTORE") {
            self.accepts("TABLE");
            let table = self.target()?;
            let to = self.destination()?;
            return Ok(Statement::RestoreTable(Box::new(RestoreTable { table, to })));
        }
        if self.accepts("UNDROP") {
            self.expects("TABLE")?;
            return self.target().map(Statement::UndropTable);
        }
        if self.accepts("USE") {
            self.expects("BRANCH")?;
            return self.name_or_string().map(Statement::UseBranch);
        }
        self.expects("REPLACE")?;
        self.created_ref(true).map(Self::ref_statement)
    }

    /// TO [VERSION AS OF] x: a version, a ref, a number.
    fn destination(&mut self) -> Result<TableVersionSpec> {
        if !self.accepts("TO") && self.at_end() {
            return Err(self.unexpected());
        }
        match self.version()? {
            Some(version) => Ok(version),
            None => self.named_version(),
        }
    }

    fn merge_branch(&mut self) -> Result<MergeBranch> {
        let from = self.name_or_string()?;
        let table = self.ref_table()?;
        let into = match self.accepts("INTO") {
            true => self.name_or_string()?,
            false => MAIN.to_owned(),
        };
        let mut on_conflict = OnConflict::Fail;
        if self.accepts("WHEN CONFLICT") {
            on_conflict = match self.expects_one(&["FAIL", "OURS", "THEIRS"])? {
                "OURS" => OnConflict::Ours,
                "THEIRS" => OnConflict::Theirs,
                _ => OnConflict::Fail,
            };
        }
        Ok(MergeBranch { from, into, table, on_conflict, dry_run: self.accepts("DRY RUN") })
    }

    fn publish_branch(&mut self) -> Result<Statement> {
        let branch = self.name_or_string()?;
        let table = self.ref_table()?;
        let (into, expect, checks) = (MAIN.to_owned(), None, Vec::new());
        let mut publish = PublishBranch { branch, into, table, expect, checks };
        if self.accepts("INTO") {
            publish.into = self.name_or_string()?;
        }
        if self.accepts("EXPECT") {
            publish.expect = Some(self.count()?);
        }
        while self.accepts("CHECK") {
            self.expects_sign(&Token::LParen)?;
            publish.checks.push(self.with_text(Self::query)?);
            self.expects_sign(&Token::RParen)?;
            self.accepts_sign(&Token::Comma);
        }
        Ok(Statement::PublishBranch(Box::new(publish)))
    }

    /// ALTER BRANCH b, with ALTER BRANCH read.
    pub(super) fn alter_branch(&mut self) -> Result<Statement> {
        let branch = self.name_or_string()?;
        let table = self.ref_table()?;
        if self.accepts("RENAME TO") {
            return Ok(Statement::RenameBranch { branch, to: self.name_or_string()?, table });
        }
        if self.accepts("SET") {
            let protected = self.expects_one(&["PROTECTED", "UNPROTECTED"])? == "PROTECTED";
            return Ok(Statement::ProtectBranch { branch, protected, table });
        }
        self.expects("FAST FORWARD")?;
        self.accepts("TO");
        Ok(Statement::FastForward { branch, to: self.name_or_string()?, table })
    }

    /// DESCRIBE HISTORY t, DESCRIBE t.
    pub(super) fn describe(&mut self) -> Result<Statement> {
        self.expects_one(&["DESCRIBE", "DESC"])?;
        if self.sees("HISTORY") && matches!(self.parser.peek_nth_token_ref(1).token, Token::Word(_))
        {
            self.expects("HISTORY")?;
            self.accepts("TABLE");
            let table = self.target()?;
            let limit = self.limit()?;
            return Ok(Statement::History(History::Table { table, limit }));
        }
        if matches!(self.parser.peek_nth_token_ref(1).token, Token::Word(_)) {
            self.accepts("TABLE");
        }
        self.target().map(Statement::Describe)
    }

    fn limit(&mut self) -> Result<Option<u64>> {
        match self.accepts("LIMIT") {
            true => self.count().map(Some),
            false => Ok(None),
        }
    }

    /// BRANCHES, TAGS, LOG after SHOW.
    pub(super) fn show_history(&mut self) -> Result<Option<History>> {
        Ok(Some(match () {
            _ if self.accepts("BRANCHES") => History::Branches(self.in_table()?),
            _ if self.accepts("TAGS") => History::Tags(self.in_table()?),
            _ if self.accepts("LOG") => {
                let named = !self.at_end() && !self.sees("LIMIT") && !self.sees("IN");
                let branch = if named { Some(self.name_or_string()?) } else { None };
                History::Log { branch, table: self.in_table()?, limit: self.limit()? }
            }
            _ => return Ok(None),
        }))
    }

    fn in_table(&mut self) -> Result<Option<Target>> {
        match self.accepts("IN TABLE") || self.accepts("FROM") || self.accepts("IN") {
            true => self.target().map(Some),
            false => Ok(None),
        }
    }
}

/// `7 days` in µs.
fn age_us(words: &str) -> Option<i64> {
    let mut words = words.split_whitespace();
    let mut total = 0_i64;
    while let Some(count) = words.next() {
        let count: i64 = count.parse().ok()?;
        let unit = words.next()?.to_ascii_lowercase();
        let seconds = match unit.trim_end_matches('s') {
            "week" => 7 * 24 * 3600,
            "day" => 24 * 3600,
            "hour" => 3600,
            "minute" | "min" => 60,
            "second" | "sec" => 1,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(seconds)?.checked_mul(1_000_000)?)?;
    }
    (total > 0).then_some(total)
}
