use super::*;

fn outcome(after: &[&str], silent_ms: u64, double_ms: u64) -> Outcome {
    Outcome {
        group: "web".to_owned(),
        before: vec!["alpha".to_owned()],
        after: after.iter().map(|it| (*it).to_owned()).collect(),
        silent_ms,
        double_ms,
    }
}

fn forecast(group: Outcome) -> Forecast {
    let step = Step {
        at_ms: 4_020,
        node: "beta".to_owned(),
        what: "declares alpha dead".to_owned(),
        why: Some("nothing was received".to_owned()),
    };
    Forecast {
        incident: "alpha dies".to_owned(),
        steps: vec![step.clone(), step],
        groups: vec![group],
        watched_ms: 100_000,
    }
}

#[test]
fn a_story_has_each_step_once_and_the_end() {
    let text = story(&forecast(outcome(&["beta"], 5_040, 0)));
    assert_eq!(
        text,
        "alpha dies\n    4.02 s  beta  declares alpha dead: nothing was received\n\
         \nIN THE END\n  web runs on beta, ran nowhere for 5.04 s\n"
    );
    let two = story(&forecast(outcome(&["alpha", "beta"], 0, 1_900)));
    assert!(
        two.ends_with("web runs on alpha and beta, TWO OWNERS for 1.90 s\n"),
        "{two}"
    );
    let none = story(&forecast(outcome(&[], 100_000, 0)));
    assert!(
        none.ends_with("web runs nowhere, ran nowhere for 100.00 s\n"),
        "{none}"
    );
}

#[test]
fn a_table_has_a_line_for_each_incident_and_group() {
    let text = table(&[
        forecast(outcome(&["beta"], 5_040, 0)),
        forecast(outcome(&[], 0, 20)),
    ]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        "INCIDENT    GROUP  BEFORE  IN THE END  NOWHERE  TWO OWNERS"
    );
    assert_eq!(
        lines[1],
        "alpha dies  web    alpha   beta        5.04 s   -"
    );
    assert_eq!(
        lines[2],
        "alpha dies  web    alpha   nowhere     0.00 s   0.02 s"
    );
}
