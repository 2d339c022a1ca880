//! SET, RESET, SHOW, DISCARD, USE BRANCH.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use datafusion::common::ScalarValue;

use super::answer::rows_of;
use super::execute::{done, refuse};
use super::hooks::describe;
use super::settings::unknown;
use super::work::Base;
use super::{Outcome, RowsTag, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{Set, SettingValue, Show, Statement, version_literal};
use crate::plan::time_travel::snapshot_of;
use crate::spec::RefKind;
use crate::store::{MAIN, Relation};

/// Other names of our own settings.
pub(super) fn own_name(name: &str) -> &str {
    match name {
        "asofdb.branch" | "spark.wap.branch" => "branch",
        "asofdb.as_of" => "as_of",
        name => name,
    }
}

impl Session {
    pub(super) fn settings_statement(&mut self, statement: &Statement) -> Result<Outcome> {
        match statement {
            Statement::Set(set) => self.set(set),
            Statement::Reset(Some(name)) => {
                self.assign(own_name(name), None, false)?;
                done("RESET")
            }
            Statement::Reset(None) => {
                self.assign("branch", None, false)?;
                self.settings.lock().reset_all();
                done("RESET")
            }
            Statement::UseBranch(name) => {
                self.assign("branch", Some(name), false)?;
                done("USE")
            }
            Statement::Discard(what) => {
                if matches!(what.as_str(), "all" | "temp" | "temporary") {
                    self.drop_temporary();
                }
                if what == "all" {
                    self.need_no_block("DISCARD ALL")?;
                    self.statements.lock().clear();
                    self.cursors.lock().close_all();
                    self.assign("branch", None, false)?;
                    self.settings.lock().reset_all();
                }
                done(&format!("DISCARD {}", what.to_uppercase()))
            }
            Statement::Show(show) => self.show(show),
            other => Err(refuse(other)),
        }
    }

    fn set(&mut self, set: &Set) -> Result<Outcome> {
        let value = match &set.value {
            SettingValue::Default => None,
            SettingValue::Values(values) => Some(values.join(", ")),
        };
        self.assign(own_name(&set.name), value.as_deref(), set.local)?;
        done("SET")
    }

    pub(super) fn assign(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<()> {
        match name {
            "branch" => match value {
                Some(name) => self.set_branch(name),
                None => self.go_home(),
            },
            "as_of" => self.set_as_of(value.filter(|value| !value.is_empty())),
            "transaction_isolation" | "default_transaction_isolation"
                if value.is_some_and(|v| v.eq_ignore_ascii_case("serializable")) =>
            {
                Err(Error::new(ErrorKind::NotSupported, "isolation level SERIALIZABLE")
                    .hint("REPEATABLE READ, the default, is snapshot isolation"))
            }
            // Its writers believe that main does not show what they write.
            "spark.wap.id" if value.is_some_and(|id| !id.is_empty()) => {
                let id = value.unwrap_or_default();
                let message = format!("writes that are staged under the id \"{id}\"");
                Err(Error::new(ErrorKind::NotSupported, message).hint(format!(
                    "stage them on a branch: CREATE BRANCH {id}; SET spark.wap.branch = '{id}'; \
                     then PUBLISH BRANCH {id}"
                )))
            }
            name if name.starts_with("datafusion.") => self.set_engine(name, value),
            name => self.settings.lock().set(name, value, local).map(drop),
        }
    }

    /// Back to what the connection named: a pool that says DISCARD ALL stays on its branch.
    fn go_home(&mut self) -> Result<()> {
        self.need_no_block("RESET branch")?;
        self.base = self.home.clone();
        let mut settings = self.settings.lock();
        settings.set("as_of", None, false)?;
        settings.set("branch", None, false).map(drop)
    }

    fn set_branch(&mut self, name: &str) -> Result<()> {
        self.need_no_block("SET branch")?;
        let store = self.database.store();
        match store.find_ref(name)? {
            Some(found) if found.kind == RefKind::Branch => {
                self.base = Base::Branch(found.name.clone());
                let mut settings = self.settings.lock();
                settings.set("as_of", None, false)?;
                settings.set("branch", Some(&found.name), false)?;
                Ok(())
            }
            Some(_) => Err(Error::new(ErrorKind::WrongState, format!("\"{name}\" is a tag"))
                .hint(format!("to read it, SET as_of = '{name}'"))),
            None if store.is_table_branch(name)? => {
                self.base = Base::TableBranch(name.into());
                let mut settings = self.settings.lock();
                settings.set("as_of", None, false)?;
                settings.set("branch", Some(name), false).map(drop)
            }
            None => Err(Error::new(
                ErrorKind::UndefinedObject,
                format!("branch \"{name}\" does not exist"),
            )
            .hint("SHOW BRANCHES lists those that do; CREATE BRANCH makes one")),
        }
    }

    /// Reads the past from now on; None goes back to the branch.
    fn set_as_of(&mut self, value: Option<&str>) -> Result<()> {
        self.need_no_block("SET as_of")?;
        let branch = self.settings.lock().get("branch").unwrap_or_else(|| MAIN.to_owned());
        self.base = match (&self.home, self.database.store().find_ref(&branch)?) {
            (Base::Past(_), _) if branch == MAIN => self.home.clone(),
            (_, Some(_)) => Base::Branch(branch),
            (_, None) => Base::TableBranch(branch.into()),
        };
        if let Some(text) = value {
            let reading = self.reading(None)?;
            let spec = version_literal(text);
            let value = ScalarValue::Utf8(Some(text.to_owned()));
            let at = snapshot_of(&reading, &reading.snapshot, None, &spec, &value)?;
            self.notice(format!("reading {}", describe(&at)));
            // A branch named as the past stands still too.
            let store = self.database.store();
            let version = crate::store::Version::Commit(at.commit().0);
            let fixed = match at.reference() {
                Some((_, RefKind::Branch)) => store.resolve(&at, &version)?,
                Some((_, RefKind::Tag)) | None => at,
            };
            self.base = Base::Past(fixed);
        }
        self.settings.lock().set("as_of", value, false).map(drop)
    }

    /// `SET datafusion.x` reaches the engine's options.
    fn set_engine(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let Some(value) = value else {
            return Err(Error::new(ErrorKind::NotSupported, format!("SET {name} TO DEFAULT"))
                .hint("set the value itself"));
        };
        let state = Arc::make_mut(&mut self.state);
        state.config_mut().options_mut().set(name, value).map_err(|error| {
            let error = fault::of_datafusion(error);
            Error::new(ErrorKind::InvalidValue, error.message().to_owned())
        })?;
        Ok(())
    }

    fn show(&mut self, show: &Show) -> Result<Outcome> {
        let texts = |values: Vec<String>| -> ArrayRef {
            Arc::new(StringViewArray::from_iter_values(values))
        };
        let columns: Vec<(String, ArrayRef)> = match show {
            Show::Name(name) => {
                let value = self.shown(own_name(name)).ok_or_else(|| unknown(name))?;
                vec![(name.clone(), texts(vec![value]))]
            }
            Show::All => {
                let all = self.settings.lock().all();
                let column = |f: fn(&crate::plan::pg_catalog::Setting) -> String| {
                    texts(all.iter().map(f).collect())
                };
                vec![
                    ("name".to_owned(), column(|s| s.name.clone())),
                    ("setting".to_owned(), column(|s| s.value.clone())),
                    ("description".to_owned(), column(|s| s.description.clone())),
                ]
            }
            Show::Tables => {
                let mut relations = self.reading(None)?.snapshot.relations()?;
                relations.retain(|relation| !matches!(relation, Relation::Sequence(_)));
                let kind = |r: &Relation| r.word().to_owned();
                vec![
                    ("schema".into(), texts(relations.iter().map(|r| r.name().0.into()).collect())),
                    ("name".into(), texts(relations.iter().map(|r| r.name().1.into()).collect())),
                    ("kind".into(), texts(relations.iter().map(kind).collect())),
                ]
            }
            Show::Schemas => {
                vec![("name".to_owned(), texts(self.reading(None)?.snapshot.namespaces()?))]
            }
            Show::Databases => vec![("name".to_owned(), texts(vec![MAIN.to_owned()]))],
        };
        let batch = RecordBatch::try_from_iter(columns).map_err(fault::of_arrow)?;
        Ok(rows_of(batch, RowsTag::Tagged("SHOW")))
    }

    fn shown(&self, name: &str) -> Option<String> {
        if let Some(option) = name.strip_prefix("datafusion.") {
            let entries = self.state.config_options().entries();
            let full = format!("datafusion.{option}");
            return entries.into_iter().find(|e| e.key == full)?.value;
        }
        match (name, &self.base) {
            ("branch", Base::Branch(branch)) => Some(branch.clone()),
            ("branch", Base::TableBranch(branch)) => Some(branch.to_string()),
            ("transaction_read_only", _) => {
                let read_only = self.work.lock().read_only || matches!(self.base, Base::Past(_));
                Some(if read_only { "on" } else { "off" }.to_owned())
            }
            (name, _) => self.settings.lock().get(name),
        }
    }
}
