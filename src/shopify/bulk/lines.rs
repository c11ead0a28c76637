//! The result's file: one JSON object in each line, read as it comes.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use serde_json::Value;

use super::{BulkError, Finished};
use crate::shopify::error::ShopifyError;
use crate::transport::{Download, Downloads};

/// No line is longer: of a record little is asked for, and a part is a line of its own.
const LONGEST_LINE_BYTES: usize = 1024 * 1024;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::shopify) struct Line {
    /// Which, counted from 1.
    pub(in crate::shopify) number: u64,
    /// What stands there.
    pub(in crate::shopify) value: Value,
}

impl Line {
    /// The record that it is a part of.
    pub(in crate::shopify) fn parent(&self) -> Option<&str> {
        self.value["__parentId"].as_str()
    }
}

/// The lines of a finished operation.
#[derive(Debug)]
pub(in crate::shopify) struct Lines {
    finished: Finished,
    file: Option<Download>,
    held: BytesMut,
    /// Bytes of `held` that have no line's end.
    looked: usize,
    bytes: u64,
    lines: u64,
    roots: u64,
}

impl Lines {
    /// Begins to read.
    ///
    /// # Errors
    /// When the file is not served.
    pub(in crate::shopify) async fn open(
        finished: Finished,
        host: &Downloads,
        silence: Duration,
    ) -> Result<Self, ShopifyError> {
        let file = match &finished.url {
            None => None,
            Some(url) => {
                let opened = host.open(url, silence).await;
                let file = opened.map_err(|source| BulkError::BrokenOff {
                    id: finished.id.clone(),
                    lines: 0,
                    source,
                })?;
                if file.status() != 200 {
                    return Err(BulkError::NotServed {
                        id: finished.id,
                        host: file.host().to_owned(),
                        status: file.status(),
                    }
                    .into());
                }
                Some(file)
            }
        };
        Ok(Self {
            finished,
            file,
            held: BytesMut::new(),
            looked: 0,
            bytes: 0,
            lines: 0,
            roots: 0,
        })
    }

    /// The operation's number.
    pub(in crate::shopify) fn id(&self) -> String {
        self.finished.id.clone()
    }

    /// The next line; none when every line was read and the counts are right.
    ///
    /// # Errors
    /// When the file breaks off, is not what it should be, or has another number of lines than Shopify says.
    pub(in crate::shopify) async fn next(&mut self) -> Result<Option<Line>, BulkError> {
        loop {
            if let Some(at) = self.held[self.looked..].iter().position(|byte| *byte == b'\n') {
                let line = self.held.split_to(self.looked + at);
                self.held.advance(1);
                self.looked = 0;
                return self.line(&line).map(Some);
            }
            self.looked = self.held.len();
            if self.looked > LONGEST_LINE_BYTES {
                return Err(self.unreadable(format!("it is longer than {LONGEST_LINE_BYTES} bytes")));
            }
            let piece = match &mut self.file {
                None => None,
                Some(file) => match file.piece().await {
                    Ok(piece) => piece,
                    Err(source) => {
                        return Err(BulkError::BrokenOff {
                            id: self.id(),
                            lines: self.lines,
                            source,
                        });
                    }
                },
            };
            match piece {
                Some(piece) => {
                    self.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                    self.held.extend_from_slice(&piece);
                }
                None if self.held.is_empty() => return self.end().map(|()| None),
                None => {
                    // The last line need not end like the others, but it must be whole.
                    let line = std::mem::take(&mut self.held);
                    self.looked = 0;
                    let cut = BulkError::CutShort {
                        id: self.id(),
                        reason: format!("its last line ({}) is not whole", self.lines + 1),
                    };
                    return self.line(&line).map(Some).map_err(|_| cut);
                }
            }
        }
    }

    fn line(&mut self, text: &[u8]) -> Result<Line, BulkError> {
        let value: Value = serde_json::from_slice(text)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| self.unreadable("it is no JSON object".to_owned()))?;
        self.lines += 1;
        let line = Line {
            number: self.lines,
            value,
        };
        if line.parent().is_none() {
            self.roots += 1;
        }
        // What is more than told need not be read to its end.
        if self.lines > self.finished.objects {
            return Err(self.differs("lines", self.lines, self.finished.objects));
        }
        Ok(line)
    }

    fn end(&self) -> Result<(), BulkError> {
        if let Some(told) = self.finished.bytes.filter(|told| self.bytes < *told) {
            return Err(BulkError::CutShort {
                id: self.id(),
                reason: format!("it has {} of {told} bytes", self.bytes),
            });
        }
        if self.lines != self.finished.objects {
            return Err(self.differs("lines", self.lines, self.finished.objects));
        }
        if self.roots != self.finished.roots {
            return Err(self.differs("records", self.roots, self.finished.roots));
        }
        Ok(())
    }

    fn differs(&self, what: &'static str, read: u64, told: u64) -> BulkError {
        BulkError::Count {
            id: self.id(),
            what,
            read,
            told,
        }
    }

    fn unreadable(&self, reason: String) -> BulkError {
        BulkError::Line {
            id: self.id(),
            line: self.lines + 1,
            reason,
        }
    }
}
