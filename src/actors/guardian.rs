//! The daemon's watch over its guardian: starts it, notices the end of its socket, starts another.
//! The other side is [`crate::process::guardian`].

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use actix::prelude::*;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tracing::{error, info, warn};

use crate::clock::{Clock, Monotonic};
use crate::process::guardian::Link;

/// First and longest pause before a guardian that has ended is replaced.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// After a guardian has lived for so long, the next pause is the first again.
const LIVED: Duration = Duration::from_secs(20);

/// How often a process that was started anew in place checks whether it sends heartbeats. When it
/// does, it gets a guardian of its own version.
const RENEW: Duration = Duration::from_secs(1);

/// The name of guardians in process lists.
const NAME: &str = "heartbeat-guard";

/// Whether a process with this name is a guardian.
#[must_use]
pub fn is_named(name: &str) -> bool {
    name == NAME
}

/// Keeps a guardian alive.
pub struct GuardianActor {
    program: PathBuf,
    link: Link,
    clock: Clock,
    began: Monotonic,
    pause: Duration,
    /// The guardian that was there before us; perhaps our child, from before a restart in place.
    before: Option<i32>,
    /// The present guardian was told to end.
    renewing: bool,
    /// Guardians that we started and that are not yet reaped.
    children: Vec<Child>,
}

impl GuardianActor {
    /// `link` may have a guardian already; else one is started from `program`.
    #[must_use]
    pub fn new(program: PathBuf, link: Link) -> Self {
        let clock = Clock::start();
        Self {
            program,
            link,
            began: clock.now().instant,
            clock,
            pause: PAUSES.0,
            before: None,
            renewing: false,
            children: Vec::new(),
        }
    }

    /// Starts a guardian unless there is one, and listens to it.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.began = self.clock.now().instant;
        self.children
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if !self.link.is_there()
            && let Err(error) = self.start()
        {
            let program = self.program.display();
            error!(%program, %error, "no guardian can be started: a killed daemon would stay dead");
            self.again(ctx);
            return;
        }
        match self.listener() {
            Ok(mut socket) => {
                self.link.introduce();
                let end = async move {
                    let mut word = [0; 1];
                    // The guardian never sends anything.
                    while socket.read(&mut word).await.is_ok_and(|count| count > 0) {}
                };
                ctx.spawn(end.into_actor(self).map(|(), act, ctx| {
                    if !std::mem::take(&mut act.renewing) {
                        warn!("the guardian is gone: starting another");
                    }
                    act.link.forget();
                    act.again(ctx);
                    // A guardian that this process has not started, or one of an image before this
                    // one.
                    ctx.run_later(RENEW, |act, _| {
                        let before = act.before.take().map(Pid::from_raw);
                        let _ = before.map(|pid| waitpid(pid, Some(WaitPidFlag::WNOHANG)));
                    });
                }));
            }
            Err(error) => {
                error!(%error, "the guardian cannot be heard");
                self.link.dismiss();
                self.again(ctx);
            }
        }
    }

    /// Ends the guardian from before a restart in place if it is of another version: it would
    /// follow other rules than this daemon.
    fn renew(&mut self, ctx: &mut Context<Self>) {
        if !self.link.is_beating() {
            ctx.run_later(RENEW, Self::renew);
            return;
        }
        let processes = Path::new("/proc");
        self.before = guardian_before(processes);
        if self
            .before
            .is_some_and(|pid| runs_another_file(processes, pid))
        {
            info!("the guardian runs another program file: it is replaced");
            self.renewing = true;
            self.link.dismiss();
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let child = self.link.start_guardian(&self.program)?;
        info!(pid = child.id(), "guardian started");
        self.children.push(child);
        Ok(())
    }

    fn listener(&self) -> io::Result<UnixStream> {
        let socket = self.link.listener().ok_or(io::ErrorKind::NotConnected)?;
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket)
    }

    fn again(&mut self, ctx: &mut Context<Self>) {
        if self.clock.now().instant.since(self.began) >= LIVED {
            self.pause = PAUSES.0;
        }
        ctx.run_later(self.pause, Self::begin);
        self.pause = self.pause.saturating_mul(2).min(PAUSES.1);
    }
}

impl Actor for GuardianActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.link.is_there() && !self.renewing {
            ctx.run_later(RENEW, Self::renew);
        }
        self.begin(ctx);
    }
}

impl Supervised for GuardianActor {}

/// Dismisses the guardian from before a restart in place if there is to be none any more, and reaps
/// it: it may be our child.
pub fn go_without<A: Actor<Context = Context<A>>>(link: &Link, ctx: &mut Context<A>) {
    let before = link.is_there().then(|| guardian_before(Path::new("/proc")));
    link.dismiss();
    if let Some(pid) = before.flatten().map(Pid::from_raw) {
        ctx.run_later(RENEW, move |_, _| {
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        });
    }
}

/// The process of the guardian that was there before us: our parent or our child.
fn guardian_before(processes: &Path) -> Option<i32> {
    let (own, parent) = (nix::unistd::getpid(), nix::unistd::getppid());
    let is_guardian = |pid: i32| {
        let stat = fs::read_to_string(processes.join(format!("{pid}/stat"))).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let of: i32 = after.split_whitespace().nth(1)?.parse().ok()?;
        let named = before
            .split_once(" (")
            .is_some_and(|(_, name)| is_named(name));
        Some(named && (pid == parent.as_raw() || of == own.as_raw()))
    };
    let entries = fs::read_dir(processes).into_iter().flatten().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| is_guardian(*pid) == Some(true))
}

/// Whether a process runs another file than this one. A file that cannot be read counts as the
/// same.
fn runs_another_file(processes: &Path, pid: i32) -> bool {
    let file = |pid: i32| {
        let data = fs::metadata(processes.join(format!("{pid}/exe"))).ok()?;
        Some((data.dev(), data.ino()))
    };
    let files = file(pid).zip(file(nix::unistd::getpid().as_raw()));
    files.is_some_and(|(its, ours)| its != ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guardian_of_another_file_is_known() {
        let root = tempfile::tempdir().unwrap();
        let (own, parent) = (nix::unistd::getpid(), nix::unistd::getppid());
        let process = |pid: i32, stat: &str, program: &str| {
            let place = root.path().join(pid.to_string());
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("stat"), format!("{pid} {stat} 1 2 3\n")).unwrap();
            let exe = place.join("exe");
            let _ = fs::remove_file(&exe);
            std::os::unix::fs::symlink(program, exe).unwrap();
        };
        let child = format!("(heartbeat-guard) S {own}");
        let found = || guardian_before(root.path());
        let other = |pid| runs_another_file(root.path(), pid);
        process(own.as_raw(), "(heartbeat) S 1", "/bin/sh");
        assert_eq!(found(), None);
        process(4_000_001, "(heartbeat-guard) S 7", "/bin/cat");
        process(4_000_002, &format!("(a script) S {own}"), "/bin/cat");
        assert_eq!(found(), None, "none is ours");
        process(4_000_003, &child, "/bin/sh");
        assert_eq!(found(), Some(4_000_003));
        assert!(!other(4_000_003));
        process(4_000_003, &child, "/bin/cat");
        assert!(other(4_000_003) && !other(4_000_004));
        process(4_000_003, "(other) S 1", "/bin/cat");
        process(parent.as_raw(), "(heartbeat-guard) S 1", "/bin/cat");
        assert_eq!(found(), Some(parent.as_raw()), "it has started us");
    }
}
