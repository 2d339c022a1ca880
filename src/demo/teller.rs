//! How the story is told: chapters, statements, results, claims, and progress on what takes long.
//!
//! On a terminal there is colour (unless NO_COLOR is set) and progress is one line that changes;
//! elsewhere it is plain text with a line a second.

use std::cell::Cell;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::figures::{self, Grid};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Text is broken so that a line has no more characters than this.
const WIDTH: usize = 88;
/// Nothing is said about what ends within this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the story on standard output.
pub(super) struct Teller {
    clock: Clock,
    begun: Duration,
    colour: bool,
    terminal: bool,
    claims: Cell<usize>,
    /// Whether the last line is empty: paragraphs are one apart.
    apart: Cell<bool>,
}

impl Teller {
    /// A story that begins now.
    pub(super) fn new(clock: Clock) -> Teller {
        let terminal = std::io::stdout().is_terminal();
        let silenced = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Teller {
            begun: clock.monotonic(),
            clock,
            colour: terminal && !silenced,
            terminal,
            claims: Cell::new(0),
            apart: Cell::new(true),
        }
    }

    /// How long the story has gone on.
    pub(super) fn elapsed(&self) -> Duration {
        self.now().saturating_sub(self.begun)
    }

    /// The moment, for measuring.
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// How many claims held.
    pub(super) fn claims(&self) -> usize {
        self.claims.get()
    }

    /// A headline and what follows under it.
    pub(super) fn chapter(&self, mark: &str, headline: &str, text: &str) -> Result<()> {
        let headline = self.styled(BOLD, headline);
        self.gap()?;
        self.write(&format!("{}  {headline}\n", self.styled(CYAN, mark)))?;
        self.say(text)
    }

    /// A paragraph.
    pub(super) fn say(&self, text: &str) -> Result<()> {
        let lines: Vec<String> = wrapped(text).map(|line| format!("   {line}\n")).collect();
        self.write(&lines.concat())
    }

    /// An SQL text, as it is sent.
    pub(super) fn sql(&self, text: &str) -> Result<()> {
        let line = |line: &str| format!("     {}\n", self.styled(DIM, line));
        let lines: Vec<String> = text.lines().map(line).collect();
        self.gap()?;
        self.write(&lines.concat())?;
        self.gap()
    }

    /// A result.
    pub(super) fn grid(&self, grid: &Grid) -> Result<()> {
        let mut lines = grid.lines().into_iter();
        let names = lines.next().unwrap_or_default();
        let rows: Vec<String> = lines.map(|line| format!("     {line}\n")).collect();
        self.write(&format!("     {}\n{}", self.styled(BOLD, &names), rows.concat()))
    }

    /// A line about what was measured.
    pub(super) fn measured(&self, text: &str) -> Result<()> {
        self.write(&format!("     {}\n", self.styled(DIM, text)))
    }

    /// Something that must be so, and was looked at.
    ///
    /// # Errors
    /// Internal where it is not so: the story ends there.
    pub(super) fn claim(&self, holds: bool, claim: &str) -> Result<()> {
        if !holds {
            let message = format!("the demo claims that {claim}; but that is not so");
            return Err(Error::new(ErrorKind::Internal, message));
        }
        self.claims.set(self.claims.get() + 1);
        let mut lines = wrapped(claim);
        let first = lines.next().unwrap_or_default();
        let rest: Vec<String> = lines.map(|line| format!("     {line}\n")).collect();
        self.write(&format!("   {} {first}\n{}", self.styled(GREEN, "✓"), rest.concat()))
    }

    /// A line to be typed.
    pub(super) fn command(&self, line: &str) -> Result<()> {
        self.write(&format!("     {}\n", self.styled(CYAN, line)))
    }

    /// Does something and shows how far it is once it takes long. Answers how long it took, too.
    pub(super) async fn watch<T>(
        &self,
        what: &str,
        meter: &Meter,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, Duration)> {
        let (begun, apart) = (self.now(), self.apart.get());
        let mut work = std::pin::pin!(work);
        let period = Duration::from_millis(if self.terminal { 100 } else { 1000 });
        let mut ticks = tokio::time::interval(period);
        let mut shown = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                _ = ticks.tick() => {}
            }
            let passed = self.now().saturating_sub(begun);
            if passed >= PATIENCE {
                self.progress(&format!("{what} … {}{} s", meter.shown(), passed.as_secs()))?;
                shown = true;
            }
        };
        if shown && self.terminal {
            self.write("\r\x1b[2K")?;
            self.apart.set(apart);
        }
        result.map(|value| (value, self.now().saturating_sub(begun)))
    }

    fn progress(&self, text: &str) -> Result<()> {
        match self.terminal {
            true => self.write(&format!("\r\x1b[2K     {}", self.styled(DIM, text))),
            false => self.write(&format!("     {text}\n")),
        }
    }

    fn styled(&self, style: &str, text: &str) -> String {
        match self.colour && !text.is_empty() {
            true => format!("\x1b[{style}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// An empty line, unless there is one.
    pub(super) fn gap(&self) -> Result<()> {
        match self.apart.get() {
            true => Ok(()),
            false => self.write("\n"),
        }
    }

    fn write(&self, text: &str) -> Result<()> {
        self.apart.set(text == "\n");
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
            Error::new(ErrorKind::Io, "cannot write to standard output").caused_by(error)
        })
    }
}

/// How far something is, in a unit of its own.
pub(super) struct Meter {
    done: Cell<u64>,
    total: Option<u64>,
    unit: Unit,
}

enum Unit {
    /// Nothing is counted.
    Time,
    /// Bytes.
    Bytes,
    /// Things of this name.
    Count(&'static str),
}

impl Meter {
    /// For what cannot say how far it is.
    pub(super) fn time() -> Meter {
        Meter { done: Cell::new(0), total: None, unit: Unit::Time }
    }

    /// Bytes, of so many where that is known.
    pub(super) fn bytes(total: Option<u64>) -> Meter {
        Meter { done: Cell::new(0), total, unit: Unit::Bytes }
    }

    /// Things of this name, of so many where that is known.
    pub(super) fn count(unit: &'static str, total: Option<u64>) -> Meter {
        Meter { done: Cell::new(0), total, unit: Unit::Count(unit) }
    }

    /// So many more.
    pub(super) fn add(&self, more: u64) {
        self.done.set(self.done.get() + more);
    }

    /// How many so far.
    pub(super) fn done(&self) -> u64 {
        self.done.get()
    }

    fn shown(&self) -> String {
        if self.done() == 0 {
            return String::new();
        }
        let number = |n: u64| match self.unit {
            Unit::Bytes => figures::bytes(n),
            Unit::Time | Unit::Count(_) => figures::count(n),
        };
        let unit = match self.unit {
            Unit::Time => return String::new(),
            Unit::Bytes => String::new(),
            Unit::Count(name) => format!(" {name}"),
        };
        match self.total {
            Some(total) => format!("{} of {}{unit}, ", number(self.done()), number(total)),
            None => format!("{}{unit}, ", number(self.done())),
        }
    }
}

/// The text in lines.
fn wrapped(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("it begins with one");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.into_iter()
}
