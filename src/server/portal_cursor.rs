//! FETCH, MOVE and CLOSE of a portal that Bind made: PostgreSQL's portals and cursors are one set, and
//! drivers move in their portals with SQL.

use super::backend::Backend;
use super::extended::{Portal, PortalState};
use super::reply;
use super::rows::{Formats, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{Fetch, FetchDirection};
use crate::session::{CursorStatement, Outcome, Prepared};

impl Backend {
    /// Runs a statement about a portal; the tag. None where it is about none.
    ///
    /// # Errors
    /// Those of the portal's query, `WrongState` for a way back.
    pub(super) async fn portal_statement(&mut self, prepared: &Prepared) -> Result<Option<String>> {
        match prepared.cursor_statement() {
            Some(CursorStatement::Close(name)) => {
                Ok(self.portals.remove(name).map(|_| "CLOSE CURSOR".to_owned()))
            }
            Some(CursorStatement::Fetch(fetch)) => {
                let Some(portal) = self.portals.remove(&fetch.cursor) else { return Ok(None) };
                self.fetch_portal(fetch, portal).await.map(Some)
            }
            None => Ok(None),
        }
    }

    async fn fetch_portal(&mut self, fetch: &Fetch, portal: Portal) -> Result<String> {
        let most = match fetch.direction {
            FetchDirection::Forward(None) => u64::MAX,
            FetchDirection::Forward(Some(n)) if n >= 0 => n.unsigned_abs(),
            _ => {
                return Err(Error::new(ErrorKind::WrongState, "cursor can only scan forward")
                    .hint("DECLARE a cursor with SCROLL"));
            }
        };
        let Portal { statement, formats, state } = portal;
        let mut rows = match state {
            PortalState::Bound(values) => {
                let prepared = statement.prepared.clone().ok_or_else(no_rows)?;
                match self.session.execute(&prepared, values).await? {
                    Outcome::Rows { columns, stream, tag } => {
                        let options = self.session.text_options();
                        Rows::new(columns, formats.clone(), options, stream, tag)
                    }
                    _ => return Err(no_rows()),
                }
            }
            PortalState::Suspended(rows) | PortalState::Exhausted(rows) => rows,
            PortalState::Done => return Err(no_rows()),
        };
        let (word, count) = match fetch.moves {
            true => ("MOVE", rows.skip(most, &self.cancel).await?),
            false => {
                let own = rows.set_formats(Formats::default());
                reply::row_description(&mut self.sink.out, rows.columns(), |at| {
                    Formats::default().at(at)
                });
                let sent = match most {
                    0 => 0,
                    u64::MAX => rows.send(0, &mut self.sink, &self.cancel).await?.rows,
                    most => {
                        let most = usize::try_from(most).unwrap_or(usize::MAX);
                        rows.send(most, &mut self.sink, &self.cancel).await?.rows
                    }
                };
                rows.set_formats(own);
                ("FETCH", sent)
            }
        };
        let state = PortalState::Suspended(rows);
        self.portals.insert(fetch.cursor.clone(), Portal { statement, formats, state });
        Ok(format!("{word} {count}"))
    }
}

fn no_rows() -> Error {
    Error::new(ErrorKind::WrongState, "the portal gives no rows")
}
