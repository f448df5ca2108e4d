//! Data set name patterns as mainframe people write them, and the selection that they make.
//!
//! The rules are those of generic names in DFSMSdss and RACF:
//!
//! | in a pattern | stands for |
//! | --- | --- |
//! | `%` | one character of a qualifier |
//! | `*` in a qualifier | any characters of that qualifier, none too; alone, one whole qualifier |
//! | `**` as a qualifier | any number of qualifiers, none too |
//!
//! So `SYS1.*` is every name of two qualifiers that begins with `SYS1`, and `SYS1.**` is `SYS1` and all below it. A
//! pattern is for the whole name; case does not matter.

use std::fmt;
use std::str::FromStr;

use tapegate_formats::ebcdic;
use tapegate_formats::volume::name::DsName;
use thiserror::Error;

/// A name can have 44 characters, and no pattern needs many more.
const MOST_CHARACTERS: usize = 128;
/// A name of 44 dots, which no system lets anyone make, would have one more qualifier than characters.
const MOST_QUALIFIERS: usize = 45;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// No text, or far more of it than names have.
    #[error("a pattern has 1 to {MOST_CHARACTERS} characters")]
    Length,
    /// A qualifier without a character.
    #[error("'{0}' has an empty qualifier")]
    EmptyQualifier(String),
    /// `**` with other characters in the same qualifier.
    #[error("'{0}': ** stands for whole qualifiers and must be one of its own, as in A.**.B")]
    MixedQualifiers(String),
    /// A character that can't be in a name.
    #[error("'{text}' has the character '{character}', which no data set name has")]
    Character {
        /// The pattern.
        text: String,
        /// The character.
        character: char,
    },
}

/// A pattern of data set names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    qualifiers: Vec<Qualifier>,
}

/// One qualifier of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Qualifier {
    /// `**`.
    AnyNumber,
    /// A qualifier with its `*` and `%`.
    One(Vec<u8>),
}

impl Pattern {
    /// Whether the whole of `name` fits.
    #[must_use]
    pub fn matches(&self, name: &DsName) -> bool {
        let mut text = *name.as_ebcdic();
        ebcdic::make_latin1(&mut text);
        let length = text.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
        let mut qualifiers = [&text[..0]; MOST_QUALIFIERS];
        let mut count = 0;
        for (place, qualifier) in qualifiers.iter_mut().zip(text[..length].split(|byte| *byte == b'.')) {
            *place = qualifier;
            count += 1;
        }
        fits(
            &self.qualifiers,
            &qualifiers[..count],
            |part| *part == Qualifier::AnyNumber,
            |part, qualifier| match part {
                Qualifier::AnyNumber => true,
                Qualifier::One(text) => fits(text, qualifier, |c| *c == b'*', |c, given| *c == b'%' || c == given),
            },
        )
    }
}

