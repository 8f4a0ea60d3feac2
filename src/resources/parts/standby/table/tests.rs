use super::*;
use crate::clock::Monotonic;
use crate::protocol::field::kind;

/// Every input in every state. Of a cell with conditions, the first condition that holds counts.
const TABLE: &str = "\
`me`
  Idle: Consider
  Offered: Busy
  Offered, NotStarted: GiveWay if OursGivesWay, else Busy
  Giving: Busy
  Given: Busy
  Accepted: AnswerAgain if StartsOver, else Busy
  Taking: Busy
`other`
  Idle: Unexpected
  Offered: GiveUp if AnswersOurOffer, else Earlier
  Offered, NotStarted: GiveUp if AnswersOurOffer, else Earlier
  Giving: Unexpected
  Given: Unexpected
  Accepted: Unexpected
  Taking: Unexpected
`done`
  Idle: Take if FollowsItsOffer, Known if IsKnown, AskAfterDone if MayBeLate, NoteOlderStart if EndsAnOlderStart, TakesNothing if TellsApart, else Unexpected
  Offered: TakesNothing if TellsApart, else Unexpected
  Offered, NotStarted: TakesNothing if TellsApart, else Unexpected
  Giving: Unexpected
  Given: TakerIsDone if AnswersOurOffer, else Earlier
  Accepted: Take if FollowsItsOffer, Earlier if IsOfTheGiver, else Unexpected
  Taking: Known if IsKnown, NoteOlderStart if EndsAnOlderStart, else Unexpected
`hello`
  Idle: Unexpected
  Offered: Unexpected
  Offered, NotStarted: Unexpected
  Giving: Unexpected
  Given: Unexpected
  Accepted: Unexpected
  Taking: Unexpected
Gives
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: Nothing
  Given: Nothing
  Accepted: GiverGives
  Taking: Nothing
Stopped
  Idle: RestIsStopped
  Offered: RestIsStopped
  Offered, NotStarted: RestIsStopped
  Giving: SayReleased if IsHeard, else Nothing
  Given: RestIsStopped
  Accepted: RestIsStopped
  Taking: RestIsStopped
Started
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: Nothing
  Given: Nothing
  Accepted: Nothing
  Taking: SayTaken if IsHeard, else Nothing
Heard
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: SayReleased if IsContinued and AllStopped and IsHeard, else Nothing
  Given: Nothing
  Accepted: Nothing
  Taking: SayTaken if IsContinued and AllStarted and IsHeard, else Nothing
Reports
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: Nothing
  Given: ExpectDone if HoldsWhatWeGave, else Nothing
  Accepted: EndUngiven if GivesNoMore, else Nothing
  Taking: Nothing
NotTaken
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: Nothing
  Given: EndUntaken if IsOurOffer, else Nothing
  Accepted: Nothing
  Taking: Nothing
TakenDue
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: Nothing
  Given: EndByReport
  Accepted: Nothing
  Taking: Nothing
Due
  Idle: Nothing
  Offered: NoAnswer
  Offered, NotStarted: NoAnswer
  Giving: WaitOn
  Given: WaitOn if TakesStill, else NoDone
  Accepted: NoDone
  Taking: WaitOn
Asks
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: Nothing
  Given: SayReleasedAgain if TellsApart, else Nothing
  Accepted: Nothing
  Taking: Nothing
WordsLost
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: Nothing
  Given: Nothing
  Accepted: WaitShorter if IsContinued, else Nothing
  Taking: Nothing
Died
  Idle: Nothing
  Offered: End
  Offered, NotStarted: End
  Giving: End
  Given: EndInDoubt
  Accepted: End
  Taking: EndHolding
BeganAnew
  Idle: Nothing
  Offered: EndUnanswered
  Offered, NotStarted: EndUnanswered
  Giving: End
  Given: End
  Accepted: End
  Taking: EndHolding
CommUp
  Idle: Nothing
  Offered: Nothing
  Offered, NotStarted: Nothing
  Giving: WaitOn if IsContinued, else Nothing
  Given: WaitOn if IsContinued, else Nothing
  Accepted: WaitForGiver if IsContinued, else Nothing
  Taking: WaitOn if IsContinued, else Nothing
";

fn node() -> NodeName {
    NodeName::new("node2").unwrap()
}

