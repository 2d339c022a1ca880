//! MERGE: a join of two relations, and what happens to each of its rows.
//!
//! The join has every pair that ON lets meet, and what is left alone on a side that a WHEN asks for.
//! The first WHEN that fits a row is its number; a row that none fits, or that DO NOTHING takes, goes.
//! The values of each WHEN are evaluated for its own rows only.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr as SqlExpr, Ident, Join, JoinConstraint, JoinOperator,
    MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr, MergeInsertKind, ObjectName,
    OutputClause, Query, SelectItem, SetExpr, TableWithJoins, Value, VisitMut, VisitorMut, With,
};

use super::Scene;
use super::assign::cast_to_column;
use super::change::{Action, Changed, Changing};
use super::returning::Returning;
use super::target::Target;
use super::values::{Assigned, Evaluated, assigned_value, check_columns, default_of, numbered};
use crate::command::{Writing, generated};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::HIDDEN;
use crate::fault;
use crate::parse::{Merge, Overriding, does_nothing, fold};
use crate::plan::time_travel::name_parts;
use crate::plan::{Given, Selecting};
use crate::store::ROW_ID;

/// True on the rows of the source.
const SOURCE: &str = "asofdb source";
/// The number of the WHEN that takes a row.
const CLAUSE: &str = "asofdb clause";
/// What `merge_action()` reads.
const ACTION: &str = "asofdb action";

/// MERGE.
///
/// # Errors
/// As [`super::run`].
pub async fn merge(writing: &mut Writing<'_>, merge: &Merge) -> Result<Changed> {
    let changing = writing.scene().apart(merge, plan).await?;
    changing.run(writing).await
}

/// MERGE, planned.
///
/// # Errors
/// As [`super::run`].
pub fn plan(scene: &Scene<'_>, merge: &Merge) -> Result<Changing> {
    let tree = &merge.merge;
    let target = Target::of_factor(scene, &tree.table)?;
    let with = merge.with.as_ref();
    let from = TableWithJoins { relation: tree.source.clone(), joins: Vec::new() };
    target.refuse_name_again(std::slice::from_ref(&from))?;
    let source = source(scene, with, from)?;
    let source_width = source.plan.schema().fields().len() - 1;
    let clauses: Vec<MergeClause> =
        tree.clauses.iter().map(|clause| in_scope(clause, &target, &source)).collect();
    let whens = clauses.iter().map(|clause| When::new(scene, &target, clause));
    let whens: Vec<When> = whens.collect::<Result<_>>()?;
    let rows = joined(scene, with, &target, &source, (&tree.on, &clauses))?;
    let marked = SqlExpr::IsNotNull(Box::new(SqlExpr::Identifier(quoted(CLAUSE))));
    let values = whens.iter().enumerate().flat_map(|(i, when)| when.guarded(i)).collect();
    let evaluated = Evaluated::new(scene, with, &rows, values, Some(&marked))?;
    // The source's columns, its mark, the target's, the hidden ones, the clause.
    let table_at = source_width + 1;
    let width = target.schema().columns.len();
    let own: Vec<Expr> = (0..evaluated.width()).map(|at| evaluated.own(at)).collect();
    let hidden_at = table_at + width;
    let clause = own[hidden_at + HIDDEN.len()].clone();
    let mut exprs = new_rows(&target, &whens, &evaluated, &own[table_at..hidden_at], &clause)?;
    exprs.extend(own[hidden_at..hidden_at + HIDDEN.len()].iter().cloned());
    exprs.push(by_clause(&clause, whens.iter().map(|when| lit(when.action().number()))));
    let returning = match &tree.output {
        None => None,
        Some(OutputClause::Returning { select_items, .. }) => {
            exprs.extend(own[..source_width].iter().cloned());
            let besides = source.plan.schema().iter().take(source_width);
            Some(Returning::new(select_items, with, &target).besides(besides).of_merge())
        }
        Some(OutputClause::Output { .. }) => {
            return Err(
                Error::new(ErrorKind::Syntax, "OUTPUT is not PostgreSQL's").hint("write RETURNING")
            );
        }
    };
    let plan = LogicalPlanBuilder::from(evaluated.plan)
        .project(numbered(exprs))
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)?;
    Ok(Changing {
        moves_keys: whens.iter().any(|when| when.moves_keys(&target)),
        target,
        plan,
        action: None,
        twice_is_wrong: true,
        returning,
    })
}

