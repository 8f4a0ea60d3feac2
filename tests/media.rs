//! Media between two network namespaces: round trips, re-opening, a flood. Needs root.
#![allow(
    clippy::disallowed_methods,
    reason = "this is not the daemon: it runs ip(8) and looks at the clock"
)]

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler};
use actix_rt::Arbiter;
use systole::actors::medium::{
    AskMedium, Counters, GetCounters, LastHeard, MediumActor, MediumSetup, open, opener, plan,
    start,
};
use systole::actors::messages::{Outgoing, Received, Transmit};
use systole::actors::watchdog::Leaving;
use systole::clients::control::Receives;
use systole::config::types::MediumConfig;
use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::codec::encode_datagram;
use systole::protocol::message::Message;
use systole::protocol::name::NodeName;
use systole::protocol::wire::MessageFormat;

const PORT: u16 = 694;

/// A thread with its own network namespace.
struct Host {
    arbiter: Arbiter,
    /// Its thread id, by which `ip` finds the namespace.
    tid: i32,
    heard: Arc<Mutex<Vec<(String, u64)>>>,
}

struct Probe(Arc<Mutex<Vec<(String, u64)>>>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<Received> for Probe {
    type Result = ();
    fn handle(&mut self, heard: Received, _: &mut Self::Context) {
        let entry = |message: &Message| {
            let sequence = message.hex("seq").unwrap_or(0);
            (heard.medium.to_string(), sequence)
        };
        let entries = heard.messages.iter().map(entry);
        self.0.lock().expect("no panic").extend(entries);
    }
}

fn keys() -> Arc<KeyRing> {
    let ring = KeyRing::new(1, vec![(1, Method::Sha1, b"secret".to_vec())]);
    Arc::new(ring.expect("a key ring"))
}

/// What no node of these tests sends: everything that arrives is another's.
fn last_heard() -> LastHeard {
    let local = NodeName::new("nobody").expect("a name");
    LastHeard::new(local, Duration::from_secs(60))
}

fn transmit(sequence: u64) -> Transmit {
    let message = Message::new("status")
        .with("src", "alpha")
        .with("seq", &format!("{sequence:x}"));
    let datagram = encode_datagram(&message, &keys(), MessageFormat::Classic).expect("encodes");
    Transmit(Arc::new(Outgoing {
        message,
        datagram,
        keys: keys(),
    }))
}

impl Host {
    async fn new() -> Self {
        let arbiter = Arbiter::with_tokio_rt(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root");
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
        });
        let mut host = Self {
            arbiter,
            tid: 0,
            heard: Arc::default(),
        };
        host.tid = host.inside(|| nix::unistd::gettid().as_raw()).await;
        host.ip("link set lo up").await;
        host
    }

    /// Runs `work` on the host's thread.
    async fn inside<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> R {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.arbiter.spawn_fn(move || {
            let _ = tell.send(work());
        });
        told.await.expect("the thread lives")
    }

    /// `ip` with `words`, in the host's namespace.
    async fn ip(&self, words: &str) {
        let words = words.to_owned();
        self.inside(move || {
            let done = Command::new("ip").args(words.split(' ')).status();
            assert!(done.is_ok_and(|status| status.success()), "ip {words}");
        })
        .await;
    }

    /// Joins interface `eth0` of both hosts by a cable and gives it the hosts' addresses.
    async fn cable(&self, peer: &Self) {
        let tid = peer.tid;
        self.ip(&format!(
            "link add eth0 type veth peer name eth0 netns {tid}"
        ))
        .await;
        for (host, last) in [(self, 1), (peer, 2)] {
            host.ip(&format!("address add 10.7.0.{last}/24 brd + dev eth0"))
                .await;
            host.ip(&format!("address add fd07::{last}/64 dev eth0 nodad"))
                .await;
            host.ip("link set eth0 up").await;
        }
    }

    async fn media(&self, media: &[MediumConfig]) -> Vec<Addr<MediumActor>> {
        let plans = plan(media);
        let heard = Arc::clone(&self.heard);
        let (tell, told) = tokio::sync::oneshot::channel();
        self.arbiter.spawn_fn(move || {
            actix_rt::spawn(async move {
                let opened: Vec<_> = plans
                    .iter()
                    .map(|plan| open(plan).expect("opens"))
                    .collect();
                let probe = Probe(heard).start();
                // Its thread begins in this host's namespace.
                let opener = opener();
                let begin = |(plan, opened)| {
                    let to = probe.clone().recipient();
                    let setup = MediumSetup {
                        plan,
                        opened: Some(opened),
                        deaf: false,
                        keys: keys(),
                        heard: last_heard(),
                        log_bad_packets: true,
                        leaving: Leaving::default(),
                        opener: opener.clone(),
                        to,
                    };
                    start(&Arbiter::current(), setup)
                };
                let media: Vec<_> = plans.into_iter().zip(opened).map(begin).collect();
                let _ = tell.send(media);
            });
        });
        told.await.expect("started")
    }

    fn has_heard(&self, sequence: u64) -> bool {
        let heard = self.heard.lock().expect("no panic");
        assert!(heard.iter().all(|(medium, _)| medium == "eth0"));
        heard.iter().any(|(_, number)| *number == sequence)
    }
}

