//! SET, RESET, SHOW and DISCARD.

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
