//! The sequences of identity and serial columns, where their table comes back: they are what they were, and
//! count on, since what a sequence counted to is kept whatever becomes of it.

use super::snapshot::{Relation, Snapshot};
use super::transaction::Transaction;
use crate::error::Result;
use crate::spec::{Generated, Sequence, TableSchema};

impl Transaction {
    /// Makes the sequences of a shape that are not there, as they are at `was`.
    pub(super) fn bring_sequences(&mut self, schema: &TableSchema, was: &Snapshot) -> Result<()> {
        let owned = schema.columns.iter().filter_map(|column| column.generated.as_ref());
        for id in owned.filter_map(Generated::sequence) {
            if self.snapshot().relation_by_id(id)?.is_some() {
                continue;
            }
            let Some(Relation::Sequence(sequence)) = was.relation_by_id(id)? else { continue };
            let name = self.free_name(&schema.namespace, &sequence.name)?;
            let namespace = schema.namespace.clone();
            self.create_sequence(Sequence { namespace, name, ..sequence.as_ref().clone() })?;
        }
        Ok(())
    }

    /// A name that nothing has: this one, or with a number behind it.
    ///
    /// # Errors
    /// Whatever reading the catalog gives.
    pub fn free_name(&self, namespace: &str, plain: &str) -> Result<String> {
        let snapshot = self.snapshot();
        let mut name = plain.to_owned();
        let mut number = 0;
        while snapshot.relation(namespace, &name)?.is_some() {
            number += 1;
            name = format!("{plain}{number}");
        }
        Ok(name)
    }
}
