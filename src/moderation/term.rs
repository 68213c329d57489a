//! Terms of a lexicon, and whether a reading says one.
//!
//! A term is one or more words. `*` at a word's end or start stands for any letters, `..` between two words for up to three
//! others, `<>` for the same in either order, and `!` behind a word says that it is meant even in its most daring
//! disguises, short as it may be.

use super::reading::{Edge, Glyph, Kind, clean, words};
use super::scripts;

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
    letters: Vec<char>,
    open_start: bool,
    open_end: bool,
    daring: bool,
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
            let (part, open_end) = part.strip_suffix('*').map_or((part, false), |part| (part, true));
            let (part, open_start) = part.strip_prefix('*').map_or((part, false), |part| (part, true));
            let cleaned = clean(part);
            let pieces: Vec<&str> = words(&cleaned).collect();
            let [piece] = pieces.as_slice() else { return Err(format!("{source:?}: {part:?} is no word")) };
            let letters: Vec<char> = piece.chars().collect();
            if letters.len() > LONGEST {
                return Err(format!("{source:?} has a word of more than {LONGEST} letters"));
            }
            found.push(Word { letters, open_start, open_end, daring });
            gaps.push(std::mem::take(&mut gap));
        }
        if found.is_empty() {
            return Err("a term without a word".to_owned());
        }
        Ok(Self { source: source.to_owned(), words: found, gaps, romanised: false })
    }

    /// The term for readings of Russian in Latin letters.
    fn romanise(&self) -> Option<Self> {
        let word = |word: &Word| {
            let russian = word.letters.iter().all(|c| matches!(c, 'а'..='я'));
            let letters: Vec<char> = scripts::romanised(&word.letters.iter().collect::<String>()).chars().collect();
            russian.then_some(Word { letters, ..*word })
        };
        let words = self.words.iter().map(word).collect::<Option<Vec<_>>>()?;
        Some(Self { source: self.source.clone(), words, gaps: self.gaps.clone(), romanised: true })
    }

    /// The words that it stands at, if its first word is read by `edge`, which starts at `at`.
    pub(super) fn find(&self, readings: &[Vec<Edge>], at: usize, edge: &Edge) -> Option<(Vec<(usize, usize)>, Kind)> {
        let alone = self.words.len() == 1;
        if !self.words[0].is(edge, alone, self.romanised) {
            return None;
        }
        let mut path = vec![(at, edge.end)];
        let mut kind = edge.kind;
        self.follow(readings, 1, &mut path, &mut kind).then_some((path, kind))
    }

    fn follow(&self, readings: &[Vec<Edge>], next: usize, path: &mut Vec<(usize, usize)>, kind: &mut Kind) -> bool {
        let (Some(word), Some((_, end))) = (self.words.get(next), path.last().copied()) else { return true };
        let furthest = if self.gaps[next] { end + GAP } else { end };
        for at in end..=furthest.min(readings.len().saturating_sub(1)) {
            for edge in readings.get(at).into_iter().flatten() {
                if word.is(edge, false, self.romanised) {
                    path.push((at, edge.end));
                    if self.follow(readings, next + 1, path, kind) {
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
    /// The letter that it starts with, where that is known.
    pub(super) fn start(&self) -> Option<char> {
        if self.open_start { None } else { self.letters.first().copied() }
    }

    /// Whether a reading says it. `alone`: the term has no other word.
    fn is(&self, edge: &Edge, alone: bool, romanised: bool) -> bool {
        if edge.romanised != romanised {
            return false;
        }
        let long = self.letters.len() >= LONG_ENOUGH;
        let sure = match edge.kind {
            Kind::Plain => true,
            Kind::Disguised => self.daring || (long && alone) || (!alone && self.letters.len() > 2),
            Kind::Joined => self.daring,
        };
        sure && self.spells(&edge.letters, edge.drawn_out)
    }

    fn spells(&self, glyphs: &[Glyph], drawn_out: bool) -> bool {
        let end = 1_u64 << self.letters.len();
        let mut states = 1_u64;
        for glyph in glyphs {
            let mut next = 0;
            for (i, letter) in self.letters.iter().enumerate() {
                let here = 1_u64 << i;
                if states & here != 0 && glyph.may_be(*letter) {
                    next |= here << 1;
                }
                // The letter before it, once more.
                if drawn_out && states & (here << 1) != 0 && glyph.may_be(*letter) {
                    next |= here << 1;
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
