//! Files that endpoints name and that are taken up again when they change: templates, addresses, certificates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::files;

/// What the files that endpoints name held, as hashes; none of one that cannot be read. Secrets that are read again at each use by
/// themselves are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed(BTreeMap<PathBuf, Option<[u8; 32]>>);

impl Followed {
    /// Of a file's prepared tree. To be read before anything else reads them: what changes in between is seen at the next look.
    pub(super) fn read(root: &DeTable<'_>) -> Self {
        let mut paths = Vec::new();
        let endpoints = root
            .get("notify")
            .and_then(table)
            .and_then(|notify| notify.get("endpoints"))
            .and_then(table);
        for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.values()) {
            gather(endpoint, &mut paths);
        }
        Self::of(paths)
    }

    fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(
            paths
                .into_iter()
                .map(|path| (path.clone(), content(&path)))
                .collect(),
        )
    }

    /// The same files as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::of(self.0.keys().cloned())
    }

    /// The hash of what a file held.
    pub(super) fn content(&self, path: &str) -> Option<String> {
        self.0.get(Path::new(path)).copied().flatten().map(hex::encode)
    }
}

/// Whether the file under this key of an endpoint is followed.
fn is_followed(key: &str) -> bool {
    is_told_by_content(key) || matches!(key, "ca_file" | "client_certificate_file")
}

/// Whether what the file under this key of an endpoint holds decides what is sent, and where to: it is a part of the
/// configuration as if it stood in it.
pub(super) fn is_told_by_content(key: &str) -> bool {
    matches!(key, "url_file" | "template_file")
}

fn table<'v, 't>(value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn gather(value: &Spanned<DeValue<'_>>, paths: &mut Vec<PathBuf>) {
    for (key, value) in table(value).into_iter().flatten() {
        match value.get_ref() {
            DeValue::Table(_) => gather(value, paths),
            DeValue::String(path) if is_followed(key.get_ref()) => paths.push(PathBuf::from(&**path)),
            _ => {}
        }
    }
}

fn content(path: &Path) -> Option<[u8; 32]> {
    files::read(path)
        .ok()
        .map(|content| Sha256::digest(content).into())
}
