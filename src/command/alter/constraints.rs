//! Constraints that come, go and change their names.

use super::{Alteration, undefined_column};
use crate::command::constraint;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{Check, KeySpec};
use crate::spec::TableSchema;

impl Alteration<'_, '_> {
    /// ADD PRIMARY KEY.
    pub(super) async fn add_primary_key(&mut self, key: &KeySpec) -> Result<()> {
        self.need_columns(key)?;
        let mut schema = self.schema().as_ref().clone();
        constraint::add_primary_key(&mut schema, key)?;
        for column in &key.columns {
            self.verify().not_null(column).await?;
        }
        if let Some(enforced) = schema.enforced_keys().first().filter(|_| key.enforced) {
            self.verify().unique(&schema, *enforced).await?;
        }
        if schema.cluster_by.is_empty()
            && let Some(key) = &schema.primary_key
        {
            schema.cluster_by.clone_from(&key.columns);
        }
        self.change(true, |next| {
            *next = schema;
            Ok(())
        })
    }

    /// ADD UNIQUE.
    pub(super) async fn add_unique(&mut self, key: &KeySpec) -> Result<()> {
        self.need_columns(key)?;
        let mut schema = self.schema().as_ref().clone();
        constraint::add_unique(&mut schema, key)?;
        if let Some(enforced) = schema.enforced_keys().last().filter(|_| key.enforced) {
            self.verify().unique(&schema, *enforced).await?;
        }
        self.change(key.enforced, |next| {
            *next = schema;
            Ok(())
        })
    }

    fn need_columns(&self, key: &KeySpec) -> Result<()> {
        let schema = self.schema();
        match key.columns.iter().find(|name| schema.column_named(name).is_none()) {
            Some(name) => Err(undefined_column(schema, name)),
            None => Ok(()),
        }
    }

    /// ADD CHECK [NOT VALID].
    pub(super) async fn add_check(&mut self, check: &Check) -> Result<()> {
        let mut schema = self.schema().as_ref().clone();
        let (reading, state) = (&self.writing.reading, self.writing.state);
        constraint::add_check(reading, state, &mut schema, check)?;
        let added = schema.checks.last().expect("it was just added").clone();
        let verified = added.valid && added.enforced;
        if verified {
            self.verify().check(&added.name, &added.text).await?;
        }
        self.change(verified, |next| {
            *next = schema;
            Ok(())
        })
    }

    /// VALIDATE CONSTRAINT.
    pub(super) async fn validate_constraint(&mut self, name: &str) -> Result<()> {
        let Some(check) = self.schema().checks.iter().find(|check| check.name == name).cloned()
        else {
            return match self.schema().constraint_names().any(|other| other == name) {
                true => Ok(()),
                false => Err(undefined(self.schema(), name)),
            };
        };
        if check.valid {
            return Ok(());
        }
        self.verify().check(name, &check.text).await?;
        self.change(true, |schema| {
            let own = schema.checks.iter_mut().filter(|check| check.name == name);
            own.for_each(|check| check.valid = true);
            Ok(())
        })
    }

    /// DROP CONSTRAINT [IF EXISTS].
    pub(super) fn drop_constraint(&mut self, name: &str, if_exists: bool) -> Result<()> {
        let schema = self.schema();
        if !schema.constraint_names().any(|other| other == name) {
            let error = undefined(schema, name);
            if !if_exists {
                return Err(error);
            }
            self.notices.push(format!("{}, skipping", error.message()));
            return Ok(());
        }
        self.change(false, |schema| {
            if schema.primary_key.as_ref().is_some_and(|key| key.name == name) {
                schema.primary_key = None;
            }
            schema.unique.retain(|key| key.name != name);
            schema.checks.retain(|check| check.name != name);
            Ok(())
        })
    }

    /// DROP PRIMARY KEY.
    pub(super) fn drop_primary_key(&mut self) -> Result<()> {
        let name = self.schema().primary_key.as_ref().map(|key| key.name.clone());
        match name {
            Some(name) => self.drop_constraint(&name, false),
            None => {
                let message = format!("table \"{}\" has no primary key", self.schema().name);
                Err(Error::new(ErrorKind::UndefinedObject, message))
            }
        }
    }

    /// RENAME CONSTRAINT.
    pub(super) fn rename_constraint(&mut self, from: &str, to: &str) -> Result<()> {
        let schema = self.schema();
        if !schema.constraint_names().any(|name| name == from) {
            return Err(undefined(schema, from));
        }
        if schema.constraint_names().any(|name| name == to) {
            let table = &schema.name;
            let message = format!("constraint \"{to}\" for relation \"{table}\" already exists");
            return Err(Error::new(ErrorKind::DuplicateObject, message));
        }
        self.change(false, |schema| {
            let primary = schema.primary_key.iter_mut().map(|key| &mut key.name);
            let unique = schema.unique.iter_mut().map(|key| &mut key.name);
            let checks = schema.checks.iter_mut().map(|check| &mut check.name);
            for name in primary.chain(unique).chain(checks) {
                if name == from {
                    to.clone_into(name);
                }
            }
            Ok(())
        })
    }
}

fn undefined(schema: &TableSchema, name: &str) -> Error {
    let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", schema.name);
    Error::new(ErrorKind::UndefinedObject, message)
}
