//! Postgres protocol: bytes to statements, rows to bytes.
//!
//! Two runtimes. Sockets live on the first: a connection's task reads, cuts whole messages out of what
//! came ([`frame`], [`message`]) and writes. Everything that plans, runs or encodes goes to the second,
//! whose threads have large stacks: the connection lends its [`backend`] (session, statements,
//! portals) to a task there, and meanwhile forwards what that task sends. So a scan never delays a
//! message that is answered on the first.
//!
//! ```text
//!   socket ─► input ─► frames ─► messages ─► backend ─► replies ─► socket
//!             bounded            one batch   lent       64 KiB, waits for a slow client
//! ```
//!
//! What must stay true: a message is decoded from exactly its own frame, whose length was checked
//! before a byte of it was kept; a result is never held whole; after FATAL nothing more is read as a
//! message; an error skips to Sync; a panic ends one statement. Refused: TLS (answered 'N'), listening
//! beyond loopback, as there are no passwords yet, and function calls.
//!
//! Start at [`serve`], then [`connection`], then [`backend`].

mod backend;
mod connection;
mod copy;
mod extended;
mod farewell;
mod frame;
mod message;
mod oid;
mod parameter;
mod portal_cursor;
mod registry;
mod reply;
mod rows;
mod serve;
mod sink;
mod startup;

pub use serve::{Server, query_runtime};
