use super::*;

pub(super) fn identity(host: &str, pid: u32) -> Identity {
    Identity {
        host: host.to_owned(),
        pid,
        uid: 103,
        gid: 106,
    }
}

fn ms(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

pub(super) fn message(fields: &[(&str, &str)]) -> Message {
    let mut message = Message::empty();
    for (name, value) in fields {
        message = message.with(name, value);
    }
    message
}

fn fields(message: &Message) -> Vec<(String, String)> {
    let text = |field: &crate::protocol::message::Field| {
        let name = String::from_utf8_lossy(&field.name).into_owned();
        let value = message.text(&name).unwrap_or_default().to_owned();
        (name, value)
    };
    message.fields().iter().map(text).collect()
}

/// Replays what the daemon wrote to a legacy `ipfail`; ours must write the same as the legacy one.
fn replay(name: &str, host: &str, pid: u32) {
    let path = format!(
        "{}/tests/vectors/ipfail/{name}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("vector");
    let mut ipfail = Ipfail::hasty(identity(host, pid));
    let (mut out, mut written, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    ipfail.connected(ms(0), &mut out);
    for line in text.lines() {
        type Line = (f64, String, Vec<(String, String)>);
        let (at, direction, fields): Line = serde_json::from_str(line).expect("a frame");
        let at = ms(at as u64);
        ipfail.tick(at, &mut out);
        if direction == "c2s" {
            wanted.push(fields);
        } else {
            let mut message = Message::empty();
            for (name, value) in &fields {
                message = message.with(name, value);
            }
            ipfail.received(message, at, &mut out);
        }
    }
    for output in out {
        match output {
            Output::Send(message) => written.push(fields(&message)),
            Output::Log(Severity::Error, text) => panic!("{text}"),
            Output::Log(..) => {}
            Output::End(end) => panic!("{end:?}"),
        }
    }
    assert_eq!(written, wanted, "{name}");
}

#[test]
fn writes_what_legacy_writes() {
    replay("alpha", "alpha", 86);
    replay("beta", "beta", 100);
    replay("autofailback-alpha", "alpha", 89);
    replay("autofailback-beta", "beta", 100);
}

/// A daemon that answers at once.
struct Stage {
    ipfail: Ipfail,
    now: Monotonic,
    holds: &'static str,
    failback: &'static str,
    pings: Vec<(&'static str, &'static str)>,
    sent: Vec<Message>,
    log: Vec<String>,
    end: Option<End>,
}

impl Stage {
    fn new(failback: &'static str) -> Self {
        Self {
            ipfail: Ipfail::new(identity("node1", 7)),
            now: ms(1000),
            holds: "local",
            failback,
            pings: vec![("gate", "ping")],
            sent: Vec::new(),
            log: Vec::new(),
            end: None,
        }
    }

    fn started(failback: &'static str) -> Self {
        let mut stage = Self::new(failback);
        let mut out = Vec::new();
        stage.ipfail.connected(stage.now, &mut out);
        stage.work(out);
        assert_eq!(stage.log.last().unwrap(), "debug: Waiting for messages...");
        stage.log.clear();
        stage
    }

    fn answer(&self, request: &Message) -> Vec<Message> {
        let what = request.text("reqtype").unwrap();
        let answer = || message(&[("t", "hbapi-resp"), ("reqtype", what)]);
        let ok = |answer: Message| vec![answer.with("result", "OK")];
        match what {
            "signon" => ok(answer().with("keepalive", "1f4").with("node", "node1")),
            "getrsc" => ok(answer().with("rsc_hold", self.holds)),
            "getparm" if request.text("pname") == Some("auto_failback") => {
                ok(answer().with("pvalue", self.failback))
            }
            "nodelist" => {
                let nodes = [("node1", "active"), ("node2", "active")];
                let mut answers: Vec<Message> = nodes
                    .into_iter()
                    .chain(self.pings.iter().copied())
                    .map(|(name, st)| {
                        let kind = if name.starts_with("node") {
                            "normal"
                        } else {
                            "ping"
                        };
                        let answer = answer().with("node", name).with("nodetype", kind);
                        answer.with("st", st).with("result", "ok/more")
                    })
                    .collect();
                answers.last_mut().unwrap().set_text("result", "OK");
                answers
            }
            _ => ok(answer()),
        }
    }

    fn work(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send(message) if message.kind() == Some("hbapi-req") => {
                    for answer in self.answer(&message) {
                        let mut more = Vec::new();
                        self.ipfail.received(answer, self.now, &mut more);
                        self.work(more);
                    }
                }
                Output::Send(message) => self.sent.push(message),
                Output::Log(severity, text) => {
                    self.log.push(format!("{}: {text}", severity.word()));
                }
                Output::End(end) => self.end = Some(end),
            }
        }
    }

    fn hear(&mut self, fields: &[(&str, &str)]) {
        let mut out = Vec::new();
        self.ipfail.received(message(fields), self.now, &mut out);
        self.work(out);
    }

    /// Moves time on, and calls `tick` at each deadline.
    fn pass(&mut self, span: u64) {
        let until = self.now + Duration::from_millis(span);
        while let Some(next) = self.ipfail.next_deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            let mut out = Vec::new();
            self.ipfail.tick(self.now, &mut out);
            self.work(out);
        }
        self.now = until;
    }

    fn count(&mut self, theirs: &str) {
        self.hear(&[
            ("t", "num_ping_nodes"),
            ("src", "node2"),
            ("num_ping", theirs),
        ]);
    }

    fn report(&mut self, stable: &str) {
        self.hear(&[("t", "resource"), ("src", "node2"), ("isstable", stable)]);
    }

    fn said(&self) -> Vec<String> {
        let kind = |message: &Message| message.kind().unwrap().to_owned();
        self.sent.iter().map(kind).collect()
    }

    fn gave(&self) -> Vec<&str> {
        let set = |message: &'_ Message| message.kind() == Some("ask_resources");
        let given = self.sent.iter().filter(|message| set(message));
        given
            .map(|message| message.text("rsc_hold").unwrap())
            .collect()
    }
}

