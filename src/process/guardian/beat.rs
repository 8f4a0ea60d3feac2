//! When the daemon sent its last heartbeat: a daemon that hung before it died has been silent for
//! longer than it is dead, and the other nodes wait from its last heartbeat.
//!
//! The time is in a page that the daemon shares with its guardian, and in no file: `/run` may be
//! full, or on a disk, and no heartbeat may wait for either.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::word;
use crate::clock;
use crate::os::sys::shared::{SharedNumbers, numbers_in};

/// The process that writes the numbers.
const PROCESS: usize = 0;

/// The time of its last heartbeat since the machine began, in nanoseconds; 0: none was sent.
const AT: usize = 1;

/// Records each heartbeat of this process.
#[derive(Debug, Clone, Default)]
pub struct Beats(Option<Arc<SharedNumbers>>);

impl Beats {
    /// Makes the page. Without one ([`Beats::default`]) the guardian counts from the death.
    ///
    /// # Errors
    /// The kernel has no memory or no descriptor.
    pub fn begin() -> io::Result<Self> {
        let numbers = SharedNumbers::new(c"heartbeats")?;
        numbers.set(PROCESS, std::process::id().into());
        Ok(Self(Some(Arc::new(numbers))))
    }

    /// A heartbeat is sent now. This is a store into memory: it never blocks.
    pub fn note(&self) {
        if let Some(numbers) = &self.0 {
            let now = clock::since_boot().as_nanos();
            numbers.set(AT, u64::try_from(now).unwrap_or(u64::MAX));
        }
    }

    /// Sends the page to a guardian.
    pub(super) fn show(&self, socket: &UnixStream) {
        if let Some(numbers) = &self.0 {
            // The task that listens on the socket notices its end.
            let _ = numbers.send(socket, word::BEATS);
        }
    }
}

/// How long ago the process `pid` has sent a heartbeat, by the page that it has sent; `None`: not
/// known.
pub(super) fn ago(page: &File, pid: i32) -> Option<Duration> {
    let [process, at] = numbers_in(page)?;
    let known = process == u64::try_from(pid).ok()? && at != 0;
    let ago = clock::since_boot().checked_sub(Duration::from_nanos(at));
    ago.filter(|_| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sys::shared::receive;

    #[test]
    fn the_last_heartbeat_of_a_process_is_known() {
        let own = i32::try_from(std::process::id()).unwrap();
        let beats = Beats::begin().unwrap();
        let (socket, guardian) = UnixStream::pair().unwrap();
        beats.show(&socket);
        let Ok(Some((word::BEATS, Some(page)))) = receive(&guardian) else {
            panic!("no page came");
        };
        assert_eq!(ago(&page, own), None, "none has left");
        beats.note();
        assert!(ago(&page, own).is_some_and(|ago| ago < Duration::from_secs(60)));
        assert_eq!(ago(&page, own + 1), None, "of another process");
        let Beats(Some(numbers)) = &beats else {
            panic!("no page");
        };
        let stamp = |at: Duration| numbers.set(AT, u64::try_from(at.as_nanos()).unwrap());
        stamp(clock::since_boot() + Duration::from_secs(3600));
        assert_eq!(ago(&page, own), None, "no time that was");
        stamp(clock::since_boot().saturating_sub(Duration::from_secs(1)));
        // Also when the process is gone.
        drop(beats);
        assert!(ago(&page, own).unwrap() >= Duration::from_secs(1));
        Beats::default().note();
        Beats::default().show(&socket);
        drop(socket);
        assert!(matches!(receive(&guardian), Ok(None)), "nothing is shown");
    }
}
