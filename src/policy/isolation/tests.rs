use super::*;

const KEEPALIVE: Duration = Duration::from_millis(500);
const DEADTIME: Duration = Duration::from_secs(4);

fn ms(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

/// A pair and its ping nodes, as one of the two nodes receives them.
struct Scene {
    watch: Isolation,
    peer: (NodeStatus, Option<u64>),
    pings: Vec<Option<u64>>,
    leaving: bool,
    may_act: bool,
}

impl Scene {
    /// All nodes were received at 10 s.
    fn new() -> Self {
        Self {
            watch: Isolation::new(KEEPALIVE, DEADTIME),
            peer: (NodeStatus::Active, Some(10_000)),
            pings: vec![Some(10_000)],
            leaving: false,
            may_act: true,
        }
    }

    fn name() -> NodeName {
        NodeName::new("peer").unwrap()
    }

    fn seen(&self, now: u64) -> Vec<Silence> {
        let (status, heard) = self.peer;
        let early = DEADTIME - margin(KEEPALIVE);
        let due = heard.filter(|_| status != NodeStatus::Dead);
        let peer = Silence {
            node: Self::name(),
            ping: false,
            status,
            heard: heard.map(ms),
            due: due.map(|due| ms(due) + early),
        };
        let pings = self.pings.iter().enumerate().map(|(number, heard)| {
            let silent = heard.is_none_or(|heard| ms(now).since(ms(heard)) >= DEADTIME);
            Silence {
                node: NodeName::new(&format!("gate{number}")).unwrap(),
                ping: true,
                status: if silent {
                    NodeStatus::Dead
                } else {
                    NodeStatus::Ping
                },
                heard: heard.map(ms),
                due: None,
            }
        });
        std::iter::once(peer).chain(pings).collect()
    }

    fn at(&mut self, now: u64) -> Option<Step> {
        let (seen, leaving) = (self.seen(now), self.leaving);
        self.watch.observe(seen, self.may_act, |_| leaving, ms(now))
    }

    fn judge(&mut self, now: u64) -> Result<Option<Step>, Option<Step>> {
        let (may_act, leaving) = (self.may_act, self.leaving);
        self.watch.judge(&Self::name(), may_act, leaving, ms(now))
    }

    /// No node is received from 10 s on: what is done at 13.5 s, and at 14 s.
    fn silence(&mut self) -> (Option<Step>, Result<Option<Step>, Option<Step>>) {
        assert_eq!(self.at(13_499), None);
        let step = self.at(13_500);
        (step, self.judge(14_000))
    }

    /// The same, and no call comes before 14 s.
    fn silence_to_the_end(&mut self) -> Result<Option<Step>, Option<Step>> {
        assert_eq!(self.at(10_100), None);
        self.judge(14_000)
    }
}

#[test]
fn cut_off_from_both_it_withdraws_and_releases() {
    let mut scene = Scene::new();
    assert_eq!(scene.at(10_100), None);
    assert_eq!(scene.watch.next_deadline(), Some(ms(13_500)));
    assert_eq!(scene.silence(), (Some(Step::Withdraw), Ok(None)));
    assert_eq!(margin(Duration::from_millis(10)), Duration::from_millis(50));
}

#[test]
fn a_ping_node_that_answers_makes_it_a_death() {
    let mut scene = Scene::new();
    scene.pings = vec![Some(10_000), Some(13_200)];
    assert_eq!(scene.silence(), (None, Err(None)));
}

#[test]
fn a_single_lost_answer_is_no_silence() {
    let mut scene = Scene::new();
    scene.pings = vec![Some(12_500)];
    assert_eq!(scene.silence(), (None, Err(None)));
}

#[test]
fn a_ping_node_silent_long_before_counts_for_nothing() {
    for ping in [None, Some(5_999)] {
        let mut scene = Scene::new();
        scene.pings = vec![ping];
        assert_eq!(scene.silence(), (None, Err(None)), "{ping:?}");
    }
    let mut scene = Scene::new();
    scene.pings = vec![None, Some(6_000)];
    assert_eq!(scene.silence(), (Some(Step::Withdraw), Ok(None)));
    let mut scene = Scene::new();
    scene.pings.clear();
    assert_eq!(scene.silence(), (None, Err(None)), "no ping node at all");
}

#[test]
fn a_peer_that_has_left_or_is_dead_dies_as_ever() {
    let mut scene = Scene::new();
    scene.leaving = true;
    assert_eq!(scene.silence(), (None, Err(None)));
    let mut scene = Scene::new();
    scene.peer.0 = NodeStatus::Dead;
    assert_eq!(scene.silence(), (None, Err(None)));
    let mut scene = Scene::new();
    scene.may_act = false;
    assert_eq!(scene.silence(), (None, Err(None)), "frozen or stopping");
}

/// Messages of the other nodes may wait unread. The addresses are withdrawn when the time to read
/// them is over, once for each silence, however late further calls come.
#[test]
fn a_call_that_comes_late_waits_for_what_is_unread_once() {
    // Behind the dead time of the peer, at 14 s, the shortest time is left: it may have the addresses by now.
    for (late, wait) in [(200, 250), (500, 25), (2_000, 25), (30_000, 25)] {
        let mut scene = Scene::new();
        let called = 13_500 + late;
        assert_eq!(scene.at(called), None, "{late}");
        assert_eq!(scene.watch.next_deadline(), Some(ms(called + wait)));
        assert_eq!(scene.at(called + wait - 1), None, "{late}");
        assert_eq!(scene.at(called + wait + late), Some(Step::Withdraw));
        assert_eq!(scene.at(called + 2 * late + 500), None, "once");
    }
    let mut scene = Scene::new();
    assert_eq!(scene.at(13_600), Some(Step::Withdraw), "nearly in time");
}

/// The peer takes the addresses at 14 s, and the next call comes as late as this one. Simulator: isolation,
/// seed 90003264.
#[test]
fn doubt_ends_with_the_dead_time_of_the_peer() {
    // Just before that there is still a moment to read what waits.
    for (late, until) in [(260, 14_000), (400, 14_000), (490, 14_015), (499, 14_024)] {
        let mut scene = Scene::new();
        assert_eq!(scene.at(13_500 + late), None, "{late}");
        assert_eq!(scene.watch.next_deadline(), Some(ms(until)), "{late}");
        assert_eq!(scene.at(until + late), Some(Step::Withdraw), "{late}");
    }
    // The ping node was heard longer: the peer does not wait for that.
    let mut scene = Scene::new();
    scene.pings = vec![Some(11_850)];
    assert_eq!(scene.at(13_800), None, "it answers, for all we know");
    assert_eq!(scene.watch.next_deadline(), Some(ms(13_850)));
    assert_eq!(scene.at(13_980), None);
    assert_eq!(scene.watch.next_deadline(), Some(ms(14_005)));
}

#[test]
fn a_peer_received_after_a_late_call_costs_no_address() {
    let mut scene = Scene::new();
    assert_eq!(scene.at(13_800), None);
    scene.pings = vec![Some(13_850)];
    assert_eq!(scene.at(13_850), None);
    assert_eq!(scene.judge(14_000), Err(None));
    let mut scene = Scene::new();
    assert_eq!(scene.at(13_800), None);
    scene.peer.1 = Some(13_900);
    assert_eq!(scene.at(13_900), None, "nothing to put back");
    assert_eq!(scene.watch.next_deadline(), Some(ms(17_400)));
    // The end of the dead time does not wait.
    let mut scene = Scene::new();
    assert_eq!(scene.at(13_900), None);
    assert_eq!(scene.judge(14_000), Ok(Some(Step::Withdraw)));
    // No step is left out when that is the first call.
    assert_eq!(Scene::new().silence_to_the_end(), Ok(Some(Step::Withdraw)));
}

/// Such a peer takes our groups as soon as it has declared us dead: it is active then.
#[test]
fn a_peer_that_has_just_begun_counts_as_an_active_one() {
    for status in [NodeStatus::Init, NodeStatus::Up] {
        let mut scene = Scene::new();
        scene.peer.0 = status;
        assert_eq!(scene.at(10_100), None);
        assert_eq!(scene.watch.next_deadline(), Some(ms(13_500)), "{status}");
        assert_eq!(
            scene.silence(),
            (Some(Step::Withdraw), Ok(None)),
            "{status}"
        );
    }
}

#[test]
fn an_hour_after_the_death_of_the_peer_nothing_is_given_up() {
    let mut scene = Scene::new();
    scene.peer = (NodeStatus::Dead, Some(10_000));
    for second in 3600..3700 {
        scene.pings = vec![Some(3_610_000.min(second * 1000))];
        assert_eq!(scene.at(second * 1000), None);
        assert_eq!(scene.watch.next_deadline(), None);
    }
}

#[test]
fn a_peer_received_in_time_restores_the_addresses() {
    let mut scene = Scene::new();
    assert_eq!(scene.at(13_500), Some(Step::Withdraw));
    assert_eq!(scene.at(13_600), None);
    scene.pings = vec![Some(13_700)];
    assert_eq!(scene.at(13_700), Some(Step::Restore));
    assert_eq!(scene.judge(14_000), Err(None));
    let mut scene = Scene::new();
    assert_eq!(scene.at(13_500), Some(Step::Withdraw));
    scene.peer.1 = Some(13_900);
    assert_eq!(scene.at(13_900), Some(Step::Restore));
    // The answer comes in the same turn as the death.
    let mut scene = Scene::new();
    assert_eq!(scene.at(13_500), Some(Step::Withdraw));
    scene.leaving = true;
    assert_eq!(scene.judge(14_000), Err(Some(Step::Restore)));
}

#[test]
fn takes_everything_again_when_a_ping_node_is_back_for_a_dead_time() {
    let mut scene = Scene::new();
    assert_eq!(scene.silence(), (Some(Step::Withdraw), Ok(None)));
    scene.peer.0 = NodeStatus::Dead;
    assert_eq!(scene.at(60_000), None);
    assert_eq!(scene.watch.next_deadline(), None);
    scene.pings = vec![Some(60_500)];
    assert_eq!(scene.at(60_500), None);
    assert_eq!(scene.watch.next_deadline(), Some(ms(64_500)));
    // A break restarts the wait.
    assert_eq!(scene.at(63_000), None);
    for beat in 0..8 {
        let now = 63_500 + beat * 500;
        scene.pings = vec![Some(now)];
        assert_eq!(scene.at(now), None, "{now}");
    }
    scene.pings = vec![Some(67_500)];
    assert_eq!(scene.at(67_500), Some(Step::Regain));
    assert_eq!(scene.at(68_000), None, "once");
}

#[test]
fn a_peer_that_is_received_again_ends_it() {
    let mut scene = Scene::new();
    assert_eq!(scene.silence(), (Some(Step::Withdraw), Ok(None)));
    scene.peer = (NodeStatus::Active, Some(60_000));
    scene.pings = vec![Some(60_000)];
    assert_eq!(scene.at(60_000), None);
    assert_eq!(scene.at(63_000), None);
    assert_eq!(scene.at(63_500), Some(Step::Withdraw), "watches again");
}

#[test]
fn never_asks_to_be_called_in_the_past() {
    let mut scene = Scene::new();
    scene.pings = vec![Some(12_500)];
    assert_eq!(scene.at(13_500), None);
    assert_eq!(scene.watch.next_deadline(), Some(ms(14_500)));
    assert_eq!(scene.at(14_500), Some(Step::Withdraw));
    assert_eq!(scene.watch.next_deadline(), None);
    let mut scene = Scene::new();
    scene.leaving = true;
    assert_eq!(scene.at(13_500), None);
    assert_eq!(scene.watch.next_deadline(), None);
}

/// The process was restarted in place with nothing at 10 s, and has received no node since.
#[test]
fn a_successor_that_receives_no_node_is_cut_off_as_its_predecessor_may_have_been() {
    let mut scene = Scene::new();
    scene.peer = (NodeStatus::Init, None);
    scene.pings = vec![None];
    assert_eq!(scene.at(10_000), None);
    assert_eq!(scene.judge(22_000), Err(None), "it has just been started");
    let mut scene = Scene::new();
    scene.peer = (NodeStatus::Init, None);
    scene.pings = vec![None];
    scene.watch.go_on_with_nothing();
    assert_eq!(scene.at(10_000), None);
    assert_eq!(scene.at(21_900), None);
    assert_eq!(scene.judge(22_000), Ok(Some(Step::Withdraw)));
    // With a ping node that answers, or with a peer that alone became silent, it is not cut off.
    for (peer, pings) in [
        ((NodeStatus::Init, None), vec![Some(21_900)]),
        ((NodeStatus::Up, Some(15_000)), vec![None]),
    ] {
        let mut scene = Scene::new();
        (scene.peer, scene.pings) = (peer, pings);
        scene.watch.go_on_with_nothing();
        assert_eq!(scene.at(10_000), None);
        scene.at(21_900);
        assert_eq!(scene.judge(22_000), Err(None));
    }
}
