use std::fs;

use proptest::prelude::*;

use super::*;

/// Files as released versions wrote them.
fn recorded() -> Vec<(String, Vec<String>)> {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/handover");
    let mut files = Vec::new();
    for version in ["381d4ec", "44c1ac9"] {
        for file in fs::read_dir(format!("{place}/{version}")).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let words = text.lines().map(str::to_owned).collect();
            files.push((path.display().to_string(), words));
        }
    }
    assert_eq!(files.len(), 24);
    files
}

/// What is read from such a file is written again as the same words: an older program understands
/// them.
#[test]
fn the_words_of_released_versions_are_what_they_were() {
    for (path, recorded) in recorded() {
        let state = state_of(&recorded).unwrap();
        assert_eq!(words(&state, None), recorded, "{path}");
    }
}

/// What a guardian of an earlier version passes on whole, and which part of it an earlier daemon
/// reads.
#[test]
fn json_stands_where_every_version_ignores_it() {
    for (path, recorded) in recorded() {
        let state = state_of(&recorded).unwrap();
        let json = state.to_json().unwrap();
        let all = words(&state, Some(&json));
        assert_eq!(all.len(), recorded.len() + 1, "{path}");
        let at = all.iter().position(|word| word.starts_with(STATE)).unwrap();
        assert_eq!(all.get(at + 1).map(String::as_str), Some("--"), "{path}");
        // None of the words that earlier versions know: "systole: own KEY" and so on.
        let mut ignored = NodeState::default();
        read_before_separator(&mut ignored, &all[at]);
        assert_eq!(ignored, NodeState::default());
        let lines = Lines::of(all);
        assert_eq!(lines.words, recorded);
        assert_eq!(lines.json, Some(json));
    }
}

#[test]
fn long_json_goes_in_pieces_and_comes_back_whole() {
    let state = NodeState::default();
    // Characters that must not be cut at the end of a piece.
    let json = format!("x{}", "é".repeat(100_000));
    let all = words(&state, Some(&json));
    assert!(
        all.iter()
            .all(|word| word.len() <= PIECE_BYTES + STATE.len())
    );
    assert_eq!(all.len(), 4 + 4);
    assert_eq!(Lines::of(all).json, Some(json));
}

#[test]
fn a_release_is_wanted_beside_the_state() {
    let mut all = of_nothing_known();
    all.push(release("died-often"));
    assert_eq!(
        all.last().and_then(|word| release_reason(word)),
        Some("died-often")
    );
    let state = state_of(&all).unwrap();
    let nothing = NodeState {
        unknown: true,
        ..NodeState::default()
    };
    assert_eq!(state, nothing, "it is no group");
    assert_eq!(words(&nothing, None), of_nothing_known());
    assert_eq!(Lines::of(all).without_release().words, of_nothing_known());
}

#[test]
fn what_no_daemon_wrote_is_refused() {
    let read = |line: &str| state_of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(read(""), Err(NotOurs::NoSuccessor));
    assert_eq!(read("cut -R"), Err(NotOurs::NoSuccessor));
    assert_eq!(read("-R -C"), Err(NotOurs::BadSet(String::new())));
    assert_eq!(
        read("-R -C most --"),
        Err(NotOurs::BadSet("most".to_owned()))
    );
    let unknown = read("-R -C all -Z --").unwrap_err();
    assert_eq!(unknown.to_string(), "unknown option -Z");
    assert!(read("-R -C none").is_ok(), "without groups");
}

fn any_state() -> impl Strategy<Value = NodeState> {
    let set = prop::sample::select(vec![
        HoldingSet::NONE,
        HoldingSet::LOCAL,
        HoldingSet::FOREIGN,
        HoldingSet::ALL,
    ]);
    let whose = prop::option::of(prop::sample::select(vec![
        Whose::Own,
        Whose::Other,
        Whose::Left,
        Whose::Came,
    ]));
    let group = (whose, any::<bool>(), any::<bool>());
    let group = group.prop_map(|(whose, may_run, unfinished)| GroupState {
        whose,
        may_run,
        unfinished,
    });
    let groups = prop::collection::btree_map("[^ \\n]{1,8}", group, 0..5);
    let called = (any::<bool>(), any::<bool>(), any::<bool>(), 0..3_u8);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (set, groups, called, flags).prop_map(|(holding, groups, called, flags)| {
        let (manage_resources, realtime, foreground, debug) = called;
        let (releases, frozen, standby) = flags;
        let mut state = NodeState {
            called: Called {
                manage_resources,
                realtime,
                foreground,
                debug,
            },
            holding,
            releases,
            frozen,
            standby: standby
                .then(|| OpenStandby::from_text("gives local beta 3ea.1f"))
                .flatten(),
            ..NodeState::default()
        };
        let groups = groups.into_iter();
        let known = groups.filter(|(_, group)| *group != GroupState::default());
        state.groups = known
            .map(|(key, group)| (GroupKey::new(&key), group))
            .collect();
        state
    })
}

proptest! {
    #[test]
    fn every_state_is_read_back(state in any_state()) {
        let json = state.to_json().unwrap();
        prop_assert_eq!(&NodeState::from_json(&json).unwrap(), &state);
        let lines = Lines::of(words(&state, Some(&json)));
        prop_assert_eq!(&state_of(&lines.words).unwrap(), &state);
        prop_assert_eq!(lines.json, Some(json));
    }

    /// Never a panic, and never more than what is in the words.
    #[test]
    fn any_words_are_read_or_refused(all in prop::collection::vec(
        prop_oneof!["-[RCMlfd-]", "systole: (own|state|standby|unfinished|frozen)?.{0,6}", ".{0,6}"],
        0..8,
    )) {
        let mut all = all;
        all.insert(0, "-R".to_owned());
        let lines = Lines::of(all);
        let _ = lines.json.as_deref().map(NodeState::from_json);
        if let Ok(state) = state_of(&lines.words) {
            prop_assert!(state.groups.len() < lines.words.len());
        }
    }
}
