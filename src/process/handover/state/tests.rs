use super::*;

fn keys<'a>(keys: impl Iterator<Item = &'a GroupKey>) -> Vec<String> {
    keys.map(ToString::to_string).collect()
}

fn group(owner: &str, key: &str) -> ResourceGroup {
    ResourceGroup {
        key: GroupKey::new(key),
        owner: NodeName::new(owner).unwrap(),
        resources: vec![key.to_owned()],
    }
}

fn full() -> NodeState {
    let mut state = NodeState {
        called: Called {
            manage_resources: true,
            realtime: false,
            foreground: true,
            debug: 2,
        },
        holding: HoldingSet::ALL,
        standby: OpenStandby::from_text("takes all beta 3ea.1f"),
        releases: true,
        frozen: true,
        to_go_home: true,
        failback_due: true,
        unknown: false,
        replaces_itself: None,
        watchdog: None,
        unfenced: Vec::new(),
        proven: BTreeMap::new(),
        groups: BTreeMap::new(),
    };
    *state.group(&GroupKey::new("10.0.0.1")) = GroupState {
        whose: Some(Whose::Left),
        may_run: true,
        unfinished: true,
    };
    state.group(&GroupKey::new("gone \"é\"")).may_run = true;
    state
}

#[test]
fn json_is_read_back() {
    for state in [NodeState::default(), full()] {
        let text = state.to_json().unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(NodeState::from_json(&text).unwrap(), state);
    }
}

/// The text itself is compared, so that a change of it is seen: other versions read it.
#[test]
fn the_json_of_version_2_is_what_it_was() {
    let text = "{\"version\":2,\"readable_by\":1,\"state\":{\"called\":{\"manage_resources\":true,\
        \"realtime\":false,\"foreground\":true,\"debug\":2},\"holding\":\"all\",\"groups\":{\"10.0.0.1\":\
        {\"whose\":\"left\",\"may_run\":true,\"unfinished\":true},\"gone \\\"é\\\"\":{\"may_run\":true}},\
        \"standby\":\"takes all beta 3ea.1f\",\"releases\":true,\"frozen\":true,\"to_go_home\":true,\
        \"failback_due\":true}}";
    assert_eq!(NodeState::from_json(text).unwrap(), full());
    let text = text.replace("\"version\":2", "\"version\":6");
    assert_eq!(full().to_json().unwrap(), text);
    let third = NodeState {
        unknown: true,
        replaces_itself: Some(7),
        ..full()
    };
    let text = text.strip_suffix("}}").unwrap();
    let text = format!("{text},\"unknown\":true,\"replaces_itself\":7}}}}");
    assert_eq!(third.to_json().unwrap(), text);
    let fourth = NodeState {
        watchdog: Some("/dev/watchdog".into()),
        ..third
    };
    let text = text.strip_suffix("}}").unwrap();
    let text = format!("{text},\"watchdog\":\"/dev/watchdog\"}}}}");
    assert_eq!(fourth.to_json().unwrap(), text);
    assert_eq!(NodeState::from_json(&text).unwrap(), fourth);
    let fifth = NodeState {
        unfenced: vec![NodeName::new("beta").unwrap()],
        ..fourth
    };
    let text = text.replace("watchdog\"}}", "watchdog\",\"unfenced\":[\"beta\"]}}");
    assert_eq!(fifth.to_json().unwrap(), text);
    assert_eq!(NodeState::from_json(&text).unwrap(), fifth);
    // What is no name of a node is left out.
    let more = text.replace("[\"beta\"]", "[\"beta\",\"\",\"a b\"]");
    assert_eq!(NodeState::from_json(&more).unwrap(), fifth);
    let checks = vec!["web status".to_owned()];
    let sixth = NodeState {
        proven: BTreeMap::from([("10.0.0.1".to_owned(), checks)]),
        ..fifth
    };
    let text = text.replace("]}}", "],\"proven\":{\"10.0.0.1\":[\"web status\"]}}}");
    assert_eq!(sixth.to_json().unwrap(), text);
    assert_eq!(NodeState::from_json(&text).unwrap(), sixth);
}

/// A program of version 1 wrote it.
#[test]
fn the_json_of_version_1_says_nothing_of_a_failback() {
    let text = full().to_json().unwrap();
    let text = text.replace("\"version\":6", "\"version\":1");
    let text = text.replace(",\"failback_due\":true", "");
    let state = NodeState::from_json(&text).unwrap();
    let expected = NodeState {
        failback_due: false,
        ..full()
    };
    assert_eq!(state, expected);
}

