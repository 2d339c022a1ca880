//! Which family a statement is of, and the families too small for a file of their own.

use datafusion::sql::sqlparser::ast::{self, Expr, Query, SetExpr};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::dialect::AsofDialect;
use super::foreign;
use super::grammar::{Grammar, fold};
use super::limits::RECURSION_MAX;
use super::statement::{
    Call, CallArgument, Delete, Explain, Insert, Merge, Part, Prepare, Replace, Statement,
    Truncate, Update, Vacuum, With,
};
use super::types::map_type;
use crate::error::{ErrorKind, Result};

impl Statement {
    /// Whether the statement only reads, so that it can read the past.
    pub(super) fn reads(&self) -> bool {
        match self {
            Statement::Query(_) | Statement::Declare(_) => true,
            Statement::Explain(explain) => explain.statement.reads(),
            Statement::Prepare(prepare) => prepare.statement.reads(),
            Statement::Copy(copy) => !copy.from,
            _ => false,
        }
    }
}

impl Grammar<'_> {
    /// Reads a statement.
    pub(super) fn statement(&mut self) -> Result<Statement> {
        let word = self.word(0).unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "SELECT" | "VALUES" => self.query().map(Statement::Query),
            "" if self.sees_sign(&Token::LParen) => self.query().map(Statement::Query),
            "WITH" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" if !self.sees("MERGE BRANCH") => {
                self.query_or_write()
            }
            "EXPLAIN" => self.explain(),
            "TRUNCATE" => self.truncate(),
            "COPY" => self.copy(),
            "CREATE" => self.create(),
            "DROP" => self.drop(),
            "ALTER" => self.alter(),
            "COMMENT" => self.comment(),
            "MERGE" | "PUBLISH" | "RESTORE" | "UNDROP" | "USE" | "REPLACE" => self.about_refs(),
            "DESCRIBE" | "DESC" => self.describe(),
            "ROLLBACK" if self.sees("ROLLBACK BRANCH") => self.about_refs(),
            "ASSIGN" => self.about_refs(),
            // RESET branch alone is about the session's setting.
            "RESET" if self.sees("RESET BRANCH") && self.word(2).is_some() => self.about_refs(),
            "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT"
            | "RELEASE" => self.transaction(),
            "SET" => self.set(),
            "RESET" | "SHOW" | "DISCARD" => self.about_settings(),
            "DECLARE" | "FETCH" | "MOVE" | "CLOSE" => self.cursor(),
            "CALL" => self.call(),
            "PREPARE" => self.prepare(),
            "EXECUTE" => self.execute(),
            "DEALLOCATE" => self.deallocate(),
            "LISTEN" | "UNLISTEN" | "NOTIFY" => self.notification(),
            "OPTIMIZE" => self.optimize(),
            "LOCK" | "VACUUM" | "ANALYZE" | "ANALYSE" | "CHECKPOINT" | "DO" => self.upkeep(),
            _ => Err(self.unknown_statement()),
        }
    }

    /// A query or a statement that changes rows, with or without WITH.
    fn query_or_write(&mut self) -> Result<Statement> {
        let query = *self.sql(Parser::parse_query)?;
        self.of_query(query)
    }

    fn of_query(&mut self, mut query: Query) -> Result<Statement> {
        let parts = self.parts_of(&mut query.with)?;
        let main = self.without_parts(query)?;
        Ok(match parts.is_empty() {
            true => main,
            false => Statement::With(Box::new(With { parts, main: Box::new(main) })),
        })
    }

    /// Takes the parts that change rows out of a WITH. Each sees the queries before it.
    fn parts_of(&mut self, with: &mut Option<ast::With>) -> Result<Vec<Part>> {
        let Some(all) = with.as_mut() else { return Ok(Vec::new()) };
        let (mut parts, mut queries) = (Vec::new(), Vec::<ast::Cte>::new());
        for cte in std::mem::take(&mut all.cte_tables) {
            if !writes(&cte.query) {
                queries.push(cte);
                continue;
            }
            let mut query = *cte.query;
            if query.with.is_none() && !queries.is_empty() {
                query.with = Some(ast::With { cte_tables: queries.clone(), ..all.clone() });
            }
            let columns = cte.alias.columns.iter().map(|column| fold(&column.name)).collect();
            let statement = self.without_parts(query)?;
            parts.push(Part { name: fold(&cte.alias.name), columns, statement });
        }
        all.cte_tables = queries;
        if all.cte_tables.is_empty() {
            *with = None;
        }
        Ok(parts)
    }

    fn without_parts(&mut self, query: Query) -> Result<Statement> {
        let Query { with, body, .. } = query;
        Ok(match *body {
            SetExpr::Insert(ast::Statement::Insert(insert)) => self.insert(with, insert)?,
            SetExpr::Update(ast::Statement::Update(mut update)) => {
                self.check_foreign(foreign::in_update(&update))?;
                self.fold_asof(&mut update)?;
                Statement::Update(Box::new(Update { with: self.folded(with)?, update }))
            }
            SetExpr::Delete(ast::Statement::Delete(mut delete)) => {
                self.check_foreign(foreign::in_delete(&delete))?;
                self.fold_asof(&mut delete)?;
                Statement::Delete(Box::new(Delete { with: self.folded(with)?, delete }))
            }
            SetExpr::Merge(ast::Statement::Merge(mut merge)) => {
                self.fold_asof(&mut merge)?;
                Statement::Merge(Box::new(Merge { with: self.folded(with)?, merge }))
            }
            body => {
                let mut query = Query { with, body: Box::new(body), ..query };
                self.fold_asof(&mut query)?;
                Statement::Query(Box::new(query))
            }
        })
    }

    fn folded(&mut self, mut with: Option<ast::With>) -> Result<Option<ast::With>> {
        with.iter_mut().try_for_each(|with| self.fold_asof(with))?;
        Ok(with)
    }

    /// # Errors
    /// Syntax for a clause of another dialect.
    fn check_foreign(&self, clause: Option<&str>) -> Result<()> {
        match clause {
            Some(clause) => {
                let message = format!("syntax error: {clause} is not known");
                Err(self.refuse(ErrorKind::Syntax, message))
            }
            None => Ok(()),
        }
    }

    /// INSERT; a WITH before it moves into its source.
    fn insert(&mut self, with: Option<ast::With>, mut insert: ast::Insert) -> Result<Statement> {
        self.check_foreign(foreign::in_insert(&insert))?;
        if !insert.into {
            return Err(self.refuse(ErrorKind::Syntax, "INSERT takes INTO and a table"));
        }
        if let Some(mut with) = with
            && let Some(source) = &mut insert.source
        {
            match &mut source.with {
                Some(inner) => {
                    inner.recursive |= with.recursive;
                    with.cte_tables.append(&mut inner.cte_tables);
                    inner.cte_tables = with.cte_tables;
                }
                inner => *inner = Some(with),
            }
        }
        self.fold_asof(&mut insert)?;
        let version = self.insert_version.take();
        let replace = match self.replace_where.take() {
            Some(condition) => Some(Replace::Where(Box::new(self.condition(condition)?))),
            None => insert.overwrite.then_some(Replace::All),
        };
        Ok(Statement::Insert(Box::new(Insert {
            insert,
            version,
            replace,
            overriding: self.overriding,
        })))
    }

    /// A condition whose tokens were kept aside.
    fn condition(&self, tokens: Vec<TokenWithSpan>) -> Result<Expr> {
        let dialect = AsofDialect::new(tokens.len());
        let span = tokens.first().map(|token| token.span);
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(RECURSION_MAX)
            .with_tokens_with_locations(tokens);
        match parser.parse_expr() {
            Ok(condition) if parser.peek_token_ref().token == Token::EOF => Ok(condition),
            _ => Err(self.source.syntax_error(span)),
        }
    }

    fn explain(&mut self) -> Result<Statement> {
        self.expects("EXPLAIN")?;
        let mut options = match self.sees_sign(&Token::LParen) && !self.sees_query_after_paren() {
            true => self.options()?,
            false => Vec::new(),
        };
        let mut analyze = self.accepts("ANALYZE") || self.accepts("ANALYSE");
        let mut verbose = self.accepts("VERBOSE");
        options.retain(|(name, value)| {
            let on = !matches!(value.as_deref(), Some("off" | "false" | "0"));
            match name.as_str() {
                "analyze" | "analyse" => analyze |= on,
                "verbose" => verbose |= on,
                _ => return true,
            }
            false
        });
        let inner = ["EXPLAIN", "COPY", "BEGIN", "COMMIT", "SET", "SHOW", "PREPARE"];
        if inner.iter().any(|word| self.sees(word)) {
            return Err(self.unexpected());
        }
        let statement = Box::new(self.statement()?);
        Ok(Statement::Explain(Explain { analyze, verbose, options, statement }))
    }

    fn sees_query_after_paren(&self) -> bool {
        self.word(1).is_none_or(|word| {
            ["SELECT", "WITH", "VALUES"].iter().any(|w| word.eq_ignore_ascii_case(w))
        })
    }

    /// `(name [value], …)`: names in lower case, values as text.
    pub(super) fn options(&mut self) -> Result<Vec<(String, Option<String>)>> {
        self.expects_sign(&Token::LParen)?;
        let options = self.list(|g| {
            let name = g.name()?.to_lowercase();
            let ends = g.sees_sign(&Token::Comma) || g.sees_sign(&Token::RParen);
            Ok((name, if ends { None } else { Some(g.setting_value()?) }))
        })?;
        self.expects_sign(&Token::RParen)?;
        Ok(options)
    }

    fn truncate(&mut self) -> Result<Statement> {
        self.expects("TRUNCATE")?;
        self.accepts("TABLE");
        let tables = self.list(|g| {
            g.accepts("ONLY");
            g.target()
        })?;
        let restart_identity = self.accepts("RESTART IDENTITY");
        if !restart_identity {
            self.accepts("CONTINUE IDENTITY");
        }
        let cascade = self.cascade();
        Ok(Statement::Truncate(Truncate { tables, restart_identity, cascade }))
    }

    /// CASCADE or RESTRICT, if said.
    pub(super) fn cascade(&mut self) -> bool {
        let cascade = self.accepts("CASCADE");
        if !cascade {
            self.accepts("RESTRICT");
        }
        cascade
    }

    fn call(&mut self) -> Result<Statement> {
        self.expects("CALL")?;
        self.procedure().map(Statement::Call)
    }

    /// `cat.system.name(arguments)`.
    pub(super) fn procedure(&mut self) -> Result<Call> {
        let name = self.object()?;
        let parts = name.0.iter().filter_map(|part| part.as_ident()).map(fold);
        let mut procedure: Vec<String> = parts.collect();
        procedure.drain(..procedure.len().saturating_sub(2));
        self.expects_sign(&Token::LParen)?;
        let mut arguments: Vec<CallArgument> = Vec::new();
        if !self.sees_sign(&Token::RParen) {
            arguments = self.list(Self::call_argument)?;
        }
        if arguments.iter().any(|a| a.name.is_some()) && arguments.iter().any(|a| a.name.is_none())
        {
            let message = "arguments by name and by position cannot be mixed";
            return Err(self
                .refuse(ErrorKind::Syntax, message)
                .hint("name every argument, or none"));
        }
        self.expects_sign(&Token::RParen)?;
        Ok(Call { procedure, arguments })
    }

    fn call_argument(&mut self) -> Result<CallArgument> {
        let sign = &self.parser.peek_nth_token_ref(1).token;
        let name = match matches!(sign, Token::RArrow | Token::Assignment) {
            true => {
                let name = self.name()?;
                self.parser.advance_token();
                Some(name)
            }
            false => None,
        };
        Ok(CallArgument { name, value: self.expr()? })
    }

    fn prepare(&mut self) -> Result<Statement> {
        self.expects("PREPARE")?;
        let name = self.name()?;
        let mut types = Vec::new();
        if self.accepts_sign(&Token::LParen) {
            types = self.list(|g| {
                let data_type = g.sql(Parser::parse_data_type)?;
                map_type(&data_type)
            })?;
            self.expects_sign(&Token::RParen)?;
        }
        self.expects("AS")?;
        let rows = ["SELECT", "VALUES", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE"];
        if !rows.iter().any(|word| self.sees(word)) && !self.sees_sign(&Token::LParen) {
            return Err(self.unexpected());
        }
        let first = self.parser.index();
        let statement = Box::new(self.statement()?);
        let tokens: Vec<_> =
            (first..self.parser.index()).map(|i| self.parser.token_at(i).clone()).collect();
        let parameters = super::query::highest_parameter(&tokens, self.source)?;
        Ok(Statement::Prepare(Box::new(Prepare { name, types, statement, parameters })))
    }

    fn execute(&mut self) -> Result<Statement> {
        self.expects("EXECUTE")?;
        let name = self.name()?;
        let mut arguments: Vec<Expr> = Vec::new();
        if self.accepts_sign(&Token::LParen) && !self.accepts_sign(&Token::RParen) {
            arguments = self.list(Self::expr)?;
            self.expects_sign(&Token::RParen)?;
        }
        Ok(Statement::Execute { name, arguments })
    }

    fn deallocate(&mut self) -> Result<Statement> {
        self.expects("DEALLOCATE")?;
        self.accepts("PREPARE");
        self.name_or_all().map(Statement::Deallocate)
    }

    /// A name, or None for ALL.
    pub(super) fn name_or_all(&mut self) -> Result<Option<String>> {
        match self.accepts("ALL") {
            true => Ok(None),
            false => self.name().map(Some),
        }
    }

    fn notification(&mut self) -> Result<Statement> {
        if self.accepts("LISTEN") {
            return self.name().map(Statement::Listen);
        }
        if self.accepts("UNLISTEN") {
            return match self.accepts_sign(&Token::Mul) {
                true => Ok(Statement::Unlisten(None)),
                false => self.name().map(|channel| Statement::Unlisten(Some(channel))),
            };
        }
        self.expects("NOTIFY")?;
        let channel = self.name()?;
        let payload = match self.accepts_sign(&Token::Comma) {
            true => Some(self.string()?),
            false => None,
        };
        Ok(Statement::Notify { channel, payload })
    }

    fn upkeep(&mut self) -> Result<Statement> {
        if self.accepts("CHECKPOINT") {
            return Ok(Statement::Checkpoint);
        }
        if self.accepts("LOCK") {
            return self.lock();
        }
        if self.accepts("VACUUM") {
            return self.vacuum();
        }
        if self.accepts("DO") {
            return self.do_block();
        }
        self.expects_one(&["ANALYZE", "ANALYSE"])?;
        let mut verbose = self.accepts("VERBOSE");
        if self.sees_sign(&Token::LParen) {
            verbose |= self.options()?.iter().any(|(name, _)| name == "verbose");
        }
        Ok(Statement::Analyze { tables: self.analyzed_tables()?, verbose })
    }

    fn lock(&mut self) -> Result<Statement> {
        self.accepts("TABLE");
        let tables = self.list(|g| {
            g.accepts("ONLY");
            g.object()
        })?;
        let mut mode = None;
        if self.accepts("IN") {
            let mut words = vec![self.name()?.to_uppercase()];
            while !self.sees("MODE") {
                words.push(self.name()?.to_uppercase());
            }
            self.expects("MODE")?;
            mode = Some(words.join(" "));
        }
        Ok(Statement::Lock { tables, mode, nowait: self.accepts("NOWAIT") })
    }

    /// OPTIMIZE t [WHERE condition]: Delta's words for rewriting files.
    fn optimize(&mut self) -> Result<Statement> {
        self.expects("OPTIMIZE")?;
        self.accepts("TABLE");
        let table = self.object()?;
        let parts = table.0.iter().filter_map(|part| part.as_ident()).map(fold);
        let table = parts.collect::<Vec<_>>().join(".");
        let argument = |name: &str, text: String| CallArgument {
            name: Some(name.to_owned()),
            value: Expr::value(ast::Value::SingleQuotedString(text)),
        };
        let mut arguments = vec![argument("table", table)];
        if self.accepts("WHERE") {
            arguments.push(argument("where", self.expr()?.to_string()));
        }
        let procedure = vec!["system".to_owned(), "rewrite_data_files".to_owned()];
        Ok(Statement::Call(Call { procedure, arguments }))
    }

    fn vacuum(&mut self) -> Result<Statement> {
        let mut options = match self.sees_sign(&Token::LParen) {
            true => self.options()?,
            false => Vec::new(),
        };
        let words = ["FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE", "LITE"];
        while let Some(word) = words.iter().find(|word| self.sees(word)) {
            self.parser.advance_token();
            options.push((word.to_lowercase(), None));
        }
        let tables = self.analyzed_tables()?;
        if self.accepts("RETAIN") {
            options.push(("retain_hours".to_owned(), Some(self.count()?.to_string())));
            self.expects("HOURS")?;
        }
        if self.accepts("DRY RUN") {
            options.push(("dry_run".to_owned(), None));
        }
        Ok(Statement::Vacuum(Vacuum { options, tables }))
    }

    /// `[t [(columns)], …]`.
    fn analyzed_tables(&mut self) -> Result<Vec<ast::ObjectName>> {
        if self.at_end() || self.sees("RETAIN") || self.sees("DRY RUN") {
            return Ok(Vec::new());
        }
        self.list(|g| {
            let table = g.object()?;
            if g.sees_sign(&Token::LParen) {
                g.columns()?;
            }
            Ok(table)
        })
    }

    fn do_block(&mut self) -> Result<Statement> {
        let mut language = "plpgsql".to_owned();
        if self.accepts("LANGUAGE") {
            language = self.name_or_string()?.to_lowercase();
        }
        let code = self.string()?;
        if self.accepts("LANGUAGE") {
            language = self.name_or_string()?.to_lowercase();
        }
        Ok(Statement::Do { language, code })
    }
}

/// Whether a part of WITH changes rows.
fn writes(query: &Query) -> bool {
    matches!(
        query.body.as_ref(),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
    )
}
