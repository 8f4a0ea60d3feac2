//! What needs no privilege: the loopback interface stands for a cable.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::task::Poll;

use actix::Actor;
use bytes::Bytes;

use super::*;
use crate::actors::messages::Outgoing;
use crate::clients::control::Receives;
use crate::config::types::MediumConfig;
use crate::protocol::auth::Method;
use crate::protocol::codec::{encode_compressed, encode_datagram};
use crate::protocol::compress::Algorithm;
use crate::protocol::message::Message as Wire;
use crate::protocol::name::NodeName;
use crate::protocol::wire::MessageFormat;

/// Keeps what it is sent.
#[derive(Default)]
struct Probe {
    heard: Vec<Received>,
}

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<Received> for Probe {
    type Result = ();
    fn handle(&mut self, heard: Received, _: &mut Self::Context) {
        self.heard.push(heard);
    }
}

#[derive(Message)]
#[rtype(result = "Vec<Received>")]
struct Take;

impl Handler<Take> for Probe {
    type Result = Vec<Received>;
    fn handle(&mut self, _: Take, _: &mut Self::Context) -> Self::Result {
        std::mem::take(&mut self.heard)
    }
}

fn keys() -> Arc<KeyRing> {
    let ring = KeyRing::new(1, vec![(1, Method::Sha1, b"secret".to_vec())]);
    Arc::new(ring.expect("a key ring"))
}

fn datagram(number: u32) -> Bytes {
    let message = Wire::new("status")
        .with("src", "alpha")
        .with("seq", &format!("{number:x}"));
    encode_datagram(&message, &keys(), MessageFormat::Classic).expect("encodes")
}

fn transmit(number: u32) -> Transmit {
    let message = Wire::new("status");
    Transmit(Arc::new(Outgoing {
        message,
        datagram: datagram(number),
        keys: keys(),
    }))
}

/// A port that nobody uses at this moment.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("bound").port()
}

fn only_plan(medium: MediumConfig) -> MediumPlan {
    plan(&[medium]).pop().expect("one plan")
}

fn ucast_on_lo(port: u16) -> MediumPlan {
    let peer = Ipv4Addr::LOCALHOST;
    only_plan(MediumConfig::Ucast {
        interface: "lo".into(),
        peer,
        port,
    })
}

fn begin(plan: MediumPlan, probe: &Addr<Probe>) -> Addr<MediumActor> {
    begin_with(plan, opener(), probe.clone().recipient())
}

fn begin_with(
    plan: MediumPlan,
    opener: Addr<Opener>,
    to: Recipient<Received>,
) -> Addr<MediumActor> {
    let opened = open(&plan).expect("opens");
    let setup = MediumSetup {
        plan,
        opened: Some(opened),
        deaf: false,
        keys: keys(),
        heard: last_heard(),
        log_bad_packets: true,
        leaving: Leaving::default(),
        opener,
        to,
    };
    start(&actix_rt::Arbiter::current(), setup)
}

fn last_heard() -> LastHeard {
    let local = NodeName::new("alpha").expect("a name");
    LastHeard::new(local, Duration::from_secs(10))
}

