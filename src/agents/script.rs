//! Resource words as command lines, the meaning of a script's answer, and the environment of
//! scripts. Starts no process and looks at no file: the caller says whether a path can be run.
//!
//! Spec: docs/protocol/resources.md, 2 and 9.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::net::address::looks_like_address;
use crate::os::paths::Paths;
use crate::protocol::message::{Message, Value};

/// Directory of the programs in the legacy package and in ours.
const PROGRAMS: &str = "/usr/libexec/heartbeat";

/// Bytes of a script's output that [`last_words`] looks at.
pub const MAX_LAST_BYTES: usize = 2048;

/// Lines that it keeps.
const MAX_LAST_LINES: usize = 3;

/// Characters of a line that it keeps.
const MAX_LAST_CHARS: usize = 200;

/// Longest name of an environment variable made from a message field.
/// Spec: docs/protocol/resources.md, 9.5.
const MAX_VARIABLE_NAME_BYTES: usize = 63;

/// Longest type name that is looked up as a notification script.
/// Spec: docs/protocol/resources.md, 9.6.
const MAX_HOOK_NAME_BYTES: usize = 31;

/// The operations of a resource script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Start the resource.
    Start,
    /// Stop the resource; must succeed when it is stopped already.
    Stop,
    /// Print whether the resource runs.
    Status,
}

impl Operation {
    /// The last argument on the script's command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status => "status",
        }
    }
}

/// A script that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A resource script.
    Script(PathBuf),
    /// An OCF agent without a script of its name. [`Paths::ocf_runner`] runs it.
    Agent(PathBuf),
}

impl Found {
    /// The script or the agent.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Script(path) | Self::Agent(path) => path,
        }
    }
}

/// A parsed resource word: `Filesystem::/dev/sda1::/mnt` or a bare address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptCall {
    /// File name of the script.
    pub name: String,
    /// Arguments before the operation.
    pub args: Vec<String>,
}

