//! Option letters and words, separated as by C's `getopt`, which the legacy programs use.

use std::vec;

/// One item of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A letter that takes no value.
    Flag(char),
    /// A letter and its value: the rest of its word, or the next one.
    Value(char, String),
    /// A word that is no option.
    Word(String),
    /// The complaint of `getopt`, without the name of the program. Reading may go on.
    Bad(String),
}

/// Reads words in their order; `--` ends the options. There are no long options.
#[derive(Debug)]
pub struct Getopt<I> {
    letters: &'static str,
    words: I,
    /// The rest of the word that is being read.
    joined: vec::IntoIter<char>,
}

impl<I: Iterator<Item = String>> Getopt<I> {
    /// Reads `words`, without the program's name. `letters` as for `getopt`: a colon after a letter
    /// means that it takes a value.
    pub fn new(letters: &'static str, words: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            letters,
            words: words.into_iter(),
            joined: Vec::new().into_iter(),
        }
    }

    /// The words that were not read: all words after `--`, once this iterator has ended.
    pub fn rest(&mut self) -> &mut I {
        &mut self.words
    }

    fn option(&mut self, letter: char) -> Given {
        let known = self.letters.split_once(letter).filter(|_| letter != ':');
        let Some((_, behind)) = known else {
            return Given::Bad(format!("invalid option -- '{letter}'"));
        };
        if !behind.starts_with(':') {
            return Given::Flag(letter);
        }
        let attached: String = self.joined.by_ref().collect();
        let value = Some(attached).filter(|value| !value.is_empty());
        match value.or_else(|| self.words.next()) {
            Some(value) => Given::Value(letter, value),
            None => Given::Bad(format!("option requires an argument -- '{letter}'")),
        }
    }
}

impl<I: Iterator<Item = String>> Iterator for Getopt<I> {
    type Item = Given;

    fn next(&mut self) -> Option<Given> {
        if let Some(letter) = self.joined.next() {
            return Some(self.option(letter));
        }
        let word = self.words.next().filter(|word| word != "--")?;
        let letters = word.strip_prefix('-').filter(|rest| !rest.is_empty());
        let Some(letters) = letters else {
            return Some(Given::Word(word));
        };
        self.joined = letters.chars().collect::<Vec<_>>().into_iter();
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::Given::{Bad, Flag, Value, Word};
    use super::*;

    fn read(line: &str) -> (Vec<Given>, Vec<String>) {
        let words = line.split_whitespace().map(str::to_owned);
        let mut options = Getopt::new("vp:", words);
        let given = options.by_ref().collect();
        (given, options.rest().collect())
    }

    #[test]
    fn letters_and_words_in_any_order() {
        let word = |text: &str| Word(text.to_owned());
        let (given, rest) = read("one -v - -vpx two -p y -- -v");
        let expected = [
            word("one"),
            Flag('v'),
            word("-"),
            Flag('v'),
            Value('p', "x".to_owned()),
            word("two"),
            Value('p', "y".to_owned()),
        ];
        assert_eq!(given, expected);
        assert_eq!(rest, ["-v"]);
    }

    #[test]
    fn complaints_are_those_of_getopt() {
        let bad = |text: &str| Bad(text.to_owned());
        let (given, _) = read("-:xv -p");
        let expected = [
            bad("invalid option -- ':'"),
            bad("invalid option -- 'x'"),
            Flag('v'),
            bad("option requires an argument -- 'p'"),
        ];
        assert_eq!(given, expected);
    }

    #[test]
    fn a_value_may_look_like_an_option() {
        assert_eq!(read("-p --").0, [Value('p', "--".to_owned())]);
    }
}