async fn views(medium: &Addr<MediumActor>) -> Vec<MediumView> {
    medium.send(AskMedium).await.expect("alive")
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn sequences(probe: &Addr<Probe>) -> Vec<u64> {
    let heard = probe.send(Take).await.expect("alive");
    assert!(heard.iter().all(|heard| heard.medium.as_str() == "lo"));
    heard
        .iter()
        .flat_map(|heard| &heard.messages)
        .filter_map(|message| message.hex("seq"))
        .collect()
}

async fn round_trip(plan: MediumPlan) {
    let probe = Probe::default().start();
    let medium = begin(plan, &probe);
    for number in 1..=3 {
        medium.send(transmit(number)).await.expect("alive");
    }
    settle().await;
    assert_eq!(sequences(&probe).await, [1, 2, 3]);
    let counters = medium.send(GetCounters).await.expect("alive");
    assert_eq!((counters.sent, counters.received), (3, 3));
}

#[actix::test]
async fn ucast_goes_round() {
    round_trip(ucast_on_lo(free_port())).await;
}

#[actix::test]
async fn mcast_goes_round() {
    let group = Ipv4Addr::new(239, 77, 0, 1);
    let port = free_port();
    let interface = "lo".into();
    round_trip(only_plan(MediumConfig::Mcast {
        interface,
        group,
        port,
        ttl: 1,
        loopback: true,
    }))
    .await;
}

#[actix::test]
async fn mcast_without_loopback_stays_silent_to_itself() {
    let plan = only_plan(MediumConfig::Mcast {
        interface: "lo".into(),
        group: Ipv4Addr::new(239, 77, 0, 2),
        port: free_port(),
        ttl: 1,
        loopback: false,
    });
    let options = open(&plan).expect("opens");
    let socket = socket2::SockRef::from(&options.send[0].socket);
    assert!(!socket.multicast_loop_v4().expect("an option"));
    assert_eq!(socket.multicast_ttl_v4().expect("an option"), 1);
}

#[actix::test]
async fn ucast6_goes_round() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return; // no IPv6 on this machine
    }
    let (interface, peer, port) = ("lo".into(), Ipv6Addr::LOCALHOST, free_port());
    round_trip(only_plan(MediumConfig::Ucast6 {
        interface,
        peer,
        port,
    }))
    .await;
}

#[actix::test]
async fn lines_that_share_a_socket_hear_each_datagram_once() {
    let port = free_port();
    let line = |last| MediumConfig::Ucast {
        interface: "lo".into(),
        peer: Ipv4Addr::new(127, 0, 0, last),
        port,
    };
    let mut plans = plan(&[line(1), line(2)]);
    assert_eq!(plans.len(), 1);
    let probe = Probe::default().start();
    let medium = begin(plans.remove(0), &probe);
    medium.send(transmit(7)).await.expect("alive");
    settle().await;
    assert_eq!(sequences(&probe).await, [7, 7], "one copy for each line");
}

#[actix::test]
async fn bad_packets_are_counted_by_class_and_never_passed_on() {
    let port = free_port();
    let probe = Probe::default().start();
    let medium = begin(ucast_on_lo(port), &probe);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut forged = datagram(1).to_vec();
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    let mut truncated = datagram(1).to_vec();
    truncated.truncate(40);
    let bad: [&[u8]; 5] = [b"", b"hello", &forged, &truncated, &[0xff; 60_000]];
    for packet in bad.iter().cycle().take(500) {
        sender.send_to(packet, ("127.0.0.1", port)).expect("sent");
        tokio::task::yield_now().await;
    }
    sender
        .send_to(&datagram(9), ("127.0.0.1", port))
        .expect("sent");
    settle().await;
    assert_eq!(sequences(&probe).await, [9]);
    let counters = medium.send(GetCounters).await.expect("alive");
    assert_eq!(counters.received, 1);
    assert_eq!(counters.not_messages, 300);
    assert_eq!(counters.malformed + counters.not_authentic, 200);
    assert!(counters.not_authentic >= 100, "{counters:?}");
}

#[actix::test]
async fn new_keys_count_from_the_next_datagram() {
    let probe = Probe::default().start();
    let medium = begin(ucast_on_lo(free_port()), &probe);
    let other = KeyRing::new(1, vec![(1, Method::Sha1, b"other".to_vec())]).expect("a key ring");
    medium
        .send(UpdateKeys(Arc::new(other)))
        .await
        .expect("alive");
    medium.send(transmit(1)).await.expect("alive");
    settle().await;
    assert_eq!(sequences(&probe).await, [0_u64; 0]);
    medium.send(UpdateKeys(keys())).await.expect("alive");
    medium.send(transmit(2)).await.expect("alive");
    settle().await;
    assert_eq!(sequences(&probe).await, [2]);
}

