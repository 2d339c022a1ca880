//! Names and objects of one snapshot, as entries of its catalog tree.
//!
//! Each object has two entries: its id says what and in which state it is, its name says which id.
//! So a commit that changes rows touches one entry, and a rename does not touch the rows.

use crate::error::{Error, ErrorKind, Result};
use crate::log::{Records, Space, Transaction, key, tree};
use crate::spec::codec::{Reader, Writer};
use crate::spec::{SchemaId, Sequence, TableId, TableSchema, VersionId, View};

/// The schema (namespace) that names without one mean, after the search path.
pub const DEFAULT_NAMESPACE: &str = "public";

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A table in this state.
    Table(TableId, VersionId),
    /// A view with this record.
    View(TableId, SchemaId),
    /// A schema (namespace).
    Namespace(TableId, SchemaId),
    /// A sequence with this record.
    Sequence(TableId, SchemaId),
}

impl Object {
    /// The id, unique over all kinds.
    pub fn id(self) -> TableId {
        match self {
            Object::Table(id, _)
            | Object::View(id, _)
            | Object::Namespace(id, _)
            | Object::Sequence(id, _) => id,
        }
    }
}

/// One change of the catalog.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object of this id is in this state; it keeps its name.
    Put(Object),
    /// A new name for an object.
    Name(String, String, TableId),
    /// A name that goes.
    Unname(String, String, TableId),
    /// An object that goes.
    Remove(TableId),
}

/// The object of this id.
pub fn object(records: &impl Records, root: u64, id: TableId) -> Result<Option<Object>> {
    tree::get(records, root, object_key(id))?.map(|bytes| decode(id, &bytes)).transpose()
}

/// The objects of this name; several only where two names share a hash.
pub fn named(
    records: &impl Records,
    root: u64,
    namespace: &str,
    name: &str,
) -> Result<Vec<Object>> {
    let mut found = Vec::new();
    for id in ids(tree::get(records, root, name_key(namespace, name))?)? {
        found.extend(object(records, root, id)?);
    }
    Ok(found)
}

/// All objects, in the order they were made.
pub fn objects(records: &impl Records, root: u64) -> Result<Vec<Object>> {
    let mut found = Vec::new();
    for entry in tree::entries(records, root)? {
        found.extend(object_of(&entry)?);
    }
    found.sort_by_key(|object| object.id());
    Ok(found)
}

/// The object of an entry; None where it is a name's.
pub fn object_of((at, bytes): &(u64, Vec<u8>)) -> Result<Option<Object>> {
    if at & 1 == 1 {
        return Ok(None);
    }
    let mut r = Reader::open_version(bytes, "catalog entry", 1)?;
    decode(TableId(r.u64()?), bytes).map(Some)
}

/// Makes the changes and returns the new root.
pub fn update(
    transaction: &Transaction,
    root: u64,
    changes: &[Change],
    next_id: &mut dyn FnMut() -> u64,
) -> Result<u64> {
    let mut entries: Vec<tree::Change> = Vec::new();
    for change in changes {
        match change {
            Change::Put(object) => put(&mut entries, object_key(object.id()), encode(*object)),
            Change::Remove(id) => {
                entries.retain(|(k, _)| *k != object_key(*id));
                entries.push((object_key(*id), None));
            }
            Change::Name(namespace, name, id) => {
                rename(transaction, root, &mut entries, name_key(namespace, name), |ids| {
                    ids.push(*id);
                })?;
            }
            Change::Unname(namespace, name, id) => {
                rename(transaction, root, &mut entries, name_key(namespace, name), |ids| {
                    ids.retain(|other| other != id);
                })?;
            }
        }
    }
    tree::update(transaction, root, entries, next_id)
}

/// The last state of an object is the one that counts.
fn put(entries: &mut Vec<tree::Change>, at: u64, bytes: Vec<u8>) {
    entries.retain(|(k, _)| *k != at);
    entries.push((at, Some(bytes)));
}

/// A name's entry is changed in the light of earlier changes of the same commit.
fn rename(
    records: &impl Records,
    root: u64,
    entries: &mut Vec<tree::Change>,
    at: u64,
    change: impl FnOnce(&mut Vec<TableId>),
) -> Result<()> {
    let bytes = match entries.iter().position(|(k, _)| *k == at) {
        Some(i) => entries.swap_remove(i).1,
        None => tree::get(records, root, at)?,
    };
    let mut ids = ids(bytes)?;
    change(&mut ids);
    let mut w = Writer::new(1);
    w.list(&ids, |w, id| w.u64(id.0));
    entries.push((at, (!ids.is_empty()).then(|| w.finish())));
    Ok(())
}

/// Reads a table's shape.
pub fn schema(records: &impl Records, id: SchemaId) -> Result<TableSchema> {
    TableSchema::decode(&records.need(Space::Schemas, &key([id.0]))?)
}

/// Reads a view, or the name of a namespace, which is kept as a view without text.
pub fn view(records: &impl Records, id: SchemaId) -> Result<View> {
    View::decode(&records.need(Space::Schemas, &key([id.0]))?)
}

/// Reads a sequence's definition.
pub fn sequence(records: &impl Records, id: SchemaId) -> Result<Sequence> {
    Sequence::decode(&records.need(Space::Schemas, &key([id.0]))?)
}

/// The id of a namespace.
pub fn namespace(records: &impl Records, root: u64, name: &str) -> Result<Option<TableId>> {
    for object in objects(records, root)? {
        if let Object::Namespace(id, record) = object
            && view(records, record)?.namespace == name
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

pub(super) fn duplicate(name: &str) -> Error {
    Error::new(ErrorKind::DuplicateTable, format!("relation \"{name}\" already exists"))
}

fn ids(bytes: Option<Vec<u8>>) -> Result<Vec<TableId>> {
    let Some(bytes) = bytes else { return Ok(Vec::new()) };
    Reader::open_version(&bytes, "catalog name", 1)?.list(|r| Ok(TableId(r.u64()?)))
}

fn encode(object: Object) -> Vec<u8> {
    let mut w = Writer::new(1);
    let (tag, state) = match object {
        Object::Table(_, version) => (0, version.0),
        Object::View(_, record) => (1, record.0),
        Object::Namespace(_, record) => (2, record.0),
        Object::Sequence(_, record) => (3, record.0),
    };
    w.u64(object.id().0);
    w.u8(tag);
    w.u64(state);
    w.finish()
}

fn decode(id: TableId, bytes: &[u8]) -> Result<Object> {
    let mut r = Reader::open_version(bytes, "catalog entry", 1)?;
    if r.u64()? != id.0 {
        return Err(Error::new(ErrorKind::Corrupt, format!("catalog entry {id} names another")));
    }
    let (tag, state) = (r.u8()?, r.u64()?);
    Ok(match tag {
        0 => Object::Table(id, VersionId(state)),
        1 => Object::View(id, SchemaId(state)),
        2 => Object::Namespace(id, SchemaId(state)),
        3 => Object::Sequence(id, SchemaId(state)),
        _ => return Err(r.corrupt("is of an unknown kind")),
    })
}

/// Even keys are objects, odd ones names.
fn object_key(id: TableId) -> u64 {
    mix(id.0) & !1
}

fn name_key(namespace: &str, name: &str) -> u64 {
    // FNV-1a: written to disk, so it must not change with a library.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in namespace.bytes().chain([0]).chain(name.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash) | 1
}

/// Spreads ids over the tree's slots; a bijection, so ids that differ by more than the lowest bit
/// of their image never meet.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
