//! The start in the background, and the report to the process that started us.
//!
//! Nothing forks: a process with threads must not. The program that was called checks the files,
//! starts itself once more and waits. The second process, the daemon, gets a pipe as its standard
//! output and sends one byte when its media are open; when it ends instead, its exit code is the
//! answer. Until then both write complaints to the same standard error.
//! Spec: docs/protocol/membership.md, 4; docs/protocol/config.md, 10 and 11 (3).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

/// The daemon's first word in process lists, as legacy has it; it also tells the second process
/// that it is the daemon.
pub const TITLE: &str = "heartbeat: master control process";

/// The image that this process runs, also when its file was replaced or removed since: another
/// program under the same name may not know what it is to do. A program is started by its path only
/// where the new one is wanted: at a restart in place.
pub const OWN_IMAGE: &str = "/proc/self/exe";

/// Sent when the daemon is ready.
const READY: u8 = b'+';

/// Whether this process was started by [`spawn`].
#[must_use]
pub fn is_daemon(first_word: &str) -> bool {
    first_word == TITLE
}

/// Names the process as tools look for it, whatever its file is called.
pub fn set_process_name() {
    let _ = nix::sys::prctl::set_name(c"heartbeat");
}

/// Starts the daemon with the same `arguments` and waits until it is ready or has ended. Returns
/// the exit code for our own caller: 0 only when the daemon runs with its media open.
///
/// # Errors
/// The program cannot be started again.
#[expect(
    clippy::disallowed_methods,
    reason = "the daemon itself; scripts and clients are started by agents/child.rs"
)]
pub fn spawn(arguments: &[OsString]) -> io::Result<u8> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg0(TITLE)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut answer = [0_u8; 1];
    let ready = child
        .stdout
        .take()
        .is_some_and(|mut pipe| pipe.read_exact(&mut answer).is_ok() && answer == [READY]);
    if ready {
        return Ok(0);
    }
    let code = child.wait()?.code();
    // 0 without the ready byte: the process found another daemon running.
    Ok(code
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(super::EXIT_GENERIC))
}

/// The daemon's side: it has its own session, and has to report.
#[derive(Debug)]
pub struct Starting {
    /// `None` with `-f`: no process waits.
    pipe: Option<File>,
}

impl Starting {
    /// Leaves the caller's session. `background`: standard output is the pipe of [`spawn`].
    ///
    /// # Errors
    /// Standard output cannot be duplicated.
    pub fn begin(background: bool) -> io::Result<Self> {
        // Fails without harm for a process that leads a group already, as under systemd or a shell.
        let _ = setsid();
        umask(Mode::from_bits_truncate(0o022));
        let pipe = if background {
            let pipe = nix::unistd::dup(io::stdout())?;
            nix::fcntl::fcntl(
                &pipe,
                nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
            )?;
            Some(File::from(pipe))
        } else {
            None
        };
        Ok(Self { pipe })
    }

    /// Whether a process waits for [`ready`](Self::ready).
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.pipe.is_some()
    }

    /// The daemon is ready: lets the starter go and gives up the three standard descriptors.
    ///
    /// # Errors
    /// `/dev/null` cannot be opened.
    pub fn ready(self) -> io::Result<()> {
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        if let Some(mut pipe) = self.pipe {
            // A starter that was killed meanwhile does not matter.
            let _ = pipe.write_all(&[READY]);
        }
        Ok(())
    }
}
