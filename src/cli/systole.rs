//! The command line of `systole`. Everything that describes it is made from the types here: the
//! help, the errors, the manual pages in `conf/man` and the shell completions in `conf/completions`
//! (`tests/systole.rs` writes and checks both).

use std::iter;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use super::control_commands::Answer;
use super::doctor::DoctorOptions;
use super::export::ExportOptions;
use super::plan::PlanOptions;
use super::tune::TuneOptions;

/// The exit code of a command line that cannot be understood.
pub const EXIT_USAGE: u8 = 2;

/// Ask the heartbeat node on this machine
///
/// Asks the running daemon what it does and why, and tells it to leave resources alone
/// during maintenance. Most commands are for root. What only asks is also for members of the
/// group systole-view; why, freeze and thaw for members of the group haclient; and doctor,
/// plan and export for everybody.
#[derive(Debug, Parser)]
#[command(
    name = "systole",
    version,
    verbatim_doc_comment,
    subcommand_required = true,
    arg_required_else_help = true,
    subcommand_help_heading = "Commands",
    subcommand_value_name = "COMMAND",
    after_help = "\
Exit codes: 0 good, or done; 1 a warning (status, check), not active (view), or refused; 2 critical
(status, check), or usage; 3 no daemon runs, or it does not answer yet.",
    after_long_help = [
        section("Exit codes", CODES),
        section("Example", "systole status"),
        section("See also", "heartbeat(8), cl_status(1)"),
    ].join("\n")
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// A command of `systole`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show this node, the other one, their links and the groups, on one screen
    ///
    /// The first lines say what is wrong, in the words of systole check. Then come the nodes, who
    /// hears whom on which medium, the fencing devices and the watchdog if there are any, where
    /// each group runs and since when, and the last move with its cause. Works before the node is
    /// active, too. Only root may ask. The daemon has 5 seconds to answer. Colours and line
    /// breaks only on a terminal; the variable NO_COLOR takes the colours away.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_CHECK, "\
# systole status
alpha, 2026-03-14 09:26:53
OK: alpha is active, runs 1 of 1 groups; beta is active

NODES
  alpha  active  this node, runs 1 group, since 09:20:11, pid 4711
  beta   active  Systole, runs no group, since 09:20:12, heard 0.2 s ago

LINKS          alpha hears beta  beta hears alpha
  eth0 (bcast)  yes               yes

GROUPS
  IPaddr::192.0.2.10  runs on alpha since 09:20:14

LAST MOVE of alpha  (all decisions: systole why)
  09:20:13  starts the local resources: IPaddr::192.0.2.10: both nodes are settled"))]
    Status {
        /// Print one JSON object, as view does
        #[arg(long)]
        json: bool,
        /// Show it again each second, until Ctrl-C
        #[arg(long, conflicts_with = "json")]
        watch: bool,
    },

    /// Show this node and the other one all the time, on a terminal of its own
    ///
    /// The screen of systole status, and below it what systole why shows, the newest first. It
    /// asks the daemon each second and shows the answer. It only looks: no key changes anything
    /// in the cluster. Arrow keys, PageUp and PageDown move; ? shows all keys; q, Esc and Ctrl-C
    /// leave. The last row says what does not fit. While the daemon does not answer it says
    /// since when, and goes on asking. Only root may ask. The variable NO_COLOR takes the colours
    /// away.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_TOP, "\
# systole top"))]
    Top,

    /// One line for a monitoring system: OK, WARNING, CRITICAL or UNKNOWN
    ///
    /// Prints what is wrong with this node, the worst first, and behind a bar performance data
    /// as a Nagios plugin does. CRITICAL: a group does not run that should, an address is gone, a
    /// dead node cannot be fenced, or the watchdog is in trouble. WARNING: the node is not
    /// active, frozen or being stopped; there is no standby, because the other node is dead or
    /// has left in order; a link is dead or goes one way only, a medium is not open or cannot
    /// send, or a fencing device does not work. Only root may ask. The daemon has 5 seconds to
    /// answer.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_CHECK, "\
# systole check
SYSTOLE WARNING - no standby: beta is dead | groups=1 groups_running=1 ..."))]
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },

    /// Show the same as one JSON object, for programs
    ///
    /// Prints one line: an object. "schema" is its version, 1; a later version may add keys.
    /// "node" has the name, status and generation (a number) of this node, whether it is frozen
    /// or stopping, and all nodes with their links; it is null while the daemon has no answer
    /// from its membership. "groups" has one object for each resource group, in the order of
    /// haresources. "media" has one for each medium of ha.cf: whether it is open, the reason why
    /// not, and whose messages arrive on it. The page reference/json.md of the documentation
    /// has every key. Only root may ask. The daemon has 5 seconds to answer.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_VIEW, "\
