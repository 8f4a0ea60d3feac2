//! `systole export`: reads the files, and writes those of another cluster manager.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::control_commands::Answer;
use crate::agents::script::{Found, ScriptCall};
use crate::config::environment::Environment;
use crate::config::group_lines::logical;
use crate::config::load::{LoadOptions, Loaded, Purpose, load};
use crate::doctor::{self, Content, Desk, Kind, Source, ThisHost};
use crate::export::{Document, Exported, Facts, Script, Target, export, redacted_keys};
use crate::inspect::HostView as _;
use crate::notice::Severity;
use crate::os::paths::Paths;

/// What `systole export` is asked.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ExportOptions {
    /// For which cluster manager
    #[arg(value_name = "TARGET", value_parser = TARGETS)]
    pub target: String,
    /// The directory to make; it must not be there, or be empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write the files although something is lost
    #[arg(long)]
    pub lossy: bool,
    /// Read this copy of a node instead of this host
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

const TARGETS: [&str; 3] = [
    Target::Pacemaker.word(),
    Target::Corosync.word(),
    Target::Keepalived.word(),
];

/// The files cannot be read, or a node would not start with them.
const EXIT_FILES: u8 = 3;
/// Something would be lost, or the directory cannot be written.
const EXIT_REFUSED: u8 = 1;

/// Does it. Needs no daemon, and changes nothing outside of the directory.
#[must_use]
pub fn run(options: &ExportOptions) -> Answer {
    let copied = options.root.as_ref().map(|it| doctor::copied(it));
    let copied = match copied.transpose() {
        Ok(copied) => copied,
        Err(error) => return refused(&error, EXIT_FILES),
    };
    let this_host = ThisHost::default();
    let source: &dyn Source = match &copied {
        Some(copied) => copied,
        None => &this_host,
    };
    let Some(target) = Target::ALL
        .into_iter()
        .find(|it| it.word() == options.target)
    else {
        return refused("no such target", 2);
    };
    let exported = match make(target, source) {
        Ok(exported) => exported,
        Err(text) => return Answer::err(text, EXIT_FILES),
    };
    let losses = exported.ledger.losses();
    if !options.lossy && !losses.is_empty() {
        let lines = losses.iter().map(|line| format!("LOST {line}\n"));
        let text: String = lines.collect();
        return Answer::err(
            text + "systole: nothing was written: this would be lost (--lossy writes what is left)\n",
            EXIT_REFUSED,
        );
    }
    if let Err(error) = write(&options.out, &exported.documents) {
        let text = format!("cannot write {}: {error}", options.out.display());
        return refused(&text, EXIT_REFUSED);
    }
    let names = exported.documents.iter().map(|it| it.name.as_str());
    let names: Vec<&str> = names.collect();
    let lost = match losses.len() {
        0 => "nothing is lost".to_owned(),
        1 => "1 loss".to_owned(),
        number => format!("{number} losses"),
    };
    Answer::out(
        format!(
            "written to {}: {}; {lost}; MIGRATION.txt has every line of the source, and the next steps\n",
            options.out.display(),
            names.join(" ")
        ),
        0,
    )
}

fn refused(reason: &str, code: u8) -> Answer {
    Answer::err(format!("systole: {reason}\n"), code)
}

/// Reads one node and makes everything; an error is the text to print.
///
/// # Errors
/// The files cannot be read, or a node would not start with them.
pub fn make(target: Target, source: &dyn Source) -> Result<Exported, String> {
    let paths = Paths::default();
    let desk = doctor::desk(source);
    let check = LoadOptions {
        purpose: Purpose::Check,
        ..LoadOptions::default()
    };
    let loaded = load(&paths, &desk, &check).map_err(|failure| {
        let errors = failure.lines.iter();
        let errors = errors.filter(|it| it.severity() >= Severity::Error);
        errors
            .map(|line| format!("systole: {line}\n"))
            .collect::<String>()
    })?;
    let text = |path: &Path| {
        let file = desk.read_file(path);
        file.map_or_else(
            |_| String::new(),
            |file| String::from_utf8_lossy(&file.bytes).into_owned(),
        )
    };
    let keys = match source.content(&paths.authkeys()) {
        Content::Bytes(bytes) => {
            let bytes = zeroize::Zeroizing::new(bytes);
            Ok(redacted_keys(&String::from_utf8_lossy(&bytes)))
        }
        Content::Missing => Err("it is not there".to_owned()),
        Content::Unknown(why) => Err(why),
    };
    let [ha_cf, haresources, settings] =
        [paths.ha_cf(), paths.haresources(), paths.settings.clone()].map(|path| text(&path));
    let mut facts = Facts {
        config: &loaded.config,
        written: &loaded.sources.ha_cf,
        ha_cf: &ha_cf,
        haresources: &haresources,
        keys,
        settings: &settings,
        scripts: BTreeMap::new(),
        ocf: BTreeMap::new(),
        providers: BTreeMap::new(),
        devices: BTreeMap::new(),
        assigned: Vec::new(),
    };
    look(&mut facts, &loaded, &desk, source, &paths);
    export(target, &facts).map_err(|error| format!("systole: {error}\n"))
}

