//! Root's way to ask the running daemon: what our helper programs and `systole` use.
//!
//! One connection carries one request and one reply, each a line of JSON. The daemon's side is
//! [`crate::actors::control`]. Nothing here starts or stops a resource by itself: a request about
//! a group gets the outcome of what the daemon does anyway, so that the daemon's groups stay the
//! only ones who run resource scripts.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize};

mod reports;

pub use reports::{
    CheckReport, DecisionReport, FenceDeviceReport, FenceReport, FenceWait, FencesReport,
    GapsReport, GroupAnswer, GroupCounts, GroupView, LeaseReport, MediumCounts, MediumView,
    MonitorState, MonitorView, NodeReport, PeerReport, Place, Receives, StandbyView, TimesReport,
    View, WatchdogReport,
};

/// Longest request line, newline included: a verb and a resource word, and ha.cf lines end at 5119.
pub const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// Longest reply line: a view of some hundred groups with long words.
pub const MAX_REPLY_BYTES: u64 = 4 * 1024 * 1024;

/// A question to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Everything the daemon knows now.
    View,
    /// The last decisions. Over the client socket others than root may ask, but that one is open
    /// only when the node is active.
    Why,
    /// The outcome of the start of a group that this node holds; waits for it.
    GroupStart {
        /// Key of the group.
        key: String,
    },
    /// The outcome of the stop of a group; waits for it.
    GroupStop {
        /// Key of the group.
        key: String,
    },
    /// What is known of a group; does not wait.
    GroupStatus {
        /// Key of the group.
        key: String,
    },
    /// What is known of the fencing devices.
    Fence,
    /// The same, after each device was asked now; and what a reset of this node would run.
    FenceTest {
        /// The node.
        node: String,
    },
    /// A person says that this node is off: its takeover waits for no device any more.
    FenceConfirm {
        /// The node.
        node: String,
        /// The person.
        by: String,
    },
    /// The checks of a group, run now; waits for their answers.
    MonitorRun {
        /// Key of the group.
        key: String,
    },
    /// A person says that what failed in this group is repaired.
    Clear {
        /// Key of the group.
        key: String,
    },
    /// A panic in one supervised actor, for tests: not in the program that is delivered.
    #[cfg(debug_assertions)]
    Panic {
        /// Its name; absent: only say which there are. The reply, [`Reply::Refused`], has the names
        /// of all, one a line.
        actor: Option<String>,
    },
    /// One supervised actor never comes back, and its thread with it: for tests, likewise.
    #[cfg(debug_assertions)]
    Hang {
        /// Its name.
        actor: String,
    },
}

/// What the view socket answers: the requests of [`Request`] that only ask, under the same names. An order cannot
/// be written as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Look {
    /// As [`Request::View`].
    View,
    /// As [`Request::Why`].
    Why,
}

impl From<Look> for Request {
    fn from(look: Look) -> Self {
        match look {
            Look::View => Self::View,
            Look::Why => Self::Why,
        }
    }
}

/// The daemon's answer.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on its way to a socket"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::View`].
    View(View),
    /// To [`Request::Why`], the oldest first.
    Decisions {
        /// They.
        decisions: Vec<DecisionReport>,
    },
    /// To the requests about a group.
    Group(GroupAnswer),
    /// To [`Request::Fence`] and [`Request::FenceTest`].
    Fence(FenceReport),
    /// To [`Request::FenceConfirm`].
    Confirmed,
    /// To [`Request::MonitorRun`].
    Checks {
        /// One for each monitor, from left to right.
        checks: Vec<CheckReport>,
    },
    /// To [`Request::Clear`].
    Cleared,
    /// The request was not understood or cannot be answered.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Reply {
    /// The state of the node.
    ///
    /// # Errors
    ///
    /// The reason of a refusal; or the reply belongs to another request.
    pub fn view(self) -> Result<View, String> {
        match self {
            Self::View(view) => Ok(view),
            other => Err(other.no_answer()),
        }
    }

    /// What came of a request about a group.
    ///
    /// # Errors
    ///
    /// As [`Reply::view`].
    pub fn group(self) -> Result<GroupAnswer, String> {
        match self {
            Self::Group(answer) => Ok(answer),
            other => Err(other.no_answer()),
        }
    }

    /// Why this is no answer to the request.
    fn no_answer(self) -> String {
        match self {
            Self::Refused { reason } => reason,
            Self::View(_)
            | Self::Decisions { .. }
            | Self::Group(_)
            | Self::Fence(_)
            | Self::Confirmed
            | Self::Checks { .. }
            | Self::Cleared => "the daemon's answer makes no sense".to_owned(),
        }
    }
}

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no daemon listens on {path}")]
    NoDaemon {
        /// The socket.
        path: String,
    },
    /// This user may not ask.
    #[error("only root may ask")]
    NotRoot,
    /// This user may not even look.
    #[error("only root and the members of the group systole-view may ask")]
    NotViewer,
    /// Something listens that is neither root's nor ours.
    #[error("{path} is served by user {uid}, not by root")]
    Stranger {
        /// The socket.
        path: String,
        /// Who serves it.
        uid: u32,
    },
    /// No answer in time.
    #[error("no answer within {seconds} s")]
    Late {
        /// How long was waited.
        seconds: u64,
    },
    /// The answer makes no sense.
    #[error("the daemon's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    /// Anything else.
    #[error("asking the daemon failed: {0}")]
    Io(#[source] io::Error),
}

