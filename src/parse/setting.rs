//! SET, RESET, SHOW and DISCARD.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::Grammar;
use super::statement::Statement;
use super::transaction::TransactionModes;
use crate::error::Result;

/// SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// In lower case; dots as written. TIME ZONE is `timezone`, NAMES `client_encoding`, SCHEMA
    /// `search_path`, ROLE `role`, SESSION AUTHORIZATION `session_authorization`.
    pub name: String,
    /// What to.
    pub value: SettingValue,
    /// SET LOCAL: until the transaction ends.
    pub local: bool,
}

/// The value of SET, as text: numbers, words and strings alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// TO DEFAULT.
    Default,
    /// One or several, without their quotes; words folded.
    Values(Vec<String>),
}

/// SHOW.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// SHOW ALL.
    All,
    /// SHOW name; TIME ZONE is `timezone`, TRANSACTION ISOLATION LEVEL `transaction_isolation`.
    Name(String),
    /// SHOW TABLES.
    Tables,
    /// SHOW SCHEMAS.
    Schemas,
    /// SHOW DATABASES.
    Databases,
}

impl Grammar<'_> {
    /// SET in all its forms.
    pub(super) fn set(&mut self) -> Result<Statement> {
        self.expects("SET")?;
        let local = self.accepts("LOCAL");
        if !local && self.accepts("SESSION CHARACTERISTICS AS TRANSACTION") {
            let modes = self.some_modes()?;
            return Ok(Statement::SetTransaction { session: true, modes });
        }
        if self.accepts("TRANSACTION") {
            let modes = self.some_modes()?;
            return Ok(Statement::SetTransaction { session: false, modes });
        }
        if !local && !self.sees("SESSION AUTHORIZATION") {
            self.accepts("SESSION");
        }
        let (name, value) = self.assignment()?;
        Ok(Statement::Set(Set { name, value, local }))
    }

    fn some_modes(&mut self) -> Result<TransactionModes> {
        match self.at_end() {
            true => Err(self.unexpected()),
            false => self.modes(),
        }
    }

    fn assignment(&mut self) -> Result<(String, SettingValue)> {
        let worded = [
            ("TIME ZONE", "timezone"),
            ("NAMES", "client_encoding"),
            ("SCHEMA", "search_path"),
            ("ROLE", "role"),
            ("SESSION AUTHORIZATION", "session_authorization"),
        ];
        let assigned = matches!(self.parser.peek_nth_token_ref(1).token, Token::Eq)
            || self.word(1).is_some_and(|word| word.eq_ignore_ascii_case("TO"));
        if !assigned && let Some((_, name)) = worded.iter().find(|(words, _)| self.accepts(words)) {
            let default = self.accepts("DEFAULT")
                || *name == "timezone" && self.accepts("LOCAL")
                || *name == "client_encoding" && self.at_end();
            let value = match default {
                true => SettingValue::Default,
                false => SettingValue::Values(vec![self.setting_value()?]),
            };
            return Ok(((*name).to_owned(), value));
        }
        let name = self.setting_name()?;
        if !self.accepts_sign(&Token::Eq) {
            self.expects("TO")?;
        }
        if self.accepts("DEFAULT") {
            return Ok((name, SettingValue::Default));
        }
        Ok((name, SettingValue::Values(self.list(Self::setting_value)?)))
    }

    /// A name with dots.
    fn setting_name(&mut self) -> Result<String> {
        let mut name = self.name()?.to_lowercase();
        while self.accepts_sign(&Token::Period) {
            name.push('.');
            name.push_str(&self.name()?.to_lowercase());
            // Spark writes spark.snapshot-property.code-version.
            while self.accepts_sign(&Token::Minus) {
                name.push('-');
                name.push_str(&self.name()?.to_lowercase());
            }
        }
        Ok(name)
    }

    /// A value as text: a string, a number with its sign, a word, INTERVAL 'x'.
    pub(super) fn setting_value(&mut self) -> Result<String> {
        if matches!(self.parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_)) {
            self.accepts("INTERVAL");
        }
        let sign = match () {
            _ if self.accepts_sign(&Token::Minus) => "-",
            _ if self.accepts_sign(&Token::Plus) => "",
            _ => return self.plain_value(),
        };
        match &self.parser.peek_token_ref().token {
            Token::Number(number, _) => {
                let value = format!("{sign}{number}");
                self.parser.advance_token();
                Ok(value)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn plain_value(&mut self) -> Result<String> {
        match &self.parser.peek_token_ref().token {
            Token::Number(number, _) => {
                let value = number.clone();
                self.parser.advance_token();
                Ok(value)
            }
            Token::Word(_) => self.name(),
            _ => self.string(),
        }
    }

    /// RESET, SHOW, DISCARD.
    pub(super) fn about_settings(&mut self) -> Result<Statement> {
        if self.accepts("RESET") {
            return match () {
                _ if self.accepts("ALL") => Ok(Statement::Reset(None)),
                _ => self.shown_name().map(|name| Statement::Reset(Some(name))),
            };
        }
        if self.accepts("DISCARD") {
            let what = self.expects_one(&["ALL", "PLANS", "SEQUENCES", "TEMPORARY", "TEMP"])?;
            return Ok(Statement::Discard(what.to_lowercase()));
        }
        self.expects("SHOW")?;
        if let Some(history) = self.show_history()? {
            return Ok(Statement::History(history));
        }
        let last = *self.parser.peek_nth_token_ref(1) == Token::EOF;
        let lists = [
            ("ALL", Show::All),
            ("TABLES", Show::Tables),
            ("SCHEMAS", Show::Schemas),
            ("DATABASES", Show::Databases),
        ];
        if last && let Some((_, show)) = lists.into_iter().find(|(word, _)| self.accepts(word)) {
            return Ok(Statement::Show(show));
        }
        self.shown_name().map(|name| Statement::Show(Show::Name(name)))
    }

    fn shown_name(&mut self) -> Result<String> {
        let worded = [
            ("TIME ZONE", "timezone"),
            ("TRANSACTION ISOLATION LEVEL", "transaction_isolation"),
            ("SESSION AUTHORIZATION", "session_authorization"),
        ];
        match worded.iter().find(|(words, _)| self.accepts(words)) {
            Some((_, name)) => Ok((*name).to_owned()),
            None => self.setting_name(),
        }
    }
}