#[test]
fn start_says_what_legacy_logs() {
    let mut stage = Stage::new("on");
    let mut out = Vec::new();
    stage.ipfail.connected(stage.now, &mut out);
    stage.work(out);
    let wanted = [
        "debug: PID=7",
        "debug: Signing in with heartbeat",
        "debug: [We are node1]",
        "debug: auto_failback -> 1 (on)",
        "debug: Setting message filter mode",
        "debug: Starting node walk",
        "debug: Cluster node: gate: status: ping",
        "debug: Cluster node: node2: status: active",
        "debug: [They are node2]",
        "debug: Cluster node: node1: status: active",
        "debug: Setting message signal",
        "debug: Waiting for messages...",
    ];
    assert_eq!(stage.log, wanted);
}

#[test]
fn ends_where_legacy_ends() {
    for (failback, end) in [("legacy", Some(End::NotWanted)), ("off", None)] {
        let mut stage = Stage::new(failback);
        let mut out = Vec::new();
        stage.ipfail.connected(stage.now, &mut out);
        stage.work(out);
        assert_eq!(stage.end, end, "{failback}");
    }
    assert_eq!(
        (End::Failed.exit_code(), End::NotWanted.exit_code()),
        (1, 100)
    );
    // Pacemaker manages resources.
    let mut ipfail = Ipfail::new(identity("node1", 7));
    let mut out = Vec::new();
    ipfail.connected(ms(0), &mut out);
    let answer = message(&[("t", "hbapi-resp"), ("node", "node1"), ("result", "OK")]);
    ipfail.received(answer, ms(0), &mut out);
    let answer = message(&[("t", "hbapi-resp"), ("info", "crm"), ("result", "badreq")]);
    ipfail.received(answer, ms(0), &mut out);
    assert_eq!(out.last(), Some(&Output::End(End::NotWanted)));
    // Refused.
    let mut ipfail = Ipfail::new(identity("node1", 7));
    out.clear();
    ipfail.connected(ms(0), &mut out);
    let answer = message(&[("t", "hbapi-resp"), ("info", "duplicate add request")]);
    ipfail.received(answer, ms(0), &mut out);
    let wanted = [
        Output::Log(Severity::Error, "Cannot sign on with heartbeat".to_owned()),
        Output::Log(Severity::Error, "REASON: duplicate add request".to_owned()),
        Output::End(End::Failed),
    ];
    assert!(out.ends_with(&wanted), "{out:?}");
}

