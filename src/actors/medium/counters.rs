//! What a medium counts, and which of it is worth a line.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clients::control::MediumCounts;
use crate::clock::Monotonic;
use crate::notice::{self, Notice};
use crate::protocol::auth::TokenError;
use crate::protocol::codec::{BadToken, DecodeError, Form};
use crate::protocol::limiter::Limiter;
use crate::protocol::name::MediumName;
use crate::protocol::wire::EncodeError;

/// Send errors in a row that are logged, per line of ha.cf. Spec: docs/protocol/wire.md, 18.
const LOGGED_SEND_ERRORS: u32 = 10;

/// Pause between two lines about a line that is too slow.
const TOO_SLOW_SAID: Duration = Duration::from_secs(60);

/// Pause between two lines about the same failure.
const SAME_FAILURE_SAID: Duration = Duration::from_secs(600);

/// How long a medium works before it counts as one that works again.
const STAYS_OPEN: Duration = Duration::from_secs(10);

/// Totals since the medium's first opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Verified messages handed to membership.
    pub received: u64,
    /// Datagrams that are no heartbeat message at all.
    pub not_messages: u64,
    /// Messages that are broken.
    pub malformed: u64,
    /// Messages that are not signed, or not with our keys.
    pub not_authentic: u64,
    /// Verified messages dropped because membership's mailbox was full.
    pub mailbox_full: u64,
    /// Compressed messages dropped because too many waited to be unpacked.
    pub packed_full: u64,
    /// Datagrams that the kernel dropped because the socket's buffer was full.
    pub kernel_drops: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams dropped because the socket would have blocked.
    pub would_block: u64,
    /// Datagrams that the system refused to send.
    pub send_errors: u64,
    /// Datagrams not sent because the medium was closed.
    pub closed: u64,
    /// Messages that a serial line was too slow for.
    pub too_slow: u64,
    /// Times that the sockets were opened again.
    pub reopened: u64,
}

impl From<&Counters> for MediumCounts {
    fn from(counters: &Counters) -> Self {
        let sum = |counts: &[u64]| {
            counts
                .iter()
                .fold(0, |sum: u64, it| sum.saturating_add(*it))
        };
        Self {
            received: counters.received,
            not_authentic: counters.not_authentic,
            not_readable: sum(&[counters.not_messages, counters.malformed]),
            queue_full: sum(&[
                counters.mailbox_full,
                counters.packed_full,
                counters.kernel_drops,
            ]),
            sent: counters.sent,
            not_sent: sum(&[
                counters.would_block,
                counters.send_errors,
                counters.closed,
                counters.too_slow,
            ]),
        }
    }
}

/// Counts, and writes lines at a limited rate.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) counters: Counters,
    name: MediumName,
    limiter: Limiter,
    log_bad_packets: bool,
    /// How many messages too slow a line was said to have dropped, and when.
    said_too_slow: (u64, Option<Monotonic>),
}

impl Ledger {
    pub(super) fn new(name: MediumName, log_bad_packets: bool) -> Self {
        Self {
            counters: Counters::default(),
            name,
            limiter: Limiter::default(),
            log_bad_packets,
            said_too_slow: (0, None),
        }
    }

    /// A datagram was refused.
    pub(super) fn bad_packet(
        &mut self,
        error: &DecodeError,
        from: Option<SocketAddr>,
        now: Monotonic,
    ) {
        let kind = match error {
            DecodeError::NotAMessage => {
                self.counters.not_messages += 1;
                return;
            }
            DecodeError::Malformed(_) => {
                self.counters.malformed += 1;
                "malformed packets"
            }
            DecodeError::NotAuthentic { .. } => {
                self.counters.not_authentic += 1;
                "packets that failed authentication"
            }
        };
        if !self.log_bad_packets || !self.limiter.pass(kind, now) {
            return;
        }
        let from = from.map_or_else(|| "unknown".to_owned(), |from| from.to_string());
        for mut line in bad_packet_lines(error) {
            if let Notice::OtherError { text } | Notice::OtherWarn { text } = &mut line {
                text.push_str(&format!(" (medium {}, from {from})", self.name));
            }
            notice::log(&line);
        }
    }

    /// Membership could not take that many messages.
    pub(super) fn mailbox_full(&mut self, messages: u64, now: Monotonic) {
        self.counters.mailbox_full += messages;
        if self
            .limiter
            .pass("messages dropped, membership is busy", now)
        {
            notice::log(&Notice::OtherWarn {
                text: format!(
                    "{}: {messages} messages dropped, membership is busy",
                    self.name
                ),
            });
        }
    }

