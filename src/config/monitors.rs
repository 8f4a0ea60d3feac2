//! The `[[monitor]]` blocks of `systole.toml`: which resource is checked, how, and what follows when it
//! does not run.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ::config::{Map, Value, ValueKind};

use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::haresources_mark::text_mark;
use crate::protocol::monitor::{MonitorRules, Then};

/// How a resource is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Its script is called with `status`, and the exit code counts; a unit of systemd by its state.
    Status,
    /// Its script is called with `status`, and the words count, as legacy reads them.
    StatusWords,
    /// Somebody accepts a connection.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A web server answers with a code of 200 to 399.
    Http {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What is asked for.
        path: String,
    },
    /// A program ends with 0.
    Run(PathBuf),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::StatusWords => f.write_str("status-words"),
            Self::Tcp { host, port } => write!(f, "tcp:{}", authority(host, *port)),
            Self::Http { host, port, path } => {
                write!(f, "http://{}{path}", authority(host, *port))
            }
            Self::Run(program) => write!(f, "run:{}", program.display()),
        }
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorSettings {
    /// The resource, as written.
    pub resource: String,
    /// How it is checked.
    pub check: Check,
    /// Longest run of a check.
    pub timeout: Duration,
    /// When it counts as failed, and what follows.
    pub rules: MonitorRules,
    /// The line of the file with its `resource`.
    pub line: usize,
}

/// One row of the table of the keys of a block.
struct KeyDoc {
    key: &'static str,
    values: &'static str,
    default: &'static str,
    about: &'static str,
}

const KEYS: &[KeyDoc] = &[
    KeyDoc {
        key: "resource",
        values: "a word of haresources, whole; or the name of its script, where that stands there once",
        default: "none: must be there",
        about: "What is checked. Not an address: those are watched by `address_guard`",
    },
    KeyDoc {
        key: "check",
        values: "`\"status\"`, `\"status-words\"`, `\"tcp:HOST:PORT\"`, `\"http://HOST[:PORT]/PATH\"`, `\"run:/PROGRAM\"` or `\"/PROGRAM\"`",
        default: "`\"status\"`",
        about: "`status`: the script of the resource is called with `status`, and exit code 0 is good (an OCF agent \
                with `monitor`; a unit of systemd by its state). `status-words`: the same, and the words `running` \
                or `OK` count, as for legacy. `tcp`: somebody accepts the connection. `http`: an answer with a \
                code from 200 to 399. `run`: the program ends with 0",
    },
    KeyDoc {
        key: "interval_s",
        values: "seconds, 1 to 86400",
        default: "`10`",
        about: "From one check to the next; the first comes so long after the start",
    },
    KeyDoc {
        key: "timeout_s",
        values: "seconds, 1 to 3600",
        default: "`20`",
        about: "Longest run of a check. One that hangs is bad, unless this node was late itself",
    },
    KeyDoc {
        key: "failures",
        values: "1 to 100",
        default: "`3`",
        about: "So many bad checks in a row are a failure: the resource is restarted with what stands right of it",
    },
    KeyDoc {
        key: "restarts",
        values: "0 to 50",
        default: "`2`",
        about: "So many restarts are tried within `restart_window_s`; after that, or when a restart fails, `then` counts",
    },
    KeyDoc {
        key: "restart_window_s",
        values: "seconds, 60 to 604800",
        default: "`3600`",
        about: "So long a failure counts, each for itself. A group is moved at most once in this time",
    },
    KeyDoc {
        key: "then",
        values: "`\"move\"`, `\"stay\"`, `\"stop\"`",
        default: "`\"move\"`",
        about: "`move`: the group goes to the other node, with all groups of its owner. `stay`: it stays, and is \
                tried again ever more rarely. `stop`: it is stopped, until `systole clear GROUP`, a takeover or a \
                restart of the daemon. Where no other node can take it, `move` is `stay`",
    },
];

/// The table of `docs/reference/settings.md`.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| Key | Values | Default | Does |\n|---|---|---|---|\n");
    for row in KEYS {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            row.key, row.values, row.default, row.about
        );
    }
    out
}

/// A block that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The line of the file; 0: not known.
    pub line: usize,
    /// What is wrong, and what helps.
    pub text: String,
}

