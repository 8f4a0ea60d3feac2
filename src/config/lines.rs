//! Physical lines of `ha.cf`, and how each is split into directive, value and words.
//!
//! Spec: docs/protocol/config.md, 2.1.

use nom::bytes::complete::{take_till, take_while};
use nom::{IResult, Parser};

/// Longest line, in bytes. Legacy cuts at 5119 and parses the rest as a further line; no line of a
/// real file comes near either limit.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// One line that contains a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// Its content, or why it cannot be read.
    pub(super) content: Result<Directive<'a>, LineError>,
}

/// A directive and the rest of its line, comment and surrounding white space removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directive<'a> {
    /// First word.
    pub(super) name: &'a str,
    /// Everything after it.
    pub(super) value: &'a str,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("line is {0} bytes long, at most {MAX_LINE_BYTES} are allowed")]
    TooLong(usize),
    /// Bytes outside a comment that are not UTF-8.
    #[error("not UTF-8 outside a comment")]
    NotUtf8,
}

/// Space, tab, LF, CR or form feed.
const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

/// `[WS] [ directive [WS value-part] ] [ "#" anything ]`; text after a CR does not count.
fn directive_line(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let (input, _) = take_while(is_white).parse(input)?;
    let (rest, text) = take_till(|byte| matches!(byte, b'#' | b'\r' | b'\n')).parse(input)?;
    let (value, name) = take_till(is_white).parse(text)?;
    Ok((rest, (name, value.trim_ascii())))
}

fn read(line: &[u8]) -> Result<Option<Directive<'_>>, LineError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(LineError::TooLong(line.len()));
    }
    // A NUL ends the line.
    let line = line.split(|byte| *byte == 0).next().unwrap_or(line);
    let Ok((_, (name, value))) = directive_line(line) else {
        return Ok(None);
    };
    if name.is_empty() {
        return Ok(None);
    }
    let name = std::str::from_utf8(name).map_err(|_| LineError::NotUtf8)?;
    let value = std::str::from_utf8(value).map_err(|_| LineError::NotUtf8)?;
    Ok(Some(Directive { name, value }))
}

/// The lines of `text` that contain a directive, or that cannot be read.
pub(super) fn directives(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text.split(|byte| *byte == b'\n')
        .zip(1..)
        .filter_map(|(line, number)| {
            let content = read(line).transpose()?;
            Some(Line { number, content })
        })
}

/// Words of a word-list value: separated by commas and white space.
pub(super) fn list_words(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(|c: char| c == ',' || is_white_char(c))
        .filter(|word| !word.is_empty())
}

/// Words of a whole-line value: separated by white space alone.
pub(super) fn line_words(value: &str) -> impl Iterator<Item = &str> {
    value.split(is_white_char).filter(|word| !word.is_empty())
}

const fn is_white_char(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// First word of a whole-line value, and what follows it.
pub(super) fn first_word(value: &str) -> (&str, &str) {
    let value = value.trim_matches(is_white_char);
    match value.split_once(is_white_char) {
        Some((word, rest)) => (word, rest.trim_matches(is_white_char)),
        None => (value, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &[u8]) -> Option<(&str, &str)> {
        let line = directives(line).next()?;
        let directive = line.content.expect("readable");
        Some((directive.name, directive.value))
    }

    #[test]
    fn comments_carriage_returns_and_nul_end_a_line() {
        assert_eq!(one(b"\x0c keepalive\t1 # note"), Some(("keepalive", "1")));
        assert_eq!(one(b"cluster a#b"), Some(("cluster", "a")));
        assert_eq!(one(b"node a b\r\n"), Some(("node", "a b")));
        assert_eq!(one(b"\0keepalive 9"), None);
        assert_eq!(one(b"   # only a comment"), None);
        assert_eq!(one(b"node,x"), Some(("node,x", "")));
    }

    #[test]
    fn lines_are_counted_from_one_and_blank_ones_count() {
        let numbers: Vec<usize> = directives(b"a\n\n# x\nb\nc").map(|l| l.number).collect();
        assert_eq!(numbers, [1, 4, 5]);
    }

    #[test]
    fn a_line_of_any_sane_length_is_whole() {
        let mut text = b"# ".to_vec();
        text.extend(std::iter::repeat_n(b'x', 6000));
        assert_eq!(directives(&text).count(), 0);
        let text = vec![b'x'; MAX_LINE_BYTES + 1];
        let line = directives(&text).next().expect("a line");
        assert_eq!(line.content, Err(LineError::TooLong(MAX_LINE_BYTES + 1)));
    }

    #[test]
    fn latin_1_is_fine_in_a_comment_only() {
        assert_eq!(one(b"node a # caf\xe9"), Some(("node", "a")));
        let line = directives(b"cluster caf\xe9").next().expect("a line");
        assert_eq!(line.content, Err(LineError::NotUtf8));
    }

    #[test]
    fn commas_separate_words_of_a_list_only() {
        assert_eq!(
            list_words("a b,c,,d").collect::<Vec<_>>(),
            ["a", "b", "c", "d"]
        );
        assert_eq!(line_words("a b,c").collect::<Vec<_>>(), ["a", "b,c"]);
        assert_eq!(first_word(" root  /bin/x  -a "), ("root", "/bin/x  -a"));
    }
}
