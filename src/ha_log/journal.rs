//! Lines to the journal of systemd, where it started the daemon and ha.cf names no syslog facility: else the journal gets
//! them through `/dev/log`. This is our own code instead of a crate, because only the writer's thread may send, and nothing may
//! wait: a line that the journal does not take at once is lost there, as with syslog.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::line::{self, Record};
use crate::config::types::LogConfig;
use crate::os::sd_notify;

/// The socket of the journal.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether the lines go there.
pub(super) fn takes(config: &LogConfig) -> bool {
    let named = config.facility.as_deref();
    let nothing = config.logfile.is_none() && config.debugfile.is_none() && named.is_none();
    let syslog = nothing || named.and_then(line::facility_number).is_some();
    sd_notify::has_manager() && !syslog
}

/// The journal.
pub(super) struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Journal {
    pub(super) fn new(path: &Path) -> Self {
        let socket = UnixDatagram::unbound();
        let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        Self {
            path: path.to_owned(),
            socket: socket.ok(),
        }
    }

    pub(super) fn send(&self, record: &Record) {
        if let Some(socket) = &self.socket {
            // By path each time: a journal that was started again is found at once.
            let _ = socket.send_to(entry(record).as_bytes(), &self.path);
        }
    }
}

/// One entry: `FIELD=value` lines. No value has a line break.
fn entry(record: &Record) -> String {
    let mut entry = String::with_capacity(record.text.len().saturating_add(120));
    let name = record.tag.as_deref().or(record.entity.as_deref());
    let name = name.unwrap_or(line::ENTITY);
    let priority = line::syslog_severity(record.severity);
    let pid = record.pid;
    entry.push_str(&format!(
        "PRIORITY={priority}\nSYSLOG_IDENTIFIER={name}\nSYSLOG_PID={pid}\nMESSAGE="
    ));
    line::push_escaped(&mut entry, &record.text);
    entry.push('\n');
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Severity;

    #[test]
    fn an_entry_has_one_line_for_each_field() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = Journal::new(&path);
        let record = Record {
            unix_s: 1,
            severity: Severity::Warn,
            tag: None,
            entity: None,
            pid: 7,
            text: "one\nPRIORITY=0".to_owned(),
        };
        // Nobody is there: it is lost.
        journal.send(&record);
        let there = UnixDatagram::bind(&path).unwrap();
        journal.send(&record);
        let mut bytes = [0; 1000];
        let length = there.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..3],
            ["PRIORITY=4", "SYSLOG_IDENTIFIER=heartbeat", "SYSLOG_PID=7"]
        );
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[3].starts_with("MESSAGE=one"), "{text}");
    }
}