async fn pair() -> (Host, Host) {
    let (alpha, beta) = (Host::new().await, Host::new().await);
    alpha.cable(&beta).await;
    (alpha, beta)
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Sends heartbeats on `from` until `to` receives one that was sent after this call.
async fn gets_through(from: &[Addr<MediumActor>], to: &Host) -> bool {
    let first = NEXT.load(SeqCst);
    for _ in 0..100 {
        let sequence = NEXT.fetch_add(1, SeqCst);
        for medium in from {
            medium.do_send(transmit(sequence));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        if (first..=sequence).any(|number| to.has_heard(number)) {
            return true;
        }
    }
    false
}

async fn counters(medium: &Addr<MediumActor>) -> Counters {
    medium.send(GetCounters).await.expect("alive")
}

fn bcast() -> MediumConfig {
    MediumConfig::Bcast {
        interface: "eth0".into(),
        port: PORT,
    }
}

fn ucast(last: u8) -> MediumConfig {
    let peer = Ipv4Addr::new(10, 7, 0, last);
    MediumConfig::Ucast {
        interface: "eth0".into(),
        peer,
        port: PORT,
    }
}

fn mcast() -> MediumConfig {
    let (interface, group) = ("eth0".into(), Ipv4Addr::new(225, 0, 0, 7));
    MediumConfig::Mcast {
        interface,
        group,
        port: PORT,
        ttl: 1,
        loopback: false,
    }
}

fn ucast6(last: u16) -> MediumConfig {
    let peer = Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, last);
    MediumConfig::Ucast6 {
        interface: "eth0".into(),
        peer,
        port: PORT,
    }
}

fn mcast6() -> MediumConfig {
    let (interface, group) = (
        "eth0".into(),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x4242),
    );
    MediumConfig::Mcast6 {
        interface,
        group,
        port: PORT,
        hops: 1,
        loopback: false,
    }
}

#[actix::test]
#[ignore = "needs root"]
async fn every_kind_of_medium_goes_from_host_to_host() {
    let kinds = [
        ("bcast", bcast(), bcast()),
        ("mcast", mcast(), mcast()),
        ("ucast", ucast(2), ucast(1)),
        ("mcast6", mcast6(), mcast6()),
        ("ucast6", ucast6(2), ucast6(1)),
    ];
    for (name, here, there) in kinds {
        let (alpha, beta) = pair().await;
        let from_alpha = alpha.media(&[here]).await;
        let from_beta = beta.media(&[there]).await;
        assert!(gets_through(&from_alpha, &beta).await, "{name} from alpha");
        assert!(gets_through(&from_beta, &alpha).await, "{name} from beta");
        // While an interface is new its IPv6 address may not send yet. Once everything is open
        // nothing fails.
        let failures = |counters: Counters| counters.send_errors + counters.would_block;
        let first = failures(counters(&from_alpha[0]).await);
        assert!(gets_through(&from_alpha, &beta).await, "{name} again");
        assert_eq!(failures(counters(&from_alpha[0]).await), first, "{name}");
    }
}

