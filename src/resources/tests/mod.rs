//! One resource core with inputs from the test. Group `a` belongs to node `a`, which the core is;
//! group `b` to node `b`.

mod apart;
mod behind_scripts;
mod deaf;
mod defects;
mod fence;
mod found;
mod freeze;
mod gate;
mod hands;
mod handshake;
mod home;
mod house;
mod kept;
mod late;
mod left_open;
mod legacy_model;
mod monitor;
mod pair;
mod partition;
mod questions;
mod refused;
mod runs;
mod shutdown;
mod standby;
mod stray;
mod takeover;
mod unserved;

use std::collections::VecDeque;
use std::time::Duration;

use super::holding::HoldingSet;
use super::input::ResourceInput;
use super::output::ResourceOutput;
use super::parts::run::Phase;
use super::state::ResourceState;
use crate::clock::Monotonic;
use crate::notice::Severity;
use crate::protocol::event::{Action, GroupOrder, GroupOutcome, OrderId, StopReason};
use crate::protocol::fencing::Standing;
use crate::protocol::field;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::output::ResourceEvent;
use crate::protocol::partition::Weight;
use crate::protocol::settings::{AutoFailback, NodeSettings, Timing};
use crate::protocol::status::NodeStatus;

pub(super) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub(super) fn settings(nodes: &[&str], model: AutoFailback) -> NodeSettings {
    let timing = Timing {
        keepalive: Duration::from_millis(500),
        deadtime: Duration::from_secs(4),
        warntime: Duration::from_secs(2),
        initdead: Duration::from_secs(12),
        deadping: Duration::from_secs(4),
        max_rexmit_delay: Duration::from_millis(250),
    };
    NodeSettings {
        ping_nodes: vec![name("router")],
        auto_failback: model,
        groups: nodes
            .iter()
            .map(|n| ResourceGroup {
                key: GroupKey::new(n),
                owner: name(n),
                resources: vec![(*n).to_owned()],
            })
            .collect(),
        ..NodeSettings::new(name("a"), nodes.iter().map(|n| name(n)).collect(), timing)
    }
}

/// A core and what it has asked for.
pub(super) struct Core {
    pub(super) state: ResourceState,
    pub(super) now: Monotonic,
    in_flight: VecDeque<(OrderId, GroupKey, GroupOrder)>,
    seq: u64,
    /// Number of our own last message.
    pub(super) own_seq: u64,
    said: Vec<String>,
    /// What our last full report tells about the other node's questions.
    pub(super) heard_last: Option<String>,
    /// The same of our last message in a standby.
    pub(super) heard_last_of_standby: Option<String>,
    /// The offer by which we have taken nothing, as our reports name it.
    pub(super) not_taken: Vec<String>,
    /// Our last `done`.
    pub(super) done: Option<Message>,
    /// Weights in the full reports.
    weighed: Vec<String>,
    /// The last weight given to membership.
    pub(super) weight: Weight,
    pub(super) complaints: Vec<String>,
    pub(super) decided: Vec<String>,
    /// How we stood to the last node that has to be fenced.
    pub(super) standing: Option<Standing>,
}

impl Core {
    pub(super) fn with(settings: &NodeSettings) -> Self {
        Self {
            state: ResourceState::new(settings),
            now: Monotonic::from_millis(1000),
            in_flight: VecDeque::new(),
            seq: 0,
            own_seq: 0,
            said: Vec::new(),
            heard_last: None,
            heard_last_of_standby: None,
            not_taken: Vec::new(),
            done: None,
            weighed: Vec::new(),
            weight: Weight::default(),
            complaints: Vec::new(),
            decided: Vec::new(),
            standing: None,
        }
    }

    /// `node` is a Systole node without special abilities, or a legacy node.
    pub(super) fn is_ours(&mut self, node: &str, ours: bool) {
        let peer = self.state.other.known(&name(node));
        peer.understands_in_new_run(ours.then_some(""));
    }

    /// A pair that has just become active; `b` is active too.
    pub(super) fn starting(model: AutoFailback) -> Self {
        let mut core = Self::with(&settings(&["a", "b"], model));
        core.status("b", NodeStatus::Init, NodeStatus::Active);
        core.input(ResourceInput::CommUp);
        assert_eq!(core.said(), ["starting"]);
        core
    }

    /// Settled: we hold ours, `b` its own.
    pub(super) fn stable(model: AutoFailback) -> Self {
        let mut core = Self::starting(model);
        core.hear("b", "resource local 1");
        core.finish();
        core.said();
        assert_eq!(core.state.rscstatus(), "local");
        core
    }

    /// We run everything, `b` is dead.
    pub(super) fn alone(model: AutoFailback) -> Self {
        let mut core = Self::stable(model);
        core.dies("b");
        core.finish();
        core.said();
        assert_eq!(core.state.rscstatus(), "all");
        core
    }

    pub(super) fn input(&mut self, input: ResourceInput) {
        let mut out = Vec::new();
        self.state.handle(input, self.now, &mut out);
        self.just_what_is_held_runs();
        for output in out {
            self.output(output);
        }
    }

