//! One client's side of the protocol: what every message means to its session, its statements and its
//! portals. The connection lends it to a task of the query runtime, message batch by message batch.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;

use super::extended::{Portal, Statement};
use super::message::{Bind, Message, Step};
use super::registry::{Phase, Seat};
use super::reply::{self, Format, Severity};
use super::rows::{Formats, Rows};
use super::sink::Sink;
use crate::activity::{CancelToken, SessionActivity, SessionState};
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Account;
use crate::session::{Outcome, Prepared, RowsTag, Session, TransactionStatus};

/// Larger parameters are decoded away from the sockets.
const INLINE_BIND_BYTES: usize = 16 * 1024;

/// Whether there is a next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    End,
}

/// A session, and what the protocol keeps beside it.
pub(super) struct Backend {
    pub(super) session: Session,
    pub(super) statements: HashMap<String, Arc<Statement>>,
    pub(super) portals: HashMap<String, Portal>,
    /// What was read together and is not yet done.
    pub(super) batch: VecDeque<Message>,
    pub(super) sink: Sink,
    pub(super) cancel: CancelToken,
    pub(super) activity: SessionActivity,
    /// What its statements allocate.
    pub(super) account: Account,
    pub(super) settings: Arc<Settings>,
    /// After an error in the extended protocol, until Sync.
    skip_to_sync: bool,
    /// Whether the extended protocol opened a transaction that Sync commits.
    implicit: bool,
    /// Given back last: the bound on sessions counts until the session is gone.
    _seat: Arc<Seat>,
}

impl Backend {
    pub(super) fn new(
        session: Session,
        activity: SessionActivity,
        sink: Sink,
        settings: Arc<Settings>,
        seat: Arc<Seat>,
    ) -> Self {
        Backend {
            session,
            statements: HashMap::new(),
            portals: HashMap::new(),
            batch: VecDeque::new(),
            sink,
            cancel: activity.cancel_token(),
            activity,
            account: Account::open(),
            settings,
            skip_to_sync: false,
            implicit: false,
            _seat: seat,
        }
    }

    /// Whether messages are answered at once on the connection's own task. What plans, runs or
    /// commits is not; a look-up by key is.
    pub(super) fn is_brief_batch(&self, messages: &VecDeque<Message>) -> bool {
        let mut bound = None;
        messages.iter().all(|message| {
            if let Message::Step(Step::Bind(bind)) = message {
                bound = Some(bind);
            }
            self.is_brief(message, bound)
        })
    }

    /// `bound` is the Bind that came last in the same batch.
    fn is_brief(&self, message: &Message, bound: Option<&Bind>) -> bool {
        match message {
            Message::Step(Step::Execute { portal, .. }) if !self.skip_to_sync => {
                !self.implicit && self.is_look_up(portal, bound)
            }
            Message::Step(Step::Bind(bind)) => {
                let bytes = bind.parameters.iter().flatten().map(|value| value.len());
                bytes.sum::<usize>() <= INLINE_BIND_BYTES
            }
            Message::Sync => !self.implicit,
            Message::Query(_) | Message::Step(Step::Parse(_) | Step::Execute { .. }) => {
                self.skip_to_sync
            }
            Message::Step(Step::Describe(_) | Step::Close(_))
            | Message::Flush
            | Message::CopyData(_)
            | Message::CopyDone
            | Message::CopyFail(_)
            | Message::FunctionCall
            | Message::Terminate
            | Message::Malformed { .. } => true,
        }
    }

    /// Answers messages in order.
    pub(super) async fn run(&mut self, batch: VecDeque<Message>) -> Flow {
        self.batch = batch;
        while let Some(message) = self.batch.pop_front() {
            if self.answer(message).await == Flow::End {
                return Flow::End;
            }
        }
        Flow::Continue
    }

