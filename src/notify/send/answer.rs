//! The beginning of what a receiver answered, for the log.

use reqwest::Response;
use reqwest::header::{HeaderMap, SET_COOKIE};
use tokio::time::{Instant, timeout_at};

use super::secrets::Secrets;

/// So many bytes of a body are kept.
const KEPT_BODY: usize = 4096;

/// So many more are read and thrown away, so that the connection can be used again.
const READ_BODY: usize = 64 * 1024;

/// So many bytes of all headers are kept.
const KEPT_HEADERS: usize = 4096;

/// What stands in place of a cookie.
const HIDDEN: &str = "(hidden)";

/// What a receiver answered. Secrets of ours that it repeats are blanked out. `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers in their order, up to 4 kB; cookies are hidden.
    pub headers: Vec<(String, String)>,
    /// The first 4 kB of the body, as text.
    pub body: String,
    /// Whether there was more, or the body did not end in time.
    pub is_cut: bool,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// Reads what is kept, until `deadline` at the latest.
    pub(super) async fn read(mut response: Response, deadline: Instant, secrets: &Secrets) -> Self {
        let status = response.status().as_u16();
        let headers = headers(response.headers(), secrets);
        // One that begins at the very end of what is kept must be there as a whole to be known.
        let most = KEPT_BODY + secrets.longest();
        let mut body: Vec<u8> = Vec::new();
        let mut read = 0;
        let mut is_cut = false;
        loop {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    read += chunk.len();
                    let room = most - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    is_cut |= read > KEPT_BODY;
                    if read > READ_BODY {
                        break;
                    }
                }
                Ok(Ok(None)) => break,
                // It broke, or takes too long: the status has been said, and what has come is kept.
                Ok(Err(_)) | Err(_) => {
                    is_cut = true;
                    break;
                }
            }
        }
        Self {
            status,
            headers,
            body: secrets.concealed(&String::from_utf8_lossy(&body), KEPT_BODY),
            is_cut,
        }
    }
}

fn headers(map: &HeaderMap, secrets: &Secrets) -> Vec<(String, String)> {
    let mut room = KEPT_HEADERS;
    let mut kept = Vec::new();
    for (name, value) in map {
        let value = if *name == SET_COOKIE {
            HIDDEN.to_owned()
        } else {
            secrets.concealed(&String::from_utf8_lossy(value.as_bytes()), KEPT_HEADERS)
        };
        let size = name.as_str().len() + value.len();
        if size > room {
            break;
        }
        room -= size;
        kept.push((name.as_str().to_owned(), value));
    }
    kept
}
