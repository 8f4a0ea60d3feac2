//! Files that are replaced whole or not at all, and read only if this program can have written
//! them.
//!
//! | Function | Synced | Mode | For |
//! |---|---|---|---|
//! | [`replace`], [`keep`] | no: the death of a process loses nothing, and after a crash of the kernel nothing goes on | 0600 | what a daemon leaves to its successor, in memory (`/run`) |
//! | [`overwrite`] | the same | unchanged | the same, where the disk has no room for another file |
//! | [`replace_synced`] | file and directory | as given | what a node keeps over restarts of the machine (`/var/lib/heartbeat`) |

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest file that [`recall`] reads. It may contain the text of the configuration.
const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Replaces a file that only we can read by `content`, whole or not at all.
///
/// # Errors
/// It cannot be written; the old file is unchanged.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(path, content, 0o600)
}

/// The same for a file with `mode`. The directory may be one in which others may write: a link that they
/// put in the place of the new file, or of the old one, is replaced and not followed.
///
/// # Errors
/// It cannot be written; the old file is unchanged.
pub fn replace_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let new = beside(path);
    let made = make(&new, mode).and_then(|mut file| file.write_all(content));
    made.and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
        // A part of it uses the room that the next try needs.
        let _ = fs::remove_file(&new);
    })
}

/// Makes a new file in the place of whatever has its name.
fn make(path: &Path, mode: u32) -> io::Result<File> {
    let _ = fs::remove_file(path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    // Whatever the umask was.
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Last byte of a file that is being overwritten: a file that ends with it is no text of lines.
const CUT: &[u8] = b"!";

/// One step of [`overwrite`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    /// Writes these bytes at this place.
    Write(u64, &'a [u8]),
    /// Sets the length of the file.
    Length(u64),
}

/// The steps by which a file of `before` bytes becomes `text`. From the first step to the last it
/// does not end with a newline, however much of a step is done. `None`: neither would the text.
fn steps(before: u64, text: &[u8]) -> Option<Vec<Step<'_>>> {
    let lines = text.strip_suffix(b"\n")?;
    let end = u64::try_from(lines.len()).ok()?;
    let mut steps = Vec::with_capacity(5);
    steps.extend(before.checked_sub(1).map(|last| Step::Write(last, CUT)));
    steps.push(Step::Write(end, CUT));
    steps.push(Step::Write(0, lines));
    steps.push(Step::Length(end.checked_add(1)?));
    steps.push(Step::Write(end, b"\n"));
    Some(steps)
}

/// Writes `text`, which ends with a newline, over the content of the file: it needs no more room
/// than that. A process that dies in between leaves a file that does not end with a newline.
///
/// # Errors
/// There is no such file of ours, or not enough room. The file then does not end with a newline, or
/// is unchanged.
pub fn overwrite(path: &Path, text: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::other("not a file of ours"));
    }
    let steps = steps(data.len(), text).ok_or(io::ErrorKind::InvalidInput)?;
    for step in steps {
        match step {
            Step::Write(at, bytes) => file.write_all_at(bytes, at)?,
            Step::Length(length) => file.set_len(length)?,
        }
    }
    Ok(())
}

/// Leaves an empty file: it needs no room, and shows that there was something to write.
///
/// # Errors
/// It can neither be made nor emptied.
pub fn empty(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map(drop)
}

/// Removes the file, and the remains of a process that died while it wrote it.
pub fn forget(path: &Path) {
    for file in [path, &beside(path)] {
        let _ = fs::remove_file(file);
    }
}

/// The same as [`replace`], with `mode`, and safe on the disk when it returns: a crash of the
/// machine leaves the old content or the new.
///
/// # Errors
/// It cannot be written; the old file is unchanged.
pub fn replace_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let new = beside(path);
    let written = write_synced(&new, content, mode)
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| {
            path.parent()
                .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        });
    written.inspect_err(|_| {
        // Nothing can be done about a left-over that cannot be removed either.
        let _ = fs::remove_file(&new);
    })
}

fn write_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = make(path, mode)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The path at which the new file is written before it replaces the old one.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Reads a regular file of our own user, at most `most` bytes. It follows no link and never blocks.
///
/// # Errors
/// No such file, not one that we can have written, or a longer one: a part never counts as the
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
/// It cannot be written. Then there is no file: an old one would be wrong.
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
        // The path of the new file is taken: the old one is removed.
        fs::create_dir_all(place.path().join("kept.tmp/full")).unwrap();
        assert!(keep(&path, &vec![3]).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_beside() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kept");
        // A file cannot replace a directory.
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        fs::remove_dir_all(&path).unwrap();
        fs::write(place.path().join("kept.tmp"), "a part").unwrap();
        replace(&path, b"new").unwrap();
        fs::write(place.path().join("kept.tmp"), "a part").unwrap();
        forget(&path);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    /// The process may die, or the disk may be full, after each byte.
    #[test]
    fn a_file_that_is_overwritten_is_the_old_one_or_the_new_one_or_not_whole() {
        let texts: [&[u8]; 4] = [b"", b"a\n", b"a\nb\nc\n", b"long\n\nlonger\nb\n"];
        for old in texts {
            for new in texts {
                let Some(steps) = steps(old.len() as u64, new) else {
                    assert!(new.is_empty());
                    continue;
                };
                let mut file = old.to_vec();
                let whole = |file: &[u8]| file.ends_with(b"\n") && file != old;
                for step in &steps {
                    match *step {
                        Step::Length(length) => {
                            file.resize(length as usize, 0);
                            assert!(!whole(&file));
                        }
                        Step::Write(at, bytes) => {
                            for (at, byte) in (at as usize..).zip(bytes) {
                                assert!(!whole(&file), "{steps:?} {file:?}");
                                file.resize(file.len().max(at + 1), 0);
                                file[at] = *byte;
                            }
                        }
                    }
                }
                assert_eq!(file, new);
            }
        }
    }

    #[test]
    fn a_file_is_overwritten_in_place() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kept");
        assert!(overwrite(&path, b"a\n").is_err());
        empty(&path).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        for text in ["longer\nthan\n", "b\n", "b\nc\n"] {
            overwrite(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert!(overwrite(&path, b"no end").is_err());
        empty(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(overwrite(&link, b"a\n").is_err() && empty(&link).is_err());
        assert!(overwrite(place.path(), b"a\n").is_err());
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
