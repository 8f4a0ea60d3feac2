//! Fencing devices: a recording stand-in of the `stonith` command and one of a fence agent, which
//! obey, fail, hang, lie, answer late and print anything; and the real command where it is
//! installed. Spec: docs/protocol/resources.md, 10.3.
#![allow(
    clippy::disallowed_methods,
    reason = "a test starts real processes and dates files by the real clock"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::prelude::*;
use systole::actors::fencing::{AskFencing, FencingActor, FencingTargets, TestFence};
use systole::actors::messages::{CallOffFence, FenceDevicesKnown, FenceNode, NodeFenced};
use systole::actors::supervise::{RestartPolicy, supervise};
use systole::agents::child::{CallOff, shim};
use systole::agents::fence::{Device, FenceContext, FenceFailure, Hosts};
use systole::agents::script::Environment;
use systole::clients::control::FenceReport;
use systole::config::fencing::{AgentWords, FenceDevice, FenceDriver, HostPlug, Secret};
use systole::policy::fencing::{FenceAnswer, FenceOrder, FenceTask};
use systole::protocol::name::NodeName;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// What no output may contain.
const PASSWORD: &str = "Geheim-4711";

/// Its parameters are `HOSTS MODE PASSWORD`; the mode names the call and what becomes of it.
const STONITH: &str = r#"
read -r hosts mode password <"$4"
shift 4
op=$1; [ "$op" = -T ] && op=$2
echo "$op $3 $mode" | sed 's/  / /' >>"$D/calls"
tr '\0' ' ' </proc/$$/cmdline >>"$D/seen"; echo >>"$D/seen"
tr '\0' ' ' </proc/$$/environ >>"$D/seen"; echo >>"$D/seen"
case "$mode$op" in
fail*reset) echo "cannot log in with [$password]"; echo "no route to $mode" >&2; exit 5;;
bad-reset) exit 4;;
killed-reset) kill -9 $$;;
hang*reset) (trap '' TERM; echo $$ >"$D/leader"; exec sleep 600) & echo $! >"$D/child"; wait;;
late-reset) sleep 1;;
leaves-reset) sleep 600 & echo $! >"$D/child";;
flood-reset) head -c 4000000 /dev/zero | tr '\0' x; printf '\nthe \0end\033[31m'; exit 5;;
flood--l) head -c 4000000 /dev/zero; printf '\nbeta\nga\0mma\n\377\376'; exit 0;;
broken--S) echo "no answer for $password" >&2; exit 1;;
mute--l) exit 255;;
empty--l) exit 0;;
esac
[ "$op" = -l ] && echo "$hosts" | tr , '\n'
exit 0
"#;

/// Reads its parameters as the protocol of fence agents says.
const AGENT: &str = r#"
input=$(cat)
echo "$input" >>"$D/input"
tr '\0' ' ' </proc/$$/cmdline >>"$D/seen"; echo >>"$D/seen"
tr '\0' ' ' </proc/$$/environ >>"$D/seen"; echo >>"$D/seen"
value() { echo "$input" | sed -n "s/^$1=//p" | tail -n 1; }
action=$(value action)
case "$(value mode)$action" in
off-monitor) exit 2;;
nolist-list) echo "Unrecognised action 'list'" >&2; exit 1;;
fail-reboot) echo "2026-11-29 ERROR: Failed: $(value password)" >&2; exit 1;;
off-reboot) exit 2;;
esac
[ "$action" = list ] && printf '1,alpha\n3,beta\n4,\n5,coffee machine\n'
exit 0
"#;

/// A plugin for the real `stonith` command: its parameters are variables.
const PLUGIN: &str = r#"
case "$1" in
getconfignames) echo "hostlist mode password";;
getinfo-*) echo rec;;
status|gethosts|reset) echo "$1 $2 [$password]" >>"$D/calls";;
esac
case "$mode $1" in
*" gethosts") echo "$hostlist";;
"fails reset") echo "the switch says no to $password" >&2; exit 1;;
"hangs reset") echo $$ >"$D/child"; exec sleep 600;;
esac
exit 0
"#;

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

struct Stand {
    directory: TempDir,
}

