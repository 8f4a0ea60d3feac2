//! The daemon's end of the connection to its guardian.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::dup2_stdin;

use super::{Beats, TITLE, word};
use crate::process::daemonize::OWN_IMAGE;

/// The daemon's end of the connection to its guardian; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Link(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    socket: Option<UnixStream>,
    /// The daemon was told to stop.
    stopping: bool,
    /// It sends heartbeats.
    beats: bool,
    /// Where each heartbeat is recorded.
    noted: Beats,
    /// How long the other nodes wait for a heartbeat, if there are any; `None`: not yet known.
    patience: Option<Option<Duration>>,
}

impl State {
    fn say(&mut self, words: &[u8]) {
        if let Some(socket) = self.socket.as_mut() {
            // The task that listens on the socket notices its end.
            let _ = socket.write_all(words);
        }
    }

    /// Sends the present state of the daemon.
    fn say_all(&mut self) {
        if let Some(socket) = &self.socket {
            self.noted.show(socket);
        }
        if let Some(patience) = self.patience {
            self.say(word::patience(patience).as_bytes());
        }
        if self.beats {
            self.say(&[word::BEGUN]);
            if self.stopping {
                self.say(&[word::STOPPING]);
            }
        }
    }
}

impl Link {
    /// Takes over the guardian from before a restart: a socket as our standard input. Only a daemon
    /// that was started by its predecessor or by its guardian may call this.
    #[must_use]
    pub fn adopt() -> Self {
        let link = Self::default();
        let stdin = io::stdin();
        let is_socket = fs::metadata("/proc/self/fd/0").is_ok_and(|d| d.file_type().is_socket());
        if is_socket && let Ok(copy) = stdin.as_fd().try_clone_to_owned() {
            link.set(UnixStream::from(copy));
        }
        link
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a guardian, as far as we know.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.state().socket.is_some()
    }

    /// Whether the first heartbeat has left.
    #[must_use]
    pub fn is_beating(&self) -> bool {
        self.state().beats
    }

    /// Another descriptor of the same socket, by which its end can be noticed.
    #[must_use]
    pub fn listener(&self) -> Option<UnixStream> {
        self.state().socket.as_ref()?.try_clone().ok()
    }

    pub(super) fn set(&self, socket: UnixStream) {
        self.state().socket = Some(socket);
    }

    /// Forgets a guardian that has ended.
    pub fn forget(&self) {
        self.state().socket = None;
    }

    /// The other nodes declare this one dead when they receive nothing for `patience`; `None`: no
    /// node could take over. Before this is called, the value of a predecessor counts.
    pub fn others_wait(&self, patience: Option<Duration>) {
        let mut state = self.state();
        if state.patience.replace(patience) != Some(patience) {
            state.say(word::patience(patience).as_bytes());
        }
    }

    /// Records heartbeats in `beats`.
    pub fn noted_in(&self, beats: Beats) {
        let mut state = self.state();
        if let Some(socket) = &state.socket {
            beats.show(socket);
        }
        state.noted = beats;
    }

    /// Sends the whole state to a guardian that has just begun.
    pub fn introduce(&self) {
        self.state().say_all();
    }

    /// The first heartbeat was sent; a stop that a predecessor was told goes on now.
    pub fn beats(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.beats, true) {
            state.say_all();
        }
    }

    /// The daemon was told to stop.
    pub fn stopping(&self) {
        let mut state = self.state();
        state.stopping = true;
        state.say(&[word::STOPPING]);
    }

    /// The daemon ends in order, or is to have no guardian any more.
    pub fn dismiss(&self) {
        let mut state = self.state();
        state.say(&[word::DISMISSED]);
        state.socket = None;
    }

    /// The daemon ends although groups may still run: when it has ended they are released in its
    /// place.
    pub fn unreleased(&self) {
        self.state().say(&[word::UNRELEASED]);
    }

    /// Puts the socket where the next image of this process finds it, which is silent at first.
    pub fn offer(&self) {
        let mut state = self.state();
        state.say(&[word::RESTARTING]);
        if let Some(socket) = state.socket.as_ref() {
            let _ = dup2_stdin(socket);
        }
    }

    /// Reverses [`offer`](Self::offer).
    pub fn keep(&self) {
        if let Ok(null) = File::open("/dev/null") {
            let _ = dup2_stdin(null);
        }
        self.state().say_all();
    }

    /// Starts a guardian of the same version for this process: from the image that runs, or from
    /// `program` if that is not available.
    ///
    /// # Errors
    /// No socket, or the program cannot be started.
    #[expect(
        clippy::disallowed_methods,
        reason = "our own program, neither a script nor a client"
    )]
    pub fn start_guardian(&self, program: &Path) -> io::Result<Child> {
        let (own, theirs) = UnixStream::pair()?;
        let start = |program: &Path| {
            Command::new(program)
                .arg0(TITLE)
                .arg(std::process::id().to_string())
                .stdin(OwnedFd::from(theirs.try_clone()?))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        };
        let child = start(Path::new(OWN_IMAGE)).or_else(|_| start(program))?;
        self.set(own);
        Ok(child)
    }
}
