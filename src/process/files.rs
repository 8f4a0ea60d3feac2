//! Files that are replaced whole or not at all, and read back only when they can be ours.
//!
//! | Function | Synced | Mode | For |
//! |---|---|---|---|
//! | [`replace`], [`keep`] | no: a dead process loses nothing, and after a dead kernel nothing goes on | 0600 | what a daemon leaves to its successor, in memory (`/run`) |
//! | [`replace_synced`] | file and directory | as given | what a node keeps over restarts of the machine (`/var/lib/heartbeat`) |

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest file that [`recall`] reads. The text of the configuration may stand in it.
const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Puts `content` in the place of a file that only we can read, whole or not at all.
///
/// # Errors
/// It cannot be written; the old file is what it was.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = beside(path);
    let _ = fs::remove_file(&new);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?
        .write_all(content)?;
    fs::rename(&new, path)
}

/// The same with `mode`, safe on the disk when it comes back: a crash of the machine leaves the old
/// content or the new.
///
/// # Errors
/// It cannot be written; the old file is what it was.
pub fn replace_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let new = beside(path);
    let written = write_synced(&new, content, mode)
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| {
            path.parent()
                .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        });
    written.inspect_err(|_| {
        // Nothing to do about a left-over that cannot be removed either.
        let _ = fs::remove_file(&new);
    })
}

fn write_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    // Whatever the umask was.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Where the new file is written before it takes the place of the old one.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Reads a regular file of our own user, `most` bytes at most. No link is followed, and nothing is
/// waited for.
///
/// # Errors
/// No such file, not one that we can have written, or a longer one: a part never passes for the
/// whole.
pub fn read_ours(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let data = file.metadata()?;
    if !data.is_file() || data.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other("not a file of ours"));
    }
    let mut content = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() > most {
        return Err(io::Error::other("too long"));
    }
    Ok(content)
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
    let text = read_ours(path, MAX_KEPT_BYTES)?;
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

    #[test]
    fn a_part_never_passes_for_the_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kept");
        fs::write(&path, "four").unwrap();
        assert_eq!(read_ours(&path, 4).unwrap(), b"four");
        assert_eq!(read_ours(&path, 3).unwrap_err().to_string(), "too long");
    }
}