impl Stand {
    fn new() -> Self {
        let directory = TempDir::new().expect("tempdir");
        let stand = Self { directory };
        stand.program("stonith", STONITH);
        stand.program("fence_x", AGENT);
        symlink(env!("CARGO_BIN_EXE_ha_helper"), stand.path("script_output")).expect("link");
        stand
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self, name: &str, body: &str) {
        let text = format!("#!/bin/sh\nD={}\n{body}", self.directory.path().display());
        fs::write(self.path(name), text).expect("written");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(name), mode).expect("chmod");
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The calls of the `stonith` command, with the mode of its device.
    fn calls(&self, of: &str) -> Vec<String> {
        let calls = self.text("calls");
        let calls = calls.lines().filter(|call| call.starts_with(of));
        calls.map(str::to_owned).collect()
    }

    /// A device that never answers in time is one second away.
    fn context(&self) -> FenceContext {
        FenceContext {
            stonith: self.path("stonith"),
            agents: self.directory.path().to_owned(),
            environment: Arc::new(Environment::default()),
            pump: Some(self.path("script_output")),
            records: self.path("records"),
            shim: None,
            limit: Duration::from_secs(20),
            kill_after: Duration::from_millis(200),
            local: name("alpha"),
            nodes: vec![name("alpha"), name("beta")],
        }
    }

    fn device(&self, line: FenceDevice) -> Device {
        Device::new(line, Arc::new(self.context()))
    }
}

fn plugin(hosts: &str, mode: &str) -> FenceDevice {
    FenceDevice {
        place: format!("ha.cf:{}", mode.len()),
        kind: format!("external/{mode}"),
        only_here: false,
        driver: FenceDriver::PluginWords(Secret::new(&format!("{hosts} {mode} {PASSWORD}"))),
    }
}

fn agent(words: &[(&str, &str)], hosts: &[(&str, Option<&str>)]) -> FenceDevice {
    let words = words
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::new(value)));
    let hosts = hosts.iter().map(|(host, plug)| HostPlug {
        host: name(host),
        plug: plug.map(str::to_owned),
    });
    FenceDevice {
        place: "ha.cf:9".to_owned(),
        kind: "fence_x".to_owned(),
        only_here: false,
        driver: FenceDriver::Agent(AgentWords {
            words: words.collect(),
            hosts: hosts.collect(),
            password_file: None,
        }),
    }
}

fn host(node: &str, plug: Option<&str>) -> HostPlug {
    HostPlug {
        host: name(node),
        plug: plug.map(str::to_owned),
    }
}

/// Nobody calls it off.
fn stands() -> (watch::Sender<bool>, CallOff) {
    watch::channel(false)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(work)
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn gone(pid: &str) -> bool {
    for _ in 0..200 {
        if !is_alive(pid) {
            return true;
        }
        sleep(Duration::from_millis(25)).await;
    }
    false
}

fn end(pid: &str) {
    let pid = pid.trim().parse().expect("a pid");
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    );
}

async fn reset(device: &Device, node: &str) -> Result<(), FenceFailure> {
    let (_stands, call_off) = stands();
    device.reset(&host(node, None), &call_off).await.answer
}

#[test]
fn a_plugin_gets_its_parameters_where_nobody_sees_them() {
    let stand = Stand::new();
    run(async {
        let (_stands, call_off) = stands();
        let device = stand.device(plugin("alpha,Beta,gamma", "obeys-"));
        assert_eq!(device.status(&call_off).await.answer, Ok(()));
        let hosts = device.hosts(&call_off).await.answer.expect("a list");
        let known = Hosts {
            assumed: false,
            nodes: vec![host("alpha", Some("alpha")), host("beta", Some("Beta"))],
            others: 1,
        };
        assert_eq!(hosts, known);
        let beta = hosts.plug_of(&name("beta")).expect("beta");
        assert_eq!(device.reset(beta, &call_off).await.answer, Ok(()));
        assert_eq!(stand.calls("reset"), ["reset Beta obeys-"]);
        let seen = stand.text("seen");
        assert!(seen.contains("-t external/obeys- -F /dev/stdin -T reset Beta"));
        assert!(!seen.contains(PASSWORD), "{seen}");
        let shown = device.would_run(beta).await.expect("shown").join("\n");
        assert!(
            shown.ends_with("-T reset Beta\n< alpha,Beta,gamma *** ***")
                || shown.ends_with("\n< *** *** ***"),
            "{shown}"
        );
        assert!(!shown.contains(PASSWORD), "{shown}");
    });
}

