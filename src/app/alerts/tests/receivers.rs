//! A mail server and a chat that stand in, each as small as a test needs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what is posted to it.
pub(super) struct Chat {
    address: String,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    posts: Mutex<Vec<(String, serde_json::Value)>>,
    answers: Mutex<HashMap<String, u16>>,
}

impl Chat {
    pub(super) async fn new() -> Self {
        let heard = Arc::new(Heard::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(hear).with_state(Arc::clone(&heard));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, heard }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Answers with this status from now on.
    pub(super) fn answer(&self, path: &str, status: u16) {
        lock(&self.heard.answers).insert(path.to_owned(), status);
    }

    /// What was posted there.
    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        let posts = lock(&self.heard.posts);
        let of_path = posts.iter().filter(|(of, _)| of == path);
        of_path
            .map(|(_, body)| body["text"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn hear(State(heard): State<Arc<Heard>>, uri: Uri, body: Bytes) -> StatusCode {
    let path = uri.path().to_owned();
    let status = lock(&heard.answers).get(&path).copied().unwrap_or(200);
    lock(&heard.posts).push((path, serde_json::from_slice(&body).unwrap()));
    StatusCode::from_u16(status).unwrap()
}

/// Speaks as much SMTP as a client needs.
pub(super) struct Mails {
    port: u16,
    taken: Arc<Taken>,
}

#[derive(Default)]
struct Taken {
    mails: Mutex<Vec<String>>,
    tries: Mutex<u32>,
    /// So many are refused for now.
    refused: Mutex<u32>,
    login: Mutex<Option<String>>,
    encrypted: Mutex<bool>,
}

impl Mails {
    pub(super) async fn new() -> Self {
        Self::with(None).await
    }

    /// One that can change to TLS.
    pub(super) async fn with_tls() -> Self {
        Self::with(Some(acceptor())).await
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let taken = Arc::new(Taken::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move { serve(stream, &shared, tls).await });
            }
        });
        Self { port, taken }
    }

    /// `[alerts.smtp]` that leads here.
    pub(super) fn section(&self) -> String {
        format!(
            "[alerts.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"lockstep@example.com\"\n",
            self.port
        )
    }

    /// Refuses the next ones for now.
    pub(super) fn refuse(&self, count: u32) {
        *lock(&self.taken.refused) = count;
    }

    /// Wants this login from now on.
    pub(super) fn demand(&self, user: &str, password: &str) {
        let word = STANDARD.encode(format!("\0{user}\0{password}"));
        *lock(&self.taken.login) = Some(word);
    }

    /// Whether a connection changed to TLS.
    pub(super) fn was_encrypted(&self) -> bool {
        *lock(&self.taken.encrypted)
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.taken.mails).len()
    }

    pub(super) fn tries(&self) -> u32 {
        *lock(&self.taken.tries)
    }

    pub(super) fn last(&self) -> String {
        lock(&self.taken.mails).last().cloned().unwrap()
    }
}

/// How a connection goes on.
enum Then {
    /// It is over.
    Ends,
    /// By TLS.
    Encrypted,
}

async fn serve(mut stream: TcpStream, taken: &Taken, tls: Option<TlsAcceptor>) -> Option<()> {
    stream.write_all(b"220 mail.example.com ready\r\n").await.ok()?;
    let mut lines = BufReader::new(stream);
    if let Then::Encrypted = talk(&mut lines, taken, tls.is_some()).await? {
        let stream = tls?.accept(lines.into_inner()).await.ok()?;
        *lock(&taken.encrypted) = true;
        talk(&mut BufReader::new(stream), taken, false).await?;
    }
    Some(())
}

async fn talk<S>(lines: &mut BufReader<S>, taken: &Taken, offers_tls: bool) -> Option<Then>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let line = next_line(lines).await?;
        let word = line.split(' ').next().unwrap_or_default().to_uppercase();
        let answer = match word.as_str() {
            "EHLO" if offers_tls => "250-mail.example.com\r\n250 STARTTLS".to_owned(),
            "EHLO" => "250-mail.example.com\r\n250 AUTH PLAIN".to_owned(),
            "STARTTLS" => "220 go on".to_owned(),
            "AUTH" => log_in(&line, taken),
            "MAIL" => {
                *lock(&taken.tries) += 1;
                let mut refused = lock(&taken.refused);
                if *refused > 0 {
                    *refused -= 1;
                    "450 come back later".to_owned()
                } else {
                    "250 ok".to_owned()
                }
            }
            "DATA" => {
                lines.write_all(b"354 go on\r\n").await.ok()?;
                let mut mail = String::new();
                loop {
                    let line = next_line(lines).await?;
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                lock(&taken.mails).push(mail);
                "250 taken".to_owned()
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "250 ok".to_owned(),
        };
        lines.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        lines.flush().await.ok()?;
        match word.as_str() {
            "QUIT" => return Some(Then::Ends),
            "STARTTLS" => return Some(Then::Encrypted),
            _ => {}
        }
    }
}

async fn next_line<S: AsyncRead + Unpin>(lines: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    let length = lines.read_line(&mut line).await.ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Some servers repeat what they were told.
fn log_in(line: &str, taken: &Taken) -> String {
    let is_right = lock(&taken.login)
        .as_ref()
        .is_none_or(|login| line.ends_with(login.as_str()));
    if is_right {
        return "235 welcome".to_owned();
    }
    let told = line.rsplit(' ').next().unwrap_or_default();
    let told = STANDARD.decode(told).unwrap_or_default();
    let told = String::from_utf8_lossy(&told).replace('\0', " ");
    format!("535 no such login:{told}")
}

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/tls")
        .join(name)
}

/// With the fixture's certificate, which is for this machine.
fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
