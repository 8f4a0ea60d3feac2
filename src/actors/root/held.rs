//! What this node holds, in a small file for the guardian: the words with which the daemon is to be
//! started again. Written before a group is ordered to start and after it has stopped, so that a
//! group that may run is always named. It lies in memory (`/run`) and root's thread writes it: the
//! heartbeat path never waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use tracing::{error, info};

use crate::actors::membership::handover::Resume;
use crate::actors::messages::{GroupCommand, GroupDone};
use crate::cli::{Held, Options};
use crate::process::files::replace;
use crate::process::guardian::MAX_HELD_BYTES;
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::OpenStandby;
use crate::resources::owners::Whose;

/// The groups as haresources had them when the daemon began.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    pub(super) local: NodeName,
    pub(super) all: Vec<ResourceGroup>,
}

/// Whose each group is, in words for a successor: by another haresources the same set means other
/// groups.
pub(super) fn owner_words(
    local: &NodeName,
    groups: &[ResourceGroup],
    left: &BTreeSet<&GroupKey>,
    came: &BTreeSet<&GroupKey>,
) -> Vec<String> {
    let word = |group: &ResourceGroup| {
        let own = group.owner == *local;
        let whose = if own && came.contains(&group.key) {
            Whose::Came
        } else if own {
            Whose::Own
        } else if left.contains(&group.key) {
            Whose::Left
        } else {
            Whose::Other
        };
        Options::owner_word(whose, group.key.as_str())
    };
    groups.iter().map(word).collect()
}

/// The file and what stands in it.
#[derive(Debug)]
pub(super) struct HeldFile {
    /// `None`: there is no guardian.
    path: Option<PathBuf>,
    options: Options,
    groups: Groups,
    holding: HoldingSet,
    may_run: BTreeSet<GroupKey>,
    /// Orders in hand, and their groups: what comes of them a successor has to find out.
    in_hand: BTreeMap<OrderId, GroupKey>,
    /// Groups that a predecessor left so and that have not been ordered anything since.
    owed: BTreeSet<GroupKey>,
    /// Groups whose addresses were taken away and that have not been ordered anything since: a successor
    /// has to put them back, or to stop the group.
    bare: BTreeSet<GroupKey>,
    /// Groups that run here and are left to their owner.
    left: BTreeSet<GroupKey>,
    /// Groups that are ours by now and ran on the other node.
    came: BTreeSet<GroupKey>,
    /// The standby in which the node is.
    standby: Option<OpenStandby>,
    /// Everything is being released.
    releases: bool,
    frozen: bool,
    /// The last write failed: there is no file.
    is_missing: bool,
}

impl HeldFile {
    /// Writes the file for a node that begins with `resume`.
    pub(super) fn new(
        path: Option<PathBuf>,
        options: &Options,
        groups: Groups,
        resume: Option<&Resume>,
    ) -> Self {
        let mut file = Self {
            path,
            options: options.clone(),
            groups,
            holding: resume.map_or(HoldingSet::NONE, |resume| resume.holding),
            may_run: resume
                .map(|resume| resume.running.iter().cloned().collect())
                .unwrap_or_default(),
            in_hand: BTreeMap::new(),
            owed: resume
                .map(|resume| resume.unfinished.iter().cloned().collect())
                .unwrap_or_default(),
            bare: BTreeSet::new(),
            left: resume
                .map(|resume| resume.left.iter().cloned().collect())
                .unwrap_or_default(),
            came: resume
                .map(|resume| resume.came.iter().cloned().collect())
                .unwrap_or_default(),
            standby: resume.and_then(|resume| resume.standby.clone()),
            releases: resume.is_some_and(|resume| resume.releases),
            frozen: resume.is_some_and(|resume| resume.frozen),
            is_missing: false,
        };
        file.write();
        file
    }

    /// Call before the order is handed on.
    pub(super) fn ordered(&mut self, command: &GroupCommand) {
        if command.what == GroupOrder::Start {
            self.may_run.insert(command.group.clone());
        }
        self.owed.remove(&command.group);
        self.bare.remove(&command.group);
        self.left.remove(&command.group);
        if command.what == GroupOrder::Start {
            self.came.remove(&command.group);
        }
        self.in_hand.insert(command.order, command.group.clone());
        self.write();
    }

    /// Call before the outcome is handed on.
    pub(super) fn done(&mut self, done: &GroupDone) {
        self.in_hand.remove(&done.order);
        match done.outcome {
            GroupOutcome::Started | GroupOutcome::StopFailed { .. } => {
                self.may_run.insert(done.group.clone())
            }
            GroupOutcome::Stopped
            | GroupOutcome::StartFailed { .. }
            | GroupOutcome::AddressTaken { .. } => self.may_run.remove(&done.group),
        };
        self.write();
    }

