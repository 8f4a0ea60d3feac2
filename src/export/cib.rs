//! The elements of a CIB, and how they become XML.

use std::collections::BTreeSet;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// An element.
#[derive(Debug, Clone, Default)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
enum Child {
    Element(Element),
    Comment(String),
}

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// With an id.
    pub(super) fn with_id(name: &'static str, id: impl Into<String>) -> Self {
        Self::new(name).set("id", id)
    }

    pub(super) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    pub(super) fn add(&mut self, child: Self) {
        self.children.push(Child::Element(child));
    }

    pub(super) fn with(mut self, child: Self) -> Self {
        self.add(child);
        self
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.children.push(Child::Comment(format!(" {text} ")));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// A set of names and values; nothing when there are none.
    pub(super) fn set_of(name: &'static str, id: &str, pairs: &[(&str, &str)]) -> Option<Self> {
        if pairs.is_empty() {
            return None;
        }
        let mut set = Self::with_id(name, id);
        for (name, value) in pairs {
            let pair = Self::with_id("nvpair", format!("{id}-{}", plain_id(name)));
            set.add(pair.set("name", *name).set("value", *value));
        }
        Some(set)
    }

    /// The document.
    pub(super) fn text(&self) -> Result<String, std::io::Error> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
        self.write(&mut writer)?;
        let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
        text.push('\n');
        Ok(text)
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> Result<(), std::io::Error> {
        let mut start = BytesStart::new(self.name);
        for (name, value) in &self.attributes {
            if !is_text(value) {
                let why = format!(
                    "{name} of {}: a character that XML does not allow",
                    self.name
                );
                return Err(std::io::Error::other(why));
            }
            start.push_attribute((*name, value.as_str()));
        }
        if self.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        for child in &self.children {
            match child {
                Child::Element(element) => element.write(writer)?,
                Child::Comment(text) => {
                    writer.write_event(Event::Comment(BytesText::new(text)))?;
                }
            }
        }
        writer.write_event(Event::End(BytesEnd::new(self.name)))
    }
}

/// Whether an attribute of XML can hold this and give it back unchanged.
pub(super) fn is_text(value: &str) -> bool {
    let bad = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    !value.contains(bad)
}

/// Ids that were given.
#[derive(Debug, Default)]
pub(super) struct Ids(BTreeSet<String>);

impl Ids {
    /// An id for `text` that nothing else has.
    pub(super) fn fresh(&mut self, text: &str) -> String {
        let id = plain_id(text);
        let numbered = (2_usize..).map(|number| format!("{id}_{number}"));
        let mut names = std::iter::once(id.clone()).chain(numbered);
        let free = names.find(|name| !self.0.contains(name)).unwrap_or(id);
        self.0.insert(free.clone());
        free
    }
}

/// A text as an id: a name of XML without the characters that derived ids have.
fn plain_id(text: &str) -> String {
    let mut id = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !id.ends_with('_') {
            id.push(c);
        }
    }
    let id = id.trim_end_matches('_');
    if id.starts_with(|c: char| c.is_ascii_alphabetic()) {
        id.to_owned()
    } else {
        format!("r_{}", id.trim_start_matches('_'))
    }
}
