//! The lock file by which programs agree who uses a serial port: `LCK..ttyS0` with the process id of its user in ten places.
//! Spec: docs/protocol/wire.md, 18.4.

//!
//! Everybody may write into that directory. So no link is followed, and what is no regular file is neither waited for nor
//! read whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Bytes of a lock file that are read: it holds a number.
const LONGEST_LOCK: u64 = 64;

/// Tries to put the file there: another program may remove a stale one at the same time.
const TRIES: u32 = 3;

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// Another process uses the port.
    #[error("{lock} says that process {pid} uses it")]
    Held {
        /// The lock file.
        lock: String,
        /// Its process.
        pid: i32,
    },
    /// The file cannot be made.
    #[error("{lock}: {source}")]
    Io {
        /// The lock file.
        lock: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Removed when it is dropped, unless it was replaced meanwhile: a thread whose driver answers late may give its lock up when
/// the port has been opened again by this process.
#[derive(Debug)]
pub(super) struct PortLock {
    path: PathBuf,
    /// Device and number of the file.
    file: Option<(u64, u64)>,
}

impl PortLock {
    /// Takes the lock for `device` in the directory `place`. A file whose process is gone, or is this one, is no lock.
    pub(super) fn take(place: &Path, device: &Path) -> Result<Self, LockError> {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        let path = place.join(format!("LCK..{name}"));
        let lock = || path.display().to_string();
        let failed = |source| LockError::Io {
            lock: lock(),
            source,
        };
        let own = std::process::id();
        // Nobody may see it empty.
        let draft = place.join(format!("LTMP..{own}.{name}"));
        // The name that is linked to it is the same file.
        let file = write_draft(&draft, own).map_err(failed)?;
        let mut outcome = Ok(false);
        for _ in 0..TRIES {
            if !matches!(outcome, Ok(false)) {
                break;
            }
            outcome = match fs::hard_link(&draft, &path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match user(&path) {
                    (Some(pid), _) => Err(LockError::Held { lock: lock(), pid }),
                    (None, judged) => remove_judged(&path, judged, own)
                        .map(|()| false)
                        .map_err(failed),
                },
                Err(error) => Err(failed(error)),
            };
        }
        let _ = fs::remove_file(&draft);
        match outcome {
            Ok(true) => Ok(Self {
                path,
                file: Some(file),
            }),
            Ok(false) => Err(failed(io::Error::from(io::ErrorKind::AlreadyExists))),
            Err(error) => Err(error),
        }
    }
}

impl Drop for PortLock {
    fn drop(&mut self) {
        let ours = self.file.is_some() && number_of(&self.path) == self.file;
        if ours && user_in(&self.path).0 == i32::try_from(std::process::id()).ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and number of a file.
type Number = (u64, u64);

fn number_of(path: &Path) -> Option<Number> {
    let data = fs::symlink_metadata(path).ok()?;
    Some((data.dev(), data.ino()))
}

/// Makes the file that is to be the lock, and says which one it is. One that is there already is of an earlier try, or of
/// somebody who means harm.
fn write_draft(draft: &Path, own: u32) -> io::Result<Number> {
    let make = || OpenOptions::new().write(true).create_new(true).open(draft);
    let mut file = match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(draft)?;
            make()?
        }
        made => made?,
    };
    let data = file.metadata()?;
    if let Err(error) = writeln!(file, "{own:>10}") {
        let _ = fs::remove_file(draft);
        return Err(error);
    }
    Ok((data.dev(), data.ino()))
}

/// Removes a stale lock file, and no other that has taken its place since it was `judged`.
fn remove_judged(path: &Path, judged: Option<Number>, own: u32) -> io::Result<()> {
    let Some(judged) = judged else {
        // It has gone by itself.
        return Ok(());
    };
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{own}.stale"));
    let aside = PathBuf::from(aside);
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        moved => moved?,
    }
    if number_of(&aside) != Some(judged) {
        // Another program was faster: its lock goes back, unless there is a third one by now.
        let _ = fs::hard_link(&aside, path);
    }
    fs::remove_file(&aside)
}

