//! Option letters, read as `getopt` reads them. Spec: docs/protocol/tools.md, 1.

use super::getopt::{Getopt, Given};
use crate::resources::left_open::OpenStandby;
use crate::resources::owners::Whose;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The one thing to do.
    pub command: Command,
    /// With `-R`: the words after `--`, keys of the groups that run.
    pub running: Vec<String>,
    /// With `-R`: keys of groups with an order in hand when the daemon was killed.
    pub unfinished: Vec<String>,
    /// With `-R`: whose each group was when the words were written; empty when an older program wrote
    /// them.
    pub owners: Vec<(Whose, String)>,
    /// With `-R`: the standby that was open when the daemon was killed.
    pub standby: Option<OpenStandby>,
    /// With `-R`: everything was being released when the daemon was killed.
    pub releases: bool,
    /// With `-R`: the node was frozen.
    pub frozen: bool,
    /// With `-R`: the daemon is only to release everything, and why.
    pub release: Option<String>,
    /// `-f`.
    pub foreground: bool,
    /// Not `-M`.
    pub manage_resources: bool,
    /// Not `-l`.
    pub realtime: bool,
    /// How often `-d` was given.
    pub debug: u8,
    /// `-v`.
    pub verbose: bool,
}

/// Stands among the words after `--` when the node is frozen. A group's key holds no blank, and a
/// legacy program ignores words that are no options.
const FROZEN: &str = "systole: frozen";

/// Stands there before the key of a group with an order in hand.
const UNFINISHED: &str = "systole: unfinished ";

/// Stands there before the reason why everything is to be released. The guardian adds it.
const RELEASE: &str = "systole: release ";

/// Stands before `--`, where every program ignores words that are no options: a word of ours among the
/// keys would be a group to one that does not know it.
const OWNER: &str = "systole: ";

/// Stands there before an open standby.
const STANDBY: &str = "systole: standby ";

/// Stands there while everything is being released.
const RELEASES: &str = "systole: releases";

fn read_owner(word: &str) -> Option<(Whose, String)> {
    let (whose, key) = word.strip_prefix(OWNER)?.split_once(' ')?;
    Some((Whose::from_word(whose)?, key.to_owned()))
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Check the configuration and run.
    Start,
    /// `-R`: run as the image that re-executed itself, holding what `-C` says.
    Restarted(Option<Held>),
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

/// Resources held before a restart in place, as `-C` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    None,
    /// Own groups.
    Local,
    /// The other node's groups.
    Foreign,
    /// Everything.
    All,
}

impl Held {
    /// The word of `-C`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Local => "local",
            Self::Foreign => "foreign",
            Self::All => "all",
        }
    }

    /// The set that a word of `-C` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Local, Self::Foreign, Self::All]
            .into_iter()
            .find(|held| held.word() == word)
    }
}

impl Options {
    /// The word that says of a group that an order for it is in hand; among the groups that run in
    /// [`restart_words`](Self::restart_words).
    #[must_use]
    pub fn unfinished_word(key: &str) -> String {
        format!("{UNFINISHED}{key}")
    }

    /// The word that lets a daemon release everything and end, behind those that it is started with.
    #[must_use]
    pub fn release_word(why: &str) -> String {
        format!("{RELEASE}{why}")
    }

    /// The word that says whose a group is; among the owners in
    /// [`restart_words`](Self::restart_words).
    #[must_use]
    pub fn owner_word(whose: Whose, key: &str) -> String {
        format!("{OWNER}{} {key}", whose.word())
    }

    /// The word that tells of an open standby; beside the owners in
    /// [`restart_words`](Self::restart_words).
    #[must_use]
    pub fn standby_word(open: &OpenStandby) -> String {
        format!("{STANDBY}{}", open.to_text())
    }

    /// The word that says that everything is being released; beside the owners in
    /// [`restart_words`](Self::restart_words).
    #[must_use]
    pub fn releases_word() -> String {
        RELEASES.to_owned()
    }

