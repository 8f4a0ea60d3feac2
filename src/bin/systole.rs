//! `systole`: asks the running node, for people and for programs. `systole::cli` formats the
//! answers.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use systole::cli::check::{self, State, Verdict};
use systole::cli::control_commands::Answer;
use systole::cli::metrics::{self, Form, Process};
use systole::cli::monitor;
use systole::cli::systole::{Command, FenceCommand, MonitorCommand, MoveOptions, parse};
use systole::cli::top::Told;
use systole::cli::top::terminal::{self, NoAnswer, TopError};
use systole::cli::view::{
    WhyReport, as_json, decision_of, json_line, present_state, why_for_people,
};
use systole::cli::{self, doctor, export, fence, plan, print, reload, status, tune, watch};
use systole::clients::api_client::{ApiClient, ApiError};
use systole::clients::control::{ControlError, FenceReport, Look, Reply, Request, View, ask, look};
use systole::clock::{Clock, Monotonic};
use systole::helper::Call;
use systole::helper::verbs::{Move, Way};
use systole::os::accounts::name_of_user;
use systole::os::blocked_signals;
use systole::os::paths::Paths;
use systole::protocol::message::Message;

/// The daemon answers at once; a longer wait means that it does not work.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a freeze waits for resources in transition.
const SETTLES: Duration = Duration::from_secs(60);

/// Pause between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// Pause between two screens.
const EACH: Duration = Duration::from_secs(1);

const OTHER_QUESTION: &str = "the daemon answered another question";

const FROZEN: &str = "frozen: no resource is started or stopped until systole thaw\n";
const THAWED: &str = "thawed: resources are managed again\n";

fn main() -> ExitCode {
    blocked_signals::let_through();
    let command = match parse(&cli::words()) {
        Ok(command) => command,
        Err(answer) => return finish(&answer),
    };
    match command {
        Command::Status { watch: true, .. } => watch_node(),
        Command::Status { json, .. } => show_status(json),
        Command::Top => show_top(),
        Command::Check { json } => check_node(json),
        Command::Standby(options) => move_groups("standby", Way::Away, &options),
        Command::Takeover(options) => move_groups("takeover", Way::Here, &options),
        Command::Reload { wait } => finish(&reload::reload(&Paths::default(), wait)),
        Command::View => view(),
        Command::Why { json } => why(json),
        Command::Metrics {
            openmetrics,
            textfile,
        } => show_metrics(openmetrics, textfile.as_deref()),
        Command::Doctor(options) => {
            if options.unhurried {
                let _ = rustix::process::nice(19);
            }
            finish(&doctor::run(&options))
        }
        Command::Plan(options) => finish(&plan::run(&options)),
        Command::Tune(options) => propose_times(&options),
        Command::Export(options) => finish(&export::run(&options)),
        Command::Freeze => maintain("freeze", FROZEN),
        Command::Thaw => maintain("thaw", THAWED),
        Command::Fence(command) => fence_devices(&command),
        Command::Monitor(MonitorCommand::Run { group, json }) => run_checks(group, json),
        Command::Clear { group } => clear(group),
    }
}

/// Everything that the daemon knows, or why it does not answer.
fn ask_view() -> Result<View, String> {
    view_of(ask_to_know(Look::View))
}

/// Asks for what a user may know who can give no order.
fn ask_to_know(what: Look) -> Result<Reply, ControlError> {
    let paths = Paths::default();
    look(&paths.control(), &paths.views(), what, PATIENCE)
}

fn view_of(reply: Result<Reply, ControlError>) -> Result<View, String> {
    reply.map_err(|error| error.to_string())?.view()
}

/// Asks the daemon, and judges for a monitoring system.
fn check_node(json: bool) -> ExitCode {
    let verdict = match ask_view() {
        Ok(view) => check::judge(&view),
        Err(reason) => Verdict::unknown(reason),
    };
    print(&if json {
        json_line(&verdict)
    } else {
        verdict.line()
    });
    ExitCode::from(verdict.state.code())
}

/// One screen for people, with the exit code of `check`.
fn show_status(json: bool) -> ExitCode {
    let view = match ask_view() {
        Ok(view) => view,
        Err(reason) => return fail(&reason, State::Unknown.code()),
    };
    print(&if json {
        as_json(&view)
    } else {
        let now = Clock::start().now().unix_s;
        status::screen(&view, now).text(watch::layout())
    });
    ExitCode::from(check::judge(&view).state.code())
}

/// What the samples of the daemon ask for.
fn propose_times(options: &tune::TuneOptions) -> ExitCode {
    match ask_view() {
        Ok(view) => finish(&tune::answer(&view, options, tune::is_virtual_machine())),
        Err(reason) => fail(&reason, State::Unknown.code()),
    }
}