    /// Call before addresses are taken away, or put back, beside the orders.
    pub(super) fn addresses(&mut self, groups: &[GroupKey], withdraw: bool) {
        if withdraw {
            self.bare.extend(groups.iter().cloned());
        } else {
            self.bare.retain(|key| !groups.contains(key));
        }
        self.write();
    }

    pub(super) fn holding(&mut self, holding: HoldingSet) {
        if self.holding != holding {
            self.holding = holding;
            self.write();
        }
    }

    pub(super) fn standby(&mut self, standby: Option<OpenStandby>) {
        if self.standby != standby {
            self.standby = standby;
            self.write();
        }
    }

    pub(super) fn releases(&mut self, releases: bool) {
        if self.releases != releases {
            self.releases = releases;
            self.write();
        }
    }

    pub(super) fn frozen(&mut self, frozen: bool) {
        if self.frozen != frozen {
            self.frozen = frozen;
            self.write();
        }
    }

    /// Another node runs everything by now: a successor holds nothing and stops what may still run.
    pub(super) fn give_all_up(&mut self) {
        self.holding = HoldingSet::NONE;
        self.standby = None;
        self.releases = true;
        self.owe_all();
    }

    /// A successor finds out of every group that may run whether it does.
    pub(super) fn owe_all(&mut self) {
        self.owed.extend(self.may_run.iter().cloned());
        self.write();
    }

    /// Writes what could not be written before.
    pub(super) fn try_again(&mut self) {
        if self.is_missing {
            self.write();
        }
    }

