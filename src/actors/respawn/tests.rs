use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::User;
use tempfile::TempDir;

use super::*;

/// Keeps what root would receive.
struct Root(tokio::sync::mpsc::UnboundedSender<FailfastDied>);

impl Actor for Root {
    type Context = Context<Self>;
}

impl Handler<FailfastDied> for Root {
    type Result = ();
    fn handle(&mut self, died: FailfastDied, _: &mut Self::Context) {
        let _ = self.0.send(died);
    }
}

struct Bench {
    place: TempDir,
    told: tokio::sync::mpsc::UnboundedReceiver<FailfastDied>,
    root: Addr<Root>,
    lines: Vec<RespawnConfig>,
}

impl Bench {
    fn new() -> Self {
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        let place = TempDir::new().expect("tempdir");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("mode");
        Self {
            place,
            told,
            root: Root(tell).start(),
            lines: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A client that is a script; `@` stands for the bench's directory.
    fn client(&mut self, user: &str, name: &str, text: &str, failfast: bool) {
        let path = self.path(name);
        let directory = self.place.path().display().to_string();
        fs::write(
            &path,
            format!("#!/bin/sh\n{}\n", text.replace('@', &directory)),
        )
        .expect("script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        let command = format!("{} one  'two three'", path.display());
        self.lines.push(RespawnConfig {
            user: user.to_owned(),
            command,
            failfast,
        });
    }

    fn clients(&self) -> Clients {
        let mut config = Config::for_tests("alpha");
        config.respawn = self.lines.clone();
        config.env = vec![("FOO".to_owned(), "bar".to_owned())];
        let root = self.root.downgrade().recipient();
        let mut accounts = Accounts::default();
        accounts.look_up(config.respawn.iter().map(|line| line.user.as_str()));
        let paths = Paths::under(Path::new("/nowhere"));
        Clients::new(&config, &paths, 0, &accounts, &root)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    async fn wait(&self, name: &str, what: impl Fn(&str) -> bool) -> String {
        for _ in 0..3000 {
            let text = self.read(name);
            if what(&text) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not seen in {name}: {:?}", self.read(name));
    }
}

fn us() -> String {
    let user = User::from_uid(nix::unistd::getuid()).expect("readable");
    user.expect("we have a name").name
}

#[actix::test]
async fn the_process_is_what_it_should_be() {
    crate::os::sys::close_descriptors_on_exec().expect("close_range");
    let mut bench = Bench::new();
    let text = "ls /proc/self/fd >@/fds; { echo \"$# $2\"; cat; ps -o pgid= -p $$; echo $$; \
                echo \"$HA_FOO $HA_CURHOST $HA_debug\"; grep -E 'SigBlk|SigIgn' /proc/self/status; } >@/out; \
                echo done >>@/out; exec sleep 100";
    // The mask is that of grep: a shell blocks all its signals for the moment in which it starts a
    // program.
    bench.client(&us(), "c", text, false);
    let clients = bench.clients();
    clients.start();
    let text = bench.wait("out", |text| text.contains("done")).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "2 two three");
    // Input, the file, error, and the directory that ls reads.
    assert_eq!(bench.read("fds"), "0\n1\n2\n3\n");
    assert_eq!(lines[1].trim(), lines[2]);
    assert_eq!(lines[3], "bar alpha 0");
    assert_eq!(lines[4], "SigBlk:\t0000000000000000");
    let ignored = lines[5].trim_start_matches("SigIgn:\t");
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    assert_eq!(
        ignored >> (nix::libc::SIGALRM - 1) & 1,
        1,
        "SIGALRM is ignored"
    );
    assert_eq!(ignored >> (nix::libc::SIGTERM - 1) & 1, 0, "SIGTERM is not");
    clients.stop().await.expect("no thread hangs");
    let process: i32 = lines[2].parse().expect("a process id");
    assert_eq!(
        killpg(Pid::from_raw(process), None),
        Err(Errno::ESRCH),
        "gone and reaped"
    );
}

#[actix::test]
#[ignore = "needs root: run by scripts/test"]
async fn a_client_runs_as_its_user() {
    let mut bench = Bench::new();
    bench.client(
        "nobody",
        "c",
        "id -u >@/out; id -G >>@/out; echo done >>@/out; exec sleep 100",
        false,
    );
    let clients = bench.clients();
    clients.start();
    let text = bench.wait("out", |text| text.contains("done")).await;
    clients.stop().await.expect("no thread hangs");
    let account = Account::of("nobody").expect("exists");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], account.uid.to_string());
    let mut groups: Vec<u32> = lines[1]
        .split(' ')
        .map(|g| g.parse().expect("a number"))
        .collect();
    let mut expected = account.groups;
    groups.sort_unstable();
    expected.sort_unstable();
    assert_eq!(groups, expected);
}

#[actix::test]
async fn ends_decide_about_the_next_start() {
    let mut bench = Bench::new();
    let user = us();
    for (name, end) in [
        ("zero", "exit 0"),
        ("one", "exit 1"),
        ("killed", "kill -9 $$"),
        ("never", "exit 100"),
    ] {
        bench.client(&user, name, &format!("echo x >>@/{name}.out; {end}"), false);
    }
    bench.client(&user, "plain", "echo x >>@/plain.out", false);
    fs::set_permissions(bench.path("plain"), fs::Permissions::from_mode(0o644)).expect("mode");
    let clients = bench.clients();
    clients.start();
    for name in ["zero.out", "one.out", "killed.out"] {
        bench.wait(name, |text| text.lines().count() >= 2).await;
    }
    assert_eq!(bench.read("never.out").lines().count(), 1);
    assert_eq!(bench.read("plain.out"), "", "not executable, not run");
    clients.stop().await.expect("no thread hangs");
    let before = bench.read("one.out");
    // A client that is over stays so, and one that waited for its next start waits no more.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(bench.read("one.out"), before);
    clients.start();
    bench
        .wait("one.out", |text| text.len() > before.len())
        .await;
    assert_eq!(bench.read("never.out").lines().count(), 1);
    clients.stop().await.expect("no thread hangs");
}

#[actix::test]
async fn the_last_is_stopped_first_and_waited_for() {
    let mut bench = Bench::new();
    let user = us();
    for (name, ending) in [("a", ""), ("b", "sleep 0.3;"), ("c", "")] {
        let text = format!(
            "trap 'echo {name} told >>@/out; {ending} echo {name} ends >>@/out; exit 1' TERM; \
             echo x >>@/up; while :; do sleep 0.02; done"
        );
        bench.client(&user, name, &text, false);
    }
    let clients = bench.clients();
    clients.start();
    bench.wait("up", |text| text.lines().count() == 3).await;
    clients.stop().await.expect("no thread hangs");
    let expected = "c told\nc ends\nb told\nb ends\na told\na ends\n";
    assert_eq!(bench.read("out"), expected);
}

#[actix::test]
async fn a_failfast_client_that_dies_is_reported_once() {
    let mut bench = Bench::new();
    let user = us();
    bench.client(&user, "f", "echo x >>@/f.out; exit 3", true);
    bench.client(
        &user,
        "g",
        "trap 'exit 1' TERM; echo x >>@/g.out; while :; do sleep 0.02; done",
        true,
    );
    let clients = bench.clients();
    clients.start();
    let died = tokio::time::timeout(Duration::from_secs(5), bench.told.recv()).await;
    let died = died.expect("in time").expect("root is told");
    assert_eq!(died.command, bench.lines[0].command);
    bench.wait("g.out", |text| !text.is_empty()).await;
    clients.stop().await.expect("no thread hangs");
    assert!(bench.told.try_recv().is_err(), "an ordered end is no death");
    assert_eq!(bench.read("f.out").lines().count(), 1);
}

/// A client that waits for a failed disk: no signal changes anything. It lives on this thread.
fn stuck(bench: &mut Bench) -> Addr<ClientActor> {
    bench.client("root", "stuck", "exec sleep 1000", false);
    let account = Account::of("root").expect("root");
    let root = bench.root.downgrade().recipient();
    let environment = Arc::new(Environment::default());
    let mut client = ClientActor::new(bench.lines[0].clone(), account, environment, root);
    // A process group that does not exist, and whose end is never reported.
    client.state = State::Running {
        process: Pid::from_raw(i32::MAX - 1),
        since: client.clock.now().instant,
    };
    client.start()
}

/// Keeps its thread busy for so long.
#[derive(Message)]
#[rtype(result = "()")]
struct Busy(Duration);

impl Handler<Busy> for ClientActor {
    type Result = ();
    fn handle(&mut self, Busy(time): Busy, ctx: &mut Self::Context) {
        ctx.wait(tokio::time::sleep(time).into_actor(self));
    }
}

/// The start of some client is in hand, and takes long.
#[test]
fn a_slow_start_is_no_thread_that_hangs() {
    actix_rt::System::new().block_on(async {
        let mut bench = Bench::new();
        let client = stuck(&mut bench);
        tokio::time::pause();
        client.do_send(Busy(ANSWERS_AFTER / 2));
        let clients = Clients(vec![("client".into(), client)]);
        assert_eq!(clients.stop().await, Ok(()));
    });
}

#[test]
fn a_client_that_cannot_be_killed_holds_up_no_stop() {
    actix_rt::System::new().block_on(async {
        let mut bench = Bench::new();
        let clients = Clients(vec![("client".into(), stuck(&mut bench))]);
        tokio::time::pause();
        let stopped = tokio::time::timeout(2 * KILL_AFTER, clients.stop()).await;
        let stopped = stopped.expect("the stop does not wait for ever");
        assert_eq!(stopped, Ok(()), "its process hangs, no thread of ours");
    });
}

/// The disk with its program hangs when the program is checked.
#[test]
fn a_disk_that_hangs_holds_up_the_clients_alone() {
    use crate::actors::supervise::fault::{Fault, inject};
    actix_rt::System::new().block_on(async {
        let mut bench = Bench::new();
        bench.client(&us(), "hung", "echo x >>@/up; exec sleep 1000", false);
        let clients = bench.clients();
        clients.start();
        bench.wait("up", |text| !text.is_empty()).await;
        let name = format!("client {}", bench.lines[0].command);
        assert!(inject(&name, Fault::Hang));
        // This thread goes on, and with it everything except the clients.
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::time::pause();
        let stopped = tokio::time::timeout(2 * ANSWERS_AFTER, clients.stop()).await;
        let stopped = stopped.expect("the stop does not wait for ever");
        assert_eq!(stopped, Err(ThreadHangs));
    });
}
