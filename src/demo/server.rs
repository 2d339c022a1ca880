//! The server under the story: a child process of this program, so that it can be killed like one.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};

/// What the server prints before its address.
const READY: &str = "listening on ";
/// How many lines of its log are kept for the case that it ends unasked.
const LOG_LINES: usize = 12;
/// How long an orderly end may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_PERIOD: Duration = Duration::from_millis(20);

/// A running server. Dropped, it is killed.
pub(super) struct Server {
    child: Child,
    address: String,
    log: Log,
}

/// The last lines that the server wrote to its standard error.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

/// How to start the server: twice in the story.
#[derive(Clone)]
pub(super) struct Launch {
    /// The data folder.
    pub(super) data: PathBuf,
    /// What it may allocate.
    pub(super) memory_bytes: u64,
}

impl Launch {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// Io where the program cannot be started; Internal where it ends before it listens.
    pub(super) async fn start(&self) -> Result<Server> {
        let program = std::env::current_exe().map_err(|e| refused("find this program", e))?;
        let mut child = self.command(&program).spawn().map_err(|e| refused("start a server", e))?;
        let (ready, address) = oneshot::channel();
        let out = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || find_address(out, ready));
        let log = Log::default();
        let (err, lines) = (child.stderr.take().expect("it is piped"), log.clone());
        std::thread::spawn(move || lines.keep(err));
        let mut server = Server { child, address: String::new(), log };
        match address.await {
            Ok(address) => server.address = address,
            Err(_) => return Err(server.ended("the server ended before it listened")),
        }
        Ok(server)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data);
        command.arg("--memory").arg(self.memory_bytes.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Server {
    /// HOST:PORT.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Its process, as `kill` wants it.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9: the process is gone when this returns, and had no chance to do anything.
    ///
    /// # Errors
    /// Io where the operating system refuses.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill().map_err(|e| refused("kill the server", e))?;
        self.child.wait().map_err(|e| refused("wait for the server", e)).map(drop)
    }

    /// Asks the server to end and waits for it.
    ///
    /// # Errors
    /// Internal where it does not end, or not well.
    pub(super) async fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|e| refused("stop the server", e.into()))?;
        for _ in 0..STOP_TIMEOUT.as_millis() / STOP_PERIOD.as_millis() {
            match self.child.try_wait().map_err(|e| refused("wait for the server", e))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.ended(&format!("the server ended with {status}"))),
                None => tokio::time::sleep(STOP_PERIOD).await,
            }
        }
        Err(self.ended("the server was told to stop and did not"))
    }

    fn ended(&mut self, message: &str) -> Error {
        // The threads that read its last lines end with it.
        _ = self.kill();
        let error = Error::new(ErrorKind::Internal, message);
        match self.log.text() {
            log if log.is_empty() => error,
            log => error.detail(log),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already: then there is nothing to do.
        _ = self.kill();
    }
}

impl Log {
    fn keep(&self, from: impl Read) {
        for line in BufReader::new(from).lines().map_while(|line| line.ok()) {
            let mut lines = self.0.lock();
            if lines.len() == LOG_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    }

    fn text(&self) -> String {
        self.0.lock().iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Reads to the end, so that the server never waits for us; hands on the address when it comes.
fn find_address(from: impl Read, ready: oneshot::Sender<String>) {
    let mut ready = Some(ready);
    for line in BufReader::new(from).lines().map_while(|line| line.ok()) {
        if let Some(address) = line.strip_prefix(READY)
            && let Some(ready) = ready.take()
        {
            // Nobody waits any more only where the story was ended meanwhile.
            _ = ready.send(address.to_owned());
        }
    }
}

fn refused(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what}")).caused_by(error)
}
