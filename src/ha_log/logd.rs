//! Lines to the logging daemon `ha_logd`, as `use_logd` asks for. Spec: docs/protocol/client-api.md, 16.
//!
//! Nothing waits for it: a line that it does not take at once goes to the targets of ha.cf. When it is gone, it is tried
//! again after `conn_logd_time`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::line::{self, Record};
use crate::clock::Monotonic;

/// Type of a message that carries a line.
const LINE: i32 = 2;

/// Marks a frame.
const MAGIC: u32 = 0xabcd;

/// Bytes of a body before its text.
const FIXED_BYTES: usize = 96;

/// Bytes of the program's name, its last NUL included.
const ENTITY_BYTES: usize = 64;

/// The facility of a node that names none: `user`, as of a legacy node.
const USER: u8 = 1;

/// The connection to it.
pub(super) struct Logd {
    path: PathBuf,
    /// Pause before another try.
    every: Duration,
    facility: u8,
    socket: Option<Socket>,
    tried: Option<Monotonic>,
    /// Rest of a frame that was taken in part.
    rest: Vec<u8>,
}

impl Logd {
    pub(super) fn new(path: &Path, every: Duration, facility: Option<u8>) -> Self {
        Self {
            path: path.to_owned(),
            every,
            facility: facility.unwrap_or(USER),
            socket: None,
            tried: None,
            rest: Vec::new(),
        }
    }

    /// Hands a line over. `false`: it did not take it.
    pub(super) fn take(&mut self, record: &Record, now: Monotonic) -> bool {
        self.connect(now);
        match self.send(record) {
            Ok(taken) => taken,
            Err(_) => {
                // It is gone, and half a frame with it.
                self.socket = None;
                self.rest.clear();
                self.tried = Some(now);
                false
            }
        }
    }

    fn connect(&mut self, now: Monotonic) {
        let waits = self.tried.is_some_and(|tried| now < tried + self.every);
        if self.socket.is_some() || waits {
            return;
        }
        self.tried = Some(now);
        self.socket = self.open().ok();
    }

    fn open(&self) -> io::Result<Socket> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.connect(&SockAddr::unix(&self.path)?)?;
        Ok(socket)
    }

    fn send(&mut self, record: &Record) -> io::Result<bool> {
        let Some(socket) = &mut self.socket else {
            return Ok(false);
        };
        let rest = std::mem::take(&mut self.rest);
        self.rest = write(socket, &rest)?;
        if !self.rest.is_empty() {
            return Ok(false);
        }
        let frame = frame(record, self.facility);
        let left = write(socket, &frame)?;
        if left.len() == frame.len() {
            return Ok(false);
        }
        self.rest = left;
        Ok(true)
    }
}

/// Writes what there is room for; returns the rest.
fn write(socket: &mut Socket, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut left = bytes;
    while !left.is_empty() {
        match socket.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left.to_vec())
}

/// One line in the daemon's form: numbers as this machine stores them.
fn frame(record: &Record, facility: u8) -> Vec<u8> {
    let mut text = String::with_capacity(record.text.len().saturating_add(1));
    line::push_escaped(&mut text, &record.text);
    text.push('\0');
    let mut entity = [0; ENTITY_BYTES];
    let name = record.tag.as_deref().or(record.entity.as_deref());
    let name = name.unwrap_or(line::ENTITY).bytes();
    // The last byte stays a NUL.
    for (place, byte) in entity.iter_mut().zip(name.take(ENTITY_BYTES - 1)) {
        *place = byte;
    }
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let priority = i32::from(line::syslog_severity(record.severity));
    let prints_priority = 1_i32;
    let pid = i32::try_from(record.pid).unwrap_or_default();
    let time = i64::try_from(record.unix_s).unwrap_or(i64::MAX);
    let body = FIXED_BYTES.saturating_add(text.len());
    let mut frame = Vec::with_capacity(body.saturating_add(8));
    frame.extend(number(body).to_ne_bytes());
    frame.extend(MAGIC.to_ne_bytes());
    for word in [
        LINE,
        i32::from(facility) * 8,
        priority,
        number(text.len()),
        prints_priority,
        pid,
    ] {
        frame.extend(word.to_ne_bytes());
    }
    frame.extend(entity);
    frame.extend(time.to_ne_bytes());
    frame.extend(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::notice::Severity;

    fn record(text: &str) -> Record {
        Record {
            unix_s: 1_796_009_481,
            severity: Severity::Info,
            tag: None,
            entity: Some("lab".to_owned()),
            pid: 4907,
            text: text.to_owned(),
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    /// The bytes that `ha_logger -t lab "hello there"` was seen to send, but for the flag of the priority word.
    #[test]
    #[cfg(all(target_endian = "little", target_pointer_width = "64"))]
    fn a_line_has_the_form_that_was_recorded() {
        let mut wanted = b"\x6c\0\0\0\xcd\xab\0\0\x02\0\0\0\x08\0\0\0\x06\0\0\0\x0c\0\0\0".to_vec();
        wanted.extend(b"\x01\0\0\0\x2b\x13\0\0lab");
        wanted.extend([0; 61]);
        wanted.extend(b"\x09\xee\x0c\x6b\0\0\0\0hello there\0");
        assert_eq!(frame(&record("hello there"), USER), wanted);
    }

    #[test]
    fn a_long_name_and_a_line_break_do_no_harm() {
        let mut record = record("one\ntwo");
        record.tag = Some("x".repeat(100));
        let frame = frame(&record, 3);
        assert_eq!(frame.get(8 + 24..8 + 88).unwrap().last(), Some(&0));
        assert!(!frame.contains(&b'\n'));
    }

    #[test]
    fn what_is_not_taken_is_told_and_tried_again_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log_daemon");
        let mut logd = Logd::new(&path, Duration::from_secs(60), None);
        assert!(!logd.take(&record("nobody"), at(10)));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!logd.take(&record("too early"), at(69)));
        assert!(logd.take(&record("taken"), at(70)));
        let (mut there, _) = listener.accept().unwrap();
        let mut bytes = vec![0; frame(&record("taken"), USER).len()];
        there.read_exact(&mut bytes).unwrap();
        assert!(bytes.ends_with(b"taken\0"));
        drop(there);
        assert!(!logd.take(&record("it is gone"), at(100)));
        assert!(!logd.take(&record("still"), at(159)));
        assert!(logd.take(&record("again"), at(160)));
    }

    /// A daemon that is stopped holds nobody up, and gets whole frames when it goes on.
    #[test]
    fn a_daemon_that_does_not_read_delays_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log_daemon");
        let listener = UnixListener::bind(&path).unwrap();
        let mut logd = Logd::new(&path, Duration::from_secs(60), None);
        let line = record(&"x".repeat(4_000));
        let taken = (0..10_000).take_while(|_| logd.take(&line, at(1))).count();
        assert!((10..10_000).contains(&taken), "{taken}");
        let (mut there, _) = listener.accept().unwrap();
        let one = frame(&line, USER);
        let mut bytes = vec![0; one.len() * taken];
        let mut read = 0;
        while read < bytes.len() {
            read += there.read(&mut bytes[read..]).unwrap();
            // What was taken in part follows with the next line.
            let _ = logd.take(&record("next"), at(1));
        }
        assert!(bytes.chunks(one.len()).all(|chunk| chunk == one));
    }
}
