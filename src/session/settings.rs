//! SET and SHOW: a session's settings, those of PostgreSQL that clients ask for and our own.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;

use super::database::SERVER_VERSION;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::asof::AsofMode;
use crate::plan::pg_catalog::Setting;
use crate::spec::text::{DateOrder, TextOptions, parse_time_zone};

/// A setting that exists without being set.
struct Known {
    name: &'static str,
    default: &'static str,
    /// Clients are told when they connect and when it changes.
    reported: bool,
    /// SET is refused.
    fixed: bool,
    description: &'static str,
}

const fn known(name: &'static str, default: &'static str, description: &'static str) -> Known {
    Known { name, default, reported: false, fixed: false, description }
}

const fn reported(name: &'static str, default: &'static str, description: &'static str) -> Known {
    Known { name, default, reported: true, fixed: false, description }
}

const fn fixed(name: &'static str, default: &'static str, description: &'static str) -> Known {
    Known { name, default, reported: true, fixed: true, description }
}

const KNOWN: [Known; 37] = [
    fixed("server_version", SERVER_VERSION, "PostgreSQL's version that is answered for."),
    Known { reported: false, ..fixed("server_version_num", "160004", "The same as a number.") },
    fixed("server_encoding", "UTF8", "The encoding of stored text."),
    reported("client_encoding", "UTF8", "The encoding of text sent and received."),
    reported("DateStyle", "ISO, MDY", "How dates are written and read."),
    reported("TimeZone", "UTC", "In which times with a zone are shown."),
    reported("IntervalStyle", "postgres", "How intervals are written."),
    fixed("integer_datetimes", "on", "Times are whole microseconds."),
    reported("standard_conforming_strings", "on", "A backslash in a string is itself."),
    fixed("is_superuser", "on", "Whether the role may do everything."),
    fixed("session_authorization", "", "The role the session began with."),
    reported("application_name", "", "What the client calls itself."),
    reported("default_transaction_read_only", "off", "Whether transactions begin read-only."),
    fixed("in_hot_standby", "off", "Whether the server repeats another's log."),
    fixed("scram_iterations", "4096", "Rounds of hashing a password."),
    reported("search_path", "\"$user\", public", "Where names without a schema are looked for."),
    reported("branch", "main", "The branch that is read and written."),
    known("as_of", "", "The version that is read; empty: the branch's head."),
    known("asof_mode", "auto", "How ASOF JOIN finds rows: auto, seek, merge, hash, loop, stream."),
    known("bytea_output", "hex", "How bytea is written."),
    known("client_min_messages", "notice", "The least notice that is sent."),
    known("default_transaction_isolation", "repeatable read", "How transactions are isolated."),
    known("default_transaction_deferrable", "off", "Of no effect."),
    known("enable_seqscan", "on", "Of no effect."),
    known("extra_float_digits", "1", "Digits of floating point numbers as text."),
    known("idle_in_transaction_session_timeout", "300000", "Milliseconds a block may idle."),
    known("jit", "off", "Of no effect."),
    known("lock_timeout", "0", "Of no effect: nothing waits for locks."),
    known("max_identifier_length", "63", "Of no effect: names may be longer."),
    known("role", "none", "The current role."),
    known("row_security", "on", "Of no effect."),
    known("statement_timeout", "0", "Milliseconds a statement may run; 0: for ever."),
    known("synchronous_commit", "on", "A commit is durable before it is answered."),
    known("transaction_isolation", "repeatable read", "How this transaction is isolated."),
    known("transaction_read_only", "off", "Whether this transaction may write."),
    known("xmloption", "content", "Of no effect."),
    known("check_function_bodies", "on", "Of no effect."),
];

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// One session's settings.
pub(super) struct SessionSettings {
    /// By lower-case name: those that differ from their default.
    values: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
    /// What the transaction has set, oldest first.
    set: Vec<Assigned>,
    changes: Vec<(String, String)>,
}

/// A setting that a transaction assigned.
struct Assigned {
    name: String,
    before: Option<String>,
    /// None for SET LOCAL, which ends with the transaction.
    after: Option<Option<String>>,
}

