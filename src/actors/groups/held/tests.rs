use std::fs;
use std::path::Path;

use super::*;
use crate::process::handover::file::MAX_BYTES;
use crate::process::handover::{self, Road};
use crate::protocol::event::{GroupOutcome, OrderId};
use crate::resources::left_open::OpenStandby;

/// The words of a node that holds nothing.
const NOTHING: [&str; 4] = ["-R", "-C", "none", "--"];

fn alpha() -> NodeName {
    NodeName::new("alpha").unwrap()
}

/// A node without groups in haresources.
fn file_for(path: &Path, resume: Option<&Resume>) -> HeldFile {
    HeldFile::new(
        Some(path.to_owned()),
        Called::default(),
        &alpha(),
        &[],
        resume,
    )
}

/// The state that a successor reads.
fn read(path: &Path) -> NodeState {
    handover::read(path).unwrap().into_state().unwrap()
}

/// The words that a successor gets.
fn words_in(path: &Path) -> Vec<String> {
    handover::read(path).unwrap().into_words()
}

fn unfinished(path: &Path) -> Vec<String> {
    let state = read(path);
    state.unfinished().map(ToString::to_string).collect()
}

fn holding(holding: HoldingSet) -> Duty {
    Duty {
        holding,
        ..Duty::default()
    }
}

fn command(order: u64, what: GroupOrder) -> GroupCommand {
    GroupCommand {
        order: OrderId(order),
        group: GroupKey::new("10.0.0.1"),
        what,
        careful: false,
    }
}

fn done(order: u64, outcome: GroupOutcome) -> GroupDone {
    GroupDone {
        order: OrderId(order),
        group: GroupKey::new("10.0.0.1"),
        outcome,
        said: None,
    }
}

#[test]
fn whose_each_group_is_stands_in_the_file_until_what_is_left_is_ordered_something() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let group = |owner, key| ResourceGroup {
        key: GroupKey::new(key),
        owner: NodeName::new(owner).unwrap(),
        resources: Vec::new(),
    };
    let groups = [group("alpha", "a"), group("beta", "10.0.0.1")];
    let resume = Resume {
        holding: HoldingSet::LOCAL,
        running: vec![GroupKey::new("a"), GroupKey::new("10.0.0.1")],
        left: vec![GroupKey::new("10.0.0.1")],
        ..Resume::default()
    };
    let path_too = Some(path.clone());
    let called = Called::default();
    let mut file = HeldFile::new(path_too, called, &alpha(), &groups, Some(&resume));
    let owners = || -> Vec<_> {
        let state = read(&path);
        let owners = state.groups.iter();
        owners
            .map(|(key, group)| (key.to_string(), group.whose))
            .collect()
    };
    let with = |last| {
        let a = ("a".to_owned(), Some(Whose::Own));
        vec![("10.0.0.1".to_owned(), Some(last)), a]
    };
    assert_eq!(owners(), with(Whose::Left));
    // If it is cut short, it is the rest of a release and not a group that is kept.
    file.ordered(&command(1, GroupOrder::Stop));
    assert_eq!(owners(), with(Whose::Other));
    // Before a restart in place membership reports it once more.
    let left = [GroupKey::new("10.0.0.1")].into();
    file.settled(&holding(HoldingSet::LOCAL), &left, &BTreeSet::new());
    assert_eq!(owners(), with(Whose::Left));
}

/// A successor with another process id comes after a death, and so does one for which an order came
/// between.
#[test]
fn a_restart_in_place_is_told_by_the_file_and_not_by_a_pid_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let mut file = file_for(&path, None);
    let own = std::process::id();
    let in_place = |process| read(&path).goes_on_in_place(process);
    assert_eq!(in_place(own), Some(false));
    let none = BTreeSet::new();
    file.settled(&holding(HoldingSet::LOCAL), &none, &none);
    assert_eq!(in_place(own), Some(true));
    assert_eq!(in_place(own + 1), Some(false));
    file.ordered(&command(1, GroupOrder::Stop));
    assert_eq!(in_place(own), Some(false));
    assert_eq!(NodeState::default().goes_on_in_place(own), None);
}