#[test]
fn a_dead_ping_node_is_logged_and_its_link_compared() {
    let mut stage = Stage::started("off");
    stage.pings = vec![("gate", "dead")];
    stage.hear(&[
        ("t", "status"),
        ("src", "gate"),
        ("st", "dead"),
        ("info", "ping"),
    ]);
    stage.hear(&[
        ("t", "ifstat"),
        ("node", "gate"),
        ("ifname", "gate"),
        ("st", "dead"),
    ]);
    stage.pass(1500);
    let wanted = [
        "info: Status update: Node gate now has status dead",
        "info: NS: We are dead. :<",
        "info: Link Status update: Link gate/gate now has status dead",
        "info: We are dead. :<",
        "info: Asking other side for ping node count.",
        "debug: Message [num_ping] sent.",
    ];
    assert_eq!(stage.log, wanted);
    stage.log.clear();
    stage.hear(&[("t", "you_are_dead"), ("src", "node2")]);
    stage.pass(499);
    assert_eq!(stage.gave(), Vec::<&str>::new());
    stage.pass(1);
    assert_eq!(stage.gave(), ["all"]);
    let wanted = [
        "info: Giving up because we were told that we have less ping nodes.",
        "info: Delayed giveup in 0 seconds.",
        "info: giveup() called (timeout worked)",
        "debug: Message [ask_resources] sent.",
        "debug: giveup timeout has been destroyed.",
    ];
    assert_eq!(stage.log, wanted);
}

#[test]
fn one_of_two_ping_nodes_dead_is_compared_too() {
    let mut stage = Stage::started("off");
    stage.pings = vec![("far", "dead"), ("gate", "ping")];
    stage.hear(&[
        ("t", "status"),
        ("src", "far"),
        ("st", "dead"),
        ("info", "ping"),
    ]);
    stage.hear(&[
        ("t", "ifstat"),
        ("node", "far"),
        ("ifname", "far"),
        ("st", "dead"),
    ]);
    stage.pass(1500);
    let wanted = [
        "info: Status update: Node far now has status dead",
        "debug: Found ping node gate!",
        "info: NS: We are still alive!",
        "info: Link Status update: Link far/far now has status dead",
        "debug: Found ping node gate!",
        "info: Asking other side for ping node count.",
        "debug: Message [num_ping] sent.",
        "info: Checking remote count of ping nodes.",
    ];
    assert_eq!(stage.log, wanted);
    assert_eq!(stage.sent[0].text("num_ping"), Some("1"));
}

#[test]
fn comparison_has_three_outcomes() {
    let mut stage = Stage::started("off");
    stage.count("0");
    stage.pass(749);
    assert_eq!(stage.said(), Vec::<String>::new());
    stage.pass(1);
    assert_eq!(stage.said(), ["you_are_dead"]);
    stage.count("1");
    assert_eq!(stage.said(), ["you_are_dead", "abort_giveup"]);
    stage.pass(60_000);
    assert_eq!(stage.gave(), Vec::<&str>::new(), "balanced: nothing moves");
    stage.count("2");
    stage.pass(1000);
    assert_eq!(stage.gave(), ["all"]);
    stage.count("many");
    stage.hear(&[("t", "num_ping_nodes")]);
    assert!(stage.log.last().unwrap().starts_with("ERROR"));
}

