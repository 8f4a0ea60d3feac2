use std::cell::RefCell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::rc::Rc;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, InputModes, LocalModes};

use super::*;
use crate::actors::messages::Outgoing;
use crate::protocol::auth::Method;
use crate::protocol::codec::encode_serial;
use crate::protocol::name::{MediumName, NodeName};
use crate::protocol::serial::{LineSettings, Speed};

fn keys() -> Arc<KeyRing> {
    let keys = vec![(1, Method::Sha1, b"labkey".to_vec())];
    Arc::new(KeyRing::new(1, keys).expect("keys"))
}

/// The far end of a line whose near end is at `device`.
struct FarEnd {
    file: File,
    /// Keeps the near end there while nobody has it open.
    _near: File,
}

impl FarEnd {
    fn at(device: &Path) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let far: OwnedFd = openpt(flags).expect("a pseudo-terminal");
        grantpt(&far).expect("granted");
        unlockpt(&far).expect("unlocked");
        let name = ptsname(&far, Vec::new()).expect("a name");
        let name = name.to_str().expect("text");
        let near = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(name)
            .expect("opened");
        rustix::io::ioctl_fionbio(&far, true).expect("not blocking");
        let _ = std::fs::remove_file(device);
        std::os::unix::fs::symlink(name, device).expect("linked");
        Self {
            file: File::from(far),
            _near: near,
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).expect("written");
    }

    /// What arrives until `enough` of it is there.
    async fn until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let mut heard = String::new();
        for _ in 0..1000 {
            let mut buffer = [0; 4096];
            match self.file.read(&mut buffer) {
                Ok(bytes) => heard.push_str(&String::from_utf8_lossy(&buffer[..bytes])),
                Err(_) => actix_rt::time::sleep(Duration::from_millis(10)).await,
            }
            if enough(&heard) {
                return heard;
            }
        }
        panic!("only {heard:?}");
    }
}

struct Probe(Rc<RefCell<Vec<String>>>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<Received> for Probe {
    type Result = ();

    fn handle(&mut self, received: Received, _: &mut Self::Context) {
        assert!(received.medium.as_str().ends_with("/ttyS9"));
        let kinds = received
            .messages
            .iter()
            .map(|m| m.kind().unwrap_or_default().to_owned());
        self.0.borrow_mut().extend(kinds);
    }
}

impl Handler<CannotGo> for Probe {
    type Result = ();

    fn handle(&mut self, told: CannotGo, _: &mut Self::Context) {
        assert!(told.medium.as_str().ends_with("/ttyS9"));
        let text = format!("{:x} {:x} cannot go", told.generation.0, told.seq.0);
        self.0.borrow_mut().push(text);
    }
}

/// A port on its line.
struct Line {
    medium: Addr<SerialActor>,
    far: Option<FarEnd>,
    heard: Rc<RefCell<Vec<String>>>,
    place: tempfile::TempDir,
}

impl Line {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let device = place.path().join("ttyS9");
        let far = FarEnd::at(&device);
        let heard = Rc::default();
        let probe = Probe(Rc::clone(&heard)).start();
        let plan = SerialPlan {
            name: MediumName::new(&device.display().to_string()),
            device,
            line: LineSettings {
                speed: Speed::new(460_800),
                deadtime: Duration::from_secs(1),
            },
            lock_dir: place.path().to_owned(),
        };
        let setup = SerialSetup {
            opened: Some(open(&plan).expect("opens")),
            plan,
            deaf: false,
            keys: keys(),
            heard: LastHeard::new(
                NodeName::new("alpha").expect("a name"),
                Duration::from_secs(1),
            ),
            log_bad_packets: true,
            leaving: Leaving::default(),
            to: probe.clone().recipient(),
            refused: probe.recipient(),
        };
        let medium = start(&actix_rt::Arbiter::current(), setup);
        Self {
            medium,
            far: Some(far),
            heard,
            place,
        }
    }

    fn far(&mut self) -> &mut FarEnd {
        self.far.as_mut().expect("the far end is there")
    }

    fn send(&self, message: message::Message) {
        self.send_signed(message, keys());
    }

    fn send_signed(&self, message: message::Message, keys: Arc<KeyRing>) {
        let outgoing = Outgoing {
            message,
            datagram: bytes::Bytes::new(),
            keys,
        };
        self.medium.do_send(Transmit(Arc::new(outgoing)));
    }

    async fn counters(&self) -> super::super::Counters {
        self.medium.send(GetCounters).await.expect("alive")
    }

    async fn wait_heard(&self, wanted: &[&str]) {
        for _ in 0..500 {
            if *self.heard.borrow() == wanted {
                return;
            }
            actix_rt::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}, not {wanted:?}", self.heard.borrow());
    }
}

