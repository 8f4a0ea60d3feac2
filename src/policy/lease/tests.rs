use super::*;

const DEADTIME: Duration = Duration::from_secs(3);

fn at(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

fn copy(last: u8) -> AddressCopy {
    AddressCopy {
        index: 2,
        address: IpAddr::from([10, 0, 0, last]),
        prefix: 24,
    }
}

fn there(last: u8) -> There {
    There {
        copy: copy(last),
        ends: true,
        takes_along: Vec::new(),
    }
}

/// A lease of 2 s.
struct Rig(Lease);

impl Rig {
    /// Address 9 was put up at `ms`.
    fn holding(ms: u64) -> Self {
        let mut rig = Self(Lease::new(2, DEADTIME));
        rig.put_up(9, ms);
        rig
    }

    fn put_up(&mut self, last: u8, ms: u64) {
        let since = Some(at(ms));
        let copy = copy(last);
        let acts = self.0.handle(Event::Holds { copy, since }, at(ms));
        assert_eq!(acts, []);
    }

    fn beat(&mut self, sent: u64, now: u64) -> Vec<Action> {
        self.0.handle(Event::Beat(at(sent)), at(now))
    }

    fn looked(&mut self, ms: u64, there: &[There]) -> Vec<Action> {
        let (began, there) = (at(ms), there.to_vec());
        self.0.handle(Event::Looked { began, there }, at(ms))
    }

    fn renewed(&mut self, ms: u64) -> Vec<Action> {
        let (done, refused) = (vec![copy(9)], None);
        self.0.handle(Event::Renewed { done, refused }, at(ms))
    }

    /// A heartbeat at `ms` renews address 9.
    fn turn(&mut self, ms: u64) {
        assert_eq!(self.beat(ms, ms), [Action::Look]);
        let renew = [Action::Renew(vec![copy(9)], 2)];
        assert_eq!(self.looked(ms, &[there(9)]), renew);
        assert_eq!(self.renewed(ms + 1), []);
    }

    fn wait(&self, ms: u64) -> Option<Duration> {
        self.0.ran_out(copy(9).address, at(ms))
    }
}

fn said(actions: &[Action]) -> Vec<&str> {
    let said = actions.iter().filter_map(|action| match action {
        Action::Say(_, text) => Some(text.as_str()),
        _ => None,
    });
    said.collect()
}

#[test]
fn only_a_heartbeat_that_has_just_left_renews() {
    let mut rig = Rig(Lease::new(2, DEADTIME));
    assert_eq!(rig.0.next_due(), None);
    assert_eq!(rig.beat(1000, 1000), [], "nothing is held");
    rig.put_up(9, 1000);
    assert_eq!(rig.0.next_due(), Some(at(0)), "at once");
    assert_eq!(rig.beat(1000, 1101), [], "too old");
    rig.turn(1200);
    assert_eq!(rig.beat(1400, 1400), [], "not due");
    let third = Duration::from_secs(2) / 3;
    assert_eq!(rig.0.next_due(), Some(at(1200) + third));
    rig.turn(1867);
    let mut long = Lease::new(8, DEADTIME);
    let since = None;
    long.handle(
        Event::Holds {
            copy: copy(9),
            since,
        },
        at(0),
    );
    long.handle(
        Event::Looked {
            began: at(5),
            there: vec![there(9)],
        },
        at(5),
    );
    assert_eq!(long.next_due(), Some(at(1005)), "a second at most");
}

#[test]
fn what_is_about_to_be_removed_is_not_renewed() {
    let mut rig = Rig::holding(0);
    rig.turn(100);
    rig.0.handle(Event::Drops(copy(9).address), at(500));
    assert_eq!(rig.beat(1000, 1000), []);
    assert_eq!(rig.looked(1000, &[there(9)]), []);
    assert_eq!(rig.renewed(1000), [], "of a renewal that was under way");
    assert_eq!(rig.wait(9000), None);
}

#[test]
fn what_somebody_removed_is_left_to_the_guard() {
    let mut rig = Rig::holding(0);
    rig.turn(100);
    assert_eq!(rig.looked(900, &[]), []);
    assert_eq!(rig.wait(900), None);
    assert_eq!(rig.looked(5000, &[]), [], "later as well");
    assert_eq!(rig.wait(5000), None);
    assert!(rig.0.view().renewed.is_empty());
    // The guard puts it up again.
    rig.put_up(9, 5100);
    rig.turn(5200);
    // Or a person.
    assert_eq!(rig.looked(6000, &[]), []);
    let renew = [Action::Renew(vec![copy(9)], 2)];
    assert_eq!(rig.looked(7000, &[there(9)]), renew);
}

#[test]
fn after_a_long_stop_it_is_gone_for_a_dead_time() {
    let mut rig = Rig::holding(0);
    rig.turn(1000);
    assert_eq!(rig.wait(2999), None);
    assert_eq!(rig.wait(9000), Some(DEADTIME), "nothing has left since");
    assert_eq!(rig.beat(9000, 9000), [Action::Look]);
    assert_eq!(rig.looked(9000, &[]), [Action::Changed]);
    assert_eq!(rig.wait(9000), Some(DEADTIME));
    assert_eq!(rig.wait(11_000), Some(Duration::from_secs(1)));
    assert_eq!(rig.wait(13_000), Some(Duration::ZERO));
    // The look of somebody who stood still does not count.
    let (copy, since) = (copy(9), None);
    rig.0.handle(Event::Holds { copy, since }, at(9001));
    assert_eq!(rig.wait(9001), Some(Duration::from_millis(2999)));
    assert_eq!(rig.looked(9700, &[]), [], "nothing new");
    rig.put_up(9, 13_000);
    assert_eq!(rig.wait(13_000), None);
}

#[test]
fn a_stop_that_nobody_noticed_costs_nothing_more() {
    let mut rig = Rig::holding(0);
    rig.turn(1000);
    assert_eq!(rig.beat(3500, 3500), [Action::Look]);
    assert_eq!(rig.looked(3500, &[]), [Action::Changed]);
    assert_eq!(rig.wait(3500), Some(Duration::ZERO));
}

#[test]
fn a_renewal_after_the_end_is_taken_back() {
    // Stopped between the look and the renewal, for longer than the lease had left.
    let mut rig = Rig::holding(0);
    rig.turn(1000);
    assert_eq!(rig.beat(2500, 2500), [Action::Look]);
    rig.looked(2500, &[there(9)]);
    let remove = [Action::Remove(vec![copy(9)]), Action::Changed];
    assert_eq!(rig.renewed(7000), remove);
    assert_eq!(rig.wait(7000), Some(DEADTIME));
    // The kernel was slow, but the lease had not ended.
    let mut rig = Rig::holding(0);
    rig.turn(1000);
    rig.looked(1700, &[there(9)]);
    assert_eq!(rig.renewed(2999), []);
    // It had, by the clock, but the look has just seen it.
    let mut rig = Rig::holding(0);
    rig.turn(1000);
    rig.looked(3001, &[there(9)]);
    assert_eq!(rig.renewed(3002), []);
    assert_eq!(rig.wait(3002), None);
}

#[test]
fn what_was_found_has_no_known_end() {
    let mut rig = Rig(Lease::new(2, DEADTIME));
    let (copy, since) = (copy(9), None);
    rig.0.handle(Event::Holds { copy, since }, at(0));
    rig.turn(100);
    let mut slow = Rig(Lease::new(2, DEADTIME));
    slow.0.handle(Event::Holds { copy, since }, at(0));
    slow.looked(100, &[there(9)]);
    let remove = [Action::Remove(vec![copy]), Action::Changed];
    assert_eq!(slow.renewed(1200), remove);
}

#[test]
fn what_is_missing_at_the_begin_has_run_out() {
    let mut rig = Rig(Lease::new(2, DEADTIME));
    rig.0.handle(Event::Missing(copy(9).address), at(1000));
    assert_eq!(rig.wait(1000), Some(DEADTIME));
    assert_eq!(rig.looked(1500, &[]), []);
    assert_eq!(rig.wait(4000), Some(Duration::ZERO));
    rig.put_up(9, 4000);
    assert_eq!(rig.wait(4000), None);
    rig.turn(4100);
    rig.0.handle(Event::Missing(copy(8).address), at(5000));
    rig.0.handle(Event::Drops(copy(8).address), at(5001));
    assert_eq!(rig.0.ran_out(copy(8).address, at(5001)), None);
}

#[test]
fn a_machine_that_was_suspended_has_lost_its_lease() {
    let mut rig = Rig::holding(0);
    rig.turn(1000);
    // The kernel removes it up to a third of a second late.
    let renew = [Action::Renew(vec![copy(9)], 2)];
    assert_eq!(rig.looked(3300, &[there(9)]), renew);
    rig.renewed(3301);
    let remove = [Action::Remove(vec![copy(9)]), Action::Changed];
    assert_eq!(rig.looked(60_000, &[there(9)]), remove);
    assert_eq!(rig.wait(60_000), Some(DEADTIME));
}

#[test]
fn others_that_would_go_with_it_forbid_a_lease() {
    let mut rig = Rig::holding(0);
    let mut first = there(9);
    first.takes_along = vec![copy(10)];
    let acts = rig.looked(100, std::slice::from_ref(&first));
    let text = "address 10.0.0.9 gets no lease: it is the first of its network /24, and the kernel would remove 10.0.0.10 \
                together with it. Set the sysctl promote_secondaries of its interface to 1";
    assert_eq!(said(&acts), [text]);
    assert_eq!(acts.last(), Some(&Action::Endless(vec![copy(9)])));
    first.ends = false;
    assert_eq!(rig.looked(1000, std::slice::from_ref(&first)), [], "once");
    assert!(rig.0.view().endless.contains(&copy(9).address));
    assert_eq!(rig.wait(90_000), None);
    // The other one is ours as well: it goes at the same time.
    rig.put_up(10, 1500);
    let acts = rig.looked(2000, &[first, there(10)]);
    assert_eq!(acts, [Action::Renew(vec![copy(9), copy(10)], 2)]);
}

#[test]
fn a_refusal_is_said_once() {
    let mut rig = Rig::holding(0);
    let mut refuse = |why: Option<&str>| {
        rig.looked(100, &[there(9)]);
        let refused = why.map(str::to_owned);
        let done = Vec::new();
        rig.0.handle(Event::Renewed { done, refused }, at(101))
    };
    assert_eq!(said(&refuse(Some("no"))).len(), 1);
    assert_eq!(refuse(Some("no")), []);
    assert_eq!(refuse(None), []);
    assert_eq!(said(&refuse(Some("no"))).len(), 1);
}

#[test]
fn a_process_that_replaces_itself_leaves_a_longer_lease() {
    let mut rig = Rig::holding(0);
    rig.turn(100);
    let longer = Some(Duration::from_secs(30));
    let acts = rig.0.handle(Event::Part(longer), at(200));
    assert_eq!(acts, [Action::Renew(vec![copy(9)], 31)]);
    rig.renewed(201);
    assert_eq!(rig.0.next_due(), None);
    assert_eq!(rig.beat(1200, 1200), []);
    rig.0.handle(Event::Stay, at(9000));
    rig.turn(9000);
    let acts = rig.0.handle(Event::Part(None), at(9500));
    assert_eq!(acts, [Action::Endless(vec![copy(9)])], "an older program");
    let mut nothing = Lease::new(2, DEADTIME);
    assert_eq!(nothing.handle(Event::Part(longer), at(0)), []);
}
