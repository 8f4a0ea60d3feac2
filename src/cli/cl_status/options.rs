//! Subcommands and options of `cl_status`. Spec: docs/protocol/client-api.md, 14.

use crate::cli::getopt::{Getopt, Given};

/// The subcommands and the options that each takes; `p:` takes a value.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    ("clientstatus", "m"),
    ("hbstatus", "mv"),
    ("hblinkstatus", "m"),
    ("hbparameter", "mp:"),
    ("listhblinks", "mv"),
    ("listnodes", "mnpv"),
    ("nodestatus", "m"),
    ("nodeweight", "m"),
    ("nodesite", "m"),
    ("nodetype", "m"),
    ("rscstatus", "m"),
    ("test", "m"),
];

/// The options of one call.
#[derive(Default)]
pub(super) struct Options {
    /// `-m`.
    pub(super) for_people: bool,
    /// `-v`.
    pub(super) verbose: bool,
    /// `-n`.
    pub(super) normal: bool,
    /// `-p` without a value.
    pub(super) ping: bool,
    /// `-p` with one.
    pub(super) parameter: Option<String>,
    /// Words that are no options.
    pub(super) words: Vec<String>,
    /// The message of getopt about an unknown option.
    pub(super) bad: Option<String>,
}

impl Options {
    /// The options among the words after `command`. The first bad option ends them, except for
    /// `hbstatus`.
    pub(super) fn of(command: &str, letters: &'static str, words: &[String]) -> Self {
        let mut options = Self::default();
        let mut given = Getopt::new(letters, words.iter().cloned());
        for given in given.by_ref() {
            match given {
                Given::Flag('m') => options.for_people = true,
                Given::Flag('v') => options.verbose = true,
                Given::Flag('n') => options.normal = true,
                Given::Flag(_) => options.ping = true,
                Given::Value(_, name) => options.parameter = Some(name),
                Given::Word(word) => options.words.push(word),
                Given::Bad(complaint) => {
                    let line = format!("{command}: {complaint}");
                    options.bad.get_or_insert(line);
                    if command != "hbstatus" {
                        return options;
                    }
                }
            }
        }
        options.words.extend(given.rest());
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(command: &str, line: &str) -> Options {
        let (_, letters) = COMMANDS.iter().find(|(name, _)| *name == command).unwrap();
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Options::of(command, letters, &words)
    }

    #[test]
    fn p_takes_a_value_for_one_command_alone() {
        let parameter = options("hbparameter", "-mp deadtime");
        assert!(parameter.for_people && !parameter.ping);
        assert_eq!(parameter.parameter.as_deref(), Some("deadtime"));
        let list = options("listnodes", "-p deadtime");
        assert!(list.ping && list.parameter.is_none());
        assert_eq!(list.words, ["deadtime"]);
    }

    #[test]
    fn only_hbstatus_reads_on_behind_a_bad_option() {
        let stops = options("listnodes", "-x -v");
        assert!(!stops.verbose);
        let bad = "listnodes: invalid option -- 'x'";
        assert_eq!(stops.bad.as_deref(), Some(bad));
        let goes_on = options("hbstatus", "-x -yv");
        assert!(goes_on.verbose);
        let first = "hbstatus: invalid option -- 'x'";
        assert_eq!(goes_on.bad.as_deref(), Some(first));
    }
}
