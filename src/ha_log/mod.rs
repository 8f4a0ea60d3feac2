//! The legacy log, as one `tracing` layer: `logfile`, `debugfile`, syslog and, until the daemon is
//! in the background, standard error.
//! With `use_logd` the logging daemon gets every line instead, as long as it takes them; started by systemd and without a
//! syslog facility the daemon also writes to its journal.
//! Spec: docs/protocol/tools.md, 6; docs/protocol/config.md, 4.4; docs/protocol/client-api.md, 16.
//!
//! The thread that logs an event makes a record of it; a bounded queue passes the record to the one
//! thread that writes. When the queue is full the record is dropped and counted: no actor ever waits
//! for a disk.
//!
//! | Event | Line |
//! |---|---|
//! | with `ha_level` (see [`crate::notice::log`]) | that level word, the message exactly as given |
//! | any other | `ERROR`, `WARN`, `info` or `debug`, the message, then ` key=value` of event and spans |
//! | with `tag` | in the form that resource scripts log in |
//! | with `entity` | under this program's name instead of the daemon's |

mod begin;
mod journal;
pub mod line;
mod logd;
mod writer;
use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use begin::begin;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::config::types::LogConfig;
use crate::notice::Severity;
use line::{FileStyle, Record};

/// Records that may wait for the writer: some seconds of a very noisy daemon; with texts of the
/// usual length about a quarter of a megabyte.
pub const QUEUE: usize = 2048;

/// Targets of `trace` events, one for each further debug level. Without one of them a `trace` event is a detail.
/// Spec: docs/protocol/config.md, 4.4.
pub mod target {
    /// By which key a message is signed.
    pub const KEYS: &str = "keys";
    /// That a message is sent or received.
    pub const PACKETS: &str = "packets";
    /// The fields of a message.
    pub const CONTENTS: &str = "contents";
}

/// From which debug level on an event is logged.
fn debug_level(metadata: &Metadata<'_>) -> u8 {
    match (*metadata.level(), metadata.target()) {
        (Level::ERROR | Level::WARN | Level::INFO, _) => 0,
        (Level::DEBUG, _) => 1,
        (Level::TRACE, target::KEYS) => 3,
        (Level::TRACE, target::PACKETS) => 4,
        (Level::TRACE, target::CONTENTS) => 5,
        (Level::TRACE, _) => 2,
    }
}

/// The targets of log lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    /// Host name of the kernel, for the lines.
    pub host: String,
    /// Everything but debug.
    pub logfile: Option<PathBuf>,
    /// Everything.
    pub debugfile: Option<PathBuf>,
    /// Everything, to syslog under this facility number.
    pub facility: Option<u8>,
    /// The logging daemon takes every line instead; the pause before it is tried again.
    pub logd: Option<Duration>,
    /// Everything, to the journal of systemd.
    pub journal: bool,
    /// Form of the lines in files and on standard error.
    pub style: FileStyle,
    /// Also to standard error.
    pub stderr: bool,
    /// Owner and group that log files get.
    pub owner: Option<(u32, u32)>,
}

impl Targets {
    /// Standard error only, for lines before the configuration is read.
    #[must_use]
    pub fn stderr_only() -> Self {
        Self {
            host: host_name(),
            stderr: true,
            ..Self::default()
        }
    }

    /// The targets that the log directives of ha.cf name.
    ///
    /// Without any target the logging daemon is used, and without that one the lines go to syslog, facility
    /// `daemon`: it writes them there by default.
    #[must_use]
    pub fn from_config(config: &LogConfig, stderr: bool) -> Self {
        let named = config.facility.as_deref();
        let facility = named.and_then(line::facility_number);
        let nothing = config.logfile.is_none() && config.debugfile.is_none() && named.is_none();
        Self {
            host: host_name(),
            logfile: config.logfile.clone(),
            debugfile: config.debugfile.clone(),
            facility: if nothing {
                line::facility_number("daemon")
            } else {
                facility
            },
            logd: config.use_logd.then_some(config.conn_logd_time),
            journal: journal::takes(config),
            style: if config.syslog_format {
                FileStyle::Syslog
            } else {
                FileStyle::HaLog
            },
            stderr,
            owner: crate::os::accounts::hacluster(),
        }
    }
}