#[test]
fn a_file_of_parameters_is_passed_by_its_name() {
    let stand = Stand::new();
    let file = stand.path("parameters");
    fs::write(&file, format!("beta fail- {PASSWORD}\n")).expect("written");
    let line = FenceDevice {
        driver: FenceDriver::PluginFile(file.clone()),
        ..plugin("", "")
    };
    run(async {
        let device = stand.device(line);
        let failure = reset(&device, "beta").await.expect_err("it fails");
        assert_eq!(stand.calls("reset"), ["reset beta fail-"]);
        let failure = failure.to_string();
        assert_eq!(
            failure,
            "exit code 5: cannot log in with [***] | no route to ***"
        );
        let shown = device.would_run(&host("beta", None)).await.expect("shown");
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].contains(&format!("-F {} ", file.display())));
    });
}

#[test]
fn every_failure_is_one_and_no_word_of_it_is_a_secret() {
    let stand = Stand::new();
    run(async {
        for (mode, shown) in [
            (
                "fail-",
                "exit code 5: cannot log in with [***] | no route to ***",
            ),
            ("bad-", "it cannot reset this host"),
            ("killed-", "exit code 137"),
        ] {
            let failure = reset(&stand.device(plugin("beta", mode)), "beta").await;
            assert_eq!(failure.expect_err(mode).to_string(), shown, "{mode}");
        }
        let flood = reset(&stand.device(plugin("beta", "flood-")), "beta").await;
        let flood = flood.expect_err("it fails").to_string();
        assert!(flood.len() < 500 && flood.ends_with("the end"), "{flood}");
        let context = FenceContext {
            stonith: stand.path("nothing"),
            ..stand.context()
        };
        let device = Device::new(plugin("beta", "obeys-"), Arc::new(context));
        let failure = reset(&device, "beta").await.expect_err("no program");
        assert!(
            matches!(failure, FenceFailure::NotStarted { .. }),
            "{failure}"
        );
    });
}

#[test]
fn a_list_may_be_anything() {
    let stand = Stand::new();
    run(async {
        let (_stands, call_off) = stands();
        for (mode, hosts) in [
            ("flood-", Err(FenceFailure::NoHosts)),
            ("empty-", Err(FenceFailure::NoHosts)),
            (
                "mute-",
                Err(FenceFailure::Failed {
                    code: 255,
                    said: None,
                }),
            ),
        ] {
            let device = stand.device(plugin("beta", mode));
            assert_eq!(device.hosts(&call_off).await.answer, hosts, "{mode}");
        }
        // One word, as a plugin prints that does not know commas.
        let device = stand.device(plugin("beta;gamma", "obeys-"));
        let hosts = device.hosts(&call_off).await.answer.expect("a list");
        assert_eq!((hosts.nodes.len(), hosts.others), (0, 1));
    });
}

/// `stonith` calls an external plugin through a shell.
#[test]
fn a_name_that_a_shell_understands_is_never_passed() {
    let stand = Stand::new();
    run(async {
        let device = stand.device(plugin("beta", "obeys-"));
        for bad in ["beta;reboot", "$(reboot)", "-rf", "b'", "ä"] {
            let failure = reset(&device, bad).await;
            assert_eq!(failure, Err(FenceFailure::Name), "{bad}");
        }
        assert!(stand.calls("").is_empty());
    });
}

#[test]
fn a_device_that_hangs_is_ended_with_all_its_processes() {
    let stand = Stand::new();
    run(async {
        let context = FenceContext {
            limit: Duration::from_secs(1),
            ..stand.context()
        };
        let device = Device::new(plugin("beta", "hang-"), Arc::new(context));
        let failure = reset(&device, "beta").await.expect_err("it hangs");
        assert!(matches!(failure, FenceFailure::Overdue { .. }), "{failure}");
        assert!(gone(&stand.text("child")).await);
    });
}

#[test]
fn what_a_device_leaves_running_delays_nothing() {
    let stand = Stand::new();
    run(async {
        let device = stand.device(plugin("beta", "leaves-"));
        let done = timeout(Duration::from_secs(10), reset(&device, "beta")).await;
        assert_eq!(done.expect("at once"), Ok(()));
        let child = stand.text("child");
        assert!(is_alive(&child), "some plugins reset in the background");
        end(&child);
    });
}

