//! PostgreSQL's dialect with table versions, and a budget that ends a parse which backtracks.

use std::any::TypeId;
use std::cell::Cell;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

/// The dialect of one parse.
///
/// sqlparser tries one reading and then another in several places, so a nest of d levels may cost
/// 2^d steps. Every operand of an expression passes [`Dialect::parse_prefix`], which counts.
#[derive(Debug)]
pub(super) struct AsofDialect {
    operands_left: Cell<usize>,
}

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

impl AsofDialect {
    /// A dialect for a text of so many tokens.
    pub(super) fn new(tokens: usize) -> Self {
        AsofDialect { operands_left: Cell::new(10_000 + 20 * tokens) }
    }
}

/// Methods whose answer is PostgreSQL's.
macro_rules! as_postgres {
    ($($method:ident),* $(,)?) => { $(fn $method(&self) -> bool { POSTGRES.$method() })* };
}

impl Dialect for AsofDialect {
    // `dialect_of!` inside sqlparser compares this: without it the parser forgets what is
    // PostgreSQL's own.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    // Doubles the work at every level of nested calls, for json_object('a': 1) alone.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    fn parse_prefix(&self, _: &mut Parser) -> Option<Result<Expr, ParserError>> {
        match self.operands_left.get() {
            // The one error that sqlparser does not take for "try the other reading".
            0 => Some(Err(ParserError::RecursionLimitExceeded)),
            left => {
                self.operands_left.set(left - 1);
                None
            }
        }
    }

    // sqlparser takes all that follows for the right operand: `a IS DISTINCT FROM b AND c`. It binds as
    // IS does.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &Expr,
        _: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let is_not = parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]);
        if !is_not && !parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            return None;
        }
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        Some(right.map(|right| {
            let (left, right) = (Box::new(left.clone()), Box::new(right));
            match is_not {
                true => Expr::IsNotDistinctFrom(left, right),
                false => Expr::IsDistinctFrom(left, right),
            }
        }))
    }

    // In PostgreSQL ON is no name: `INSERT … SELECT 1 ON CONFLICT` names nothing.
    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        *keyword != Keyword::ON && POSTGRES.is_column_alias(keyword, parser)
    }

    // Words that begin a form of their own: where it fails, the failure is the answer, rather than
    // that of a call by this name.
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        matches!(keyword, Keyword::CASE | Keyword::CAST | Keyword::NOT | Keyword::TRY_CAST)
            || POSTGRES.is_reserved_for_identifier(keyword)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRES.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        POSTGRES.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        POSTGRES.prec_value(precedence)
    }

    as_postgres!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
    );
}
