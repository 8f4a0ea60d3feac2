//! `systole-web` over real connections, beside a stand-in for the daemon.
#![allow(
    clippy::disallowed_methods,
    reason = "a test runs the program it tests"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use systole::cli::status;
use systole::cli::view::as_json;
use systole::clients::control::View;
use tempfile::TempDir;

/// Longer than anything takes that has a limit.
const LONG: Duration = Duration::from_secs(60);

/// What the stand-in does with a connection.
#[derive(Clone)]
enum Manner {
    /// Answers with these.
    Tells { view: Box<Value>, why: Value },
    /// Answers every request with these bytes.
    Says(Vec<u8>),
    /// Never answers.
    Silent,
}

/// A stand-in for the daemon's view socket.
struct Daemon {
    directory: TempDir,
    manner: Arc<Mutex<Manner>>,
    /// Connections so far.
    asked: Arc<AtomicUsize>,
}

impl Daemon {
    fn new(manner: Manner) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = UnixListener::bind(directory.path().join("view")).unwrap();
        let manner = Arc::new(Mutex::new(manner));
        let asked = Arc::new(AtomicUsize::new(0));
        let (how, count) = (Arc::clone(&manner), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let how = how.lock().unwrap().clone();
                kept.extend(serve(stream.unwrap(), how));
            }
        });
        Self {
            directory,
            manner,
            asked,
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("view")
    }

    fn now(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

/// Gives a stream back that is not to be closed.
fn serve(mut stream: UnixStream, how: Manner) -> Option<UnixStream> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let bytes = match how {
        Manner::Silent => return Some(stream),
        Manner::Says(bytes) => bytes,
        Manner::Tells { mut view, why } => {
            let request: Value = serde_json::from_str(&line).unwrap();
            let reply = match request["request"].as_str().unwrap() {
                "view" => {
                    view["reply"] = json!("view");
                    *view
                }
                "why" => json!({"reply": "decisions", "decisions": why}),
                other => panic!("{other} is an order"),
            };
            format!("{reply}\n").into_bytes()
        }
    };
    let _ = stream.write_all(&bytes);
    None
}

/// A recorded view, changed.
fn recorded(name: &str, change: impl FnOnce(&mut Value)) -> Manner {
    let place = format!("{}/tests/top/views/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut value: Value = serde_json::from_str(&fs::read_to_string(place).unwrap()).unwrap();
    change(&mut value);
    let why = value["decisions"].take();
    Manner::Tells {
        view: Box::new(value["view"].take()),
        why,
    }
}

fn healthy() -> Manner {
    recorded("healthy", |_| ())
}

/// The program. It ends with the test.
struct Web {
    child: Child,
    _out: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Web {
    fn start(daemon: &Daemon, words: &[&str]) -> Self {
        let mut child = command(words)
            .arg("--socket")
            .arg(daemon.socket())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line
            .trim_end()
            .strip_prefix("systole-web: listens on http://");
        let address = address
            .and_then(|it| it.strip_suffix('/'))
            .expect("an address");
        let address = address.parse().unwrap();
        Self {
            child,
            _out: out,
            address,
        }
    }

    /// Sends bytes, and reads until the end.
    fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may be closed before all was sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_with(method, path, "")
    }

    /// `lines`: further lines of the head.
    fn ask_with(&self, method: &str, path: &str, lines: &str) -> Answer {
        let host = format!("Host: {}\r\n", self.address);
        Answer::of(&self.talk(format!("{method} {path} HTTP/1.1\r\n{host}{lines}\r\n").as_bytes()))
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask("GET", path);
        (answer.status, answer.body)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_systole-web"));
    let listen = ["--listen", "127.0.0.1:0"];
    command.args(if words.contains(&"--listen") {
        &[][..]
    } else {
        &listen
    });
    command.args(words);
    command
}

/// An answer over HTTP.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .or(head.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|it| it.get(..3)?.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn line(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        let mut lines = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        lines.next()
    }
}

