//! Option letters, read as `getopt` reads them. Spec: docs/protocol/tools.md, 1.

use super::getopt::{Getopt, Given};
use crate::process::handover::{Called, NodeState, words};
use crate::resources::holding::HoldingSet;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The one thing to do.
    pub command: Command,
    /// How the daemon is to work.
    pub called: Called,
    /// `-v`.
    pub verbose: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Check the configuration and run.
    Start,
    /// `-R`: goes on where another daemon ended.
    Restarted(Box<Restarted>),
    /// `-r`.
    Reload,
    /// `-s`.
    Status,
    /// `-k`.
    Stop,
    /// `-t`: check everything, start nothing.
    Check,
    /// `-V`.
    Version,
    /// `-D`, and `-W` for the same as wiki text.
    Defaults {
        /// `-W`.
        wiki: bool,
    },
}

/// The words after `-R`; made and read in `process/handover/words.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restarted {
    /// The state of the node that the words give.
    pub state: NodeState,
    /// The daemon is only to release everything, and why.
    pub release: Option<String>,
}

/// Why the command line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Unknown letter, missing word or forbidden combination: usage, exit code 2.
    #[error("wrong usage")]
    Usage(
        /// Lines that precede the usage text.
        Vec<String>,
    ),
    /// `-C` with another word: exit code 1.
    #[error("encode_resources: bad resource type [{0}]")]
    BadHeld(
        /// The word.
        String,
    ),
}

/// Exit code of wrong usage.
pub const EXIT_USAGE: u8 = 2;

/// The letters, as `getopt` wants them.
const LETTERS: &str = "dDkMrRsvWlftVC:";

/// The usage text. Its first lines are the legacy ones.
pub const USAGE: &str = "
Usage: heartbeat [-dDkMrRsvWlVf] [-C Current-resource-state]
\t-C only valid with -R
\t-r is mutually exclusive with -R
\t-t checks the configuration and starts nothing
";