Whether this node manages resources as usual:
# systole view | jq .node.frozen
false"))]
    View,

    /// Show the last 50 decisions of this node, each with its cause
    ///
    /// Prints one line for each decision since the daemon began, the oldest first: local date
    /// and time, what this node did or refused, and the cause. For root and the group
    /// systole-view, lines that begin with "now:" follow. They say what the node waits for,
    /// which node does not receive which, and what the node wants to begin and cannot yet, with
    /// the reason.
    /// Works before the node is active, too, for root and systole-view.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole why
2026-03-14 09:26:53  freezes: systole freeze was called"))]
    Why {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },

    /// Print what a Prometheus server scrapes
    ///
    /// Prints the state of the node in the Prometheus text format: nodes, links, media, groups
    /// and the daemon's process. Without an answer of the daemon only "systole_up 0". The page
    /// reference/metrics.md of the documentation has every name. Only root may ask; the daemon
    /// itself listens on no network port. The daemon has 5 seconds to answer.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_METRICS, "\
# systole metrics --textfile /var/lib/prometheus/node-exporter/systole.prom"))]
    Metrics {
        /// Print the OpenMetrics form
        #[arg(long)]
        openmetrics: bool,
        /// Write it to FILE, whole or not at all, for the collector of node_exporter
        #[arg(long, value_name = "FILE", conflicts_with = "openmetrics")]
        textfile: Option<PathBuf>,
    },

    /// Find mistakes in the files and on the host, here and on the other node
    ///
    /// Prints two lines for each finding: level, rule, place and what is wrong; then what fixes
    /// it. Starts and stops nothing, changes nothing and sends no packet. Needs no daemon; any
    /// user may ask, and what that user may not see is named at the end.
    /// With --peer it compares both nodes. DIR is a copy of the other node's root directory
    /// (DIR/etc/ha.d, and whatever else was copied), or of its /etc/ha.d alone. What no file
    /// tells, "systole doctor --facts" prints on that node: put it into DIR/host.json.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_DOCTOR, "\
# systole doctor --peer /tmp/beta
ERROR D07 /etc/ha.d/haresources:3 here `alpha 10.0.0.1 web`, on beta `alpha 10.0.0.1`
  fix: scp -p /etc/ha.d/haresources beta:/etc/ha.d/haresources
1 error, 0 warnings, 0 remarks"))]
    Doctor(DoctorOptions),

    /// Show what the pair of these files would do, step by step
    ///
    /// Runs the pair that ha.cf, haresources and systole.toml describe in virtual time, with
    /// the decisions of this version, and shows what happens after one incident: each step with
    /// its cause, where the groups run in the end, how long each ran nowhere and how long on
    /// both nodes. Without --if it shows every incident in a table. Starts and asks nothing, and
    /// needs no daemon. What it assumes stands at the end.
    /// INCIDENT is one of: NODE dies, NODE hangs, daemon of NODE dies, NODE stops, cut NODE,
    /// cut MEDIUM, cut all, standby NODE. A MEDIUM is called as in log lines.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_PLAN, "\
# systole plan --if 'alpha dies'
alpha dies
    0.00 s  alpha  loses power
   10.02 s  beta   declares alpha dead: nothing was received of it for its dead time"))]
    Plan(PlanOptions),

    /// Propose keepalive, warntime and deadtime for an allowed rate of mistakes
    ///
    /// A mistake: a living node is declared dead. The daemon samples how far apart heartbeats
    /// are, since it began and for the last 31 days. Shows the samples, what different dead
    /// times would bring, and three lines for ha.cf of both nodes; or that the samples are too
    /// few: a day is needed, for 1/year twelve. Changes nothing. Only root may ask. The daemon
    /// has 5 seconds to answer.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_TUNE, "\
# systole tune --mistakes 2/year
NODE     SEEN      GAPS   99.9 %  LONGEST GAP
beta      3 h     10801   1.15 s  3.23 s on 2026-03-14 09:26:53, as heard here
alpha     3 h     10801   1.15 s  1.40 s on 2026-03-14 09:31:07, as it sends
not enough samples: 3 h of 144 h"))]
    Tune(TuneOptions),

    /// Write the files of another cluster manager that mean the same
    ///
    /// TARGET is pacemaker (cib.xml and corosync.conf), corosync (corosync.conf alone) or
    /// keepalived (keepalived-NODE.conf for each node). DIR gets MIGRATION.txt too: what each
    /// line of ha.cf, haresources, authkeys and systole.toml has become, or why it is lost or
    /// not needed, and the steps of the move. Where something is lost, each such line is named
    /// and nothing is written, unless --lossy is given. Needs no daemon, starts and stops
    /// nothing, and changes nothing outside of DIR; any user may call it who can read the files.
    /// The secret of authkeys is not written. Passwords of fencing devices stand in cib.xml.
    /// All files are for their owner only.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_EXPORT, "\