/// What a WHEN does.
enum When {
    Update(Assigned),
    /// For each column its value; None is its default.
    Insert(Vec<Option<SqlExpr>>, Vec<Expr>),
    Delete,
    Nothing,
}

impl When {
    fn new(scene: &Scene<'_>, target: &Target, clause: &MergeClause) -> Result<When> {
        let schema = target.schema();
        match &clause.action {
            action if does_nothing(action) => Ok(When::Nothing),
            MergeAction::Delete { .. } => Ok(When::Delete),
            MergeAction::Update(update) => {
                if update.update_predicate.is_some() || update.delete_predicate.is_some() {
                    let message = "WHERE in WHEN … THEN UPDATE";
                    return Err(Error::new(ErrorKind::NotSupported, message)
                        .hint("write WHEN MATCHED AND …"));
                }
                Ok(When::Update(Assigned::new(schema, &update.assignments)?))
            }
            MergeAction::Insert(insert) => {
                let values = insert_values(target, insert)?;
                let default = |c| {
                    let value = default_of(&scene.reading, scene.state, c)?;
                    cast_to_column(value, c, &DFSchema::empty())
                };
                let defaults = schema.columns.iter().map(default).collect::<Result<_>>()?;
                Ok(When::Insert(values, defaults))
            }
        }
    }

    fn action(&self) -> Action {
        match self {
            When::Update(_) => Action::Update,
            When::Insert(..) => Action::Insert,
            // Rows of DO NOTHING never come so far.
            When::Delete | When::Nothing => Action::Delete,
        }
    }

    fn values(&self) -> Vec<SqlExpr> {
        match self {
            When::Update(assigned) => assigned.values(),
            When::Insert(values, _) => values.iter().flatten().cloned().collect(),
            When::Delete | When::Nothing => Vec::new(),
        }
    }

    /// The values, NULL on rows of another WHEN.
    fn guarded(&self, number: usize) -> Vec<SqlExpr> {
        let guard = |value: SqlExpr| {
            let condition = SqlExpr::BinaryOp {
                left: Box::new(SqlExpr::Identifier(quoted(CLAUSE))),
                op: BinaryOperator::Eq,
                right: Box::new(integer(number)),
            };
            case(vec![CaseWhen { condition, result: value }])
        };
        self.values().into_iter().map(guard).collect()
    }

    fn moves_keys(&self, target: &Target) -> bool {
        matches!(self, When::Update(assigned) if assigned.moves_keys(target.schema()))
    }
}

