//! The one thread that writes log files, syslog and standard error. Whatever the disk does, only
//! this thread waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, atomic::Ordering};
use std::time::Duration;

use super::journal::{self, Journal};
use super::line::{self, FileKind, FileStyle, Record};
use super::logd::Logd;
use super::{Aim, Command, Shared, Targets};
use crate::clock::{Clock, Monotonic};
use crate::config::environment::LOGD_SOCKET;
use crate::notice::Severity;
use crate::os::sys;

/// Shortest pause between two checks whether a file was moved.
/// Spec: docs/protocol/tools.md, 6.4.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Lines written before the callers of `flush` are told.
const BURST: usize = 256;
/// Socket of the syslog daemon.
const DEV_LOG: &str = "/dev/log";

/// A file that is opened again when it has been moved away, and whose failures are only counted.
struct LogFile {
    path: PathBuf,
    kind: FileKind,
    owner: Option<(u32, u32)>,
    file: Option<File>,
    checked: Option<Monotonic>,
    lost: u64,
}

impl LogFile {
    fn new(path: &Path, kind: FileKind, owner: Option<(u32, u32)>) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            owner,
            file: None,
            checked: None,
            lost: 0,
        }
    }

    /// Opens the file if it is not open or no longer the one at its path, at most once a minute.
    fn check(&mut self, now: Monotonic) {
        if self
            .checked
            .is_some_and(|checked| now.since(checked) < CHECK_EVERY)
        {
            return;
        }
        self.checked = Some(now);
        if !self.is_current() {
            self.file = self.open().ok();
        }
    }

    fn is_current(&self) -> bool {
        let Some(open) = self.file.as_ref().and_then(|file| file.metadata().ok()) else {
            return false;
        };
        std::fs::metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
    }

    fn open(&self) -> io::Result<File> {
        // Without blocking: a FIFO or terminal in this place must not delay the other targets.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&self.path)?;
        if let Some((uid, gid)) = self.owner
            && file.metadata().is_ok_and(|data| data.is_file())
        {
            let _ = std::os::unix::fs::fchown(&file, Some(uid), Some(gid));
        }
        Ok(file)
    }

    /// Appends a line. Lines that cannot be written are counted; `true`: it was written whole.
    fn write(&mut self, line: &str) -> bool {
        // One call for a line, so that scripts that append to the same file never split it.
        let written = match &mut self.file {
            Some(file) => file.write(line.as_bytes()).unwrap_or(0),
            None => 0,
        };
        if written == line.len() {
            return true;
        }
        if written > 0
            && let Some(file) = &mut self.file
        {
            // Ends the torn line, if there is room for that by now.
            let _ = file.write(b"\n");
        }
        self.lost += 1;
        false
    }
}

/// A datagram socket to the syslog daemon; without one the lines are counted as lost.
struct Syslog {
    facility: u8,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn new(facility: u8) -> Self {
        let socket = UnixDatagram::unbound()
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .ok();
        Self { facility, socket }
    }

    fn send(&self, datagram: &[u8]) {
        // By path each time: a restarted syslog daemon is found again at once.
        if let Some(socket) = &self.socket {
            let _ = socket.send_to(datagram, DEV_LOG);
        }
    }
}

