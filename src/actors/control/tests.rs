use std::fs;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use super::door::MAX_VIEWERS_OF_ONE;
use super::*;
use crate::actors::groups::tests::Cluster;
use crate::actors::medium::AskMedium;
use crate::actors::resource_group::tests::Scripts;
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clients::control::{ControlError, GroupAnswer, MediumView, NodeReport, Receives, ask};
use crate::protocol::decisions::Decision;
use crate::protocol::event::GroupOrder::{Start, Stop};

/// Membership that knows one node, alone and active.
pub(crate) struct Membership;

impl Actor for Membership {
    type Context = Context<Self>;
}

impl Handler<AskNode> for Membership {
    type Result = MessageResult<AskNode>;

    fn handle(&mut self, _: AskNode, _: &mut Self::Context) -> Self::Result {
        let media = [
            ("eth0", Receives::Others),
            ("eth1", Receives::Itself),
            ("eth7", Receives::Nothing),
            ("/dev/ttyS0", Receives::Nothing),
        ];
        MessageResult(NodeReport {
            receives: media
                .into_iter()
                .map(|(name, receives)| (name.to_owned(), receives))
                .collect(),
            ..NodeReport::example()
        })
    }
}

impl Handler<AskMaintenance> for Membership {
    type Result = MessageResult<AskMaintenance>;

    fn handle(&mut self, _: AskMaintenance, _: &mut Self::Context) -> Self::Result {
        MessageResult(Ok(vec![Decision {
            unix_s: 9,
            what: "waits".to_owned(),
            cause: "nobody answers".to_owned(),
        }]))
    }
}

/// A medium that answers, or one whose driver lets its thread wait.
struct Medium(Option<MediumView>);

impl Actor for Medium {
    type Context = Context<Self>;
}

impl Handler<AskMedium> for Medium {
    type Result = ResponseFuture<Vec<MediumView>>;

    fn handle(&mut self, _: AskMedium, _: &mut Self::Context) -> Self::Result {
        match self.0.clone() {
            Some(view) => Box::pin(async { vec![view] }),
            None => Box::pin(std::future::pending()),
        }
    }
}

fn media() -> Vec<MediumTarget> {
    let medium = |name: &str, closed: Option<&str>| {
        let view = MediumView::new(
            name.to_owned(),
            vec!["bcast".to_owned()],
            closed.map(str::to_owned),
        );
        MediumTarget {
            name: name.to_owned(),
            kinds: view.kinds.clone(),
            ask: Medium(Some(view)).start().recipient(),
        }
    };
    vec![
        medium("eth0", None),
        medium("eth1", None),
        medium("eth7", Some("interface eth7 does not exist")),
        MediumTarget {
            name: "/dev/ttyS0".to_owned(),
            kinds: vec!["serial".to_owned()],
            ask: Medium(None).start().recipient(),
        },
    ]
}

struct Fixture {
    path: PathBuf,
    cluster: Cluster,
    _directory: TempDir,
    _control: Addr<ControlActor>,
}

fn start(scripts: &Scripts, lines: &[&str]) -> Fixture {
    start_as(scripts, lines, ControlActor::new)
}

fn start_as(
    scripts: &Scripts,
    lines: &[&str],
    make: fn(PathBuf, ControlTargets) -> ControlActor,
) -> Fixture {
    let directory = TempDir::new().expect("tempdir");
    let path = directory.path().join("run/ctl");
    let cluster = Cluster::new(scripts, lines);
    let membership = Membership.start();
    let targets = ControlTargets {
        group: cluster.groups.clone().recipient(),
        groups: cluster.groups.clone().recipient(),
        checks: cluster.groups.clone().recipient(),
        clear: cluster.groups.clone().recipient(),
        node: membership.clone().recipient(),
        decisions: membership.recipient(),
        absent: None,
        media: media(),
        fencing: None,
        watchdog: None,
        lease: None,
    };
    let control_path = path.clone();
    let control = supervise(
        &Arbiter::current(),
        RestartPolicy::new("control"),
        move |_| make(control_path, targets),
    );
    Fixture {
        path,
        cluster,
        _directory: directory,
        _control: control,
    }
}