#[actix::test]
async fn a_full_mailbox_at_membership_costs_messages_and_nothing_else() {
    let port = free_port();
    // Membership as it is while its thread is busy: its mailbox is never emptied.
    let (sender, receiver) = actix::dev::channel::channel::<Probe>(4);
    let stuck = Addr::new(sender);
    let to = stuck.clone().recipient();
    let medium = begin_with(ucast_on_lo(port), opener(), to);
    for number in 0..50 {
        medium.send(transmit(number)).await.expect("alive");
    }
    settle().await;
    let counters = medium.send(GetCounters).await.expect("alive");
    assert!(counters.mailbox_full >= 40, "{counters:?}");
    assert_eq!(counters.mailbox_full + counters.received, 50);
    drop(receiver);
}

#[actix::test]
async fn a_failed_socket_is_opened_again() {
    let probe = Probe::default().start();
    let medium = begin(ucast_on_lo(free_port()), &probe);
    medium.send(Fail(libc::ENODEV)).await.expect("alive");
    medium.send(transmit(1)).await.expect("alive");
    settle().await;
    assert_eq!(sequences(&probe).await, [0_u64; 0], "closed at first");
    tokio::time::sleep(Duration::from_millis(2200)).await;
    medium.send(transmit(2)).await.expect("alive");
    settle().await;
    assert_eq!(sequences(&probe).await, [2]);
    let counters = medium.send(GetCounters).await.expect("alive");
    assert_eq!((counters.closed, counters.reopened), (1, 1));
}

/// A new interface has no IPv6 address that may send before a second or two, and hears all the same.
#[test]
fn an_address_that_may_not_send_yet_closes_no_socket() {
    let fatal = |number| is_fatal(&io::Error::from_raw_os_error(number));
    assert!(fatal(libc::ENODEV) && fatal(libc::ENXIO) && fatal(libc::EBADF));
    for passing in [
        libc::EADDRNOTAVAIL,
        libc::ENETUNREACH,
        libc::ENETDOWN,
        libc::ENOBUFS,
        libc::EPERM,
    ] {
        assert!(!fatal(passing), "{passing}");
    }
}

#[actix::test]
async fn a_panic_costs_a_moment_and_the_sockets_are_opened_again() {
    let probe = Probe::default().start();
    let medium = begin(ucast_on_lo(free_port()), &probe);
    assert!(medium.send(Fail(0)).await.is_err());
    let reopened = async || {
        let counters = medium.send(GetCounters).await.expect("restarted");
        counters.reopened == 1
    };
    while !reopened().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    medium.send(transmit(3)).await.expect("alive");
    settle().await;
    assert_eq!(sequences(&probe).await, [3]);
}

/// What a look has found.
#[derive(Message)]
#[rtype(result = "()")]
struct Seen(io::Result<Option<InterfaceState>>);

impl Handler<Seen> for MediumActor {
    type Result = ();
    fn handle(&mut self, Seen(seen): Seen, ctx: &mut Self::Context) {
        self.seen(seen, ctx);
    }
}

/// The interface is another one by now, and the kernel does not give sockets for it: it may hold a lock for
/// seconds. The old ones may be as good as ever, and nothing waits.
#[actix::test]
async fn a_kernel_that_lets_wait_holds_no_heartbeat_up() {
    let probe = Probe::default().start();
    let (sender, mut asked) = actix::dev::channel::channel::<Opener>(4);
    let to = probe.clone().recipient();
    let medium = begin_with(ucast_on_lo(free_port()), Addr::new(sender), to);
    for number in 1..=3 {
        let changed = Some(InterfaceState::default());
        medium.send(Seen(Ok(changed))).await.expect("alive");
        medium.send(transmit(number)).await.expect("alive");
    }
    settle().await;
    assert_eq!(sequences(&probe).await, [1, 2, 3]);
    let mut questions = 0;
    std::future::poll_fn(|cx| {
        while futures_util::StreamExt::poll_next_unpin(&mut asked, cx).is_ready() {
            questions += 1;
        }
        Poll::Ready(())
    })
    .await;
    assert_eq!(questions, 2, "one look and one opening, whatever is seen");
}

