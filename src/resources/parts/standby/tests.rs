use super::*;

fn place(text: &str) -> Position {
    Position::from_text(text).unwrap()
}

fn node(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// State, its number, what is in other hands, what is in the other node's hands at an end, what is
/// taken, whether groups move.
#[test]
fn what_each_state_says() {
    let (set, sent, answered) = (HoldingSet::LOCAL, None, None);
    let (ours, theirs, none) = (set, set.mirror(), HoldingSet::NONE);
    let wish = Wish::Wanted;
    let accepted = Standby::Accepted {
        giver: node("node2"),
        set,
        answered: None,
        open_until: Monotonic::ZERO,
        gives: false,
    };
    let (since, at) = (None, None);
    for (state, number, moving, at_its_end, taken, moves) in [
        (Standby::Idle { answered: None }, 0, none, none, none, false),
        (
            Standby::Offered { set, wish, sent },
            1,
            none,
            none,
            none,
            false,
        ),
        (
            Standby::Giving { set, sent, since },
            1,
            ours,
            none,
            none,
            true,
        ),
        (
            Standby::Given { set, sent, at },
            3,
            ours,
            theirs,
            none,
            true,
        ),
        (accepted, 2, theirs, ours, none, false),
        (
            Standby::Taking { set, answered },
            3,
            none,
            none,
            theirs,
            true,
        ),
    ] {
        assert_eq!(state.number(), number, "{state:?}");
        assert_eq!(state.in_other_hands(), moving, "{state:?}");
        assert_eq!(state.in_its_hands(), at_its_end, "{state:?}");
        assert_eq!(state.taken(), taken, "{state:?}");
        assert_eq!(state.moves(), moves, "{state:?}");
    }
}

#[test]
fn a_done_follows_an_offer_of_the_same_giver_and_set() {
    let (giver, set) = (node("node2"), HoldingSet::LOCAL);
    let answer = Answer::new(giver.clone(), set, place("1.5"));
    assert!(answer.is_followed_by(&giver, set, place("1.6")));
    assert!(!answer.is_followed_by(&giver, set, place("1.5")));
    assert!(!answer.is_followed_by(&giver, HoldingSet::ALL, place("1.6")));
    assert!(!answer.is_followed_by(&node("node3"), set, place("1.6")));
}
