use actix::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::*;
use crate::protocol::client::ClusterView;
use crate::protocol::client::frame::MAX_STRANGER_BYTES;
use crate::protocol::message::{Message as ClusterMessage, Value};
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

const ID: ClientId = ClientId(7);

/// Stands for the registry: passes on what it receives, and handles it when the test says so.
struct Registry {
    heard: mpsc::UnboundedSender<Heard>,
    ended: mpsc::UnboundedSender<Gone>,
}

impl Actor for Registry {
    type Context = Context<Self>;
}

impl Handler<Heard> for Registry {
    type Result = ();

    fn handle(&mut self, heard: Heard, _: &mut Self::Context) {
        let _ = self.heard.send(heard);
    }
}

impl Handler<Ended> for Registry {
    type Result = ();

    fn handle(&mut self, ended: Ended, _: &mut Self::Context) {
        assert_eq!(ended.id, ID);
        let _ = self.ended.send(ended.why);
    }
}

struct Bench {
    client: UnixStream,
    session: Rc<Session>,
    heard: mpsc::UnboundedReceiver<Heard>,
    ended: mpsc::UnboundedReceiver<Gone>,
}

fn going_out() -> GoingOut {
    GoingOut {
        format: MessageFormat::Classic,
        compression: Compression::default(),
        lines: None,
    }
}

impl Bench {
    fn new() -> Self {
        let (client, ours) = UnixStream::pair().expect("a pair");
        let (to, heard) = mpsc::unbounded_channel();
        let (end, ended) = mpsc::unbounded_channel();
        let registry = Registry {
            heard: to,
            ended: end,
        }
        .start();
        let (session, read) = Session::new(ours, 0);
        let (to, end) = (registry.clone().recipient(), registry.recipient());
        actix_rt::spawn(serve(Rc::clone(&session), read, ID, going_out(), to, end));
        Self {
            client,
            session,
            heard,
            ended,
        }
    }

    /// The next body, which is handled at once.
    async fn body(&mut self) -> Bytes {
        let heard = self.heard.recv().await.expect("it is read");
        assert_eq!(heard.id, ID);
        heard.done.send(()).expect("somebody waits");
        heard.body
    }
}

fn request(kind: &str) -> Bytes {
    let message = ClusterMessage::new(kind);
    frame::encode(&message, MessageFormat::Classic).expect("it has a form")
}

fn rubbish(bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).expect("short").to_ne_bytes();
    let head = [length, frame::MAGIC.to_ne_bytes()].concat();
    [head, vec![b'x'; bytes]].concat()
}

#[actix::test]
async fn frames_come_whole_and_one_that_is_no_message_ends_nothing() {
    let mut bench = Bench::new();
    for byte in request("a") {
        bench.client.write_all(&[byte]).await.expect("written");
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.body().await, request("a")[frame::HEADER_BYTES..]);
    let several = [rubbish(3), rubbish(0), request("b").to_vec()].concat();
    bench.client.write_all(&several).await.expect("written");
    assert_eq!(bench.body().await, b"xxx"[..]);
    assert_eq!(bench.body().await, b""[..]);
    assert_eq!(bench.body().await, request("b")[frame::HEADER_BYTES..]);
    drop(bench.client);
    assert_eq!(bench.ended.recv().await, Some(Gone::Eof));
}

/// A client that floods waits in its own socket.
#[actix::test]
async fn the_next_frame_comes_when_the_last_one_was_dealt_with() {
    let mut bench = Bench::new();
    let both = [request("a"), request("b")].concat();
    bench.client.write_all(&both).await.expect("written");
    let first = bench.heard.recv().await.expect("it is read");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(bench.heard.try_recv().is_err(), "one at a time");
    first.done.send(()).expect("somebody waits");
    assert_eq!(bench.body().await, request("b")[frame::HEADER_BYTES..]);
}

#[actix::test]
async fn a_bad_header_ends_the_connection_and_says_why() {
    let mut bench = Bench::new();
    let bytes = [request("a").to_vec(), vec![0; 8], request("b").to_vec()].concat();
    bench.client.write_all(&bytes).await.expect("written");
    bench.body().await;
    let why = Gone::BadFrame("bad magic number 0x0 in a frame".to_owned());
    assert_eq!(bench.ended.recv().await, Some(why));
    assert!(bench.heard.try_recv().is_err(), "nothing behind it");
}

#[actix::test]
async fn longer_frames_may_come_after_the_sign_on() {
    let long = rubbish(MAX_STRANGER_BYTES + 1);
    let mut bench = Bench::new();
    bench.client.write_all(&long).await.expect("written");
    let ended = bench.ended.recv().await;
    assert!(matches!(ended, Some(Gone::BadFrame(_))), "{ended:?}");

    let mut bench = Bench::new();
    bench
        .client
        .write_all(&request("signon"))
        .await
        .expect("written");
    let signon = bench.heard.recv().await.expect("it is read");
    assert!(bench.session.set_signed_on());
    signon.done.send(()).expect("somebody waits");
    bench.client.write_all(&long).await.expect("written");
    assert_eq!(bench.body().await.len(), MAX_STRANGER_BYTES + 1);
}

#[actix::test]
async fn what_is_queued_goes_out_before_the_end() {
    let mut bench = Bench::new();
    bench.session.send(request("last")).expect("it waits");
    bench.session.close();
    drop(bench.session);
    let mut all = Vec::new();
    bench.client.read_to_end(&mut all).await.expect("read");
    assert_eq!(all, request("last"));
    // A session that is told to end has not ended by itself.
    assert_eq!(bench.ended.recv().await, None);
}