/// `uname -n`, unchanged.
#[must_use]
pub fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "localhost".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

enum Command {
    Line(Record),
    Aim(Aim),
}

/// New targets, numbered: of two the later ones count, whichever reaches the writer first.
struct Aim {
    number: u64,
    targets: Box<Targets>,
}

/// The part that the users of the log and its writer share.
struct Shared {
    debug: AtomicU8,
    dropped: AtomicU64,
    queued: AtomicU64,
    done: Mutex<u64>,
    progress: Condvar,
    aims: AtomicU64,
    /// The latest targets that found no room in the queue. Locked only to swap them.
    waiting: Mutex<Option<Aim>>,
}

impl Shared {
    fn new(debug: u8) -> Arc<Self> {
        Arc::new(Self {
            debug: AtomicU8::new(debug),
            dropped: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            done: Mutex::new(0),
            progress: Condvar::new(),
            aims: AtomicU64::new(0),
            waiting: Mutex::new(None),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Aim>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self, count: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done = done.saturating_add(count);
        self.progress.notify_all();
    }
}

/// A handle on the log: sets the targets and the debug level, waits for it. Cheap to clone.
#[derive(Clone)]
pub struct HaLog {
    queue: SyncSender<Command>,
    shared: Arc<Shared>,
}

impl fmt::Debug for HaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HaLog")
            .field("debug", &self.debug())
            .finish()
    }
}

impl HaLog {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start(targets: &Targets, debug: u8) -> io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE);
        let shared = Shared::new(debug);
        let writer = writer::Writer::new(Arc::clone(&shared), targets);
        std::thread::Builder::new()
            .name("ha-log".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || writer.run(&records))?;
        Ok(Self { queue, shared })
    }

    /// The layer for the global subscriber.
    #[must_use]
    pub fn layer(&self) -> HaLogLayer {
        HaLogLayer { log: self.clone() }
    }

    /// Sends all later lines to `targets`. If the queue is full, the lines in it may go there as
    /// well: then the writer waits for a disk, and the caller must not.
    pub fn aim(&self, targets: Targets) {
        let aim = Aim {
            number: self.shared.aims.fetch_add(1, Ordering::Relaxed) + 1,
            targets: Box::new(targets),
        };
        match self.queue.try_send(Command::Aim(aim)) {
            Ok(()) => {
                self.shared.queued.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Full(Command::Aim(aim))) => {
                let mut waiting = self.shared.waiting();
                if waiting
                    .as_ref()
                    .is_none_or(|other| other.number < aim.number)
                {
                    *waiting = Some(aim);
                }
            }
            Err(_) => {}
        }
    }

    /// Logs one line whatever the debug level is.
    pub fn line(&self, severity: Severity, text: impl Into<String>) {
        self.push(severity, None, None, text.into());
    }

    /// The same, as a line of another program than the daemon.
    pub fn line_of(&self, entity: &str, severity: Severity, text: impl Into<String>) {
        self.push(severity, None, Some(entity.to_owned()), text.into());
    }

    /// Current debug level.
    #[must_use]
    pub fn debug(&self) -> u8 {
        self.shared.debug.load(Ordering::Relaxed)
    }

    /// Sets the debug level without a log line, as `debug` in ha.cf and `-d` do.
    pub fn set_debug(&self, level: u8) {
        self.shared.debug.store(level, Ordering::Relaxed);
    }

    /// Raises (`USR1`) or lowers (`USR2`) the debug level by one and logs it.
    /// Spec: docs/protocol/tools.md, 2.
    pub fn step_debug(&self, up: bool) {
        let old = self.debug();
        let new = if up {
            old.saturating_add(1)
        } else {
            old.saturating_sub(1)
        };
        self.set_debug(new);
        let pid = std::process::id();
        self.line(
            Severity::Debug,
            format!("debug now set to {new} [pid {pid}]"),
        );
    }

    /// Waits until everything logged so far is written, at most `limit`. `false`: not everything
    /// is.
    pub fn flush(&self, limit: Duration) -> bool {
        let goal = self.shared.queued.load(Ordering::Relaxed);
        let done = self
            .shared
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (done, _) = self
            .shared
            .progress
            .wait_timeout_while(done, limit, |done| *done < goal)
            .unwrap_or_else(PoisonError::into_inner);
        *done >= goal
    }

    fn push(
        &self,
        severity: Severity,
        tag: Option<String>,
        entity: Option<String>,
        mut text: String,
    ) {
        line::limit(&mut text);
        let record = Record {
            unix_s: crate::clock::wall_unix_s(),
            severity,
            tag,
            entity,
            pid: std::process::id(),
            text,
        };
        match self.queue.try_send(Command::Line(record)) {
            Ok(()) => {
                self.shared.queued.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Full(_)) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

/// Turns `tracing` events into legacy lines.
#[derive(Debug, Clone)]
pub struct HaLogLayer {
    log: HaLog,
}

/// Fields of a span, ready to append.
struct SpanFields(String);

impl<S> Layer<S> for HaLogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// The debug level can change at any time (`USR1`, `USR2`, a reload), so no answer is for good.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if debug_level(metadata) == 0 {
            Interest::always()
        } else {
            Interest::sometimes()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.log.debug() >= debug_level(metadata)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields.others));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields {
            mut text,
            others,
            severity,
            tag,
            entity,
        } = fields;
        let severity = if let Some(severity) = severity {
            severity
        } else {
            text.push_str(&others);
            if tag.is_none() {
                for span in context.event_scope(event).into_iter().flatten() {
                    if let Some(SpanFields(fields)) = span.extensions().get() {
                        text.push_str(fields);
                    }
                }
            }
            match *event.metadata().level() {
                Level::ERROR => Severity::Error,
                Level::WARN => Severity::Warn,
                Level::INFO => Severity::Info,
                Level::DEBUG | Level::TRACE => Severity::Debug,
            }
        };
        self.log.push(severity, tag, entity, text);
    }
}