/// For a Prometheus server.
fn show_metrics(open: bool, file: Option<&Path>) -> ExitCode {
    // Who may not ask knows nothing of the daemon, and says nothing of it.
    let reply = ask_to_know(Look::View);
    if let Err(error @ ControlError::NotViewer) = reply {
        return fail(&error.to_string(), State::Unknown.code());
    }
    let view = view_of(reply);
    let node = view.as_ref().ok().and_then(|view| view.node.as_ref());
    let process = node.and_then(|node| Process::look(node.pid));
    let answered = node.is_some();
    let source = metrics::Source {
        view: view.as_ref().ok(),
        process: process.as_ref(),
        now_unix_s: Clock::start().now().unix_s,
    };
    let form = if open { Form::Open } else { Form::Text };
    let text = metrics::text(source, form);
    match file {
        None => print(&text),
        Some(file) => {
            if let Err(error) = metrics::write_file(file, &text) {
                return fail(&format!("cannot write {}: {error}", file.display()), 1);
            }
        }
    }
    match view {
        Ok(_) if answered => ExitCode::SUCCESS,
        Ok(_) => fail("membership does not answer", State::Unknown.code()),
        Err(reason) => fail(&reason, State::Unknown.code()),
    }
}

/// The same again and again.
fn watch_node() -> ExitCode {
    let clock = Clock::start();
    watch::watch(ask_view, || pause(&clock, EACH));
    ExitCode::SUCCESS
}

/// The same on a terminal of its own, with the decisions.
fn show_top() -> ExitCode {
    match terminal::run(ask_all) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ TopError::Refused(_)) => fail(&error.to_string(), State::Unknown.code()),
        Err(error) => fail(&error.to_string(), 1),
    }
}

/// Everything that the daemon knows, and its decisions.
fn ask_all() -> Result<Told, NoAnswer> {
    let view = ask_to_know(Look::View)?;
    let view = view.view().map_err(NoAnswer::NotNow)?;
    let decisions = match ask_to_know(Look::Why)? {
        Reply::Decisions { decisions } => Ok(decisions),
        Reply::Refused { reason } => Err(reason),
        _ => Err(OTHER_QUESTION.to_owned()),
    };
    Ok(Told { view, decisions })
}

/// Has groups moved.
fn move_groups(name: &str, way: Way, options: &MoveOptions) -> ExitCode {
    let mut call = Call {
        program: format!("systole {name}"),
        args: Vec::new(),
        paths: Paths::default(),
        variable: &|name| std::env::var(name).ok(),
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
    };
    let wanted = Move {
        way,
        set: options.set(),
        wait: options.wait,
        force: options.force,
    };
    ExitCode::from(wanted.carry_out(&mut call))
}

fn finish(answer: &Answer) -> ExitCode {
    print(&answer.stdout);
    eprint!("{}", answer.stderr);
    ExitCode::from(answer.code)
}

/// Runs the checks of a group once.
fn run_checks(group: String, json: bool) -> ExitCode {
    let patience = ask_view().map_or(PATIENCE, |view| monitor::patience(&view, &group));
    let request = Request::MonitorRun { key: group };
    match ask_control(&request, PATIENCE.saturating_add(patience)) {
        Ok(Reply::Checks { checks }) => {
            print(&if json {
                as_json(&monitor::Checks::new(&checks))
            } else {
                monitor::lines(&checks)
            });
            ExitCode::from(u8::from(!monitor::all_good(&checks)))
        }
        Ok(Reply::Refused { reason }) => fail(&reason, 1),
        Ok(_) => fail(OTHER_QUESTION, 1),
        Err(error) => fail_at_control(&error),
    }
}

/// A person has repaired a group.
fn clear(group: String) -> ExitCode {
    let request = Request::Clear { key: group.clone() };
    match ask_control(&request, PATIENCE) {
        Ok(Reply::Cleared) => {
            print(&format!("cleared: the failures of {group} are forgotten\n"));
            ExitCode::SUCCESS
        }
        Ok(Reply::Refused { reason }) => fail(&reason, 1),
        Ok(_) => fail(OTHER_QUESTION, 1),
        Err(error) => fail_at_control(&error),
    }
}

/// Asks about fencing, for root.
fn fence_devices(command: &FenceCommand) -> ExitCode {
    let (request, patience) = match command {
        FenceCommand::List { .. } | FenceCommand::Status { .. } => (Request::Fence, PATIENCE),
        FenceCommand::Test { node, .. } => {
            let patience = match ask_control(&Request::Fence, PATIENCE) {
                Ok(Reply::Fence(report)) => longest_test(&report),
                Ok(_) => PATIENCE,
                Err(error) => return fail_at_control(&error),
            };
            (Request::FenceTest { node: node.clone() }, patience)
        }
        FenceCommand::Confirm { node } => {
            let (node, by) = (node.clone(), person());
            (Request::FenceConfirm { node, by }, PATIENCE)
        }
    };
    let reply = match ask_control(&request, patience) {
        Ok(reply) => reply,
        Err(error) => return fail_at_control(&error),
    };
    match (reply, command) {
        (Reply::Fence(report), FenceCommand::List { json }) => {
            show_fence(&report, *json, fence::list, fence::all_known)
        }
        (Reply::Fence(report), FenceCommand::Status { json }) => {
            show_fence(&report, *json, fence::status, fence::all_work)
        }
        (Reply::Fence(report), FenceCommand::Test { node, json }) => {
            let show = |report: &FenceReport| fence::test(report, node);
            show_fence(&report, *json, show, fence::can_reset)
        }
        (Reply::Confirmed, FenceCommand::Confirm { node }) => {
            print(&format!("confirmed: {node} counts as reset\n"));
            ExitCode::SUCCESS
        }
        (Reply::Refused { reason }, _) => fail(&reason, 1),
        _ => fail(OTHER_QUESTION, 1),
    }
}

