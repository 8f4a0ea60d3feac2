//! The `heartbeat` command: options, configuration, and the daemon.
//! Spec: docs/protocol/tools.md, 1.
//!
//! Only here does an error become an exit code.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use systole::actors::membership::handover::Resume;
use systole::actors::root::{self, Deadline, RESUME_PAUSE, RESUME_TRIES, Setup};
use systole::agents::child::shim;
use systole::cli::{self, Command, Held, OptionError, Options, talk};
use systole::config::Config;
use systole::config::environment::Machine;
use systole::config::load::{self, ConfigFailure, LoadOptions, Loaded, Purpose};
use systole::config::print;
use systole::config::remembered::{Answers, Recorder, Remembered};
use systole::ha_log::{HaLog, Targets, host_name};
use systole::inspect;
use systole::notice::{self, Severity};
use systole::os::accounts::Accounts;
use systole::os::in_time::in_time;
use systole::os::paths::Paths;
use systole::os::sd_notify;
use systole::own_addresses;
use systole::process::daemonize::{self, Starting};
use systole::process::files;
use systole::process::guardian::{self, Link, Why};
use systole::process::locks::{take_lock, try_lock};
use systole::process::pid_file::{self, ClaimError, PidFile};
use systole::process::reload::{LastGood, Stamps};
use systole::protocol::group::GroupKey;
use systole::release;
use systole::resources::holding::HoldingSet;
use systole::resources::owners::Before;
use systole::version;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Something failed that is neither configuration nor permission.
const EXIT_GENERIC: u8 = 1;
/// No permission.
const EXIT_PERMISSION: u8 = 4;
/// The configuration is refused, or `-R` came without a running daemon.
const EXIT_CONFIG: u8 = 6;

/// How long the files may take to be read while everything is to be released.
const READ: Duration = Duration::from_millis(500);

/// How long the process waits at its end for its last log lines.
const FLUSH: Duration = Duration::from_secs(5);

/// The same before the machine is restarted.
const LAST_WORDS: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    systole::os::sys::hear_of_children();
    if let Some(script) = script_of(std::env::args_os()) {
        return ExitCode::from(shim::run(&script));
    }
    daemonize::set_process_name();
    // Whatever the caller had open is nothing to the daemon and its scripts. A kernel that cannot
    // do this leaves things as they are.
    let _ = systole::os::sys::inherit_nothing();
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| "heartbeat".into());
    let program = program.to_string_lossy().into_owned();
    let arguments: Vec<OsString> = words.collect();
    if program == guardian::TITLE {
        return match guardian::guard(&arguments, &own_program()) {
            guardian::Outcome::Exit(code) => ExitCode::from(code),
            guardian::Outcome::Release(words) => ExitCode::from(release_resources(&words)),
        };
    }
    if program == guardian::RELEASE_TITLE {
        return ExitCode::from(release_resources(&arguments));
    }
    let letters = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    let code = match cli::options::parse(&program, letters) {
        Ok(options) => run(&program, &arguments, options),
        Err(OptionError::Usage(complaints)) => {
            for line in complaints {
                eprintln!("{line}");
            }
            eprint!("{}", cli::options::USAGE);
            cli::options::EXIT_USAGE
        }
        Err(error @ OptionError::BadHeld(_)) => {
            eprintln!("ERROR: {error}");
            EXIT_GENERIC
        }
    };
    ExitCode::from(code)
}

/// The words of a script that we stand beside. First of all: its processes are not to be taken for
/// a daemon's.
fn script_of(mut words: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    (words.next()? == shim::TITLE).then(|| words.collect())
}

fn run(program: &str, arguments: &[OsString], options: Options) -> u8 {
    let paths = Paths::default();
    match options.command {
        Command::Version => say(&format!("{}\n", version::version())),
        Command::Defaults { wiki: false } => say(&print::defaults()),
        Command::Defaults { wiki: true } => say(&print::defaults_as_wiki()),
        Command::Status => answer(&talk::status(&paths)),
        Command::Stop => answer(&talk::stop(&paths)),
        Command::Start | Command::Restarted(_) | Command::Reload | Command::Check => {
            if matches!(options.command, Command::Restarted(_)) {
                // Whoever stops the node finds a successor before that can hear it: it waits for it,
                // and must not end it. Before there is another thread, which would take the signal.
                root::hold_signals_back();
            }
            let log = match HaLog::start(&Targets::stderr_only(), options.debug) {
                Ok(log) => log,
                Err(error) => {
                    eprintln!("ERROR: cannot start the log: {error}");
                    return EXIT_GENERIC;
                }
            };
            tracing_subscriber::registry().with(log.layer()).init();
            log_panics(&log);
            let process = Process {
                paths,
                options,
                log,
                program: own_program(),
            };
            let code = if daemonize::is_daemon(program) {
                process.background()
            } else {
                process.foreground(arguments)
            };
            process.log.flush(FLUSH);
            code
        }
    }
}

