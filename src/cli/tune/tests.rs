use super::*;
use crate::clients::control::LeaseReport;

fn gaps(hours: u64, longest_ms: u64) -> GapsReport {
    GapsReport {
        since_unix_s: 0,
        covered_ms: hours * HOUR_MS,
        longest_ms,
        longest_unix_s: 0,
        counts: vec![
            (960, 1_024, hours * 3_590),
            (1_024, 1_152, hours * 9),
            (1_152, 1_280, hours),
            (longest_ms / 128 * 128, longest_ms / 128 * 128 + 128, 1),
        ],
    }
}

fn view(hours: u64) -> View {
    let peer = |name: &str, program: Option<&str>, gaps: Option<GapsReport>| PeerReport {
        name: name.to_owned(),
        program: program.map(str::to_owned),
        gaps,
        ..PeerReport::default()
    };
    let gw = PeerReport {
        ping: true,
        ..peer("gw", None, None)
    };
    View {
        node: Some(NodeReport {
            times: Some(TimesReport {
                keepalive_ms: 1_000,
                warntime_ms: 5_000,
                deadtime_ms: 10_000,
                initdead_ms: 20_000,
            }),
            nodes: vec![
                peer("alpha", None, Some(gaps(hours, 1_400))),
                peer("beta", Some("systole"), Some(gaps(hours, 3_230))),
                gw,
            ],
            ..NodeReport::example()
        }),
        groups: Vec::new(),
        media: Vec::new(),
        fencing: None,
        watchdog: None,
        lease: None,
    }
}

fn options(mistakes: &str) -> TuneOptions {
    TuneOptions {
        mistakes: Rate::read(mistakes).expect("a rate"),
        json: false,
    }
}

/// What is printed, with the local time taken out.
fn printed(view: &View, mistakes: &str) -> (String, u8) {
    let answer = answer(view, &options(mistakes), false);
    assert_eq!(answer.stderr, "");
    (answer.stdout.replace(&full_time(0), "DATE"), answer.code)
}

#[test]
fn three_lines_with_what_they_rest_on() {
    let (text, code) = printed(&view(200), "1/month");
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        text,
        "\
NODE     SEEN      GAPS   99.9 %  LONGEST GAP
beta    200 h    720001   1.15 s  3.23 s on DATE, as heard here
alpha   200 h    720001   1.15 s  1.40 s on DATE, as it sends

DEADTIME  A DEATH IS SEEN IN  MISTAKES A MONTH
   3.9 s  2.9 to 3.9 s        1.00              by the samples alone
   4.0 s  3.0 to 4.0 s        0.90              four keepalives
   5.5 s  4.5 to 5.5 s        0.29              proposed, a heartbeat twice as late as the latest one
  10.0 s  9.0 to 10.0 s       0.06              in force

FOR 1/month, IN ha.cf OF BOTH NODES
  keepalive 1
  warntime 1200ms
  deadtime 5500ms

this is how the heartbeats look from here: call it on the other node too, the longer deadtime counts
less than a month was seen: nothing is known of what happens once a month
nothing was changed; after a change: systole doctor, and systole reload on both nodes
"
    );
}

#[test]
fn declared_deaths_are_said_beside_a_proposal() {
    let mut died = view(200);
    for node in died.node.iter_mut().flat_map(|it| &mut it.nodes) {
        node.deaths = 2;
    }
    let (text, _) = printed(&died, "1/month");
    assert!(
        text.contains("\n2 times another node was declared dead here since the daemon began."),
        "{text}"
    );
    assert!(text.contains("no deadtime below the one in force is advisable"));
}

#[test]
fn too_few_samples_are_said_and_nothing_else() {
    let (text, code) = printed(&view(3), "1/month");
    assert_eq!(
        text,
        "\
NODE     SEEN      GAPS   99.9 %  LONGEST GAP
beta      3 h     10801   1.15 s  3.23 s on DATE, as heard here
alpha     3 h     10801   1.15 s  1.40 s on DATE, as it sends
not enough samples: 3 h of 24 h
"
    );
    assert_eq!(code, 1);
    let mut nobody = view(3);
    for node in nobody.node.iter_mut().flat_map(|it| &mut it.nodes) {
        node.gaps = None;
    }
    let (text, _) = printed(&nobody, "1/year");
    assert!(
        text.ends_with("\nnot enough samples: 0 h of 288 h\n"),
        "{text}"
    );
    let json = TuneOptions {
        json: true,
        ..options("1/month")
    };
    let answer = answer(&nobody, &json, false);
    assert!(answer.stdout.contains("\"proposal\":null"), "{answer:?}");
    assert_eq!(answer.code, 1);
}

#[test]
fn a_daemon_that_samples_nothing_is_named() {
    let mut old = view(200);
    if let Some(node) = &mut old.node {
        node.times = None;
    }
    let said = answer(&old, &options("1/month"), false);
    assert_eq!((said.stdout.as_str(), said.code), ("", 1));
    assert!(said.stderr.contains("older version"), "{said:?}");
    old.node = None;
    assert_eq!(answer(&old, &options("1/month"), false).code, 3);
}

#[test]
fn what_else_has_to_be_known_is_said() {
    let mut view = view(100);
    view.lease = Some(LeaseReport {
        seconds: 12,
        ..LeaseReport::default()
    });
    if let Some(beta) = view.node.iter_mut().flat_map(|it| &mut it.nodes).nth(1) {
        beta.program = Some("legacy".to_owned());
    }
    let (text, _) = printed(&view, "1/month");
    for part in [
        "\n  deadtime 13\n",
        "13.0 s  12.0 to 13.0 s      ",
        "proposed, longer than the lease of service addresses\n",
        "\nless than a week was seen: ",
        "\ninitdead is 20 and should be at least twice deadtime: write initdead 26\n",
        "\nbeta is a legacy node: ",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
}

#[test]
fn a_rate_is_a_number_and_a_period() {
    for (text, a_month) in [("1/month", 1.0), ("0.5/day", 15.0), ("6/year", 0.5)] {
        let rate = Rate::read(text).expect(text);
        assert!((rate.a_month - a_month).abs() < 1e-9, "{text}");
    }
    for text in [
        "", "1", "1/decade", "-1/day", "0/month", "0.5/year", "NaN/day", "inf/day",
    ] {
        assert!(Rate::read(text).is_err(), "{text:?}");
    }
}