#[test]
fn an_agent_reads_its_action_first_and_its_password_from_a_file() {
    let stand = Stand::new();
    let file = stand.path("password");
    fs::write(&file, format!("{PASSWORD}\nmore\n")).expect("written");
    run(async {
        let (_stands, call_off) = stands();
        let mut line = agent(
            &[
                ("ip", "10.0.0.3"),
                ("username", "admin"),
                ("snmp_priv", "x"),
            ],
            &[],
        );
        if let FenceDriver::Agent(words) = &mut line.driver {
            words.password_file = Some(file.clone());
        }
        let device = stand.device(line);
        let failure = device.status(&call_off).await.answer.expect_err("mode 644");
        assert!(
            failure
                .to_string()
                .ends_with("others may use it: chmod 600"),
            "{failure}"
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(device.status(&call_off).await.answer, Ok(()));
        let hosts = device.hosts(&call_off).await.answer.expect("a list");
        assert_eq!(
            hosts.nodes,
            [host("alpha", Some("1")), host("beta", Some("3"))]
        );
        assert_eq!(hosts.others, 2);
        let beta = hosts.plug_of(&name("beta")).expect("beta");
        assert_eq!(device.reset(beta, &call_off).await.answer, Ok(()));
        let common = format!("ip=10.0.0.3\nusername=admin\nsnmp_priv=x\npassword={PASSWORD}\n");
        assert_eq!(
            stand.text("input"),
            format!(
                "action=monitor\n{common}action=list\n{common}\
                 action=reboot\n{common}plug=3\nnodename=beta\n"
            )
        );
        assert!(!stand.text("seen").contains(PASSWORD));
        assert!(
            stand.text("seen").contains("fence_x \n"),
            "no word on its command line"
        );
        let shown = device.would_run(beta).await.expect("shown");
        let shown: Vec<&str> = shown.iter().map(String::as_str).skip(1).collect();
        assert_eq!(
            shown,
            [
                "< action=reboot",
                "< ip=10.0.0.3",
                "< username=admin",
                "< snmp_priv=***",
                "< password=***",
                "< plug=3",
                "< nodename=beta"
            ]
        );
        fs::remove_file(&file).expect("removed");
        assert!(device.status(&call_off).await.answer.is_err());
    });
}

#[test]
fn an_agent_that_names_no_host_needs_them_in_its_line() {
    let stand = Stand::new();
    run(async {
        let (_stands, call_off) = stands();
        let hosts = async |line: FenceDevice| stand.device(line).hosts(&call_off).await.answer;
        let nolist = [("mode", "nolist-")];
        let failure = hosts(agent(&nolist, &[])).await.expect_err("no list");
        assert!(failure.to_string().contains("add hosts=HOST"), "{failure}");
        let named = hosts(agent(&nolist, &[("beta", Some("7")), ("gamma", None)])).await;
        let named = named.expect("named");
        assert_eq!(
            (named.nodes, named.others),
            (vec![host("beta", Some("7"))], 1)
        );
        // A line for this host alone, in a pair: the other node is meant.
        let only_here = FenceDevice {
            only_here: true,
            ..agent(&nolist, &[])
        };
        assert_eq!(
            hosts(only_here).await.expect("the other").nodes,
            [host("beta", None)]
        );
        let plug = hosts(agent(&[("plug", "3")], &[])).await;
        assert_eq!(plug, Err(FenceFailure::PlugWithoutHost));
    });
}

#[test]
fn an_agent_whose_plug_is_off_works_and_has_not_reset_anything() {
    let stand = Stand::new();
    run(async {
        let (_stands, call_off) = stands();
        let device = stand.device(agent(&[("mode", "off-")], &[("beta", None)]));
        assert_eq!(device.status(&call_off).await.answer, Ok(()));
        assert!(reset(&device, "beta").await.is_err());
        let words = [("mode", "fail-"), ("password", PASSWORD)];
        let failure = reset(&stand.device(agent(&words, &[])), "beta").await;
        let failure = failure.expect_err("it fails").to_string();
        assert_eq!(failure, "exit code 1: 2026-11-29 ERROR: Failed: ***");
    });
}

/// Seen on cluster-glue 1.0.12.
#[test]
fn the_real_command_is_understood() {
    if !Path::new("/usr/sbin/stonith").exists() {
        return;
    }
    let stand = Stand::new();
    let context = Arc::new(FenceContext {
        stonith: PathBuf::from("/usr/sbin/stonith"),
        ..stand.context()
    });
    let device = |kind: &str, words: &str| {
        let line = FenceDevice {
            kind: kind.to_owned(),
            driver: FenceDriver::PluginWords(Secret::new(words)),
            ..plugin("", "")
        };
        Device::new(line, Arc::clone(&context))
    };
    run(async {
        let (_stands, call_off) = stands();
        let null = device("null", "alpha beta");
        assert_eq!(null.status(&call_off).await.answer, Ok(()));
        let hosts = null.hosts(&call_off).await.answer.expect("a list");
        assert_eq!(hosts.nodes.len(), 2);
        assert_eq!(reset(&null, "beta").await, Ok(()));
        let failure = reset(&device("ssh", "beta"), "gamma").await;
        assert!(
            matches!(failure, Err(FenceFailure::BadHost { .. })),
            "{failure:?}"
        );
        let failure = device("nosuch", "beta").status(&call_off).await.answer;
        assert!(
            matches!(failure, Err(FenceFailure::Failed { .. })),
            "{failure:?}"
        );
    });
}

/// The real command with a plugin of ours, as a `stonith` file and as a line. Needs root.
#[test]
fn the_real_command_drives_an_external_plugin() {
    if !Path::new("/usr/lib/stonith/plugins/external").exists() {
        return;
    }
    let stand = Stand::new();
    fs::create_dir(stand.path("external")).expect("made");
    stand.program("external/rec", PLUGIN);
    // For this program and its children the directory of plugins is ours.
    stand.program(
        "glue",
        "exec unshare -m sh -c 'mount --bind \"$0/external\" /usr/lib/stonith/plugins/external && \
         exec /usr/sbin/stonith \"$@\"' \"$D\" \"$@\"\n",
    );
    let file = stand.path("parameters");
    fs::write(&file, format!("# comment\nbeta fails {PASSWORD}\n")).expect("written");
    let context = Arc::new(FenceContext {
        stonith: stand.path("glue"),
        limit: Duration::from_secs(10),
        ..stand.context()
    });
    let device = |driver: FenceDriver| {
        let kind = "external/rec".to_owned();
        let line = FenceDevice {
            kind,
            driver,
            ..plugin("", "")
        };
        Device::new(line, Arc::clone(&context))
    };
    let words = |mode: &str| {
        FenceDriver::PluginWords(Secret::new(&format!("beta {mode} {PASSWORD} with blanks")))
    };
    run(async {
        let (_stands, call_off) = stands();
        let obeys = device(words("obeys"));
        assert_eq!(obeys.status(&call_off).await.answer, Ok(()));
        let hosts = obeys.hosts(&call_off).await.answer.expect("a list");
        assert_eq!(hosts.nodes, [host("beta", Some("beta"))]);
        assert_eq!(reset(&obeys, "beta").await, Ok(()));
        let fails = reset(&device(FenceDriver::PluginFile(file)), "beta").await;
        assert_eq!(
            fails.expect_err("it fails").to_string(),
            "exit code 5: the switch says no to ***"
        );
        assert_eq!(
            stand.calls(""),
            [
                format!("status  [{PASSWORD} with blanks]"),
                format!("gethosts  [{PASSWORD} with blanks]"),
                format!("reset beta [{PASSWORD} with blanks]"),
                format!("reset beta [{PASSWORD}]"),
            ]
        );
        let hangs = reset(&device(words("hangs")), "beta").await;
        assert!(
            matches!(hangs, Err(FenceFailure::Overdue { .. })),
            "{hangs:?}"
        );
        assert!(gone(&stand.text("child")).await);
    });
}

/// Whoever receives what the actor says.
struct Probe {
    answers: mpsc::UnboundedSender<NodeFenced>,
    known: mpsc::UnboundedSender<FenceDevicesKnown>,
}

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<NodeFenced> for Probe {
    type Result = ();
    fn handle(&mut self, answer: NodeFenced, _: &mut Self::Context) {
        let _ = self.answers.send(answer);
    }
}

impl Handler<FenceDevicesKnown> for Probe {
    type Result = ();
    fn handle(&mut self, known: FenceDevicesKnown, _: &mut Self::Context) {
        let _ = self.known.send(known);
    }
}

struct Fencing {
    actor: Addr<FencingActor>,
    answers: mpsc::UnboundedReceiver<NodeFenced>,
    known: mpsc::UnboundedReceiver<FenceDevicesKnown>,
}

impl Fencing {
    fn start(lines: Vec<FenceDevice>, context: FenceContext) -> Self {
        let (answers, answered) = mpsc::unbounded_channel();
        let (known, heard) = mpsc::unbounded_channel();
        let probe = Probe { answers, known }.start();
        let targets = FencingTargets {
            answers: probe.clone().recipient(),
            devices: probe.recipient(),
        };
        let here = actix_rt::Arbiter::current();
        let actor = supervise(&here, RestartPolicy::new("fencing"), move |_| {
            FencingActor::new(lines, context, targets)
        });
        Self {
            actor,
            answers: answered,
            known: heard,
        }
    }

    fn order(&self, number: u64, node: &str) {
        self.tell(number, node, FenceTask::Reset);
    }

    fn tell(&self, number: u64, node: &str, task: FenceTask) {
        self.actor.do_send(FenceNode {
            order: FenceOrder(number),
            node: name(node),
            task,
        });
    }

    async fn answer(&mut self) -> (u64, String, FenceAnswer) {
        let answer = timeout(Duration::from_secs(30), self.answers.recv());
        let answer = answer.await.expect("in time").expect("alive");
        (answer.order.0, answer.node.to_string(), answer.answer)
    }

    /// The report once it is so.
    async fn report(&self, good: impl Fn(&FenceReport) -> bool) -> FenceReport {
        for _ in 0..400 {
            let report = self.actor.send(AskFencing).await.expect("alive");
            if good(&report) {
                return report;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("never so: {:?}", self.actor.send(AskFencing).await);
    }

    async fn checked(&self) -> FenceReport {
        let all = |report: &FenceReport| report.devices.iter().all(|it| it.works.is_some());
        self.report(all).await
    }
}

#[test]
fn a_node_is_reset_once_and_the_devices_are_known() {
    let stand = Stand::new();
    run(async {
        let mut fencing = Fencing::start(vec![plugin("beta", "late-")], stand.context());
        // Before a device has answered it may be able to reset any other node.
        let known = fencing.known.recv().await.expect("alive");
        assert_eq!(known.can_reset, BTreeSet::from([name("beta")]));
        assert_eq!(known.longest_answer, Duration::ZERO);
        let report = fencing.checked().await;
        assert_eq!(
            report.devices[0].hosts.as_deref(),
            Some(&["beta".to_owned()][..])
        );
        fencing.order(7, "beta");
        fencing.order(7, "beta");
        let report = fencing.report(|it| !it.resetting.is_empty()).await;
        assert_eq!(report.resetting, ["beta"]);
        let test = fencing
            .actor
            .send(TestFence(name("beta")))
            .await
            .expect("alive");
        assert!(test.is_err(), "not beside a reset");
        assert_eq!(
            fencing.answer().await,
            (7, "beta".to_owned(), FenceAnswer::Done)
        );
        assert_eq!(stand.calls("reset"), ["reset beta late-"]);
        let report = fencing.report(|it| it.longest_answer_ms >= 1000).await;
        assert!(report.resetting.is_empty());
        // The same number later is a new order.
        fencing.order(7, "beta");
        assert_eq!(fencing.answer().await.2, FenceAnswer::Done);
        assert_eq!(stand.calls("reset").len(), 2);
        fencing.order(8, "alpha");
        let (_, _, answer) = fencing.answer().await;
        assert!(matches!(answer, FenceAnswer::Failed(_)), "never itself");
    });
}

/// The last line is the one that legacy uses.
#[test]
fn devices_are_tried_from_the_last_line_to_the_first_until_one_has_done_it() {
    let stand = Stand::new();
    run(async {
        let lines = vec![
            plugin("beta", "never-"),
            plugin("beta", "obeys-"),
            plugin("gamma", "other-"),
            plugin("beta", "hang-"),
            plugin("beta", "fail-"),
        ];
        let context = FenceContext {
            limit: Duration::from_secs(2),
            ..stand.context()
        };
        let mut fencing = Fencing::start(lines, context);
        fencing.checked().await;
        fencing.order(1, "beta");
        assert_eq!(fencing.answer().await.2, FenceAnswer::Done);
        assert_eq!(
            stand.calls("reset"),
            ["reset beta fail-", "reset beta hang-", "reset beta obeys-"]
        );
    });
}

#[test]
fn when_all_fail_the_words_of_each_are_in_the_answer() {
    let stand = Stand::new();
    run(async {
        let lines = vec![plugin("beta", "bad-"), plugin("beta", "fail-")];
        let mut fencing = Fencing::start(lines, stand.context());
        fencing.order(1, "beta");
        let (_, _, answer) = fencing.answer().await;
        let words = "external/fail-: exit code 5: cannot log in with [***] | no route to ***; \
                     external/bad-: it cannot reset this host";
        assert_eq!(answer, FenceAnswer::Failed(words.to_owned()));
        fencing.order(2, "delta");
        let (_, _, answer) = fencing.answer().await;
        assert_eq!(
            answer,
            FenceAnswer::Failed("no device can reset it".to_owned())
        );
    });
}

/// A device that cannot be asked counts for every node: the takeover waits, and is not begun
/// without it.
#[test]
fn a_broken_device_is_named_and_still_counts() {
    let stand = Stand::new();
    run(async {
        let lines = vec![plugin("beta", "mute-"), plugin("alpha", "broken-")];
        let mut fencing = Fencing::start(lines, stand.context());
        let report = fencing.checked().await;
        let [broken, mute] = report.devices.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((broken.works, mute.works), (Some(false), Some(false)));
        assert_eq!(
            broken.trouble.as_deref(),
            Some("exit code 1: no answer for ***")
        );
        assert_eq!(mute.trouble.as_deref(), Some("exit code 255"));
        assert_eq!(mute.hosts, None);
        while let Ok(known) = fencing.known.try_recv() {
            assert_eq!(known.can_reset, BTreeSet::from([name("beta")]));
        }
        // It is asked once more before a reset.
        fencing.order(1, "beta");
        let (_, _, answer) = fencing.answer().await;
        assert_eq!(
            answer,
            FenceAnswer::Failed("external/mute-: exit code 255".to_owned())
        );
        assert_eq!(stand.calls("-l").len(), 3);
        assert!(stand.calls("reset").is_empty());
    });
}

#[test]
fn an_order_that_is_called_off_ends_its_program_and_is_not_answered() {
    let stand = Stand::new();
    run(async {
        let mut fencing = Fencing::start(vec![plugin("beta", "hang-")], stand.context());
        fencing.checked().await;
        fencing.order(1, "beta");
        while stand.text("child").is_empty() {
            sleep(Duration::from_millis(25)).await;
        }
        fencing.actor.do_send(CallOffFence {
            order: FenceOrder(1),
        });
        assert!(gone(&stand.text("child")).await);
        fencing.report(|it| it.resetting.is_empty()).await;
        assert!(fencing.answers.try_recv().is_err());
        assert!(!stand.path("records").join("fence%20beta").exists());
    });
}

#[test]
fn an_order_breaks_off_a_test_and_a_check() {
    let stand = Stand::new();
    stand.program(
        "stonith",
        &STONITH.replace("broken--S) ", "slow--S) sleep 600;; broken--S) "),
    );
    run(async {
        let mut fencing = Fencing::start(vec![plugin("beta", "slow-")], stand.context());
        let test = fencing.actor.send(TestFence(name("beta")));
        let test = actix_rt::spawn(test);
        while stand.calls("-S").is_empty() {
            sleep(Duration::from_millis(25)).await;
        }
        fencing.order(1, "beta");
        assert_eq!(fencing.answer().await.2, FenceAnswer::Done);
        let refused = test.await.expect("no panic").expect("alive");
        let refused = refused.expect_err("nothing was found out");
        assert!(refused.contains("has to be reset"), "{refused}");
    });
}

#[test]
fn a_test_shows_what_would_be_run_and_resets_nothing() {
    let stand = Stand::new();
    run(async {
        let lines = vec![
            plugin("alpha", "obeys-"),
            agent(&[("password", PASSWORD)], &[]),
        ];
        let fencing = Fencing::start(lines, stand.context());
        let report = fencing.actor.send(TestFence(name("beta"))).await;
        let report = report.expect("alive").expect("a report");
        let [agent, plugin] = report.devices.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((agent.works, plugin.works), (Some(true), Some(true)));
        let would = agent.would_run.join("\n");
        assert!(
            would.ends_with("< password=***\n< plug=3\n< nodename=beta"),
            "{would}"
        );
        assert!(plugin.would_run.is_empty());
        let text = serde_json::to_string(&report).expect("json");
        assert!(!text.contains(PASSWORD), "{text}");
        assert!(stand.calls("reset").is_empty());
        assert!(!stand.text("input").contains("reboot"));
        let unknown = fencing.actor.send(TestFence(name("delta"))).await;
        assert!(unknown.expect("alive").is_err());
    });
}

/// A daemon that was killed leaves its program running.
#[test]
fn a_reset_waits_for_one_that_an_earlier_daemon_began() {
    let stand = Stand::new();
    run(async {
        let device = stand.device(plugin("beta", "hang-"));
        let earlier = actix_rt::spawn(async move { reset(&device, "beta").await });
        while stand.text("child").is_empty() {
            sleep(Duration::from_millis(25)).await;
        }
        let context = FenceContext {
            limit: Duration::from_secs(1),
            ..stand.context()
        };
        let mut fencing = Fencing::start(vec![plugin("beta", "obeys-")], context);
        fencing.order(1, "beta");
        assert_eq!(fencing.answer().await.2, FenceAnswer::Done);
        assert_eq!(
            stand.calls("reset"),
            ["reset beta hang-", "reset beta obeys-"]
        );
        assert!(gone(&stand.text("child")).await, "it took too long");
        assert!(earlier.await.expect("no panic").is_err());
    });
}

/// A program that resets beta for a daemon that was killed meanwhile.
fn left_behind(stand: &Stand, script: &str) -> Child {
    let words = ["reset", "external/x", "/bin/sh", "-c", script];
    Command::new(env!("CARGO_BIN_EXE_heartbeat"))
        .arg0(shim::TITLE)
        .arg(std::process::id().to_string())
        .arg(stand.path("records").join("fence%20beta"))
        .args(words)
        .process_group(0)
        .spawn()
        .expect("started")
}

#[test]
fn a_successor_learns_how_the_reset_of_a_killed_daemon_ends() {
    let stand = Stand::new();
    let asks = |context: FenceContext| async move {
        let mut fencing = Fencing::start(vec![plugin("beta", "obeys-")], context);
        fencing.tell(1, "beta", FenceTask::LearnEarlier);
        fencing.answer().await.2
    };
    let code = stand.path("records").join("fence%20beta.code");
    run(async {
        let none = FenceAnswer::Failed("no earlier reset is known".to_owned());
        assert_eq!(asks(stand.context()).await, none);
        for (script, answer) in [
            ("sleep 0.5", FenceAnswer::Done),
            (
                "sleep 0.5; exit 5",
                FenceAnswer::Failed("the earlier reset has failed".to_owned()),
            ),
        ] {
            let mut child = left_behind(&stand, script);
            while !stand.path("records").join("fence%20beta").exists() {
                sleep(Duration::from_millis(5)).await;
            }
            let learnt = asks(stand.context()).await;
            let _ = child.wait();
            assert_eq!(learnt, answer);
        }
        // It has ended before anybody asked: now, and so long ago that the node may be up again.
        for (ago, answer) in [(0, FenceAnswer::Done), (61, none.clone())] {
            let _ = left_behind(&stand, "exit 0").wait();
            let file = fs::File::options()
                .write(true)
                .open(&code)
                .expect("the code");
            let then = SystemTime::now() - Duration::from_secs(ago);
            file.set_modified(then).expect("dated");
            assert_eq!(asks(stand.context()).await, answer, "{ago}");
        }
        // It hangs: nobody knows what it did.
        let mut child = left_behind(&stand, "exec sleep 600");
        while !stand.path("records").join("fence%20beta").exists() {
            sleep(Duration::from_millis(5)).await;
        }
        let context = FenceContext {
            limit: Duration::from_millis(300),
            ..stand.context()
        };
        assert!(matches!(asks(context).await, FenceAnswer::Failed(_)));
        let _ = child.wait();
        assert!(stand.calls("reset").is_empty());
    });
}

/// What no core asks for has no reason any more.
#[test]
fn a_reset_of_a_killed_daemon_that_nobody_asks_for_is_ended() {
    let stand = Stand::new();
    run(async {
        let mut child = left_behind(&stand, "exec sleep 600");
        let _fencing = Fencing::start(vec![plugin("beta", "obeys-")], stand.context());
        let pid = child.id().to_string();
        for _ in 0..400 {
            if child.try_wait().expect("waited").is_some() {
                break;
            }
            sleep(Duration::from_millis(25)).await;
        }
        assert!(!is_alive(&pid));
    });
}

/// The core has panicked: the next one asks for what the one before has ordered.
#[test]
fn the_answer_of_a_reset_goes_to_the_core_that_asks_for_it() {
    let stand = Stand::new();
    run(async {
        let mut fencing = Fencing::start(vec![plugin("beta", "late-")], stand.context());
        fencing.checked().await;
        fencing.order(1, "beta");
        fencing.report(|it| !it.resetting.is_empty()).await;
        fencing.tell(1 << 32, "beta", FenceTask::LearnEarlier);
        let (order, _, answer) = fencing.answer().await;
        assert_eq!((order, answer), (1 << 32, FenceAnswer::Done));
        assert_eq!(stand.calls("reset"), ["reset beta late-"]);
    });
}
