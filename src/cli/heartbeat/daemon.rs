//! The process of the daemon, from its predecessor, if there was one, to its end.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::{EXIT_PERMISSION, Process};
use crate::actors::root::{self, RESUME_PAUSE, RESUME_TRIES, Setup};
use crate::cli::{Command, Restarted};
use crate::config::load::{Loaded, Purpose};
use crate::ha_log::Targets;
use crate::node::resume::Resume;
use crate::notice::Severity;
use crate::process::EXIT_GENERIC;
use crate::process::daemonize::Starting;
use crate::process::guardian::{Link, Why};
use crate::process::handover::{self, NodeState, Road};
use crate::process::host_addresses;
use crate::process::locks::{take_lock, try_lock};
use crate::process::pid_file::{self, ClaimError};
use crate::process::reload::LastGood;
use crate::version;

/// The daemon before this one.
#[derive(Default)]
pub(super) struct Predecessor {
    /// The state with which it goes on, and how that was handed over.
    resume: Option<(Resume, Road)>,
    /// Its guardian.
    link: Link,
    /// The watchdog device that it has armed.
    armed: Option<PathBuf>,
}

impl Process {
    /// Runs the process of the daemon. The starter has already logged what is to be said about the
    /// files.
    pub(super) fn background(&self, arguments: &[OsString]) -> u8 {
        if let Command::Restarted(next) = &self.options.command {
            return self.resumed(next, arguments);
        }
        match self.read(Purpose::Start) {
            Ok((loaded, files)) => {
                let starter = nix::unistd::getppid().as_raw();
                self.daemon(loaded, files, Some(starter), Predecessor::default())
            }
            Err(failure) => self.refuse(&failure),
        }
    }

