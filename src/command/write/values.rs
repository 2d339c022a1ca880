//! Values on their way into columns: DEFAULT, literals that take their column's type, and what SET
//! assigns.

use std::fmt::Display;

use arrow::array::ArrayRef;
use datafusion::common::{Column as PlanColumn, DFSchema, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, cast};
use datafusion::sql::sqlparser::ast::{
    self, Assignment, AssignmentTarget, Expr as SqlExpr, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, ObjectName, Query, SelectItem, SetExpr, With,
};

use super::Scene;
use super::assign::cast_to_column;
use crate::command::{Writing, generated};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse;
use crate::plan::query::plan_constant;
use crate::plan::time_travel::{constant, name_parts};
use crate::plan::{Given, Reading, Selecting};
use crate::spec::{Column, Generated, TableSchema, Type};

/// # Errors
/// UndefinedColumn, DuplicateColumn.
pub fn check_columns(schema: &TableSchema, names: &[String]) -> Result<()> {
    for (i, name) in names.iter().enumerate() {
        if schema.column_named(name).is_none() {
            return Err(Error::new(
                ErrorKind::UndefinedColumn,
                format!("column \"{name}\" of relation \"{}\" does not exist", schema.name),
            ));
        }
        if names[..i].contains(name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(ErrorKind::DuplicateColumn, message));
        }
    }
    Ok(())
}

/// The value of a column that a row does not name: its DEFAULT, else NULL.
///
/// # Errors
/// Whatever planning the DEFAULT gives.
pub fn default_of(reading: &Reading, state: &SessionState, column: &Column) -> Result<Expr> {
    match &column.default {
        None => Ok(Expr::Literal(ScalarValue::Null, None)),
        Some(text) => plan_constant(reading, state, &parse::expression(text)?),
    }
}

/// The DEFAULT of a column as an array of so many rows, evaluated once.
///
/// # Errors
/// Whatever evaluating the DEFAULT gives.
pub fn default_array(writing: &Writing<'_>, column: &Column, rows: usize) -> Result<ArrayRef> {
    let storage = column.data_type.arrow();
    let expr = cast(default_of(&writing.reading, writing.state, column)?, storage.clone());
    let value = constant(&writing.reading, writing.state, expr)?;
    let value = value.unwrap_or(ScalarValue::Null).cast_to(&storage);
    value.and_then(|v| v.to_array_of_size(rows)).map_err(fault::of_datafusion)
}