/// Reads the blocks. `text`: the file, for the numbers of its lines.
///
/// # Errors
/// The first block that is refused.
pub fn read(blocks: Vec<Map<String, Value>>, text: &str) -> Result<Vec<MonitorSettings>, Refused> {
    let one = |(place, block): (usize, Map<String, Value>)| {
        let lines = BlockLines { text, place };
        read_one(block, &lines).map_err(|(key, text)| Refused {
            line: lines.of(key),
            text,
        })
    };
    blocks.into_iter().enumerate().map(one).collect()
}

/// Where the keys of a block stand.
struct BlockLines<'a> {
    text: &'a str,
    place: usize,
}

impl BlockLines<'_> {
    /// The line of a key; without it that of the block.
    fn of(&self, key: &str) -> usize {
        let is_head = |line: &str| {
            let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
            line.starts_with("[[monitor]]")
        };
        let lines = || self.text.lines().zip(1_usize..);
        let mut heads = lines().filter(|(line, _)| is_head(line));
        let Some((_, head)) = heads.nth(self.place) else {
            return 0;
        };
        let inside = lines().skip(head);
        let mut inside = inside.take_while(|(line, _)| !line.trim_start().starts_with('['));
        let has_key = |line: &str| {
            let name = line.split('=').next().unwrap_or_default().trim();
            line.contains('=') && name.trim_matches(['"', '\'']) == key
        };
        let found = inside.find(|(line, _)| has_key(line));
        found.map_or(head, |(_, number)| number)
    }
}

type Fault = (&'static str, String);

fn read_one(
    mut block: Map<String, Value>,
    lines: &BlockLines<'_>,
) -> Result<MonitorSettings, Fault> {
    let mut take = |key: &'static str| block.remove(key).map(|value| (key, value));
    let resource = take("resource").map(text_of).transpose()?;
    let check = take("check").map(text_of).transpose()?;
    let then = take("then").map(text_of).transpose()?;
    let mut number = |key: &'static str, range: RangeInclusive<u64>, default: u64| {
        take(key).map_or(Ok(default), |given| number_of(given, range))
    };
    let interval = Duration::from_secs(number("interval_s", 1..=86_400, 10)?);
    let timeout = Duration::from_secs(number("timeout_s", 1..=3600, 20)?);
    let failures = number("failures", 1..=100, 3)?;
    let restarts = number("restarts", 0..=50, 2)?;
    let window = Duration::from_secs(number("restart_window_s", 60..=604_800, 3600)?);
    if let Some(key) = block.keys().next() {
        let known: Vec<String> = KEYS.iter().map(|row| format!("`{}`", row.key)).collect();
        let known = known.join(", ");
        return Err((
            "",
            format!("unknown key `{key}` of a [[monitor]]: the keys are {known}"),
        ));
    }
    let Some(resource) = resource.filter(|it| !it.trim().is_empty()) else {
        let text = "a [[monitor]] needs resource = \"WORD\", a word of haresources".to_owned();
        return Err(("resource", text));
    };
    let then = match then.as_deref() {
        None | Some("move") => Then::Move,
        Some("stay") => Then::Stay,
        Some("stop") => Then::Stop,
        Some(other) => {
            let text = format!("then = \"{other}\": must be \"move\", \"stay\" or \"stop\"");
            return Err(("then", text));
        }
    };
    let check = check.map_or(Ok(Check::Status), |it| {
        check_of(&it).map_err(|why| ("check", format!("check = \"{it}\": {why}")))
    })?;
    Ok(MonitorSettings {
        line: lines.of("resource"),
        resource,
        check,
        timeout,
        rules: MonitorRules {
            interval,
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
            restarts: u32::try_from(restarts).unwrap_or(u32::MAX),
            window,
            then,
        },
    })
}