    /// The daemon after a restart in place, or after a sudden death. After a death it uses the
    /// files with which the dead daemon ran. After a restart the files were good a moment ago; if
    /// one is bad by now, the groups run on while the files are tried again.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing else runs in this process yet"
    )]
    fn resumed(&self, next: &Restarted, arguments: &[OsString]) -> u8 {
        let starter = nix::unistd::getppid().as_raw();
        let link = Link::adopt();
        let (state, mut complaint) = self.handed_over(next, arguments);
        let in_place = state.goes_on_in_place(std::process::id());
        // An older program does not tell: after a restart in place the pid file names this process.
        let died = !in_place.unwrap_or_else(|| {
            pid_file::names(&self.paths.pid_file, nix::unistd::getpid().as_raw())
        });
        let road = match &next.release {
            Some(_) => Road::Release,
            None if died => Road::Death,
            None => Road::InPlace,
        };
        let mut tries = if road == Road::Release {
            0
        } else {
            RESUME_TRIES
        };
        let mut last = died.then(|| self.last_good()).flatten();
        loop {
            match last.take().map_or_else(|| self.load(Purpose::Resume), Ok) {
                Ok((loaded, files)) => {
                    // By now the files tell where the log is.
                    if let Some(text) = complaint.take() {
                        self.log.line(Severity::Warn, text);
                    }
                    let config = &loaded.config;
                    let resume = state.resume(&config.local, &config.groups, road);
                    self.say_why(next, road, &resume);
                    let before = Predecessor {
                        resume: Some((resume, road)),
                        link,
                        armed: state.watchdog,
                    };
                    return self.daemon(loaded, files, Some(starter), before);
                }
                Err(code) if tries == 0 => {
                    // A guardian counts this as a death: it tries again and releases in the end.
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

    /// The state that the predecessor left: whole, or what its words tell; and a complaint about
    /// it, if any.
    fn handed_over(&self, next: &Restarted, arguments: &[OsString]) -> (NodeState, Option<String>) {
        let words = arguments.iter();
        let words = words.map(|word| word.to_string_lossy().into_owned());
        let (state, complaint) = handover::file::handed_over(&self.paths.held(), words.collect());
        (state.unwrap_or_else(|| next.state.clone()), complaint)
    }

    /// Logs the purpose of this daemon.
    fn say_why(&self, next: &Restarted, road: Road, resume: &Resume) {
        let text = match road {
            Road::InPlace => return,
            Road::Release => {
                let why = next.release.as_deref().and_then(Why::from_word);
                let why = why.unwrap_or(Why::Unreleased).text();
                format!(
                    "guardian: {why}: releasing all resources, this node is down. Heartbeats go on \
                     until everything is stopped"
                )
            }
            Road::Death => format!(
                "The daemon was killed or crashed: started again by its guardian, holding {}",
                resume.holding
            ),
        };
        self.log.line(Severity::Crit, text);
    }

    /// Runs the daemon to its end. `starter` waits for our report, if there is one.
    pub(super) fn daemon(
        &self,
        loaded: Loaded,
        mut files: LastGood,
        starter: Option<i32>,
        before: Predecessor,
    ) -> u8 {
        let Predecessor {
            resume,
            link,
            armed,
        } = before;
        let (resume, road) = resume.unzip();
        let died = road.is_some_and(|road| road != Road::InPlace);
        let only_releases = road == Some(Road::Release);
        self.log.aim(Targets::from_config(&loaded.config.log, true));
        self.log.set_debug(loaded.config.log.debug);
        let users = loaded.config.respawn.iter();
        files.accounts.look_up(users.map(|line| line.user.as_str()));
        // After a sudden death no process waits for us.
        let starting = match Starting::begin(starter.is_some() && !died) {
            Ok(starting) => starting,
            Err(error) => return self.fail(&error),
        };
        let _locks = match self.lock(road) {
            Ok(locks) => locks,
            Err(code) => return code,
        };
        let came = host_addresses::came_before(&self.paths);
        if let Err(code) = self.take_pid_file(resume.is_some(), starter) {
            return code;
        }
        self.info(format!("heartbeat: version {}", version::LEGACY_VERSION));
        let code = root::run(Setup {
            paths: self.paths.clone(),
            loaded,
            stamps: files.stamps,
            answers: files.answers,
            accounts: files.accounts,
            load_options: self.load_options(Purpose::Reload),
            called: self.options.called,
            only_releases,
            program: self.program.clone(),
            resume,
            died,
            guardian: link,
            log: self.log.clone(),
            armed,
            starting,
            came,
        });
        // A daemon that only releases took the place of one that died: the file must go on telling
        // that.
        if !only_releases {
            pid_file::release(&self.paths.pid_file);
        }
        code
    }

    /// Writes our process id to the pid file.
    ///
    /// # Errors
    /// The exit code: another daemon runs, or the file cannot be written. A successor begins in any
    /// case: the locks prevent another daemon.
    fn take_pid_file(&self, resumed: bool, starter: Option<i32>) -> Result<(), u8> {
        let path = &self.paths.pid_file;
        if resumed {
            if let Err(error) = pid_file::take_over(path) {
                let text = format!(
                    "cannot write pid file {}: {error}: going on without it",
                    path.display()
                );
                self.log.line(Severity::Warn, text);
            }
            return Ok(());
        }
        pid_file::claim(path, starter).map_err(|error| match error {
            ClaimError::AlreadyRunning(_) => {
                self.info(error.to_string());
                0
            }
            ClaimError::Io { path, source } => {
                let path = path.display();
                self.fail(&format!("cannot make pid file {path}: {source}"));
                exit_code_of(&source)
            }
        })
    }

    /// Makes sure that there is only one daemon, and beside a guardian at work none but its own.
    fn lock(&self, road: Option<Road>) -> Result<Option<File>, u8> {
        let take = |path: &Path| {
            take_lock(path).map_err(|error| {
                self.fail(&format!(
                    "cannot make lock file {}: {error}",
                    path.display()
                ));
                exit_code_of(&error)
            })
        };
        // Released at once: the guardian that we start needs it.
        if road.is_none() && take(&self.paths.guardian_lock())?.is_none() {
            return Err(self.fail(
                &"the guardian of the last run starts it again or releases its resources: not \
                  started beside it",
            ));
        }
        if road == Some(Road::Release) {
            // The guardian has ended every other daemon; one that hangs in the kernel may still
            // have the lock.
            return try_lock(&self.paths.daemon_lock()).map_err(|error| self.fail(&error));
        }
        match take(&self.paths.daemon_lock())?.map(Some) {
            Some(lock) => Ok(lock),
            None if road.is_some() => Err(self.fail(&"another daemon runs: not started beside it")),
            None => {
                self.info("heartbeat: already running.");
                Err(0)
            }
        }
    }
}

fn exit_code_of(error: &std::io::Error) -> u8 {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => EXIT_PERMISSION,
        _ => EXIT_GENERIC,
    }
}
