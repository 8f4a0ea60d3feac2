//! Files that were changed and are not in force. A legacy node reads haresources at every call, and many recipes rest on
//! that; a Systole node reads it, as its other files, at a start and at a reload.

use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::reload::Stamps;
use crate::clock::Monotonic;
use crate::config::environment::{Environment as _, Machine};
use crate::config::remembered::{Answers, Remembered};
use crate::notice::Notice;
use crate::os::paths::Paths;

/// How long a changed file may wait for its reload: an administrator changes it on both nodes first.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a log line says that it still waits.
const REMIND: Duration = Duration::from_secs(24 * 3600);

/// The files that a node runs with.
const NAMES: [&str; 4] = ["ha.cf", "authkeys", "haresources", "systole.toml"];

fn places(paths: &Paths) -> [PathBuf; 4] {
    let settings = paths.settings.clone();
    [
        paths.ha_cf(),
        paths.authkeys(),
        paths.haresources(),
        settings,
    ]
}

/// A mark of each file's content; `None`: there is no such file, or it is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks([Option<u64>; 4]);

fn mark(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

impl Marks {
    /// Of the files in force, as they were read.
    #[must_use]
    pub fn in_force(answers: &Answers, paths: &Paths) -> Self {
        let files = Remembered(answers);
        Self(places(paths).map(|path| {
            let read = answers.has_file(&path).then(|| files.read_file(&path));
            Some(mark(&Zeroizing::new(read?.ok()?.bytes)))
        }))
    }
}

/// The names of the files whose content is not the one in force. `seen`: the stamps of the last look; `None`: they are
/// the same. Blocks: it asks the disk.
#[must_use]
pub fn look(
    paths: &Paths,
    in_force: &Marks,
    seen: Option<&Stamps>,
) -> Option<(Stamps, Vec<&'static str>)> {
    let stamps = Stamps::take(paths);
    if seen == Some(&stamps) {
        return None;
    }
    let files = NAMES.into_iter().zip(places(paths)).zip(in_force.0);
    let differ = files.filter_map(|((name, path), mark_in_force)| {
        let there = match Machine.read_file(&path) {
            Ok(file) => Some(mark(&Zeroizing::new(file.bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // It cannot be judged.
            Err(_) => return None,
        };
        // A node without resources does not read haresources.
        let unused = name == "haresources" && mark_in_force.is_none();
        (there != mark_in_force && !unused).then_some(name)
    });
    Some((stamps, differ.collect()))
}

/// Which files differ, since when, and what was said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    names: Vec<&'static str>,
    since: Option<Monotonic>,
    said: Option<Monotonic>,
}

impl Unread {
    /// What a look has found.
    pub fn found(&mut self, names: Vec<&'static str>, now: Monotonic) {
        if names != self.names {
            *self = Self {
                since: (!names.is_empty()).then_some(now),
                names,
                said: None,
            };
        }
    }

    /// The files that have waited too long.
    #[must_use]
    pub fn overdue(&self, now: Monotonic) -> &[&'static str] {
        match self.since {
            Some(since) if now >= since + PATIENCE => &self.names,
            _ => &[],
        }
    }

    /// A log line, when one is due.
    pub fn line(&mut self, now: Monotonic) -> Option<Notice> {
        let fresh = self.said.is_none_or(|said| now >= said + REMIND);
        let names = self.overdue(now).join(", ");
        if names.is_empty() || !fresh {
            return None;
        }
        self.said = Some(now);
        let text = format!("changed, and not in force before heartbeat -r: {names}");
        Some(Notice::OtherWarn { text })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::config::remembered::Recorder;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    #[test]
    fn a_changed_file_is_told_after_half_a_minute_and_every_day() {
        let mut unread = Unread::default();
        unread.found(Vec::new(), at(0));
        assert!(unread.line(at(100)).is_none());
        unread.found(vec!["haresources"], at(100));
        assert!(unread.line(at(129)).is_none() && unread.overdue(at(129)).is_empty());
        assert_eq!(unread.overdue(at(130)), ["haresources"]);
        let line = unread.line(at(130)).unwrap().to_string();
        assert!(line.ends_with("heartbeat -r: haresources"), "{line}");
        unread.found(vec!["haresources"], at(140));
        assert!(unread.line(at(140)).is_none());
        assert!(unread.line(at(130 + 24 * 3600)).is_some());
        unread.found(vec!["ha.cf", "haresources"], at(200_000));
        assert!(unread.overdue(at(200_029)).is_empty(), "another change");
        assert!(unread.line(at(200_030)).is_some());
        unread.found(Vec::new(), at(200_040));
        assert!(unread.overdue(at(300_000)).is_empty());
        assert!(unread.line(at(300_000)).is_none());
    }

    #[test]
    fn content_counts_and_not_the_time() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        fs::create_dir_all(&paths.ha_dir).unwrap();
        let all = [paths.ha_cf(), paths.authkeys(), paths.haresources()];
        let recorder = Recorder::default();
        for path in &all {
            fs::write(path, "as read\n").unwrap();
            recorder.read_file(path).unwrap();
        }
        assert!(recorder.read_file(&paths.settings).is_err());
        let in_force = Marks::in_force(&recorder.into_answers(), &paths);
        let names = || look(&paths, &in_force, None).unwrap().1;
        assert!(names().is_empty());
        let seen = Stamps::take(&paths);
        assert!(look(&paths, &in_force, Some(&seen)).is_none());
        let file = File::open(&all[0]).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let (_, differ) = look(&paths, &in_force, Some(&seen)).unwrap();
        assert!(differ.is_empty(), "only touched");
        fs::write(&all[2], "another\n").unwrap();
        fs::write(&paths.settings, "").unwrap();
        assert_eq!(names(), ["haresources", "systole.toml"]);
        fs::remove_file(&all[1]).unwrap();
        assert_eq!(names(), ["authkeys", "haresources", "systole.toml"]);
        fs::write(&all[1], "as read\n").unwrap();
        fs::write(&all[2], "as read\n").unwrap();
        fs::remove_file(&paths.settings).unwrap();
        assert!(names().is_empty(), "as before");
    }

    #[test]
    fn a_file_that_is_not_used_may_change() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        fs::create_dir_all(&paths.ha_dir).unwrap();
        let in_force = Marks::in_force(&Answers::default(), &paths);
        fs::write(paths.haresources(), "alpha 10.0.0.1\n").unwrap();
        assert!(look(&paths, &in_force, None).unwrap().1.is_empty());
    }
}
