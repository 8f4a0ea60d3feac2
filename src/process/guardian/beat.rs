//! When the daemon sent its last heartbeat: a daemon that hung before it died has been silent for
//! longer than it is dead, and the other nodes wait from its last heartbeat.
//!
//! The time is in a page that the daemon shares with its guardian, and in no file: `/run` may be
//! full, or on a disk, and no heartbeat may wait for either.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
pub struct Beats {
    /// For the guardian.
    page: Option<Arc<SharedNumbers>>,
    /// The same time as in the page, for the other threads, which look when they want to: a heartbeat wakes none of them.
    at: Arc<AtomicU64>,
}

impl Beats {
    /// Makes the page. Without one ([`Beats::default`]) the guardian counts from the death.
    ///
    /// # Errors
    /// The kernel has no memory or no descriptor.
    pub fn begin() -> io::Result<Self> {
        let numbers = SharedNumbers::new(c"heartbeats")?;
        numbers.set(PROCESS, std::process::id().into());
        Ok(Self {
            page: Some(Arc::new(numbers)),
            at: Arc::default(),
        })
    }

    /// A heartbeat is sent now. These are stores into memory: it never blocks. Returns whether it is the first one.
    pub fn note(&self) -> bool {
        let now = u64::try_from(clock::since_boot().as_nanos()).unwrap_or(u64::MAX);
        if let Some(numbers) = &self.page {
            numbers.set(AT, now);
        }
        self.at.swap(now, Ordering::Relaxed) == 0
    }

    /// When the last one was sent, since the machine began; `None`: there was none.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        let at = self.at.load(Ordering::Relaxed);
        (at != 0).then(|| Duration::from_nanos(at))
    }

    /// Sends the page to a guardian.
    pub(super) fn show(&self, socket: &UnixStream) {
        if let Some(numbers) = &self.page {
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

    fn beats_without_page() -> [bool; 2] {
        let beats = Beats::default();
        assert_eq!(beats.last(), None);
        let first = [beats.note(), beats.clone().note()];
        assert!(beats.last().is_some_and(|at| at <= clock::since_boot()));
        first
    }

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
        assert!(beats.note());
        assert!(ago(&page, own).is_some_and(|ago| ago < Duration::from_secs(60)));
        assert_eq!(ago(&page, own + 1), None, "of another process");
        let Some(numbers) = &beats.page else {
            panic!("no page");
        };
        let stamp = |at: Duration| numbers.set(AT, u64::try_from(at.as_nanos()).unwrap());
        stamp(clock::since_boot() + Duration::from_secs(3600));
        assert_eq!(ago(&page, own), None, "no time that was");
        stamp(clock::since_boot().saturating_sub(Duration::from_secs(1)));
        // Also when the process is gone.
        drop(beats);
        assert!(ago(&page, own).unwrap() >= Duration::from_secs(1));
        assert_eq!(beats_without_page(), [true, false]);
        Beats::default().show(&socket);
        drop(socket);
        assert!(matches!(receive(&guardian), Ok(None)), "nothing is shown");
    }
}
