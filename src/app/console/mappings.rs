//! The mapping files in force.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::{direction_word, object_word};
use super::session::Visitor;
use super::view::{Frame, page};
use crate::app::mappings::load;
use crate::mapping::{DEFAULTS, Mappings};

struct Line {
    file: String,
    object: &'static str,
    direction: &'static str,
    model: String,
    owner: String,
    from: &'static str,
    note: String,
}

/// A file that stands for a part of another: a shop's tables, say.
struct Other {
    file: String,
    from: &'static str,
}

#[derive(Template)]
#[template(path = "mappings.html", config = ".config/askama.toml")]
struct MappingsPage {
    frame: Frame,
    lines: Vec<Line>,
    others: Vec<Other>,
    todos: usize,
    revision: String,
}

#[derive(Template)]
#[template(path = "mapping.html", config = ".config/askama.toml")]
struct MappingPage {
    frame: Frame,
    file: String,
    from: &'static str,
    lines: Vec<(usize, String)>,
}

impl Console {
    /// What a daemon that began now would work with.
    pub(super) async fn mapping_files(&self) -> Result<Mappings, Refusal> {
        let folder = self.api.config.borrow().mappings.dir.clone();
        let loaded = tokio::task::spawn_blocking(move || load(folder.as_deref())).await;
        let broken = |text: String| Refusal::Not(StatusCode::CONFLICT, text);
        loaded
            .map_err(|error| broken(error.to_string()))?
            .map_err(|errors| {
                let mistakes: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
                broken(format!(
                    "The mapping files have mistakes; the daemon works with those that it had before. {}",
                    mistakes.join(" ")
                ))
            })
    }
}

fn from(file: &str, text: &str) -> &'static str {
    if DEFAULTS.contains(&(file, text)) {
        "comes with lockstep"
    } else {
        "your folder"
    }
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let mappings = match console.mapping_files().await {
        Ok(mappings) => mappings,
        Err(refusal) => return refuse(Some(&visitor), refusal),
    };
    let text_of = |file: &str| {
        let source = mappings.sources().iter().find(|source| source.file == file);
        source.map_or("", |source| source.text.as_str())
    };
    let lines: Vec<Line> = mappings
        .all()
        .iter()
        .map(|mapping| Line {
            object: object_word(mapping.object),
            direction: direction_word(mapping.direction),
            model: mapping.model.clone(),
            owner: mapping.owner.clone(),
            from: from(&mapping.file, text_of(&mapping.file)),
            note: mapping.note.clone(),
            file: mapping.file.clone(),
        })
        .collect();
    let others = mappings
        .sources()
        .iter()
        .filter(|source| lines.iter().all(|line| line.file != source.file))
        .map(|source| Other {
            file: source.file.clone(),
            from: from(&source.file, &source.text),
        })
        .collect();
    let shown = MappingsPage {
        frame: Frame::new("Mappings", "mappings", Some(&visitor)),
        others,
        todos: mappings.todos().len(),
        revision: mappings.revision().chars().take(12).collect(),
        lines,
    };
    page(StatusCode::OK, &shown)
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let mappings = match console.mapping_files().await {
        Ok(mappings) => mappings,
        Err(refusal) => return refuse(Some(&visitor), refusal),
    };
    let Some(source) = mappings.sources().iter().find(|source| source.file == name) else {
        let text = "There is no such mapping file in force.".to_owned();
        return refuse(Some(&visitor), Refusal::NotFound(text));
    };
    let shown = MappingPage {
        frame: Frame::new(source.file.clone(), "mappings", Some(&visitor)),
        from: from(&source.file, &source.text),
        file: source.file.clone(),
        lines: source
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.to_owned()))
            .collect(),
    };
    page(StatusCode::OK, &shown)
}