#[actix::test]
async fn a_look_without_a_descriptor_closes_no_medium() {
    let probe = Probe::default().start();
    let medium = begin(ucast_on_lo(free_port()), &probe);
    for number in 1..=3 {
        let failed = io::Error::from_raw_os_error(libc::EMFILE);
        medium.send(Seen(Err(failed))).await.expect("alive");
        medium.send(transmit(number)).await.expect("alive");
    }
    settle().await;
    assert_eq!(sequences(&probe).await, [1, 2, 3]);
    let counters = medium.send(GetCounters).await.expect("alive");
    assert_eq!((counters.closed, counters.reopened), (0, 0));
}

/// The thread of an actor.
#[derive(Message)]
#[rtype(result = "std::thread::ThreadId")]
struct Where;

impl Handler<Where> for Opener {
    type Result = MessageResult<Where>;
    fn handle(&mut self, _: Where, _: &mut Self::Context) -> Self::Result {
        MessageResult(std::thread::current().id())
    }
}

#[actix::test]
async fn sockets_are_opened_on_a_thread_of_their_own() {
    let thread = opener().send(Where).await.expect("alive");
    assert_ne!(thread, std::thread::current().id());
}

/// Other sockets, or none.
#[derive(Message)]
#[rtype(result = "()")]
struct Given(Result<OpenMedium, String>);

impl Handler<Given> for MediumActor {
    type Result = ();
    fn handle(&mut self, Given(given): Given, ctx: &mut Self::Context) {
        self.opened(given, None, ctx);
    }
}

/// Leaving a group waits for the same lock as joining it, and a socket leaves its groups when it is closed.
#[actix::test]
async fn a_socket_is_closed_where_no_heartbeat_waits() {
    let in_a_group = |port| {
        only_plan(MediumConfig::Mcast {
            interface: "lo".into(),
            group: Ipv4Addr::new(239, 77, 0, 3),
            port,
            ttl: 1,
            loopback: true,
        })
    };
    for case in ["failed", "panic", "no others", "others"] {
        let port = free_port();
        let is_open = || UdpSocket::bind(("0.0.0.0", port)).is_err();
        // As while the thread of the opener hangs: what it is sent stays in its mailbox.
        let (sender, mailbox) = actix::dev::channel::channel::<Opener>(1);
        let probe = Probe::default().start();
        let to = probe.clone().recipient();
        let medium = begin_with(in_a_group(port), Addr::new(sender), to);
        settle().await;
        match case {
            "failed" => medium.do_send(Fail(libc::ENODEV)),
            "panic" => medium.do_send(Fail(0)),
            "no others" => medium.do_send(Given(Err("injected".to_owned()))),
            _ => medium.do_send(Given(Ok(open(&in_a_group(free_port())).expect("opens")))),
        }
        // After a panic it has to be restarted first.
        medium.send(GetCounters).await.expect("alive");
        settle().await;
        assert!(is_open(), "{case}: closed by the thread of the heartbeats");
        drop(mailbox);
        assert!(!is_open(), "{case}: nobody closes it");
    }
}

/// It needs no lock, and would get datagrams that are for the next socket on its port.
#[actix::test]
async fn a_socket_that_is_in_no_group_is_closed_at_once() {
    let (sender, _mailbox) = actix::dev::channel::channel::<Opener>(1);
    let to = Probe::default().start().recipient();
    let port = free_port();
    let medium = begin_with(ucast_on_lo(port), Addr::new(sender), to);
    settle().await;
    medium.send(Fail(libc::ENODEV)).await.expect("alive");
    settle().await;
    UdpSocket::bind(("0.0.0.0", port)).expect("closed");
}