/// Asks the daemon and waits for its reply, at most `patience`. Blocking: for programs, not actors.
///
/// # Errors
/// [`ControlError`]; [`ControlError::NoDaemon`] is the ordinary answer when none runs.
pub fn ask(path: &Path, request: &Request, patience: Duration) -> Result<Reply, ControlError> {
    let shown = || path.display().to_string();
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NoDaemon { path: shown() }
        }
        io::ErrorKind::PermissionDenied => ControlError::NotRoot,
        _ => ControlError::Io(error),
    })?;
    // The directory belongs to hacluster, who could put a socket of its own in this place.
    let peer = getsockopt(&stream, PeerCredentials)
        .map_err(|errno| ControlError::Io(errno.into()))?
        .uid();
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        return Err(ControlError::Stranger {
            path: shown(),
            uid: peer,
        });
    }
    let in_time = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ControlError::Late {
            seconds: patience.as_secs(),
        },
        _ => ControlError::Io(error),
    };
    let limit = Some(patience.max(Duration::from_millis(1)));
    stream.set_read_timeout(limit).map_err(ControlError::Io)?;
    stream.set_write_timeout(limit).map_err(ControlError::Io)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(in_time)?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(MAX_REPLY_BYTES))
        .read_until(b'\n', &mut reply)
        .map_err(in_time)?;
    Ok(serde_json::from_slice(&reply)?)
}

/// Asks for what those may know who can give no order: over the control socket, or over the view socket for a user who
/// may not use the control socket. Blocking, at most twice `patience`.
///
/// # Errors
/// [`ControlError`]; [`ControlError::NotViewer`] for a user who may use neither.
pub fn look(
    control: &Path,
    views: &Path,
    what: Look,
    patience: Duration,
) -> Result<Reply, ControlError> {
    match ask(control, &what.into(), patience) {
        Err(ControlError::NotRoot) => {}
        reply => return reply,
    }
    let reply = ask(views, &what.into(), patience);
    reply.map_err(|error| match error {
        ControlError::NotRoot => ControlError::NotViewer,
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_single_lines_that_read_back() {
        let requests = [
            (Request::View, r#"{"request":"view"}"#),
            (
                Request::GroupStart {
                    key: "IPaddr::10.0.0.1".to_owned(),
                },
                r#"{"request":"group_start","key":"IPaddr::10.0.0.1"}"#,
            ),
        ];
        for (request, text) in requests {
            assert_eq!(serde_json::to_string(&request).expect("json"), text);
            assert_eq!(
                serde_json::from_str::<Request>(text).expect("json"),
                request
            );
        }
        let reply = Reply::Group(GroupAnswer::StartFailed {
            resource: "a\nb".to_owned(),
            code: 7,
        });
        let text = serde_json::to_string(&reply).expect("json");
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Reply>(&text).expect("json"), reply);
        let view = Reply::View(View {
            node: None,
            groups: Vec::new(),
            media: vec![MediumView::new("eth0".to_owned(), Vec::new(), None)],
            fencing: None,
            watchdog: None,
            lease: None,
        });
        let text = serde_json::to_string(&view).expect("json");
        assert_eq!(serde_json::from_str::<Reply>(&text).expect("json"), view);
        // A daemon of before does not tell of its media.
        let before = r#"{"reply":"view","node":null,"groups":[]}"#;
        assert!(serde_json::from_str::<Reply>(before).is_ok());
        for bad in [
            "",
            "{}",
            r#"{"request":"reboot"}"#,
            r#"{"request":"group_start"}"#,
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_daemon_is_told_apart() {
        let directory = tempfile::TempDir::new().expect("tempdir");
        let path = directory.path().join("ctl");
        let ask = || ask(&path, &Request::View, Duration::from_secs(1));
        assert!(matches!(ask(), Err(ControlError::NoDaemon { .. })));
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bind"));
        assert!(
            matches!(ask(), Err(ControlError::NoDaemon { .. })),
            "left over"
        );
    }
}