impl ScriptCall {
    /// Parses a resource word. A word that looks like an address means `IPaddr::word`.
    ///
    /// Every `::` separates and cannot be quoted, so an IPv6 address that contains `::` is split.
    /// An empty argument is dropped, as in the shell.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        let (name, rest) = if looks_like_address(word) {
            ("IPaddr", Some(word))
        } else {
            match word.split_once("::") {
                Some((name, rest)) => (name, Some(rest)),
                None => (word, None),
            }
        };
        Self {
            name: name.to_owned(),
            args: rest
                .into_iter()
                .flat_map(|rest| rest.split("::"))
                .filter(|arg| !arg.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The script: the first that `is_program` finds in `resource.d`, `init.d`, or among the OCF
    /// agents.
    ///
    /// `None` means: not running, a failed start, a stop with a log line. The arguments are never
    /// executed instead, as legacy does.
    #[must_use]
    pub fn locate(&self, paths: &Paths, is_program: impl Fn(&Path) -> bool) -> Option<Found> {
        if self.name.is_empty() {
            return None;
        }
        // Not `join`: an absolute name stays below the directory.
        let below =
            |directory: &Path| PathBuf::from(format!("{}/{}", directory.display(), self.name));
        let scripts = [paths.resource_d(), paths.init_dir.clone()];
        let script = scripts
            .iter()
            .map(|it| below(it))
            .find(|path| is_program(path));
        script.map(Found::Script).or_else(|| {
            let agent = below(&paths.ocf_agents);
            let plain = !self.name.contains('/');
            (plain && is_program(&agent)).then_some(Found::Agent(agent))
        })
    }

    /// The call of the program that runs the agent of this name.
    #[must_use]
    pub fn of_agent(mut self) -> Self {
        self.args.insert(0, self.name.clone());
        self
    }

    /// The arguments that are no parameters of an OCF agent, which are written `name=value`.
    pub fn not_parameters(&self) -> impl Iterator<Item = &str> {
        let args = self.args.iter().map(String::as_str);
        args.filter(|arg| {
            let name = arg.split_once('=').map_or("", |(name, _)| name);
            let first = name.chars().next();
            let word = |it: char| it.is_ascii_alphanumeric() || it == '_';
            first.is_none_or(|it| it.is_ascii_digit()) || !name.chars().all(word)
        })
    }

    /// All arguments: those of the word, then the operation.
    #[must_use]
    pub fn argv(&self, operation: Operation) -> Vec<String> {
        let mut argv = self.args.clone();
        argv.push(operation.word().to_owned());
        argv
    }
}

/// Whether the output of a script's `status` says that the resource runs. The exit code does not
/// count.
///
/// `not` in any case, a blank, and `running` somewhere after it means no, even across lines; else
/// `running`, `Running` or `OK` means yes. Seen on 3.0.6: `not a word, running` is no, while a tab
/// instead of the blank makes it yes. Spec: docs/protocol/resources.md, 9.2.
#[must_use]
pub fn says_running(stdout: &[u8]) -> bool {
    let running_after = |from: usize| {
        stdout
            .get(from..)
            .is_some_and(|tail| contains(tail, b"running") || contains(tail, b"Running"))
    };
    let denied = stdout
        .windows(4)
        .position(|w| w.eq_ignore_ascii_case(b"not "))
        .is_some_and(|at| running_after(at.saturating_add(4)));
    !denied && (running_after(0) || contains(stdout, b"OK"))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// Variables for a child: a later setting of one name replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    variables: BTreeMap<String, Option<String>>,
}

impl Environment {
    /// The variables for every child of the daemon, in addition to the daemon's own environment.
    ///
    /// `debug` is the present level. `helpers` tells whether our helper directory exists: then
    /// scripts use our `ResourceManager`, `mach_down` and `req_resource`.
    /// Spec: docs/protocol/config.md, 7; docs/protocol/membership.md, 9.1.
    #[must_use]
    pub fn of_daemon(config: &Config, paths: &Paths, debug: u8, helpers: bool) -> Self {
        let mut environment = Self::default();
        for (name, value) in &config.parameters {
            environment.set(&format!("HA_{name}"), value);
        }
        let ha_dir = paths.ha_dir_variable();
        environment.set("HA_FUNCS", &format!("{ha_dir}/shellfuncs"));
        environment.set("HA_DIR", &ha_dir);
        environment.set("HA_CURHOST", config.local.as_str());
        environment.set("HA_DATEFMT", "%Y/%m/%d_%T\t");
        let shown = |path: &Option<PathBuf>| {
            path.as_ref()
                .map_or_else(String::new, |path| path.display().to_string())
        };
        environment.set("HA_LOGFILE", &shown(&config.log.logfile));
        environment.set("HA_DEBUGLOG", &shown(&config.log.debugfile));
        if let Some(facility) = &config.log.facility {
            let as_written = config.parameters.get("logfacility").unwrap_or(facility);
            environment.set("HA_LOGFACILITY", as_written);
        }
        if debug > 0 {
            environment.set("HA_debug", &debug.to_string());
        }
        environment.set("OCF_ROOT", "/usr/lib/ocf");
        for (name, value) in &config.env {
            environment.set(&format!("HA_{name}"), value);
        }
        if helpers {
            environment.set("HA_NOARCHBIN", &paths.helper_dir.display().to_string());
        }
        environment
    }

    /// Adds the variables for notification and resource scripts. Spec: docs/protocol/resources.md,
    /// 9.5.
    #[must_use]
    pub fn for_scripts(mut self, config: &Config) -> Self {
        let yes_no = |flag: bool| if flag { "yes" } else { "no" };
        self.set("HA_LOGD", yes_no(config.log.use_logd));
        if config.auto_failback.is_nice() {
            self.set("HA_NICEFAILBACK", "yes");
        }
        if let Some(name) = config.parameters.get("compression") {
            self.set("HA_COMPRESSION", name);
        }
        if self.get("HA_LOGFACILITY").is_none() {
            self.set("HA_LOGFACILITY", "");
        }
        self
    }

    /// Adds what legacy's shell library sets, with the product's programs in front of `PATH`. Every
    /// child has it: the legacy daemon gets it from its init script, and passes it on.
    ///
    /// `path` is the daemon's own `PATH`.
    #[must_use]
    pub fn with_shell_library(mut self, paths: &Paths, path: &str) -> Self {
        let helpers = self.get("HA_NOARCHBIN").unwrap_or("/usr/share/heartbeat");
        let path =
            format!("{PROGRAMS}:/usr/sbin:{helpers}:{path}:/sbin:/bin:/usr/sbin:/usr/bin:/usr/ucb");
        // Scripts parse the messages of other programs, so these must be in English.
        self.unset("LANG");
        for (name, value) in [
            ("HA_RCDIR", paths.rc_d().display().to_string()),
            ("HA_RESOURCEDIR", paths.resource_d().display().to_string()),
            ("HA_FIFO", paths.fifo().display().to_string()),
            ("HA_BIN", PROGRAMS.to_owned()),
            ("HA_DOCDIR", "/usr/share/doc/heartbeat".to_owned()),
            (
                "OCF_AGENTS",
                "/usr/lib/ocf/resource.d/heartbeat/".to_owned(),
            ),
            ("LC_ALL", "C".to_owned()),
            ("PATH", path),
        ] {
            self.set(name, &value);
        }
        self
    }

    /// Adds the variables for resource scripts, which legacy runs through `ResourceManager`. `path`
    /// as for [`with_shell_library`](Self::with_shell_library).
    #[must_use]
    pub fn for_resources(self, paths: &Paths, path: &str) -> Self {
        let mut environment = self.with_shell_library(paths, path);
        let ha_dir = paths.ha_dir.display();
        environment.set("HA_DIR", &ha_dir.to_string());
        environment.set("HA_FUNCS", &format!("{ha_dir}/shellfuncs"));
        environment
    }

    /// Adds the variables for a notification script: the text fields of the message and our own
    /// status.
    ///
    /// Message fields come from outside. Only names of letters, digits and `_` with at least one
    /// lower-case letter are exported, and none replaces a variable that is set already. The shell
    /// library takes its directories from upper-case variables, so a field named `FUNCS` or `BIN`
    /// would choose the program that root runs.
    #[must_use]
    pub fn for_hook(mut self, message: &Message, own_status: &str) -> Self {
        for field in message.fields() {
            let Value::Text(value) = &field.value else {
                continue;
            };
            let Some(name) = variable_name(&field.name) else {
                continue;
            };
            let Ok(value) = std::str::from_utf8(value) else {
                continue;
            };
            if !value.contains('\0') {
                self.variables
                    .entry(name)
                    .or_insert_with(|| Some(value.to_owned()));
            }
        }
        self.set("HA_OSTATUS", own_status);
        self
    }

    /// Sets one variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables
            .insert(name.to_owned(), Some(value.to_owned()));
    }

    /// Removes one variable of our own environment for the child.
    pub fn unset(&mut self, name: &str) {
        self.variables.insert(name.to_owned(), None);
    }

    /// The value of one variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.as_deref()
    }

    /// All variables, by name; a variable without a value is removed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

