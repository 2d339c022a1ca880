//! The server: its two runtimes, the listener, and the life of a connection from accept to the end.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use super::backend::Backend;
use super::connection::{Client, Connection, Over};
use super::registry::{Phase, Registry, Seat};
use super::reply;
use super::sink::{self, Forward};
use super::startup::{self, Opening, Startup};
use crate::activity::{SessionActivity, SessionFacts};
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{Database, SessionOptions};

/// How often deadlines are looked at.
const REAP_INTERVAL: Duration = Duration::from_millis(250);
/// After an accept that failed, for want of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const BACKLOG: u32 = 1024;
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// A database that answers on a port, until it is stopped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stopping: watch::Sender<bool>,
    io: Runtime,
    queries: Runtime,
}

struct Shared {
    database: Database,
    settings: Arc<Settings>,
    registry: Arc<Registry>,
    queries: Handle,
}

/// The runtime that plans and runs statements: planning recurses, so its threads have large stacks.
///
/// # Errors
/// `Io` where the system gives no threads.
pub fn query_runtime(settings: &Settings) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(settings.query_workers())
        .thread_stack_size(settings.query_stack_bytes)
        .thread_name("query")
        .enable_all();
    builder.build().map_err(|error| io_error("threads for queries", error))
}

fn io_error(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot get {what}")).caused_by(error)
}

impl Server {
    /// Listens as `settings.listen` says, and serves from threads of its own.
    ///
    /// # Errors
    /// `InvalidAuthorization` for an address beyond loopback, `InvalidValue` for one that is none, `Io`.
    pub fn start(database: Database, settings: Settings) -> Result<Server> {
        let address = loopback(&settings.listen)?;
        let queries = query_runtime(&settings)?;
        let io = Builder::new_multi_thread()
            .worker_threads(settings.io_threads)
            .thread_name("io")
            .enable_all()
            .build()
            .map_err(|error| io_error("threads for sockets", error))?;
        let listener = {
            let _inside = io.enter();
            listen(address)?
        };
        let address = listener.local_addr().map_err(|error| io_error("the address", error))?;
        let registry = Registry::new(settings.wire.clone(), settings.clock.clone());
        let shared = Arc::new(Shared {
            database,
            settings: Arc::new(settings),
            registry,
            queries: queries.handle().clone(),
        });
        let (stopping, stopped) = watch::channel(false);
        io.spawn(accept(listener, shared.clone(), stopped.clone()));
        io.spawn(reap(shared.registry.clone(), stopped));
        Ok(Server { address, shared, stopping, io, queries })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for SIGTERM or SIGINT, which are caught from before `ready` is called. Must not be
    /// called from a task.
    ///
    /// # Errors
    /// Those of `ready`, and `Io` where signals cannot be caught.
    pub fn until_signal(&self, ready: impl FnOnce() -> Result<()>) -> Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        self.io.block_on(async {
            let caught = |kind| signal(kind).map_err(|error| io_error("signals", error));
            let mut terminate = caught(SignalKind::terminate())?;
            let mut interrupt = caught(SignalKind::interrupt())?;
            ready()?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        })
    }

    /// Lets nobody in, waits a little for running statements, cancels the rest, and ends.
    pub fn stop(self) {
        let Server { shared, stopping, io, queries, .. } = self;
        stopping.send_replace(true);
        let (done, ended) = std::sync::mpsc::channel();
        let registry = shared.registry.clone();
        let bounds = shared.settings.wire.clone();
        io.spawn(async move {
            registry.go_down();
            if tokio::time::timeout(bounds.shutdown_grace, registry.emptied()).await.is_err() {
                registry.cancel_all();
                let rest = bounds.shutdown_timeout.saturating_sub(bounds.shutdown_grace);
                if tokio::time::timeout(rest, registry.emptied()).await.is_err() {
                    tracing::warn!("statements that did not end were left behind");
                }
            }
            let _ = done.send(());
        });
        let _ = ended.recv();
        io.shutdown_background();
        queries.shutdown_background();
    }
}