fn status(number: u32) -> message::Message {
    message::Message::new("status")
        .with("seq", &format!("{number:x}"))
        .with("hg", "1")
}

fn signed(kind: &str) -> Vec<u8> {
    encode_serial(&message::Message::new(kind), &keys())
        .expect("text")
        .to_vec()
}

#[actix::test]
async fn messages_go_both_ways_and_noise_is_counted() {
    let mut line = Line::new();
    line.send(status(1));
    let heard = line
        .far()
        .until(|text| text.ends_with("<<<\n") && text.len() > 10)
        .await;
    let expected = encode_serial(&status(1), &keys()).expect("text");
    assert_eq!(heard.as_bytes(), [b"\n<<<\n", &expected[..]].concat());

    let cut = &signed("cut")[..20];
    let foreign = b">>>\nt=foreign\nauth=1 00\n<<<\n";
    let all = [
        b"\xff\x00noise\nmore\n",
        cut,
        b"\n",
        &signed("one"),
        foreign,
        &signed("two")[..],
    ];
    line.far().say(&all.concat());
    line.wait_heard(&["one", "two"]).await;
    let counters = line.counters().await;
    assert_eq!(counters.received, 2);
    assert_eq!(counters.not_messages, 2);
    assert_eq!((counters.malformed, counters.not_authentic), (1, 1));
}

