//! Work on a disk or a name service that may hang, where whoever asks may not wait for it.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Does `work` on a thread of its own; `None`: it takes longer than `limit`, it panicked, or there is no
/// thread to be had. The thread stays as long as the work hangs. Blocks for `limit` at most.
pub fn in_time<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = mpsc::channel();
    let working = std::thread::Builder::new().spawn(move || {
        // Nobody there: it took too long.
        let _ = tell.send(work());
    });
    working.ok()?;
    told.recv_timeout(limit).ok()
}

/// How long a disk may take to show whether a directory is there.
const LOOK: Duration = Duration::from_millis(200);

/// Whether `path` is a directory. Where the disk does not answer in time it is one, as it should be.
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    let path = path.to_owned();
    in_time(LOOK, move || path.is_dir()).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_not_waited_for() {
        assert_eq!(in_time(Duration::from_secs(60), || 7), Some(7));
        let (hold, held) = mpsc::channel::<()>();
        let hangs = move || held.recv().is_ok();
        assert_eq!(in_time(Duration::from_millis(20), hangs), None);
        drop(hold);
        let panics = || -> u8 { panic!("in a test") };
        assert_eq!(in_time(Duration::from_secs(60), panics), None);
    }
}