fn text_of((key, value): (&'static str, Value)) -> Result<String, Fault> {
    match value.kind {
        ValueKind::String(text) => Ok(text),
        _ => Err((key, format!("{key} must be a text in quotes"))),
    }
}

fn number_of(
    (key, value): (&'static str, Value),
    range: RangeInclusive<u64>,
) -> Result<u64, Fault> {
    let number = match value.kind {
        ValueKind::I64(number) => u64::try_from(number).ok(),
        ValueKind::U64(number) => Some(number),
        _ => None,
    };
    number.filter(|it| range.contains(it)).ok_or_else(|| {
        let (from, to) = (range.start(), range.end());
        let text = format!("{key} must be a whole number between {from} and {to}, without quotes");
        (key, text)
    })
}

fn check_of(word: &str) -> Result<Check, String> {
    const FORMS: &str = "must be \"status\", \"status-words\", \"tcp:HOST:PORT\", \
                         \"http://HOST[:PORT]/PATH\" or the absolute path of a program";
    if word == "status" {
        return Ok(Check::Status);
    }
    if word == "status-words" {
        return Ok(Check::StatusWords);
    }
    if let Some(address) = word.strip_prefix("tcp:") {
        let (host, port) = host_and_port(address)?;
        let port = port.ok_or("a port is missing: \"tcp:HOST:PORT\"")?;
        return Ok(Check::Tcp { host, port });
    }
    if word.starts_with("https:") || word.starts_with("http:https:") {
        return Err(
            "https is not spoken here: use \"run:/PROGRAM\" with a script that calls curl"
                .to_owned(),
        );
    }
    if let Some(url) = word.strip_prefix("http:") {
        let url = url.strip_prefix("http:").unwrap_or(url);
        let url = url.strip_prefix("//").unwrap_or(url);
        let (address, path) = match url.find('/') {
            Some(at) => url.split_at(at),
            None => (url, "/"),
        };
        if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("a URL has no blanks".to_owned());
        }
        let (host, port) = host_and_port(address)?;
        return Ok(Check::Http {
            host,
            port: port.unwrap_or(80),
            path: path.to_owned(),
        });
    }
    let program = word.strip_prefix("run:").unwrap_or(word);
    if program.starts_with('/') && !program.contains('\0') {
        return Ok(Check::Run(PathBuf::from(program)));
    }
    Err(FORMS.to_owned())
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT`.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None if text.matches(':').count() > 1 => {
            return Err("an IPv6 address stands in brackets: [2001:db8::1]:80".to_owned());
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err("a host is missing".to_owned());
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => Some(port),
            _ => return Err("a port is a number from 1 to 65535".to_owned()),
        },
    };
    Ok((host.to_owned(), port))
}

/// Names of scripts for addresses.
const ADDRESS_SCRIPTS: [&str; 3] = ["IPaddr", "IPaddr2", "IPv6addr"];

fn script_of(word: &str) -> &str {
    word.split("::").next().unwrap_or(word)
}

/// Whether a word is an address, which the address guard watches. One of IPv6 needs its script: `db::a` is a script
/// with an argument, as in legacy.
fn is_address(word: &str) -> bool {
    let bare = word.split('/').next().unwrap_or(word);
    bare.parse::<Ipv4Addr>().is_ok() || ADDRESS_SCRIPTS.contains(&script_of(word))
}

impl MonitorSettings {
    /// The group and the resource word that it means.
    ///
    /// # Errors
    /// What is wrong, and what helps.
    pub fn find<'a>(
        &self,
        groups: &'a [ResourceGroup],
    ) -> Result<(&'a ResourceGroup, &'a str), String> {
        let named = &self.resource;
        let all = || {
            let words = |group: &'a ResourceGroup| {
                let words = group.resources.iter();
                words.map(move |word| (group, word.as_str()))
            };
            groups.iter().flat_map(words)
        };
        let mut found: Vec<_> = all().filter(|(_, word)| word == named).collect();
        if found.is_empty() {
            found = all().filter(|(_, word)| script_of(word) == named).collect();
        }
        match found.as_slice() {
            [] => {
                let words = all().map(|(_, word)| word).filter(|word| !is_address(word));
                let words: Vec<&str> = words.take(20).collect();
                let known = if words.is_empty() {
                    "haresources has no resource but addresses".to_owned()
                } else {
                    format!("its resources are {}", words.join(", "))
                };
                Err(format!("haresources does not name {named}: {known}"))
            }
            [(group, word)] if is_address(word) => Err(format!(
                "{word} of group {} is an address, and the address guard watches it (address_guard): name the service that answers there",
                group.key
            )),
            [one] => Ok(*one),
            [..] => {
                let words: Vec<&str> = found.iter().map(|(_, word)| *word).collect();
                Err(format!(
                    "haresources names {named} more than once ({}): write the whole word, and give each its own name",
                    words.join(", ")
                ))
            }
        }
    }
}

/// The monitors of each group, from left to right, with the word of each. Those that mean nothing, or
/// what another one means already, are left out: the check of the files names them.
#[must_use]
pub fn by_group(
    monitors: &[MonitorSettings],
    groups: &[ResourceGroup],
) -> BTreeMap<GroupKey, Vec<(String, MonitorSettings)>> {
    let mut all: BTreeMap<GroupKey, Vec<(usize, String, MonitorSettings)>> = BTreeMap::new();
    for monitor in monitors {
        let Ok((group, word)) = monitor.find(groups) else {
            continue;
        };
        let place = group.resources.iter().position(|it| it == word);
        let of_group = all.entry(group.key.clone()).or_default();
        if let Some(place) = place.filter(|_| !of_group.iter().any(|(_, it, _)| it == word)) {
            of_group.push((place, word.to_owned(), monitor.clone()));
        }
    }
    let sorted = all.into_iter().map(|(key, mut list)| {
        list.sort_by_key(|(place, ..)| *place);
        let list = list.into_iter().map(|(_, word, monitor)| (word, monitor));
        (key, list.collect())
    });
    sorted.collect()
}

/// Eight hex digits made of all that the monitors of these groups mean. The order of the blocks does not count.
#[must_use]
pub fn mark(monitors: &[MonitorSettings], groups: &[ResourceGroup]) -> String {
    let mut text = String::new();
    for (key, list) in by_group(monitors, groups) {
        for (word, it) in list {
            let MonitorRules {
                interval,
                failures,
                restarts,
                window,
                then,
            } = it.rules;
            let seconds = [it.timeout, interval, window].map(|time| time.as_secs());
            let (check, then) = (&it.check, then.word());
            let _ = writeln!(
                text,
                "{key} {word} {check} {seconds:?} {failures} {restarts} {then}"
            );
        }
    }
    text_mark(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;
    use crate::protocol::group::GroupKey;
    use crate::protocol::name::NodeName;

    fn read(text: &str) -> Result<Vec<MonitorSettings>, String> {
        let settings = Settings::read(std::path::Path::new("systole.toml"), text.as_bytes());
        settings
            .map(|settings| settings.monitors)
            .map_err(|error| error.to_string())
    }

    fn check(word: &str) -> Result<String, String> {
        let text = format!("[[monitor]]\nresource = \"nginx\"\ncheck = \"{word}\"\n");
        read(&text).map(|all| all[0].check.to_string())
    }

    #[test]
    fn the_documented_table_is_the_code() {
        let page = include_str!("../../docs/reference/settings.md");
        assert!(
            page.contains(&table()),
            "docs/reference/settings.md must hold:\n{}",
            table()
        );
    }

    #[test]
    fn a_block_with_a_resource_alone_has_the_documented_defaults() {
        let monitors = read("[[monitor]]\nresource = \"nginx\"\n").unwrap();
        let expected = MonitorSettings {
            resource: "nginx".to_owned(),
            check: Check::Status,
            timeout: Duration::from_secs(20),
            rules: MonitorRules {
                interval: Duration::from_secs(10),
                failures: 3,
                restarts: 2,
                window: Duration::from_secs(3600),
                then: Then::Move,
            },
            line: 2,
        };
        assert_eq!(monitors, [expected]);
        assert_eq!(read("guardian = \"on\"\n"), Ok(Vec::new()));
    }

    #[test]
    fn every_form_of_a_check_is_read() {
        for (word, shown) in [
            ("status", "status"),
            ("status-words", "status-words"),
            ("tcp:127.0.0.1:3306", "tcp:127.0.0.1:3306"),
            ("tcp:[::1]:80", "tcp:[::1]:80"),
            (
                "http://127.0.0.1/health?x=1",
                "http://127.0.0.1:80/health?x=1",
            ),
            ("http:http://web:8080", "http://web:8080/"),
            ("http:127.0.0.1:81/a", "http://127.0.0.1:81/a"),
            ("/usr/local/sbin/check", "run:/usr/local/sbin/check"),
            ("run:/x", "run:/x"),
        ] {
            assert_eq!(check(word).as_deref(), Ok(shown), "{word}");
        }
        for (word, says) in [
            ("maybe", "must be \"status\""),
            ("tcp:host", "port is missing"),
            ("tcp::80", "host is missing"),
            ("tcp:host:0", "from 1 to 65535"),
            ("tcp:2001:db8::1:80", "brackets"),
            ("https://host/", "curl"),
            ("http://ho st/", "host is missing"),
            ("http://host/a b", "no blanks"),
            ("run:check", "absolute path"),
        ] {
            let error = check(word).unwrap_err();
            assert!(
                error.contains(says) && error.starts_with("systole.toml:3: "),
                "{error}"
            );
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_its_line() {
        for (text, place) in [
            (
                "[[monitor]]\n",
                "systole.toml:1: a [[monitor]] needs resource",
            ),
            (
                "[[monitor]]\nresource = 3\n",
                "systole.toml:2: resource must be a text",
            ),
            (
                "ipfail = \"on\"\n\n[[monitor]]\nresource = \"a\"\n[[monitor]]\nresource = \"b\"\n\nfailures = 0\n",
                "systole.toml:8: failures must be a whole number between 1 and 100",
            ),
            (
                "[[monitor]]\nresource = \"a\"\ninterval_s = \"10\"\n",
                "systole.toml:3: interval_s must be a whole number",
            ),
            (
                "[[monitor]]\nresource = \"a\"\nthen = \"fence\"\n",
                "systole.toml:3: then = \"fence\": must be",
            ),
            (
                "[[monitor]]\nresource = \"a\"\nevery_s = 3\n",
                "systole.toml:1: unknown key `every_s` of a [[monitor]]",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(place), "{error}");
        }
    }

    #[test]
    fn the_mark_is_of_what_the_blocks_mean() {
        let resources = ["10.0.0.1", "web", "db::a"].map(str::to_owned).to_vec();
        let groups = [ResourceGroup {
            key: GroupKey::new("10.0.0.1"),
            owner: NodeName::new("alpha").unwrap(),
            resources,
        }];
        let of = |text: &str| mark(&read(text).unwrap(), &groups);
        let web = "[[monitor]]\nresource = \"web\"\n";
        let db = "[[monitor]]\nresource = \"db\"\n";
        // Not an IPv6 address.
        assert_eq!(
            read(db).unwrap()[0].find(&groups),
            Ok((&groups[0], "db::a"))
        );
        let both = of(&format!("{web}{db}"));
        assert_eq!(both, of(&format!("{db}{web}")), "the order");
        assert_eq!(both, of(&format!("{web}{}", db.replace("db", "db::a"))));
        assert_eq!(
            both,
            of(&format!("{web}interval_s = 10\n{db}")),
            "a default"
        );
        let other = [
            web.to_owned(),
            format!("{web}check = \"tcp:10.0.0.1:80\"\n{db}"),
            format!("{web}timeout_s = 9\n{db}"),
            format!("{web}interval_s = 9\n{db}"),
            format!("{web}failures = 9\n{db}"),
            format!("{web}restarts = 9\n{db}"),
            format!("{web}restart_window_s = 99\n{db}"),
            format!("{web}then = \"stay\"\n{db}"),
            String::new(),
        ];
        for (place, it) in other.iter().enumerate() {
            assert_ne!(of(it), both, "{place}: {:?}", read(it));
        }
    }

    #[test]
    fn a_resource_is_found_by_its_word_or_by_the_name_of_its_script() {
        let group = |key: &str, words: &[&str]| ResourceGroup {
            key: GroupKey::new(key),
            owner: NodeName::new("alpha").unwrap(),
            resources: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let groups = [
            group(
                "IPaddr2::10.0.0.1",
                &["IPaddr2::10.0.0.1", "web::a", "db", "10.0.0.3/24"],
            ),
            group("b", &["web::b"]),
        ];
        let find = |resource: &str| {
            let text = format!("[[monitor]]\nresource = \"{resource}\"\n");
            let monitor = read(&text).unwrap().remove(0);
            let found = monitor.find(&groups);
            found.map(|(group, word)| format!("{} {word}", group.key))
        };
        assert_eq!(find("db").unwrap(), "IPaddr2::10.0.0.1 db");
        assert_eq!(find("web::b").unwrap(), "b web::b");
        for (resource, says) in [
            ("web", "more than once (web::a, web::b)"),
            (
                "nginx",
                "does not name nginx: its resources are web::a, db, web::b",
            ),
            ("IPaddr2", "address guard"),
            ("10.0.0.3/24", "address guard"),
        ] {
            let error = find(resource).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
