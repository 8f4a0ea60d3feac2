//! Looks whether haresources was changed, so that the other node can tell whether the two files are alike.
//! Nothing of it counts before a reload.

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

impl RootActor {
    /// Looks at the file, on another thread.
    pub(super) fn look_at_haresources(&self, ctx: &mut Context<Self>) {
        if !self.config.manage_resources {
            return;
        }
        let (path, seen) = (self.paths.haresources(), self.haresources_seen);
        let work = tokio::task::spawn_blocking(move || read_if_changed(&path, seen));
        ctx.spawn(work.into_actor(self).map(|found, root, _| {
            if let Ok(Some((modified, marks))) = found {
                root.haresources_seen = Some(modified);
                root.membership.do_send(HaresourcesOnDisk(marks));
            }
        }));
    }
}

/// What the file says, when it is another than at `seen` and can be used.
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