/// The address to listen on. Without passwords nobody but this machine may be let in.
fn loopback(listen: &str) -> Result<SocketAddr> {
    let addresses = listen.to_socket_addrs().map_err(|error| {
        Error::new(ErrorKind::InvalidValue, format!("cannot listen on \"{listen}\""))
            .caused_by(error)
            .hint("write HOST:PORT, such as 127.0.0.1:5433")
    })?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let beyond = addresses.iter().find(|address| !address.ip().is_loopback());
    match (beyond, addresses.first()) {
        (None, Some(address)) => Ok(*address),
        (Some(address), _) => Err(Error::new(
            ErrorKind::InvalidAuthorization,
            format!("will not listen on {address}: everybody who reaches it could do everything"),
        )
        .hint("there are no passwords yet: listen on 127.0.0.1 and reach it through a tunnel")),
        (None, None) => {
            Err(Error::new(ErrorKind::InvalidValue, format!("\"{listen}\" has no address")))
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let failed = |error| {
        Error::new(ErrorKind::Io, format!("cannot listen on {address}"))
            .caused_by(error)
            .hint("another program may be there; choose another port with --listen")
    };
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }
    .map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                // Here, not in the task: seats are in the order of arrival.
                let seat = shared.registry.arrive();
                tokio::spawn(serve(stream, client, seat, shared.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn reap(registry: Arc<Registry>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(REAP_INTERVAL);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = ticks.tick() => registry.reap(),
        }
    }
}

/// One connection from accept to the end.
async fn serve(stream: TcpStream, client: SocketAddr, seat: Arc<Seat>, shared: Arc<Shared>) {
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "a socket that cannot be tuned is gone already");
        return;
    }
    let mut connection = Connection { stream, input: BytesMut::new(), seat: seat.clone() };
    let let_in = tokio::select! {
        biased;
        farewell = seat.left() => Err(Over::Server(farewell)),
        let_in = begin(&mut connection, client, &shared) => let_in,
    };
    drop(seat);
    let (backend, forward) = match let_in {
        Ok(Some(both)) => both,
        Ok(None) => return,
        Err(over) => return connection.end(over).await,
    };
    let cancel = backend.cancel.clone();
    let (queries, bounds) = (shared.queries.clone(), shared.settings.wire.clone());
    let mut client = Client { connection, forward, cancel, queries, bounds, owes: false };
    let over = client.serve(backend).await;
    client.connection.end(over).await;
}

/// Answers leave at once; a peer that vanished is found out.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Start-up: None where the client wanted nothing more.
async fn begin(
    connection: &mut Connection,
    client: SocketAddr,
    shared: &Shared,
) -> Result<Option<(Box<Backend>, Forward)>, Over> {
    let bytes_max = shared.settings.wire.startup_message_bytes_max;
    let opening = startup::read(&mut connection.stream, &mut connection.input, bytes_max).await;
    let startup = match opening.map_err(Over::Fatal)? {
        Opening::Session(startup) => startup,
        Opening::Cancel { pid, key } => {
            shared.registry.cancel(pid, &key);
            return Ok(None);
        }
        Opening::Nothing => return Ok(None),
    };
    connection.seat.turn_to(Phase::Running);
    let (backend, forward, out) =
        open_session(connection, client, shared, startup).await.map_err(Over::Fatal)?;
    connection.write(&out).await?;
    Ok(Some((backend, forward)))
}

async fn open_session(
    connection: &Connection,
    client: SocketAddr,
    shared: &Shared,
    startup: Startup,
) -> Result<(Box<Backend>, Forward, Vec<u8>)> {
    let facts = SessionFacts {
        user: startup.user.clone(),
        database: startup.database.clone(),
        client: client.to_string(),
        ..SessionFacts::default()
    };
    let activity = shared.database.activity().register(facts, &startup.application_name);
    let key = new_key(startup.key_bytes())?;
    let seat = &connection.seat;
    shared.registry.begin_session(seat, activity.pid(), key.clone(), activity.cancel_token())?;
    let mut out = Vec::new();
    if startup.asked_for_newer || !startup.unknown_options.is_empty() {
        reply::negotiate_version(&mut out, startup.version(), &startup.unknown_options);
    }
    let session = session(shared, startup, &activity).await?;
    reply::authentication_ok(&mut out);
    for (name, value) in session.parameter_status() {
        reply::parameter_status(&mut out, &name, &value);
    }
    reply::backend_key(&mut out, activity.pid(), &key);
    reply::ready(&mut out, session.transaction_status());
    let piece_bytes = shared.settings.wire.reply_buffer_bytes;
    let (sink, forward) = sink::channel(piece_bytes, activity.cancel_token());
    let backend = Backend::new(session, activity, sink, shared.settings.clone(), seat.clone());
    Ok((Box::new(backend), forward, out))
}

/// Opened on a thread for queries: it may read the catalogue.
async fn session(
    shared: &Shared,
    startup: Startup,
    activity: &SessionActivity,
) -> Result<crate::session::Session> {
    let options = SessionOptions {
        user: startup.user,
        database: startup.database,
        application_name: startup.application_name,
        parameters: startup.parameters,
        cancel: activity.cancel_token(),
        pid: activity.pid(),
    };
    let database = shared.database.clone();
    let opened = shared.queries.spawn(async move { database.session(options) }).await;
    opened.map_err(|_| Error::new(ErrorKind::Internal, "opening the session panicked"))?
}

/// A key nobody can guess.
fn new_key(bytes: usize) -> Result<Vec<u8>> {
    let mut key = vec![0; bytes];
    getrandom::fill(&mut key)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes: {error}")))?;
    Ok(key)
}
