//! Parameters that stand in files: read before each call, so that a change counts at once.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::FenceFailure;
use crate::config::fencing::FenceDriver;

/// Longest file in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Longest password in bytes.
const MAX_PASSWORD_BYTES: usize = 1024;

/// How long a disk may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What was read.
#[derive(Default)]
pub(super) struct Private {
    /// First line of the password file.
    pub(super) password: Option<Zeroizing<String>>,
    /// The file of a plugin's parameters, which are hidden in what the plugin prints.
    pub(super) parameters: Zeroizing<String>,
    /// That file could not be read as a whole, and the plugin may be able to: nothing that it prints
    /// is shown.
    pub(super) unread: bool,
}

impl Private {
    /// Reads the files of a device.
    pub(super) async fn read(driver: &FenceDriver) -> Result<Self, FenceFailure> {
        match driver {
            FenceDriver::PluginFile(path) => {
                // The plugin itself reports a file that cannot be read.
                let read = in_time(path.clone(), read_whole).await;
                let unread = match &read {
                    Ok(text) => u64::try_from(text.len()).unwrap_or(u64::MAX) >= MAX_BYTES,
                    Err(error) => error.kind() != io::ErrorKind::NotFound,
                };
                Ok(Self {
                    parameters: read.unwrap_or_default(),
                    unread,
                    ..Self::default()
                })
            }
            FenceDriver::Agent(words) => {
                let mut private = Self::default();
                if let Some(path) = &words.password_file {
                    let read = in_time(path.clone(), read_password).await;
                    private.password = Some(read.map_err(|error| FenceFailure::File {
                        path: path.clone(),
                        reason: error.to_string(),
                    })?);
                }
                Ok(private)
            }
            FenceDriver::PluginWords(_) => Ok(Self::default()),
        }
    }
}

async fn in_time(
    path: PathBuf,
    read: fn(&Path) -> io::Result<Zeroizing<String>>,
) -> io::Result<Zeroizing<String>> {
    // A thread of its own: the end of the program waits for those of `spawn_blocking`, and the disk may hang for ever.
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().spawn(move || {
        // Nobody waits for it if it took too long.
        let _ = tell.send(read(&path));
    })?;
    match timeout(LIMIT, told).await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn read_whole(path: &Path) -> io::Result<Zeroizing<String>> {
    read_file(&open(path)?)
}

/// Only a file: a pipe would be waited for until somebody writes to it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    Ok(file)
}

fn read_file(file: &File) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Only for its owner, as authkeys.
fn read_password(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = open(path)?;
    let data = file.metadata()?;
    let own = nix::unistd::geteuid().as_raw();
    if data.uid() != 0 && data.uid() != own {
        return Err(io::Error::other("it must belong to root"));
    }
    if data.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may use it: chmod 600"));
    }
    let text = read_file(&file)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(io::Error::other("its first line is empty"));
    }
    if line.len() > MAX_PASSWORD_BYTES || line.contains(char::is_control) {
        return Err(io::Error::other("its first line is no password"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}