impl Fixture {
    async fn ask(&self, request: Request) -> Result<Reply, ControlError> {
        let path = self.path.clone();
        for _ in 0..100 {
            if path.exists() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        tokio::task::spawn_blocking(move || ask(&path, &request, Duration::from_secs(10)))
            .await
            .expect("asking does not panic")
    }

    /// Writes bytes and reads until the end.
    async fn talk(&self, bytes: &[u8]) -> io::Result<String> {
        let mut stream = UnixStream::connect(&self.path).await.expect("connect");
        stream.write_all(bytes).await?;
        let mut reply = String::new();
        timeout(CLIENT_LIMIT * 2, stream.read_to_string(&mut reply))
            .await
            .expect("an end in time")
            .map(|_| reply)
    }
}

fn key(key: &str) -> String {
    key.to_owned()
}

#[actix::test]
async fn answers_come_from_membership_and_groups() {
    let scripts = Scripts::new();
    scripts.resource("slow", "[ $op = status ] && exit 0; sleep 0.3");
    let mut fixture = start(&scripts, &["alpha slow", "beta good::b"]);
    let Reply::View(view) = fixture.ask(Request::View).await.expect("view") else {
        panic!("not a view");
    };
    assert_eq!(view.node.expect("membership answers").name, "alpha");
    assert_eq!(view.groups.len(), 2);
    let media: Vec<_> = view
        .media
        .iter()
        .map(|it| (it.name.as_str(), it.open, it.receives))
        .collect();
    let nothing = Some(Receives::Nothing);
    let wanted = [
        ("eth0", true, Some(Receives::Others)),
        ("eth1", true, Some(Receives::Itself)),
        ("eth7", false, nothing),
        ("/dev/ttyS0", false, nothing),
    ];
    assert_eq!(media, wanted);
    let reason = |at: usize| view.media[at].reason.as_deref().unwrap_or_default();
    assert_eq!(reason(2), "interface eth7 does not exist");
    assert!(reason(3).contains("does not answer"), "{}", reason(3));
    let mode = fs::metadata(&fixture.path).expect("socket").mode();
    assert_eq!(mode & 0o777, 0o600);

    fixture.cluster.order(1, "slow", Start);
    let started = fixture.ask(Request::GroupStart { key: key("slow") }).await;
    assert_eq!(started.expect("answer"), Reply::Group(GroupAnswer::Started));
    fixture.cluster.order(2, "slow", Stop);
    let stopped = fixture.ask(Request::GroupStop { key: key("slow") }).await;
    assert_eq!(stopped.expect("answer"), Reply::Group(GroupAnswer::Stopped));
    fixture.cluster.outcome().await;
    let other = fixture
        .ask(Request::GroupStart {
            key: key("good::b"),
        })
        .await;
    assert_eq!(other.expect("answer"), Reply::Group(GroupAnswer::NotHeld));
    assert_eq!(scripts.calls(), ["slow start", "slow stop"]);
}

/// Membership has one link for both: `bcast eth0` of which only own messages return, `ucast eth0` that works.
#[test]
fn media_of_one_interface_are_told_apart_by_what_each_received() {
    use Receives::{Itself, Nothing, Others};
    let mut node = NodeReport::example();
    for (name, receives) in [("eth0", Others), ("eth1", Itself), ("eth2", Others)] {
        node.receives.insert(name.to_owned(), receives);
    }
    let view = |name: &str, own: Option<Receives>| MediumView {
        receives: own,
        ..MediumView::new(name.to_owned(), Vec::new(), None)
    };
    for (name, own, judged) in [
        (
            "eth0",
            [Some(Itself), Some(Others)],
            [Some(Itself), Some(Others)],
        ),
        ("eth0", [Some(Nothing), None], [Some(Nothing), Some(Others)]),
        // Messages of a node that ha.cf does not name.
        (
            "eth1",
            [Some(Others), Some(Nothing)],
            [Some(Itself), Some(Nothing)],
        ),
        ("eth9", [Some(Others), Some(Itself)], [None, None]),
    ] {
        let mut views = own.map(|own| view(name, own));
        judge(&mut views, Some(&node));
        assert_eq!(views.map(|view| view.receives), judged, "{name}");
    }
    // The only one of its interface: the other node may have announced a longer dead time.
    let mut alone = [view("eth2", Some(Nothing)), view("eth0", Some(Itself))];
    judge(&mut alone, Some(&node));
    assert_eq!(alone.map(|view| view.receives), [Some(Others); 2]);
    let mut unknown = [view("eth2", Some(Others))];
    judge(&mut unknown, None);
    assert_eq!(unknown.map(|view| view.receives), [None]);
}

#[actix::test]
async fn nonsense_is_refused_and_silence_is_cut_off() {
    let scripts = Scripts::new();
    let fixture = start(&scripts, &["alpha good::a"]);
    fixture.ask(Request::View).await.expect("up");
    let talk = async |bytes: &[u8]| fixture.talk(bytes).await;
    assert!(
        talk(b"reboot now\n")
            .await
            .expect("reply")
            .contains("not a request")
    );
    assert!(talk(b"\n").await.expect("reply").contains("not a request"));
    let long = vec![b'x'; MAX_REQUEST_BYTES * 2];
    // Refused, or disconnected with data unread; both are an end.
    if let Ok(reply) = talk(&long).await {
        assert!(reply.contains("not a request"));
    }
    assert_eq!(talk(b"{\"request\":").await.unwrap_or_default(), "");
    fixture.ask(Request::View).await.expect("still up");
}

#[actix::test]
async fn a_dead_socket_is_replaced_and_a_file_is_not() {
    let directory = TempDir::new().expect("tempdir");
    let path = directory.path().join("ctl");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bind"));
    listen(&path, None).expect("replaced");
    fs::remove_file(&path).expect("there");
    fs::write(&path, "precious").expect("write");
    assert!(listen(&path, None).is_err());
    assert_eq!(fs::read_to_string(&path).expect("read"), "precious");
}

#[actix::test]
async fn the_decisions_are_told_before_the_client_socket_opens() {
    let scripts = Scripts::new();
    let fixture = start(&scripts, &[]);
    let reply = fixture.ask(Request::Why).await.expect("answered");
    let Reply::Decisions { decisions } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(
        (decisions[0].unix_s, &*decisions[0].cause),
        (9, "nobody answers")
    );
}

/// All requests.
fn every_request() -> Vec<Request> {
    let key = || key("good::a");
    let node = || "beta".to_owned();
    let all = vec![
        Request::View,
        Request::Why,
        Request::GroupStart { key: key() },
        Request::GroupStop { key: key() },
        Request::GroupStatus { key: key() },
        Request::Fence,
        Request::FenceTest { node: node() },
        Request::FenceConfirm {
            node: node(),
            by: "root".to_owned(),
        },
        Request::MonitorRun { key: key() },
        Request::Clear { key: key() },
        #[cfg(debug_assertions)]
        Request::Panic { actor: None },
        #[cfg(debug_assertions)]
        Request::Hang {
            actor: "control".to_owned(),
        },
    ];
    // A new one must be listed here.
    let kinds: std::collections::BTreeSet<u8> = all.iter().map(kind_of).collect();
    assert_eq!(kinds.len(), all.len());
    all
}

fn kind_of(request: &Request) -> u8 {
    match request {
        Request::View => 0,
        Request::Why => 1,
        Request::GroupStart { .. } => 2,
        Request::GroupStop { .. } => 3,
        Request::GroupStatus { .. } => 4,
        Request::Fence => 5,
        Request::FenceTest { .. } => 6,
        Request::FenceConfirm { .. } => 7,
        Request::MonitorRun { .. } => 8,
        Request::Clear { .. } => 9,
        #[cfg(debug_assertions)]
        Request::Panic { .. } => 10,
        #[cfg(debug_assertions)]
        Request::Hang { .. } => 11,
    }
}

#[actix::test]
async fn the_view_socket_takes_no_order() {
    let scripts = Scripts::new();
    let fixture = start_as(&scripts, &["alpha good::a"], ControlActor::views);
    for request in every_request() {
        let reply = fixture.ask(request.clone()).await.expect("an answer");
        match request {
            Request::View => assert!(matches!(reply, Reply::View(_))),
            Request::Why => assert!(matches!(reply, Reply::Decisions { .. })),
            order => {
                let Reply::Refused { reason } = reply else {
                    panic!("{order:?}: {reply:?}");
                };
                assert!(
                    reason.starts_with("not a request: unknown variant"),
                    "{reason}"
                );
            }
        }
    }
    assert_eq!(scripts.calls(), [""; 0]);
    // For others than root only by a group, which this machine need not have.
    let mode = fs::metadata(&fixture.path).expect("socket").mode() & 0o777;
    let expected = accounts::viewers().map_or(0o600, |_| 0o660);
    assert_eq!(mode, expected);
}

#[actix::test]
async fn the_view_socket_survives_hostile_bytes() {
    let scripts = Scripts::new();
    let fixture = start_as(&scripts, &["alpha good::a"], ControlActor::views);
    fixture.ask(Request::View).await.expect("up");
    let order = br#"{"request":"group_stop","key":"good::a"}"#;
    let deep = [b"[".repeat(7000).as_slice(), b"\n"].concat();
    let after_view = [b"{\"request\":\"view\"}\n".as_slice(), order, b"\n"].concat();
    let long = vec![b'{'; MAX_REQUEST_BYTES * 2];
    let twice = br#"{"request":"view","request":"group_stop","key":"good::a"}"#;
    let with_end = |bytes: &[u8]| [bytes, b"\n"].concat();
    for bytes in [
        b"\n".to_vec(),
        b"\0\0\0\n".to_vec(),
        vec![0xff; 600],
        with_end(order),
        with_end(twice),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        deep,
        after_view,
        long,
    ] {
        // Refused, or disconnected with data unread; both are an end.
        let mut bytes = bytes;
        if !bytes.contains(&b'\n') {
            bytes.push(b'\n');
        }
        if let Ok(reply) = fixture.talk(&bytes).await {
            let told =
                reply.is_empty() || reply.contains("not a request") || reply.contains("\"view\"");
            assert!(told, "{reply}");
        }
    }
    fixture.ask(Request::View).await.expect("still up");
    assert_eq!(scripts.calls(), [""; 0]);
}

/// As `printf ... | nc -N -U` does.
#[actix::test]
async fn who_has_said_everything_gets_the_answer() {
    let scripts = Scripts::new();
    let fixture = start_as(&scripts, &["alpha good::a"], ControlActor::views);
    fixture.ask(Request::View).await.expect("up");
    for _ in 0..10 {
        let mut stream = UnixStream::connect(&fixture.path).await.expect("connect");
        let request = b"{\"request\":\"view\"}\n";
        stream.write_all(request).await.expect("sent");
        stream.shutdown().await.expect("half closed");
        let mut reply = String::new();
        timeout(CLIENT_LIMIT * 2, stream.read_to_string(&mut reply))
            .await
            .expect("in time")
            .expect("an answer");
        assert!(reply.starts_with("{\"reply\":\"view\""), "{reply}");
    }
}

/// They are cut off, and meanwhile nobody waits but those who come to this socket.
#[actix::test]
async fn silent_viewers_are_bounded() {
    let scripts = Scripts::new();
    let fixture = start_as(&scripts, &["alpha good::a"], ControlActor::views);
    fixture.ask(Request::View).await.expect("up");
    let connect = || UnixStream::connect(&fixture.path);
    let mut silent = Vec::new();
    for _ in 0..MAX_VIEWERS_OF_ONE {
        silent.push(connect().await.expect("connect"));
    }
    let one_more = fixture.talk(b"{\"request\":\"view\"}\n").await;
    assert_eq!(one_more.unwrap_or_default(), "", "it is closed");
    for stream in &mut silent {
        let mut end = Vec::new();
        timeout(CLIENT_LIMIT * 3, stream.read_to_end(&mut end))
            .await
            .expect("cut off")
            .expect("an end");
        assert!(end.is_empty());
    }
    let reply = fixture
        .talk(b"{\"request\":\"why\"}\n")
        .await
        .expect("a reply");
    assert!(reply.contains("nobody answers"), "{reply}");
}
