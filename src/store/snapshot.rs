//! The database as of one commit: a value that is passed down, never looked up again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use std::collections::HashMap;

use super::Store;
use super::catalog::{self, Object};
use super::readers::Guard;
use super::shown::Shows;
use super::table::{Table, TableSegment, TableState};
use super::temporary::TEMPORARY_NAMESPACE;
use crate::error::{Error, ErrorKind, Result};
use crate::log::deletes::Deletes;
use crate::log::{self, Records, ancestry, deletes, versions};
use crate::spec::{
    Commit, CommitId, LineId, RefKind, Sequence, TableId, TableSchema, TableVersion, VersionId,
    View, ref_label,
};

/// Where a snapshot stands: one commit, and what was read of it so far.
pub(super) struct Point {
    pub commit: CommitId,
    pub time_us: i64,
    pub line: LineId,
    /// The table whose branch the commit was made on.
    pub only: Option<TableId>,
    pub root: u64,
    /// What names stand for; a new head takes over what its commit did not change.
    relations: Mutex<HashMap<(String, String), Option<Kept>>>,
}

/// A relation as a point keeps it: without the store, which keeps the point.
#[derive(Clone)]
enum Kept {
    Table(TableState),
    View(Arc<View>),
    Sequence(Arc<Sequence>),
}

/// What a name stands for.
#[derive(Clone)]
pub enum Relation {
    /// A table.
    Table(Arc<Table>),
    /// A view.
    View(Arc<View>),
    /// A sequence.
    Sequence(Arc<Sequence>),
}

/// The changes of an open transaction, on top of a commit.
#[derive(Clone, Default)]
pub(super) struct Overlay {
    /// Tables that were made or changed.
    pub tables: BTreeMap<TableId, Arc<Table>>,
    /// Views that were made or changed.
    pub views: BTreeMap<TableId, Arc<View>>,
    /// Sequences that were made or changed.
    pub sequences: BTreeMap<TableId, Arc<Sequence>>,
    /// Those of `tables` that no commit hears of.
    pub temporary: BTreeSet<TableId>,
    /// Namespaces that are gone.
    pub dropped_namespaces: Vec<String>,
    /// Namespaces that were made.
    pub namespaces: Vec<String>,
    /// What was said of namespaces.
    pub namespace_comments: BTreeMap<String, Option<String>>,
    /// Sequences that count anew, and the counts that nobody else sees.
    pub restarted: BTreeMap<TableId, TableId>,
    /// What is gone, by id.
    pub dropped: Vec<TableId>,
    /// Names that were given, with what they stand for; None where a name is free again.
    pub names: BTreeMap<(String, String), Option<TableId>>,
}

/// The database as of one commit.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) store: Store,
    pub(super) point: Arc<Point>,
    /// The ref it was reached through.
    pub(super) reference: Option<(Arc<str>, RefKind)>,
    pub(super) overlay: Option<Arc<Overlay>>,
    /// Keeps what it shows.
    pub(super) guard: Arc<Guard>,
    /// The tables that could be read at this commit when it was opened.
    pub(super) shows: Shows,
    /// Where every branch stood when it was taken: the other branches stand still with it.
    pub(super) heads: Heads,
    /// The branch that this transaction writes, where it is not this one.
    pub(super) written: Option<Arc<Snapshot>>,
}

/// Every branch's newest point; a copy shares structure.
pub(super) type Heads = imbl::HashMap<String, Arc<Point>>;

impl Point {
    pub(super) fn of(commit: &Commit) -> Point {
        Point {
            commit: commit.id,
            time_us: commit.time_us,
            line: commit.line,
            only: commit.only,
            root: commit.root,
            relations: Mutex::default(),
        }
    }

    /// The point after a commit that changed these tables and nothing else.
    pub(super) fn after(
        parent: &Point,
        commit: &Commit,
        tables: &[Arc<Table>],
        names_changed: bool,
    ) -> Point {
        let point = Point::of(commit);
        if !names_changed {
            let mut relations = parent.relations.lock().clone();
            for table in tables {
                let at = (table.schema.namespace.clone(), table.schema.name.clone());
                relations.insert(at, Some(Kept::Table(table.state())));
            }
            *point.relations.lock() = relations;
        }
        point
    }