/// The process that a lock file names, if it is one, and which file that is.
fn user_in(path: &Path) -> (Option<i32>, Option<Number>) {
    let number = number_of(path);
    // A pipe would make the reader wait.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let read = || -> io::Result<String> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        let mut text = String::new();
        if file.metadata()?.is_file() {
            file.take(LONGEST_LOCK).read_to_string(&mut text)?;
        }
        Ok(text)
    };
    let text = read().unwrap_or_default();
    let pid = text.split_ascii_whitespace().next();
    let pid = pid.and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0);
    (pid, number)
}

/// The same, if the process is another one and lives.
fn user(path: &Path) -> (Option<i32>, Option<Number>) {
    let (pid, number) = user_in(path);
    let own = i32::try_from(std::process::id()).ok();
    let lives = |pid: &i32| kill(Pid::from_raw(*pid), None) != Err(Errno::ESRCH);
    (pid.filter(|pid| Some(*pid) != own && lives(pid)), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_user_that_lives() {
        let place = tempfile::tempdir().expect("a directory");
        let take = || PortLock::take(place.path(), Path::new("/dev/ttyS0"));
        let path = place.path().join("LCK..ttyS0");
        let lock = take().expect("free");
        let text = fs::read_to_string(&path).expect("there");
        assert_eq!(text, format!("{:>10}\n", std::process::id()));
        // After a restart in place the process is the same.
        std::mem::forget(lock);
        let lock = take().expect("our own");
        drop(lock);
        assert!(!path.exists());
        fs::write(&path, "         1\n").expect("written");
        let error = take().expect_err("the first process lives");
        assert!(
            error.to_string().ends_with("says that process 1 uses it"),
            "{error}"
        );
        for stale in ["2147483647\n", "", "garbage\n", "-1\n"] {
            fs::write(&path, stale).expect("written");
            drop(take().expect(stale));
        }
        // A late one of this process does not remove the newer one.
        let (late, newer) = (take().expect("free"), take().expect("our own"));
        drop(late);
        assert!(path.exists(), "the port is in use");
        drop(newer);
        assert!(!path.exists());
        // Another program's file is not removed.
        let lock = take().expect("free");
        fs::write(&path, "         1\n").expect("written");
        drop(lock);
        assert!(path.exists());
        let left = fs::read_dir(place.path()).expect("a directory").count();
        assert_eq!(left, 1, "no draft is left");
        assert!(PortLock::take(&place.path().join("none"), Path::new("/dev/ttyS0")).is_err());
    }

    /// Whoever may write into the directory may put anything there, and the name of the draft is easily guessed.
    #[test]
    fn what_others_put_there_is_neither_followed_nor_waited_for() {
        let place = tempfile::tempdir().expect("a directory");
        let take = || PortLock::take(place.path(), Path::new("/dev/ttyS0"));
        let victim = place.path().join("victim");
        fs::write(&victim, "precious").expect("written");
        let draft = place
            .path()
            .join(format!("LTMP..{}.ttyS0", std::process::id()));
        std::os::unix::fs::symlink(&victim, &draft).expect("linked");
        drop(take().expect("free"));
        assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
        let path = place.path().join("LCK..ttyS0");
        std::os::unix::fs::symlink(&victim, &path).expect("linked");
        drop(take().expect("no lock"));
        assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        drop(take().expect("no lock, and nobody waits"));
        // A hole of a terabyte.
        let large = fs::File::create(&path).expect("made");
        large.set_len(1 << 40).expect("long");
        drop(take().expect("no lock"));
        let left = fs::read_dir(place.path()).expect("a directory").count();
        assert_eq!(left, 1, "only the victim");
    }

    #[test]
    fn a_lock_that_was_put_there_meanwhile_stays() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("LCK..ttyS0");
        fs::write(&path, "2147483647\n").expect("written");
        let (nobody, judged) = user(&path);
        assert_eq!(nobody, None);
        // Another program has found the same stale file, and was faster.
        fs::write(place.path().join("new"), "         1\n").expect("written");
        fs::rename(place.path().join("new"), &path).expect("renamed");
        remove_judged(&path, judged, 7).expect("nothing fails");
        assert_eq!(user(&path).0, Some(1));
        let (_, judged) = user(&path);
        remove_judged(&path, judged, 7).expect("removed");
        assert!(!path.exists());
        remove_judged(&path, judged, 7).expect("it is gone");
        let left = fs::read_dir(place.path()).expect("a directory").count();
        assert_eq!(left, 0);
    }
}