#[test]
fn balance_gives_foreign_groups_back_and_calls_a_giving_off() {
    let mut stage = Stage::started("on");
    stage.count("1");
    stage.pass(1000);
    assert_eq!(stage.gave(), ["foreign"]);
    stage.holds = "transition";
    stage.count("1");
    stage.pass(5000);
    assert_eq!(stage.gave(), ["foreign"], "not into a transition");
    stage.holds = "all";
    stage.count("2");
    stage.pass(500);
    stage.count("1");
    stage.pass(5000);
    assert_eq!(stage.gave(), ["foreign"], "called off");
    assert!(
        stage
            .log
            .iter()
            .any(|line| line.starts_with("info: Aborted delayed giveup ("))
    );
    stage.hear(&[("t", "you_are_dead")]);
    stage.pass(500);
    stage.hear(&[("t", "abort_giveup"), ("src", "node2")]);
    stage.pass(5000);
    assert_eq!(stage.gave(), ["foreign"], "called off by the other");
    stage.hear(&[("t", "abort_giveup"), ("src", "node2")]);
    assert_eq!(stage.log.last().unwrap(), "info: No giveup timer to abort.");
}

#[test]
fn a_giving_that_meets_a_transition_is_compared_again_when_the_other_is_settled() {
    let mut stage = Stage::started("off");
    stage.holds = "transition";
    stage.hear(&[("t", "you_are_dead")]);
    stage.pass(1000);
    assert_eq!(stage.gave(), Vec::<&str>::new());
    stage.holds = "local";
    stage.report("0");
    stage.hear(&[
        ("t", "resource"),
        ("src", "node2"),
        ("isstable", "1"),
        ("info", "standby"),
    ]);
    stage.hear(&[("t", "resource"), ("src", "node1"), ("isstable", "1")]);
    stage.pass(60_000);
    assert_eq!(stage.said(), Vec::<String>::new());
    stage.report("1");
    stage.pass(5000);
    stage.report("1");
    stage.pass(4999);
    assert_eq!(stage.said(), Vec::<String>::new());
    stage.pass(1);
    assert_eq!(stage.said(), ["num_ping_nodes"]);
    stage.report("1");
    stage.pass(60_000);
    assert_eq!(stage.said(), ["num_ping_nodes"], "once");
}

#[test]
fn hears_only_the_other_ipfail_join() {
    let mut stage = Stage::started("off");
    let join = |src, st| {
        [
            ("t", "hbapi-clstat"),
            ("st", st),
            ("from_id", "ipfail"),
            ("src", src),
        ]
    };
    stage.hear(&join("node1", "join"));
    stage.hear(&join("node2", "leave"));
    assert_eq!(stage.said(), Vec::<String>::new());
    stage.hear(&join("node2", "join"));
    assert_eq!(stage.said(), ["num_ping_nodes"]);
    assert_eq!(stage.sent[0].text("dest"), Some("node2"));
}

#[test]
fn a_daemon_that_does_not_answer_is_given_up() {
    let mut ipfail = Ipfail::new(identity("node1", 7));
    let mut out = Vec::new();
    ipfail.connected(ms(0), &mut out);
    assert_eq!(ipfail.next_deadline(), Some(ms(30_000)));
    ipfail.tick(ms(29_999), &mut out);
    assert!(!out.contains(&Output::End(End::Failed)));
    ipfail.tick(ms(30_000), &mut out);
    assert_eq!(out.last(), Some(&Output::End(End::Failed)));
    assert_eq!(ipfail.next_deadline(), None);
}

#[test]
fn a_flood_behind_a_question_ends_it() {
    let mut ipfail = Ipfail::new(identity("node1", 7));
    let mut out = Vec::new();
    ipfail.connected(ms(0), &mut out);
    for _ in 0..=MAX_BACKLOG {
        ipfail.received(message(&[("t", "x")]), ms(1), &mut out);
    }
    assert_eq!(out.last(), Some(&Output::End(End::Failed)));
}