/// The last lines of a script's output, for people: the end of `output`, without control
/// characters. `None`: there is nothing to show.
#[must_use]
pub fn last_words(output: &[u8]) -> Option<String> {
    let from = output.len().saturating_sub(MAX_LAST_BYTES);
    let text = String::from_utf8_lossy(output.get(from..).unwrap_or_default());
    let mut lines: Vec<String> = text
        .split(['\n', '\r'])
        .rev()
        .map(shown)
        .filter(|line| !line.is_empty())
        .take(MAX_LAST_LINES)
        .collect();
    lines.reverse();
    (!lines.is_empty()).then(|| lines.join(" | "))
}

/// The end of a program's output without the `hidden` texts and without control characters, which
/// could stand within such a text. If the begin is cut off, its first line may begin with the rest of
/// such a text, so it is left out too.
#[must_use]
pub fn without(output: &[u8], hidden: &[String]) -> String {
    let text = String::from_utf8_lossy(output);
    let mut text = text.as_ref();
    if output.len() >= MAX_LAST_BYTES {
        let cut = text.find('\n').unwrap_or(text.len());
        text = text.get(cut..).unwrap_or_default();
    }
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    let mut text = lines.join("\n");
    let mut hidden: Vec<&String> = hidden.iter().filter(|it| !it.is_empty()).collect();
    // A longer one may contain a shorter one.
    hidden.sort_by_key(|it| std::cmp::Reverse(it.len()));
    for secret in hidden {
        if secret.chars().count() >= SHORT_SECRET {
            text = text.replace(secret.as_str(), HIDDEN);
        } else {
            text = without_word(&text, secret);
        }
    }
    text
}