#[test]
fn what_may_run_is_in_the_file_from_the_order_to_the_end_of_the_stop() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let called = Called {
        debug: 1,
        ..Called::default()
    };
    let mut file = HeldFile::new(Some(path.clone()), called, &alpha(), &[], None);
    let words = |held: &str, keys: &[&str]| {
        let mut words = vec!["-R", "-C", held, "-d", "--"];
        words.extend(keys);
        words.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words_in(&path), words("none", &[]));
    file.duty(holding(HoldingSet::LOCAL));
    let in_hand = ["10.0.0.1", "systole: unfinished 10.0.0.1"];
    file.ordered(&command(1, GroupOrder::Start));
    assert_eq!(words_in(&path), words("local", &in_hand));
    file.done(&done(1, GroupOutcome::Started));
    assert_eq!(words_in(&path), words("local", &["10.0.0.1"]));
    file.ordered(&command(2, GroupOrder::Stop));
    assert_eq!(words_in(&path), words("local", &in_hand));
    file.done(&done(2, GroupOutcome::Stopped));
    file.duty(holding(HoldingSet::NONE));
    assert_eq!(words_in(&path), words("none", &[]));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// The path of the new file is taken, which has the same effect as a full file system.
#[test]
fn where_no_other_file_has_room_it_is_written_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let mut file = file_for(&path, None);
    file.ordered(&command(1, GroupOrder::Start));
    file.done(&done(1, GroupOutcome::Started));
    file.try_again();
    let obstacle = directory.path().join("held.tmp");
    fs::create_dir(&obstacle).unwrap();
    fs::write(obstacle.join("full"), "").unwrap();
    file.ordered(&command(2, GroupOrder::Stop));
    file.done(&done(2, GroupOutcome::Stopped));
    assert_eq!(words_in(&path), NOTHING);
    file.ordered(&command(3, GroupOrder::Start));
    assert_eq!(read(&path).may_run().count(), 1);
    assert_eq!(unfinished(&path), ["10.0.0.1"]);
    let text = fs::read(&path).unwrap();
    fs::remove_dir_all(&obstacle).unwrap();
    file.duty(holding(HoldingSet::NONE));
    file.all_are_unfinished();
    assert_eq!(fs::read(&path).unwrap(), text);
}

/// It cannot be written in place either: a successor knows that everything may run.
#[test]
fn what_cannot_be_written_is_no_orderly_end_and_is_written_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let obstacle = directory.path().join("held.tmp/full");
    fs::create_dir_all(&obstacle).unwrap();
    let mut file = file_for(&path, None);
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert!(handover::read(&path).is_err());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    file.ordered(&command(1, GroupOrder::Start));
    assert!(handover::read(&path).is_err());
    fs::remove_dir(&path).unwrap();
    fs::remove_dir_all(obstacle.parent().unwrap()).unwrap();
    file.try_again();
    assert_eq!(unfinished(&path), ["10.0.0.1"]);
}

/// The guardian could not read it either, and would release everything after a single death: that
/// is logged when it is written, not then.
#[test]
fn a_list_too_long_for_the_guardian_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let long = "x".repeat(MAX_BYTES - 100);
    let resume = Resume {
        holding: HoldingSet::ALL,
        running: vec![GroupKey::new(&long)],
        ..Resume::default()
    };
    let mut file = file_for(&path, Some(&resume));
    assert!(path.exists(), "without JSON it has room");
    assert_eq!(read(&path).may_run().count(), 1);
    let second = |what| GroupCommand {
        group: GroupKey::new(&"y".repeat(100)),
        ..command(1, what)
    };
    file.ordered(&second(GroupOrder::Start));
    assert!(path.exists() && handover::read(&path).is_err());
    file.done(&GroupDone {
        group: second(GroupOrder::Start).group,
        ..done(1, GroupOutcome::Stopped)
    });
    assert_eq!(read(&path).may_run().count(), 1);
}