# systole export pacemaker --out /root/pacemaker
written to /root/pacemaker: cib.xml corosync.conf MIGRATION.txt; nothing is lost; ..."))]
    Export(ExportOptions),

    /// Give groups to the other node
    ///
    /// SET is all, or the groups that this node owns (local) or does not own (foreign). Refused
    /// when no other node is active, this node is frozen, or haresources of the nodes differ.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole standby --wait
done: alpha holds none now"))]
    Standby(MoveOptions),

    /// Take groups from the other node
    ///
    /// SET is all, or the groups that this node owns (local) or does not own (foreign). Refused
    /// when no other node is active, this node is frozen, or haresources of the nodes differ.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole takeover --wait local
done: alpha holds local now"))]
    Takeover(MoveOptions),

    /// Check the files, and have the daemon work with them
    ///
    /// As heartbeat -r, but it starts no daemon. With an error in a file nothing is changed, and
    /// the errors are printed. Groups run on.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole reload --wait
done: the daemon works with the files"))]
    Reload {
        /// Wait until the daemon works with them, at most two minutes
        #[arg(long)]
        wait: bool,
    },

    /// Begin maintenance: this node starts and stops no resource
    ///
    /// Heartbeats go on, and what runs here goes on running. The node starts and stops no
    /// resource until "systole thaw"; a stop of the daemon ends the freeze and releases
    /// everything. The freeze is of this node alone. While resources are in transition the
    /// command waits for the end of it, at most 60 seconds. Refused with "auto_failback
    /// legacy" in ha.cf and for a daemon that manages no resources.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole freeze
frozen: no resource is started or stopped until systole thaw"))]
    Freeze,

    /// End maintenance: this node manages resources again
    ///
    /// What had to wait is done now: groups of a node that is gone are acquired, and failed
    /// groups are tried again. A node that is not frozen stays as it is.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole thaw
thawed: resources are managed again"))]
    Thaw,

    /// Run the checks of a group by hand
    ///
    /// The checks are the [[monitor]] blocks of systole.toml. Only root may ask.
    #[command(
        subcommand,
        verbatim_doc_comment,
        arg_required_else_help = true,
        subcommand_help_heading = "Commands",
        subcommand_value_name = "COMMAND",
        after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole monitor run IPaddr2::192.0.2.10
good     nginx  status")
    )]
    Monitor(MonitorCommand),

    /// Say that what failed in a group is repaired
    ///
    /// Forgets the failures that the monitors of GROUP have counted, on this node: it may fail
    /// again as often as before, it may be moved for that again, and it may go back to its owner
    /// by itself. A group that was stopped for good (then = "stop") is started again. GROUP is
    /// the first word of its line in haresources, behind the node. Only root may ask.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole clear IPaddr2::192.0.2.10
cleared: the failures of IPaddr2::192.0.2.10 are forgotten"))]
    Clear {
        /// The group
        #[arg(value_name = "GROUP")]
        group: String,
    },

    /// Look at the fencing devices, test them, or say that a node is off
    ///
    /// The devices are the stonith and stonith_host lines of ha.cf that count on this host. Only
    /// root may ask.
    #[command(
        subcommand,
        verbatim_doc_comment,
        arg_required_else_help = true,
        subcommand_help_heading = "Commands",
        subcommand_value_name = "COMMAND",
        after_long_help = tail(CODES_OF_FENCE, "\
# systole fence status
external/ipmi (/etc/ha.d/ha.cf:12): works, answered in 0.8 s
time limit 60 s, longest answer 0.8 s")
    )]
    Fence(FenceCommand),
}

/// What `standby` and `takeover` are asked.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct MoveOptions {
    /// Which groups
    #[arg(value_name = "SET", value_parser = SETS, default_value = "all")]
    pub set: String,
    /// Wait until it is done, or has failed
    #[arg(long)]
    pub wait: bool,
    /// Do it although haresources of the nodes differ
    #[arg(long)]
    pub force: bool,
}

impl MoveOptions {
    /// The set, as messages name it.
    #[must_use]
    pub fn set(&self) -> &'static str {
        let known = SETS.into_iter().find(|set| *set == self.set);
        known.unwrap_or("all")
    }
}