#[actix::test]
#[ignore = "needs root"]
async fn bcast_and_ucast_lines_of_one_interface_share_their_socket() {
    let (alpha, beta) = pair().await;
    let media = [bcast(), ucast(1), ucast(2), mcast()];
    let from_alpha = alpha.media(&media).await;
    let _from_beta = beta.media(&media).await;
    assert_eq!(from_alpha.len(), 2);
    assert!(gets_through(&from_alpha, &beta).await);
    // One of the media may still be opening: once all are open, each message arrives in exactly
    // this number of copies.
    let mut seen = (0, 0);
    for _ in 0..10 {
        let sequence = NEXT.fetch_add(1, SeqCst);
        for medium in &from_alpha {
            medium.do_send(transmit(sequence));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let copies = |host: &Host| {
            let heard = host.heard.lock().expect("no panic");
            heard
                .iter()
                .filter(|(_, number)| *number == sequence)
                .count()
        };
        seen = (copies(&alpha), copies(&beta));
        if seen.0 >= 2 && seen.1 >= 3 {
            break;
        }
    }
    // On the sending host our own broadcast and the line to ourselves; on the other host one by
    // broadcast, one of two lines, one by multicast.
    assert_eq!(seen, (2, 3));
}

/// To whom a datagram was sent is read from it.
#[actix::test]
#[ignore = "needs root"]
async fn a_broadcast_is_told_from_what_is_for_this_host() {
    for (media, receives) in [
        (bcast(), [Receives::Others, Receives::Nothing]),
        (ucast(2), [Receives::Nothing, Receives::Others]),
    ] {
        let (alpha, beta) = pair().await;
        let from_alpha = alpha.media(&[media]).await;
        let from_beta = beta.media(&[bcast(), ucast(1)]).await;
        assert!(gets_through(&from_alpha, &beta).await);
        let views = from_beta[0].send(AskMedium).await.expect("alive");
        let seen: Vec<_> = views.iter().map(|view| view.receives).collect();
        assert_eq!(seen, receives.map(Some), "{views:?}");
    }
}

#[actix::test]
#[ignore = "needs root"]
async fn a_group_on_two_interfaces_is_heard_on_the_right_one_only() {
    for on_eth0 in [mcast(), mcast6()] {
        let (alpha, beta) = pair().await;
        alpha.ip("link add eth1 type veth peer name other1").await;
        alpha.ip("address add 10.8.0.1/24 brd + dev eth1").await;
        alpha.ip("address add fd08::1/64 dev eth1 nodad").await;
        alpha.ip("link set other1 up").await;
        alpha.ip("link set eth1 up").await;
        let mut on_eth1 = on_eth0.clone();
        match &mut on_eth1 {
            MediumConfig::Mcast { interface, .. } | MediumConfig::Mcast6 { interface, .. } => {
                "eth1".clone_into(interface);
            }
            _ => unreachable!(),
        }
        let _from_alpha = alpha.media(&[on_eth0.clone(), on_eth1]).await;
        let from_beta = beta.media(&[on_eth0]).await;
        // `has_heard` insists on eth0.
        assert!(gets_through(&from_beta, &alpha).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        alpha.has_heard(0);
    }
}

/// An address that is added by hand without `brd +`, or by a script, has no broadcast address.
#[actix::test]
#[ignore = "needs root"]
async fn bcast_reaches_the_network_of_an_address_without_a_broadcast_address() {
    let (alpha, beta) = pair().await;
    for (host, last) in [(&alpha, 1), (&beta, 2)] {
        host.ip("address flush dev eth0").await;
        host.ip(&format!("address add 10.7.0.{last}/24 dev eth0"))
            .await;
    }
    let from_alpha = alpha.media(&[bcast()]).await;
    let _from_beta = beta.media(&[bcast()]).await;
    assert!(gets_through(&from_alpha, &beta).await, "from the start");
    alpha.ip("address flush dev eth0").await;
    alpha.ip("address add 10.7.0.3/24 dev eth0").await;
    assert!(gets_through(&from_alpha, &beta).await, "after a change");
    // A network of one address has no broadcast address at all.
    let (alpha, beta) = pair().await;
    alpha.ip("address flush dev eth0").await;
    alpha.ip("address add 10.7.0.1/32 dev eth0").await;
    let from_alpha = alpha.media(&[bcast()]).await;
    let _from_beta = beta.media(&[bcast()]).await;
    assert!(gets_through(&from_alpha, &beta).await, "a single address");
}

#[actix::test]
#[ignore = "needs root"]
async fn a_medium_opens_again_whatever_happens_to_its_interface() {
    for (name, here, there) in [
        ("bcast", bcast(), bcast()),
        ("mcast", mcast(), mcast()),
        ("ucast", ucast(2), ucast(1)),
        // Their destinations carry the number of the interface.
        ("mcast6", mcast6(), mcast6()),
    ] {
        let (alpha, beta) = pair().await;
        let from_alpha = alpha.media(&[here]).await;
        let from_beta = beta.media(&[there]).await;
        let both = async |what: &str| {
            assert!(
                gets_through(&from_alpha, &beta).await,
                "{name} from alpha {what}"
            );
            assert!(
                gets_through(&from_beta, &alpha).await,
                "{name} from beta {what}"
            );
        };
        both("at first").await;

        alpha.ip("link set eth0 down").await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        alpha.ip("link set eth0 up").await;
        both("after down and up").await;

        alpha.ip("link delete eth0").await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        alpha.cable(&beta).await;
        both("after it was made anew").await;

        alpha.ip("link set eth0 down").await;
        alpha.ip("link set eth0 name other0").await;
        alpha.ip("link set other0 up").await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let lost = NEXT.fetch_add(1, SeqCst);
        from_alpha[0].do_send(transmit(lost));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(
            !beta.has_heard(lost),
            "{name}: on an interface that ha.cf does not name"
        );
        alpha.ip("link set other0 down").await;
        alpha.ip("link set other0 name eth0").await;
        alpha.ip("link set eth0 up").await;
        both("after it had another name").await;

        if matches!(name, "bcast" | "mcast") {
            // Another network: another broadcast address, another source address for multicast.
            for (host, last) in [(&alpha, 1), (&beta, 2)] {
                host.ip("address flush dev eth0").await;
                host.ip(&format!("address add 172.29.3.{last}/28 brd + dev eth0"))
                    .await;
            }
            both("after a change of address").await;
        }
        let counters = counters(&from_alpha[0]).await;
        assert!(counters.reopened >= 2, "{name} {counters:?}");
    }
}

/// The kernel takes an interface's IPv6 addresses and groups away, and gives back only the link-local address.
#[actix::test]
#[ignore = "needs root"]
async fn a_group_is_joined_again_after_a_moment_without_ipv6() {
    let (alpha, beta) = pair().await;
    let _from_alpha = alpha.media(&[mcast6()]).await;
    let from_beta = beta.media(&[mcast6()]).await;
    assert!(gets_through(&from_beta, &alpha).await);
    alpha.ip("link set eth0 mtu 1000").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    alpha.ip("link set eth0 mtu 1500").await;
    assert!(gets_through(&from_beta, &alpha).await);
}

#[actix::test]
#[ignore = "needs root"]
async fn a_flood_stops_no_timer() {
    let (alpha, beta) = pair().await;
    let media = alpha.media(&[bcast()]).await;
    let worst_us = Arc::new(AtomicU64::new(0));
    let ticks = Arc::new(AtomicU32::new(0));
    let (worst, count) = (Arc::clone(&worst_us), Arc::clone(&ticks));
    alpha.arbiter.spawn_fn(move || {
        actix_rt::spawn(async move {
            loop {
                let due = Instant::now() + Duration::from_millis(10);
                tokio::time::sleep(Duration::from_millis(10)).await;
                let late = due.elapsed().as_micros();
                worst.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), SeqCst);
                count.fetch_add(1, SeqCst);
            }
        });
    });
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let Transmit(forged) = transmit(1);
    let flood = beta
        .inside(move || {
            std::thread::spawn(move || {
                let socket = UdpSocket::bind("10.7.0.2:0").expect("a port");
                let mut packet = forged.datagram.to_vec();
                let middle = packet.len() / 2;
                packet[middle] ^= 1;
                let mut sent = 0_u64;
                while !stop.load(SeqCst) {
                    sent += u64::from(socket.send_to(&packet, ("10.7.0.1", PORT)).is_ok());
                }
                sent
            })
        })
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    over.store(true, SeqCst);
    let sent = flood.join().expect("ends");
    let (ticks, worst) = (
        ticks.load(SeqCst),
        Duration::from_micros(worst_us.load(SeqCst)),
    );
    let counters = counters(&media[0]).await;
    eprintln!("{sent} sent, {ticks} ticks, latest {worst:?}, {counters:?}");
    let taken = counters.not_authentic + counters.malformed;
    assert!(taken > 10_000, "{counters:?}");
    assert!(ticks > 100, "{ticks} ticks in 3 s");
    // If it were starved, the timer would come only after the flood.
    assert!(worst < Duration::from_millis(1500), "{worst:?} late");
}
