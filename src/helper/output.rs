//! `script_output FILE [last]`: stands between the processes that scripts start and the debug log.
//! With `last` its standard output is a file in memory that always contains the end of the output,
//! for the daemon's report. An empty FILE is no file.
//!
//! It lives as long as a process may write, if necessary longer than the daemon, so that no service
//! is killed by a broken pipe. It follows the file when that is renamed, and limits the rate.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use super::Call;
use crate::agents::script::MAX_LAST_BYTES;
use crate::clock::{Clock, Monotonic};

/// Bytes that pass within one period: enough for a verbose start, too few to fill a disk.
const MAX_BYTES: usize = 1024 * 1024;

/// The period.
const PERIOD: Duration = Duration::from_secs(60);

pub(super) fn script_output(call: &mut Call<'_>) -> u8 {
    let Some(file) = call.args.first().cloned() else {
        call.complain("usage: script_output FILE [last]");
        return 1;
    };
    let wanted = call.args.get(1).is_some_and(|word| word == "last");
    let memory = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let last = Last {
        memory: memory.ok().filter(|_| wanted),
        end: Vec::new(),
    };
    let input = &mut io::stdin().lock();
    match pump(input, Path::new(&file), last, Clock::start()) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

/// Copies until the end of `input`. If a file cannot be written, its output is lost; the writers
/// are never stopped.
pub(super) fn pump(
    input: &mut dyn Read,
    file: &Path,
    mut last: Last,
    clock: Clock,
) -> io::Result<()> {
    let mut allowance = Allowance::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        last.keep(buffer.get(..count).unwrap_or_default());
        let passes = allowance.take(count, clock.now().instant);
        let text = buffer.get(..passes).unwrap_or_default();
        let cut = passes < count && !allowance.told;
        if text.is_empty() && !cut {
            continue;
        }
        // Opened again each time: the log may have been renamed.
        let Ok(mut log) = OpenOptions::new().append(true).create(true).open(file) else {
            continue;
        };
        let _ = log.write_all(text);
        if cut {
            allowance.told = true;
            let _ = log.write_all(b"\n[more output discarded: over 1 MiB within a minute]\n");
        }
    }
}

/// The end of the output.
#[derive(Default)]
pub(super) struct Last {
    memory: Option<File>,
    end: Vec<u8>,
}

impl Last {
    fn keep(&mut self, text: &[u8]) {
        let Some(memory) = &self.memory else {
            return;
        };
        self.end.extend_from_slice(text);
        let from = self.end.len().saturating_sub(MAX_LAST_BYTES);
        self.end.drain(..from);
        // If this fails, the reader gets less or nothing.
        let _ = memory.write_all_at(&self.end, 0);
    }
}

#[derive(Default)]
struct Allowance {
    since: Option<Monotonic>,
    used: usize,
    told: bool,
}

impl Allowance {
    /// How many of `count` bytes may pass.
    fn take(&mut self, count: usize, now: Monotonic) -> usize {
        if self.since.is_none_or(|since| now.since(since) >= PERIOD) {
            *self = Self {
                since: Some(now),
                used: 0,
                told: false,
            };
        }
        let passes = count.min(MAX_BYTES.saturating_sub(self.used));
        self.used = self.used.saturating_add(passes);
        passes
    }
}
