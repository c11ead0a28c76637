//! The listening side: one process of the server, from listening to being killed.
//!
//! Every connection serves one request, as Odoo's built-in server does. Stopping cuts what is open; calls that had not
//! committed never happened.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::calls::Shared;
use super::http::{self, CutConnection};

/// A server that accepts connections.
#[derive(Debug)]
pub(super) struct Process {
    alive: CancellationToken,
    accepting: JoinHandle<()>,
}

/// Takes a port without listening on it: connections are refused, and nobody else gets it.
pub(super) fn reserve(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

impl Process {
    /// Starts listening on a reserved port.
    pub(super) fn start(socket: TcpSocket, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = socket.listen(1024)?;
        let alive = CancellationToken::new();
        let router = http::router(http::Server {
            shared,
            alive: alive.clone(),
        });
        let accepting = tokio::spawn(accept(listener, router));
        Ok(Self { alive, accepting })
    }

    /// Kills it: open connections are cut, running calls are rolled back.
    pub(super) async fn kill(mut self) {
        self.alive.cancel();
        self.accepting.abort();
        let ended = (&mut self.accepting).await;
        debug_assert!(ended.is_err(), "the accept loop ends only by being aborted");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.alive.cancel();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, router: Router) {
    // Dropped with this task, which aborts the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here is the peer's (it left at once) or a passing lack of descriptors.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, router.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let reply = match router.oneshot(request.map(Body::new)).await {
                Ok(reply) => reply,
                Err(never) => match never {},
            };
            if reply.extensions().get::<CutConnection>().is_some() {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut on demand"));
            }
            Ok(reply)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "connection ended early");
    }
}