    /// Whenever a node is settled and has no work: what runs is held, and what is held runs, or its
    /// failure is known.
    fn just_what_is_held_runs(&self) {
        let state = &self.state;
        let quiet = state.nice()
            && state.other.is_pair()
            && state.run.phase() == Phase::Stable
            && state.is_stable()
            && !state.stopping()
            && !state.frozen();
        for (key, side) in state.groups.sides().filter(|_| quiet) {
            let held = state.duty.holds(side);
            let runs = state.groups.runs(key);
            let known = state.groups.trouble(key).is_some() || state.groups.is_given_by_key(key);
            let left = state.groups.is_left(key);
            assert!(held || left || !runs, "{key} runs and is not held");
            assert!(runs || !held || known, "{key} is held and down");
        }
    }

    fn output(&mut self, output: ResourceOutput) {
        match output {
            ResourceOutput::Send(mut message) => {
                self.own_seq += 1;
                message.set_text(field::HG, "1");
                message.set_text(field::SEQ, &format!("{:x}", self.own_seq));
                self.said.push(text_of(&message));
                if message.text(field::INFO) == Some("done") {
                    self.done = Some(message.clone());
                }
                self.not_taken
                    .extend(message.text(field::NOT_TAKEN).map(str::to_owned));
                if let Some(heard) = message.text(field::HEARD) {
                    self.heard_last = Some(heard.to_owned());
                    if message.kind() == Some("ask_resources") {
                        self.heard_last_of_standby = Some(heard.to_owned());
                    }
                }
                self.weighed
                    .extend(message.text(field::RUNS).map(str::to_owned));
                let own = ResourceEvent::Message {
                    from: name("a"),
                    own: true,
                    message,
                };
                self.input(ResourceInput::Membership(own));
            }
            ResourceOutput::BeginNewGeneration => self.said.push("generation".to_owned()),
            ResourceOutput::ContinueUnderNewGeneration => self.said.push("renumber".to_owned()),
            ResourceOutput::Weight(weight) => self.weight = weight.unwrap_or_default(),
            ResourceOutput::FenceDue { node, standing } => {
                self.said.push(format!("fence {node}"));
                self.standing = Some(standing);
            }
            ResourceOutput::FenceDropped(node) => self.said.push(format!("do not fence {node}")),
            ResourceOutput::SendStatus | ResourceOutput::BidFarewell => {}
            ResourceOutput::Decided { what, cause } => {
                self.decided.push(format!("{what}: {cause}"));
            }
            ResourceOutput::Act(action) => match action {
                Action::Group { order, group, what } => {
                    let word = match what {
                        GroupOrder::Start => "start",
                        GroupOrder::Stop => "stop",
                        GroupOrder::Restart => "restart",
                    };
                    self.said.push(format!("{word} {group}"));
                    self.in_flight.push_back((order, group, what));
                }
                Action::Notice(notice) => {
                    if notice.severity() >= Severity::Warn {
                        self.complaints.push(notice.to_string());
                    }
                }
                Action::RunHook(message) => {
                    self.said.push(format!("hook {}", message.kind().unwrap()));
                }
                Action::WithdrawAddresses(_) => self.said.push("drop addresses".to_owned()),
                Action::StopClients => self.said.push("stop clients".to_owned()),
                Action::Exit => self.said.push("exit".to_owned()),
                Action::RebootMachine { .. } => self.said.push("reboot".to_owned()),
                other => panic!("unexpected {other:?}"),
            },
        }
    }

    /// Feeds `ip-request-resp GROUP WEOWN` that `from` sends to itself.
    pub(super) fn hear_answer_to_itself(&mut self, from: &str, group: &str, weown: &str) {
        let message = Message::new("ip-request-resp")
            .with(field::DEST, from)
            .with(field::IPADDR, group)
            .with(field::WEOWN, weown)
            .with(field::OK, "OK");
        self.event(ResourceEvent::AnswersItself {
            node: name(from),
            message,
        });
    }

    /// Feeds `kind [set] [isstable] [info]` as a message of `from`.
    pub(super) fn hear(&mut self, from: &str, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let mut message = Message::new(if words[0] == "ask" {
            "ask_resources"
        } else {
            words[0]
        });
        match words[0] {
            "resource" => {
                message.set_text(field::RSC_HOLD, words[1]);
                if words[2] == "mach_down" {
                    message.set_text(field::INFO, words[2]);
                } else {
                    message.set_text(field::RTYPE, "full");
                    message.set_text(field::IS_STABLE, words[2]);
                    if let Some(info) = words.get(3) {
                        message.set_text(field::INFO, info);
                    }
                }
            }
            "ask" => {
                message.set_text(field::RSC_HOLD, words[1]);
                message.set_text(field::INFO, words[2]);
            }
            "hb_takeover" => message.set_text(field::RSC_HOLD, words[1]),
            "ip-request" => message.set_text(field::IPADDR, words[1]),
            "ip-request-resp" => {
                message.set_text(field::DEST, "a");
                message.set_text(field::IPADDR, words[1]);
                message.set_text(field::WEOWN, words[2]);
                message.set_text(field::OK, "OK");
            }
            "stonith" => {
                message.set_text(field::NODE, words[1]);
                message.set_text(field::RESULT, words[2]);
            }
            _ => {}
        }
        message.set_text(field::HG, "1");
        message.set_text(field::SEQ, &format!("{:x}", self.next_seq()));
        self.event(ResourceEvent::Message {
            from: name(from),
            own: false,
            message,
        });
    }

