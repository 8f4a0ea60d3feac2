//! Files in memory (`/run`) by which a daemon leaves something to its successor after a sudden death.
//! Without a sync: a dead process loses nothing, and after a dead kernel nothing goes on.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest file that is read. The text of the configuration may stand in it.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Puts `content` in the place of a file that only we can read, whole or not at all.
///
/// # Errors
/// It cannot be written; the old file is what it was.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let new = PathBuf::from(name);
    let _ = fs::remove_file(&new);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?
        .write_all(content)?;
    fs::rename(&new, path)
}

/// Writes `content` for a successor.
///
/// # Errors
/// It cannot be written. There is no file then: an old one would be wrong.
pub fn keep<T: Serialize>(path: &Path, content: &T) -> io::Result<()> {
    let text = serde_json::to_vec(content).map_err(io::Error::other);
    text.and_then(|text| replace(path, &text)).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// Reads what [`keep`] has written.
///
/// # Errors
/// No such file, or not one that we can have written.
pub fn recall<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let data = file.metadata()?;
    if !data.is_file() || data.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other("not a file of ours"));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_recalled_and_read_by_nobody_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kept");
        keep(&path, &vec![1, 2]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(recall::<Vec<u8>>(&path).unwrap(), [1, 2]);
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(recall::<Vec<u8>>(&link).is_err());
        assert!(recall::<Vec<u8>>(place.path()).is_err());
        fs::write(&path, "[1, ").unwrap();
        assert!(recall::<Vec<u8>>(&path).is_err());
        // The place of the new file is taken: the old one goes.
        fs::create_dir_all(place.path().join("kept.tmp/full")).unwrap();
        assert!(keep(&path, &vec![3]).is_err());
        assert!(!path.exists());
    }
}
