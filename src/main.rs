//! The command line: serve, sql, demo, check.

mod shell;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use asofdb::config::{Bytes, Settings};
use asofdb::error::{Error, ErrorKind, Result};
use asofdb::memory::CountingAllocator;
use asofdb::server::Server;
use asofdb::session::Database;
use clap::{Args, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A feature database: versioned tables, ASOF JOIN, and look-ups in well under a millisecond.
///
/// Start it with `asofdb serve` and reach it with any Postgres client:
/// psql "host=localhost port=5433 dbname=main". A database name may carry a branch, a tag or a
/// commit: main@audit_42, main@v127.
#[derive(Parser)]
#[command(name = "asofdb", version, subcommand_required = true, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the Postgres protocol until SIGTERM or SIGINT.
    Serve {
        #[command(flatten)]
        folder: Folder,
        /// Where to listen; port 0 picks a free one.
        #[arg(
            long,
            value_name = "HOST:PORT",
            env = "ASOFDB_LISTEN",
            default_value = "127.0.0.1:5433"
        )]
        listen: String,
    },
    /// Run SQL in this process, without a server, and print the results.
    Sql {
        #[command(flatten)]
        folder: Folder,
        /// The SQL to run.
        #[arg(short = 'c', long = "command", value_name = "SQL", conflicts_with = "file")]
        text: Option<String>,
        /// A file of SQL to run; standard input where neither is given.
        file: Option<PathBuf>,
    },
    /// Show what it does: starts a server on a folder of its own and runs a story against it.
    Demo {
        #[command(flatten)]
        folder: Folder,
    },
    /// Read a whole data folder and say whether it is sound; exit code 0 when it is.
    Check {
        /// The data folder.
        #[arg(long, value_name = "DIR", env = "ASOFDB_DATA")]
        data: PathBuf,
    },
}

#[derive(Args)]
struct Folder {
    /// The data folder, made where it does not exist: ./asofdb-data where none is named, for the demo
    /// a new one.
    #[arg(long, value_name = "DIR", env = "ASOFDB_DATA")]
    data: Option<PathBuf>,
    /// What the process may allocate, such as 512MB or 2GiB; a quarter of the machine by default.
    #[arg(long, value_name = "SIZE", env = "ASOFDB_MEMORY")]
    memory: Option<String>,
}

impl Folder {
    fn settings(self, data: &str) -> Result<Settings> {
        let settings = Settings {
            data: self.data.unwrap_or_else(|| PathBuf::from(data)),
            ..Settings::default()
        };
        match self.memory {
            Some(text) => settings.with_memory_limit(text.parse::<Bytes>()?),
            None => Ok(settings),
        }
    }
}

fn main() -> ExitCode {
    asofdb::memory::keep_little();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let result = match CommandLine::parse().command {
        Command::Serve { folder, listen } => serve(folder, listen).map(|()| true),
        Command::Sql { folder, text, file } => sql(folder, text, file),
        Command::Demo { folder } => demo(folder).map(|()| true),
        Command::Check { data } => check(&data),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            shell::print_error(&error, None);
            ExitCode::FAILURE
        }
    }
}

fn serve(folder: Folder, listen: String) -> Result<()> {
    let settings = Settings { listen, ..folder.settings("asofdb-data")? };
    let database = Database::open(&settings.data, settings.clone())?;
    let server = Server::start(database.clone(), settings)?;
    server.until_signal(|| print_line(&format!("listening on {}", server.address())))?;
    tracing::info!("shutting down");
    server.stop();
    database.close();
    Ok(())
}

fn demo(folder: Folder) -> Result<()> {
    asofdb::demo::run(folder.settings("asofdb-demo")?)
}

fn sql(folder: Folder, text: Option<String>, file: Option<PathBuf>) -> Result<bool> {
    let settings = folder.settings("asofdb-data")?;
    let source = match (text, file) {
        (Some(text), _) => shell::Source::Text(text),
        (None, Some(path)) => shell::Source::Text(read_text(&path)?),
        (None, None) => shell::Source::StandardInput,
    };
    shell::run(settings, source)
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::UndefinedFile, format!("cannot read \"{}\"", path.display()))
            .caused_by(error)
    })
}

fn check(data: &Path) -> Result<bool> {
    let problems = Database::check(data)?;
    for problem in &problems {
        print_line(problem)?;
    }
    print_line(&match problems.len() {
        0 => format!("{} is sound", data.display()),
        1 => format!("{} has a problem", data.display()),
        count => format!("{} has {count} problems", data.display()),
    })?;
    Ok(problems.is_empty())
}

/// Whoever reads standard output may have gone away: that is an error, not a panic.
fn print_line(line: &str) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| {
        Error::new(ErrorKind::Io, "cannot write to standard output").caused_by(error)
    })
}