/// Shorter texts are hidden only where they are a word: otherwise nothing of an output would be left.
const SHORT_SECRET: usize = 4;

/// What stands in the place of a hidden text.
pub const HIDDEN: &str = "***";

fn without_word(text: &str, secret: &str) -> String {
    let part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(secret) {
        let last = before.chars().next_back().or(shown.chars().next_back());
        let within = part(last) || part(after.chars().next());
        shown.push_str(before);
        shown.push_str(if within { secret } else { HIDDEN });
        rest = after;
    }
    shown + rest
}

/// One line without cursor movements, colours and other control characters.
fn printable(line: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::new();
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.next_if_eq(&'[').is_some() {
            // A colour: up to its final letter.
            while rest.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
            rest.next();
        } else if c == '\t' {
            shown.push(' ');
        } else if !c.is_control() && !turns(c) {
            shown.push(c);
        }
    }
    shown
}

/// The same, cut to the length of a log line.
fn shown(line: &str) -> String {
    let shown = printable(line);
    let shown = shown.trim();
    match shown.char_indices().nth(MAX_LAST_CHARS) {
        Some((end, _)) => format!("{}...", shown.get(..end).unwrap_or_default()),
        None => shown.to_owned(),
    }
}

/// `HA_<field>`, cut to 63 bytes, or `None` for a field that is not exported.
fn variable_name(field: &[u8]) -> Option<String> {
    let field = std::str::from_utf8(field).ok()?;
    let plain = field
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let lower = field.bytes().any(|b| b.is_ascii_lowercase());
    (plain && lower).then(|| {
        let mut name = format!("HA_{field}");
        name.truncate(MAX_VARIABLE_NAME_BYTES);
        name
    })
}

/// How often a failing stop is repeated. Spec: docs/protocol/resources.md, 9.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRetries {
    /// So many times after the first attempt.
    AtMost(u32),
    /// Until it succeeds.
    Forever,
}

impl StopRetries {
    /// Reads `HA_STOPRETRYMAX`; default 10, zero or less for ever.
    #[must_use]
    pub fn from_variable(value: Option<&str>) -> Self {
        match value.map(|text| text.trim().parse::<i64>()) {
            Some(Ok(limit)) if limit <= 0 => Self::Forever,
            Some(Ok(limit)) => Self::AtMost(u32::try_from(limit).unwrap_or(u32::MAX)),
            Some(Err(_)) | None => Self::AtMost(10),
        }
    }

    /// The remark on a failed stop: the number of the attempt, counted from 1, and what follows in
    /// the end. `hung`: how many attempts had to be ended because they hung, of at most `most`.
    #[must_use]
    pub fn remark(self, attempt: u32, hung: u32, most: u32) -> String {
        match self {
            Self::AtMost(_) if hung > 0 => format!(
                "attempt {attempt}, {hung} of {most} that may hang, then the machine is rebooted"
            ),
            Self::AtMost(limit) => format!(
                "attempt {attempt} of {}, then the machine is rebooted",
                limit.saturating_add(1)
            ),
            Self::Forever => {
                format!("attempt {attempt}, tried for ever (HA_STOPRETRYMAX=0)")
            }
        }
    }

    /// Whether another attempt follows after `done` repetitions.
    #[must_use]
    pub const fn allow(self, done: u32) -> bool {
        match self {
            Self::AtMost(limit) => done < limit,
            Self::Forever => true,
        }
    }
}

/// The file in `rc.d` that must exist for a script to run for this message type, and the word for
/// `harc`: the type in lower case. `None` for a type that cannot be the name of a script.
#[must_use]
pub fn hook_name(kind: &str) -> Option<(&str, String)> {
    let usable = !kind.is_empty()
        && kind.len() <= MAX_HOOK_NAME_BYTES
        && !kind.starts_with('.')
        && !kind.contains(['/', '\0'])
        && !kind.contains(char::is_whitespace);
    usable.then(|| (kind, kind.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
