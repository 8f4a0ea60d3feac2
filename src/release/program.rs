//! The process that releases: its words, its log, the files, and its time limit.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};

use super::{Release, may_run, take_orphans};
use crate::actors::root::{self, Deadline};
use crate::config::environment::Machine;
use crate::config::load::{self, ConfigFailure, LoadOptions, Loaded, Purpose};
use crate::config::remembered::Remembered;
use crate::ha_log::{self, HaLog, Targets};
use crate::notice::{self, Severity};
use crate::os::in_time::in_time;
use crate::os::paths::Paths;
use crate::os::sys;
use crate::process::files;
use crate::process::guardian::Why;
use crate::process::reload::LastGood;
use crate::process::startup;

/// How long the files may take to be read while everything is to be released.
const READ: Duration = Duration::from_millis(500);

/// How long the process waits at its end for its last log lines.
const FLUSH: Duration = Duration::from_secs(5);

/// The same before the machine is restarted.
const LAST_WORDS: Duration = Duration::from_millis(100);

type Answer = Result<Loaded, Box<ConfigFailure>>;

/// Releases all resources in the place of a daemon, for the reason that the first word names
/// ([`Why`]), and returns the exit code. The second word adds detail. The third tells how long the
/// other node still waits, in milliseconds; empty: not known. The log is where the files tell, if
/// they can be read.
#[must_use]
pub fn release_resources(arguments: &[OsString]) -> u8 {
    // A machine that shuts down tells every process to end, and waits for those that do not. If
    // this process ended, what runs here would run on, and no process would restart the machine
    // before the other node takes over.
    sys::ignore_terminate();
    // As the daemon has it, whoever has called this.
    umask(Mode::from_bits_truncate(0o022));
    let paths = Paths::default();
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    let why = words.next().and_then(|word| Why::from_word(&word));
    let detail = words.next().unwrap_or_default();
    let left = words.next().and_then(|word| word.parse().ok());
    let left = left.map(Duration::from_millis);
    let _lock = match (why == Some(Why::Orphaned)).then(|| take_orphans(&paths)) {
        None => None,
        Some(Some(lock)) => Some(lock),
        Some(None) => return 0,
    };
    // What runs is released even if the log cannot be written.
    let log = match ha_log::begin(0) {
        Ok(log) => Some(log),
        Err(error) => {
            eprintln!("ERROR: cannot start the log: {error}");
            None
        }
    };
    // Before anything that a failed disk could delay.
    let deadline = left
        .filter(|_| may_run(&paths))
        .map(|left| deadline(left, log.clone()));
    let loaded = load(&paths, log.as_ref());
    if let Some(loaded) = &loaded {
        startup::limit_core_files(&loaded.config);
    }
    // A service manager calls this in another directory than that of the daemon.
    let core_root = loaded
        .as_ref()
        .and_then(|it| it.config.core_root.as_deref());
    startup::enter_core_directory(&paths, core_root);
    let say = |severity: Severity, text: String| say(log.as_ref(), severity, text);
    let code = Release {
        paths: &paths,
        config: loaded.as_ref().map(|loaded| &loaded.config),
        why,
        detail: &detail,
        say: &say,
        restart: Arc::new(root::restart_machine),
        deadline: deadline.as_ref(),
    }
    .run();
    // What could not be stopped ends with the machine.
    if let Some(deadline) = deadline {
        deadline.wait();
    }
    if let Some(log) = &log {
        log.flush(FLUSH);
    }
    code
}

fn say(log: Option<&HaLog>, severity: Severity, text: String) {
    match log {
        Some(log) => log.line(severity, text),
        None => eprintln!("{}: {text}", severity.word()),
    }
}

/// Restarts the machine when `left` has passed.
fn deadline(left: Duration, log: Option<HaLog>) -> Deadline {
    let say = move |severity: Severity, text: String| {
        say(log.as_ref(), severity, text);
        if let Some(log) = &log {
            log.flush(LAST_WORDS);
        }
    };
    Deadline::arm(left, say, root::restart_machine_now)
}

/// Reads the files that the daemon used, because those on disk may be the cause of its death; else
/// those on disk. From here on the log is where they tell.
fn load(paths: &Paths, log: Option<&HaLog>) -> Option<Loaded> {
    let options = LoadOptions {
        purpose: Purpose::Resume,
        // The release reads haresources itself: a bad one must not deprive scripts of what ha.cf
        // sets.
        manage_resources: false,
        realtime: false,
        debug: 0,
    };
    let with_groups = LoadOptions {
        manage_resources: true,
        ..options
    };
    let last = files::recall::<LastGood>(&paths.last_good()).ok();
    let loaded = last
        .and_then(|last| load::load(paths, &Remembered(&last.answers), &with_groups).ok())
        .map_or_else(|| load_in_time(paths, options), |loaded| Some(Ok(loaded)));
    if let (Some(log), Some(loaded)) = (log, &loaded) {
        let targets = match loaded {
            Ok(loaded) => &loaded.config.log,
            Err(failure) => &failure.log,
        };
        log.aim(Targets::from_config(targets, false));
    }
    if let Some(Err(failure)) = &loaded {
        failure.lines.iter().for_each(notice::log);
    }
    loaded.and_then(Result::ok)
}

/// Reads the files on a thread of its own; `None`: the disk or the resolver does not answer in
/// time.
fn load_in_time(paths: &Paths, options: LoadOptions) -> Option<Answer> {
    let paths = paths.clone();
    in_time(READ, move || load::load(&paths, &Machine, &options))
}
