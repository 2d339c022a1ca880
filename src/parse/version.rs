//! The version a table is read at: every spelling, and the one shape they all become.
//!
//! `clause` reads a spelling from tokens; `Clause::tokens` writes it as `AT (kind => value)`,
//! which sqlparser keeps as `TableVersion::Function`; [`version_of`] reads that back. No other
//! shape leaves this room, so a version that `version_of` does not know is our own fault.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, TableFactor, TableVersion, Value,
};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::error::{Error, ErrorKind, Result};

/// What the value of a version clause means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A commit's number, a ref or a time, by what the value is.
    Version,
    /// A time.
    Time,
    /// A time, in seconds from now; negative is the past.
    Offset,
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A branch or a tag, or `v` and a commit's number.
    Ref,
    /// A commit's number.
    Commit,
    /// What the statement with this id left.
    Statement,
    /// FOR SYSTEM_TIME FROM a TO b: every row version shown in [a, b); the value is `(a, b)`.
    FromTo,
    /// FOR SYSTEM_TIME BETWEEN a AND b: every row version shown in [a, b]; the value is `(a, b)`.
    Between,
    /// FOR SYSTEM_TIME CONTAINED IN (a, b): row versions shown only within; the value is `(a, b)`.
    Contained,
    /// FOR SYSTEM_TIME ALL: every row version; the value says nothing.
    All,
}

impl Slot {
    /// Whether it asks for row versions over time rather than for one version of the table.
    pub fn is_period(self) -> bool {
        matches!(self, Slot::FromTo | Slot::Between | Slot::Contained | Slot::All)
    }
}

const SLOTS: [(Slot, &str); 12] = [
    (Slot::Version, "version"),
    (Slot::Time, "time"),
    (Slot::Offset, "offset"),
    (Slot::Branch, "branch"),
    (Slot::Tag, "tag"),
    (Slot::Ref, "ref"),
    (Slot::Commit, "commit"),
    (Slot::Statement, "statement"),
    (Slot::FromTo, "from_to"),
    (Slot::Between, "between"),
    (Slot::Contained, "contained"),
    (Slot::All, "all"),
];

/// The argument that carries [`TableVersionSpec::within`].
const WITHIN: &str = "within";

/// A version clause, however it was spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableVersionSpec {
    /// What the value means.
    pub slot: Slot,
    /// A constant expression or a parameter. Names are string literals.
    pub value: Expr,
    /// BEFORE: the state just before it.
    pub before: bool,
    /// `t@audit FOR SYSTEM_TIME AS OF …`: the ref whose history is asked, as a string literal.
    pub within: Option<Expr>,
}

impl TableVersionSpec {
    /// The name of the ref whose history is asked.
    pub fn within_name(&self) -> Option<&str> {
        match self.within.as_ref()? {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(name) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The version of a table factor; None where it has none.
///
/// # Errors
/// Internal where the tree holds a version in another shape than this room makes.
pub fn version_of(factor: &TableFactor) -> Result<Option<TableVersionSpec>> {
    let TableFactor::Table { version: Some(version), .. } = factor else { return Ok(None) };
    let TableVersion::Function(Expr::Function(function)) = version else {
        return Err(unknown_shape(version));
    };
    decode(function).map(Some).ok_or_else(|| unknown_shape(version))
}

/// The version as a table factor has it: what [`version_of`] reads.
pub fn version_tree(spec: &TableVersionSpec) -> TableVersion {
    let kind = SLOTS.iter().find(|(slot, _)| *slot == spec.slot).map_or("", |slot| slot.1);
    let said = [(kind, Some(&spec.value)), (WITHIN, spec.within.as_ref())];
    let argument = |(name, value): (&str, Option<&Expr>)| {
        Some(FunctionArg::Named {
            name: Ident::with_quote('"', name),
            arg: FunctionArgExpr::Expr(value?.clone()),
            operator: FunctionArgOperator::RightArrow,
        })
    };
    let name = if spec.before { "BEFORE" } else { "AT" };
    TableVersion::Function(Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: said.into_iter().filter_map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }))
}

fn unknown_shape(version: &TableVersion) -> Error {
    Error::new(ErrorKind::Internal, format!("version clause \"{version}\" was not normalised"))
}

fn decode(function: &Function) -> Option<TableVersionSpec> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let (mut found, mut within) = (None, None);
    for argument in &list.args {
        let FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } = argument else {
            return None;
        };
        match name.value.as_str() {
            WITHIN => within = Some(value.clone()),
            kind => {
                let (slot, _) = SLOTS.iter().find(|(_, name)| *name == kind)?;
                found = Some((*slot, value.clone()));
            }
        }
    }
    let before = function.name.to_string().eq_ignore_ascii_case("before");
    found.map(|(slot, value)| TableVersionSpec { slot, value, before, within })
}

/// A version clause among tokens.
pub(super) struct Clause {
    /// How many tokens it takes.
    pub(super) length: usize,
    /// What it says.
    pub(super) spec: TableVersionSpec,
    /// The tokens of the value.
    pub(super) value: Vec<TokenWithSpan>,
    /// The token of the ref it is within.
    pub(super) within: Option<TokenWithSpan>,
}

impl Clause {
    /// `AT (kind => value)`, as if written where the clause stands.
    pub(super) fn tokens(self, span: Span) -> Vec<TokenWithSpan> {
        let sign = |token| TokenWithSpan { token, span };
        let word = |word, quote| sign(Token::make_word(word, quote));
        let kind = SLOTS.iter().find(|(slot, _)| *slot == self.spec.slot).map_or("", |s| s.1);
        let mut tokens = vec![
            word(if self.spec.before { "BEFORE" } else { "AT" }, None),
            sign(Token::LParen),
            word(kind, Some('"')),
            sign(Token::RArrow),
        ];
        tokens.extend(self.value);
        if let Some(within) = self.within {
            tokens.extend([
                sign(Token::Comma),
                word(WITHIN, Some('"')),
                sign(Token::RArrow),
                within,
            ]);
        }
        tokens.push(sign(Token::RParen));
        tokens
    }
}
