//! Reading the files that a configuration names: a device or a pipe must not keep the daemon from going on, and a file of any
//! size must not take its memory.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// The most that such a file may hold, in bytes. Bundles of certificates are the largest of them: what Debian trusts is 220 kB.
const LARGEST: u64 = 4 << 20;

/// What a file holds.
///
/// # Errors
/// When it cannot be read, is no regular file (links are followed), or is too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    // Looked at before it is opened: opening a pipe waits for whoever writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            format!("it holds more than {} MiB", LARGEST >> 20),
        ));
    }
    Ok(bytes)
}

/// What a file holds as text.
///
/// # Errors
/// As [`read`], and when it holds no UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it holds no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (small, large) = (folder.path().join("small"), folder.path().join("large"));
        std::fs::write(&small, "grüß dich").unwrap();
        File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(read_text(&small).unwrap(), "grüß dich");
        for (path, part) in [
            (large.as_path(), "more than 4 MiB"),
            (folder.path(), "no regular file"),
            (Path::new("/dev/zero"), "no regular file"),
        ] {
            let error = read(path).unwrap_err().to_string();
            assert!(error.contains(part), "{}: {error}", path.display());
        }
        std::fs::write(&small, [0xff]).unwrap();
        assert!(read_text(&small).unwrap_err().to_string().contains("UTF-8"));
    }
}
