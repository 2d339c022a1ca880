//! `asofdb demo`: a year of flights, told in six chapters by a client of a server that it starts.
//!
//! Everything happens by SQL over the Postgres protocol, as any program would do it; the server is
//! a child process, so that the last chapter can kill it. Whatever the story claims it has looked
//! at: a claim that does not hold ends it with an error. The folder stays and can be served.
//!
//! It refuses a folder that holds anything. Start reading at [`story`]; the SQL is in sql/demo.

mod client;
mod figures;
mod script;
mod server;
mod story;
mod teller;

mod branch;
mod kill;
mod look_ups;
mod tables;
mod training_set;
mod versions;

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};

/// Runs the demo in the settings' data folder, which must be new or empty.
///
/// # Errors
/// DataDirectory for a folder that holds something; Internal where a claim does not hold; Cancelled
/// by SIGINT or SIGTERM; whatever the server answers.
pub fn run(settings: Settings) -> Result<()> {
    refuse_used(&settings.data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| Error::new(ErrorKind::Io, "cannot start the demo").caused_by(e))?;
    runtime.block_on(async {
        let signalled = |e| Error::new(ErrorKind::Io, "cannot wait for signals").caused_by(e);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(signalled)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(signalled)?;
        // Whichever ends first drops the story, and with it the server.
        tokio::select! {
            told = story::tell(settings) => told,
            _ = interrupt.recv() => Err(stopped()),
            _ = terminate.recv() => Err(stopped()),
        }
    })
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the demo was stopped")
}

/// The story begins on an empty page: what is in the folder may be somebody's.
fn refuse_used(folder: &Path) -> Result<()> {
    let name = folder.display();
    let message = match folder.read_dir().map(|mut entries| entries.next().is_some()) {
        Ok(false) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Ok(true) => format!("folder \"{name}\" is not empty, and the demo begins with a new one"),
        Err(error) => {
            let message = format!("cannot use \"{name}\" as the demo's folder");
            return Err(Error::new(ErrorKind::DataDirectory, message).caused_by(error));
        }
    };
    Err(Error::new(ErrorKind::DataDirectory, message)
        .hint("remove it if it is an earlier demo's, or name another one: asofdb demo --data DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_folder_will_do() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refuse_used(folder.path()).is_ok());
        assert!(refuse_used(&folder.path().join("new")).is_ok());
        std::fs::write(folder.path().join("mine"), "x").unwrap();
        let error = refuse_used(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataDirectory);
        assert!(error.hint_text().is_some_and(|hint| hint.contains("--data")));
        let error = refuse_used(&folder.path().join("mine")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataDirectory);
    }
}
