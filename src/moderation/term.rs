//! Terms of a lexicon, and whether a reading says one.
//!
//! A term is one or more words. `*` at a word's end or start stands for any letters, `|` between spellings of a word for any one of
//! them, `..` between two words for up to three others, `<>` for the same in either order, and `!` behind a word says that it is meant even in its most daring
//! disguises, short as it may be.

use std::collections::BTreeSet;

use super::reading::{Edge, Glyph, Kind, clean, words};
use super::scripts;

/// A text that terms are looked for in.
pub(super) struct Text<'a> {
    pub(super) readings: &'a [Vec<Edge>],
    /// Whether each word is part of something harmless.
    pub(super) excused: &'a [bool],
}

impl Text<'_> {
    /// Whether all of these words are harmless where they stand.
    fn excuses(&self, from: usize, to: usize) -> bool {
        self.excused.get(from..to).is_some_and(|words| !words.is_empty() && words.iter().all(|excused| *excused))
    }
}

/// Words that `..` may stand for.
const GAP: usize = 3;
/// Shorter words are not looked for behind disguises, unless they say so.
const LONG_ENOUGH: usize = 5;
/// The matcher keeps its states in a word of so many bits.
const LONGEST: usize = 60;

#[derive(Debug)]
pub(super) struct Term {
    /// As it stands in the file.
    pub(super) source: String,
    pub(super) words: Vec<Word>,
    /// Whether other words may stand before each word.
    gaps: Vec<bool>,
    /// For readings of Russian in Latin letters.
    pub(super) romanised: bool,
}

#[derive(Debug)]
pub(super) struct Word {
    /// Any one of these.
    spellings: Vec<Spelling>,
    daring: bool,
}

#[derive(Debug)]
struct Spelling {
    letters: Vec<char>,
    open_start: bool,
    open_end: bool,
}

impl Term {
    /// All forms of a term.
    pub(super) fn parse(source: &str) -> Result<Vec<Self>, String> {
        let orders = match source.split_once(" <> ") {
            Some((a, b)) => vec![format!("{a} .. {b}"), format!("{b} .. {a}")],
            None => vec![source.to_owned()],
        };
        let mut terms = Vec::new();
        for order in orders {
            let plain = Self::parse_one(source, &order)?;
            terms.extend(plain.romanise());
            terms.push(plain);
        }
        Ok(terms)
    }

    fn parse_one(source: &str, order: &str) -> Result<Self, String> {
        let (mut found, mut gaps, mut gap) = (Vec::new(), Vec::new(), false);
        for part in order.split_whitespace() {
            if part == ".." {
                gap = true;
                continue;
            }
            let (part, daring) = part.strip_suffix('!').map_or((part, false), |part| (part, true));
            let spellings =
                part.split('|').map(|spelling| Spelling::parse(source, spelling)).collect::<Result<_, _>>()?;
            found.push(Word { spellings, daring });
            gaps.push(std::mem::take(&mut gap));
        }
        if found.is_empty() {
            return Err("a term without a word".to_owned());
        }
        Ok(Self { source: source.to_owned(), words: found, gaps, romanised: false })
    }

    /// The term for readings of Russian in Latin letters.
    fn romanise(&self) -> Option<Self> {
        let spelling = |spelling: &Spelling| {
            let russian = spelling.letters.iter().all(|c| matches!(c, 'а'..='я'));
            let letters: Vec<char> = scripts::romanised(&spelling.letters.iter().collect::<String>()).chars().collect();
            russian.then_some(Spelling { letters, ..*spelling })
        };
        let word = |word: &Word| {
            let spellings = word.spellings.iter().map(spelling).collect::<Option<Vec<_>>>()?;
            Some(Word { spellings, ..*word })
        };
        let words = self.words.iter().map(word).collect::<Option<Vec<_>>>()?;
        Some(Self { source: self.source.clone(), words, gaps: self.gaps.clone(), romanised: true })
    }