    fn write(&mut self) {
        let Some(path) = &self.path else {
            return;
        };
        let held = Held::from_word(self.holding.word()).unwrap_or(Held::None);
        let (left, came) = (self.left.iter().collect(), self.came.iter().collect());
        let mut early = owner_words(&self.groups.local, &self.groups.all, &left, &came);
        early.extend(self.standby.as_ref().map(Options::standby_word));
        early.extend(self.releases.then(Options::releases_word));
        let bare = self.bare.intersection(&self.may_run);
        let unfinished = self.in_hand.values().chain(&self.owed).chain(bare);
        let unfinished: BTreeSet<_> = unfinished.collect();
        let unfinished = unfinished.into_iter();
        let unfinished = unfinished.map(|key| Options::unfinished_word(&key.to_string()));
        let running = self.may_run.iter().map(ToString::to_string);
        let running: Vec<String> = running.chain(unfinished).collect();
        let mut text = self
            .options
            .restart_words(held, &early, &running, self.frozen)
            .join("\n");
        text.push('\n');
        let written = if text.len() > MAX_HELD_BYTES {
            Err(io::Error::other("more groups than a guardian takes"))
        } else {
            replace(path, text.as_bytes())
        };
        match written {
            Ok(()) => {
                if std::mem::take(&mut self.is_missing) {
                    info!(path = %path.display(), "what is held is written down again");
                }
            }
            Err(error) => {
                // What was held before would be wrong, and nobody would know. Of no file the
                // guardian knows that it has to release everything.
                let _ = fs::remove_file(path);
                if !std::mem::replace(&mut self.is_missing, true) {
                    error!(path = %path.display(), %error, "what is held cannot be written down: if the daemon were killed now, its guardian would release everything");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    use crate::cli::options::parse;
    use crate::process::guardian::read_held;

    fn none() -> Groups {
        Groups {
            local: NodeName::new("alpha").unwrap(),
            all: Vec::new(),
        }
    }

    #[test]
    fn whose_each_group_is_stands_in_the_file_until_what_is_left_is_ordered_something() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        let options = parse("heartbeat", []).unwrap();
        let group = |owner, key| ResourceGroup {
            key: GroupKey::new(key),
            owner: NodeName::new(owner).unwrap(),
            resources: Vec::new(),
        };
        let groups = Groups {
            all: vec![group("alpha", "a"), group("beta", "10.0.0.1")],
            ..none()
        };
        let resume = Resume {
            holding: HoldingSet::LOCAL,
            running: vec![GroupKey::new("a"), GroupKey::new("10.0.0.1")],
            unfinished: Vec::new(),
            left: vec![GroupKey::new("10.0.0.1")],
            came: Vec::new(),
            to_go_home: false,
            standby: None,
            releases: false,
            frozen: false,
        };
        let mut file = HeldFile::new(Some(path.clone()), &options, groups, Some(&resume));
        let read = || {
            let words = read_held(&path).unwrap().into_iter();
            let words = words.map(|word| word.into_string().unwrap());
            parse("heartbeat", words).unwrap().owners
        };
        let owners = |last| {
            let a = (Whose::Own, "a".to_owned());
            vec![a, (last, "10.0.0.1".to_owned())]
        };
        assert_eq!(read(), owners(Whose::Left));
        // Should it be cut short, it is the rest of a release and no group that is kept.
        file.ordered(&command(GroupOrder::Stop));
        assert_eq!(read(), owners(Whose::Other));
    }

    fn command(what: GroupOrder) -> GroupCommand {
        GroupCommand {
            order: OrderId(1),
            group: GroupKey::new("10.0.0.1"),
            what,
            careful: false,
        }
    }

    fn done(outcome: GroupOutcome) -> GroupDone {
        GroupDone {
            order: OrderId(1),
            group: GroupKey::new("10.0.0.1"),
            outcome,
            said: None,
        }
    }

    #[test]
    fn what_may_run_is_in_the_file_from_the_order_to_the_end_of_the_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        let options = parse("heartbeat", ["-d".to_owned()]).unwrap();
        let mut file = HeldFile::new(Some(path.clone()), &options, none(), None);
        let words = |held: &str, keys: &[&str]| {
            let mut words = vec!["-R", "-C", held, "-d", "--"];
            words.extend(keys);
            words.into_iter().map(OsString::from).collect::<Vec<_>>()
        };
        assert_eq!(read_held(&path).unwrap(), words("none", &[]));
        file.holding(HoldingSet::LOCAL);
        let in_hand = ["10.0.0.1", "systole: unfinished 10.0.0.1"];
        file.ordered(&command(GroupOrder::Start));
        assert_eq!(read_held(&path).unwrap(), words("local", &in_hand));
        file.done(&done(GroupOutcome::Started));
        assert_eq!(read_held(&path).unwrap(), words("local", &["10.0.0.1"]));
        file.ordered(&command(GroupOrder::Stop));
        assert_eq!(read_held(&path).unwrap(), words("local", &in_hand));
        file.done(&done(GroupOutcome::Stopped));
        file.holding(HoldingSet::NONE);
        assert_eq!(read_held(&path).unwrap(), words("none", &[]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    /// The place of the new file is taken, as it is when the file system is full.
    #[test]
    fn what_cannot_be_written_leaves_no_stale_file_and_is_written_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        let options = parse("heartbeat", []).unwrap();
        let mut file = HeldFile::new(Some(path.clone()), &options, none(), None);
        file.ordered(&command(GroupOrder::Start));
        file.done(&done(GroupOutcome::Started));
        file.try_again();
        let obstacle = directory.path().join("held.tmp");
        fs::create_dir(&obstacle).unwrap();
        fs::write(obstacle.join("full"), "").unwrap();
        file.ordered(&command(GroupOrder::Stop));
        file.done(&done(GroupOutcome::Stopped));
        assert!(!path.exists(), "a successor would take the group for held");
        file.try_again();
        assert!(!path.exists());
        fs::remove_dir_all(&obstacle).unwrap();
        file.try_again();
        let words = read_held(&path).unwrap();
        assert_eq!(words, ["-R", "-C", "none", "--"].map(OsString::from));
    }

    /// The guardian would not read it either, and release everything after a single death: that is
    /// said when it is written, not then.
    #[test]
    fn a_list_too_long_for_the_guardian_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        let options = parse("heartbeat", []).unwrap();
        let long = "x".repeat(MAX_HELD_BYTES - 100);
        let resume = Resume {
            holding: HoldingSet::ALL,
            running: vec![GroupKey::new(&long)],
            unfinished: Vec::new(),
            left: Vec::new(),
            came: Vec::new(),
            to_go_home: false,
            standby: None,
            releases: false,
            frozen: false,
        };
        let mut file = HeldFile::new(Some(path.clone()), &options, none(), Some(&resume));
        assert!(read_held(&path).is_ok());
        let second = |what| GroupCommand {
            group: GroupKey::new(&"y".repeat(100)),
            ..command(what)
        };
        file.ordered(&second(GroupOrder::Start));
        assert!(file.is_missing && !path.exists());
        file.done(&GroupDone {
            group: second(GroupOrder::Start).group,
            ..done(GroupOutcome::Stopped)
        });
        assert!(!file.is_missing && read_held(&path).is_ok());
    }

    #[test]
    fn a_daemon_that_ends_for_a_successor_owes_it_every_group_that_may_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        let options = parse("heartbeat", []).unwrap();
        let mut file = HeldFile::new(Some(path.clone()), &options, none(), None);
        file.ordered(&command(GroupOrder::Start));
        file.done(&done(GroupOutcome::Started));
        file.holding(HoldingSet::LOCAL);
        let read = || {
            let words = read_held(&path).unwrap();
            let words = words.into_iter().map(|word| word.into_string().unwrap());
            let words: Vec<_> = words.collect();
            let options = parse("heartbeat", words.clone()).unwrap();
            (words[2].clone(), options.unfinished)
        };
        file.owe_all();
        assert_eq!(read(), ("local".to_owned(), vec!["10.0.0.1".to_owned()]));
        // What nobody holds is stopped.
        file.give_all_up();
        assert_eq!(read(), ("none".to_owned(), vec!["10.0.0.1".to_owned()]));
    }

    /// Else a group that is held would run without its addresses for good, and one whose release is cut
    /// short would not be released.
    #[test]
    fn groups_whose_addresses_were_taken_away_are_unfinished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        let options = parse("heartbeat", []).unwrap();
        let mut file = HeldFile::new(Some(path.clone()), &options, none(), None);
        let read = || {
            let words = read_held(&path).unwrap().into_iter();
            let words = words.map(|word| word.into_string().unwrap());
            parse("heartbeat", words).unwrap().unfinished
        };
        file.ordered(&command(GroupOrder::Start));
        file.done(&done(GroupOutcome::Started));
        let keys = [GroupKey::new("10.0.0.1"), GroupKey::new("10.0.0.2")];
        file.addresses(&keys, true);
        assert_eq!(read(), ["10.0.0.1"], "the other does not run here");
        file.addresses(&keys, false);
        assert_eq!(read(), [""; 0]);
        file.addresses(&keys, true);
        file.ordered(&command(GroupOrder::Start));
        file.done(&done(GroupOutcome::Started));
        assert_eq!(read(), [""; 0], "a start puts them back");
    }

    /// Files as versions wrote them that are out there: what is read from one is written again as the same
    /// bytes.
    #[test]
    fn the_words_of_released_versions_are_what_they_were() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/handover");
        let mut seen = 0;
        for version in ["381d4ec", "44c1ac9"] {
            for file in fs::read_dir(format!("{place}/{version}")).unwrap() {
                let path = file.unwrap().path();
                let text = fs::read_to_string(&path).unwrap();
                let words = text.lines().map(str::to_owned);
                let read = parse("heartbeat", words).unwrap();
                let owners = read.owners.iter();
                let mut early: Vec<String> = owners
                    .map(|(whose, key)| Options::owner_word(*whose, key))
                    .collect();
                early.extend(read.standby.as_ref().map(Options::standby_word));
                early.extend(read.releases.then(Options::releases_word));
                let unfinished = read.unfinished.iter();
                let unfinished = unfinished.map(|key| Options::unfinished_word(key));
                let running: Vec<String> = read.running.iter().cloned().chain(unfinished).collect();
                let crate::cli::Command::Restarted(Some(held)) = read.command else {
                    panic!("{path:?}");
                };
                let again = read.restart_words(held, &early, &running, read.frozen);
                assert_eq!(again.join("\n") + "\n", text, "{path:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, 24);
    }

    #[test]
    fn a_successor_begins_with_what_was_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        let options = parse("heartbeat", []).unwrap();
        let resume = Resume {
            holding: HoldingSet::ALL,
            running: vec![GroupKey::new("a"), GroupKey::new("b")],
            unfinished: vec![GroupKey::new("10.0.0.1")],
            left: Vec::new(),
            came: Vec::new(),
            to_go_home: false,
            standby: None,
            releases: false,
            frozen: true,
        };
        let mut file = HeldFile::new(Some(path.clone()), &options, none(), Some(&resume));
        let open = OpenStandby::from_text("takes all beta 3ea.1f");
        assert!(open.is_some());
        file.standby(open.clone());
        let words = read_held(&path).unwrap();
        let words = words
            .into_iter()
            .map(|word| word.to_string_lossy().into_owned());
        let read = parse("heartbeat", words).unwrap();
        assert_eq!(read.standby, open);
        assert!(!read.releases);
        for everything in [true, false] {
            file.releases(everything);
            let words = read_held(&path).unwrap().into_iter();
            let words = words.map(|word| word.into_string().unwrap());
            let read = parse("heartbeat", words).unwrap();
            assert_eq!(read.releases, everything);
        }
        assert!(read.frozen);
        assert_eq!(read.running, ["a", "b"]);
        assert_eq!(read.unfinished, ["10.0.0.1"]);
        assert_eq!(
            read.command,
            crate::cli::Command::Restarted(Some(Held::All))
        );
        file.frozen(false);
        // Until it is ordered something it is owed, and from then on in hand.
        file.ordered(&command(GroupOrder::Stop));
        file.done(&done(GroupOutcome::Stopped));
        let words = read_held(&path).unwrap();
        assert_eq!(words.last().and_then(|word| word.to_str()), Some("b"));
    }
}
