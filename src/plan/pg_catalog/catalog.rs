//! The objects of one snapshot with their oids, and the look-ups that functions and casts need.

use std::collections::HashMap;

use super::constraint::{Constraint, constraints};
use super::inputs::{CatalogInputs, SequenceFacts, TableFacts, ViewFacts};
use super::name::{name_parts, quote_ident};
use super::relation::{Relation, relations};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Column, ColumnId, Generated, TableId, Type};
use crate::store::TEMPORARY_NAMESPACE;

/// Oids that PostgreSQL fixed, or that we fix.
pub mod oids {
    /// The role of the session: the bootstrap superuser.
    pub const USER: u32 = 10;
    /// The schema `pg_catalog`.
    pub const PG_CATALOG: u32 = 11;
    /// The schema `public`.
    pub const PUBLIC: u32 = 2200;
    /// The schema `information_schema`.
    pub const INFORMATION_SCHEMA: u32 = 13000;
    /// The database of the session.
    pub const DATABASE: u32 = 5;
    /// The tablespace `pg_default`.
    pub const TABLESPACE: u32 = 1663;
    /// The access method of tables.
    pub const HEAP: u32 = 2;
    /// The access method of indexes.
    pub const BTREE: u32 = 403;
    /// The default collation.
    pub const COLLATION: u32 = 100;
    /// Where oids of user objects begin.
    pub const FIRST_USER: u32 = 16384;
}