#[test]
fn a_change_is_told_when_the_partner_had_time_to_notice_it() {
    let dead = [
        ("t", "ifstat"),
        ("node", "gate"),
        ("ifname", "gate"),
        ("st", "dead"),
    ];
    let back = [("t", "NS_st"), ("src", "gate"), ("st", "ping")];
    // A keepalive and two ticks.
    let mut stage = Stage::started("off");
    stage.pings = vec![("gate", "dead")];
    stage.hear(&dead);
    stage.pass(500);
    stage.hear(&dead);
    stage.pass(999);
    assert_eq!(stage.said(), Vec::<String>::new());
    stage.pass(1);
    assert_eq!(stage.said(), ["num_ping_nodes"]);
    // The partner lost it first and is about to give: at once.
    let mut stage = Stage::started("off");
    stage.count("0");
    stage.pass(750);
    stage.pings = vec![("gate", "dead")];
    stage.hear(&dead);
    assert_eq!(stage.said(), ["you_are_dead", "num_ping_nodes"]);
    assert_eq!(stage.sent[1].text("num_ping"), Some("0"));
    // We are about to give and receive it again: at once, so that the move is cancelled.
    let mut stage = Stage::started("off");
    stage.hear(&[("t", "you_are_dead")]);
    stage.hear(&back);
    assert_eq!(stage.said(), ["num_ping_nodes"]);
}

#[test]
fn a_loss_just_after_the_partners_loss_moves_nothing() {
    let mut stage = Stage::started("off");
    stage.count("0");
    stage.pass(500);
    stage.pings = vec![("gate", "dead")];
    stage.pass(5000);
    assert_eq!(stage.said(), Vec::<String>::new());
}

#[test]
fn a_ping_node_that_both_receive_again_cancels_the_move() {
    let mut stage = Stage::started("off");
    stage.pings = vec![("gate", "dead")];
    stage.count("1");
    stage.pass(900);
    stage.pings = vec![("gate", "ping")];
    stage.hear(&[("t", "NS_st"), ("src", "gate"), ("st", "ping")]);
    stage.pass(5000);
    assert_eq!(stage.gave(), Vec::<&str>::new());
    assert_eq!(stage.said(), ["num_ping_nodes"]);
    // The partner still reaches more.
    stage.hear(&[("t", "you_are_dead"), ("src", "node2")]);
    stage.pass(1000);
    assert_eq!(stage.gave(), ["all"]);
}

#[test]
fn a_report_about_an_old_number_is_answered_with_the_new_one() {
    let mut stage = Stage::started("off");
    stage.hear(&[("t", "NS_st"), ("src", "gate"), ("st", "ping")]);
    stage.pass(100);
    stage.hear(&[("t", "you_are_dead"), ("src", "node2")]);
    assert_eq!(stage.said(), ["num_ping_nodes"]);
    stage.pass(5000);
    assert_eq!(stage.gave(), Vec::<&str>::new());
    assert_eq!(stage.said(), ["num_ping_nodes"], "told once");
}

#[test]
fn a_number_that_was_told_too_early_for_the_partner_gives_it_two_keepalives() {
    let mut stage = Stage::started("off");
    stage.count("0");
    stage.pass(750);
    stage.pings = vec![("gate", "dead")];
    stage.hear(&[
        ("t", "ifstat"),
        ("node", "gate"),
        ("ifname", "gate"),
        ("st", "dead"),
    ]);
    assert_eq!(stage.said(), ["you_are_dead", "num_ping_nodes"]);
    stage.hear(&[("t", "you_are_dead"), ("src", "node2")]);
    stage.pass(999);
    assert_eq!(stage.gave(), Vec::<&str>::new());
    stage.pass(1);
    assert_eq!(stage.gave(), ["all"]);
}
