use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// An obstacle that at least so many acts ask about has a column of its own on the page.
const ACTS_OF_A_COLUMN: usize = 7;

const fn letter(outcome: Outcome) -> char {
    match outcome {
        Outcome::Refuse => 'R',
        Outcome::Ignore => 'I',
        Outcome::Drop => 'D',
        Outcome::Wait => 'W',
        Outcome::Queue => 'Q',
        Outcome::Instead => 'S',
    }
}

/// `OtherUnsettled` as `other unsettled`.
fn words(obstacle: Obstacle) -> String {
    let mut words = String::new();
    for letter in format!("{obstacle:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// What becomes of an act when just these obstacles stand.
fn asked(act: Act, stand: &[Obstacle]) -> Option<Refusal> {
    gate(act, |obstacle| stand.contains(&obstacle)).err()
}

/// Every act with every obstacle, which stands or does not: the act's row as the answers show it.
fn cells(act: Act) -> Vec<(Obstacle, usize, Outcome)> {
    assert_eq!(asked(act, &[]), None, "{act:?}: nothing is in the way");
    let alone = |obstacle: &Obstacle| Some((*obstacle, asked(act, &[*obstacle])?.outcome));
    let held: Vec<(Obstacle, Outcome)> = Obstacle::ALL.iter().filter_map(alone).collect();
    // The first of all that stand is told; without it, the next.
    let mut standing: Vec<Obstacle> = Obstacle::ALL.to_vec();
    let mut cells = Vec::new();
    while let Some(first) = asked(act, &standing) {
        assert!(
            held.contains(&(first.obstacle, first.outcome)),
            "{act:?}: {first:?}"
        );
        cells.push((first.obstacle, cells.len() + 1, first.outcome));
        standing.retain(|obstacle| *obstacle != first.obstacle);
    }
    assert_eq!(cells.len(), held.len(), "{act:?}: an obstacle twice");
    assert!(!cells.is_empty(), "{act:?}: nothing holds it back");
    cells
}

fn acts_that_ask(obstacle: Obstacle) -> usize {
    let asks = |act: &&Act| asked(**act, &[obstacle]).is_some();
    Act::ALL.iter().filter(asks).count()
}

fn table_of_obstacles() -> String {
    let mut table = "| Obstacle | Cause, as people are told |\n|---|---|\n".to_owned();
    for obstacle in Obstacle::ALL {
        table.push_str(&format!("| {} | {} |\n", words(*obstacle), obstacle.text()));
    }
    table
}

fn table_of_acts() -> String {
    let has_column = |obstacle: &&Obstacle| acts_that_ask(**obstacle) >= ACTS_OF_A_COLUMN;
    let columns: Vec<Obstacle> = Obstacle::ALL.iter().filter(has_column).copied().collect();
    let mut table = "| Act |".to_owned();
    for column in &columns {
        table.push_str(&format!(" {} |", words(*column)));
    }
    table.push_str(" others |\n|---|");
    table.push_str(&"---|".repeat(columns.len() + 1));
    table.push('\n');
    for act in Act::ALL {
        let cells = cells(*act);
        table.push_str(&format!("| {} |", act.text()));
        for column in &columns {
            let cell = cells.iter().find(|(obstacle, ..)| obstacle == column);
            let text = cell.map(|(_, place, outcome)| format!("{}{place}", letter(*outcome)));
            table.push_str(&format!(" {} |", text.unwrap_or_default()));
        }
        let others = cells
            .iter()
            .filter(|(obstacle, ..)| !columns.contains(obstacle));
        let others: Vec<String> = others
            .map(|(obstacle, place, outcome)| {
                format!("{}{place} {}", letter(*outcome), words(*obstacle))
            })
            .collect();
        table.push_str(&format!(" {} |\n", others.join(", ")));
    }
    table
}

/// Act by obstacle with both answers, as the page shows it. `SYSTOLE_WRITE` writes the page.
#[test]
fn the_page_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/gate.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let parts = [
        ("## Obstacles\n\n", table_of_obstacles()),
        (
            "An empty cell is not asked. The last column has the obstacles that few acts ask about.\n\n",
            table_of_acts(),
        ),
    ];
    let mut wanted = page.clone();
    for (before, table) in parts {
        let at = wanted.find(before).expect(before) + before.len();
        let end = wanted[at..]
            .find("\n\n")
            .map_or(wanted.len(), |end| at + end + 1);
        wanted.replace_range(at..end, &table);
    }
    if std::env::var_os("SYSTOLE_WRITE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(page, wanted, "SYSTOLE_WRITE=1 writes the page anew");
}

/// What is asked after the first obstacle that stands would not be told, and may be dear.
#[test]
fn nothing_is_asked_beyond_the_first_that_stands() {
    for act in Act::ALL {
        for (obstacle, place, _) in cells(*act) {
            let mut questions = 0;
            let found = gate(*act, |one| {
                questions += 1;
                one == obstacle
            });
            assert_eq!(found.map_err(|refusal| refusal.obstacle), Err(obstacle));
            assert_eq!(questions, place, "{act:?}, {obstacle:?}");
        }
    }
}

#[test]
fn every_obstacle_holds_something_back_and_has_a_text_of_its_own() {
    let idle = Obstacle::ALL.iter().filter(|one| acts_that_ask(**one) == 0);
    assert_eq!(idle.collect::<Vec<_>>(), Vec::<&Obstacle>::new());
    let texts: BTreeSet<&str> = Obstacle::ALL.iter().map(|one| one.text()).collect();
    assert_eq!(texts.len(), Obstacle::ALL.len());
    let acts: BTreeSet<&str> = Act::ALL.iter().map(|act| act.text()).collect();
    assert_eq!(acts.len(), Act::ALL.len());
    assert!(texts.iter().chain(&acts).all(|text| !text.contains('|')));
}