/// A relation that a user made, or the index of its primary key.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// A table.
    Table(&'a TableFacts),
    /// The index of one of a table's keys: the table, and which of its constraints.
    Index(&'a TableFacts, usize),
    /// A view.
    View(&'a ViewFacts),
    /// A sequence.
    Sequence(&'a SequenceFacts),
    /// A system table or view.
    System(&'static Relation),
}

impl Object<'_> {
    /// The schema it is in.
    pub fn namespace(&self) -> &str {
        match self {
            Object::Table(t) | Object::Index(t, _) => &t.schema.namespace,
            Object::Sequence(s) => &s.sequence.namespace,
            Object::View(v) => &v.view.namespace,
            Object::System(r) => r.schema,
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Object::Table(t) => t.schema.name.clone(),
            Object::Index(t, at) => constraints(t)[*at].name.to_owned(),
            Object::Sequence(s) => s.sequence.name.clone(),
            Object::View(v) => v.view.name.clone(),
            Object::System(r) => r.name.to_owned(),
        }
    }
}

/// The system tables' view of a snapshot.
#[derive(Debug)]
pub struct Catalog {
    inputs: CatalogInputs,
    namespaces: Vec<(u32, String)>,
    by_oid: HashMap<u32, Place>,
    by_name: HashMap<(String, String), u32>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Table(usize),
    Index(usize, usize),
    View(usize),
    Sequence(usize),
    System(&'static Relation),
}

/// The oid of a table or view. Its index, if it has a primary key, has the next one.
pub fn relation_oid(id: TableId) -> u32 {
    // Eight numbers an object; ids beyond 2^28 wrap, which no folder will reach.
    oids::FIRST_USER + ((id.0 & 0x0fff_ffff) as u32) * 8
}

/// The id of the object that has this oid, where an object can have it.
pub fn relation_id(oid: u32) -> Option<TableId> {
    let place = oid.checked_sub(oids::FIRST_USER)?;
    place.is_multiple_of(8).then_some(TableId(u64::from(place / 8)))
}

/// The oid of the index of a table's primary key.
pub fn index_oid(table: TableId) -> u32 {
    relation_oid(table) + 1
}

/// The oid of the primary key itself.
pub fn constraint_oid(table: TableId) -> u32 {
    relation_oid(table) + 2
}

fn namespace_oid(name: &str) -> u32 {
    match name {
        "pg_catalog" => oids::PG_CATALOG,
        "information_schema" => oids::INFORMATION_SCHEMA,
        "public" => oids::PUBLIC,
        // FNV-1a, above every relation: a schema has no id of its own to derive its oid from.
        other => {
            let hash = other
                .bytes()
                .fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
            0x9000_0000 | (hash & 0x0fff_ffff)
        }
    }
}

impl Catalog {
    /// Numbers the objects. Cheap: no rows are built.
    pub fn new(inputs: CatalogInputs) -> Self {
        let mut catalog = Catalog {
            namespaces: namespaces(&inputs.namespaces),
            by_oid: HashMap::new(),
            by_name: HashMap::new(),
            inputs,
        };
        for relation in relations() {
            catalog.add(relation.oid, relation.schema, relation.name, Place::System(relation));
        }
        for position in 0..catalog.inputs.tables.len() {
            let schema = catalog.inputs.tables[position].schema.clone();
            let oid = relation_oid(schema.table);
            catalog.add(oid, &schema.namespace, &schema.name, Place::Table(position));
            let facts = catalog.inputs.tables[position].clone();
            for (at, constraint) in constraints(&facts).iter().enumerate() {
                if let Some(oid) = constraint.index {
                    let place = Place::Index(position, at);
                    catalog.add(oid, &schema.namespace, constraint.name, place);
                }
            }
        }
        for position in 0..catalog.inputs.views.len() {
            let view = catalog.inputs.views[position].view.clone();
            let oid = relation_oid(view.id);
            catalog.add(oid, &view.namespace, &view.name, Place::View(position));
        }
        for position in 0..catalog.inputs.sequences.len() {
            let sequence = catalog.inputs.sequences[position].sequence.clone();
            let oid = relation_oid(sequence.id);
            catalog.add(oid, &sequence.namespace, &sequence.name, Place::Sequence(position));
        }
        catalog
    }

    fn add(&mut self, oid: u32, namespace: &str, name: &str, place: Place) {
        self.by_oid.insert(oid, place);
        self.by_name.insert((namespace.to_owned(), name.to_owned()), oid);
    }

    /// What it was made of.
    pub fn inputs(&self) -> &CatalogInputs {
        &self.inputs
    }

    /// Schemas with their oids, the system's first.
    pub fn namespaces(&self) -> &[(u32, String)] {
        &self.namespaces
    }

    /// The oid of a schema.
    pub fn namespace(&self, name: &str) -> Option<u32> {
        self.namespaces.iter().find(|(_, n)| n == name).map(|(oid, _)| *oid)
    }

    /// The name of a schema.
    pub fn namespace_name(&self, oid: u32) -> Option<&str> {
        self.namespaces.iter().find(|(o, _)| *o == oid).map(|(_, name)| name.as_str())
    }

    /// The relation of this oid.
    pub fn object(&self, oid: u32) -> Option<Object<'_>> {
        Some(match *self.by_oid.get(&oid)? {
            Place::Table(i) => Object::Table(&self.inputs.tables[i]),
            Place::Index(i, at) => Object::Index(&self.inputs.tables[i], at),
            Place::Sequence(i) => Object::Sequence(&self.inputs.sequences[i]),
            Place::View(i) => Object::View(&self.inputs.views[i]),
            Place::System(relation) => Object::System(relation),
        })
    }

    /// The constraint of this oid.
    pub fn constraint(&self, oid: u32) -> Option<Constraint<'_>> {
        self.constraints().find(|constraint| constraint.oid == oid)
    }

    /// All constraints.
    pub fn constraints(&self) -> impl Iterator<Item = Constraint<'_>> {
        self.inputs.tables.iter().flat_map(constraints)
    }

    /// The DEFAULT of a column as PostgreSQL shows it; None for an identity column.
    pub fn default_of(&self, column: &Column) -> Option<String> {
        match &column.generated {
            Some(Generated::Identity { .. }) => None,
            Some(Generated::Stored(text)) => Some(text.clone()),
            Some(Generated::Serial { sequence }) => {
                let name = self.regclass_name(relation_oid(*sequence));
                Some(format!("nextval('{}'::regclass)", name.replace('\'', "''")))
            }
            None => column.default.clone(),
        }
    }

    /// Every relation with its oid, in no order.
    pub fn objects(&self) -> impl Iterator<Item = (u32, Object<'_>)> {
        self.by_oid.keys().filter_map(|oid| Some((*oid, self.object(*oid)?)))
    }

    /// The schemas a bare name is looked for in, in order.
    pub fn search_path(&self) -> impl Iterator<Item = &str> {
        let named = self.inputs.search_path.iter().map(String::as_str);
        let implied = match self.inputs.search_path.iter().any(|s| s == "pg_catalog") {
            true => None,
            false => Some("pg_catalog"),
        };
        implied.into_iter().chain(named)
    }

    /// Whether a bare name finds this relation; None where there is no such relation.
    pub fn is_visible(&self, oid: u32) -> Option<bool> {
        let object = self.object(oid)?;
        Some(self.find(&object.name()) == Some(oid))
    }

    fn find(&self, name: &str) -> Option<u32> {
        // What is temporary comes before all that the path names.
        let mut path = std::iter::once(TEMPORARY_NAMESPACE).chain(self.search_path());
        path.find_map(|schema| self.by_name.get(&(schema.to_owned(), name.to_owned())).copied())
    }

    /// `text::regclass`: the oid of `t`, `s.t`, `"T"` or `'16384'`.
    ///
    /// # Errors
    /// `UndefinedTable`; `InvalidName` for what is no name.
    pub fn regclass(&self, text: &str) -> Result<u32> {
        if let Ok(oid) = text.trim().parse() {
            return Ok(oid);
        }
        let parts = name_parts(text)?;
        let found = match parts.as_slice() {
            [name] => self.find(name),
            // A catalog before the schema can only be our own.
            [schema, name] | [_, schema, name] => {
                self.by_name.get(&(schema.clone(), name.clone())).copied()
            }
            _ => None,
        };
        found.ok_or_else(|| {
            let message = format!("relation \"{}\" does not exist", parts.join("."));
            Error::new(ErrorKind::UndefinedTable, message)
        })
    }

    /// `regclass::text`: the shortest name that finds it, quoted where needed; the number where
    /// there is no such relation, `-` for 0.
    pub fn regclass_name(&self, oid: u32) -> String {
        match self.object(oid) {
            None if oid == 0 => "-".to_owned(),
            None => oid.to_string(),
            Some(object) if self.is_visible(oid) == Some(true) => quote_ident(&object.name()),
            Some(object) => {
                format!("{}.{}", quote_ident(object.namespace()), quote_ident(&object.name()))
            }
        }
    }

    /// The columns of a relation in the order of `*`: name, `pg_type` oid, typmod, whether NULL is
    /// refused. `attnum` counts them from 1.
    pub fn columns(&self, object: Object<'_>) -> Vec<(String, u32, i32, bool)> {
        let of = |name: &str, of: &Type, not_null| {
            (name.to_owned(), super::types::oid_of(of), super::types::typmod_of(of), not_null)
        };
        match object {
            Object::Table(t) => {
                t.schema.columns.iter().map(|c| of(&c.name, &c.data_type, c.not_null)).collect()
            }
            Object::Index(t, at) => constraints(t)[at]
                .columns
                .iter()
                .filter_map(|id| t.schema.column(*id))
                .map(|c| of(&c.name, &c.data_type, false))
                .collect(),
            Object::View(v) => v.columns.iter().map(|(name, t)| of(name, t, false)).collect(),
            Object::Sequence(_) => vec![
                of("last_value", &Type::Int8, true),
                of("log_cnt", &Type::Int8, true),
                of("is_called", &Type::Bool, true),
            ],
            Object::System(relation) => relation
                .columns
                .iter()
                .filter_map(|(name, typname)| {
                    Some(((*name).to_owned(), super::types::by_name(typname)?.oid, -1, false))
                })
                .collect(),
        }
    }
}

/// `attnum`: where a column stands in `*`, from 1.
pub fn attnum(table: &TableFacts, column: ColumnId) -> Option<i16> {
    let position = table.schema.columns.iter().position(|c| c.id == column)?;
    i16::try_from(position + 1).ok()
}

fn namespaces(named: &[String]) -> Vec<(u32, String)> {
    let system = ["pg_catalog", "information_schema"].into_iter().map(str::to_owned);
    let mut all: Vec<(u32, String)> = Vec::new();
    for name in system.chain(named.iter().cloned()) {
        if all.iter().any(|(_, known)| *known == name) {
            continue;
        }
        let mut oid = namespace_oid(&name);
        while all.iter().any(|(known, _)| *known == oid) {
            oid += 1;
        }
        all.push((oid, name));
    }
    all
}