#[test]
fn what_is_missing_has_a_default_and_what_is_unknown_is_ignored() {
    let read = |text: &str| NodeState::from_json(text).unwrap();
    assert_eq!(
        read(r#"{"readable_by":1,"state":{}}"#),
        NodeState::default()
    );
    let later = read(
        r#"{"version":7,"readable_by":1,"more":[{}],"state":{"holding":"local","new":{"a":1},
        "groups":{"a":{"whose":"lent","may_run":true,"new":null}},"standby":"dances all beta 1.1"}}"#,
    );
    assert_eq!(later.holding, HoldingSet::LOCAL);
    assert_eq!(keys(later.may_run()), ["a"]);
    assert_eq!(later.groups[&GroupKey::new("a")].whose, None);
    assert_eq!(later.standby, None);
}

#[test]
fn what_would_be_misunderstood_is_refused_with_a_reason() {
    let why = |text: &str| NodeState::from_json(text).unwrap_err().to_string();
    assert!(why(r#"{"version":9,"readable_by":7,"state":[1]}"#).contains("only version 7"));
    assert!(why(r#"{"readable_by":1,"state":{"holding":"most"}}"#).contains("no set: \"most\""));
    assert!(why(r#"{"readable_by":1}"#).contains("missing field `state`"));
    assert!(why(r#"{"state":{}}"#).contains("readable_by"));
    assert!(why("").contains("EOF"));
    assert!(why(r#"{"readable_by":1,"state":{}} x"#).contains("trailing"));
    assert!(why(r#"{"readable_by":-1,"state":{}}"#).contains("invalid value"));
    // However deep it is nested, it must not exhaust the stack.
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    let nested = deep("[", "]");
    assert!(NodeState::from_json(&format!(r#"{{"readable_by":1,"state":{nested}}}"#)).is_err());
    let cut = deep("{\"a\":", "");
    assert!(NodeState::from_json(&format!(r#"{{"readable_by":1,"new":{cut}"#)).is_err());
    let unknown = format!(r#"{{"readable_by":1,"state":{{"new":{nested}}}}}"#);
    assert_eq!(
        NodeState::from_json(&unknown).unwrap(),
        NodeState::default()
    );
}

#[test]
fn a_node_that_begins_has_nothing_and_knows_whose_its_groups_are() {
    let alpha = NodeName::new("alpha").unwrap();
    let groups = [group("alpha", "a"), group("beta", "b")];
    let state = NodeState::begin(Called::default(), &alpha, &groups, None);
    assert_eq!(state.holding, HoldingSet::NONE);
    assert_eq!(state.groups[&GroupKey::new("a")].whose, Some(Whose::Own));
    assert_eq!(state.groups[&GroupKey::new("b")].whose, Some(Whose::Other));
    assert!(keys(state.may_run()).is_empty() && keys(state.unfinished()).is_empty());
}

/// For each road: a successor goes on with what the process before it went on with.
#[test]
fn what_is_written_is_resumed() {
    let alpha = NodeName::new("alpha").unwrap();
    let groups = [group("alpha", "a"), group("alpha", "c"), group("beta", "b")];
    let resume = Resume {
        holding: HoldingSet::LOCAL,
        running: vec![
            GroupKey::new("a"),
            GroupKey::new("b"),
            GroupKey::new("gone"),
        ],
        unfinished: vec![GroupKey::new("a")],
        left: vec![GroupKey::new("b")],
        came: vec![GroupKey::new("c")],
        standby: OpenStandby::from_text("takes all beta 3ea.1f"),
        releases: true,
        frozen: true,
        proven: BTreeMap::from([(GroupKey::new("a"), vec!["web status".to_owned()])]),
        ..Resume::default()
    };
    let state = NodeState::begin(Called::default(), &alpha, &groups, Some(&resume));
    assert_eq!(state.resume(&alpha, &groups, Road::InPlace), resume);
    assert_eq!(state.resume(&alpha, &groups, Road::Death), resume);
    let released = state.resume(&alpha, &groups, Road::Release);
    let expected = Resume {
        unfinished: vec![],
        standby: None,
        releases: false,
        frozen: false,
        proven: BTreeMap::new(),
        ..resume
    };
    assert_eq!(released, expected);
}

/// The last report before the death may have been that it is released.
#[test]
fn after_a_death_a_half_of_which_nothing_may_run_is_not_held() {
    let alpha = NodeName::new("alpha").unwrap();
    let groups = [group("alpha", "a"), group("beta", "b")];
    let resume = Resume {
        holding: HoldingSet::ALL,
        running: vec![GroupKey::new("b")],
        ..Resume::default()
    };
    let state = NodeState::begin(Called::default(), &alpha, &groups, Some(&resume));
    let held = |road| state.resume(&alpha, &groups, road).holding;
    assert_eq!(held(Road::InPlace), HoldingSet::ALL);
    assert_eq!(held(Road::Death), HoldingSet::FOREIGN);
}

/// A change of haresources made groups foreign that run here. The next successor finds the same
/// file, so it cannot see the change: it has to be told.
#[test]
fn what_is_to_go_home_is_so_after_a_second_death_and_a_restart_in_place() {
    let alpha = NodeName::new("alpha").unwrap();
    let before = [group("alpha", "a")];
    let resume = Resume {
        holding: HoldingSet::LOCAL,
        running: vec![GroupKey::new("a")],
        ..Resume::default()
    };
    let state = NodeState::begin(Called::default(), &alpha, &before, Some(&resume));
    let after = [group("beta", "a")];
    let mut resume = state.resume(&alpha, &after, Road::InPlace);
    assert!(resume.to_go_home);
    for road in [Road::Death, Road::InPlace, Road::Death] {
        let state = NodeState::begin(Called::default(), &alpha, &after, Some(&resume));
        let text = state.to_json().unwrap();
        resume = NodeState::from_json(&text)
            .unwrap()
            .resume(&alpha, &after, road);
        assert!(resume.to_go_home, "{road:?}");
    }
    // The node has reported that they are where they belong.
    let mut state = NodeState::begin(Called::default(), &alpha, &after, Some(&resume));
    state.set_duty(Duty {
        to_go_home: false,
        ..Duty::from(&resume)
    });
    assert!(!state.resume(&alpha, &after, Road::Death).to_go_home);
    // The file was changed back: nothing of it is foreign any more.
    let state = NodeState::begin(Called::default(), &alpha, &after, Some(&resume));
    assert!(!state.resume(&alpha, &before, Road::Death).to_go_home);
    assert!(
        !state
            .resume(&alpha, &[group("beta", "b")], Road::InPlace)
            .to_go_home
    );
}

/// Their owner has died and is back: no node declares it dead again. So a successor has to be told.
#[test]
fn a_failback_is_due_after_a_restart_in_place_and_a_death() {
    let alpha = NodeName::new("alpha").unwrap();
    let groups = [group("alpha", "a"), group("beta", "b")];
    let mut resume = Resume {
        holding: HoldingSet::ALL,
        running: vec![GroupKey::new("a"), GroupKey::new("b")],
        failback_due: true,
        ..Resume::default()
    };
    for road in [Road::InPlace, Road::Death] {
        let state = NodeState::begin(Called::default(), &alpha, &groups, Some(&resume));
        let text = state.to_json().unwrap();
        resume = NodeState::from_json(&text)
            .unwrap()
            .resume(&alpha, &groups, road);
        assert_eq!((resume.failback_due, resume.to_go_home), (true, false));
    }
    let mut state = NodeState::begin(Called::default(), &alpha, &groups, Some(&resume));
    // By now they belong to this node.
    let after = [group("alpha", "a"), group("alpha", "b")];
    assert!(!state.resume(&alpha, &after, Road::InPlace).failback_due);
    // They were given back.
    state.set_duty(Duty {
        holding: HoldingSet::LOCAL,
        failback_due: false,
        ..Duty::from(&resume)
    });
    assert!(!state.resume(&alpha, &groups, Road::InPlace).failback_due);
}

#[test]
fn only_what_is_named_is_unfinished_and_nothing_is_kept_of_a_group_that_is_gone() {
    let mut state = full();
    let (first, second) = (GroupKey::new("10.0.0.1"), GroupKey::new("x"));
    let gone = GroupKey::new("gone \"é\"");
    state.set_work(&[&first, &gone].into(), &[&second].into());
    assert_eq!(keys(state.unfinished()), ["x"]);
    assert_eq!(keys(state.may_run()), ["10.0.0.1", "gone \"é\""]);
    state.set_work(&[&gone].into(), &BTreeSet::new());
    assert_eq!(keys(state.may_run()), ["gone \"é\""]);
    assert!(
        !state.groups.contains_key(&second),
        "nothing is known of it"
    );
    assert!(state.groups.contains_key(&first), "it is in haresources");
}

/// While the group was out of the file, a person stopped it by hand, as the log line about it says.
/// It must not count as running.
#[test]
fn a_group_that_is_back_in_haresources_is_looked_at() {
    let alpha = NodeName::new("alpha").unwrap();
    let both = [group("alpha", "a"), group("alpha", "b")];
    let called = Called::default();
    let mut state = NodeState::begin(called, &alpha, &both, None);
    state.holding = HoldingSet::LOCAL;
    state.group(&GroupKey::new("a")).may_run = true;
    state.group(&GroupKey::new("b")).may_run = true;
    let without = state.resume(&alpha, &both[..1], Road::InPlace);
    assert_eq!(without.unfinished, []);
    let state = NodeState::begin(called, &alpha, &both[..1], Some(&without));
    let back = state.resume(&alpha, &both, Road::InPlace);
    assert_eq!(keys(back.unfinished.iter()), ["b"]);
    // Settled, it is like any other.
    let state = NodeState::begin(called, &alpha, &both, Some(&back));
    let mut settled = state.clone();
    settled.group(&GroupKey::new("b")).unfinished = false;
    let again = settled.resume(&alpha, &both, Road::InPlace);
    assert_eq!(again.unfinished, []);
}
