//! One node as the rules see it: its desk, and what its files say by the checks of a start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::desk::Desk;
use super::facts::Content;
use crate::agents::script::ScriptCall;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::config::group_lines::{self, Logical};
use crate::config::load::{self, LoadOptions, Loaded, Purpose};
use crate::config::types::{MediumConfig, Written};
use crate::inspect::{Check, Finding, HostView, Network, Subject, look};
use crate::net::address::{AddressResource, parse_word};
use crate::notice::{Notice, Severity};
use crate::os::paths::Paths;

/// A node to judge.
pub(super) struct Node<'d> {
    desk: &'d Desk<'d>,
    /// Stands before its files: empty, or `beta:`.
    label: String,
    name: String,
    paths: Paths,
    loaded: Option<Loaded>,
    /// Lines above INFO that reading the files gave.
    complaints: Vec<Notice>,
    /// Findings of the checks of a start.
    checked: Vec<(&'static Check, Finding)>,
    blind: bool,
}

/// A resource word of haresources.
pub(super) struct Word {
    /// Line of haresources.
    pub(super) line: usize,
    /// The word.
    pub(super) text: String,
}

impl<'d> Node<'d> {
    /// Reads its files as a start does.
    pub(super) fn read(desk: &'d Desk<'d>, label: &str) -> Self {
        let paths = Paths::default();
        let label = if label.is_empty() {
            String::new()
        } else {
            format!("{label}:")
        };
        let options = LoadOptions {
            purpose: Purpose::Check,
            ..LoadOptions::default()
        };
        let needed = [paths.ha_cf(), paths.haresources()];
        let unread = |path: &PathBuf| matches!(desk.content(path), Content::Unknown(_));
        let mut node = Self {
            name: load::local_name(&paths, desk).to_ascii_lowercase(),
            blind: needed.iter().any(unread),
            desk,
            label,
            loaded: None,
            complaints: Vec::new(),
            checked: Vec::new(),
            paths,
        };
        let loud = |notice: &Notice| notice.severity() >= Severity::Warn;
        match load::load(&node.paths, desk, &options) {
            Ok(loaded) => {
                let subject = Subject {
                    config: &loaded.config,
                    sources: &loaded.sources,
                    paths: &node.paths,
                    host: desk,
                };
                node.checked = look(&subject, |_| true);
                let remarks = loaded.config.remarks.iter();
                node.complaints = remarks.filter(|it| loud(it)).cloned().collect();
                node.loaded = Some(loaded);
            }
            // The errors are those of what could not be read.
            Err(_) if node.blind => {}
            Err(failure) => {
                node.complaints = failure.lines.into_iter().filter(loud).collect();
            }
        }
        node
    }

    pub(super) fn desk(&self) -> &'d Desk<'d> {
        self.desk
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    pub(super) fn complaints(&self) -> &[Notice] {
        &self.complaints
    }

    pub(super) fn checked(&self) -> &[(&'static Check, Finding)] {
        &self.checked
    }

    /// What the files say; `None`: a start is refused.
    pub(super) fn config(&self) -> Option<&Config> {
        self.loaded.as_ref().map(|loaded| &loaded.config)
    }

    /// The lines of ha.cf with this directive, each with its number.
    pub(super) fn lines(&self, directive: &str) -> Vec<(usize, &Written)> {
        let written = self.loaded.iter().flat_map(|it| &it.sources.ha_cf);
        written
            .filter(|line| line.directive == directive)
            .filter_map(|line| Some((line.place.rsplit_once(':')?.1.parse().ok()?, line)))
            .collect()
    }

    pub(super) fn text(&self, path: &Path) -> Option<String> {
        self.desk.text(path)
    }

    /// The lines of haresources, whether or not a start would be refused.
    pub(super) fn groups(&self) -> Option<Vec<Logical>> {
        let text = self.text(&self.paths.haresources())?;
        Some(group_lines::logical(&text))
    }

    /// The resource words of the groups.
    pub(super) fn words(&self) -> Vec<Word> {
        let lines = self.groups().unwrap_or_default();
        let words = lines.into_iter().flat_map(|line| {
            let words = line.words.into_iter().skip(1);
            words
                .map(move |text| Word {
                    line: line.number,
                    text,
                })
                .collect::<Vec<_>>()
        });
        words.collect()
    }

    /// The service addresses, each with its word.
    pub(super) fn addresses(&self) -> Vec<(Word, AddressResource)> {
        let words = self.words().into_iter();
        words
            .filter_map(|word| {
                let address = parse_word(&word.text).ok().flatten()?;
                Some((word, address))
            })
            .collect()
    }

    /// The words that a script carries out, with its path where it is known to be there.
    pub(super) fn scripts(&self) -> Vec<(Word, ScriptCall, Option<PathBuf>)> {
        let words = self.words().into_iter();
        let scripts = words.filter(|word| matches!(parse_word(&word.text), Ok(None)));
        scripts
            .map(|word| {
                let call = ScriptCall::parse(&word.text);
                let found = call.locate(&self.paths, |path| self.desk.is_executable(path));
                (word, call, found.map(|it| it.path().to_owned()))
            })
            .collect()
    }

    /// The network, with the routes to these addresses.
    pub(super) fn network(&self, towards: &[IpAddr]) -> Option<Network> {
        self.desk.network(towards)
    }

    /// All addresses of its interfaces but loop-back ones.
    pub(super) fn own(&self) -> Vec<IpAddr> {
        let network = self.desk.net().unwrap_or_default();
        let own = network.assigned.iter().map(|it| it.address);
        own.filter(|address| !address.is_loopback()).collect()
    }

    /// The interfaces and devices of the media, each once.
    pub(super) fn media(&self) -> Vec<String> {
        let media = self.config().map(|config| config.media.as_slice());
        let mut names: Vec<String> = media
            .unwrap_or_default()
            .iter()
            .map(MediumConfig::link_name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether something here moves groups by what ping nodes say.
    pub(super) fn has_ipfail(&self) -> bool {
        self.config().is_some_and(|config| {
            let named = |command: &str| {
                let program = command.split_ascii_whitespace().next();
                program.is_some_and(|program| program.ends_with("/ipfail"))
            };
            config.settings.ipfail || config.respawn.iter().any(|it| named(&it.command))
        })
    }

    /// Whether the distribution's own service manager has this unit, and its whole text with drop-ins.
    pub(super) fn unit(&self, name: &str) -> Option<(PathBuf, String)> {
        const UNITS: [&str; 4] = [
            "/etc/systemd/system",
            "/run/systemd/system",
            "/lib/systemd/system",
            "/usr/lib/systemd/system",
        ];
        let unit = format!("{name}.service");
        let places = UNITS.iter().map(|it| Path::new(it).join(&unit));
        let mut found = places
            .filter_map(|path| Some((path.clone(), self.text(&path)?)))
            .collect::<Vec<_>>()
            .into_iter();
        let (path, mut text) = found.next()?;
        for directory in UNITS {
            for drop_in in self.desk.files(&format!("{directory}/{unit}.d"), ".conf") {
                text.push('\n');
                text.push_str(&self.text(&drop_in).unwrap_or_default());
            }
        }
        Some((path, text))
    }
}

/// The names behind `node` in the text of an ha.cf, in its order.
pub(super) fn nodes_in(ha_cf: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in ha_cf.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line
            .split([' ', '\t', ',', '\r'])
            .filter(|it| !it.is_empty());
        if words.next() == Some("node") {
            names.extend(words.map(str::to_owned));
        }
    }
    names
}

/// Numbers of lines, from 1.
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}