/// Releases all resources in the place of a daemon, for the reason that the first word names
/// ([`Why`]). The third says how long the other node still waits, in milliseconds; empty: nobody
/// knows. The files say where the log is, if they can be read.
fn release_resources(arguments: &[OsString]) -> u8 {
    // A machine that goes down tells every process to end, and waits for those that do not: what runs here
    // would run on, and nobody would see to it that the machine goes before the other node takes over.
    systole::os::sys::outlive_terminate();
    let paths = Paths::default();
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    let why = words.next().and_then(|word| Why::from_word(&word));
    let detail = words.next().unwrap_or_default();
    let left = words.next().and_then(|word| word.parse().ok());
    let left = left.map(Duration::from_millis);
    let _lock = match (why == Some(Why::Orphaned)).then(|| release::take_orphans(&paths)) {
        None => None,
        Some(Some(lock)) => Some(lock),
        Some(None) => return 0,
    };
    // What runs is released whether or not somebody can write it down.
    let log = match HaLog::start(&Targets::stderr_only(), 0) {
        Ok(log) => {
            tracing_subscriber::registry().with(log.layer()).init();
            log_panics(&log);
            Some(log)
        }
        Err(error) => {
            eprintln!("ERROR: cannot start the log: {error}");
            None
        }
    };
    // Before anything that a dead disk could hold up.
    let left = left.filter(|_| release::may_run(&paths));
    let deadline = left.map(|left| {
        let log = log.clone();
        let say = move |severity: Severity, text: String| match &log {
            Some(log) => {
                log.line(severity, text);
                log.flush(LAST_WORDS);
            }
            None => eprintln!("{}: {text}", severity.word()),
        };
        Deadline::arm(left, say, root::restart_machine_now)
    });
    let options = LoadOptions {
        purpose: Purpose::Resume,
        // The release reads haresources itself: a bad one takes nothing of ha.cf away from scripts.
        manage_resources: false,
        realtime: false,
        debug: 0,
    };
    // With the files that the daemon ran with: those on disk may be what it died of.
    let last = files::recall::<LastGood>(&paths.last_good()).ok();
    let with_groups = LoadOptions {
        manage_resources: true,
        ..options
    };
    let loaded = last
        .and_then(|last| load::load(&paths, &Remembered(&last.answers), &with_groups).ok())
        .map_or_else(|| load_in_time(&paths, options), |loaded| Some(Ok(loaded)));
    if let (Some(log), Some(loaded)) = (&log, &loaded) {
        let targets = match loaded {
            Ok(loaded) => &loaded.config.log,
            Err(failure) => &failure.log,
        };
        log.aim(Targets::from_config(targets, false));
    }
    if let Some(Err(failure)) = &loaded {
        failure.lines.iter().for_each(notice::log);
    }
    let loaded = loaded.and_then(Result::ok);
    let say = |severity: Severity, text: String| match &log {
        Some(log) => log.line(severity, text),
        None => eprintln!("{}: {text}", severity.word()),
    };
    let code = release::Release {
        paths: &paths,
        config: loaded.as_ref().map(|loaded| &loaded.config),
        why,
        detail: &detail,
        say: &say,
        restart: std::sync::Arc::new(root::restart_machine),
        deadline: deadline.as_ref(),
    }
    .run();
    // What could not be stopped goes with the machine.
    if let Some(deadline) = deadline {
        deadline.wait();
    }
    if let Some(log) = log {
        log.flush(FLUSH);
    }
    code
}