    /// Reads a table anew when it is next asked for.
    pub(super) fn forget(&self, table: TableId) {
        let is_it = |kept: &Option<Kept>| matches!(kept, Some(Kept::Table(state)) if state.table_id() == table);
        self.relations.lock().retain(|_, kept| !is_it(kept));
    }
}

impl Snapshot {
    /// The commit.
    pub fn commit(&self) -> CommitId {
        self.point.commit
    }

    /// When it became visible: µs since 1970-01-01 UTC.
    pub fn time_us(&self) -> i64 {
        self.point.time_us
    }

    /// The branch or tag it was reached through; None for a commit or a time.
    pub fn reference(&self) -> Option<(&str, RefKind)> {
        self.reference.as_ref().map(|(name, kind)| (name.as_ref(), *kind))
    }

    /// Whether it shows changes of a transaction that has not committed.
    pub fn is_changed(&self) -> bool {
        self.overlay.is_some()
    }

    /// The same without the changes of a transaction.
    pub fn as_committed(self) -> Snapshot {
        Snapshot { overlay: None, written: None, ..self }
    }

    /// The same, where `t@branch` shows what a transaction wrote on that branch.
    pub fn with_written(self, written: Snapshot) -> Snapshot {
        Snapshot { written: Some(Arc::new(written)), ..self }
    }