#[test]
fn every_path_says_what_it_is_for() {
    let daemon = Daemon::new(healthy());
    let web = Web::start(&daemon, &[]);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/status.json", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/owner/10.77.0.100/24/eth0", "text/plain; charset=utf-8"),
    ] {
        let answer = web.ask("GET", path);
        assert_eq!(
            (answer.status, answer.line("content-type")),
            (200, Some(kind)),
            "{path}"
        );
        let csp = answer.line("content-security-policy").unwrap();
        assert!(csp.starts_with("default-src 'none'; style-src 'self'; img-src 'self'"));
        assert_eq!(answer.line("x-frame-options"), Some("deny"));
        assert_eq!(answer.line("x-content-type-options"), Some("nosniff"));
        assert!(!answer.body.is_empty());
        let head = web.ask("HEAD", path);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert!(
            head.line("content-length").is_some_and(|it| it != "0"),
            "{path}: {head:?}"
        );
    }
    assert_eq!(web.ask("GET", "/").line("refresh"), Some("5"));
    let health = (200, "OK: alpha serves 1 of 2 groups\n".to_owned());
    assert_eq!(web.get("/healthz"), health);
    assert_eq!(web.get("/healthz?from=here"), health);
    let there = (503, "10.77.0.101/24/eth0 runs on beta\n".to_owned());
    assert_eq!(web.get("/owner/10.77.0.101%2F24/eth0"), there);
    for unknown in [
        "/owner/web",
        "/owner/",
        "/index.html",
        "/..",
        "/%2e%2e/etc/passwd",
        "//",
    ] {
        assert_eq!(web.get(unknown).0, 404, "{unknown}");
    }
    let open = web.ask_with(
        "GET",
        "/metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.line("content-type"), Some(kind));
    assert!(open.body.ends_with("# EOF\n") && open.body.contains("systole_up 1"));
}

/// One source: what `systole status` says stands on the page, word for word, and `status --json` is the same object.
#[test]
fn the_page_says_what_status_says() {
    for name in [
        "healthy",
        "peer-dead",
        "split",
        "group-failed",
        "legacy-peer",
        "frozen",
        "before-active",
    ] {
        let daemon = Daemon::new(recorded(name, |_| ()));
        let web = Web::start(&daemon, &[]);
        let Manner::Tells { view, .. } = recorded(name, |_| ()) else {
            panic!("it tells");
        };
        let view: View = serde_json::from_value(*view).unwrap();
        assert_eq!(web.get("/status.json"), (200, as_json(&view)), "{name}");
        let (status, page) = web.get("/");
        assert_eq!(status, 200);
        let shown = text_of(&page);
        let words = status::text(&view, 0).replace("(all decisions: systole why)", "");
        // The first line is the time; headings and the columns of a terminal are not words.
        for word in words.lines().skip(1).flat_map(str::split_whitespace) {
            let heading = word.chars().all(|c| c.is_ascii_uppercase());
            // Dates have no day when they are of today.
            let time = word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit());
            let date = word.starts_with("20") && word.contains('-');
            let known = shown.contains(word.trim_end_matches([',', ';', ':']));
            assert!(
                known || heading || time || date,
                "{name}: {word} in {shown}"
            );
        }
        assert!(
            !page.contains("<script") && !page.contains("style="),
            "{name}"
        );
        let nodes = view.node.iter().flat_map(|node| &node.nodes);
        let gone = nodes.filter(|it| it.left || it.status == "dead").count() > 0;
        assert_eq!(page.contains("class=\"gone\""), gone, "{name}: {page}");
    }
}

/// A page without its tags, as a browser for text shows it.
fn text_of(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<') {
        let (_, words) = part.split_once('>').unwrap_or(("", part));
        text.push(' ');
        text.push_str(words);
    }
    let text = text.replace("&#39;", "'").replace("&#34;", "\"");
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
}

#[test]
fn names_are_text_and_nothing_else() {
    let evil = "<script>alert('x')</script>\"><img src=x>&amp;\u{1b}[2J\u{202e}\u{0}\r\n";
    let daemon = Daemon::new(recorded("one-cable", |value| {
        everywhere(value, evil);
    }));
    let web = Web::start(&daemon, &[]);
    let (status, page) = web.get("/");
    assert_eq!(status, 200);
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    assert!(
        page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"),
        "{page}"
    );
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(!page.contains('\u{202e}'));
    for path in ["/healthz", "/status.json", "/metrics", "/owner/x"] {
        let answer = web.ask("GET", path);
        assert!(answer.status >= 200, "{path}");
        assert!(!answer.head.contains("script"), "{path}");
    }
    let (_, health) = web.get("/healthz");
    assert_eq!(health.matches('\n').count(), 1, "{health:?}");
}

