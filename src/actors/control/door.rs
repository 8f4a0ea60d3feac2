//! The two sockets: who may connect, and what is answered.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use super::{ControlTargets, answer, view, why};
use crate::clients::control::{Look, Reply};
use crate::clock::{Clock, Monotonic};

/// Most connections served at once on the control socket: helper programs of one hook and of a few administrators.
const MAX_CONNECTIONS: usize = 16;

/// Most connections served at once on the view socket, of all users together.
pub(super) const MAX_VIEWERS: usize = 16;

/// Most of one user: a program that is slow or silent keeps no other user's out.
pub(super) const MAX_VIEWERS_OF_ONE: usize = 4;

/// Pause after each connection on the view socket: a program that connects again and again costs the main thread
/// little.
const NEXT_VIEWER: Duration = Duration::from_millis(1);

/// So long an answer on the view socket is given again: who asks often does not keep membership busy.
const SAME_ANSWER: Duration = Duration::from_millis(100);

/// One of the two sockets.
pub(super) struct Door {
    targets: ControlTargets,
    /// Of the view socket.
    kept: Option<Kept>,
}

/// An answer as it was sent, and when.
type Answer = Mutex<Option<(Monotonic, Rc<Vec<u8>>)>>;

/// The last answers on the view socket.
struct Kept {
    clock: Clock,
    view: Answer,
    why: Answer,
}

impl Door {
    /// The control socket.
    pub(super) const fn control(targets: ControlTargets) -> Self {
        let kept = None;
        Self { targets, kept }
    }

    /// The view socket.
    pub(super) fn views(targets: ControlTargets) -> Self {
        let kept = Some(Kept::new());
        Self { targets, kept }
    }

    /// Whether it is the view socket.
    pub(super) const fn only_tells(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn not_opened(&self, path: &Path, error: &io::Error) {
        let path = path.display();
        if self.only_tells() {
            warn!(%path, %error, "cannot open the view socket: only root may look");
        } else {
            warn!(%path, %error, "cannot open the control socket: helper programs get no answer");
        }
    }

    /// Whether a connection is served, beside so many others.
    pub(super) fn lets_in(&self, stream: &UnixStream, served: &[Option<u32>]) -> bool {
        if self.only_tells() {
            // The mode of the socket has let this user in.
            let uid = user_of(stream);
            let own = served.iter().filter(|it| **it == uid).count();
            let room = own < MAX_VIEWERS_OF_ONE && served.len() < MAX_VIEWERS;
            if !room {
                // A louder line for each could fill the log.
                debug!(
                    uid,
                    "too many connections on the view socket: closing the newest"
                );
            }
            return room;
        }
        let (uid, pid) = who(stream);
        if !is_root(stream) {
            warn!(
                uid,
                pid, "refused a user other than root on the control socket"
            );
            return false;
        }
        if served.len() >= MAX_CONNECTIONS {
            warn!(
                uid,
                pid,
                limit = MAX_CONNECTIONS,
                "too many connections on the control socket: closing the newest"
            );
            return false;
        }
        true
    }

    /// How long nobody is let in after somebody has connected.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.only_tells().then_some(NEXT_VIEWER)
    }

    /// The reply to a request, with the end of its line.
    pub(super) async fn answer(&self, line: &[u8]) -> io::Result<Rc<Vec<u8>>> {
        let not_a_request = |error| Reply::Refused {
            reason: format!("not a request: {error}"),
        };
        let Some(kept) = &self.kept else {
            let reply = match serde_json::from_slice(line) {
                Ok(request) => answer(request, &self.targets).await,
                Err(error) => not_a_request(error),
            };
            return text_of(&reply);
        };
        // An order is not even read here.
        match serde_json::from_slice(line) {
            Ok(Look::View) => kept.tell(&kept.view, view(&self.targets)).await,
            Ok(Look::Why) => kept.tell(&kept.why, why(&self.targets)).await,
            Err(error) => text_of(&not_a_request(error)),
        }
    }
}

impl Kept {
    fn new() -> Self {
        Self {
            clock: Clock::start(),
            view: Mutex::new(None),
            why: Mutex::new(None),
        }
    }

    /// The last answer if it is still young, or a new one. Who asks meanwhile gets the same.
    async fn tell(
        &self,
        last: &Answer,
        ask: impl Future<Output = Reply>,
    ) -> io::Result<Rc<Vec<u8>>> {
        let mut last = last.lock().await;
        let now = || self.clock.now().instant;
        if let Some((at, text)) = last.as_ref()
            && now().since(*at) < SAME_ANSWER
        {
            return Ok(Rc::clone(text));
        }
        let text = text_of(&ask.await)?;
        *last = Some((now(), Rc::clone(&text)));
        Ok(text)
    }
}

fn text_of(reply: &Reply) -> io::Result<Rc<Vec<u8>>> {
    let mut text = serde_json::to_vec(reply)?;
    text.push(b'\n');
    Ok(Rc::new(text))
}

/// User at the other end, if the kernel tells.
pub(super) fn user_of(stream: &UnixStream) -> Option<u32> {
    who(stream).0
}

/// User and process at the other end, if the kernel tells.
fn who(stream: &UnixStream) -> (Option<u32>, Option<i32>) {
    let peer = stream.peer_cred().ok();
    let uid = peer.as_ref().map(tokio::net::unix::UCred::uid);
    (uid, peer.and_then(|peer| peer.pid()))
}

/// Whether root is at the other end, or the user that runs this process if that is not root.
fn is_root(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[actix::test]
    async fn who_asks_often_gets_the_same_answer() {
        tokio::time::pause();
        let kept = Kept::new();
        let asked = Cell::new(0);
        let ask = async || {
            let answer = async {
                asked.set(asked.get() + 1);
                tokio::time::sleep(Duration::from_secs(1)).await;
                let reason = asked.get().to_string();
                Reply::Refused { reason }
            };
            let text = kept.tell(&kept.view, answer).await.unwrap();
            String::from_utf8_lossy(&text).into_owned()
        };
        let (first, same) = tokio::join!(ask(), ask());
        assert!(first.contains('1'), "{first}");
        assert_eq!(first, same);
        assert_eq!(ask().await, first);
        tokio::time::advance(SAME_ANSWER).await;
        assert!(ask().await.contains('2'));
        assert_eq!(asked.get(), 2);
    }
}