    /// A branch as it stood when this snapshot was taken, this one and the one written included.
    ///
    /// # Errors
    /// SnapshotExpired where the branch moved on and what it was then is not kept.
    pub(super) fn branch(&self, name: &str) -> Result<Option<Snapshot>> {
        let is = |of: &Snapshot| of.reference().is_some_and(|(own, _)| own == name);
        if is(self) {
            return Ok(Some(self.clone()));
        }
        if let Some(written) = self.written.as_deref().filter(|written| is(written)) {
            return Ok(Some(written.clone()));
        }
        let Some(point) = self.heads.get(name).map(Arc::clone) else { return Ok(None) };
        let reference = Some((name.into(), RefKind::Branch));
        let (heads, written) = (self.heads.clone(), self.written.clone());
        let held = self.store.readable(point.commit, self)?;
        Ok(Some(Snapshot { point, reference, heads, written, ..held }))
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What a name stands for.
    pub fn relation(&self, namespace: &str, name: &str) -> Result<Option<Relation>> {
        if let Some(overlay) = &self.overlay
            && let Some(named) = overlay.names.get(&(namespace.to_owned(), name.to_owned()))
        {
            return named.map(|id| self.relation_by_id(id)).transpose().map(Option::flatten);
        }
        let relation = self.committed(namespace, name)?;
        let Some(overlay) = &self.overlay else { return Ok(relation) };
        Ok(relation.filter(|r| !overlay.dropped.contains(&r.id())).map(|r| overlay.latest(r)))
    }

    /// The table of this name.
    pub fn table(&self, namespace: &str, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(match self.relation(namespace, name)? {
            Some(Relation::Table(table)) => Some(table),
            Some(Relation::View(_) | Relation::Sequence(_)) | None => None,
        })
    }

    /// A sequence as it counts here: apart from all others where this transaction restarted it.
    pub fn counting(&self, sequence: &Sequence) -> Sequence {
        let apart = self.overlay.as_ref().and_then(|o| o.restarted.get(&sequence.id).copied());
        Sequence { id: apart.unwrap_or(sequence.id), ..sequence.clone() }
    }

    /// The table, view or sequence of this id, whatever its name is here.
    pub fn relation_by_id(&self, id: TableId) -> Result<Option<Relation>> {
        if let Some(overlay) = &self.overlay {
            if let Some(found) = overlay.relation(id) {
                return Ok(Some(found));
            }
            if overlay.dropped.contains(&id) {
                return Ok(None);
            }
        }
        let view = self.store.shared.log.read()?;
        match catalog::object(&view, self.point.root, id)? {
            Some(Object::Table(..)) => Ok(self.table_by_id(id)?.map(Relation::Table)),
            Some(object) => self.store.relation_of(&view, object),
            None => Ok(None),
        }
    }

    /// The table of this id, whatever its name is here.
    pub fn table_by_id(&self, id: TableId) -> Result<Option<Arc<Table>>> {
        if let Some(overlay) = &self.overlay {
            if let Some(table) = overlay.tables.get(&id) {
                return Ok(Some(Arc::clone(table)));
            }
            if overlay.dropped.contains(&id) {
                return Ok(None);
            }
        }
        let view = self.store.shared.log.read()?;
        match catalog::object(&view, self.point.root, id)? {
            Some(Object::Table(_, version)) => {
                self.check_kept(id)?;
                self.guarded(&view, version).map(Some)
            }
            Some(Object::View(..) | Object::Sequence(..) | Object::Namespace(..)) | None => {
                Ok(None)
            }
        }
    }

    /// All tables, views and sequences, in the order they were made.
    pub fn relations(&self) -> Result<Vec<Relation>> {
        let view = self.store.shared.log.read()?;
        let mut found = Vec::new();
        for object in catalog::objects(&view, self.point.root)? {
            match object {
                Object::Table(id, version) => {
                    if self.shows.has(id) {
                        found.push(Relation::Table(self.guarded(&view, version)?));
                    }
                }
                other => found.extend(self.store.relation_of(&view, other)?),
            }
        }
        if let Some(overlay) = &self.overlay {
            found.retain(|r| !overlay.dropped.contains(&r.id()));
            found = found.into_iter().map(|r| overlay.latest(r)).collect();
            let known: Vec<TableId> = found.iter().map(Relation::id).collect();
            let tables = overlay.tables.values().cloned().map(Relation::Table);
            let views = overlay.views.values().cloned().map(Relation::View);
            let sequences = overlay.sequences.values().cloned().map(Relation::Sequence);
            let made = tables.chain(views).chain(sequences);
            found.extend(made.filter(|r| !known.contains(&r.id())));
        }
        Ok(found)
    }

    /// All views.
    pub fn views(&self) -> Result<Vec<Arc<View>>> {
        let view = self.store.shared.log.read()?;
        let mut found = Vec::new();
        for object in catalog::objects(&view, self.point.root)? {
            if let Object::View(_, record) = object {
                found.push(Arc::new(catalog::view(&view, record)?));
            }
        }
        if let Some(overlay) = &self.overlay {
            let is_known = |view: &Arc<View>| {
                overlay.dropped.contains(&view.id) || overlay.views.contains_key(&view.id)
            };
            found.retain(|view| !is_known(view));
            found.extend(overlay.views.values().cloned());
        }
        Ok(found)
    }

    /// What was said of a schema (namespace).
    pub fn namespace_comment(&self, name: &str) -> Result<Option<String>> {
        let said = self.overlay.as_ref().and_then(|o| o.namespace_comments.get(name));
        if let Some(comment) = said {
            return Ok(comment.clone());
        }
        let view = self.store.shared.log.read()?;
        for object in catalog::objects(&view, self.point.root)? {
            if let Object::Namespace(_, record) = object {
                let known = catalog::view(&view, record)?;
                if known.namespace == name {
                    return Ok(known.comment);
                }
            }
        }
        Ok(None)
    }

    /// The schemas (namespaces), the default one first.
    pub fn namespaces(&self) -> Result<Vec<String>> {
        let view = self.store.shared.log.read()?;
        let mut names = vec![catalog::DEFAULT_NAMESPACE.to_owned()];
        for object in catalog::objects(&view, self.point.root)? {
            if let Object::Namespace(id, record) = object
                && !self.overlay.as_ref().is_some_and(|o| o.dropped.contains(&id))
            {
                names.push(catalog::view(&view, record)?.namespace);
            }
        }
        // The default one has a record once it has a comment.
        let mut seen = 0;
        names.retain(|name| {
            seen += usize::from(name == catalog::DEFAULT_NAMESPACE);
            name != catalog::DEFAULT_NAMESPACE || seen == 1
        });
        if let Some(overlay) = &self.overlay {
            names.extend(overlay.namespaces.iter().cloned());
            names.retain(|name| !overlay.dropped_namespaces.contains(name));
            if !overlay.temporary.is_empty() {
                names.push(TEMPORARY_NAMESPACE.to_owned());
            }
        }
        Ok(names)
    }

    fn committed(&self, namespace: &str, name: &str) -> Result<Option<Relation>> {
        let at = (namespace.to_owned(), name.to_owned());
        let known = self.point.relations.lock().get(&at).cloned();
        if let Some(known) = known {
            if let Some(Kept::Table(state)) = &known {
                self.check_kept(state.table_id())?;
            }
            return Ok(known.map(|kept| kept.relation(&self.store, &self.guard)));
        }
        let view = self.store.shared.log.read()?;
        let check = |id| self.check_kept(id).map(|()| true);
        let found = self.store.named(&view, self.point.root, namespace, name, check)?;
        let kept = found.as_ref().map(Kept::of);
        self.point.relations.lock().insert(at, kept.clone());
        Ok(kept.map(|kept| kept.relation(&self.store, &self.guard)))
    }

    fn guarded(&self, view: &log::View, version: VersionId) -> Result<Arc<Table>> {
        let state = self.store.table_at(view, version)?.state();
        Ok(Arc::new(state.table(&self.store, Some(&self.guard))))
    }
}

impl Kept {
    fn of(relation: &Relation) -> Kept {
        match relation {
            Relation::Table(table) => Kept::Table(table.state()),
            Relation::View(view) => Kept::View(Arc::clone(view)),
            Relation::Sequence(sequence) => Kept::Sequence(Arc::clone(sequence)),
        }
    }