/// Whether `given` fits a sequence in which some parts stand for any number of items, and the others for one each.
///
/// When an item does not fit, the last part that takes any number takes one more; earlier ones need not be tried again,
/// so the time is at most the product of both lengths.
fn fits<P, G>(pattern: &[P], given: &[G], any_number: impl Fn(&P) -> bool, one: impl Fn(&P, &G) -> bool) -> bool {
    let (mut at, mut item) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while item < given.len() {
        match pattern.get(at) {
            Some(part) if any_number(part) => {
                resume = Some((at, item));
                at += 1;
            }
            Some(part) if one(part, &given[item]) => {
                at += 1;
                item += 1;
            }
            _ => {
                let Some((part, taken)) = resume else { return false };
                resume = Some((part, taken + 1));
                (at, item) = (part + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(any_number)
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim().to_uppercase();
        if text.is_empty() || text.len() > MOST_CHARACTERS {
            return Err(PatternError::Length);
        }
        if let Some(character) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"@#$-.%*{".contains(*c)) {
            return Err(PatternError::Character { text, character });
        }
        let mut qualifiers = Vec::new();
        for qualifier in text.split('.') {
            qualifiers.push(match qualifier {
                "" => return Err(PatternError::EmptyQualifier(text)),
                "**" => Qualifier::AnyNumber,
                mixed if mixed.contains("**") => return Err(PatternError::MixedQualifiers(text)),
                one => Qualifier::One(one.as_bytes().to_vec()),
            });
        }
        Ok(Self { text, qualifiers })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Names that are asked for, and names that are not wanted among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names that fit one of these are asked for; all are, if there is none.
    pub include: Vec<Pattern>,
    /// Names that fit one of these are not wanted.
    pub exclude: Vec<Pattern>,
}

/// What a selection chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected<'s> {
    /// Places of the chosen names, in order.
    pub chosen: Vec<usize>,
    /// Patterns, of either list, that fit no name at all: most likely mistyped.
    pub unmatched: Vec<&'s Pattern>,
}

impl Selection {
    /// Whether everything is asked for.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether a name is chosen.
    #[must_use]
    pub fn chooses(&self, name: &DsName) -> bool {
        (self.include.is_empty() || self.include.iter().any(|pattern| pattern.matches(name)))
            && !self.exclude.iter().any(|pattern| pattern.matches(name))
    }

    /// Chooses among names.
    pub fn select<'n>(&self, names: impl IntoIterator<Item = &'n DsName>) -> Selected<'_> {
        let mut matched = vec![false; self.include.len() + self.exclude.len()];
        let mut chosen = Vec::new();
        for (place, name) in names.into_iter().enumerate() {
            // Every pattern is tried, so that each is known to have fitted something or nothing.
            let mut fitted = (false, false);
            for (index, pattern) in self.include.iter().chain(&self.exclude).enumerate() {
                if pattern.matches(name) {
                    matched[index] = true;
                    if index < self.include.len() { fitted.0 = true } else { fitted.1 = true }
                }
            }
            let (asked_for, unwanted) = fitted;
            if (asked_for || self.include.is_empty()) && !unwanted {
                chosen.push(place);
            }
        }
        let patterns = self.include.iter().chain(&self.exclude);
        let unmatched = patterns.zip(matched).filter_map(|(pattern, matched)| (!matched).then_some(pattern)).collect();
        Selected { chosen, unmatched }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> DsName {
        text.parse().unwrap()
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    /// Examples from "Filtering data sets" in IBM's DFSMSdss Storage Administration, and what follows from its rules.
    #[test]
    fn patterns_choose_as_dfsmsdss_says() {
        let cases = [
            ("SYS1.*", "SYS1.MACLIB", true),
            ("SYS1.*", "SYS1", false),
            ("SYS1.*", "SYS1.A.B", false),
            ("SYS1.**", "SYS1", true),
            ("SYS1.**", "SYS1.A.B.C", true),
            ("SYS1.**", "SYS10.A", false),
            ("**", "ANY.THING", true),
            ("*", "ONE", true),
            ("*", "ONE.TWO", false),
            ("**.LOAD", "LOAD", true),
            ("**.LOAD", "A.B.LOAD", true),
            ("A.**.B", "A.B", true),
            ("A.**.B", "A.X.Y.B", true),
            ("A.**.B", "A.X.BB", false),
            ("*.JCL*", "HERC01.JCLLIB", true),
            ("*.JCL*", "HERC01.JCL", true),
            ("USER%.X", "USER1.X", true),
            ("USER%.X", "USER.X", false),
            ("USER%.X", "USER12.X", false),
            ("A%B", "A.B", false),
            ("sys1.mac*", "SYS1.MACLIB", true),
            ("*A*B*", "XXAYYBZZ", true),
            ("*A*B*", "XXBYYAZZ", false),
        ];
        for (text, of, fits) in cases {
            assert_eq!(pattern(text).matches(&name(of)), fits, "{text} and {of}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_rule() {
        for (text, message) in [
            ("", "a pattern has 1 to 128 characters"),
            ("A..B", "'A..B' has an empty qualifier"),
            ("A.B**", "'A.B**': ** stands for whole qualifiers and must be one of its own, as in A.**.B"),
            ("A B", "'A B' has the character ' ', which no data set name has"),
        ] {
            assert_eq!(text.parse::<Pattern>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_selection_includes_excludes_and_tells_patterns_that_fit_nothing() {
        let names = ["SYS1.MACLIB", "SYS1.LINKLIB", "SYS2.MACLIB"].map(name);
        let selection = Selection {
            include: vec![pattern("SYS1.**"), pattern("SYS9.**")],
            exclude: vec![pattern("**.LINKLIB"), pattern("NO")],
        };
        let selected = selection.select(&names);
        assert_eq!(selected.chosen, [0]);
        assert_eq!(selected.unmatched.iter().map(ToString::to_string).collect::<Vec<_>>(), ["SYS9.**", "NO"]);
        assert_eq!(names.iter().filter(|name| selection.chooses(name)).count(), 1);
        assert_eq!(Selection::default().select(&names).chosen, [0, 1, 2]);
    }

    /// The rules once more, word by word: each wildcard tries every length.
    fn naive_qualifier(pattern: &str, text: &str) -> bool {
        match pattern.chars().next() {
            None => text.is_empty(),
            Some('*') => (0..=text.len()).any(|taken| naive_qualifier(&pattern[1..], &text[taken..])),
            Some('%') => !text.is_empty() && naive_qualifier(&pattern[1..], &text[1..]),
            Some(c) => text.starts_with(c) && naive_qualifier(&pattern[1..], &text[1..]),
        }
    }

    fn naive(pattern: &[&str], name: &[&str]) -> bool {
        match pattern.first() {
            None => name.is_empty(),
            Some(&"**") => (0..=name.len()).any(|taken| naive(&pattern[1..], &name[taken..])),
            Some(one) => !name.is_empty() && naive_qualifier(one, name[0]) && naive(&pattern[1..], &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_rules_word_by_word(
            text in "([AB%*]{1,4}|\\*\\*)(\\.([AB%*]{1,3}|\\*\\*)){0,4}",
            of in "[AB]{1,4}(\\.[AB]{1,3}){0,5}",
        ) {
            // A `**` inside a qualifier is refused; the generator makes some.
            if let Ok(pattern) = text.parse::<Pattern>() {
                let parts: Vec<_> = text.split('.').collect();
                let qualifiers: Vec<_> = of.split('.').collect();
                prop_assert_eq!(pattern.matches(&name(&of)), naive(&parts, &qualifiers));
            }
        }
    }
}
