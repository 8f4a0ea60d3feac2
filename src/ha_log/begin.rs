//! The log of a process: everything that is traced goes there, and every panic.

use std::io;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{HaLog, Targets};
use crate::notice::Severity;

/// Begins the log of this process, on standard error until the configuration says where it goes. Once
/// in a process.
///
/// # Errors
/// The log's thread cannot be started.
pub fn begin(debug: u8) -> io::Result<HaLog> {
    let log = HaLog::start(&Targets::stderr_only(), debug)?;
    tracing_subscriber::registry().with(log.layer()).init();
    log_panics(&log);
    Ok(log)
}

/// A panic goes to the log, with its place: a daemon has no standard error.
fn log_panics(log: &HaLog) {
    let log = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("?");
        log.line(Severity::Error, format!("thread {name}: {panic}"));
    }));
}