#[test]
fn a_daemon_that_ends_for_a_successor_owes_it_every_group_that_may_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let mut file = file_for(&path, None);
    file.ordered(&command(1, GroupOrder::Start));
    file.done(&done(1, GroupOutcome::Started));
    file.duty(holding(HoldingSet::LOCAL));
    file.all_are_unfinished();
    assert_eq!(read(&path).holding, HoldingSet::LOCAL);
    assert_eq!(unfinished(&path), ["10.0.0.1"]);
    // A group that is not held is stopped.
    file.give_all_up();
    assert_eq!(read(&path).holding, HoldingSet::NONE);
    assert!(read(&path).releases);
    assert_eq!(unfinished(&path), ["10.0.0.1"]);
}

/// Otherwise a held group would run without its addresses for ever, and a group whose release is
/// cut short would not be released.
#[test]
fn groups_whose_addresses_were_taken_away_are_unfinished() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let mut file = file_for(&path, None);
    file.ordered(&command(1, GroupOrder::Start));
    file.done(&done(1, GroupOutcome::Started));
    let keys = [GroupKey::new("10.0.0.1"), GroupKey::new("10.0.0.2")];
    file.addresses(&keys, true);
    assert_eq!(
        unfinished(&path),
        ["10.0.0.1"],
        "the other does not run here"
    );
    file.addresses(&keys, false);
    assert_eq!(unfinished(&path), [""; 0]);
    file.addresses(&keys, true);
    file.ordered(&command(2, GroupOrder::Start));
    file.done(&done(2, GroupOutcome::Started));
    assert_eq!(unfinished(&path), [""; 0], "a start puts them back");
}

#[test]
fn a_successor_begins_with_what_was_held() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let resume = Resume {
        holding: HoldingSet::ALL,
        running: vec![GroupKey::new("a"), GroupKey::new("b")],
        unfinished: vec![GroupKey::new("10.0.0.1")],
        frozen: true,
        ..Resume::default()
    };
    let mut file = file_for(&path, Some(&resume));
    let again = |road| read(&path).resume(&alpha(), &[], road);
    assert_eq!(again(Road::InPlace), resume);
    let open = OpenStandby::from_text("takes all beta 3ea.1f");
    assert!(open.is_some());
    let duty = Duty {
        standby: open.clone(),
        releases: true,
        ..Duty::from(&resume)
    };
    file.duty(duty.clone());
    assert_eq!(
        again(Road::Death),
        Resume {
            standby: open,
            releases: true,
            ..resume.clone()
        }
    );
    file.duty(Duty {
        releases: false,
        frozen: false,
        ..duty
    });
    assert!(!read(&path).releases && !read(&path).frozen);
    // It is owed until it gets an order, and in hand from then on.
    file.ordered(&command(1, GroupOrder::Stop));
    assert_eq!(unfinished(&path), ["10.0.0.1"]);
    file.done(&done(1, GroupOutcome::Stopped));
    assert_eq!(unfinished(&path), [""; 0]);
    assert_eq!(read(&path).may_run().count(), 2);
    assert!(!read(&path).groups.contains_key(&GroupKey::new("10.0.0.1")));
}

/// Without a guardian there is no file, and a restart in place gets everything in its words.
#[test]
fn without_a_file_the_words_hold_the_whole_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    let with_file = file_for(&path, None).successor_words();
    assert_eq!(with_file, NOTHING);
    let without = HeldFile::new(None, Called::default(), &alpha(), &[], None).successor_words();
    let (state, _) = handover::file::handed_over(&directory.path().join("none"), without);
    let nothing = NodeState {
        replaces_itself: Some(0),
        ..NodeState::default()
    };
    assert_eq!(state, Some(nothing));
}