impl SessionSettings {
    pub fn new(user: &str, application_name: &str) -> SessionSettings {
        let defaults = [
            ("session_authorization".to_owned(), user.to_owned()),
            ("application_name".to_owned(), application_name.to_owned()),
        ];
        SessionSettings {
            values: BTreeMap::new(),
            defaults: defaults.into(),
            set: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// A setting that came with the connection becomes the session's default.
    pub fn start_with(&mut self, name: &str, value: &str) -> Result<()> {
        let value = check(name, value)?;
        self.defaults.insert(name.to_ascii_lowercase(), value);
        Ok(())
    }

    /// The value as SHOW gives it; None where there is no such setting.
    pub fn get(&self, name: &str) -> Option<String> {
        let lower = name.to_ascii_lowercase();
        let own = self.values.get(&lower).or_else(|| self.defaults.get(&lower));
        own.cloned().or_else(|| find(&lower).map(|known| known.default.to_owned()))
    }

    /// Whether a setting, in lower case, has this value.
    pub fn is(&self, lower: &str, value: &str) -> bool {
        match self.values.get(lower).or_else(|| self.defaults.get(lower)) {
            Some(own) => own == value,
            None => find(lower).is_some_and(|known| known.default == value),
        }
    }

    /// SET; None is TO DEFAULT.
    ///
    /// # Errors
    /// UndefinedObject for a name that is none; InvalidValue; WrongState for one that is fixed.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        let lower = name.to_ascii_lowercase();
        let known = find(&lower);
        if known.is_none() && !lower.contains('.') {
            return Err(unknown(name));
        }
        if known.is_some_and(|known| known.fixed) && value.is_some() {
            let message = format!("parameter \"{name}\" cannot be changed");
            return Err(Error::new(ErrorKind::WrongState, message));
        }
        let value = value.map(|value| check(&lower, value)).transpose()?;
        let before = self.values.get(&lower).cloned();
        let after = (!local).then(|| value.clone());
        self.set.push(Assigned { name: lower.clone(), before, after });
        self.put(&lower, value);
        Ok(self.get(&lower).unwrap_or_default())
    }

    fn put(&mut self, lower: &str, value: Option<String>) {
        let before = self.get(lower);
        match value {
            Some(value) => drop(self.values.insert(lower.to_owned(), value)),
            None => drop(self.values.remove(lower)),
        }
        let after = self.get(lower);
        if let Some(known) = find(lower).filter(|known| known.reported)
            && before != after
        {
            self.changes.push((reported_name(known).to_owned(), after.unwrap_or_default()));
        }
    }

    /// RESET ALL.
    pub fn reset_all(&mut self) {
        let names: Vec<String> = self.values.keys().cloned().collect();
        for name in names {
            let before = self.values.get(&name).cloned();
            self.set.push(Assigned { name: name.clone(), before, after: Some(None) });
            self.put(&name, None);
        }
    }

    /// A transaction begins: what was set before stays.
    pub fn begin(&mut self) {
        self.set.clear();
    }

    /// The transaction commits: what SET LOCAL covered comes back.
    pub fn commit(&mut self) {
        let mut last: BTreeMap<String, Option<String>> = BTreeMap::new();
        for set in std::mem::take(&mut self.set) {
            match set.after {
                Some(after) => drop(last.insert(set.name, after)),
                None => drop(last.entry(set.name).or_insert(set.before)),
            }
        }
        last.into_iter().for_each(|(name, value)| self.put(&name, value));
    }

    /// Where a savepoint stands.
    pub fn savepoint(&self) -> usize {
        self.set.len()
    }

    /// What was set since a savepoint, or 0 since the transaction began, is undone.
    pub fn roll_back(&mut self, to: usize) {
        while self.set.len() > to {
            let set = self.set.pop().expect("there are more");
            self.put(&set.name, set.before);
        }
    }

    pub fn take_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }

    pub fn reported(&self) -> Vec<(String, String)> {
        let shown = KNOWN.iter().filter(|known| known.reported);
        let pair = |k: &Known| (reported_name(k).to_owned(), self.get(k.name).unwrap_or_default());
        shown.map(pair).collect()
    }

    /// Every setting, for SHOW ALL and pg_settings.
    pub fn all(&self) -> Vec<Setting> {
        let setting = |known: &Known| Setting {
            name: known.name.to_owned(),
            value: self.get(known.name).unwrap_or_default(),
            default: known.default.to_owned(),
            unit: None,
            description: known.description.to_owned(),
        };
        let custom = self.values.iter().filter(|(name, _)| find(name).is_none());
        let custom = custom.map(|(name, value)| Setting {
            name: name.clone(),
            value: value.clone(),
            ..Setting::default()
        });
        KNOWN.iter().map(setting).chain(custom).collect()
    }

