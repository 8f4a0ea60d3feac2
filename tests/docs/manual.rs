//! The manual pages of ha.cf and systole.toml are made from the reference pages.
//! After a change there: `SYSTOLE_WRITE=1 cargo test --test docs`.

use std::fs;
use std::path::Path;

use clap_mangen::roff::{Inline, Roff, bold, roman};

struct Manual {
    page: &'static str,
    /// The headings of the page between which the text stands.
    part: [Option<&'static str>; 2],
    file: &'static str,
    name: &'static str,
    about: &'static str,
    see: &'static [&'static str],
}

const MANUALS: [Manual; 2] = [
    Manual {
        page: "docs/reference/directives.md",
        part: [Some("## ha.cf"), Some("## authkeys")],
        file: "conf/man/ha.cf.5",
        name: "ha.cf",
        about: "nodes, media and times of a heartbeat node",
        see: &[
            "heartbeat(8)",
            "haresources(5)",
            "authkeys(5)",
            "systole.toml(5)",
            "systole-doctor(8)",
        ],
    },
    Manual {
        page: "docs/reference/settings.md",
        part: [Some("# Our own settings"), None],
        file: "conf/man/systole.toml.5",
        name: "systole.toml",
        about: "settings that Systole adds to ha.cf",
        see: &["ha.cf(5)", "heartbeat(8)", "systole(8)"],
    },
];

/// Text with `words` in bold and links without their targets.
fn inline(markdown: &str) -> Vec<Inline> {
    let mut plain = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((text, (target, after))) = link
            .split_once("](")
            .and_then(|(text, rest)| Some((text, rest.split_once(')')?)))
        else {
            break;
        };
        plain += before;
        plain += text;
        if target.is_empty() {
            plain += "[]";
        }
        rest = after;
    }
    plain += rest;
    let words = plain.split('`').enumerate();
    words
        .filter(|(_, text)| !text.is_empty())
        .map(|(number, text)| {
            if number % 2 == 1 {
                bold(text)
            } else {
                roman(text.replace('*', ""))
            }
        })
        .collect()
}

/// The cells of a row of a table.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    let row = row.replace("\\|", "\u{1}");
    row.split('|')
        .map(|cell| cell.trim().replace('\u{1}', "|"))
        .collect()
}

/// Directive or key, what it takes, its default, what it does, and what makes it dangerous.
fn entry(roff: &mut Roff, row: &str) {
    let cells = cells(row);
    let [name, value, default, does, rest @ ..] = cells.as_slice() else {
        panic!("a row with fewer columns: {row}");
    };
    let mut head = inline(name);
    head.push(roman(" "));
    head.extend(inline(value));
    if default != "-" {
        head.push(roman(" (default "));
        head.extend(inline(default));
        head.push(roman(")"));
    }
    roff.control("TP", []);
    roff.text(head);
    roff.text(inline(&format!("{does}.")));
    for more in rest.iter().filter(|it| *it != "None") {
        roff.control("IP", []);
        roff.text(inline(&format!("{more}.")));
    }
}

fn made(manual: &Manual) -> String {
    let page = fs::read_to_string(manual.page).expect("the page");
    let [from, to] = manual.part;
    let begins = from.map_or(0, |heading| {
        page.find(heading).expect("its heading") + heading.len()
    });
    let ends = to.map_or(page.len(), |heading| {
        page.find(heading).expect("the next heading")
    });
    let mut roff = Roff::new();
    roff.control(
        "TH",
        [
            manual.name.to_uppercase().as_str(),
            "5",
            "",
            "Systole",
            "High availability",
        ],
    );
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{} - {}", manual.name, manual.about))]);
    roff.control("SH", ["DESCRIPTION"]);
    for block in page[begins..ends]
        .split("\n\n")
        .map(str::trim)
        .filter(|it| !it.is_empty())
    {
        if let Some(heading) = block.strip_prefix("### ").or(block.strip_prefix("## ")) {
            roff.control("SS", [heading]);
        } else if block.starts_with('|') {
            block.lines().skip(2).for_each(|row| entry(&mut roff, row));
        } else if let Some(code) = block.strip_prefix("```") {
            roff.control("nf", []);
            let lines = code.lines().skip(1).take_while(|line| *line != "```");
            for line in lines {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        } else {
            roff.control("PP", []);
            roff.text(inline(&block.replace('\n', " ")));
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(manual.see.join(", "))]);
    let mut text = Vec::new();
    roff.to_writer(&mut text).expect("written");
    let text = String::from_utf8(text)
        .expect("text")
        .replace("..\n", ".\n");
    format!(
        ".\\\" Made from {} by tests/docs/manual.rs.\n{text}",
        manual.page
    )
}

#[test]
fn manual_pages_of_files_are_made_from_the_reference() {
    for manual in &MANUALS {
        let text = made(manual);
        if std::env::var_os("SYSTOLE_WRITE").is_some() {
            fs::write(manual.file, &text).expect("written");
        }
        let there = fs::read_to_string(manual.file).unwrap_or_default();
        assert_eq!(
            there, text,
            "{}: the head of this file says how",
            manual.file
        );
    }
}

/// Every program that people or scripts call by its name has a page.
#[test]
fn every_program_has_a_manual_page() {
    let layout = fs::read_to_string("scripts/layout.sh").expect("layout");
    let helpers = layout
        .split_once("HELPERS=(")
        .and_then(|(_, rest)| rest.split_once(')'))
        .expect("the helpers")
        .0;
    let others = ["heartbeat", "ipfail", "systole", "cl_status", "cl_respawn"];
    for name in helpers.split_whitespace().chain(others) {
        let there = ["1", "8"]
            .iter()
            .any(|section| Path::new(&format!("conf/man/{name}.{section}")).exists());
        assert!(there, "no page for {name}");
    }
}
