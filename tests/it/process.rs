//! The program as a process of its own, which may die.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

/// SIGKILL's number.
const KILLED: i32 = 9;

/// The program, unmoved by the environment of the test.
pub(super) fn asofdb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_asofdb"));
    for name in ["ASOFDB_DATA", "ASOFDB_LISTEN", "ASOFDB_MEMORY", "ASOFDB_FAILPOINTS"] {
        command.env_remove(name);
    }
    command
}

/// `asofdb check`, which opens the folder first and so recovers what a crash left.
pub(super) fn check(data: &Path) -> Output {
    asofdb().arg("check").arg("--data").arg(data).output().expect("it runs")
}

/// What was said to standard output and standard error.
pub(super) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// A running server. Dropping it kills it.
pub(super) struct Program {
    child: Child,
    port: u16,
}

impl Program {
    pub(super) fn start(data: &Path, arguments: &[&str]) -> Program {
        Program::start_with(data, arguments, "").expect("it listens")
    }

    /// With fail points armed; how it ended where it ended before it listened.
    pub(super) fn start_with(
        data: &Path,
        arguments: &[&str],
        fail_points: &str,
    ) -> Result<Program, ExitStatus> {
        let mut child = asofdb()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .env("ASOFDB_FAILPOINTS", fail_points)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        match line.trim_end().rsplit_once(':') {
            Some((_, port)) => Ok(Program { port: port.parse().expect("a port"), child }),
            None => Err(child.wait().expect("it ended")),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn connect(&self) -> Client {
        let config = format!("host=127.0.0.1 port={} user=ann dbname=main", self.port);
        let (client, connection) =
            tokio_postgres::connect(&config, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().expect("a process of ours");
    }

    /// How it ended, once it has.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// SIGTERM, which asks it to end.
    pub(super) fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").arg("-TERM").arg(pid).status().expect("kill is there");
        assert!(told.success());
    }

    /// The most memory it ever had, in MiB.
    pub(super) fn peak_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process lives");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a size");
        kib / 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whether it has ended already does not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(KILLED)
}
