//! The chapters in order, what they share, and how it ends.

use std::path::Path;

use super::client::Client;
use super::figures;
use super::server::{Launch, Server};
use super::teller::{Meter, Teller};
use super::{branch, kill, look_ups, tables, training_set, versions};
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Database;

/// What the chapters share.
pub(super) struct Stage {
    pub(super) teller: Teller,
    pub(super) launch: Launch,
    pub(super) server: Server,
    /// A connection to the newest state of main.
    pub(super) main: Client,
}

impl Stage {
    /// Another connection.
    pub(super) async fn connect(&self, database: &str) -> Result<Client> {
        Client::connect(self.server.address(), database).await
    }

    /// Shows a statement and runs it.
    pub(super) async fn do_sql(&self, client: &Client, sql: &str) -> Result<()> {
        self.teller.sql(sql)?;
        let (_, took) = self.teller.watch("running", &Meter::time(), client.run(sql)).await?;
        self.teller.measured(&figures::time(took))
    }

    /// Shows a query, runs it and shows its rows.
    pub(super) async fn ask(&self, client: &Client, sql: &str) -> Result<()> {
        self.teller.sql(sql)?;
        let (grid, took) = self.teller.watch("running", &Meter::time(), client.grid(sql)).await?;
        self.teller.grid(&grid)?;
        self.teller.measured(&figures::time(took))
    }
}

/// Tells the story in the settings' data folder.
///
/// # Errors
/// As [`super::run`].
pub(super) async fn tell(settings: Settings) -> Result<()> {
    let teller = Teller::new(settings.clock.clone());
    let folder = settings.data.display();
    teller.chapter(
        "AsofDB",
        "keeps every version, joins by time, answers at once",
        &format!(
            "A year of flights out of New York goes into a new database in {folder}. A server is \
             started on it; all that follows is SQL that any Postgres client could send."
        ),
    )?;
    let launch = Launch { data: settings.data.clone(), memory_bytes: settings.memory_limit_bytes };
    let (server, _) = teller.watch("starting the server", &Meter::time(), launch.start()).await?;
    let main = Client::connect(server.address(), "main").await?;
    teller.measured(&format!("server {} listens on {}", server.pid(), server.address()))?;

    let mut stage = Stage { teller, launch, server, main };
    tables::tell(&stage).await?;
    let first = training_set::tell(&stage).await?;
    versions::tell(&stage, &first).await?;
    branch::tell(&stage).await?;
    look_ups::tell(&stage).await?;
    kill::tell(&mut stage).await?;
    finish(stage).await
}

/// Ends the server, looks over the folder, and says how to go on.
async fn finish(stage: Stage) -> Result<()> {
    let Stage { teller, launch, server, main } = stage;
    teller.chapter(
        "—",
        "The folder stays",
        "The server ends in good order; then every byte is read.",
    )?;
    drop(main);
    teller.watch("stopping the server", &Meter::time(), server.stop()).await?;
    let data = launch.data.clone();
    let check = async move {
        let checked = tokio::task::spawn_blocking(move || Database::check(&data)).await;
        checked.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the check panicked")))
    };
    let (problems, took) = teller.watch("reading every byte", &Meter::time(), check).await?;
    if let Some(problem) = problems.first() {
        let message = format!("the check of the folder found {}: {problem}", problems.len());
        return Err(Error::new(ErrorKind::Internal, message));
    }
    let sound = format!("asofdb check finds nothing wrong, in {}", figures::time(took));
    teller.claim(true, &sound)?;
    say_how_to_go_on(&teller, &launch.data)
}

fn say_how_to_go_on(teller: &Teller, data: &Path) -> Result<()> {
    let program = std::env::args().next().unwrap_or_else(|| "asofdb".to_owned());
    teller.chapter("→", "Go on from here", "Start the server in one terminal:")?;
    teller.command(&format!(
        "{} serve --data {}",
        quoted(&program),
        quoted(&data.to_string_lossy())
    ))?;
    teller.say("and talk to it in another, now or as of the tag:")?;
    teller.command("psql \"host=localhost port=5433 dbname=main\"")?;
    teller.command("psql \"host=localhost port=5433 dbname=main@first_model\"")?;
    teller.say("where these are a beginning:")?;
    teller.command("SELECT * FROM training_set WHERE flight_id = 151234;")?;
    teller.command("SELECT * FROM training_set FOR VERSION AS OF 'first_model' LIMIT 5;")?;
    teller.command("DESCRIBE HISTORY weather;")?;
    let (claims, elapsed) = (teller.claims(), figures::time(teller.elapsed()));
    teller.chapter("✓", "Done", &format!("{claims} claims, all of them looked at, in {elapsed}."))
}

/// As a shell wants it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(quoted("target/release/asofdb"), "target/release/asofdb");
        assert_eq!(quoted("my demo's"), r"'my demo'\''s'");
    }
}