/// DEFAULT among VALUES becomes the column's default; a text literal is of the column's type, as
/// PostgreSQL has it, whatever stands in the rows beside it.
///
/// # Errors
/// Syntax where a DEFAULT of the table does not parse.
pub fn fill_defaults(schema: &TableSchema, names: &[String], body: &mut SetExpr) -> Result<()> {
    let column = |at: usize| schema.column_named(names.get(at)?).map(|(_, column)| column);
    match body {
        SetExpr::Values(values) => {
            for row in &mut values.rows {
                for (at, value) in row.content.iter_mut().enumerate() {
                    *value = assigned_value(column(at), value)?;
                }
            }
        }
        SetExpr::Select(select) => {
            for (at, item) in select.projection.iter_mut().enumerate() {
                let (SelectItem::UnnamedExpr(value)
                | SelectItem::ExprWithAlias { expr: value, .. }) = item
                else {
                    // What `*` stands for is not known here, nor which column comes after it.
                    break;
                };
                give_type(value, column(at))?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A value as its column wants it: DEFAULT filled in, a literal in the column's type.
///
/// # Errors
/// Syntax where a DEFAULT of the table does not parse.
pub fn assigned_value(column: Option<&Column>, value: &SqlExpr) -> Result<SqlExpr> {
    let mut value = match is_default(value) {
        true => {
            let default = column.and_then(|column| column.default.as_deref());
            parse::expression(default.unwrap_or("NULL"))?
        }
        false => value.clone(),
    };
    give_type(&mut value, column)?;
    Ok(value)
}

pub fn is_default(value: &SqlExpr) -> bool {
    matches!(value, SqlExpr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// A literal becomes a cast of its text to the column's type, so that `0.1` is a numeric's own 0.1 and
/// 32768 is no smallint.
fn give_type(value: &mut SqlExpr, column: Option<&Column>) -> Result<()> {
    let Some(column) = column else { return Ok(()) };
    if matches!(column.data_type, Type::Text | Type::Varchar(_) | Type::Char(_)) {
        // Texts of several lengths have no type in common among VALUES.
        if matches!(value, SqlExpr::Cast { data_type, .. } if is_of_a_length(data_type)) {
            let (left, nothing) =
                (Box::new(value.clone()), ast::Value::SingleQuotedString(String::new()));
            let right = Box::new(SqlExpr::value(nothing));
            *value = SqlExpr::BinaryOp { left, op: ast::BinaryOperator::StringConcat, right };
        }
        return Ok(());
    }
    let Some(literal) = literal(value, &column.data_type) else { return Ok(()) };
    let is_fraction = matches!(&literal, ast::Value::Number(..));
    *value = match is_fraction {
        // A number as it is written is a numeric, which rounds halves away from zero.
        true => typed(typed(SqlExpr::value(as_text(literal)), "numeric")?, &column.data_type)?,
        false => typed(SqlExpr::value(literal), &column.data_type)?,
    };
    Ok(())
}

fn is_of_a_length(of: &ast::DataType) -> bool {
    use ast::DataType::{Char, CharVarying, Character, CharacterVarying, Varchar};
    matches!(of, Char(_) | CharVarying(_) | Character(_) | CharacterVarying(_) | Varchar(_))
}

fn typed(value: SqlExpr, to: impl Display) -> Result<SqlExpr> {
    let mut typed = parse::expression(&format!("CAST(NULL AS {to})"))?;
    if let SqlExpr::Cast { expr, .. } = &mut typed {
        **expr = value;
    }
    Ok(typed)
}

fn as_text(literal: ast::Value) -> ast::Value {
    match literal {
        ast::Value::Number(digits, _) => ast::Value::SingleQuotedString(digits),
        other => other,
    }
}

/// The text of a literal that a type reads as it stands.
fn literal(value: &SqlExpr, data_type: &Type) -> Option<ast::Value> {
    use ast::Value::{EscapedStringLiteral, Null, Number, SingleQuotedString};
    let (sign, value) = match value {
        SqlExpr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => ("-", expr.as_ref()),
        value => ("", value),
    };
    let SqlExpr::Value(value) = value else { return None };
    let is_whole = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    match (&value.value, data_type) {
        (SingleQuotedString(_) | EscapedStringLiteral(_) | Null, _) if sign.is_empty() => {
            Some(value.value.clone())
        }
        (Number(digits, _), Type::Numeric(_, _)) => {
            Some(SingleQuotedString(format!("{sign}{digits}")))
        }
        (Number(digits, _), Type::Int2 | Type::Int4 | Type::Int8) => {
            let signed = format!("{sign}{digits}");
            Some(if is_whole(digits) { SingleQuotedString(signed) } else { Number(signed, false) })
        }
        _ => None,
    }
}

/// What SET assigns: for each column of the table its value, None where it keeps its own.
pub struct Assigned(pub Vec<Option<SqlExpr>>);

impl Assigned {
    /// Reads SET; `(a, b) = (…)` column by column.
    ///
    /// # Errors
    /// UndefinedColumn, DuplicateColumn; Syntax where the two sides differ in length.
    pub fn new(schema: &TableSchema, assignments: &[Assignment]) -> Result<Assigned> {
        let mut pairs: Vec<(String, SqlExpr)> = Vec::new();
        for assignment in assignments {
            match &assignment.target {
                AssignmentTarget::ColumnName(name) => {
                    pairs.push((column_name(schema, name)?, assignment.value.clone()));
                }
                AssignmentTarget::Tuple(names) => {
                    let values = row_values(&assignment.value, names.len())?;
                    for (name, value) in names.iter().zip(values) {
                        pairs.push((column_name(schema, name)?, value));
                    }
                }
            }
        }
        let names: Vec<String> = pairs.iter().map(|(name, _)| name.clone()).collect();
        check_columns(schema, &names)?;
        generated::refuse_assigned(schema, &pairs)?;
        let value = |column: &Column| {
            let found = pairs.iter().find(|(name, _)| *name == column.name);
            found.map(|(_, value)| assigned_value(Some(column), value)).transpose()
        };
        Ok(Assigned(schema.columns.iter().map(value).collect::<Result<_>>()?))
    }

    /// The values, in the order of columns.
    pub fn values(&self) -> Vec<SqlExpr> {
        self.0.iter().flatten().cloned().collect()
    }

    /// The new row: `values` are the plan's expressions for [`Assigned::values`], `own` for the
    /// columns of the old row; both are of `plan`.
    ///
    /// # Errors
    /// DatatypeMismatch.
    pub fn row(
        &self,
        schema: &TableSchema,
        plan: &DFSchema,
        values: &[Expr],
        own: &[Expr],
    ) -> Result<Vec<Expr>> {
        let mut values = values.iter();
        let new = |(column, old): (&Option<SqlExpr>, &Expr)| match column {
            Some(_) => values.next().expect("there is one for each assigned column").clone(),
            None => old.clone(),
        };
        let row = self.0.iter().zip(own).map(new);
        row.zip(&schema.columns).map(|(e, c)| cast_to_column(e, c, plan)).collect()
    }

    /// Whether a column of an enforced key is assigned.
    pub fn moves_keys(&self, schema: &TableSchema) -> bool {
        let keys = schema.enforced_keys().into_iter().flat_map(|key| key.columns);
        let mut positions = keys.filter_map(|id| schema.position(*id));
        let computed =
            |at: usize| matches!(schema.columns[at].generated, Some(Generated::Stored(_)));
        positions.any(|at| self.0[at].is_some() || computed(at))
    }
}

/// # Errors
/// UndefinedColumn for `t.a`: what follows a column is a field of it, which none has.
fn column_name(schema: &TableSchema, name: &ObjectName) -> Result<String> {
    let mut parts = name_parts(name)?;
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => {
            let (first, table) = (&parts[0], &schema.name);
            let message = format!("column \"{first}\" of relation \"{table}\" does not exist");
            Err(Error::new(ErrorKind::UndefinedColumn, message)
                .hint("SET names columns alone, without the table"))
        }
    }
}

/// `(1, 2)`, `ROW (1, 2)` or `(SELECT a, b …)` as one value a column.
fn row_values(value: &SqlExpr, count: usize) -> Result<Vec<SqlExpr>> {
    let values = match value {
        SqlExpr::Tuple(values) => values.clone(),
        SqlExpr::Nested(inner) => match inner.as_ref() {
            SqlExpr::Subquery(_) | SqlExpr::Tuple(_) => return row_values(inner, count),
            one => vec![one.clone()],
        },
        SqlExpr::Subquery(query) => of_query(query)?,
        SqlExpr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let FunctionArguments::List(list) = &function.args else { return Err(not_a_row()) };
            let argument = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Ok(value.clone()),
                _ => Err(not_a_row()),
            };
            list.args.iter().map(argument).collect::<Result<_>>()?
        }
        _ => return Err(not_a_row()),
    };
    match values.len() == count {
        true => Ok(values),
        false => {
            Err(Error::new(ErrorKind::Syntax, "number of columns does not match number of values"))
        }
    }
}

fn not_a_row() -> Error {
    Error::new(
        ErrorKind::NotSupported,
        "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
    )
}

/// One sub-select a column.
fn of_query(query: &Query) -> Result<Vec<SqlExpr>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return Err(not_a_row()) };
    let one = |item: &SelectItem| {
        let (SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }) = item else {
            let message = "SET (a, b) = (SELECT * …)";
            return Err(Error::new(ErrorKind::NotSupported, message).hint("name the columns"));
        };
        let mut query = query.clone();
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![item.clone()];
        }
        Ok(SqlExpr::Subquery(Box::new(query)))
    };
    select.projection.iter().map(one).collect()
}