    fn relation(self, store: &Store, guard: &Arc<Guard>) -> Relation {
        match self {
            Kept::Table(state) => Relation::Table(Arc::new(state.table(store, Some(guard)))),
            Kept::View(view) => Relation::View(view),
            Kept::Sequence(sequence) => Relation::Sequence(sequence),
        }
    }
}

impl Overlay {
    /// What this transaction made or changed, by its id.
    fn relation(&self, id: TableId) -> Option<Relation> {
        let table = self.tables.get(&id).cloned().map(Relation::Table);
        let view = || self.views.get(&id).cloned().map(Relation::View);
        table.or_else(view).or_else(|| self.sequences.get(&id).cloned().map(Relation::Sequence))
    }

    fn latest(&self, relation: Relation) -> Relation {
        self.relation(relation.id()).unwrap_or(relation)
    }
}

impl Relation {
    /// The id.
    pub fn id(&self) -> TableId {
        match self {
            Relation::Table(table) => table.id(),
            Relation::View(view) => view.id,
            Relation::Sequence(sequence) => sequence.id,
        }
    }

    /// The schema (namespace) and the name.
    pub fn name(&self) -> (&str, &str) {
        match self {
            Relation::Table(table) => (&table.schema.namespace, &table.schema.name),
            Relation::View(view) => (&view.namespace, &view.name),
            Relation::Sequence(sequence) => (&sequence.namespace, &sequence.name),
        }
    }

    /// What it is, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Relation::Table(_) => "table",
            Relation::View(_) => "view",
            Relation::Sequence(_) => "sequence",
        }
    }
}

impl Store {
    /// What a name stands for under a root; `check` hears which table before it is read, and says whether
    /// it counts.
    pub(super) fn named(
        &self,
        records: &impl Records,
        root: u64,
        namespace: &str,
        name: &str,
        check: impl Fn(TableId) -> Result<bool>,
    ) -> Result<Option<Relation>> {
        for object in catalog::named(records, root, namespace, name)? {
            if let Object::Table(id, _) = object
                && !check(id)?
            {
                continue;
            }
            let Some(relation) = self.relation_of(records, object)? else { continue };
            if relation.name() == (namespace, name) {
                return Ok(Some(relation));
            }
        }
        Ok(None)
    }