/// Collects the fields of one event or span.
#[derive(Default)]
struct Fields {
    text: String,
    others: String,
    severity: Option<Severity>,
    tag: Option<String>,
    entity: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.text.push_str(value),
            "ha_level" => self.severity = Severity::from_word(value),
            "tag" => self.tag = Some(value.to_owned()),
            "entity" => self.entity = Some(value.to_owned()),
            name => self.push_other(name, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }
}

impl Fields {
    fn push_other(&mut self, name: &str, value: &str) {
        let plain = !value.is_empty()
            && !value
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '='));
        let quoted = value.starts_with('"') && value.ends_with('"') && value.len() > 1;
        let _ = if plain || quoted {
            write!(self.others, " {name}={value}")
        } else {
            write!(self.others, " {name}={value:?}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log from which no line is taken, as when the writer waits for its disk.
    fn stuck(room: usize) -> (HaLog, std::sync::mpsc::Receiver<Command>) {
        let (queue, records) = sync_channel(room);
        let shared = Shared::new(0);
        (HaLog { queue, shared }, records)
    }

    fn to_file(path: &std::path::Path) -> Targets {
        Targets {
            logfile: Some(path.to_owned()),
            ..Targets::default()
        }
    }

    #[test]
    fn a_full_queue_delays_no_caller_and_the_latest_targets_count() {
        let directory = tempfile::tempdir().unwrap();
        let files = ["start", "old", "older", "new"].map(|name| directory.path().join(name));
        let (log, records) = stuck(2);
        log.aim(to_file(&files[1]));
        log.line(Severity::Info, "first");
        // Each of these once waited for ever.
        log.aim(to_file(&files[2]));
        log.aim(to_file(&files[3]));
        let writer = writer::Writer::new(Arc::clone(&log.shared), &to_file(&files[0]));
        // Room again, and the disk works.
        drop(log);
        writer.run(&records);
        let written = std::fs::read_to_string(&files[3]).expect("the latest targets");
        assert!(written.contains("first"), "{written}");
        assert!(!files[1].exists() && !files[2].exists());
    }
}
