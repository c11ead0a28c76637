//! Serving connections with limits.
//!
//! `axum::serve` has none of them: a client that sends its headers byte by byte, never reads, or keeps thousands of
//! connections open must not take the listener from everybody else.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::telemetry;

use super::address::Peer;
use super::settings::{AdminSettings, Settings};

/// No connection lives longer: whatever a client does with it (pipelining without reading, say), it ends.
const LIFETIME: Duration = Duration::from_mins(10);

/// How long accepting rests when the process is out of file descriptors or the like.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Why the listeners could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (`listen` in [{section}])")]
    Listen {
        /// The section of the configuration.
        section: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The admin listener would be open to other machines.
    #[error(
        "[admin] listen = \"{address}\" is reachable from other machines: use 127.0.0.1, or put a reverse proxy with TLS in \
         front of it and set behind_tls = true"
    )]
    AdminExposed {
        /// The address.
        address: SocketAddr,
    },
}

/// The open listeners. Connections wait in the kernel until they are served.
#[derive(Debug)]
pub struct Listeners {
    public: TcpListener,
    public_address: SocketAddr,
    admin: TcpListener,
    admin_address: SocketAddr,
}

impl Listeners {
    /// Opens both.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the admin's would be open to other machines.
    pub async fn open(http: &Settings, admin: &AdminSettings) -> Result<Self, HttpError> {
        if !admin.is_allowed() {
            return Err(HttpError::AdminExposed {
                address: admin.listen,
            });
        }
        let (public, public_address) = open("http", http.listen).await?;
        let (admin, admin_address) = open("admin", admin.listen).await?;
        Ok(Self {
            public,
            public_address,
            admin,
            admin_address,
        })
    }

    /// Where the public one listens, with the real port.
    pub fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// Where the admin's listens, with the real port.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves both until `stop`, then ends what runs within the settings' time.
    pub async fn serve(self, public: Router, admin: Router, settings: &Settings, stop: CancellationToken) {
        let limits = Limits::of(settings);
        tokio::join!(
            serve(self.public, public, limits, "http", stop.clone()),
            serve(self.admin, admin, limits, "admin", stop),
        );
    }
}

async fn open(section: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), HttpError> {
    let failed = |source| HttpError::Listen {
        section,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// What a client may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub max_connections: NonZeroU32,
    /// For the headers of a request, and for silence between requests.
    pub header_timeout: Duration,
    /// For open requests after the stop.
    pub stop_within: Duration,
    /// For a connection as a whole.
    pub lifetime: Duration,
}

impl Limits {
    /// The limits of these settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            max_connections: settings.max_connections,
            header_timeout: Duration::from_secs(settings.header_timeout_s.get()),
            stop_within: Duration::from_secs(settings.stop_within_s),
            lifetime: LIFETIME,
        }
    }
}

/// Serves one listener (called `name` in metrics) until `stop`: then nothing more is accepted, idle connections are closed,
/// open requests may end within the limits' time, and the rest is cut.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    name: &'static str,
    stop: CancellationToken,
) {
    let permits = usize::try_from(limits.max_connections.get()).unwrap_or(Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some((stream, peer, slot)) = select! {
        () = stop.cancelled() => None,
        next = next(&listener, &slots, name) => next,
    } {
        let router = router.clone();
        let (stop, cut) = (stop.clone(), cut.clone());
        connections.spawn(async move {
            metrics::gauge!(telemetry::HTTP_CONNECTIONS, "listener" => name).increment(1.0);
            select! {
                () = cut.cancelled() => {}
                () = serve_connection(stream, peer, router, limits, stop) => {}
            }
            metrics::gauge!(telemetry::HTTP_CONNECTIONS, "listener" => name).decrement(1.0);
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.stop_within, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            listener = name,
            connections = connections.len(),
            "stopping: cutting open connections"
        );
        cut.cancel();
        connections.wait().await;
    }
}

/// The next connection, once there is a slot for it; nothing only if the slots were closed.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    name: &'static str,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                stream.set_nodelay(true).ok();
                return Some((stream, peer, slot));
            }
            // The client went away before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(listener = name, %error, "cannot accept connections; trying on");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    select! {
        result = connection.as_mut() => return note(result),
        () = tokio::time::sleep(limits.lifetime) => {}
        () = stop.cancelled() => {}
    }
    // The request that is being handled is answered, the next one is not read.
    connection.as_mut().graceful_shutdown();
    if let Ok(result) = tokio::time::timeout(limits.stop_within, connection).await {
        note(result);
    } else {
        tracing::debug!("connection cut: it did not end in time");
    }
}

/// Clients that vanish or send nonsense are daily life, and hyper has answered what can be answered.
fn note(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
