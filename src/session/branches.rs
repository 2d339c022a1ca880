//! Statements about branches and tags.

use super::answer::rows_of;
use super::execute::{Parameters, done, refuse};
use super::{Outcome, RowsTag, Session};
use crate::command::{call, merge, publish, refs, table_refs};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{AlterOperation, AlterTable, Statement};
use crate::plan::time_travel::name_parts;
use crate::spec::table_ref;

/// Whether an ALTER TABLE is only about the table's own branches and tags.
pub(super) fn is_about_refs(alter: &AlterTable) -> bool {
    let about = |operation: &AlterOperation| {
        matches!(operation, AlterOperation::CreateRef(_) | AlterOperation::DropRef { .. })
    };
    alter.operations.iter().all(about)
}

/// Whether a statement is about branches and tags of the whole database.
pub(super) fn changes_refs(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateRef(_)
            | Statement::DropRef { .. }
            | Statement::PublishBranch(_)
            | Statement::MergeBranch(_)
            | Statement::FastForward { .. }
            | Statement::RenameBranch { .. }
            | Statement::ProtectBranch { .. }
            | Statement::RollbackBranch(_)
    )
}

impl Session {
    pub(super) async fn change_refs(
        &mut self,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<Outcome> {
        self.need_no_transaction("a change of branches or tags")?;
        let reading = self.reading(parameters)?;
        match statement {
            Statement::CreateRef(create) => {
                let made = refs::create(&reading, &self.state, create).await?;
                self.say_made(create.tag, &create.name, made);
                done(&format!("CREATE {}", word(create.tag)))
            }
            Statement::DropRef { tag, name, if_exists } => {
                let dropped = refs::drop(&reading, *tag, name, *if_exists).await?;
                self.say_dropped(*tag, name, dropped);
                done(&format!("DROP {}", word(*tag)))
            }
            Statement::RenameBranch { branch, to, table } => {
                match table {
                    Some(table) => table_refs::rename(&reading, table, branch, to).await?,
                    None => refs::rename(&reading, branch, to).await?,
                }
                done("ALTER BRANCH")
            }
            Statement::ProtectBranch { branch, protected, table } => {
                let name = match table {
                    Some(table) => table_ref(table_refs::table_of(&reading, table)?, branch),
                    None => branch.clone(),
                };
                reading.snapshot.store().protect_ref(&name, *protected).await?;
                done("ALTER BRANCH")
            }
            Statement::PublishBranch(publish) => {
                let (reading, _bounds) = self.bounded(&reading)?;
                publish::publish(&reading, &self.state, publish, &self.commit_options()).await?;
                done("PUBLISH BRANCH")
            }
            Statement::MergeBranch(merge) if merge.dry_run => {
                let (reading, _bounds) = self.bounded(&reading)?;
                let told = merge::dry_run(&reading, &self.state, merge).await?;
                Ok(rows_of(told, RowsTag::Tagged("BRANCH MERGED")))
            }
            Statement::MergeBranch(merge) => {
                let options = self.commit_options();
                let joined = merge::merge(&reading, &self.state, merge, &options).await?;
                if joined.decided > 0 {
                    self.notice(format!("conflicts decided: {}", joined.decided));
                }
                // Of a tag that begins with MERGE libpq wants a count of rows.
                done("BRANCH MERGED")
            }
            Statement::FastForward { branch, to, table } => {
                match table {
                    Some(table) => {
                        let (name, options) = (name_parts(table)?.join("."), self.commit_options());
                        call::forward_table(&reading, &options, &name, (branch, to)).await?;
                    }
                    None => _ = refs::fast_forward(&reading, branch, to).await?,
                }
                done("ALTER BRANCH")
            }
            Statement::RollbackBranch(roll_back) => {
                refs::roll_back(&reading, &self.state, &roll_back.branch, &roll_back.to).await?;
                done("ROLLBACK BRANCH")
            }
            other => Err(refuse(other)),
        }
    }

    /// ALTER TABLE t CREATE / DROP BRANCH / TAG.
    pub(super) async fn change_table_refs(
        &mut self,
        alter: &AlterTable,
        parameters: Parameters,
    ) -> Result<Outcome> {
        self.need_no_transaction("a change of branches or tags")?;
        if alter.version.is_some() {
            let message = "branches and tags are of a table, not of one of its versions";
            return Err(Error::new(ErrorKind::NotSupported, message)
                .hint("say where it starts behind its name: CREATE BRANCH b AT BRANCH a"));
        }
        for operation in &alter.operations {
            let reading = self.reading(parameters.clone())?;
            match operation {
                AlterOperation::CreateRef(create) => {
                    let made =
                        table_refs::create(&reading, &self.state, &alter.name, create).await?;
                    self.say_made(create.tag, &create.name, made);
                }
                AlterOperation::DropRef { tag, name, if_exists } => {
                    let dropped =
                        table_refs::drop(&reading, &alter.name, *tag, name, *if_exists).await?;
                    self.say_dropped(*tag, name, dropped);
                }
                _ => unreachable!("asked for statements about refs alone"),
            }
        }
        done("ALTER TABLE")
    }

    fn say_made(&mut self, tag: bool, name: &str, made: bool) {
        if !made {
            let what = word(tag).to_lowercase();
            self.notice(format!("{what} \"{name}\" already exists, skipping"));
        }
    }

    fn say_dropped(&mut self, tag: bool, name: &str, dropped: bool) {
        if !dropped {
            let what = word(tag).to_lowercase();
            self.notice(format!("{what} \"{name}\" does not exist, skipping"));
        }
    }
}

fn word(tag: bool) -> &'static str {
    if tag { "TAG" } else { "BRANCH" }
}