/// The lines of legacy nodes, as they were recorded.
#[actix::test]
async fn a_recorded_line_is_heard() {
    let mut line = Line::new();
    let stream = include_bytes!("../../../../tests/vectors/wire/serial_stream_a2b.bin");
    // A pseudo-terminal holds four kilobytes.
    for piece in stream.chunks(1000) {
        line.far().say(piece);
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    let whole = stream.windows(5).filter(|w| *w == b"\n<<<\n").count();
    for _ in 0..500 {
        if line.heard.borrow().len() == whole {
            return;
        }
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} of {whole}", line.heard.borrow().len());
}

#[actix::test]
async fn keys_change_on_an_open_line() {
    let mut line = Line::new();
    let new = vec![(2, Method::Md5, b"another".to_vec())];
    let new = Arc::new(KeyRing::new(2, new).expect("keys"));
    line.medium
        .send(UpdateKeys(Arc::clone(&new)))
        .await
        .expect("alive");
    let text = encode_serial(&message::Message::new("new"), &new).expect("text");
    let all = [signed("old"), text.to_vec()].concat();
    line.far().say(&all);
    line.wait_heard(&["new"]).await;
    line.send_signed(status(1), new);
    let heard = line
        .far()
        .until(|text| text.ends_with("<<<\n") && text.len() > 10)
        .await;
    assert!(heard.contains("auth=2 "), "{heard}");
}

/// As a USB adapter that is pulled and plugged.
#[actix::test]
async fn a_port_that_goes_and_comes_is_opened_again() {
    let mut line = Line::new();
    line.far().say(&signed("before"));
    line.wait_heard(&["before"]).await;
    let device = line.place.path().join("ttyS9");
    std::fs::remove_file(&device).expect("removed");
    line.far = None;
    // It is not there at the next try.
    actix_rt::time::sleep(RETRY * 3 / 2).await;
    line.send(status(1));
    line.far = Some(FarEnd::at(&device));
    for _ in 0..500 {
        if line.counters().await.reopened == 2 {
            break;
        }
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    line.send(status(2));
    let heard = line
        .far()
        .until(|text| text.ends_with("<<<\n") && text.len() > 10)
        .await;
    assert!(
        heard.contains("seq=2\n") && !heard.contains("seq=1\n"),
        "{heard}"
    );
    line.far().say(&signed("after"));
    line.wait_heard(&["before", "after"]).await;
}

/// Nobody reads at the far end: the mailbox is emptied all the same, and afterwards the newest status comes at once.
#[actix::test]
async fn a_stuck_port_keeps_only_the_newest() {
    let mut line = Line::new();
    let mut number = 0;
    for _ in 0..300 {
        for _ in 0..20 {
            number += 1;
            line.send(status(number));
            line.send(message::Message::new("chatter").with("seq", &format!("{number:x}")));
        }
        actix_rt::time::sleep(Duration::from_millis(10)).await;
        if line.counters().await.would_block > 1 {
            break;
        }
    }
    let counters = line.counters().await;
    assert!(counters.would_block > 1, "{counters:?}");
    number += 1;
    line.send(status(number));
    let newest = format!("seq={number:x}\n");
    line.far().until(|text| text.contains(&newest)).await;
}

#[actix::test]
async fn the_last_message_leaves_before_the_end() {
    let mut line = Line::new();
    line.send(message::Message::new("shutdone"));
    line.medium
        .send(Drain { close: true })
        .await
        .expect("alive");
    let heard = line
        .far()
        .until(|text| text.ends_with("<<<\n") && text.len() > 10)
        .await;
    assert!(heard.contains("t=shutdone\n"), "{heard}");
    assert!(!line.place.path().join("LCK..ttyS9").exists());
    // Nobody waits for what cannot leave.
    let stuck = Line::new();
    for number in 0..2000 {
        stuck.send(message::Message::new("x").with("seq", &format!("{number:x}")));
    }
    let (_, ended) = (stuck.far, stuck.medium.send(Drain { close: true }));
    ended.await.expect("alive");
}

#[actix::test]
async fn what_is_no_serial_port_or_in_use_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let plan = |device: &Path| SerialPlan {
        name: MediumName::new("x"),
        device: device.to_owned(),
        line: LineSettings {
            speed: Speed::new(9600),
            deadtime: Duration::from_secs(10),
        },
        lock_dir: place.path().to_owned(),
    };
    let null = open(&plan(Path::new("/dev/null")))
        .expect_err("no port")
        .to_string();
    assert!(
        null.starts_with("serial /dev/null: cannot open it: "),
        "{null}"
    );
    let device = place.path().join("ttyS8");
    let far = FarEnd::at(&device);
    drop(open(&plan(&device)).expect("free"));
    // As legacy sets it, but for the speed of a pseudo-terminal.
    let near = File::open(&device).expect("opened");
    let modes = rustix::termios::tcgetattr(&near).expect("modes");
    let input = InputModes::BRKINT | InputModes::INPCK | InputModes::ISTRIP | InputModes::IGNCR;
    assert_eq!(modes.input_modes, input);
    let control = modes.control_modes;
    let set = ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL;
    assert!(control.contains(set | ControlModes::CRTSCTS), "{control:?}");
    let clear = ControlModes::HUPCL | ControlModes::PARENB | ControlModes::CSTOPB;
    assert!(!control.intersects(clear), "{control:?}");
    assert_eq!(modes.local_modes & LocalModes::ICANON, LocalModes::empty());
    // A pseudo-terminal has no such setting, which is no error.
    let asked = crate::os::sys::serial::close_at_once(std::os::fd::AsFd::as_fd(&near));
    assert!(!asked.expect("no error"));
    std::fs::write(place.path().join("LCK..ttyS8"), "         1\n").expect("written");
    let error = open(&plan(&device)).expect_err("locked").to_string();
    assert!(
        error.contains("LCK..ttyS8 says that process 1 uses it"),
        "{error}"
    );
    drop(far);
}

/// Membership is told, or a node would ask for the number again and again.
#[actix::test]
async fn what_the_line_cannot_carry_is_told_each_time_it_is_asked_for() {
    let line = Line::new();
    let numbered = |seq: &str, load: &str| {
        let message = message::Message::new("hello").with("seq", seq);
        message
            .with("hg", "1f")
            .with("from_id", "me")
            .with("load", load)
    };
    line.send(numbered("a", &"x".repeat(20_000)));
    line.send(numbered("b", "x"));
    line.send(numbered("c", "\u{13}"));
    // Never asked for.
    line.send(message::Message::new("NS_x").with("load", "\u{13}"));
    line.send(numbered("a", &"x".repeat(20_000)));
    line.wait_heard(&["1f a cannot go", "1f c cannot go", "1f a cannot go"])
        .await;
}
