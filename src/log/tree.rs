//! The catalog tree: a persistent map from 64-bit keys to small values, one root a commit.
//!
//! ```text
//! branch: slot 0 ──► bucket { key → value … }          a key's slot at depth d is its
//!         slot 5 ──► branch: slot 2 ──► bucket …       d-th group of six bits
//! ```
//! A change copies the nodes on its path and shares the rest, so a commit costs what it changes and
//! every root stays readable. Ten tables fit one bucket.

use std::collections::HashSet;

use super::{Records, Space, Transaction, key};
use crate::error::Result;
use crate::spec::codec::{Reader, Writer};

/// A bucket of more entries becomes a branch.
const BUCKET_ENTRIES: usize = 32;

/// Six bits a level; the last level keeps what is left in one bucket.
const DEPTH_MAX: u32 = 10;

/// What happens to one key.
pub type Change = (u64, Option<Vec<u8>>);

enum Node {
    Bucket(Vec<(u64, Vec<u8>)>),
    Branch(Vec<(u8, u64)>),
}

/// The value under this key.
pub fn get(records: &impl Records, root: u64, wanted: u64) -> Result<Option<Vec<u8>>> {
    let mut node = root;
    for depth in 0.. {
        if node == 0 {
            return Ok(None);
        }
        match read(records, node)? {
            Node::Bucket(entries) => {
                return Ok(entries.into_iter().find(|(k, _)| *k == wanted).map(|(_, v)| v));
            }
            Node::Branch(children) => {
                let slot = slot(wanted, depth);
                node = children.iter().find(|(s, _)| *s == slot).map_or(0, |(_, child)| *child);
            }
        }
    }
    unreachable!("a key has as many slots as a tree has levels")
}

/// All entries, in no order that means anything.
pub fn entries(records: &impl Records, root: u64) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if node == 0 {
            continue;
        }
        match read(records, node)? {
            Node::Bucket(entries) => found.extend(entries),
            Node::Branch(children) => open.extend(children.iter().map(|(_, child)| child)),
        }
    }
    Ok(found)
}

/// The entries below a root that lie in no node seen before; all its nodes are seen then.
pub fn unseen(
    records: &impl Records,
    root: u64,
    seen: &mut HashSet<u64>,
) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if node == 0 || !seen.insert(node) {
            continue;
        }
        match read(records, node)? {
            Node::Bucket(entries) => found.extend(entries),
            Node::Branch(children) => open.extend(children.iter().map(|(_, child)| child)),
        }
    }
    Ok(found)
}

/// Makes the changes and returns the new root; 0 is the empty tree. `next_id` gives new nodes ids.
pub fn update(
    transaction: &Transaction,
    root: u64,
    changes: Vec<Change>,
    next_id: &mut dyn FnMut() -> u64,
) -> Result<u64> {
    update_at(transaction, root, 0, changes, next_id)
}

fn update_at(
    transaction: &Transaction,
    node: u64,
    depth: u32,
    changes: Vec<Change>,
    next_id: &mut dyn FnMut() -> u64,
) -> Result<u64> {
    let node = match node {
        0 => Node::Bucket(Vec::new()),
        id => read(transaction, id)?,
    };
    let changed = match node {
        Node::Bucket(mut entries) => {
            for (k, value) in changes {
                entries.retain(|(existing, _)| *existing != k);
                entries.extend(value.map(|value| (k, value)));
            }
            if entries.is_empty() {
                return Ok(0);
            }
            if entries.len() > BUCKET_ENTRIES && depth < DEPTH_MAX {
                let entries = entries.into_iter().map(|(k, value)| (k, Some(value))).collect();
                split(transaction, Vec::new(), depth, entries, next_id)?
            } else {
                Node::Bucket(entries)
            }
        }
        Node::Branch(children) => split(transaction, children, depth, changes, next_id)?,
    };
    let id = next_id();
    transaction.put(Space::Nodes, &key([id]), &encode(&changed))?;
    Ok(id)
}

fn split(
    transaction: &Transaction,
    mut children: Vec<(u8, u64)>,
    depth: u32,
    mut changes: Vec<Change>,
    next_id: &mut dyn FnMut() -> u64,
) -> Result<Node> {
    changes.sort_by_key(|(k, _)| slot(*k, depth));
    let mut rest = changes.into_iter().peekable();
    while let Some(first) = rest.next() {
        let at = slot(first.0, depth);
        let mut group = vec![first];
        while let Some(same) = rest.next_if(|(k, _)| slot(*k, depth) == at) {
            group.push(same);
        }
        let old = children.iter().position(|(s, _)| *s == at);
        let child = old.map_or(0, |i| children[i].1);
        let child = update_at(transaction, child, depth + 1, group, next_id)?;
        match (old, child) {
            (Some(i), 0) => drop(children.remove(i)),
            (Some(i), child) => children[i].1 = child,
            (None, 0) => {}
            (None, child) => children.push((at, child)),
        }
    }
    Ok(Node::Branch(children))
}

fn slot(key: u64, depth: u32) -> u8 {
    (key >> (depth * 6)) as u8 & 63
}

fn read(records: &impl Records, id: u64) -> Result<Node> {
    let bytes = records.need(Space::Nodes, &key([id]))?;
    let mut r = Reader::open_version(&bytes, "catalog node", 1)?;
    Ok(match r.bool()? {
        false => Node::Bucket(r.list(|r| Ok((r.u64()?, r.bytes()?.to_vec())))?),
        true => Node::Branch(r.list(|r| Ok((r.u8()?, r.u64()?)))?),
    })
}

fn encode(node: &Node) -> Vec<u8> {
    let mut w = Writer::new(1);
    match node {
        Node::Bucket(entries) => {
            w.bool(false);
            w.list(entries, |w, (k, value)| {
                w.u64(*k);
                w.bytes(value);
            });
        }
        Node::Branch(children) => {
            w.bool(true);
            w.list(children, |w, (slot, child)| {
                w.u8(*slot);
                w.u64(*child);
            });
        }
    }
    w.finish()
}