    /// How values are read and written, at a moment.
    pub fn text_options(&self, now_us: i64) -> TextOptions {
        let style = self.get("DateStyle").unwrap_or_default().to_ascii_uppercase();
        let date_order = match style {
            style if style.contains("DMY") => DateOrder::Dmy,
            style if style.contains("YMD") => DateOrder::Ymd,
            _ => DateOrder::Mdy,
        };
        let digits = self.get("extra_float_digits").and_then(|digits| digits.parse().ok());
        TextOptions {
            time_zone: self.time_zone(),
            extra_float_digits: digits.unwrap_or(1),
            date_order,
            now_us: Some(now_us),
        }
    }

    /// Zero where statements may run for ever.
    pub fn statement_timeout(&self) -> Duration {
        let value = self.get("statement_timeout").and_then(|ms| ms.parse().ok());
        Duration::from_millis(value.unwrap_or(0))
    }

    fn time_zone(&self) -> Tz {
        self.get("TimeZone").and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
    }

    pub fn search_path(&self, user: &str) -> Vec<String> {
        let path = self.get("search_path").unwrap_or_default();
        let name = |part: &str| match part.trim().trim_matches('"') {
            "$user" => user.to_owned(),
            name => name.to_owned(),
        };
        path.split(',').map(name).filter(|name| !name.is_empty()).collect()
    }

    /// What a commit says about itself: `asofdb.commit.x`, Spark's spelling, the application.
    pub fn commit_properties(&self) -> Vec<(String, String)> {
        let mut properties = Vec::new();
        if let Some(pairs) = self.get("asofdb.commit_properties") {
            properties.extend(crate::parse::set_properties(&pairs).unwrap_or_default());
        }
        for (name, value) in &self.values {
            let own = name.strip_prefix("asofdb.commit.");
            if let Some(key) = own.or_else(|| name.strip_prefix("spark.snapshot-property.")) {
                properties.push((key.to_owned(), value.clone()));
            }
        }
        if let Some(application) = self.get("application_name").filter(|name| !name.is_empty()) {
            properties.push(("application".to_owned(), application));
        }
        properties
    }
}

/// The name that clients are told: of our own settings the full one, which no driver takes for its own.
fn reported_name(known: &Known) -> &str {
    if known.name == "branch" { "asofdb.branch" } else { known.name }
}

/// The value as it is kept.
fn check(name: &str, value: &str) -> Result<String> {
    let wrong = |hint: &str| {
        let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
        Err(Error::new(ErrorKind::InvalidValue, message).hint(hint))
    };
    match name.to_ascii_lowercase().as_str() {
        "timezone" => Ok(parse_time_zone(value)?.name().to_owned()),
        // As in PostgreSQL only letters and digits of an encoding's name count: 'utf-8' with its quotes
        // is what one driver sends.
        "client_encoding" => match letters(value).as_str() {
            "UTF8" | "UNICODE" | "SQLASCII" => Ok("UTF8".to_owned()),
            _ => wrong("only UTF8 is spoken here"),
        },
        "asof_mode" => {
            value.parse::<AsofMode>()?;
            Ok(value.to_ascii_lowercase())
        }
        "datestyle" => {
            let upper = value.to_ascii_uppercase();
            let order = ["DMY", "YMD"].into_iter().find(|order| upper.contains(order));
            match upper.contains("SQL") || upper.contains("GERMAN") || upper.contains("POSTGRES") {
                true => wrong("dates are written in ISO form; the order may be MDY, DMY or YMD"),
                false => Ok(format!("ISO, {}", order.unwrap_or("MDY"))),
            }
        }
        "asofdb.commit_properties"
            if !value.is_empty() && crate::parse::set_properties(value).is_none() =>
        {
            wrong("pairs such as run_id=42, note=hello world")
        }
        "intervalstyle" if !value.eq_ignore_ascii_case("postgres") => {
            wrong("intervals are written in style postgres")
        }
        "standard_conforming_strings" if !is_on(value) => wrong("it is always on"),
        "extra_float_digits" => match value.parse::<i32>() {
            Ok(digits) if (-15..=3).contains(&digits) => Ok(value.to_owned()),
            _ => wrong("a number from -15 to 3"),
        },
        "statement_timeout" | "idle_in_transaction_session_timeout" | "lock_timeout" => {
            milliseconds(value)
                .map_or_else(|| wrong("a number of ms, or 5s, 2min"), |ms| Ok(ms.to_string()))
        }
        _ => Ok(value.to_owned()),
    }
}

fn letters(value: &str) -> String {
    value.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "yes" | "1")
}

/// `5s`, `2 min`, `1500`: milliseconds.
fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = value[..digits].parse().ok()?;
    let unit = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

pub(super) fn unknown(name: &str) -> Error {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    Error::new(ErrorKind::UndefinedObject, message).hint("SHOW ALL lists those there are")
}
