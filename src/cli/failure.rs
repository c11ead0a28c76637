//! How commands fail: what is said on stderr, and the exit code.

use std::error::Error;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, Severity};

use super::output::{harmless, harmless_but_coloured};
use crate::config::{ConfigError, Findings};
use crate::domain::IdError;
use crate::store::StoreError;

/// Exit code of a command that did what was asked and found everything right.
pub const DONE: u8 = 0;
/// Exit code of a command that failed, or found something wrong.
pub const FAILED: u8 = 1;
/// Exit code of a command that could not begin: wrong usage, or a configuration or mappings that cannot be used.
pub const UNUSABLE: u8 = 2;

/// What to do about a configuration that cannot be read.
pub(super) const UNREADABLE: &str =
    "name the file with --config or LOCKSTEP_CONFIG; `lockstep init` writes one to begin with";

/// A command's failure.
#[derive(Debug)]
pub(super) enum Failure {
    /// Everything is said already; only the exit code is left.
    Told(u8),
    /// The configuration cannot be used.
    Config(ConfigError),
    /// Something went wrong.
    Said(Complaint),
}

/// What went wrong, why, and what to do about it.
#[derive(Debug)]
pub(super) struct Complaint {
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    help: Option<String>,
    code: u8,
}

impl Failure {
    /// A failure with a sentence.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self::Said(Complaint {
            message: message.into(),
            cause: None,
            help: None,
            code: FAILED,
        })
    }

    /// Wrong usage that clap cannot see.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Said(Complaint {
            message: message.into(),
            cause: None,
            help: None,
            code: UNUSABLE,
        })
    }

    /// A failure with its cause.
    pub(super) fn because(message: impl Into<String>, cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Said(Complaint {
            message: message.into(),
            cause: Some(Box::new(cause)),
            help: None,
            code: FAILED,
        })
    }

    /// With what to do about it.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        if let Self::Said(complaint) = &mut self {
            complaint.help = Some(help.into());
        }
        self
    }

    /// What is given cannot be used: the configuration, the mappings or a variable.
    #[must_use]
    pub(super) fn unusable(mut self) -> Self {
        if let Self::Said(complaint) = &mut self {
            complaint.code = UNUSABLE;
        }
        self
    }

    /// The process's exit code.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Told(code) => *code,
            Self::Config(_) => UNUSABLE,
            Self::Said(complaint) => complaint.code,
        }
    }

    /// Tells it on stderr.
    pub(super) fn tell(&self) {
        match self {
            Self::Told(_) => {}
            Self::Said(complaint) => report(complaint),
            Self::Config(ConfigError::Invalid(findings)) => {
                tell_findings(findings);
            }
            Self::Config(error @ ConfigError::Read { .. }) => {
                let complaint = Complaint {
                    message: error.to_string(),
                    cause: error.source().map(|cause| cause.to_string().into()),
                    help: Some(UNREADABLE.into()),
                    code: UNUSABLE,
                };
                report(&complaint);
            }
        }
    }
}

/// Shows each finding with file, line and caret on stderr.
pub(super) fn tell_findings(findings: &Findings) {
    for (n, finding) in findings.reports().iter().enumerate() {
        if n > 0 {
            say("");
        }
        report(finding);
    }
}

/// Prints a diagnostic on stderr, with colours only for a terminal that wants them.
pub(super) fn report(diagnostic: &dyn Diagnostic) {
    let stderr = std::io::stderr();
    let theme =
        if !stderr.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            GraphicalTheme::unicode_nocolor()
        } else {
            GraphicalTheme::unicode()
        };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
    if handler.render_report(&mut text, diagnostic).is_err() {
        text = diagnostic.to_string();
    }
    tell_line(&harmless_but_coloured(text.trim_end_matches('\n')));
}

/// A line on stderr, with nothing in it that others wrote to steer the terminal.
pub(super) fn say(line: &str) {
    tell_line(&harmless(line));
}

fn tell_line(line: &str) {
    // When stderr is gone there is nobody left to tell.
    let _gone = writeln!(std::io::stderr().lock(), "{line}");
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Complaint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

impl Diagnostic for Complaint {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let help = match &error {
            StoreError::Unavailable { .. } => {
                Some("is the database running, and are `[store] url` and its password right?")
            }
            StoreError::InUse { .. } => Some("two daemons on one SQLite file would repeat each other's work"),
            StoreError::Failed { .. } | StoreError::BadRow { .. } => {
                Some("if the database was changed by hand, restore it; otherwise please report this")
            }
            StoreError::TooNew { .. }
            | StoreError::Behind { .. }
            | StoreError::BadUrl(_)
            | StoreError::Closed => None,
        };
        let failure = match error.source() {
            Some(cause) => {
                let cause: Box<dyn Error + Send + Sync> = cause.to_string().into();
                Self::Said(Complaint {
                    message: error.to_string(),
                    cause: Some(cause),
                    help: None,
                    code: FAILED,
                })
            }
            None => Self::new(error.to_string()),
        };
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

impl From<IdError> for Failure {
    fn from(error: IdError) -> Self {
        Self::usage(error.to_string())
    }
}