/// Reads the files on a thread of its own; `None`: the disk or the resolver does not answer in time.
fn load_in_time(paths: &Paths, options: LoadOptions) -> Option<Result<Loaded, Box<ConfigFailure>>> {
    let paths = paths.clone();
    in_time(READ, move || load::load(&paths, &Machine, &options))
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

/// The file that this process runs; after an upgrade the one that took its place.
fn own_program() -> PathBuf {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let text = path.to_string_lossy();
    match text.strip_suffix(" (deleted)") {
        Some(replaced) => PathBuf::from(replaced),
        None => path,
    }
}

fn say(text: &str) -> u8 {
    let written = std::io::stdout().write_all(text.as_bytes());
    if written.is_ok() { 0 } else { EXIT_GENERIC }
}

fn answer(answer: &talk::Answer) -> u8 {
    let _ = std::io::stdout().write_all(answer.stdout.as_bytes());
    let _ = std::io::stderr().write_all(answer.stderr.as_bytes());
    answer.code
}

/// The daemon before this one.
#[derive(Default)]
struct Predecessor {
    /// What goes on.
    resume: Option<Resume>,
    /// It died: nobody was told to wait.
    died: bool,
    /// Its guardian.
    link: Link,
}

/// One run of the program that reads the configuration.
struct Process {
    paths: Paths,
    options: Options,
    log: HaLog,
    /// The file that we run.
    program: PathBuf,
}

impl Process {
    /// The process that was called: checks, then signals, refuses, starts the daemon or becomes it.
    fn foreground(&self, arguments: &[OsString]) -> u8 {
        let own = nix::unistd::getpid().as_raw();
        let running = match pid_file::look(&self.paths.pid_file) {
            PidFile::Running(pid) if pid != own => Some(pid),
            // After a restart in place the file names ourselves: we are the daemon.
            PidFile::Running(_) | PidFile::Stale(_) | PidFile::Absent => None,
        };
        let purpose = match (self.options.command, running) {
            (Command::Check, _) => Purpose::Check,
            (Command::Reload, Some(_)) => Purpose::Reload,
            _ => Purpose::Start,
        };
        let (loaded, files) = match self.load(purpose) {
            Ok(read) => read,
            Err(code) => {
                if let (Purpose::Reload, Some(pid)) = (purpose, running) {
                    self.info(format!("Config errors: Heartbeat pid {pid} NOT restarted"));
                }
                return code;
            }
        };
        match (self.options.command, running) {
            (Command::Check, _) => {
                self.info("Configuration validated.");
                return 0;
            }
            (Command::Reload, Some(pid)) => {
                self.info(format!(
                    "Signalling heartbeat pid {pid} to reread config files"
                ));
                return match talk::signal_reload(pid) {
                    Ok(()) => 0,
                    Err(error) => {
                        let text = format!("Could not kill pid {pid} : {}", error.desc());
                        self.log.line(Severity::Error, text);
                        EXIT_PERMISSION
                    }
                };
            }
            (Command::Restarted(_), Some(pid)) => {
                eprintln!("ERROR: Heartbeat already running [pid {pid}].");
                return EXIT_GENERIC;
            }
            (Command::Restarted(_), None) => {
                eprintln!("ERROR: heartbeat is not running.");
                return EXIT_CONFIG;
            }
            (_, Some(pid)) => {
                self.info(format!("heartbeat: already running [pid {pid}]."));
                if self.options.foreground
                    && let Ok(pid) = u32::try_from(pid)
                {
                    sd_notify::adopt(pid);
                }
                return 0;
            }
            (_, None) => {}
        }
        if self.options.verbose {
            say(&print::effective(&loaded.config, &host_name()));
        }
        if self.options.foreground {
            return self.daemon(loaded, files, None, Predecessor::default());
        }
        match daemonize::spawn(arguments) {
            Ok(code) => code,
            Err(error) => {
                let text = format!("cannot start the background process: {error}");
                self.log.line(Severity::Error, text);
                EXIT_GENERIC
            }
        }
    }

    /// The daemon's own process. The starter has said what there is to say about the files.
    fn background(&self) -> u8 {
        if let Command::Restarted(held) = self.options.command {
            return self.resumed(held.unwrap_or(Held::None));
        }
        match self.read(Purpose::Start) {
            Ok((loaded, files)) => {
                let starter = nix::unistd::getppid().as_raw();
                self.daemon(loaded, files, Some(starter), Predecessor::default())
            }
            Err(failure) => self.refuse(&failure),
        }
    }

    /// The daemon after a restart in place, or after a sudden death. Then the files count with which
    /// the dead one ran. Else they were good a moment ago; should one be bad by now, its groups run
    /// on while it is tried again.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing else runs in this process yet"
    )]
    fn resumed(&self, held: Held) -> u8 {
        let starter = nix::unistd::getppid().as_raw();
        let link = Link::adopt();
        // After a restart in place the file names ourselves.
        let died = !pid_file::names(&self.paths.pid_file, nix::unistd::getpid().as_raw());
        let released = self.options.release.is_some();
        let mut tries = if released { 0 } else { RESUME_TRIES };
        let mut last = died.then(|| self.last_good()).flatten();
        loop {
            match last.take().map_or_else(|| self.load(Purpose::Resume), Ok) {
                Ok((loaded, files)) => {
                    let before = Predecessor {
                        resume: Some(self.resume(&loaded, held, died)),
                        died,
                        link,
                    };
                    return self.daemon(loaded, files, Some(starter), before);
                }
                Err(code) if tries == 0 => {
                    // A guardian takes it for a death: it tries again and releases in the end.
                    let text = if link.is_there() {
                        "The files stay bad: resources still run here, left to the guardian."
                    } else {
                        "The files stay bad: resources still run here, unmanaged."
                    };
                    self.log.line(Severity::Crit, text);
                    return code;
                }
                Err(_) => {
                    tries -= 1;
                    std::thread::sleep(RESUME_PAUSE);
                }
            }
        }
    }

    /// What the predecessor left, by the haresources that counts now.
    fn resume_by(&self, config: &Config, held: Held, died: bool) -> Resume {
        let key = |word: &String| GroupKey::new(word);
        let owners = self.options.owners.iter();
        let mut before = Before {
            owners: owners.map(|(whose, word)| (key(word), *whose)).collect(),
            holding: HoldingSet::from_word(held.word()).unwrap_or(HoldingSet::NONE),
            running: self.options.running.iter().map(key).collect(),
            unfinished: self.options.unfinished.iter().map(key).collect(),
        };
        if died {
            before = before.after_death(&config.local, &config.groups);
        }
        let now = before.by(&config.local, &config.groups);
        Resume {
            holding: now.holding,
            running: self.options.running.iter().map(key).collect(),
            unfinished: self.options.unfinished.iter().map(key).collect(),
            left: now.left.into_iter().collect(),
            came: now.came.into_iter().collect(),
            to_go_home: now.to_go_home,
            standby: self.options.standby.clone(),
            releases: self.options.releases,
            frozen: self.options.frozen,
        }
    }

    /// The same for what this daemon is there for, and a line in the log that says so.
    fn resume(&self, loaded: &Loaded, held: Held, died: bool) -> Resume {
        let mut resume = self.resume_by(&loaded.config, held, died);
        if let Some(why) = &self.options.release {
            // Whatever was in hand: everything is stopped.
            resume.running.append(&mut resume.unfinished);
            resume.standby = None;
            resume.releases = false;
            resume.frozen = false;
            let why = Why::from_word(why).unwrap_or(Why::Unreleased).text();
            let text = format!(
                "guardian: {why}: releasing all resources, this node is down. Heartbeats go on \
                 until everything is stopped"
            );
            self.log.line(Severity::Crit, text);
        } else if died {
            let text = format!(
                "The daemon was killed or crashed: started again by its guardian, holding {}",
                resume.holding
            );
            self.log.line(Severity::Crit, text);
        }
        resume
    }

    /// The files that the daemon before ran with, if it kept them.
    fn last_good(&self) -> Option<(Loaded, LastGood)> {
        let files = files::recall::<LastGood>(&self.paths.last_good()).ok()?;
        let options = self.load_options(Purpose::Resume);
        let loaded = load::load(&self.paths, &Remembered(&files.answers), &options).ok()?;
        self.show(&loaded, Purpose::Resume);
        Some((loaded, files))
    }

    fn load_options(&self, purpose: Purpose) -> LoadOptions {
        LoadOptions {
            purpose,
            manage_resources: self.options.manage_resources,
            realtime: self.options.realtime,
            debug: self.options.debug,
        }
    }

    /// Reads the files and logs what there is to say, where the files want it.
    fn load(&self, purpose: Purpose) -> Result<(Loaded, LastGood), u8> {
        let (loaded, files) = self
            .read(purpose)
            .map_err(|failure| self.refuse(&failure))?;
        self.show(&loaded, purpose);
        Ok((loaded, files))
    }

    /// Reads the files, and keeps in mind what was read.
    fn read(&self, purpose: Purpose) -> Result<(Loaded, LastGood), Box<ConfigFailure>> {
        let (stamps, recorder) = (Stamps::take(&self.paths), Recorder::default());
        let options = self.load_options(purpose);
        let loaded = inspect::load(&self.paths, &recorder, &options)?;
        let answers: Answers = recorder.into_answers();
        let files = LastGood {
            answers,
            stamps,
            accounts: Accounts::default(),
        };
        Ok((loaded, files))
    }

    /// Logs what there is to say of the files. A check writes to no log: that may be the log of a
    /// running node.
    fn show(&self, loaded: &Loaded, purpose: Purpose) {
        let checking = purpose == Purpose::Check;
        if !checking {
            self.log.aim(Targets::from_config(&loaded.config.log, true));
            self.log.set_debug(loaded.config.log.debug);
        }
        let all = !checking || self.options.verbose;
        let lines = loaded.config.remarks.iter();
        lines
            .filter(|line| all || line.severity() >= Severity::Warn)
            .for_each(notice::log);
    }

    fn refuse(&self, failure: &ConfigFailure) -> u8 {
        if self.options.command != Command::Check {
            self.log.aim(Targets::from_config(&failure.log, true));
        }
        failure.lines.iter().for_each(notice::log);
        failure.exit_code
    }

    fn info(&self, text: impl Into<String>) {
        self.log.line(Severity::Info, text);
    }

    /// Runs the daemon to its end. `starter` waits for word from us, if there is one.
    fn daemon(
        &self,
        loaded: Loaded,
        mut files: LastGood,
        starter: Option<i32>,
        before: Predecessor,
    ) -> u8 {
        let Predecessor { resume, died, link } = before;
        self.log.aim(Targets::from_config(&loaded.config.log, true));
        self.log.set_debug(loaded.config.log.debug);
        let users = loaded.config.respawn.iter();
        files.accounts.look_up(users.map(|line| line.user.as_str()));
        // After a sudden death nobody waits for us.
        let starting = match Starting::begin(starter.is_some() && !died) {
            Ok(starting) => starting,
            Err(error) => return self.fail(&error),
        };
        let _locks = match self.lock(resume.is_some()) {
            Ok(locks) => locks,
            Err(code) => return code,
        };
        let came = own_addresses::came_before(&self.paths);
        let claimed = if resume.is_some() {
            self.take_pid_file_over()
        } else {
            pid_file::claim(&self.paths.pid_file, starter)
        };
        match claimed {
            Ok(()) => {}
            Err(error @ ClaimError::AlreadyRunning(_)) => {
                self.info(error.to_string());
                return 0;
            }
            Err(ClaimError::Io { path, source }) => {
                let denied = source.kind() == std::io::ErrorKind::PermissionDenied;
                self.fail(&format!(
                    "cannot make pid file {}: {source}",
                    path.display()
                ));
                return if denied {
                    EXIT_PERMISSION
                } else {
                    EXIT_GENERIC
                };
            }
        }
        self.info(format!("heartbeat: version {}", version::LEGACY_VERSION));
        let code = root::run(Setup {
            paths: self.paths.clone(),
            loaded,
            stamps: files.stamps,
            answers: files.answers,
            accounts: files.accounts,
            load_options: self.load_options(Purpose::Reload),
            options: self.options.clone(),
            program: self.program.clone(),
            resume,
            died,
            guardian: link,
            log: self.log.clone(),
            starting,
            came,
        });
        // A daemon that only released took the place of one that died: the file goes on saying so.
        if self.options.release.is_none() {
            pid_file::release(&self.paths.pid_file);
        }
        code
    }

    /// A successor begins in any case: the locks keep others away.
    fn take_pid_file_over(&self) -> Result<(), ClaimError> {
        let path = &self.paths.pid_file;
        if let Err(error) = pid_file::take_over(path) {
            let text = format!(
                "cannot write pid file {}: {error}: going on without it",
                path.display()
            );
            self.log.line(Severity::Warn, text);
        }
        Ok(())
    }

    /// There is one daemon only, and none but its own beside a guardian at work.
    fn lock(&self, resumed: bool) -> Result<Option<File>, u8> {
        let take = |path: &Path| {
            take_lock(path).map_err(|error| {
                self.fail(&format!(
                    "cannot make lock file {}: {error}",
                    path.display()
                ));
                match error.kind() {
                    std::io::ErrorKind::PermissionDenied => EXIT_PERMISSION,
                    _ => EXIT_GENERIC,
                }
            })
        };
        // Given up at once: the guardian that we start needs it.
        if !resumed && take(&self.paths.guardian_lock())?.is_none() {
            return Err(self.fail(
                &"the guardian of the last run starts it again or releases its resources: not \
                  started beside it",
            ));
        }
        if self.options.release.is_some() {
            // The guardian has seen to it that no other goes on; one that hangs in the kernel may
            // still have the lock.
            return try_lock(&self.paths.daemon_lock()).map_err(|error| self.fail(&error));
        }
        match take(&self.paths.daemon_lock())?.map(Some) {
            Some(lock) => Ok(lock),
            None if resumed => Err(self.fail(&"another daemon runs: not started beside it")),
            None => {
                self.info("heartbeat: already running.");
                Err(0)
            }
        }
    }

    fn fail(&self, error: &dyn std::fmt::Display) -> u8 {
        self.log.line(Severity::Error, error.to_string());
        EXIT_GENERIC
    }
}