/// Injects the error with that number, or a panic with 0.
#[derive(Message)]
#[rtype(result = "()")]
struct Fail(i32);

impl Handler<Fail> for MediumActor {
    type Result = ();
    fn handle(&mut self, Fail(number): Fail, ctx: &mut Self::Context) {
        assert_ne!(number, 0, "injected");
        self.lost(&io::Error::from_raw_os_error(number), ctx);
    }
}

#[test]
fn what_cannot_be_opened_is_said_with_the_reason() {
    let peer = Ipv4Addr::LOCALHOST;
    let plan = only_plan(MediumConfig::Ucast {
        interface: "nosuch0".into(),
        peer,
        port: 694,
    });
    let error = open(&plan).expect_err("no such interface");
    assert_eq!(error.to_string(), "interface nosuch0 does not exist");
    let plan = only_plan(MediumConfig::Bcast {
        interface: "lo".into(),
        port: 694,
    });
    let error = open(&plan).expect_err("no broadcast there");
    assert_eq!(
        error.to_string(),
        "interface lo has no IPv4 broadcast address"
    );
    assert!(!error.may_pass());
    let group = Ipv4Addr::LOCALHOST; // not a group
    let interface = "lo".to_owned();
    let plan = only_plan(MediumConfig::Mcast {
        interface,
        group,
        port: 0,
        ttl: 1,
        loopback: true,
    });
    let error = open(&plan).expect_err("cannot be joined").to_string();
    assert!(
        error.starts_with("mcast lo: cannot join group 127.0.0.1: "),
        "{error}"
    );
}

#[test]
fn a_port_in_use_may_pass() {
    let port = free_port();
    let _taken = UdpSocket::bind(("0.0.0.0", port)).expect("free");
    let error = open(&ucast_on_lo(port)).expect_err("taken without sharing");
    assert!(error.may_pass(), "{error}");
}

#[test]
fn the_lines_at_opening_are_the_legacy_ones() {
    let lines = [
        Line::Bcast { port: 694 },
        Line::Ucast {
            peer: Ipv4Addr::new(10, 0, 0, 2),
            port: 694,
        },
        Line::Mcast {
            group: Ipv4Addr::new(225, 0, 0, 1),
            port: 694,
            ttl: 1,
            loopback: false,
        },
    ];
    let lines: Vec<String> = lines
        .iter()
        .map(|line| started_line("eth0", line))
        .collect();
    assert_eq!(
        lines,
        [
            "glib: UDP Broadcast heartbeat started on port 694 (694) interface eth0",
            "glib: ucast: started on port 694 interface eth0 to 10.0.0.2",
            "glib: UDP multicast heartbeat started for group 225.0.0.1 port 694 interface eth0 \
             (ttl=1 loop=0)",
        ]
    );
}

/// A message of `bytes` bytes in a datagram of a few hundred.
fn packed(number: u32, bytes: usize) -> Transmit {
    let message = Wire::new("status")
        .with("src", "alpha")
        .with("seq", &format!("{number:x}"))
        .with("info", &"x".repeat(bytes));
    let datagram = encode_compressed(&message, &keys(), MessageFormat::Netstring, Algorithm::Bz2);
    let datagram = datagram.expect("encodes");
    assert!(datagram.len() < 1_000, "{}", datagram.len());
    Transmit(Arc::new(Outgoing {
        message: Wire::new("status"),
        datagram,
        keys: keys(),
    }))
}

