//! The forms of a log line. Spec: docs/protocol/tools.md, 6.1 to 6.4.

use std::fmt::Write as _;

use crate::clock::LocalTime;
use crate::notice::Severity;

/// Longest text of one line, in bytes, before escaping. Whole status dumps fit, and a syslog
/// daemon's usual limit of 8 KiB is kept even when every byte is escaped once.
pub const MAX_TEXT_BYTES: usize = 4096;

/// The entity of the daemon's own lines.
pub const ENTITY: &str = "heartbeat";

/// One line on its way to the targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was logged, seconds since 1970.
    pub unix_s: u64,
    /// Severity word.
    pub severity: Severity,
    /// `Some`: a line in the form of the scripts, such as `ResourceManager(default)`.
    pub tag: Option<String>,
    /// The program that logged it, such as `ipfail`; `None`: the daemon.
    pub entity: Option<String>,
    /// Process that logged it.
    pub pid: u32,
    /// Not escaped yet.
    pub text: String,
}

/// `syslogmsgfmt`: how lines of the daemon look in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileStyle {
    /// `Nov 20 22:12:14 node1 heartbeat: [30]: info: text`
    #[default]
    Syslog,
    /// `heartbeat[32]: 2026/11/20_22:17:39 info: text`
    HaLog,
}

/// The two kinds of file: scripts write them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `logfile`, and standard error.
    Log,
    /// `debugfile`.
    Debug,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl LocalTime {
    /// `Nov  5 22:12:14`
    fn push_syslog(self, out: &mut String) {
        let month = usize::from(self.month)
            .checked_sub(1)
            .and_then(|index| MONTHS.get(index))
            .unwrap_or(&"???");
        let _ = write!(
            out,
            "{month} {:2} {:02}:{:02}:{:02}",
            self.day, self.hour, self.minute, self.second
        );
    }

    /// `2026/11/20_22:12:14`, the default of `HA_DATEFMT`.
    fn push_ha_date(self, out: &mut String) {
        let _ = write!(
            out,
            "{:04}/{:02}/{:02}_{:02}:{:02}:{:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        );
    }
}

/// The line for a file or standard error, with its newline.
#[must_use]
pub fn file_line(
    record: &Record,
    time: LocalTime,
    host: &str,
    style: FileStyle,
    kind: FileKind,
) -> String {
    let mut line = String::with_capacity(record.text.len() + 80);
    let level = record.severity.word();
    let pid = record.pid;
    let entity = record.entity.as_deref().unwrap_or(ENTITY);
    match (&record.tag, kind, style) {
        (Some(tag), FileKind::Log, _) => {
            time.push_ha_date(&mut line);
            let _ = write!(line, "  {tag}[{pid}]:    {level}: ");
        }
        (Some(tag), FileKind::Debug, _) => {
            let _ = write!(line, "{tag}[{pid}]:\t");
            time.push_ha_date(&mut line);
            let _ = write!(line, " {level}: ");
        }
        (None, _, FileStyle::Syslog) => {
            time.push_syslog(&mut line);
            let _ = write!(line, " {host} {entity}: [{pid}]: {level}: ");
        }
        (None, _, FileStyle::HaLog) => {
            let _ = write!(line, "{entity}[{pid}]: ");
            time.push_ha_date(&mut line);
            let _ = write!(line, " {level}: ");
        }
    }
    push_escaped(&mut line, &record.text);
    line.push('\n');
    line
}

/// The datagram for `/dev/log`. It ends with a NUL, as in legacy.
#[must_use]
pub fn syslog_datagram(record: &Record, time: LocalTime, facility: u8) -> Vec<u8> {
    let mut line = String::with_capacity(record.text.len() + 80);
    let priority = u16::from(facility) * 8 + u16::from(syslog_severity(record.severity));
    let _ = write!(line, "<{priority}>");
    time.push_syslog(&mut line);
    let (level, pid) = (record.severity.word(), record.pid);
    let entity = record.entity.as_deref().unwrap_or(ENTITY);
    let _ = match &record.tag {
        Some(tag) => write!(line, " {tag}[{pid}]: {level}: "),
        None => write!(line, " {entity}: [{pid}]: {level}: "),
    };
    push_escaped(&mut line, &record.text);
    line.push('\0');
    line.into_bytes()
}

/// The severity number of syslog.
#[must_use]
pub const fn syslog_severity(severity: Severity) -> u8 {
    match severity {
        Severity::Emerg => 0,
        Severity::Crit => 2,
        Severity::Error => 3,
        Severity::Warn => 4,
        Severity::Notice => 5,
        Severity::Info => 6,
        Severity::Debug => 7,
    }
}

/// The number of a facility as ha.cf names it, lower case only; `None` for an unknown name.
/// Spec: docs/protocol/config.md, 4.4.
#[must_use]
pub fn facility_number(name: &str) -> Option<u8> {
    Some(match name {
        "kern" => 0,
        "user" => 1,
        "mail" => 2,
        "daemon" => 3,
        "auth" | "security" => 4,
        "syslog" => 5,
        "lpr" => 6,
        "news" => 7,
        "uucp" => 8,
        "cron" => 9,
        "authpriv" => 10,
        "ftp" => 11,
        "local0" => 16,
        "local1" => 17,
        "local2" => 18,
        "local3" => 19,
        "local4" => 20,
        "local5" => 21,
        "local6" => 22,
        "local7" => 23,
        _ => return None,
    })
}

/// Appends `text` as one printable line: text from the network or a script can neither forge a
/// second line nor reach a terminal as an escape sequence.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// Cuts `text` to [`MAX_TEXT_BYTES`], between two characters, and marks the cut.
pub fn limit(text: &mut String) {
    const MARK: &str = "...";
    if text.len() <= MAX_TEXT_BYTES {
        return;
    }
    let mut end = MAX_TEXT_BYTES - MARK.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(MARK);
}
