//! Checks whether haresources was changed, so that the other node can tell whether the two files
//! are alike. A change has no effect before a reload.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use actix::prelude::*;

use super::RootActor;
use crate::actors::messages::HaresourcesOnDisk;
use crate::config::group_lines::MAX_FILE_BYTES;
use crate::config::haresources;
use crate::config::report::Report;
use crate::protocol::haresources_mark::FileMarks;

/// What was seen of the file. One check at a time: each would keep a thread while the disk hangs.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Its time stamp.
    seen: Option<SystemTime>,
    looking: bool,
}

impl Watched {
    /// Begins a check; returns the time stamp with which it compares. `None`: the last check has
    /// not returned.
    fn begin(&mut self) -> Option<Option<SystemTime>> {
        (!std::mem::replace(&mut self.looking, true)).then_some(self.seen)
    }

    /// The check has returned.
    fn end(&mut self, found: Option<SystemTime>) {
        self.looking = false;
        self.seen = found.or(self.seen);
    }

    /// The last check is no longer waited for.
    pub(super) fn is_lost(&mut self) {
        self.looking = false;
    }
}

impl RootActor {
    /// Checks the file on another thread.
    pub(super) fn look_at_haresources(&mut self, ctx: &mut Context<Self>) {
        if !self.config.manage_resources {
            return;
        }
        let Some(seen) = self.haresources.begin() else {
            return;
        };
        let path = self.paths.haresources();
        let work = tokio::task::spawn_blocking(move || read_if_changed(&path, seen));
        ctx.spawn(work.into_actor(self).map(|found, root, _| {
            let (modified, marks) = found.ok().flatten().unzip();
            root.haresources.end(modified);
            if let Some(marks) = marks {
                root.membership.do_send(HaresourcesOnDisk(marks));
            }
        }));
    }
}

/// The content of the file, if it has changed since `seen` and can be used.
fn read_if_changed(path: &Path, seen: Option<SystemTime>) -> Option<(SystemTime, FileMarks)> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    if seen == Some(modified) {
        return None;
    }
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    let mut report = Report::default();
    let text = String::from_utf8_lossy(&bytes);
    let groups = haresources::groups(&mut report, "haresources", &text);
    (!report.failed()).then(|| (modified, FileMarks::of(&groups)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_keeps_one_thread() {
        let mut watched = Watched::default();
        assert_eq!(watched.begin(), Some(None));
        assert_eq!(watched.begin(), None);
        watched.end(Some(SystemTime::UNIX_EPOCH));
        let seen = Some(SystemTime::UNIX_EPOCH);
        assert_eq!(watched.begin(), Some(seen));
        watched.is_lost();
        assert_eq!(watched.begin(), Some(seen));
        watched.end(None);
        assert_eq!(watched.begin(), Some(seen));
    }

    #[test]
    fn a_file_is_read_when_it_changed_and_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("haresources");
        assert!(read_if_changed(&path, None).is_none());
        fs::write(&path, "alpha 10.0.0.1 svc\n").unwrap();
        let (seen, marks) = read_if_changed(&path, None).unwrap();
        assert!(read_if_changed(&path, Some(seen)).is_none());
        fs::write(&path, "alpha 10.0.0.1 # svc\n").unwrap();
        let (_, other) = read_if_changed(&path, None).unwrap();
        assert_ne!(marks.lines, other.lines);
        assert_eq!(marks.owners, other.owners);
        fs::write(&path, b"alpha \xff\n").unwrap();
        assert!(read_if_changed(&path, None).is_none());
    }
}
