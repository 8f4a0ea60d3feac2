//! An open serial port. Spec: docs/protocol/wire.md, 18.4.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, SpecialCodeIndex, tcflush, tcgetattr,
    tcsendbreak, tcsetattr,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::SerialPlan;
use super::lock::{LockError, PortLock};
use crate::os::sys;

/// Why a port is not opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another process uses it.
    #[error("serial {device}: {reason}")]
    Locked {
        /// The port.
        device: String,
        /// The lock file, and whose it is.
        reason: String,
    },
    /// The system refused.
    #[error("serial {device}: cannot {step}: {source}")]
    Refused {
        /// The port.
        device: String,
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A port that is open and not yet read.
#[derive(Debug)]
pub struct OpenPort {
    file: OwnedFd,
    lock: Option<PortLock>,
}

/// Opens the port of a plan on a thread of its own, for which nothing waits: a driver may never return, and the end of the
/// process would wait for a helper thread of the runtime. A port that is opened too late is closed again. `None`: the driver
/// has not answered in `patience`, or there is no thread.
///
/// # Errors
/// As [`open`].
pub async fn open_in_time(
    plan: &SerialPlan,
    patience: Duration,
) -> Result<Option<OpenPort>, PortError> {
    let plan = plan.clone();
    answer_in_time(patience, move || open(&plan))
        .await
        .transpose()
}

/// The answer of `ask`, which may never come.
async fn answer_in_time<T: Send + 'static>(
    patience: Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("port".to_owned());
    let asking = thread.spawn(move || {
        // Nobody waits any more: what was opened is closed here.
        let _ = tell.send(ask());
    });
    if let Err(error) = asking {
        warn!(%error, "no thread for opening a serial port");
        return None;
    }
    tokio::time::timeout(patience, told).await.ok()?.ok()
}

/// Locks, opens and configures the port of a plan. Blocks while the driver does.
///
/// # Errors
/// [`PortError`] with the step that failed.
pub fn open(plan: &SerialPlan) -> Result<OpenPort, PortError> {
    let device = || plan.device.display().to_string();
    let lock = match PortLock::take(&plan.lock_dir, &plan.device) {
        Ok(lock) => Some(lock),
        Err(reason @ LockError::Held { .. }) => {
            return Err(PortError::Locked {
                device: device(),
                reason: reason.to_string(),
            });
        }
        // A full disk is no reason to be silent: the kernel still keeps other users out.
        Err(error) => {
            warn!(device = device(), %error, "serial port used without a lock file");
            None
        }
    };
    let at = |step| {
        move |source| PortError::Refused {
            device: device(),
            step,
            source,
        }
    };
    let file = sys::serial::open(&plan.device, plan.line.speed.baud()).map_err(at("open it"))?;
    configure(&file).map_err(at("set it up"))?;
    if let Err(error) = sys::serial::close_at_once(file.as_fd()) {
        let device = device();
        debug!(%device, %error, "the end of this process may wait for the port");
    }
    Ok(OpenPort { file, lock })
}

/// As legacy has it: the eighth bit and carriage returns are dropped, a break ends a line; then nothing old is read or sent.
fn configure(file: &OwnedFd) -> io::Result<()> {
    let mut modes = tcgetattr(file)?;
    modes.input_modes =
        InputModes::INPCK | InputModes::ISTRIP | InputModes::IGNCR | InputModes::BRKINT;
    // The other end could not send while nobody has this port open.
    modes.control_modes.remove(ControlModes::HUPCL);
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 1;
    tcsetattr(file, OptionalActions::Now, &modes)?;
    tcflush(file, QueueSelector::IOFlush)?;
    rustix::io::ioctl_fionbio(file, true)?;
    Ok(())
}

/// A port in use.
#[derive(Debug)]
pub(super) struct Port {
    file: AsyncFd<OwnedFd>,
    /// Given up with the port.
    _lock: Option<PortLock>,
}

impl Port {
    /// # Errors
    /// It cannot be registered with the runtime.
    pub(super) fn new(opened: OpenPort) -> io::Result<Self> {
        // Without one the line is as good.
        let _ = tcsendbreak(&opened.file);
        Ok(Self {
            file: sys::watched(opened.file)?,
            _lock: opened.lock,
        })
    }

    /// Writes what the port takes at once.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.file, bytes)?)
    }

    /// Bytes that were written and have not left the port; 0 where the driver does not tell.
    pub(super) fn holds(&self) -> usize {
        let held = sys::serial::unsent(self.file.get_ref().as_fd());
        usize::try_from(held.unwrap_or(0)).unwrap_or(0)
    }

    /// Throws away what has not left the port.
    pub(super) fn discard(&self) {
        let _ = tcflush(&self.file, QueueSelector::OFlush);
    }
}

impl Drop for Port {
    /// The kernel would wait half a minute for a line that takes nothing.
    fn drop(&mut self) {
        self.discard();
    }
}

/// Reads a port.
#[derive(Debug)]
pub(super) struct PortReader(pub(super) Arc<Port>);

impl AsyncRead for PortReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let port = &self.get_mut().0;
        loop {
            let mut guard = ready!(port.file.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled();
            let read = guard.try_io(|file| Ok(rustix::io::read(file.get_ref(), &mut *room)?));
            match read {
                Ok(Ok(bytes)) => {
                    buffer.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime waits at its end for its own helper threads.
    #[test]
    fn a_driver_that_never_returns_holds_up_nothing() {
        let (_never, forever) = std::sync::mpsc::channel::<()>();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let hangs = answer_in_time(Duration::from_millis(10), move || forever.recv());
            let answer = runtime.block_on(hangs);
            drop(runtime);
            ended.send(answer.is_none()).unwrap();
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(true));
    }
}
