//! The output of `-v` and `-D`.
//!
//! Spec: docs/protocol/tools.md, 1.

use std::fmt::Write;

use super::directives::DIRECTIVES;
use super::media;
use super::row::Row;
use super::types::Config;
use crate::version::LEGACY_VERSION;

const RULE: &str = "#---------------------------------------------------\n";

/// The configuration in force, as a configuration file with comments (`-v`).
#[must_use]
pub fn effective(config: &Config, host: &str) -> String {
    let mut out = format!("#\n#\tLinux-HA heartbeat configuration (on {host})\n#\n\n");
    out.push_str(RULE);
    out.push_str("#\n#\tHA configuration and status\n#\n");
    for row in DIRECTIVES.iter().filter(|row| row.is_recorded()) {
        if let Some(value) = config.parameters.get(row.name) {
            let _ = writeln!(out, "{}\t{value}\t#\t{}", row.name, row.about);
        }
    }
    out.push_str("#\n#\tHA Cluster nodes:\n#\n");
    for node in &config.node_table {
        let _ = writeln!(out, "node {node}\t#\t current status: init");
    }
    out.push_str("#\n#\tCommunications media:\n");
    for (directive, name) in &config.channels {
        let _ = writeln!(
            out,
            "#\n# {} heartbeat channel -------------\n{directive} {name}",
            media::description(directive)
        );
    }
    out.push_str(RULE);
    out
}

fn rows_with_default() -> impl Iterator<Item = (&'static Row, &'static str)> {
    DIRECTIVES
        .iter()
        .filter_map(|row| row.default.map(|default| (row, default)))
}

/// The table of directives with their defaults (`-D`).
#[must_use]
pub fn defaults() -> String {
    let mut out = format!("{:<25}{:<10}{}\n", "Directive", "Default", "Description");
    out.push_str(&"-".repeat(80));
    out.push('\n');
    for (row, default) in rows_with_default() {
        let _ = writeln!(out, "{:<25}{default:<10}{}", row.name, row.about);
    }
    out
}

/// The same as wiki text (`-D -W`).
#[must_use]
pub fn defaults_as_wiki() -> String {
    let mut out = format!(
        "##Put this output in the ha.cf/DefaultValues page\n\
         The [wiki:ha.cf ha.cf] directives with default values are shown below - along with a \
         brief description.\n\
         This was produced by {{{{{{heartbeat -DW}}}}}} ''# (version {LEGACY_VERSION})''\n\n\
         ||''Directive''||''Default''||''Description''||\n"
    );
    for (row, default) in rows_with_default() {
        let _ = writeln!(
            out,
            "||[wiki:ha.cf/{}Directive {}]||{default}||{}||",
            camel_case(row.name),
            row.name,
            row.about
        );
    }
    out
}

/// `conn_logd_time` as `ConnLogdTime`.
fn camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|part| {
            let mut chars = part.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(chars)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Debian's heartbeat 3.0.6: cases `cmd-D` and `cmd-DW`.
    #[test]
    fn tables_are_the_legacy_ones() {
        let table = include_str!("../../tests/vectors/cli/defaults.txt");
        assert_eq!(defaults(), table);
        let wiki = include_str!("../../tests/vectors/cli/defaults-wiki.txt");
        assert_eq!(defaults_as_wiki(), wiki);
    }
}