/// Rows with the values of expressions over them.
pub struct Evaluated {
    /// All columns of the rows, then the values.
    pub plan: LogicalPlan,
    /// How many columns the rows have.
    width: usize,
}

impl Evaluated {
    /// Plans expressions over rows.
    ///
    /// # Errors
    /// UndefinedColumn, AmbiguousColumn and whatever else the expressions give.
    pub fn new(
        scene: &Scene<'_>,
        with: Option<&With>,
        rows: &Given,
        values: Vec<SqlExpr>,
        selection: Option<&SqlExpr>,
    ) -> Result<Evaluated> {
        let count = values.len();
        let mut items = vec![SelectItem::Wildcard(Default::default())];
        items.extend(values.into_iter().enumerate().map(|(i, expr)| {
            let alias = Ident::with_quote('"', format!("asofdb value {i}"));
            SelectItem::ExprWithAlias { expr, alias }
        }));
        let from = vec![rows.factor()?];
        let given = vec![rows.clone()];
        let selecting = Selecting { with, given, from, selection, items, ..Selecting::default() };
        let plan = scene.select(selecting)?;
        let width = plan.schema().fields().len() - count;
        Ok(Evaluated { plan, width })
    }

    /// A column of the rows.
    pub fn own(&self, at: usize) -> Expr {
        Expr::Column(PlanColumn::from(self.plan.schema().qualified_field(at)))
    }

    /// The values.
    pub fn values(&self) -> Vec<Expr> {
        (self.width..self.plan.schema().fields().len()).map(|at| self.own(at)).collect()
    }

    /// How many columns the rows have.
    pub fn width(&self) -> usize {
        self.width
    }
}

/// Expressions under names that say nothing, so that none clash.
pub fn numbered(exprs: impl IntoIterator<Item = Expr>) -> Vec<Expr> {
    exprs.into_iter().enumerate().map(|(i, expr)| expr.alias(i.to_string())).collect()
}