fn insert_values(target: &Target, insert: &MergeInsertExpr) -> Result<Vec<Option<SqlExpr>>> {
    let schema = target.schema();
    if insert.insert_predicate.is_some() {
        let message = "WHERE in WHEN … THEN INSERT";
        return Err(
            Error::new(ErrorKind::NotSupported, message).hint("write WHEN NOT MATCHED AND …")
        );
    }
    let row = match &insert.kind {
        MergeInsertKind::Values(values) if values.rows.len() == 1 => &values.rows[0].content,
        MergeInsertKind::Values(_) | MergeInsertKind::Row => {
            return Err(Error::new(
                ErrorKind::Syntax,
                "WHEN … THEN INSERT takes one row of VALUES",
            ));
        }
    };
    let named = |name: &ObjectName| Ok(name_parts(name)?.pop().unwrap_or_default());
    let names: Vec<String> = match insert.columns.is_empty() {
        true => schema.columns.iter().map(|c| c.name.clone()).collect(),
        false => insert.columns.iter().map(named).collect::<Result<_>>()?,
    };
    check_columns(schema, &names)?;
    if let MergeInsertKind::Values(values) = &insert.kind {
        generated::refuse_given(
            schema,
            &names,
            &SetExpr::Values(values.clone()),
            Overriding::Nothing,
        )?;
    }
    if row.len() > names.len() {
        let message = "INSERT has more expressions than target columns";
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    if row.len() < names.len() && !insert.columns.is_empty() {
        let message = "INSERT has more target columns than expressions";
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    let value = |column: &crate::spec::Column| {
        let at = names.iter().position(|name| *name == column.name);
        at.and_then(|at| row.get(at)).map(|value| assigned_value(Some(column), value)).transpose()
    };
    schema.columns.iter().map(value).collect()
}

/// The source's rows and their mark.
fn source(scene: &Scene<'_>, with: Option<&With>, from: TableWithJoins) -> Result<Given> {
    let mark = SelectItem::ExprWithAlias {
        expr: SqlExpr::value(Value::Boolean(true)),
        alias: quoted(SOURCE),
    };
    let items = vec![SelectItem::Wildcard(Default::default()), mark];
    let from = vec![from];
    let selecting = Selecting { with, from, items, ..Selecting::default() };
    let plan = scene.select(selecting)?;
    Ok(Given { name: "asofdb merge source".to_owned(), plan })
}

/// The join, and the number of the WHEN that takes each row.
fn joined(
    scene: &Scene<'_>,
    with: Option<&With>,
    target: &Target,
    source: &Given,
    (on, clauses): (&SqlExpr, &[MergeClause]),
) -> Result<Given> {
    let rows = target.rows()?;
    let on = JoinConstraint::On(on.clone());
    let has = |kinds: &[MergeClauseKind]| clauses.iter().any(|c| kinds.contains(&c.clause_kind));
    let by_target = has(&[MergeClauseKind::NotMatched, MergeClauseKind::NotMatchedByTarget]);
    let operator = match (by_target, has(&[MergeClauseKind::NotMatchedBySource])) {
        (true, true) => JoinOperator::FullOuter(on),
        (true, false) => JoinOperator::LeftOuter(on),
        (false, true) => JoinOperator::RightOuter(on),
        (false, false) => JoinOperator::Inner(on),
    };
    let mut from = source.factor()?;
    let relation = rows.factor()?.relation;
    from.joins.push(Join { relation, global: false, join_operator: operator });
    let cases = clauses.iter().enumerate().map(|(i, clause)| CaseWhen {
        condition: condition(target, clause),
        result: match does_nothing(&clause.action) {
            true => SqlExpr::value(Value::Null),
            false => integer(i),
        },
    });
    let clause = SelectItem::ExprWithAlias { expr: case(cases.collect()), alias: quoted(CLAUSE) };
    let items = vec![SelectItem::Wildcard(Default::default()), clause];
    let given = vec![source.clone(), rows];
    let selecting = Selecting { with, given, from: vec![from], items, ..Selecting::default() };
    let plan = scene.select(selecting)?;
    Ok(Given { name: "asofdb merged".to_owned(), plan })
}

/// A WHEN about rows of one side sees that side alone: its bare names get the side's qualifier.
fn in_scope(clause: &MergeClause, target: &Target, source: &Given) -> MergeClause {
    let mut clause = clause.clone();
    let mut names = HashMap::new();
    match clause.clause_kind {
        MergeClauseKind::Matched => return clause,
        MergeClauseKind::NotMatchedBySource => {
            for column in &target.schema().columns {
                names.insert(column.name.clone(), target.alias.clone());
            }
        }
        MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => {
            for (relation, field) in source.plan.schema().iter() {
                if let Some(relation) = relation {
                    names.insert(field.name().clone(), relation.table().to_owned());
                }
            }
        }
    }
    let _ = clause.visit(&mut Qualify { names, depth: 0 });
    clause
}

struct Qualify {
    /// The qualifier of each name.
    names: HashMap<String, String>,
    /// Sub-selects around: names in them may be their own.
    depth: usize,
}

impl VisitorMut for Qualify {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::Identifier(ident) = expr
            && self.depth == 0
            && let Some(qualifier) = self.names.get(&fold(ident))
        {
            *expr = SqlExpr::CompoundIdentifier(vec![quoted(qualifier), ident.clone()]);
        }
        ControlFlow::Continue(())
    }
}

/// When a WHEN takes a row.
fn condition(target: &Target, clause: &MergeClause) -> SqlExpr {
    let row_id = SqlExpr::CompoundIdentifier(vec![quoted(&target.alias), quoted(ROW_ID)]);
    let mark = SqlExpr::Identifier(quoted(SOURCE));
    let matched = match clause.clause_kind {
        MergeClauseKind::Matched => {
            and(SqlExpr::IsNotNull(Box::new(row_id)), SqlExpr::IsNotNull(Box::new(mark)))
        }
        MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => {
            SqlExpr::IsNull(Box::new(row_id))
        }
        MergeClauseKind::NotMatchedBySource => SqlExpr::IsNull(Box::new(mark)),
    };
    match &clause.predicate {
        Some(predicate) => and(matched, SqlExpr::Nested(Box::new(predicate.clone()))),
        None => matched,
    }
}

/// The new row, column by column: of an UPDATE and an INSERT its values, of a DELETE the old ones.
fn new_rows(
    target: &Target,
    whens: &[When],
    evaluated: &Evaluated,
    old: &[Expr],
    clause: &Expr,
) -> Result<Vec<Expr>> {
    let schema = target.schema();
    let mut values = evaluated.values();
    let plan = evaluated.plan.schema();
    let rows: Vec<Vec<Expr>> = whens
        .iter()
        .map(|when| {
            let own: Vec<Expr> = values.drain(..when.values().len()).collect();
            match when {
                When::Update(assigned) => assigned.row(schema, plan, &own, old),
                When::Insert(named, defaults) => {
                    Assigned(named.clone()).row(schema, plan, &own, defaults)
                }
                When::Delete | When::Nothing => Ok(old.to_vec()),
            }
        })
        .collect::<Result<_>>()?;
    let by_clause = |at: usize| by_clause(clause, rows.iter().map(|row| row[at].clone()));
    Ok((0..old.len()).map(by_clause).collect())
}

/// One of several expressions, by the number of the WHEN.
fn by_clause(clause: &Expr, exprs: impl Iterator<Item = Expr>) -> Expr {
    let whens =
        exprs.enumerate().map(|(i, expr)| (Box::new(lit(i as i64)), Box::new(expr))).collect();
    Expr::Case(Case::new(Some(Box::new(clause.clone())), whens, None))
}

/// Replaces `merge_action()` by the column that has it; its name where it was asked for.
pub(super) fn name_action(items: &mut [SelectItem]) -> Option<String> {
    struct Calls(bool);
    impl VisitorMut for Calls {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
            if is_action(expr) {
                *expr = SqlExpr::Identifier(quoted(ACTION));
                self.0 = true;
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls(false);
    for item in items {
        if let SelectItem::UnnamedExpr(expr) = item
            && is_action(expr)
        {
            let alias = Ident::with_quote('"', "merge_action");
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
        let _ = item.visit(&mut calls);
    }
    calls.0.then(|| ACTION.to_owned())
}

fn is_action(expr: &SqlExpr) -> bool {
    matches!(expr, SqlExpr::Function(function)
        if function.name.to_string().eq_ignore_ascii_case("merge_action"))
}

fn and(left: SqlExpr, right: SqlExpr) -> SqlExpr {
    SqlExpr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

fn case(conditions: Vec<CaseWhen>) -> SqlExpr {
    SqlExpr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions,
        else_result: None,
    }
}

fn integer(number: usize) -> SqlExpr {
    SqlExpr::value(Value::Number(number.to_string(), false))
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}
