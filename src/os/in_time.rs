//! Work on a disk or a name service that may hang, for callers that must not wait for it.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Does `work` on another thread; `None`: it takes longer than `limit`, it panicked, or no thread
/// can be made. The thread stays as long as the work hangs. Blocks for `limit` at most.
pub fn in_time<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = mpsc::channel();
    let working = std::thread::Builder::new().spawn(move || {
        // If the caller has gone, it took too long.
        let _ = tell.send(work());
    });
    working.ok()?;
    told.recv_timeout(limit).ok()
}

/// How long a disk may take to answer whether a directory exists.
const LOOK: Duration = Duration::from_millis(200);

/// Whether `path` is a directory. If the disk does not answer in time, the answer is yes, as it
/// should be.
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    let path = path.to_owned();
    in_time(LOOK, move || path.is_dir()).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_not_waited_for() {
        assert_eq!(in_time(Duration::from_secs(60), || 7), Some(7));
        let (hold, held) = mpsc::channel::<()>();
        let hangs = move || held.recv().is_ok();
        assert_eq!(in_time(Duration::from_millis(20), hangs), None);
        drop(hold);
        let panics = || -> u8 { panic!("in a test") };
        assert_eq!(in_time(Duration::from_secs(60), panics), None);
    }
}