fn states() -> [(&'static str, Standby); 7] {
    let set = HoldingSet::LOCAL;
    let offered = |wish| Standby::Offered {
        set,
        wish,
        sent: None,
    };
    let (sent, answered) = (None, None);
    [
        ("Idle", Standby::Idle { answered: None }),
        ("Offered", offered(Wish::Wanted)),
        ("Offered, NotStarted", offered(Wish::NotStarted)),
        (
            "Giving",
            Standby::Giving {
                set,
                sent,
                since: None,
            },
        ),
        (
            "Given",
            Standby::Given {
                set,
                sent,
                at: None,
            },
        ),
        (
            "Accepted",
            Standby::Accepted {
                giver: node(),
                set,
                answered: None,
                open_until: Monotonic::ZERO,
                gives: false,
            },
        ),
        ("Taking", Standby::Taking { set, answered }),
    ]
}

fn inputs<'a>(from: &'a NodeName, message: &'a Message) -> [Input<'a>; 17] {
    let word = |info| Input::Word(Word::new(from, info, HoldingSet::LOCAL, message));
    [
        word("me"),
        word("other"),
        word("done"),
        word("hello"),
        Input::Gives,
        Input::Stopped,
        Input::Started,
        Input::Heard,
        Input::Reports(from, Position::default()),
        Input::NotTaken(from, Position::default()),
        Input::TakenDue,
        Input::Due,
        Input::Asks(from),
        Input::WordsLost,
        Input::Died,
        Input::BeganAnew,
        Input::CommUp,
    ]
}

/// The name without its data.
fn name(of: &impl std::fmt::Debug) -> String {
    let text = format!("{of:?}");
    text.split('(').next().unwrap().to_owned()
}

fn name_of_input(input: &Input<'_>) -> String {
    match input {
        Input::Word(word) => format!("`{}`", word.info()),
        input => name(input),
    }
}

/// All possible results, with the conditions for each. `held`: the answers that are given first;
/// all others are no. Each further condition is answered yes in turn.
fn cells(state: &Standby, input: Input<'_>, held: &[bool]) -> Vec<String> {
    let mut asked = Vec::new();
    let cell = state.on(input, |fact| {
        asked.push(name(&fact));
        held.get(asked.len() - 1).copied().unwrap_or(false)
    });
    let holds = |at: &usize| held.get(*at).copied().unwrap_or(false);
    let facts: Vec<&str> = (0..asked.len())
        .filter(holds)
        .map(|at| asked[at].as_str())
        .collect();
    let mut found = Vec::new();
    for at in held.len()..asked.len() {
        let mut next = held.to_vec();
        next.resize(at, false);
        next.push(true);
        found.extend(cells(state, input, &next));
    }
    found.push(match facts.as_slice() {
        [] if asked.is_empty() => name(&cell),
        [] => format!("else {}", name(&cell)),
        facts => format!("{} if {}", name(&cell), facts.join(" and ")),
    });
    found
}

/// A result that is the same when some of several conditions hold and when none holds is listed
/// once.
fn without_repetition(cells: Vec<String>) -> String {
    let last = cells.last().cloned().unwrap_or_default();
    let rest = last.strip_prefix("else ").unwrap_or(&last).to_owned();
    let part = |cell: &String| cell.starts_with(&format!("{rest} if "));
    let told: Vec<String> = cells.into_iter().filter(|cell| !part(cell)).collect();
    told.join(", ")
}

#[test]
fn every_input_in_every_state() {
    let (from, message) = (node(), Message::new(kind::ASK_RESOURCES));
    let mut table = String::new();
    for input in inputs(&from, &message) {
        table += &format!("{}\n", name_of_input(&input));
        for (state, standby) in states() {
            let cells = without_repetition(cells(&standby, input, &[]));
            table += &format!("  {state}: {cells}\n");
        }
    }
    println!("{table}");
    assert_eq!(table, TABLE);
}

/// No message of another node, and no time, ends a standby in which our own scripts still run.
#[test]
fn only_the_end_of_the_other_node_ends_work_of_ours() {
    let (from, message) = (node(), Message::new(kind::ASK_RESOURCES));
    let ends = |cell: &String| cell.starts_with("End") || cell.starts_with("NoDone");
    for (state, standby) in states().iter().filter(|(_, it)| it.moves()) {
        for input in inputs(&from, &message) {
            let gone = matches!(input, Input::Died | Input::BeganAnew);
            let ended = cells(standby, input, &[]).iter().any(ends);
            // What was given away is in the hands of the other node.
            assert!(
                *state == "Given" || ended == gone,
                "{state} {}",
                name_of_input(&input)
            );
        }
    }
}