    /// Too many compressed messages wait already.
    pub(super) fn too_many_packed(&mut self, now: Monotonic) {
        self.counters.packed_full += 1;
        let kind = "compressed messages dropped, too many wait to be unpacked";
        if self.limiter.pass(kind, now) {
            notice::log(&Notice::OtherWarn {
                text: format!(
                    "{}: a compressed message is dropped, too many wait to be unpacked",
                    self.name
                ),
            });
        }
    }

    /// The kernel dropped datagrams.
    pub(super) fn kernel_drops(&mut self, more: u32, now: Monotonic) {
        self.counters.kernel_drops += u64::from(more);
        if self
            .limiter
            .pass("reports of datagrams dropped by the kernel", now)
        {
            notice::log(&Notice::OtherWarn {
                text: format!(
                    "{}: {more} datagrams dropped by the kernel, buffer full",
                    self.name
                ),
            });
        }
    }

    /// Says now and then how many messages a serial line was too slow for.
    pub(super) fn too_slow(&mut self, now: Monotonic) {
        let (said, at) = self.said_too_slow;
        let more = self.counters.too_slow.saturating_sub(said);
        if more == 0 || at.is_some_and(|at| now.since(at) < TOO_SLOW_SAID) {
            return;
        }
        self.said_too_slow = (self.counters.too_slow, Some(now));
        notice::log(&Notice::OtherWarn {
            text: format!(
                "{}: {more} messages dropped, the line is too slow",
                self.name
            ),
        });
    }

    /// A message that no serial line can carry.
    pub(super) fn has_no_text(&mut self, error: &EncodeError, now: Monotonic) {
        self.counters.send_errors += 1;
        if self
            .limiter
            .pass("messages that have no text for a serial line", now)
        {
            notice::log(&Notice::OtherWarn {
                text: format!("{}: a message is not sent: {error}", self.name),
            });
        }
    }

    /// Writes how many lines were held back, at the end of each period. Call it now and then.
    pub(super) fn report(&mut self, now: Monotonic) {
        for mut line in self.limiter.report(now) {
            if let Notice::OtherWarn { text } = &mut line {
                text.insert_str(0, &format!("{}: ", self.name));
            }
            notice::log(&line);
        }
    }
}

/// The legacy texts, without the digest that would have been right.
/// Spec: docs/protocol/wire.md, 21.
fn bad_packet_lines(error: &DecodeError) -> Vec<Notice> {
    let warn = |text: String| Notice::OtherWarn { text };
    let (form, src, reason) = match error {
        DecodeError::NotAMessage => return Vec::new(),
        DecodeError::Malformed(reason) => return vec![warn(format!("bad packet: {reason}"))],
        DecodeError::NotAuthentic {
            form,
            claimed_src,
            reason,
        } => (*form, claimed_src, reason),
    };
    if let BadToken::Refused(TokenError::UnknownIndex(index)) = reason {
        return vec![warn(match form {
            Form::Netstring => format!("Invalid authentication [{index}] in message!"),
            Form::Classic => format!("Invalid authentication type [{index}] in message!"),
        })];
    }
    match form {
        Form::Netstring => vec![Notice::OtherError {
            text: format!("netstring authentication failed: {reason}"),
        }],
        Form::Classic => {
            let node = src.as_deref().unwrap_or("?");
            let failed = warn(format!(
                "string2msg_ll: node [{node}] failed authentication"
            ));
            if matches!(reason, BadToken::Missing) {
                vec![
                    warn("Bad/invalid auth token, authtoken=(nil)".to_owned()),
                    failed,
                ]
            } else {
                vec![failed]
            }
        }
    }
}

/// Send errors of one line of ha.cf: logged at first, silenced after ten in a row.
#[derive(Debug, Default)]
pub(super) struct SendErrors {
    in_a_row: u32,
    /// The last of them.
    last: Option<String>,
}

impl SendErrors {
    /// The last error, while nothing is sent.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Takes the outcome of a send; the line to log, if any.
    pub(super) fn note(
        &mut self,
        outcome: Result<(), &io::Error>,
        what: impl FnOnce() -> String,
    ) -> Option<Notice> {
        let Err(error) = outcome else {
            self.last = None;
            let failed = std::mem::take(&mut self.in_a_row);
            return (failed > LOGGED_SEND_ERRORS).then(|| Notice::OtherInfo {
                text: format!("{}: sending again after {failed} errors", what()),
            });
        };
        self.in_a_row = self.in_a_row.saturating_add(1);
        // A lasting error is the same each time.
        if self.last.is_none() || self.in_a_row <= LOGGED_SEND_ERRORS {
            self.last = Some(error.to_string());
        }
        let last = match self.in_a_row {
            LOGGED_SEND_ERRORS => " (further errors are not logged)",
            n if n < LOGGED_SEND_ERRORS => "",
            _ => return None,
        };
        Some(Notice::OtherError {
            text: format!("{}: cannot send: {error}{last}", what()),
        })
    }
}