/// Looks for scripts, parameters of OCF agents, files of fencing devices, and addresses.
fn look(
    facts: &mut Facts<'_>,
    loaded: &Loaded,
    desk: &Desk<'_>,
    source: &dyn Source,
    paths: &Paths,
) {
    let text = |path: &Path| match source.content(path) {
        Content::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Content::Missing | Content::Unknown(_) => None,
    };
    let lines = logical(&loaded.sources.haresources).into_iter();
    for word in lines.flat_map(|line| line.words.into_iter().skip(1)) {
        let call = ScriptCall::parse(&word);
        let is_there = |path: &Path| is_file(source, path) && desk.is_executable(path);
        let found = match call.locate(paths, is_there) {
            Some(Found::Agent(_)) => Some(Script::Agent),
            Some(Found::Script(path)) if path.starts_with(&paths.init_dir) => Some(Script::InitD),
            Some(Found::Script(_)) => Some(Script::ResourceD),
            None => None,
        };
        if let Some(found) = found {
            facts.scripts.insert(call.name.clone(), found);
        }
        if let ("OCF", [kind, instance]) = (call.name.as_str(), call.args.as_slice())
            && ![kind, instance].iter().any(|it| it.contains('/'))
        {
            let file = paths.ha_dir.join("conf/OCF").join(kind).join(instance);
            if let Some(text) = text(&file) {
                facts.ocf.insert((kind.clone(), instance.clone()), text);
            }
            if let Some(provider) = provider(source, kind) {
                facts.providers.insert(kind.clone(), provider);
            }
        }
    }
    for written in &loaded.sources.ha_cf {
        let file = written.value.split_once(char::is_whitespace);
        if let ("stonith", Some((_, file))) = (written.directive, file) {
            let file = PathBuf::from(file.trim());
            if let Some(text) = text(&file) {
                facts.devices.insert(file, text);
            }
        }
    }
    let network = desk.network(&[]).unwrap_or_default();
    let named = network.assigned.into_iter().filter_map(|it| {
        let card = network
            .interfaces
            .iter()
            .find(|card| card.index == it.index)?;
        Some((card.name.clone(), it))
    });
    facts.assigned = named.collect();
}

/// The directory below /usr/lib/ocf/resource.d that has an agent; as the shell's order has it, the last one counts.
fn provider(source: &dyn Source, kind: &str) -> Option<String> {
    let base = Path::new("/usr/lib/ocf/resource.d");
    let names = source.names(base)?;
    let mut having = names
        .into_iter()
        .filter(|name| is_file(source, &base.join(name).join(kind)));
    having.next_back()
}

fn is_file(source: &dyn Source, path: &Path) -> bool {
    matches!(source.kind(path), Kind::File { .. })
}

/// Makes the directory with all files, or nothing: it is filled under another name first.
fn write(directory: &Path, documents: &[Document]) -> io::Result<()> {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let name = directory.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let filled = parent.join(hidden);
    DirBuilder::new().mode(0o700).create(&filled)?;
    let done = fill(&filled, documents).and_then(|()| fs::rename(&filled, &directory));
    if done.is_err() {
        let _ = fs::remove_dir_all(&filled);
        return done;
    }
    File::open(parent)?.sync_all()
}

fn fill(directory: &Path, documents: &[Document]) -> io::Result<()> {
    for document in documents {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(directory.join(&document.name))?;
        file.write_all(document.text.as_bytes())?;
        file.sync_all()?;
    }
    File::open(directory)?.sync_all()
}
