//! An open watchdog device. Spec: docs/protocol/membership.md, 12.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use crate::os::sys;

/// What feeds it: any byte but the last one.
const FOOD: &[u8] = b"\0";

/// The byte that stops it when it is the last one before the device is closed.
const STOP: &[u8] = b"V";

/// Open, and so armed.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens it for writing, without waiting: a pipe has to have a reader. No child inherits it.
    ///
    /// # Errors
    /// It is not there, in use, or neither a character device nor a named pipe.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let kind = file.metadata()?.file_type();
        if kind.is_char_device() || kind.is_fifo() {
            Ok(Self(file))
        } else {
            let what = "neither a device nor a named pipe";
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }

    /// Asks for an interval.
    ///
    /// # Errors
    /// It does not know any, or not this one.
    pub(super) fn set_interval(&self, interval: Duration) -> io::Result<()> {
        sys::watchdog::set_interval(self.0.as_fd(), interval)
    }

    /// The interval that it uses.
    ///
    /// # Errors
    /// It does not tell.
    pub(super) fn interval(&self) -> io::Result<Duration> {
        sys::watchdog::interval(self.0.as_fd())
    }

    /// Feeds it once. The driver may let the caller wait.
    ///
    /// # Errors
    /// It did not take the byte.
    pub(super) fn feed(&self) -> io::Result<()> {
        self.give(FOOD)
    }

    /// Stops and closes it. A driver that may not be stopped (`nowayout`) ignores that without an
    /// error.
    ///
    /// # Errors
    /// It did not take the byte: it is closed, and counts on.
    pub(super) fn disarm(self) -> io::Result<()> {
        self.give(STOP)
    }

    fn give(&self, byte: &[u8]) -> io::Result<()> {
        loop {
            match (&self.0).write(byte) {
                Ok(1) => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
