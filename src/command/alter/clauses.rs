//! What time and order mean in a table: CLUSTER BY, EVENT TIME, KNOWN TIME, TIES, SET (…).

use super::{Alteration, undefined_column};
use crate::command::table::{check_option, check_time, ordered};
use crate::error::Result;
use crate::parse::TableOption;
use crate::spec::ColumnId;

impl Alteration<'_, '_> {
    pub(super) async fn set_option(&mut self, option: &TableOption) -> Result<()> {
        match option {
            TableOption::ClusterBy(names) => self.cluster_by(names.as_deref()).await,
            TableOption::EventTime(name) => {
                let column = self.time_column(name.as_deref(), "EVENT TIME")?;
                self.change(false, |schema| {
                    schema.event_time = column;
                    Ok(())
                })
            }
            TableOption::KnownTime(name) => {
                let column = self.time_column(name.as_deref(), "KNOWN TIME")?;
                self.change(false, |schema| {
                    schema.known_time = column;
                    Ok(())
                })
            }
            TableOption::Ties(names) => {
                let ties = self.ordered(names.as_deref().unwrap_or_default(), "TIES")?;
                self.change(false, |schema| {
                    schema.ties = ties;
                    Ok(())
                })
            }
            TableOption::Option { name, value } => self.change(false, |schema| {
                check_option(name, value.as_deref())?;
                schema.options.retain(|(other, _)| other != name);
                schema.options.extend(value.clone().map(|value| (name.clone(), value)));
                Ok(())
            }),
        }
    }

    /// New segments get the new order, and older ones when they are written again. Without a clause
    /// the order is the primary key's.
    async fn cluster_by(&mut self, names: Option<&[String]>) -> Result<()> {
        let columns = match names {
            Some(names) => self.ordered(names, "CLUSTER BY")?,
            None => {
                let key = self.schema().primary_key.as_ref();
                key.map(|key| key.columns.clone()).unwrap_or_default()
            }
        };
        let mut verified = false;
        for column in columns.iter().filter_map(|id| self.schema().column(*id)) {
            if !column.not_null {
                self.verify().not_null(&column.name).await?;
                verified = true;
            }
        }
        self.change(verified, |schema| {
            for column in &mut schema.columns {
                column.not_null |= columns.contains(&column.id);
            }
            schema.cluster_by = columns;
            Ok(())
        })
    }

    fn ordered(&self, names: &[String], clause: &str) -> Result<Vec<ColumnId>> {
        let schema = self.schema();
        if let Some(name) = names.iter().find(|name| schema.column_named(name).is_none()) {
            return Err(undefined_column(schema, name));
        }
        ordered(&schema.columns, names, clause)
    }

    fn time_column(&self, name: Option<&str>, clause: &str) -> Result<Option<ColumnId>> {
        let Some(name) = name else { return Ok(None) };
        let column = self.ordered(&[name.to_owned()], clause)?.first().copied();
        check_time(&self.schema().columns, column, clause)?;
        Ok(column)
    }
}