/// The sets that can be moved.
const SETS: [&str; 3] = ["all", "local", "foreign"];

/// A command of `systole monitor`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum MonitorCommand {
    /// Run the checks of GROUP once, and show their answers
    ///
    /// One line for each monitor, from left to right: good, bad or unknown, the resource, how it
    /// is checked, and why it is not good. Nothing follows from the answers. It works on the
    /// node where the group does not run, too. GROUP is the first word of its line in
    /// haresources, behind the node. Waits as long as the checks take.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_MONITOR, "\
# systole monitor run IPaddr2::192.0.2.10
good     mariadb  run:/usr/local/sbin/check_mysql
bad      nginx  status: exit code 3: nginx is not running"))]
    Run {
        /// The group
        #[arg(value_name = "GROUP")]
        group: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// A command of `systole fence`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum FenceCommand {
    /// Show the devices, and which nodes each can reset
    ///
    /// The device that is tried first stands first. Asks the daemon, not the devices: what they
    /// answered at the start and every hour since.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_FENCE, "\
# systole fence list
external/ipmi (/etc/ha.d/ha.cf:12): resets beta"))]
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },

    /// Show whether the devices work, and what is reset now
    ///
    /// Asks the daemon, not the devices: what they answered at the start and every hour since.
    /// Shows the time limit of one call (fence_time_limit_s), the longest good answer, the
    /// delay of the node that serves nothing (fence_delay), and each dead node with what it
    /// waits for.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_FENCE, "\
# systole fence status
external/ipmi (/etc/ha.d/ha.cf:12): works, answered in 0.8 s
time limit 60 s, longest answer 0.8 s
delay 5.0 s: so long the node waits that serves nothing, or stands second
now: node1 is dead: waits, is reset in 4.2 s"))]
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },

    /// Ask each device now, and show what a reset of NODE would run
    ///
    /// Nothing is reset. The daemon asks each device whether it works and which hosts it can
    /// reset. Then the command is shown that would reset NODE, and below it, in lines with a
    /// "<", what it would read. Secrets are shown as ***. Waits as long as the devices take.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_TEST, "\
# systole fence test beta
external/ipmi (/etc/ha.d/ha.cf:12): works, answered in 0.8 s
  would run /usr/sbin/stonith -t external/ipmi -F /dev/stdin -T reset beta
  < beta 10.0.0.3 *** *** ***
nothing was reset"))]
    Test {
        /// The node that would be reset
        #[arg(value_name = "NODE")]
        node: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },

    /// Say that NODE is off: its groups are taken over without a reset
    ///
    /// For a device that fails while its node is dead. Make sure that NODE is off, or cut off
    /// from every shared disk, and stays so: if it still runs, both nodes write. The log says
    /// who gave the word. Refused while nothing waits for NODE to be fenced.
    #[command(verbatim_doc_comment, after_long_help = tail(CODES_OF_A_REQUEST, "\
# systole fence confirm beta
confirmed: beta counts as reset"))]
    Confirm {
        /// The node that is off
        #[arg(value_name = "NODE")]
        node: String,
    },
}

const CODES: &str = "\
0  status, view: this node is active; other commands: done
1  this node is not active, or not yet; or the request was refused
2  the command line cannot be understood
3  no daemon runs, or it does not answer yet";

const CODES_OF_A_VIEW: &str = "\
0  this node is active
1  it is not active, or not yet; or the daemon refused, or gave no answer in time
2  the command line cannot be understood
3  no daemon runs";

const CODES_OF_CHECK: &str = "\
0  OK
1  WARNING
2  CRITICAL, or the command line cannot be understood
3  UNKNOWN: no daemon runs, it does not answer in time, or this user may not ask";

const CODES_OF_TOP: &str = "\
0  left with a key
1  it was not called on a terminal, or the terminal is gone
2  the command line cannot be understood
3  this user may not ask";

const CODES_OF_METRICS: &str = "\
0  printed or written
1  the file cannot be written
2  the command line cannot be understood
3  the daemon does not run or does not answer: only systole_up 0 was printed";

const CODES_OF_DOCTOR: &str = "\
0  nothing above INFO was found
1  the worst finding is a WARN
2  there is an ERROR, or the command line cannot be understood
3  nothing was found, but ha.cf or haresources could not be read";

const CODES_OF_PLAN: &str = "\
0  every group runs in the end, and none ran on both nodes
1  a group runs nowhere in the end, or ran on both nodes
2  the command line cannot be understood, or there is no such incident
3  the files describe no pair with groups, or cannot be read";

