//! The membership that the legacy program `ccm` tells its own clients, for `cl_status hbstatus -v`.
//! Seen on its socket: frames as on the client socket, bodies of 32 bit words in host order.
//!
//! | Body | Words |
//! |---|---|
//! | names | 4, number, 0, then for each an id and 256 bytes of name |
//! | a membership | 2, number, instance, quorum, then for each an id and the instance of its birth |
//! | evicted | 1 and more |

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;

use crate::clock::Clock;
use crate::protocol::client::frame::{self, MAX_BODY_BYTES};

const EVICTED: i32 = 1;
const MEMBERSHIP: i32 = 2;
const NAMES: i32 = 4;

/// Bytes of a name in the list, padded with NUL.
const NAME_BYTES: usize = 256;

/// What ccm says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This node is in no membership.
    Evicted,
    /// The present one.
    Members(Membership),
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Whether it may act for the whole cluster.
    pub quorum: bool,
    /// Its number.
    pub instance: i32,
    /// In the order of ccm.
    pub members: Vec<Member>,
}

/// One node of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Number in ccm's list.
    pub id: i32,
    /// Node name.
    pub name: String,
    /// The instance in which it came.
    pub born: i32,
}

/// Asks the ccm that listens on `path`. `None`: nobody listens, it is not allowed, there is no
/// membership yet, or nothing to be understood comes within `patience`.
#[must_use]
pub fn ask(path: &Path, patience: Duration) -> Option<Answer> {
    let mut stream = UnixStream::connect(path).ok()?;
    let clock = Clock::start();
    let until = clock.now().instant + patience;
    let mut input = BytesMut::new();
    let mut names = Vec::new();
    loop {
        while let Some(body) = frame::take(&mut input, MAX_BODY_BYTES).ok()? {
            let mut words = Words(&body);
            match words.next()? {
                NAMES => names = words.names()?,
                MEMBERSHIP => return words.membership(&names).map(Answer::Members),
                EVICTED => return Some(Answer::Evicted),
                _ => return None,
            }
        }
        let left = until.since(clock.now().instant);
        if left.is_zero() {
            return None;
        }
        stream.set_read_timeout(Some(left)).ok()?;
        let mut part = [0; 4096];
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        input.extend_from_slice(part.get(..read)?);
    }
}

/// A body, word by word.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn next(&mut self) -> Option<i32> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_ne_bytes(*word))
    }

    fn names(mut self) -> Option<Vec<(i32, String)>> {
        let count = self.next()?;
        self.next()?;
        (0..count)
            .map(|_| {
                let id = self.next()?;
                let (name, rest) = self.0.split_at_checked(NAME_BYTES)?;
                self.0 = rest;
                let name = name.split(|byte| *byte == 0).next()?;
                Some((id, String::from_utf8_lossy(name).into_owned()))
            })
            .collect()
    }

    fn membership(mut self, names: &[(i32, String)]) -> Option<Membership> {
        let (count, instance, quorum) = (self.next()?, self.next()?, self.next()?);
        let members = (0..count).map(|_| {
            let (id, born) = (self.next()?, self.next()?);
            let (_, name) = names.iter().find(|(known, _)| *known == id)?;
            Some(Member {
                id,
                name: name.clone(),
                born,
            })
        });
        Some(Membership {
            members: members.collect::<Option<_>>()?,
            quorum: quorum != 0,
            instance,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn framed(words: &[i32], more: &[u8]) -> Vec<u8> {
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        body.extend_from_slice(more);
        let length = i32::try_from(body.len()).unwrap();
        let mut all = length.to_ne_bytes().to_vec();
        all.extend_from_slice(&frame::MAGIC.to_ne_bytes());
        all.extend(body);
        all
    }

    fn names() -> Vec<u8> {
        let mut list = Vec::new();
        for (id, name) in [(0_i32, "node1"), (1, "node2")] {
            list.extend_from_slice(&id.to_ne_bytes());
            let mut text = [0; NAME_BYTES];
            text[..name.len()].copy_from_slice(name.as_bytes());
            list.extend_from_slice(&text);
        }
        framed(&[NAMES, 2, 0], &list)
    }

    /// What is understood of `bytes` and the end of the connection behind them.
    fn told(bytes: &[u8]) -> Option<Answer> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ccm");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.write_all(bytes);
            });
            ask(&path, Duration::from_secs(5))
        })
    }

    #[test]
    fn a_membership_of_two() {
        let event = framed(&[MEMBERSHIP, 2, 2, 1, 0, 2, 1, 1], &[]);
        let Some(Answer::Members(found)) = told(&[names(), event].concat()) else {
            panic!("not understood");
        };
        assert!(found.quorum);
        assert_eq!(found.instance, 2);
        let members: Vec<_> = found
            .members
            .iter()
            .map(|member| (member.id, member.name.as_str(), member.born))
            .collect();
        assert_eq!(members, [(0, "node1", 2), (1, "node2", 1)]);
    }

    #[test]
    fn what_cannot_be_understood_is_nothing() {
        for bytes in [
            vec![],
            names(),
            framed(&[MEMBERSHIP, 1, 2, 1, 0, 2], &[]),
            [names(), framed(&[MEMBERSHIP, 1, 2, 1, 9, 2], &[])].concat(),
            [names(), framed(&[MEMBERSHIP, 7, 2, 1, 0, 2], &[])].concat(),
            [names(), framed(&[MEMBERSHIP, i32::MAX, 2, 1], &[])].concat(),
            [names(), framed(&[5, 2], &[])].concat(),
            framed(&[NAMES, 2, 0], &[1, 2, 3]),
            framed(&[], &[1]),
            b"rubbish that is no frame at all".to_vec(),
        ] {
            assert_eq!(told(&bytes), None, "{bytes:?}");
        }
        assert_eq!(told(&framed(&[EVICTED, 0], &[])), Some(Answer::Evicted));
        let nowhere = Path::new("/nonexistent/ccm");
        assert_eq!(ask(nowhere, Duration::from_secs(1)), None);
    }
}
