//! Views that read a branch or tag by its name: it cannot go, or be called otherwise, under them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, TableFactor, Value, Visit, Visitor};

use crate::error::{Error, ErrorKind, Result};
use crate::parse::{self, Slot, TableVersionSpec, version_of};
use crate::plan::time_travel::name_parts;
use crate::spec::{RefKind, View, ref_label, ref_table};
use crate::store::Store;

/// `change` is what is asked for, in a word: drop, rename.
///
/// # Errors
/// DependentObjects where a view of any branch but this one reads the ref.
pub fn refuse_read(store: &Store, name: &str, kind: RefKind, change: &str) -> Result<()> {
    let (label, table) = (ref_label(name), ref_table(name));
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
            let of_table = table.is_none_or(|table| view.uses.iter().any(|u| u.object == table));
            if of_table && reads(&view, label, kind)? {
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

fn reads(view: &View, label: &str, kind: RefKind) -> Result<bool> {
    // Names are written as they are, or quoted: most views need not be parsed.
    if !view.query.to_lowercase().contains(&label.to_lowercase()) {
        return Ok(false);
    }
    let word = if kind == RefKind::Tag { "tag" } else { "branch" };
    let mut named = Named { label, suffix: format!("{word}_{label}") };
    Ok(parse::query(&view.query)?.visit(&mut named).is_break())
}

struct Named<'a> {
    label: &'a str,
    suffix: String,
}

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, .. } = factor else { return ControlFlow::Continue(()) };
        let version = version_of(factor).ok().flatten();
        let parts = name_parts(name).unwrap_or_default();
        let in_name = parts.iter().any(|part| part.split('$').any(|part| part == self.suffix));
        match in_name || version.is_some_and(|version| self.is_named(&version)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Named<'_> {
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