const CODES_OF_TUNE: &str = "\
0  times are proposed
1  the samples are too few, or the daemon takes none
2  the command line cannot be understood
3  no daemon runs, it does not answer in time, or this user may not ask";

const CODES_OF_EXPORT: &str = "\
0  written
1  something would be lost, DIR is not empty, or it cannot be written
2  the command line cannot be understood
3  the files cannot be read, or have errors";

const CODES_OF_FENCE: &str = "\
0  every device works; list: every device has said which nodes it can reset
1  one does not, or there is none; or the daemon refused, or gave no answer in time
2  the command line cannot be understood
3  no daemon runs";

const CODES_OF_TEST: &str = "\
0  every device works, and at least one can reset the node
1  not so, or refused, or the daemon gave no answer in time
2  the command line cannot be understood
3  no daemon runs";

const CODES_OF_MONITOR: &str = "\
0  every check is good
1  one is not; or the daemon refused, or gave no answer in time
2  the command line cannot be understood
3  no daemon runs";

const CODES_OF_A_REQUEST: &str = "\
0  done
1  refused, or the daemon gave no answer in time
2  the command line cannot be understood
3  no daemon runs, or it does not answer yet";

/// What follows the description of a command.
fn tail(codes: &str, example: &str) -> String {
    [
        section("Exit codes", codes),
        section("Example", example),
        section("See also", "systole(8)"),
    ]
    .join("\n")
}

/// A heading with lines below it, which keep their form in a manual page too.
pub(super) fn section(heading: &str, lines: &str) -> String {
    let lines = lines.lines().map(|line| format!("  {line}\n"));
    iter::once(format!("{heading}:\n")).chain(lines).collect()
}

/// The definition, for manual pages and shell completions.
#[must_use]
pub fn definition() -> clap::Command {
    CommandLine::command()
}

/// Reads `words`, without the program's name.
///
/// # Errors
/// What to print instead, with the exit code: the help or the version that was asked for, or one
/// line that tells what is wrong.
pub fn parse(words: &[String]) -> Result<Command, Answer> {
    let all = iter::once("systole").chain(words.iter().map(String::as_str));
    let error = match CommandLine::try_parse_from(all) {
        Ok(line) => return Ok(line.command),
        Err(error) => error,
    };
    let text = || error.render().to_string();
    Err(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Answer::out(text(), 0),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Answer::err(text(), EXIT_USAGE),
        ErrorKind::MissingRequiredArgument => Answer::err(missing(&error, words), EXIT_USAGE),
        _ => Answer::err(fault(&error, words), EXIT_USAGE),
    })
}

/// One line: what is missing, and where the help is.
fn missing(error: &clap::Error, words: &[String]) -> String {
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(words)) => words.join(" "),
        _ => "a word".to_owned(),
    };
    let given = words.iter().filter(|word| !word.starts_with('-'));
    let given: Vec<&str> = given.map(String::as_str).collect();
    let command = given.join(" ");
    format!("systole: {command} needs {missing} (systole {command} --help)\n")
}

/// One line: what is wrong, what may have been meant, and where the help is.
fn fault(error: &clap::Error, words: &[String]) -> String {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        // The best suggestion stands last.
        Some(ContextValue::Strings(words)) => words.last().cloned(),
        _ => None,
    };
    let definition = definition();
    let known = |word: &&str| definition.find_subcommand(word).is_some();
    let command = words.first().map(String::as_str).filter(known);
    let invalid = of(ContextKind::InvalidSubcommand)
        .or_else(|| of(ContextKind::InvalidValue))
        .or_else(|| of(ContextKind::InvalidArg));
    let what = match (&invalid, command) {
        (Some(word), Some(command)) => format!("{command} takes no {word:?}"),
        (Some(word), _) if word.starts_with('-') => format!("unknown option {word:?}"),
        (Some(word), _) => format!("unknown command {word:?}"),
        (None, _) => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    };
    let undashed = || invalid.as_deref()?.strip_prefix("--").filter(known);
    let meant = of(ContextKind::SuggestedSubcommand)
        .or_else(|| of(ContextKind::SuggestedArg))
        .or_else(|| of(ContextKind::SuggestedValue))
        .or_else(|| undashed().map(str::to_owned));
    let meant = meant.map_or_else(String::new, |word| format!("; did you mean {word:?}?"));
    let command = command.map_or_else(String::new, |command| format!("{command} "));
    format!("systole: {what}{meant} (systole {command}--help)\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_whole() {
        definition().debug_assert();
    }
}