    /// The words after the program name with which this run replaces itself in place.
    #[must_use]
    pub fn restart_words(
        &self,
        held: Held,
        early: &[String],
        running: &[String],
        frozen: bool,
    ) -> Vec<String> {
        let mut words = vec!["-R".to_owned(), "-C".to_owned(), held.word().to_owned()];
        let letters = [
            ("-M", !self.manage_resources),
            ("-l", !self.realtime),
            ("-f", self.foreground),
        ];
        let given = letters.iter().filter(|(_, given)| *given);
        words.extend(given.map(|(letter, _)| (*letter).to_owned()));
        words.extend((0..self.debug).map(|_| "-d".to_owned()));
        words.extend_from_slice(early);
        words.push("--".to_owned());
        words.extend_from_slice(running);
        words.extend(frozen.then(|| FROZEN.to_owned()));
        words
    }
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
        running: Vec::new(),
        unfinished: Vec::new(),
        owners: Vec::new(),
        standby: None,
        releases: false,
        frozen: false,
        release: None,
        foreground: false,
        manage_resources: true,
        realtime: true,
        debug: 0,
        verbose: false,
    };
    let mut given = Getopt::new(LETTERS, words);
    for given in given.by_ref() {
        match given {
            Given::Flag('d') => options.debug = options.debug.saturating_add(1),
            Given::Flag('D') => defaults = true,
            Given::Flag('k') => stop = true,
            Given::Flag('M') => options.manage_resources = false,
            Given::Flag('r') => reload = true,
            Given::Flag('R') => restarted = true,
            Given::Flag('s') => status = true,
            Given::Flag('v') => options.verbose = true,
            Given::Flag('W') => wiki = true,
            Given::Flag('l') => options.realtime = false,
            Given::Flag('f') => options.foreground = true,
            Given::Flag('t') => check = true,
            Given::Flag('V') => {
                options.command = Command::Version;
                return Ok(options);
            }
            Given::Value(_, word) => held = Some(word),
            Given::Bad(complaint) => complaints.push(format!("{program}: {complaint}")),
            Given::Word(word) if word == RELEASES => options.releases = true,
            Given::Word(word) => match word.strip_prefix(STANDBY) {
                Some(text) => options.standby = OpenStandby::from_text(text),
                None => options.owners.extend(read_owner(&word)),
            },
            Given::Flag(_) => {}
        }
    }
    for word in given.rest() {
        if word == FROZEN {
            options.frozen = true;
        } else if let Some(key) = word.strip_prefix(UNFINISHED) {
            options.unfinished.push(key.to_owned());
        } else if let Some(why) = word.strip_prefix(RELEASE) {
            options.release = Some(why.to_owned());
        } else {
            options.running.push(word);
        }
    }
    if !complaints.is_empty() || (held.is_some() && !restarted) || (reload && restarted) {
        return Err(OptionError::Usage(complaints));
    }
    let held = match held {
        None => None,
        Some(word) => Some(Held::from_word(&word).ok_or(OptionError::BadHeld(word))?),
    };
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
        Command::Restarted(held)
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

    #[test]
    fn letters_may_be_joined_and_repeated() {
        let options = read("-lf -dd -Mv word").unwrap();
        assert_eq!(options.command, Command::Start);
        assert!(options.foreground && options.verbose);
        assert!(!options.realtime && !options.manage_resources);
        assert_eq!(options.debug, 2);
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
        assert_eq!(command("-R"), Command::Restarted(None));
        assert_eq!(command("-R -C all"), Command::Restarted(Some(Held::All)));
        assert_eq!(command("-RClocal"), Command::Restarted(Some(Held::Local)));
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

    #[test]
    fn a_restart_in_place_keeps_the_options() {
        let before = read("-f -M -dd").unwrap();
        let open = OpenStandby::from_text("takes all beta 3ea.1f");
        let owners = [
            Options::owner_word(Whose::Own, "10.0.0.1"),
            Options::owner_word(Whose::Left, "-odd"),
            Options::standby_word(open.as_ref().unwrap()),
            Options::releases_word(),
            "systole: a word of a later version".to_owned(),
        ];
        let running = ["10.0.0.1".into(), "-odd".into()];
        let mut words = before.restart_words(Held::All, &owners, &running, true);
        let after = parse("heartbeat", words.clone()).unwrap();
        assert!(after.frozen && after.release.is_none());
        words.push(Options::release_word("died-often"));
        let released = parse("heartbeat", words).unwrap();
        assert_eq!(released.release.as_deref(), Some("died-often"));
        assert_eq!(released.running, after.running);
        assert_eq!(after.command, Command::Restarted(Some(Held::All)));
        assert_eq!(after.running, ["10.0.0.1", "-odd"]);
        assert_eq!(
            after.owners,
            [
                (Whose::Own, "10.0.0.1".to_owned()),
                (Whose::Left, "-odd".to_owned())
            ]
        );
        assert_eq!(after.standby, open);
        assert!(after.releases);
        let same = Options {
            standby: None,
            releases: false,
            command: before.command,
            running: vec![],
            owners: vec![],
            frozen: false,
            ..after
        };
        assert_eq!(same, before);
    }
}
