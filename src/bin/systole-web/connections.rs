//! A bounded number of connections. When there are too many, the oldest one gives way that has asked nothing yet: who
//! opens connections and says nothing, or says it slowly, keeps nobody else out.

use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use nix::sys::socket::{Shutdown, shutdown};
use systole::clock::{Clock, Monotonic};

/// Most connections at once.
pub(crate) const MOST: usize = 64;

/// After so long a connection that has asked gives way too: its other end does not read the answer.
const SLOW: Duration = Duration::from_secs(10);

/// All connections.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Mutex<Open>>);

struct Open {
    clock: Clock,
    next: u64,
    /// By their number, so the oldest is the first.
    all: BTreeMap<u64, One>,
}

struct One {
    socket: OwnedFd,
    since: Monotonic,
    asked: bool,
}

/// Lives as long as its connection.
pub(crate) struct Held {
    number: u64,
    all: Connections,
}

impl Connections {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Open {
            clock: Clock::start(),
            next: 0,
            all: BTreeMap::new(),
        })))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is one more.
    pub(crate) fn opened(&self, io: &dyn Any, of_connection: &mut Extensions) {
        let Some(stream) = io.downcast_ref::<TcpStream>() else {
            return;
        };
        let Ok(socket) = stream.as_fd().try_clone_to_owned() else {
            // No descriptor is free.
            let _ = shutdown(stream.as_raw_fd(), Shutdown::Both);
            return;
        };
        let mut open = self.open();
        let number = open.next;
        open.next = number.wrapping_add(1);
        let since = open.clock.now().instant;
        let asked = false;
        open.all.insert(
            number,
            One {
                socket,
                since,
                asked,
            },
        );
        if open.all.len() > MOST {
            let way = gives_way(
                open.all
                    .iter()
                    .map(|(number, it)| (*number, it.since, it.asked)),
                since,
            );
            if let Some(one) = way.and_then(|number| open.all.remove(&number)) {
                let _ = shutdown(one.socket.as_raw_fd(), Shutdown::Both);
            }
        }
        drop(open);
        let all = self.clone();
        of_connection.insert(Held { number, all });
    }
}

/// Which of them gives way, the oldest first: one that has asked nothing, or one that takes long to read its answer. The
/// newest has asked nothing either, so there is always one.
fn gives_way(
    all: impl Iterator<Item = (u64, Monotonic, bool)> + Clone,
    now: Monotonic,
) -> Option<u64> {
    let mut slow = all.clone();
    let newest = all.clone().last().map(|(number, ..)| number);
    let silent = all
        .clone()
        .find(|(number, _, asked)| !asked && Some(*number) != newest);
    let slow = || slow.find(|(_, since, asked)| *asked && now.since(*since) > SLOW);
    silent.or_else(slow).map(|(number, ..)| number).or(newest)
}

impl Held {
    /// The head of a request was read.
    pub(crate) fn has_asked(&self) {
        if let Some(one) = self.all.open().all.get_mut(&self.number) {
            one.asked = true;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.open().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_says_nothing_gives_way() {
        let at = |seconds| Monotonic::from_duration(Duration::from_secs(seconds));
        let way = |all: &[(u64, u64, bool)], now| {
            gives_way(
                all.iter()
                    .map(|(number, since, asked)| (*number, at(*since), *asked)),
                at(now),
            )
        };
        assert_eq!(
            way(
                &[(1, 0, true), (2, 1, false), (3, 2, false), (4, 3, false)],
                3
            ),
            Some(2)
        );
        // Nobody else is silent: the newest, unless another one does not read.
        assert_eq!(
            way(&[(1, 0, true), (2, 1, true), (4, 3, false)], 3),
            Some(4)
        );
        assert_eq!(
            way(&[(1, 0, true), (2, 1, true), (4, 30, false)], 30),
            Some(1)
        );
        assert_eq!(way(&[(4, 0, false)], 0), Some(4));
    }
}