/// What no datagram can carry is found before anything is done with it; what gets small enough is not.
#[actix::test]
async fn a_message_that_cannot_go_out_is_known_as_such() {
    let mut bench = Bench::new();
    bench.session.set_signed_on();
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((state >> 24) % 26).expect("a letter"))
    };
    let random: String = (0..200_000).map(|_| next()).collect();
    for (load, fits) in [
        ("a".repeat(200_000), true),
        (random, false),
        ("a".to_owned(), true),
    ] {
        let message = ClusterMessage::new("hello").with("load", &load);
        let frame = frame::encode(&message, MessageFormat::Classic).expect("it has a form");
        bench.client.write_all(&frame).await.expect("it is read");
        let heard = bench.heard.recv().await.expect("it is read");
        assert_eq!(heard.too_large.is_none(), fits, "{:?}", heard.too_large);
        let _ = heard.done.send(());
    }
}

/// Where a serial line is the only medium, a message that holds up the heartbeats would be dropped there for good, and its
/// number would be asked for again and again.
#[actix::test]
async fn a_message_too_long_for_the_only_line_is_known_as_such() {
    let lines = with_lines(None);
    for (bytes, goes) in [
        (10, true),
        (1000, true),
        (1900, true),
        (2100, false),
        (70_000, false),
    ] {
        let load = "a".repeat(bytes);
        let body = frame_body(&ClusterMessage::new("hello").with("load", &load));
        assert_eq!(lines.check(&body).await.is_none(), goes, "{bytes}");
        assert!(going_out().check(&body).await.is_none(), "{bytes}");
    }
    // Base64 makes four bytes of three.
    let mut binary = ClusterMessage::new("hello");
    binary.push("load", Value::Binary(vec![7; 1700]));
    let body = frame::encode(&binary, MessageFormat::Netstring).expect("it has a form");
    let why = lines.check(&body.slice(frame::HEADER_BYTES..)).await;
    assert!(
        matches!(why, Some(CannotGo::HoldsTheLine { .. })),
        "{why:?}"
    );
    // A byte that classic text cannot hold.
    let none = ClusterMessage::new("hello").with("load", "\u{13}");
    let body = frame::encode(&none, MessageFormat::Netstring).expect("it has a form");
    let body = body.slice(frame::HEADER_BYTES..);
    let why = lines.check(&body).await;
    assert!(matches!(why, Some(CannotGo::NoForm(_))), "{why:?}");
    assert!(going_out().check(&body).await.is_none());
}

fn with_lines(beside_others: Option<Recipient<AskCluster>>) -> GoingOut {
    let lines = Lines {
        longest: 2400,
        names: vec!["/dev/ttyS0".to_owned()],
        beside_others,
    };
    GoingOut {
        lines: Some(Arc::new(lines)),
        ..going_out()
    }
}

/// Membership that knows a node by these links.
struct Peer(Vec<(String, bool)>);

impl Actor for Peer {
    type Context = Context<Self>;
}

impl Handler<AskCluster> for Peer {
    type Result = MessageResult<AskCluster>;

    fn handle(&mut self, _: AskCluster, _: &mut Self::Context) -> Self::Result {
        let node = |name: &str, own| ClusterNode {
            name: NodeName::new(name).expect("a name"),
            ping: false,
            own,
            status: NodeStatus::Active,
            uuid: None,
            weight: 100,
            site: String::new(),
            gap_to: None,
            links: if own { Vec::new() } else { self.0.clone() },
        };
        MessageResult(ClusterView {
            nodes: vec![node("alpha", true), node("beta", false)],
            rscstatus: None,
            paused: false,
        })
    }
}

/// While the network is cut, such a message would be dropped, and its client believes that it was sent.
#[actix::test]
async fn a_message_too_long_for_a_line_needs_another_link_that_is_up() {
    let load = "a".repeat(10_000);
    let body = frame_body(&ClusterMessage::new("hello").with("load", &load));
    for (line, net, goes) in [
        (true, true, true),
        (true, false, false),
        (false, true, true),
        // Nobody hears anything: as ever, it is sent.
        (false, false, true),
    ] {
        let links = [("/dev/ttyS0", line), ("eth0", net)];
        let links = links.map(|(name, up)| (name.to_owned(), up)).to_vec();
        let lines = with_lines(Some(Peer(links).start().recipient()));
        assert_eq!(lines.check(&body).await.is_none(), goes, "{line} {net}");
    }
}

/// No node can send a list of a kilobyte.
#[actix::test]
async fn a_list_that_is_too_long_is_known_as_such() {
    for (elements, goes) in [(3, true), (200, false)] {
        let list = (0..elements).map(|number| format!("element {number}").into_bytes());
        let mut message = ClusterMessage::new("hello");
        message.push("list", Value::List(list.collect()));
        let body = frame_body(&message);
        assert!(body.len() < SURELY_FITS);
        assert_eq!(going_out().check(&body).await.is_none(), goes, "{elements}");
    }
}

fn frame_body(message: &ClusterMessage) -> Bytes {
    let frame = frame::encode(message, MessageFormat::Classic).expect("it has a form");
    frame.slice(frame::HEADER_BYTES..)
}
