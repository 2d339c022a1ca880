//! Fail points: named places where a test makes the work fail, wait or die.
//!
//! `ASOFDB_FAILPOINTS="seg.sync=error(EIO)@2,seg.rename=kill"` arms them for a process: at the second
//! hit of `seg.sync` the call is refused, at every hit of `seg.rename` the process is killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Signal, getpid, kill_process};

use super::handle::io_error;
use crate::error::{Error, ErrorKind, Result};

/// What happens at an armed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call is refused with this errno.
    Error(i32),
    /// The process kills itself with SIGKILL.
    Kill,
    /// The thread panics.
    Panic,
    /// The thread waits.
    Sleep(Duration),
    /// At a write: this many bytes are written, then the process kills itself. Elsewhere: kill.
    Torn(usize),
}

impl Action {
    pub(super) fn run(self, name: &str) -> Result<()> {
        match self {
            Action::Error(errno) => {
                Err(io_error("fail point", name, std::io::Error::from_raw_os_error(errno)))
            }
            Action::Kill | Action::Torn(_) => {
                // Only a refusal returns, and a process may always kill itself.
                let _ = kill_process(getpid(), Signal::KILL);
                std::process::abort()
            }
            Action::Panic => panic!("fail point {name}"),
            Action::Sleep(time) => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }
}

struct Armed {
    name: String,
    action: Action,
    /// The only hit that acts, counted from 1; None: every hit.
    at: Option<u64>,
    hits: u64,
}

/// The armed points of one data folder.
#[derive(Default)]
pub struct Points {
    any: AtomicBool,
    armed: Mutex<Vec<Armed>>,
}

impl Points {
    /// The points that the environment names.
    pub(super) fn from_env() -> Result<Points> {
        let points = Points::default();
        if let Ok(text) = std::env::var("ASOFDB_FAILPOINTS") {
            points.arm_all(&text)?;
        }
        Ok(points)
    }

    /// Arms a point: at its `at`-th hit from now, counted from 1, or at every hit.
    pub fn arm(&self, name: &str, action: Action, at: Option<u64>) {
        self.armed.lock().push(Armed { name: name.to_owned(), action, at, hits: 0 });
        self.any.store(true, Ordering::Release);
    }

    /// Arms `name=action[@hit],…`.
    pub fn arm_all(&self, text: &str) -> Result<()> {
        for point in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, action, at) = parse(point).ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, format!("\"{point}\" is not a fail point"))
                    .hint("write name=error(EIO) | kill | panic | sleep(ms) | torn(bytes), then @hit")
            })?;
            self.arm(name, action, at);
        }
        Ok(())
    }

    /// Disarms every point.
    pub fn disarm(&self) {
        self.any.store(false, Ordering::Release);
        self.armed.lock().clear();
    }

    pub(super) fn hit(&self, name: &str) -> Option<Action> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut action = None;
        for armed in self.armed.lock().iter_mut().filter(|armed| armed.name == name) {
            armed.hits += 1;
            if armed.at.is_none_or(|at| at == armed.hits) {
                action = Some(armed.action);
            }
        }
        action
    }
}

fn parse(point: &str) -> Option<(&str, Action, Option<u64>)> {
    let (name, rest) = point.split_once('=')?;
    let (action, at) = match rest.split_once('@') {
        Some((action, at)) => (action, Some(at.parse().ok()?)),
        None => (rest, None),
    };
    let (word, argument) = match action.split_once('(') {
        Some((word, rest)) => (word, Some(rest.strip_suffix(')')?)),
        None => (action, None),
    };
    let action = match (word, argument) {
        ("error", None) => Action::Error(rustix::io::Errno::IO.raw_os_error()),
        ("error", Some(errno)) => Action::Error(parse_errno(errno)?),
        ("kill", None) => Action::Kill,
        ("panic", None) => Action::Panic,
        ("sleep", Some(ms)) => Action::Sleep(Duration::from_millis(ms.parse().ok()?)),
        ("torn", Some(bytes)) => Action::Torn(bytes.parse().ok()?),
        _ => return None,
    };
    Some((name, action, at))
}

fn parse_errno(name: &str) -> Option<i32> {
    use rustix::io::Errno;
    Some(match name {
        "EIO" => Errno::IO.raw_os_error(),
        "ENOSPC" => Errno::NOSPC.raw_os_error(),
        "EDQUOT" => Errno::DQUOT.raw_os_error(),
        "EMFILE" => Errno::MFILE.raw_os_error(),
        number => number.parse().ok()?,
    })
}
