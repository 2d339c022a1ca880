//! The names of a query's results, as PostgreSQL gives them.
//!
//! DataFusion names `count(*)` after its text and refuses two results of one name. So results get
//! aliases before planning: PostgreSQL's name, and where that alone could clash a mark and a number
//! behind it, which [`shown`] takes off again.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Ident, Query, Select, SelectItem, SetExpr, TrimWhereField, Value,
};

/// What begins the part of a name that is not shown. No client can type it into a name by accident.
const MARK: char = '\u{1}';

/// The name to show for a column of a plan.
pub fn shown(column: &str) -> &str {
    column.split(MARK).next().unwrap_or(column)
}

/// Gives the results of a query PostgreSQL's names. To be called on the statement's own query,
/// before `rewrite`.
pub fn name_outputs(query: &mut Query) {
    name_query(query, false);
}

/// The same for a query that others name the results of: a view's, one in FROM. Its names have no
/// mark, unless two of them are the same.
pub fn name_inner(query: &mut Query) {
    name_query(query, true);
}

fn name_query(query: &mut Query, is_inner: bool) {
    name_set(&mut query.body, is_inner);
    for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
        name_inner(&mut cte.query);
    }
}

fn name_set(body: &mut SetExpr, is_inner: bool) {
    match body {
        SetExpr::Select(select) => name_select(select, is_inner),
        SetExpr::Query(query) => name_query(query, is_inner),
        SetExpr::SetOperation { left, right, .. } => {
            // The left side's names are the result's; the right side's must only differ.
            name_set(left, is_inner);
            name_set(right, is_inner);
        }
        _ => {}
    }
}

fn name_select(select: &mut Select, is_inner: bool) {
    let is_wildcard = |item: &SelectItem| {
        matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _))
    };
    let has_wildcard =
        !is_inner && select.projection.iter().any(is_wildcard) && select.projection.len() > 1;
    let mut seen = Repeated::default();
    for item in &mut select.projection {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
            _ => continue,
        };
        let name = match &alias {
            Some(alias) if alias.quote_style.is_some() => alias.value.clone(),
            Some(alias) => alias.value.to_lowercase(),
            None => name_of(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name),
        };
        let count = seen.count(&name);
        let is_plain = match expr {
            Expr::Identifier(ident) => !is_call(ident),
            Expr::CompoundIdentifier(_) => true,
            _ => false,
        };
        if count == 1 && !has_wildcard && (alias.is_some() || is_plain) {
            continue;
        }
        let unique = match count {
            1 if !has_wildcard => name,
            n => marked(&name, n),
        };
        let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', unique) };
    }
}

fn marked(name: &str, count: usize) -> String {
    format!("{name}{MARK}{count}")
}

/// Names of columns, which PostgreSQL lets repeat.
#[derive(Default)]
pub struct Repeated(HashMap<String, usize>);

impl Repeated {
    /// The name as a plan wants it: different from those before; [`shown`] is what it was.
    pub fn named(&mut self, name: String) -> String {
        match self.count(&name) {
            1 => name,
            n => marked(&name, n),
        }
    }

    fn count(&mut self, name: &str) -> usize {
        let count = self.0.entry(name.to_owned()).or_insert(0);
        *count += 1;
        *count
    }
}

/// PostgreSQL's reserved words that the parser takes for columns.
pub(super) fn is_call(ident: &Ident) -> bool {
    let word = ident.value.to_lowercase();
    let known = matches!(word.as_str(), "current_schema" | "current_role" | "system_user");
    known && ident.quote_style.is_none()
}

/// The name an expression suggests, and whether it is better than the name of a type.
fn name_of(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match expr {
        Expr::Identifier(ident) => Some((ident_name(ident), true)),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| (ident_name(ident), true)),
        Expr::Function(function) => {
            let ident = function.name.0.last().and_then(|part| part.as_ident())?;
            Some((ident_name(ident), true))
        }
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
            match name_of(expr) {
                Some((name, true)) => Some((name, true)),
                _ => Some((type_name(data_type), false)),
            }
        }
        Expr::TypedString(typed) => Some((type_name(&typed.data_type), false)),
        Expr::Interval(_) => Some(("interval".to_owned(), false)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(name_of) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        Expr::Nested(inner) => name_of(inner),
        Expr::Collate { expr, .. } => name_of(expr),
        Expr::CompoundFieldAccess { root, .. } => name_of(root),
        Expr::Subquery(query) => subquery_name(query),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => {
            Some(("bool".to_owned(), false))
        }
        Expr::Array(_) => strong("array"),
        Expr::Exists { .. } => strong("exists"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Position { .. } => strong("position"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Tuple(_) => strong("row"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            Some(TrimWhereField::Both) | None => "btrim",
        }),
        _ => None,
    }
}

fn ident_name(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn subquery_name(query: &Query) -> Option<(String, bool)> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    match select.projection.first()? {
        SelectItem::UnnamedExpr(expr) => name_of(expr),
        SelectItem::ExprWithAlias { alias, .. } => Some((ident_name(alias), true)),
        _ => None,
    }
}

fn type_name(of: &DataType) -> String {
    let spelled = match of {
        DataType::Custom(name, _) => match name.0.last().and_then(|part| part.as_ident()) {
            Some(ident) => return ident_name(ident),
            None => return "?column?".to_owned(),
        },
        DataType::Regclass => return "regclass".to_owned(),
        DataType::Char(_) | DataType::Character(_) => return "bpchar".to_owned(),
        other => other.to_string(),
    };
    match super::types::by_spelling(&spelled) {
        Some(of) => of.name.trim_start_matches('_').to_owned(),
        None => spelled.to_lowercase(),
    }
}