/// The writer's state; lives on its thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    clock: Clock,
    host: String,
    style: FileStyle,
    stderr: bool,
    files: Vec<LogFile>,
    syslog: Option<Syslog>,
    logd: Option<Logd>,
    journal: Option<Journal>,
    /// Number of the targets in force.
    aimed: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, targets: &Targets) -> Self {
        let mut writer = Self {
            shared,
            clock: Clock::start(),
            host: String::new(),
            style: FileStyle::Syslog,
            stderr: false,
            files: Vec::new(),
            syslog: None,
            logd: None,
            journal: None,
            aimed: 0,
        };
        writer.aim(targets);
        writer
    }

    /// Writes until every sender is gone.
    pub(super) fn run(mut self, queue: &Receiver<Command>) {
        while let Ok(command) = queue.recv() {
            let mut count = 1;
            self.check_files();
            self.report_dropped();
            self.take(command);
            while count < BURST
                && let Ok(command) = queue.try_recv()
            {
                self.take(command);
                count += 1;
            }
            self.shared.written(count as u64);
        }
    }

    fn take(&mut self, command: Command) {
        let waiting = self.shared.waiting().take();
        if let Some(aim) = waiting {
            self.turn(&aim);
        }
        match command {
            Command::Line(record) => self.write(&record),
            Command::Aim(aim) => self.turn(&aim),
        }
    }

    fn turn(&mut self, aim: &Aim) {
        if aim.number > self.aimed {
            self.aimed = aim.number;
            self.aim(&aim.targets);
            self.check_files();
        }
    }

    fn aim(&mut self, targets: &Targets) {
        self.host.clone_from(&targets.host);
        self.style = targets.style;
        self.stderr = targets.stderr;
        self.syslog = targets.facility.map(Syslog::new);
        let logd = |every| Logd::new(Path::new(LOGD_SOCKET), every, targets.facility);
        self.logd = targets.logd.map(logd);
        let journal = || Journal::new(Path::new(journal::SOCKET));
        self.journal = targets.journal.then(journal);
        let mut files = Vec::new();
        if let Some(path) = &targets.logfile {
            files.push(LogFile::new(path, FileKind::Log, targets.owner));
        }
        if let Some(path) = &targets.debugfile {
            // If one file is used for both, it gets every line once.
            files.retain(|file| file.path != *path);
            files.push(LogFile::new(path, FileKind::Debug, targets.owner));
        }
        self.files = files;
    }

    fn check_files(&mut self) {
        let now = self.clock.now().instant;
        for file in &mut self.files {
            file.check(now);
        }
    }

    fn report_dropped(&mut self) {
        let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            self.note(format!(
                "{dropped} log lines were dropped: the writer could not keep up"
            ));
        }
    }

    /// A line of the writer itself.
    fn note(&mut self, text: String) {
        self.write(&Record {
            unix_s: crate::clock::wall_unix_s(),
            severity: Severity::Warn,
            tag: None,
            entity: None,
            pid: std::process::id(),
            text,
        });
    }

    fn write(&mut self, record: &Record) {
        let time = sys::local_time(record.unix_s);
        let (host, style) = (&self.host, self.style);
        // The journal of a daemon that systemd started takes its standard error as well.
        if self.stderr && self.journal.is_none() {
            let line = line::file_line(record, time, host, style, FileKind::Log);
            let _ = io::stderr().write_all(line.as_bytes());
        }
        if let Some(journal) = &self.journal {
            journal.send(record);
        }
        let now = self.clock.now().instant;
        if let Some(logd) = &mut self.logd
            && logd.take(record, now)
        {
            return;
        }
        let both = self.files.len() > 1;
        for file in &mut self.files {
            if file.kind == FileKind::Log && record.severity == Severity::Debug {
                continue;
            }
            // The scripts use the form of the debug file only in a debug file of its own.
            let kind = if both { file.kind } else { FileKind::Log };
            let line = line::file_line(record, time, host, style, kind);
            if file.write(&line) && file.lost > 0 {
                let note = Record {
                    unix_s: record.unix_s,
                    severity: Severity::Warn,
                    tag: None,
                    entity: None,
                    pid: std::process::id(),
                    text: format!("{} log lines could not be written to this file", file.lost),
                };
                if file.write(&line::file_line(&note, time, host, style, kind)) {
                    file.lost = 0;
                }
            }
        }
        if let Some(syslog) = &self.syslog {
            syslog.send(&line::syslog_datagram(record, time, syslog.facility));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_file_is_opened_again_but_looked_at_once_a_minute() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ha-log");
        let moved = directory.path().join("ha-log.1");
        let start = Monotonic::from_millis(5_000);
        let mut file = LogFile::new(&path, FileKind::Log, None);
        file.check(start);
        assert!(file.write("one\n"));
        std::fs::rename(&path, &moved).unwrap();
        file.check(start + Duration::from_secs(59));
        assert!(file.write("two\n"));
        file.check(start + Duration::from_secs(60));
        assert!(file.write("three\n"));
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        std::fs::remove_file(&path).unwrap();
        file.check(start + Duration::from_secs(120));
        assert!(file.write("four\n"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn a_file_that_is_copied_and_truncated_goes_on_at_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ha-log");
        let mut file = LogFile::new(&path, FileKind::Log, None);
        file.check(Monotonic::ZERO);
        assert!(file.write("one\n"));
        let other = OpenOptions::new().write(true).open(&path).unwrap();
        other.set_len(0).unwrap();
        assert!(file.write("two\n"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn lines_lost_on_a_full_disk_are_counted() {
        let mut file = LogFile::new(Path::new("/dev/full"), FileKind::Log, None);
        file.check(Monotonic::ZERO);
        assert!(!file.write("one\n") && !file.write("two\n"));
        assert_eq!(file.lost, 2);
    }
}
