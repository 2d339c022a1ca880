//! Tables, views and schemas by id: made, dropped, renamed or changed, on either side.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::rules::new_rules;
use super::table::{count, join, whole, write_again};
use super::{Base, Changed, Conflict, Merged, NewRules, Pick, Prefer, changed, views};
use crate::error::Result;
use crate::spec::{CommitId, TableId, TableSchema};
use crate::store::catalog::{self, Object};
use crate::store::snapshot::{Relation, Snapshot};
use crate::store::table::Table;

/// The objects of one snapshot, by id.
type Objects = BTreeMap<TableId, Object>;

struct Merging<'a> {
    merged: &'a mut Merged,
    base: &'a Snapshot,
    of: Base<'a>,
    ours: &'a Snapshot,
    theirs: &'a Snapshot,
    prefer: Prefer,
    /// The tables that each side changed, where its history says so.
    our_tables: Option<HashSet<TableId>>,
    their_tables: Option<HashSet<TableId>>,
}

pub(super) fn merge(
    merged: &mut Merged,
    (newest, of): (&Snapshot, Base<'_>),
    ours: &Snapshot,
    theirs: &Snapshot,
    prefer: Prefer,
    only: Option<TableId>,
) -> Result<()> {
    let crossed = of.crossed();
    let view = ours.store().shared.log.read()?;
    let objects = |at: &Snapshot| -> Result<Objects> {
        let all = catalog::objects(&view, at.point.root)?;
        Ok(all.into_iter().map(|object| (object.id(), object)).collect())
    };
    let (mut before, mine, other) = (objects(newest)?, objects(ours)?, objects(theirs)?);
    for other in crossed.map_or(&[][..], |crossed| &crossed.others) {
        for (id, object) in objects(other)? {
            before.entry(id).or_insert(object);
        }
    }
    let differ = |side: &Objects| -> HashSet<TableId> {
        let tables = side.iter().filter(|(_, object)| matches!(object, Object::Table(..)));
        tables.filter(|(id, object)| before.get(id) != Some(object)).map(|(id, _)| *id).collect()
    };
    let changed = |head: &Snapshot, of: HashSet<TableId>| match crossed {
        None => changed::tables(&view, newest.commit(), head.commit(), &of),
        // Of several bases each has another line: only the objects can tell.
        Some(_) => Ok(None),
    };
    let (our_tables, their_tables) =
        (changed(ours, differ(&mine))?, changed(theirs, differ(&other))?);
    drop(view);
    let base = newest;
    let mut merging = Merging { merged, base, of, ours, theirs, prefer, our_tables, their_tables };
    let ids: Vec<TableId> = before.keys().chain(other.keys()).copied().collect();
    let ids: std::collections::BTreeSet<TableId> =
        ids.into_iter().filter(|id| only.is_none_or(|only| only == *id)).collect();
    // Names that are freed are free for what comes; a schema goes after what was in it, moved or gone.
    let (gone, rest): (Vec<TableId>, Vec<TableId>) =
        ids.into_iter().partition(|id| !other.contains_key(id));
    let is_schema = |id: &TableId| matches!(before.get(id), Some(Object::Namespace(..)));
    let (schemas, gone): (Vec<TableId>, Vec<TableId>) = gone.into_iter().partition(is_schema);
    for id in gone.into_iter().rev().chain(rest).chain(schemas) {
        let before = match crossed {
            None => before.get(&id).copied(),
            Some(crossed) => {
                merging.base = crossed.base_of(id, newest)?;
                object_at(merging.base, id)?
            }
        };
        merging.object(id, (before, mine.get(&id).copied(), other.get(&id).copied()))?;
    }
    let dangling = views::dangling(&merged.transaction, ours, theirs, only)?;
    merged.conflicts.extend(dangling);
    Ok(())
}

impl Merging<'_> {
    fn object(
        &mut self,
        id: TableId,
        (base, ours, theirs): (Option<Object>, Option<Object>, Option<Object>),
    ) -> Result<()> {
        let still = |tables: &Option<HashSet<TableId>>, side: Option<Object>| {
            let tables = tables.as_ref();
            let told = tables.is_some_and(|tables| !tables.contains(&id));
            side == base || (told && is_table(side) && is_table(base))
        };
        if theirs == ours || still(&self.their_tables, theirs) {
            return Ok(());
        }
        let ours_stood = still(&self.our_tables, ours);
        match (ours, theirs) {
            (None, None) => Ok(()),
            (Some(_), None) => {
                if ours_stood || (base.is_some() && !self.differs(id, self.ours)?) {
                    return self.drop_ours(id);
                }
                let why = "it was dropped on the branch merged and changed here";
                match self.conflict(id, self.ours, why)? {
                    Pick::Ours => Ok(()),
                    Pick::Theirs => self.drop_ours(id),
                }
            }
            (None, Some(_)) if base.is_none() => self.create(id),
            (None, Some(_)) => {
                if !self.differs(id, self.theirs)? {
                    return Ok(());
                }
                let why = "it was dropped here and changed on the branch merged";
                match self.conflict(id, self.theirs, why)? {
                    Pick::Ours => Ok(()),
                    Pick::Theirs => self.create(id),
                }
            }
            (Some(_), Some(_)) => self.both(id, ours_stood),
        }
    }

    /// Whether a relation is another than the base's on a side: a merge can have brought it there in
    /// a record of its own.
    fn differs(&self, id: TableId, side: &Snapshot) -> Result<bool> {
        Ok(match (relation(self.base, id)?, relation(side, id)?) {
            (Some(Relation::Table(base)), Some(Relation::Table(table))) => {
                let before =
                    TableSchema { id: table.schema().id, ..base.schema().as_ref().clone() };
                before != *table.schema().as_ref()
                    || count(&base, &table, self.base.commit())? != (0, 0)
            }
            (Some(Relation::View(base)), Some(Relation::View(view))) => base != view,
            (Some(Relation::Sequence(base)), Some(Relation::Sequence(there))) => base != there,
            _ => true,
        })
    }

    /// Notes a conflict about a whole object, and says whose version stands.
    fn conflict(&mut self, id: TableId, at: &Snapshot, why: &str) -> Result<Pick> {
        let relation = match relation(at, id)? {
            Some(relation) => relation.name().1.to_owned(),
            None => return Ok(Pick::Ours),
        };
        let settled = self.prefer.settled();
        self.merged.conflicts.push(Conflict::of_relation(&relation, why, settled));
        Ok(self.prefer.pick())
    }

    fn drop_ours(&mut self, id: TableId) -> Result<()> {
        let Some(relation) = relation(&self.merged.transaction.snapshot(), id)? else {
            return self.drop_namespace(id);
        };
        let deleted_rows = match &relation {
            Relation::Table(table) => table.row_count(),
            Relation::View(_) | Relation::Sequence(_) => 0,
        };
        self.merged.transaction.drop_relation(&relation);
        self.note(relation.name().1, "dropped", (0, deleted_rows));
        Ok(())
    }

    /// A schema goes if nothing is left in it.
    fn drop_namespace(&mut self, id: TableId) -> Result<()> {
        let Some(name) = namespace(self.ours, id)? else { return Ok(()) };
        let left = self.merged.transaction.snapshot().relations()?;
        // Theirs may have made one of its name anew.
        let is_back = self.theirs.namespaces()?.contains(&name);
        if !is_back && left.iter().all(|relation| relation.name().0 != name) {
            self.merged.transaction.drop_namespace(&name);
            self.note(&name, "dropped", (0, 0));
        }
        Ok(())
    }

    fn note(&mut self, relation: &str, how: &'static str, (added_rows, deleted_rows): (u64, u64)) {
        let relation = relation.to_owned();
        self.merged.changes.push(Changed { relation, how, added_rows, deleted_rows });
    }

    fn create(&mut self, id: TableId) -> Result<()> {
        let Some(relation) = relation(self.theirs, id)? else {
            return self.create_namespace(id);
        };
        if !self.make_free(&relation, None)? {
            return Ok(());
        }
        let name = relation.name().1.to_owned();
        match relation {
            Relation::Table(table) => {
                let base = self.base.table_by_id(id)?;
                let known: Vec<&Table> = base.iter().map(Arc::as_ref).collect();
                let mut taken = whole(&table, table.schema(), &known);
                taken.added_rows = table.row_count();
                self.merged.transaction.take_over(taken)?;
                self.note(&name, "created", (table.row_count(), 0));
            }
            Relation::View(view) => {
                self.merged.transaction.create_view(view.as_ref().clone())?;
                self.note(&name, "created", (0, 0));
            }
            Relation::Sequence(sequence) => {
                self.merged.transaction.create_sequence(sequence.as_ref().clone())?;
                self.note(&name, "created", (0, 0));
            }
        }
        Ok(())
    }

    /// Two schemas (namespaces) of one name are one.
    fn create_namespace(&mut self, id: TableId) -> Result<()> {
        let Some(name) = namespace(self.theirs, id)? else { return Ok(()) };
        if !self.merged.transaction.snapshot().namespaces()?.contains(&name) {
            self.merged.transaction.create_namespace(&name)?;
            self.note(&name, "created", (0, 0));
        }
        self.follow_comment(&name)
    }

    /// What theirs says of a schema, where ours said nothing else since.
    fn follow_comment(&mut self, name: &str) -> Result<()> {
        let of = |at: &Snapshot| at.namespace_comment(name);
        let (base, ours, theirs) = (of(self.base)?, of(self.ours)?, of(self.theirs)?);
        if theirs != ours && (ours == base || ours.is_none()) {
            self.merged.transaction.comment_namespace(name, theirs);
        }
        Ok(())
    }

    /// Whether a relation of theirs can have its name here. Where another has it, it is a conflict.
    fn make_free(&mut self, theirs: &Relation, own: Option<TableId>) -> Result<bool> {
        let (namespace, name) = theirs.name();
        let snapshot = self.merged.transaction.snapshot();
        if !snapshot.namespaces()?.iter().any(|known| known == namespace) {
            self.merged.transaction.create_namespace(namespace)?;
        }
        let Some(there) = snapshot.relation(namespace, name)?.filter(|r| Some(r.id()) != own)
        else {
            return Ok(true);
        };
        // What theirs renamed or dropped makes room when its turn comes, here already.
        if relation(self.theirs, there.id())?.is_some_and(|r| r.name() != theirs.name()) {
            self.object_of(there.id())?;
            if relation(&self.merged.transaction.snapshot(), there.id())?
                .is_none_or(|r| r.name() != theirs.name())
            {
                return Ok(true);
            }
        }
        let why = "both sides have a relation of this name";
        match self.conflict(theirs.id(), self.theirs, why)? {
            Pick::Ours => Ok(false),
            Pick::Theirs => {
                self.merged.transaction.drop_relation(&there);
                Ok(true)
            }
        }
    }

    fn object_of(&mut self, id: TableId) -> Result<()> {
        let stood = self.our_tables.as_ref().is_some_and(|tables| !tables.contains(&id));
        self.both(id, stood)
    }

    fn both(&mut self, id: TableId, ours_stood: bool) -> Result<()> {
        if self.merged.transaction.has_taken(id) {
            return Ok(());
        }
        match (relation(self.ours, id)?, relation(self.theirs, id)?) {
            (Some(Relation::Table(ours)), Some(Relation::Table(theirs))) => {
                self.tables(&ours, &theirs, ours_stood)
            }
            (Some(Relation::View(ours)), Some(Relation::View(theirs))) if *ours != *theirs => {
                let stands = match relation(self.base, id)? {
                    Some(Relation::View(base)) if *base == *ours => Pick::Theirs,
                    Some(Relation::View(base)) if *base == *theirs => Pick::Ours,
                    _ => self.conflict(id, self.ours, "the view was changed on both sides")?,
                };
                if stands == Pick::Theirs {
                    self.merged.transaction.alter_view(&ours, theirs.as_ref().clone())?;
                    self.note(&theirs.name, "changed", (0, 0));
                }
                Ok(())
            }
            (Some(Relation::Sequence(ours)), Some(Relation::Sequence(theirs)))
                if *ours != *theirs =>
            {
                let stands = match relation(self.base, id)? {
                    Some(Relation::Sequence(base)) if *base == *ours => Pick::Theirs,
                    Some(Relation::Sequence(base)) if *base == *theirs => Pick::Ours,
                    _ => self.conflict(id, self.ours, "the sequence was changed on both sides")?,
                };
                if stands == Pick::Theirs {
                    self.merged.transaction.alter_sequence(&ours, theirs.as_ref().clone())?;
                    self.note(&theirs.name, "changed", (0, 0));
                }
                Ok(())
            }
            _ => match namespace(self.theirs, id)? {
                Some(name) => self.follow_comment(&name),
                None => Ok(()),
            },
        }
    }

    fn tables(&mut self, ours: &Arc<Table>, theirs: &Arc<Table>, ours_stood: bool) -> Result<()> {
        let base = self.base.table_by_id(ours.id())?;
        let since: CommitId = self.base.commit();
        if let (true, Some(base)) = (ours_stood, &base) {
            let (added, deleted) = count(ours, theirs, since)?;
            let mut taken = whole(theirs, theirs.schema(), &[ours, base]);
            (taken.added_rows, taken.deleted_rows) = (added, deleted);
            return self.take(ours, taken);
        }
        let empty = || Arc::new(Table::empty(ours.store().clone(), Arc::clone(ours.schema())));
        let base = base.unwrap_or_else(empty);
        let joined = join(&base, (ours, theirs), since, self.of, self.prefer)?;
        self.merged.conflicts.extend(joined.conflicts);
        let Some(taken) = joined.taken else { return Ok(()) };
        let rules = new_rules(taken.table.schema(), ours.schema(), theirs.schema())?;
        if rules != (NewRules { table: rules.table, ..NewRules::default() }) {
            self.merged.rules.push(rules);
        }
        self.take(ours, taken)?;
        write_again(&mut self.merged.transaction, ours, theirs, &joined.rewritten)
    }

    fn take(&mut self, ours: &Table, mut taken: crate::store::commit::Taken) -> Result<()> {
        let renamed = (&ours.schema().namespace, &ours.schema().name)
            != (&taken.table.schema().namespace, &taken.table.schema().name);
        let relation = Relation::Table(Arc::clone(&taken.table));
        if renamed && !self.make_free(&relation, Some(ours.id()))? {
            let mut kept = taken.table.as_ref().clone();
            kept.rename_as(ours.schema());
            taken.table = Arc::new(kept);
        }
        let counts = (taken.added_rows, taken.deleted_rows);
        let same_shape = taken.table.schema().id == ours.schema().id;
        if counts == (0, 0) && same_shape {
            return Ok(());
        }
        let name = taken.table.schema().name.clone();
        self.merged.transaction.take_over(taken)?;
        self.note(&name, if renamed { "renamed" } else { "changed" }, counts);
        Ok(())
    }
}

pub(super) fn object_at(at: &Snapshot, id: TableId) -> Result<Option<Object>> {
    let view = at.store().shared.log.read()?;
    catalog::object(&view, at.point.root, id)
}

fn is_table(object: Option<Object>) -> bool {
    matches!(object, Some(Object::Table(..)))
}

fn relation(at: &Snapshot, id: TableId) -> Result<Option<Relation>> {
    at.relation_by_id(id)
}

fn namespace(at: &Snapshot, id: TableId) -> Result<Option<String>> {
    let view = at.store().shared.log.read()?;
    match catalog::object(&view, at.point.root, id)? {
        Some(Object::Namespace(_, record)) => Ok(Some(catalog::view(&view, record)?.namespace)),
        _ => Ok(None),
    }
}
