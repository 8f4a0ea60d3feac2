//! What a daemon sends to its guardian: single bytes, and one number. Either process may be older
//! than the other; a guardian ignores what it does not know.

use std::time::Duration;

/// The first heartbeat was sent. A daemon of an earlier version sends this when it has started.
pub(super) const BEGUN: u8 = b'b';
/// The daemon was told to stop: a successor has to stop as well.
pub(super) const STOPPING: u8 = b's';
/// The daemon ends, or wants no guardian.
pub(super) const DISMISSED: u8 = b'd';
/// The daemon ends and groups may still run: they are to be released, and it is not to be started
/// as before.
pub(super) const UNRELEASED: u8 = b'u';
/// The process replaces itself in place. It has asked the others to wait.
pub(super) const RESTARTING: u8 = b'r';

/// The page of the daemon's heartbeats comes with this byte.
pub(super) const BEATS: u8 = b'm';

/// The bytes before and after the number of milliseconds that the other nodes wait for a heartbeat.
/// No digit is one of the words.
const NUMBER: (u8, u8) = (b'=', b';');

/// Longest number that is read.
const MAX_DIGITS: usize = 12;

/// The text for how long the other nodes wait for a heartbeat; `None`: no node could take over.
pub(super) fn patience(patience: Option<Duration>) -> String {
    let (before, behind) = (char::from(NUMBER.0), char::from(NUMBER.1));
    let ms = patience.map_or(0, |patience| patience.as_millis().max(1));
    format!("{before}{ms}{behind}")
}

/// Reads the number, byte by byte.
#[derive(Debug, Default)]
pub(super) struct NumberReader(Option<String>);

/// The meaning of a byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A word, known or not.
    Word(u8),
    /// A part of the number.
    Part,
    /// The whole number; `None`: no node waits.
    Patience(Option<Duration>),
}

impl NumberReader {
    pub(super) fn take(&mut self, byte: u8) -> Heard {
        if byte == NUMBER.0 {
            self.0 = Some(String::new());
            return Heard::Part;
        }
        let Some(digits) = &mut self.0 else {
            return Heard::Word(byte);
        };
        if byte.is_ascii_digit() && digits.len() < MAX_DIGITS {
            digits.push(char::from(byte));
            return Heard::Part;
        }
        let digits = self.0.take().unwrap_or_default();
        match digits.parse() {
            Ok(0) if byte == NUMBER.1 => Heard::Patience(None),
            Ok(ms) if byte == NUMBER.1 => Heard::Patience(Some(Duration::from_millis(ms))),
            // Cut off by another word, which counts.
            _ => Heard::Word(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Heard> {
        let mut reader = NumberReader::default();
        let heard = text.bytes().map(|byte| reader.take(byte));
        heard.filter(|heard| *heard != Heard::Part).collect()
    }

    #[test]
    fn a_number_stands_among_words() {
        let told = patience(Some(Duration::from_millis(1800)));
        let expected = [
            Heard::Word(BEGUN),
            Heard::Patience(Some(Duration::from_millis(1800))),
            Heard::Word(STOPPING),
            Heard::Patience(None),
        ];
        let alone = patience(None);
        assert_eq!(read(&format!("b{told}s{alone}")), expected);
        // An older guardian mistakes no part of it for a word that it knows.
        let known = [BEGUN, STOPPING, DISMISSED, UNRELEASED];
        assert!(told.bytes().all(|byte| !known.contains(&byte)));
        assert!(!known.contains(&BEATS));
    }

    #[test]
    fn a_number_that_is_none_hides_no_word() {
        assert_eq!(read("=12d"), [Heard::Word(DISMISSED)]);
        assert_eq!(read("=;d").last(), Some(&Heard::Word(DISMISSED)));
        let long = format!("={}d", "9".repeat(40));
        assert_eq!(read(&long).last(), Some(&Heard::Word(DISMISSED)));
    }
}