    /// The words that it stands at, if its first word is read by `edge`, which starts at `at`.
    pub(super) fn find(&self, text: &Text<'_>, at: usize, edge: &Edge) -> Option<(Vec<(usize, usize)>, Kind)> {
        let alone = self.words.len() == 1;
        if !self.words[0].is(edge, alone, self.romanised) || text.excuses(at, edge.end) {
            return None;
        }
        let mut path = vec![(at, edge.end)];
        let mut kind = edge.kind;
        self.follow(text, 1, &mut path, &mut kind).then_some((path, kind))
    }

    fn follow(&self, text: &Text<'_>, next: usize, path: &mut Vec<(usize, usize)>, kind: &mut Kind) -> bool {
        let (Some(word), Some((_, end))) = (self.words.get(next), path.last().copied()) else { return true };
        let furthest = if self.gaps[next] { end + GAP } else { end };
        for at in end..=furthest.min(text.readings.len().saturating_sub(1)) {
            for edge in text.readings.get(at).into_iter().flatten() {
                if word.is(edge, false, self.romanised) && !text.excuses(at, edge.end) {
                    path.push((at, edge.end));
                    if self.follow(text, next + 1, path, kind) {
                        *kind = (*kind).max(edge.kind);
                        return true;
                    }
                    path.pop();
                }
            }
        }
        false
    }
}

impl Word {
    /// The letters that its spellings start with, where they are known.
    pub(super) fn starts(&self) -> BTreeSet<Option<char>> {
        let start = |spelling: &Spelling| if spelling.open_start { None } else { spelling.letters.first().copied() };
        self.spellings.iter().map(start).collect()
    }

    /// Whether a reading says it. `alone`: the term has no other word.
    fn is(&self, edge: &Edge, alone: bool, romanised: bool) -> bool {
        if edge.romanised != romanised {
            return false;
        }
        let sure = |length: usize| match edge.kind {
            Kind::Plain => true,
            Kind::Disguised => self.daring || (alone && length >= LONG_ENOUGH) || (!alone && length > 2),
            Kind::Joined => self.daring,
        };
        let is = |spelling: &Spelling| sure(spelling.letters.len()) && spelling.spells(&edge.letters, edge.drawn_out);
        self.spellings.iter().any(is)
    }
}

impl Spelling {
    fn parse(source: &str, part: &str) -> Result<Self, String> {
        let (part, open_end) = part.strip_suffix('*').map_or((part, false), |part| (part, true));
        let (part, open_start) = part.strip_prefix('*').map_or((part, false), |part| (part, true));
        let cleaned = clean(part);
        let pieces: Vec<&str> = words(&cleaned).collect();
        let [piece] = pieces.as_slice() else { return Err(format!("{source:?}: {part:?} is no word")) };
        let letters: Vec<char> = piece.chars().collect();
        if letters.len() > LONGEST {
            return Err(format!("{source:?} has a word of more than {LONGEST} letters"));
        }
        Ok(Self { letters, open_start, open_end })
    }

    fn spells(&self, glyphs: &[Glyph], drawn_out: bool) -> bool {
        let end = 1_u64 << self.letters.len();
        let mut states = 1_u64;
        for glyph in glyphs {
            let mut next = 0;
            let mut left = states;
            while left != 0 {
                let read = left.trailing_zeros() as usize;
                left &= left - 1;
                if self.letters.get(read).is_some_and(|letter| glyph.may_be(*letter)) {
                    next |= 1 << (read + 1);
                }
                // The letter before it, once more.
                if drawn_out && read > 0 && glyph.may_be(self.letters[read - 1]) {
                    next |= 1 << read;
                }
            }
            if self.open_start {
                next |= 1;
            }
            if self.open_end && next & end != 0 {
                return true;
            }
            states = next;
            if states == 0 {
                return false;
            }
        }
        states & end != 0
    }
}