    fn relation_of(&self, records: &impl Records, object: Object) -> Result<Option<Relation>> {
        Ok(Some(match object {
            Object::Table(_, version) => Relation::Table(self.table_at(records, version)?),
            Object::View(_, record) => Relation::View(Arc::new(catalog::view(records, record)?)),
            Object::Sequence(_, record) => {
                Relation::Sequence(Arc::new(catalog::sequence(records, record)?))
            }
            Object::Namespace(..) => return Ok(None),
        }))
    }

    /// A table in one of its states.
    pub(super) fn table_at(&self, view: &impl Records, id: VersionId) -> Result<Arc<Table>> {
        if let Some(state) = self.shared.tables.get(&id) {
            return Ok(Arc::new(state.table(self, None)));
        }
        let record = versions::get(view, id)?;
        let deletes = match record.deletes {
            Some(tip) => deletes::load(view, tip)?,
            None => Deletes::default(),
        };
        let mut segments = Vec::with_capacity(record.segments as usize);
        for entry in versions::segments(view, &record)? {
            let deleted = deletes.positions.get(&entry.segment).cloned();
            let meta = self.segment_meta(view, entry.segment)?;
            segments.push(TableSegment { meta, entry, deleted, visibility: None });
        }
        let schema = self.table_schema_from(view, &record)?;
        let table = Arc::new(self.table_of(schema, record, segments, deletes));
        self.shared.tables.insert(id, table.state());
        Ok(table)
    }

    fn table_schema_from(
        &self,
        records: &impl Records,
        record: &TableVersion,
    ) -> Result<Arc<TableSchema>> {
        if let Some(schema) = self.shared.schemas.get(&record.schema) {
            return Ok(schema);
        }
        let schema = Arc::new(catalog::schema(records, record.schema)?);
        self.shared.schemas.insert(record.schema, Arc::clone(&schema));
        Ok(schema)
    }

    pub(super) fn table_of(
        &self,
        schema: Arc<TableSchema>,
        record: TableVersion,
        segments: Vec<TableSegment>,
        deletes: Deletes,
    ) -> Table {
        Table {
            store: self.clone(),
            lines_of: schema.table,
            schema,
            rows: record.rows,
            record: Some(Arc::new(record)),
            segments: Arc::new(segments),
            deletes: Arc::new(deletes),
            pending: Arc::default(),
            inline_keys: Arc::default(),
            _guard: None,
        }
    }

    /// The point of a commit.
    pub(super) fn point(&self, id: CommitId) -> Result<Arc<Point>> {
        if let Some(point) = self.shared.points.get(&id.0) {
            return Ok(point);
        }
        let view = self.shared.log.read()?;
        let point = Arc::new(Point::of(&ancestry::commit(&view, id)?));
        self.shared.points.insert(id.0, Arc::clone(&point));
        Ok(point)
    }

    /// The head of a branch.
    ///
    /// # Errors
    /// UndefinedObject where there is no such branch.
    pub fn head(&self, branch: &str) -> Result<Snapshot> {
        let mut heads = self.shared.heads.read().clone();
        while let Some((name, head)) = heads.get_key_value(branch) {
            let named = Some((Arc::from(name.as_str()), RefKind::Branch));
            let shows = Shows::of_ref(name);
            let snapshot = self.snapshot_at(Arc::clone(head), named, shows);
            // A branch that moved on may have left this commit to expiry before it was held.
            let now = self.shared.heads.read().clone();
            if now.get(branch).is_some_and(|now| now.commit == head.commit) {
                return Ok(Snapshot { heads, ..snapshot });
            }
            heads = now;
        }
        let message = format!("branch \"{}\" does not exist", ref_label(branch));
        Err(Error::new(ErrorKind::UndefinedObject, message)
            .hint("SHOW BRANCHES lists those that do; CREATE BRANCH makes one"))
    }

    /// A snapshot, held from now on; the caller makes sure that the commit has not expired.
    pub(super) fn snapshot_at(
        &self,
        point: Arc<Point>,
        reference: Option<(Arc<str>, RefKind)>,
        shows: Shows,
    ) -> Snapshot {
        let guard = self.shared.readers.hold(point.commit);
        let (heads, store) = (self.shared.heads.read().clone(), self.clone());
        Snapshot { store, point, reference, overlay: None, guard, shows, heads, written: None }
    }
}