/// Whatever was sent before it, nothing waits for a message that has to be unpacked.
#[actix::test]
async fn a_flood_of_compressed_messages_delays_nothing() {
    const BOMBS: u32 = 40;
    let probe = Probe::default().start();
    let medium = begin(ucast_on_lo(free_port()), &probe);
    // All are sent before the first is heard.
    let bombs: Vec<Transmit> = (1..=BOMBS)
        .map(|number| packed(number, 2_000_000))
        .collect();
    for message in bombs.into_iter().chain([transmit(1_000)]) {
        medium.do_send(message);
    }
    let mut heard = Vec::new();
    while !heard.contains(&1_000) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        heard.extend(sequences(&probe).await);
    }
    let before = heard.iter().position(|seq| *seq == 1_000).expect("heard");
    assert!(before <= 2, "{before} were unpacked before it");
    // What waits is bounded, comes in order, and what does not fit is dropped.
    let counters = medium.send(GetCounters).await.expect("alive");
    assert!(counters.packed_full > 0, "{counters:?}");
    let dropped = u32::try_from(counters.packed_full).expect("a few");
    while heard.len() < usize::try_from(BOMBS - dropped + 1).expect("a few") {
        tokio::time::sleep(Duration::from_millis(5)).await;
        heard.extend(sequences(&probe).await);
    }
    heard.retain(|seq| *seq != 1_000);
    assert!(heard.is_sorted(), "{heard:?}");
}

#[actix::test]
async fn what_does_not_unpack_is_refused_and_the_next_one_is_heard() {
    let probe = Probe::default().start();
    let medium = begin(ucast_on_lo(free_port()), &probe);
    medium.send(packed(1, 3_000_000)).await.expect("alive");
    medium.send(packed(2, 1_000)).await.expect("alive");
    let mut heard = Vec::new();
    while heard.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        heard.extend(sequences(&probe).await);
    }
    assert_eq!(heard, [2]);
    let counters = medium.send(GetCounters).await.expect("alive");
    assert_eq!((counters.malformed, counters.received), (1, 1));
}

/// A firewall of this host, or no route: the medium is open, and nothing leaves on it.
#[actix::test]
async fn a_medium_that_cannot_send_says_why() {
    // The loop-back interface has no way there.
    let plan = only_plan(MediumConfig::Ucast6 {
        interface: "lo".into(),
        peer: Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 9),
        port: free_port(),
    });
    let medium = begin(plan, &Probe::default().start());
    let view = views(&medium).await.pop().expect("a view");
    assert!(view.open && view.trouble.is_none(), "{view:?}");
    medium.send(transmit(1)).await.expect("alive");
    let view = views(&medium).await.pop().expect("a view");
    let trouble = view.trouble.as_deref().unwrap_or_default();
    assert!(view.open && trouble.starts_with("ucast6: "), "{view:?}");
}

/// As on a tunnel, which cannot broadcast. Legacy goes on with the other lines of the interface.
#[actix::test]
async fn a_line_without_its_address_takes_no_other_line_along() {
    let (interface, port) = ("lo".to_owned(), free_port());
    let bcast = MediumConfig::Bcast {
        interface: interface.clone(),
        port,
    };
    let ucast = MediumConfig::Ucast {
        interface,
        peer: Ipv4Addr::LOCALHOST,
        port,
    };
    let both = plan(&[bcast, ucast]).pop().expect("one plan");
    let probe = Probe::default().start();
    let medium = begin(both, &probe);
    medium.send(transmit(1)).await.expect("alive");
    settle().await;
    assert_eq!(sequences(&probe).await, [1]);
    let views = views(&medium).await;
    let seen: Vec<_> = views
        .iter()
        .map(|view| (view.kinds.concat(), view.open, view.trouble.as_deref()))
        .collect();
    let why = "interface lo has no IPv4 broadcast address";
    let wanted = [
        ("bcast".to_owned(), true, Some(why)),
        ("ucast".to_owned(), true, None),
    ];
    assert_eq!(seen, wanted);
    // This node's own message, by its own address.
    let receives: Vec<_> = views.iter().map(|view| view.receives).collect();
    assert_eq!(receives, [Some(Receives::Nothing), Some(Receives::Itself)]);
}
