//! Views that read a branch or tag by its name: it cannot go, or be called otherwise, under them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, TableFactor, Value, Visit, Visitor};

use crate::error::{Error, ErrorKind, Result};
use crate::parse::{self, Slot, TableVersionSpec, version_of};
use crate::plan::time_travel::name_parts;
use crate::spec::{RefKind, View, ViewUse, ref_label, ref_table};
use crate::store::Store;

/// `change` is what is asked for, in a word: drop, rename.
///
/// # Errors
/// DependentObjects where a view of any branch but this one reads the ref.
pub fn refuse_read(store: &Store, name: &str, kind: RefKind, change: &str) -> Result<()> {
    let label = ref_label(name);
    for branch in store.all_refs()? {
        if branch.kind != RefKind::Branch || branch.name == name {
            continue;
        }
        // Somebody may have dropped it since they were listed.
        let head = match store.head(&branch.name) {
            Err(error) if error.kind() == ErrorKind::UndefinedObject => continue,
            head => head?,
        };
        for view in head.views()? {
            if reads(store, &view, name, kind)? {
                let word = if kind == RefKind::Tag { "tag" } else { "branch" };
                let on = ref_label(&branch.name);
                let message =
                    format!("cannot {change} {word} {label} because other objects depend on it");
                return Err(Error::new(ErrorKind::DependentObjects, message)
                    .detail(format!("view {} of branch {on} reads {word} {label}", view.name))
                    .hint("drop the view first, or replace it by one that does not"));
            }
        }
    }
    Ok(())
}

fn reads(store: &Store, view: &View, name: &str, kind: RefKind) -> Result<bool> {
    let label = ref_label(name);
    // Names are written as they are, or quoted: most views need not be parsed.
    if !view.query.to_lowercase().contains(&label.to_lowercase()) {
        return Ok(false);
    }
    let word = if kind == RefKind::Tag { "tag" } else { "branch" };
    let suffix = format!("{word}_{label}");
    let mut named = Named { store, view, name, label, suffix };
    match parse::query(&view.query)?.visit(&mut named) {
        ControlFlow::Break(found) => found.map(|()| true),
        ControlFlow::Continue(()) => Ok(false),
    }
}

struct Named<'a> {
    store: &'a Store,
    view: &'a View,
    /// The ref's full name.
    name: &'a str,
    label: &'a str,
    suffix: String,
}

impl Visitor for Named<'_> {
    type Break = Result<()>;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Result<()>> {
        let TableFactor::Table { name, .. } = factor else { return ControlFlow::Continue(()) };
        let version = version_of(factor).ok().flatten();
        let parts = name_parts(name).unwrap_or_default();
        let in_name = parts.iter().any(|part| part.split('$').any(|part| part == self.suffix));
        if !in_name && !version.is_some_and(|version| self.is_named(&version)) {
            return ControlFlow::Continue(());
        }
        match self.is_meant(&parts) {
            Ok(false) => ControlFlow::Continue(()),
            Ok(true) => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }
}

impl Named<'_> {
    /// Whether what a factor calls so is this ref, not another table's of the same name.
    fn is_meant(&self, parts: &[String]) -> Result<bool> {
        let named = |used: &&ViewUse| parts.starts_with(&used.written) || in_one(parts, used);
        // Of several the longest says which table it is.
        let uses = self.view.uses.iter().filter(named);
        let Some(used) = uses.max_by_key(|used| used.written.len()) else {
            return Ok(ref_table(self.name).is_none());
        };
        let found = self.store.find_ref_of(Some(used.object), self.label)?;
        Ok(found.is_some_and(|found| found.name == self.name))
    }

    fn is_named(&self, version: &TableVersionSpec) -> bool {
        if version.within_name() == Some(self.label) {
            return true;
        }
        let Expr::Value(value) = &version.value else { return false };
        let Value::SingleQuotedString(text) = &value.value else { return false };
        let by_name = matches!(version.slot, Slot::Version | Slot::Branch | Slot::Tag | Slot::Ref);
        // `b~2` goes back from b.
        by_name && text.split('~').next() == Some(self.label)
    }
}

/// Whether the last part of a name is a table's with a version behind a dollar sign.
fn in_one(parts: &[String], used: &ViewUse) -> bool {
    let plain = |part: &String| part.split('$').next().unwrap_or_default().to_owned();
    parts.iter().map(plain).collect::<Vec<_>>().starts_with(&used.written)
}