/// Puts a text behind every name.
fn everywhere(value: &mut Value, evil: &str) {
    const KEEP: [&str; 8] = [
        "place",
        "receives",
        "group",
        "state",
        "status",
        "program",
        "rscstatus",
        "reply",
    ];
    match value {
        Value::String(text) => text.push_str(evil),
        Value::Array(all) => all.iter_mut().for_each(|it| everywhere(it, evil)),
        Value::Object(all) => {
            for (key, value) in all {
                if !KEEP.contains(&key.as_str()) || value.is_object() {
                    everywhere(value, evil);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn other_methods_hosts_and_nonsense_are_refused() {
    let daemon = Daemon::new(healthy());
    let web = Web::start(&daemon, &["--host", "ha.example.org"]);
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FREEZE",
    ] {
        for path in ["/", "/healthz", "/nothing"] {
            let answer = web.ask(method, path);
            assert_eq!(
                (answer.status, answer.line("allow")),
                (405, Some("get, head")),
                "{method}"
            );
        }
    }
    let with = |lines: &str, version: &str| {
        Answer::of(&web.talk(format!("GET /healthz HTTP/{version}\r\n{lines}\r\n").as_bytes()))
            .status
    };
    for good in ["localhost", "127.0.0.1:1", "HA.example.org:80", "[::1]"] {
        assert_eq!(with(&format!("Host: {good}\r\n"), "1.1"), 200, "{good}");
    }
    for bad in [
        "evil.example",
        "ha.example.org.evil.example",
        "192.0.2.1",
        "",
        "\u{e4}",
    ] {
        assert_eq!(with(&format!("Host: {bad}\r\n"), "1.1"), 421, "{bad}");
    }
    let twice = with("Host: localhost\r\nHost: evil.example\r\n", "1.1");
    assert!(matches!(twice, 400 | 421), "{twice}");
    assert_eq!(with("", "1.0"), 200);
    assert!(matches!(with("", "1.1"), 400 | 421));
    let proxy = "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(Answer::of(&web.talk(proxy.as_bytes())).status, 421);
    for nonsense in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n",
    ] {
        let mut stream = web.connect();
        let _ = stream.write_all(nonsense.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(web.get("/healthz").0, 200, "after {nonsense:?}");
    }
}

#[test]
fn heads_and_bodies_are_bounded() {
    let daemon = Daemon::new(healthy());
    let web = Web::start(&daemon, &[]);
    let host = format!("Host: {}\r\n", web.address);
    let huge = "x".repeat(8 * 1024 * 1024);
    for request in [
        format!("GET / HTTP/1.1\r\n{host}X: {huge}\r\n\r\n"),
        format!("GET /{huge} HTTP/1.1\r\n{host}\r\n"),
        huge.clone(),
        format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(100_000)),
    ] {
        let answer = Answer::of(&web.talk(request.as_bytes()));
        assert!(answer.status == 0 || answer.status >= 400, "{answer:?}");
    }
    // A body is not read; the answer does not wait for it.
    let bodies = [
        ("POST", "Content-Length: 99999999999\r\n", 405),
        ("GET", "Content-Length: 99999999999\r\n", 200),
        ("POST", "Transfer-Encoding: chunked\r\n", 405),
    ];
    for (method, lines, status) in bodies {
        let mut stream = web.connect();
        let head = format!("{method} /healthz HTTP/1.1\r\n{host}{lines}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(first, format!("HTTP/1.1 {status}").as_bytes());
        // Until it is closed.
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    }
    let memory = fs::read_to_string(format!("/proc/{}/status", web.child.id())).unwrap();
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = memory.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 64 * 1024, "{memory}");
    assert_eq!(web.get("/healthz").0, 200);
}

#[test]
fn a_slow_head_is_cut_off() {
    let daemon = Daemon::new(healthy());
    let web = Web::start(&daemon, &[]);
    let mut stream = web.connect();
    stream.write_all(b"GET / HT").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    let answer = Answer::of(&String::from_utf8_lossy(&answer));
    assert!(matches!(answer.status, 0 | 408), "{answer:?}");
    assert_eq!(web.get("/healthz").0, 200);
}

#[test]
fn a_thousand_silent_connections_keep_nobody_out() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(4096).min(hard), hard).unwrap();
    let daemon = Daemon::new(healthy());
    let web = Web::start(&daemon, &[]);
    let mut silent = Vec::new();
    for number in 0..1000 {
        let mut stream = web.connect();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ");
        }
        silent.push(stream);
        if number % 100 == 99 {
            assert_eq!(web.get("/healthz").0, 200, "beside {number}");
        }
    }
    let descriptors = fs::read_dir(format!("/proc/{}/fd", web.child.id()))
        .unwrap()
        .count();
    assert!(descriptors < 300, "{descriptors}");
    // Refused, or cut off since.
    for mut stream in silent.into_iter().take(900) {
        let mut end = Vec::new();
        let _ = stream.read_to_end(&mut end);
        assert!(!String::from_utf8_lossy(&end).contains("200 OK"));
    }
    assert_eq!(web.get("/healthz").0, 200);
}