fn show_fence(
    report: &FenceReport,
    json: bool,
    show: impl Fn(&FenceReport) -> String,
    good: fn(&FenceReport) -> bool,
) -> ExitCode {
    print(&if json { as_json(report) } else { show(report) });
    ExitCode::from(u8::from(!good(report)))
}

/// Two calls of each device, and what it takes to end them.
fn longest_test(report: &FenceReport) -> Duration {
    let devices = u64::try_from(report.devices.len()).unwrap_or(u64::MAX);
    let one = report.time_limit_s.saturating_add(15).saturating_mul(2);
    PATIENCE.saturating_add(Duration::from_secs(one.saturating_mul(devices)))
}

/// Who gives this command: the one who logged in, for the log.
fn person() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login: Option<u32> = login.and_then(|text| text.trim().parse().ok());
    // The highest number stands for nobody.
    let login = login.filter(|uid| *uid != u32::MAX).and_then(name_of_user);
    let sudo = std::env::var("SUDO_USER").ok();
    let login = login.or(sudo);
    login.unwrap_or_else(|| "root".to_owned())
}

fn ask_control(request: &Request, patience: Duration) -> Result<Reply, ControlError> {
    ask(&Paths::default().control(), request, patience)
}

fn fail_at_control(error: &ControlError) -> ExitCode {
    let code = if matches!(error, ControlError::NoDaemon { .. }) {
        3
    } else {
        1
    };
    fail(&error.to_string(), code)
}

/// Prints what the daemon reports, for programs.
fn view() -> ExitCode {
    match ask_control(&Request::View, PATIENCE) {
        Ok(Reply::View(view)) => {
            print(&as_json(&view));
            let node = view.node.as_ref();
            let active = node.is_some_and(|node| node.status == "active");
            ExitCode::from(u8::from(!active))
        }
        Ok(Reply::Refused { reason }) => fail(&reason, 1),
        Ok(_) => fail(OTHER_QUESTION, 1),
        Err(error) => fail_at_control(&error),
    }
}

/// Asks over the client socket; a freeze waits until resources are no longer in transition.
fn maintain(order: &str, done: &str) -> ExitCode {
    let clock = Clock::start();
    let until = clock.now().instant + SETTLES;
    let mut said = false;
    loop {
        match ask_daemon(order) {
            Ok(_) => {
                print(done);
                return ExitCode::SUCCESS;
            }
            Err(ApiError::BadRequest(why))
                if why.starts_with("not now") && clock.now().instant < until =>
            {
                if !said {
                    eprintln!("systole: {why}; waiting");
                    said = true;
                }
                pause(&clock, AGAIN);
            }
            Err(error) => return fail_as_client(&error),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a short-lived program with nothing else to do"
)]
fn pause(clock: &Clock, time: Duration) {
    let until: Monotonic = clock.now().instant + time;
    std::thread::sleep(until.since(clock.now().instant));
}

fn ask_daemon(what: &str) -> Result<Vec<Message>, ApiError> {
    let mut client = ApiClient::sign_on(&Paths::default().register())?;
    let request = client.request("systole").with("subt", what);
    let answers = client.ask(&request);
    client.sign_off();
    answers
}

fn fail_as_client(error: &ApiError) -> ExitCode {
    match error {
        ApiError::NoDaemon => fail("no daemon listens on the client socket (yet)", 3),
        ApiError::BadRequest(why) if why.is_empty() => {
            fail("the daemon does not know this: it is not Systole", 1)
        }
        ApiError::BadRequest(why) if why == "EPERM" => {
            fail("only root and the group haclient may do that", 1)
        }
        error => fail(&error.to_string(), 1),
    }
}

/// The client socket is open when the node is active; the control socket is always open, for root, and the view socket for
/// its group.
fn why(json: bool) -> ExitCode {
    let decided = ask_daemon("why").map(|answers| answers.iter().filter_map(decision_of).collect());
    let decisions = match decided {
        Ok(decisions) => decisions,
        Err(error) => match ask_to_know(Look::Why) {
            Ok(Reply::Decisions { decisions }) => decisions,
            Ok(_) | Err(_) => return fail_as_client(&error),
        },
    };
    // Not every user may ask this way; then this part is left out.
    let node = ask_view().ok().and_then(|view| view.node);
    let report = WhyReport {
        decisions,
        now: node.as_ref().map(present_state).unwrap_or_default(),
    };
    print(&if json {
        as_json(&report)
    } else {
        why_for_people(&report)
    });
    ExitCode::SUCCESS
}

fn fail(text: &str, code: u8) -> ExitCode {
    eprintln!("systole: {text}");
    ExitCode::from(code)
}