/// Failures of an open medium. One that opens and fails again and again, for the same reason, is said once in ten minutes, and
/// that it is open is said when it stays so.
#[derive(Debug, Default)]
pub(super) struct Failures {
    said: Option<(String, Monotonic)>,
    /// The last failure was not said.
    quiet: bool,
    /// When it was opened, until it has stayed so.
    opened: Option<Monotonic>,
}

impl Failures {
    /// Whether this failure is to be said.
    pub(super) fn fails(&mut self, text: &str, now: Monotonic) -> bool {
        self.opened = None;
        let same = self.said.as_ref().filter(|(said, _)| said == text);
        self.quiet = same.is_some_and(|(_, at)| now.since(*at) < SAME_FAILURE_SAID);
        if !self.quiet {
            self.said = Some((text.to_owned(), now));
        }
        !self.quiet
    }

    /// Whether it is to be said that it is open.
    pub(super) fn opens(&mut self, now: Monotonic) -> bool {
        self.opened = Some(now);
        !self.quiet
    }

    /// Whether that is to be said now, because it has stayed open. The next failure is said in any case.
    pub(super) fn stays_open(&mut self, now: Monotonic) -> bool {
        let stays = self.opened.is_some_and(|at| now.since(at) >= STAYS_OPEN);
        stays && std::mem::take(self).quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_that_opens_and_fails_again_and_again_is_said_once() {
        let at = |seconds| Monotonic::from_duration(Duration::from_secs(seconds));
        let mut failures = Failures::default();
        assert!(failures.opens(at(0)));
        assert!(failures.fails("no device", at(1)));
        assert!(failures.opens(at(2)), "the first time");
        let mut lines = 0;
        for second in (3..603).step_by(2) {
            lines += u32::from(failures.fails("no device", at(second)));
            lines += u32::from(failures.opens(at(second + 1)));
            lines += u32::from(failures.stays_open(at(second + 1)));
        }
        assert_eq!(lines, 2, "one failure after ten minutes, and the opening");
        assert!(!failures.fails("no device", at(603)));
        assert!(!failures.opens(at(604)));
        assert!(!failures.stays_open(at(613)));
        assert!(failures.stays_open(at(614)));
        assert!(!failures.stays_open(at(700)), "once");
        assert!(failures.fails("no device", at(701)), "it had worked");
        assert!(failures.fails("another reason", at(702)));
        assert!(failures.opens(at(703)));
        assert!(!failures.stays_open(at(713)), "that was said");
        assert!(failures.fails("another reason", at(714)), "it had worked");
    }

    #[test]
    fn send_errors_are_silenced_after_ten_and_a_success_resets() {
        let mut errors = SendErrors::default();
        let down = io::Error::from_raw_os_error(libc::ENETDOWN);
        let what = || "bcast eth0".to_owned();
        let lines: Vec<bool> = (0..15)
            .map(|_| errors.note(Err(&down), what).is_some())
            .collect();
        assert_eq!(lines.iter().filter(|line| **line).count(), 10);
        assert!(lines[9] && !lines[10]);
        assert!(errors.trouble().is_some_and(|last| last.contains("down")));
        let recovered = errors.note(Ok(()), what).expect("a line");
        assert_eq!(
            recovered.to_string(),
            "bcast eth0: sending again after 15 errors"
        );
        assert_eq!(errors.trouble(), None);
        assert_eq!(errors.note(Ok(()), what), None);
        assert!(errors.note(Err(&down), what).is_some());
        assert_eq!(errors.note(Ok(()), what), None);
    }

    #[test]
    fn no_line_holds_a_digest() {
        let keys = crate::protocol::auth::KeyRing::new(
            1,
            vec![(1, crate::protocol::auth::Method::Crc, Vec::new())],
        )
        .expect("a key ring");
        let input = b"###\n10:(0)t=status,%%%\n1 00000000";
        let error = crate::protocol::codec::decode_datagram(input, &keys).expect_err("refused");
        let lines = bad_packet_lines(&error);
        assert!(!lines.is_empty());
        for line in lines {
            assert!(!line.to_string().contains("00000000"), "{line}");
        }
    }
}