#[test]
fn without_a_daemon_it_says_so() {
    let daemon = Daemon::new(healthy());
    fs::remove_file(daemon.socket()).unwrap();
    let web = Web::start(&daemon, &[]);
    let reason = format!("no daemon listens on {}\n", daemon.socket().display());
    for path in ["/healthz", "/status.json", "/owner/10.77.0.100/24/eth0"] {
        assert_eq!(web.get(path), (503, reason.clone()), "{path}");
    }
    let (status, page) = web.get("/");
    assert_eq!(status, 503);
    assert!(
        text_of(&page).contains("UNKNOWN: no daemon listens on")
            || text_of(&page).contains("UNKNOWN:"),
        "{page}"
    );
    let (status, metrics) = web.get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("\nsystole_up 0\n"), "{metrics}");
    assert_eq!(web.get("/style.css").0, 200);
}

/// Each request waits for a bounded time, and the daemon is not asked for each of them.
#[test]
fn a_daemon_that_hangs_is_asked_once() {
    let daemon = Daemon::new(Manner::Silent);
    let web = Web::start(&daemon, &[]);
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                let (status, text) = web.get("/healthz");
                assert_eq!(status, 503);
                assert!(text.contains("no answer within"), "{text}");
            });
        }
    });
    let asked = daemon.asked.load(Ordering::SeqCst);
    assert!(asked <= 3, "{asked}");
    daemon.now(healthy());
    let answered = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        web.get("/healthz").0 == 200
    });
    assert!(answered, "it is asked again");
}

#[test]
fn what_is_no_answer_is_none() {
    let daemon = Daemon::new(healthy());
    let web = Web::start(&daemon, &[]);
    let refused = br#"{"reply":"refused","reason":"not now"}"#.to_vec();
    for (bytes, why) in [
        (Vec::new(), "cannot be read"),
        (b"\n".to_vec(), "cannot be read"),
        (b"{\"reply\":\"view\"}\n".to_vec(), "cannot be read"),
        (b"{\"reply\":\"cleared\"}\n".to_vec(), "makes no sense"),
        (refused, "not now"),
        (vec![b'['; 5 * 1024 * 1024], "cannot be read"),
        (b"[".repeat(100_000), "cannot be read"),
    ] {
        daemon.now(Manner::Says(bytes));
        let said = (0..100).map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            web.get("/healthz")
        });
        let mut said = said.skip_while(|(status, text)| *status == 200 || !text.contains(why));
        assert!(
            said.next().is_some_and(|(status, _)| status == 503),
            "{why}"
        );
    }
}

#[test]
fn it_does_not_begin_where_it_cannot_listen() {
    let daemon = Daemon::new(healthy());
    let web = Web::start(&daemon, &[]);
    let address = web.address.to_string();
    let run = |words: &[&str]| {
        let output = command(words).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = run(&["--listen", &address]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with(&format!("systole-web: cannot listen on {address}: ")),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
    let (code, said) = run(&["--listen", "everywhere"]);
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
}

#[test]
fn it_warns_where_others_can_reach_it() {
    let daemon = Daemon::new(healthy());
    let mut child = command(&["--listen", "0.0.0.0:0", "--socket"])
        .arg(daemon.socket())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(
        line.starts_with("systole-web: WARNING: every host that reaches 0.0.0.0:"),
        "{line}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