    /// Number of the other node's next message.
    pub(super) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn event(&mut self, event: ResourceEvent) {
        self.input(ResourceInput::Membership(event));
    }

    pub(super) fn status(&mut self, node: &str, old: NodeStatus, new: NodeStatus) {
        self.event(ResourceEvent::NodeStatusChanged {
            node: name(node),
            old,
            new,
            message: Message::new("status"),
        });
        self.said.retain(|line| line != "hook status");
    }

    pub(super) fn dies(&mut self, node: &str) {
        self.event(ResourceEvent::NodeDead {
            node: name(node),
            heard: true,
            ping: false,
            yields: false,
            message: Message::new("status"),
        });
    }

    /// The node comes back with a higher generation and is active.
    pub(super) fn returns(&mut self, node: &str) {
        self.event(ResourceEvent::NodeRestarted {
            node: name(node),
            was_dead: true,
        });
        self.status(node, NodeStatus::Init, NodeStatus::Up);
        self.status(node, NodeStatus::Up, NodeStatus::Active);
    }

    /// The oldest order in flight.
    pub(super) fn in_hand(&self) -> OrderId {
        let (order, _, _) = self.in_flight.front().expect("an order in flight");
        *order
    }

    /// Ends the oldest order in flight.
    pub(super) fn end(&mut self, outcome: GroupOutcome) {
        let (order, group, _) = self.in_flight.pop_front().expect("an order in flight");
        self.input(ResourceInput::GroupDone {
            order,
            group,
            outcome,
        });
    }

    /// Carries out every order, those that follow too.
    pub(super) fn finish(&mut self) {
        while let Some((_, _, what)) = self.in_flight.front() {
            let outcome = match what {
                GroupOrder::Start | GroupOrder::Restart => GroupOutcome::Started,
                GroupOrder::Stop => GroupOutcome::Stopped,
            };
            self.end(outcome);
        }
    }

    /// Another host answers for the addresses of every group that is to be started.
    pub(super) fn refuse(&mut self) {
        while let Some((_, _, what)) = self.in_flight.front() {
            let outcome = match what {
                GroupOrder::Start | GroupOrder::Restart => GroupOutcome::AddressTaken {
                    claim: "10.0.0.1 is at 02:00:00:00:00:01".to_owned(),
                },
                GroupOrder::Stop => GroupOutcome::Stopped,
            };
            self.end(outcome);
        }
    }

    pub(super) fn fail_start(&mut self) {
        self.end(GroupOutcome::StartFailed {
            resource: "x".to_owned(),
            code: 1,
        });
    }

    /// Lets time pass, deadline by deadline.
    pub(super) fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.state.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(ResourceInput::Tick);
            assert!(
                self.state.next_deadline() != Some(at),
                "the deadline at {at:?} stays"
            );
        }
        self.now = end;
        self.input(ResourceInput::Tick);
    }

    pub(super) fn stop(&mut self) {
        self.input(ResourceInput::StopRequested(StopReason::Requested));
    }

    pub(super) fn standby(&mut self, set: HoldingSet) {
        self.input(ResourceInput::StandbyRequested(set));
    }

    /// What was sent, ordered and asked for since the last call.
    pub(super) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// The reports among the messages, and the weights in them, since the last call.
    pub(super) fn reports(&mut self) -> (Vec<String>, Vec<String>) {
        let mut said = self.said();
        said.retain(|line| line.starts_with("resource"));
        (said, std::mem::take(&mut self.weighed))
    }

    /// A legacy node answers our request for its own groups, and gives them.
    pub(super) fn gives_its_own(&mut self) {
        assert!(self.said().contains(&"hb_takeover foreign".to_owned()));
        self.hear("b", "ask local me");
        assert!(self.said().contains(&"ask local other".to_owned()));
        self.hear("b", "resource none 0 standby");
        self.hear("b", "ask local done");
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.run.phase()
    }
}

/// A message as tests write it: type and the fields that the handshake uses.
pub(super) fn text_of(message: &Message) -> String {
    let mut words = vec![match message.kind().unwrap() {
        "ask_resources" => "ask".to_owned(),
        kind => kind.to_owned(),
    }];
    for name in [
        field::NODE,
        field::RESULT,
        field::DEST,
        field::IPADDR,
        field::WEOWN,
        field::RSC_HOLD,
        field::IS_STABLE,
        field::INFO,
    ] {
        if let Some(text) = message.text(name) {
            words.push(text.to_owned());
        }
    }
    words.join(" ")
}