    async fn answer(&mut self, message: Message) -> Flow {
        if self.skip_to_sync && !matches!(message, Message::Sync | Message::Terminate) {
            return Flow::Continue;
        }
        match message {
            Message::Query(text) => self.query(&text).await,
            Message::Sync => self.sync().await,
            Message::FunctionCall => {
                let error = Error::new(ErrorKind::NotSupported, "function calls of the protocol")
                    .hint("call the function in a SELECT");
                self.refuse(error)
            }
            Message::Malformed { tag: b'Q' | b'F', error } => self.refuse(error),
            Message::Malformed { error, .. } => self.fail_until_sync(error),
            Message::Terminate => Flow::End,
            // Left over from a COPY that failed.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Flow::Continue,
            Message::Flush => Flow::Continue,
            Message::Step(step) => match guarded(self.step(step)).await {
                Ok(()) => Flow::Continue,
                Err(error) => self.fail_until_sync(error),
            },
        }
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Parse(parse) => self.parse(parse).await,
            Step::Bind(bind) => self.bind(bind),
            Step::Describe(target) => self.describe(&target),
            Step::Execute { portal, max_rows } => self.execute(portal, max_rows).await,
            Step::Close(target) => {
                self.close(&target);
                Ok(())
            }
        }
    }

    fn fail_until_sync(&mut self, error: Error) -> Flow {
        self.skip_to_sync = true;
        self.fail(&error)
    }

    /// A message of the simple protocol that is an error as a whole.
    fn refuse(&mut self, error: Error) -> Flow {
        let flow = self.fail(&error);
        if flow == Flow::Continue {
            self.ready();
        }
        flow
    }

    /// The transaction fails, the client is told why.
    fn fail(&mut self, error: &Error) -> Flow {
        // A panic inside would be the second one about the same statement.
        let failed = std::panic::catch_unwind(AssertUnwindSafe(|| self.session.fail()));
        if failed.is_err() {
            tracing::error!(pid = self.activity.pid(), "the session could not be brought to order");
        }
        self.implicit = false;
        self.portals.clear();
        self.report_notices();
        let severity = match error.kind() {
            ErrorKind::ShuttingDown => Severity::Fatal,
            _ => Severity::Error,
        };
        reply::error(&mut self.sink.out, severity, error);
        match severity {
            Severity::Fatal => Flow::End,
            Severity::Error => Flow::Continue,
        }
    }

    async fn query(&mut self, text: &str) -> Flow {
        self.statements.remove("");
        self.portals.remove("");
        self.begin_statement(text);
        match guarded(self.query_statements(text)).await {
            Ok(()) => {
                self.ready();
                Flow::Continue
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Several statements are one transaction, unless they say otherwise; the last one's tag is
    /// sent when it is committed.
    async fn query_statements(&mut self, text: &str) -> Result<()> {
        self.check_text(text)?;
        let parsed = self.session.parse_apart(text).await?;
        let together = parsed.len() > 1 || self.implicit;
        let mut tag = None;
        for statement in &parsed {
            self.complete(tag.take());
            self.cancel.check()?;
            if together && self.session.transaction_status() == TransactionStatus::Idle {
                self.session.begin_implicit();
            }
            let prepared = self.session.prepare(statement.clone(), &[]).await?;
            if !prepared.parameters.is_empty() {
                return Err(Error::new(ErrorKind::UndefinedParameter, "there is no parameter $1")
                    .hint("parameters need a prepared statement"));
            }
            tag = self.simple_outcome(&prepared).await?;
        }
        if together {
            self.session.commit_implicit().await?;
        }
        self.implicit = false;
        if parsed.is_empty() {
            reply::empty_query(&mut self.sink.out);
        }
        self.complete(tag);
        Ok(())
    }

    async fn simple_outcome(&mut self, prepared: &Arc<Prepared>) -> Result<Option<String>> {
        if let Some(tag) = self.portal_statement(prepared).await? {
            return Ok(Some(tag));
        }
        match self.session.execute(prepared, Vec::new()).await? {
            Outcome::Rows { columns, stream, tag } => {
                let formats = match tag {
                    RowsTag::Fetch { binary: true } => Formats::all(Format::Binary),
                    _ => Formats::default(),
                };
                reply::row_description(&mut self.sink.out, &columns, |at| formats.at(at));
                let options = self.session.text_options();
                let mut rows = Rows::new(columns, formats, options, stream, tag);
                let sent = rows.send(0, &mut self.sink, &self.cancel).await?;
                self.activity.progress(sent.rows, sent.bytes);
                Ok(Some(rows.tag(sent.rows)))
            }
            Outcome::Done { tag } => Ok(Some(tag)),
            Outcome::CopyIn(copy) => self.copy_in(*copy).await.map(Some),
            Outcome::CopyOut(copy) => self.copy_out(copy).await.map(Some),
            Outcome::Empty => {
                reply::empty_query(&mut self.sink.out);
                Ok(None)
            }
        }
    }

    /// Commits what the extended protocol did since the last Sync.
    async fn sync(&mut self) -> Flow {
        self.skip_to_sync = false;
        if std::mem::take(&mut self.implicit)
            && let Err(error) = guarded(self.session.commit_implicit()).await
        {
            return self.refuse(error);
        }
        self.ready();
        Flow::Continue
    }

    /// The implicit transaction of the extended protocol, from its first Execute to Sync.
    pub(super) fn open_implicit(&mut self) {
        if self.session.transaction_status() == TransactionStatus::Idle {
            self.session.begin_implicit();
            self.implicit = true;
        }
    }

    /// A statement begins: nothing asked of the one before it concerns it.
    pub(super) fn begin_statement(&mut self, text: &str) {
        self.cancel.reset();
        self.activity.begin_statement(text);
    }

    /// # Errors
    /// `LimitExceeded`.
    pub(super) fn check_text(&self, text: &str) -> Result<()> {
        let bound = self.settings.wire.statement_text_bytes_max;
        match text.len() <= bound {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("a statement of {} bytes, at most {bound} are taken", text.len()),
            )
            .hint("bring data in with COPY or parameters")),
        }
    }

    /// A statement has ended well: what it has to say besides, and its tag.
    pub(super) fn complete(&mut self, tag: Option<String>) {
        self.report_notices();
        if let Some(tag) = tag {
            if tag.starts_with("DEALLOCATE") || tag == "DISCARD ALL" {
                // SQL and the protocol share one set of named statements.
                let session = &self.session;
                self.statements.retain(|name, statement| {
                    name.is_empty() || statement.is(session.named_statement(name).as_deref())
                });
            }
            reply::command_complete(&mut self.sink.out, &tag);
        }
    }

    fn report_notices(&mut self) {
        for notice in self.session.take_notices() {
            reply::notice(&mut self.sink.out, &notice);
        }
    }

    /// The client's turn. Outside a transaction no portal is left.
    fn ready(&mut self) {
        for (name, value) in self.session.take_parameter_changes() {
            if name == "application_name" {
                self.activity.set_application_name(&value);
            }
            reply::parameter_status(&mut self.sink.out, &name, &value);
        }
        let status = self.session.transaction_status();
        if status == TransactionStatus::Idle {
            self.portals.clear();
        }
        self.activity.set_state(match status {
            TransactionStatus::Idle => SessionState::Idle,
            TransactionStatus::InTransaction => SessionState::IdleInTransaction,
            TransactionStatus::Failed => SessionState::IdleInFailedTransaction,
        });
        reply::ready(&mut self.sink.out, status);
    }

    /// What the connection waits for when it waits for the client.
    pub(super) fn waiting_phase(&self) -> Phase {
        match self.session.transaction_status() {
            TransactionStatus::Idle => Phase::Idle,
            TransactionStatus::InTransaction | TransactionStatus::Failed => {
                Phase::IdleInTransaction
            }
        }
    }
}

/// A panic ends the statement, not the session.
async fn guarded(work: impl Future<Output = Result<()>>) -> Result<()> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(of_panic(&*panic)))
}

fn of_panic(panic: &(dyn Any + Send)) -> Error {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "no words",
    };
    tracing::error!(text, "a statement panicked");
    Error::new(ErrorKind::Internal, format!("the statement broke an invariant: {text}"))
        .hint("this is a defect of AsofDB; the session goes on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_statement() {
        let error = guarded(async { panic!("row {}", 7) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.message(), "the statement broke an invariant: row 7");
        assert!(guarded(async { Ok(()) }).await.is_ok());
    }
}