/// Reads the words of the command line, `program` being the first. Words that are no options are
/// ignored, `--` ends the options, and there are no long options.
///
/// # Errors
/// [`OptionError`].
pub fn parse<I>(program: &str, words: I) -> Result<Options, OptionError>
where
    I: IntoIterator<Item = String>,
{
    let mut complaints = Vec::new();
    let (mut status, mut stop, mut reload, mut check) = (false, false, false, false);
    let (mut defaults, mut wiki, mut restarted) = (false, false, false);
    let mut held: Option<String> = None;
    let mut options = Options {
        command: Command::Start,
        called: Called::default(),
        verbose: false,
    };
    let mut next = Restarted::default();
    let mut given = Getopt::new(LETTERS, words);
    for given in given.by_ref() {
        match given {
            Given::Flag('d') => options.called.debug = options.called.debug.saturating_add(1),
            Given::Flag('D') => defaults = true,
            Given::Flag('k') => stop = true,
            Given::Flag('M') => options.called.manage_resources = false,
            Given::Flag('r') => reload = true,
            Given::Flag('R') => restarted = true,
            Given::Flag('s') => status = true,
            Given::Flag('v') => options.verbose = true,
            Given::Flag('W') => wiki = true,
            Given::Flag('l') => options.called.realtime = false,
            Given::Flag('f') => options.called.foreground = true,
            Given::Flag('t') => check = true,
            Given::Flag('V') => {
                options.command = Command::Version;
                return Ok(options);
            }
            Given::Value(_, word) => held = Some(word),
            Given::Bad(complaint) => complaints.push(format!("{program}: {complaint}")),
            Given::Word(word) => words::read_before_separator(&mut next.state, &word),
            Given::Flag(_) => {}
        }
    }
    for word in given.rest() {
        match words::release_reason(&word) {
            Some(why) => next.release = Some(why.to_owned()),
            None => words::read_behind_separator(&mut next.state, &word),
        }
    }
    if !complaints.is_empty() || (held.is_some() && !restarted) || (reload && restarted) {
        return Err(OptionError::Usage(complaints));
    }
    if let Some(word) = held {
        let set = HoldingSet::from_word(&word);
        next.state.holding = set.ok_or(OptionError::BadHeld(word))?;
    }
    next.state.called = options.called;
    options.command = if defaults {
        Command::Defaults { wiki }
    } else if stop {
        Command::Stop
    } else if status {
        Command::Status
    } else if check {
        Command::Check
    } else if reload {
        Command::Reload
    } else if restarted {
        Command::Restarted(Box::new(next))
    } else {
        Command::Start
    };
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, OptionError> {
        parse("heartbeat", line.split_whitespace().map(str::to_owned))
    }

    fn command(line: &str) -> Command {
        read(line).unwrap().command
    }

    fn held(line: &str) -> HoldingSet {
        match command(line) {
            Command::Restarted(next) => next.state.holding,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn letters_may_be_joined_and_repeated() {
        let options = read("-lf -dd -Mv word").unwrap();
        assert_eq!(options.command, Command::Start);
        assert!(options.verbose);
        let called = Called {
            manage_resources: false,
            realtime: false,
            foreground: true,
            debug: 2,
        };
        assert_eq!(options.called, called);
    }

    #[test]
    fn each_command_has_its_letter() {
        assert_eq!(command(""), Command::Start);
        assert_eq!(command("-s"), Command::Status);
        assert_eq!(command("-k"), Command::Stop);
        assert_eq!(command("-s -k"), Command::Stop);
        assert_eq!(command("-r"), Command::Reload);
        assert_eq!(command("-t"), Command::Check);
        assert_eq!(command("-VZ"), Command::Version);
        assert_eq!(command("-DW"), Command::Defaults { wiki: true });
        assert_eq!(command("-D"), Command::Defaults { wiki: false });
        assert_eq!(held("-R"), HoldingSet::NONE);
        assert_eq!(held("-R -C all"), HoldingSet::ALL);
        assert_eq!(held("-RClocal"), HoldingSet::LOCAL);
        assert_eq!(command("-- -k"), Command::Start);
        assert_eq!(command("-"), Command::Start);
    }

    #[test]
    fn long_options_are_letters_to_getopt() {
        let expected = ['-', 'h', 'e', 'p']
            .map(|letter| format!("heartbeat: invalid option -- '{letter}'"))
            .to_vec();
        assert_eq!(read("--help"), Err(OptionError::Usage(expected)));
    }

    #[test]
    fn forbidden_combinations() {
        assert_eq!(read("-C all"), Err(OptionError::Usage(vec![])));
        assert_eq!(read("-r -R"), Err(OptionError::Usage(vec![])));
        let missing = "heartbeat: option requires an argument -- 'C'".to_owned();
        assert_eq!(read("-R -C"), Err(OptionError::Usage(vec![missing])));
        let bad = OptionError::BadHeld("foo".to_owned());
        assert_eq!(bad.to_string(), "encode_resources: bad resource type [foo]");
        assert_eq!(read("-C foo -R"), Err(bad));
    }

    /// Words that one daemon leaves mean the same to the next one, whichever reader it uses.
    #[test]
    fn a_successor_is_told_what_the_words_say() {
        let words = "-R -C all -M -f -d -d".split(' ').map(str::to_owned);
        let rest = [
            "systole: own 10.0.0.1",
            "systole: left -odd",
            "systole: standby takes all beta 3ea.1f",
            "systole: releases",
            "systole: a word of a later version",
            "systole: state {}",
            "--",
            "10.0.0.1",
            "-odd",
            "systole: unfinished 10.0.0.1",
            "systole: frozen",
        ];
        let mut words: Vec<String> = words.chain(rest.map(str::to_owned)).collect();
        let expected = words::state_of(&words).unwrap();
        assert!(expected.frozen && expected.releases && expected.standby.is_some());
        assert_eq!(expected.may_run().count(), 2);
        let read = |words: &[String]| match parse("heartbeat", words.to_vec()) {
            Ok(Options {
                command: Command::Restarted(next),
                called,
                ..
            }) => (called, *next),
            other => panic!("{other:?}"),
        };
        let (called, next) = read(&words);
        assert_eq!(called, expected.called);
        assert_eq!((next.state, next.release), (expected.clone(), None));
        words.push(words::release("died-often"));
        let (_, next) = read(&words);
        assert_eq!(next.release.as_deref(), Some("died-often"));
        assert_eq!(next.state, expected);
    }
}
