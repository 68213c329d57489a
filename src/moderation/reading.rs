//! What a text may be read as: every word as it stands, and what it turns into once disguises are taken off.
//!
//! Invariant: readings are edges between word boundaries, so that a term of several words is a path through them, whatever
//! each of its words is disguised as.

use std::cell::RefCell;
use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use super::scripts::{self, DRAWN};

/// Most words that are looked at; no prompt has as many.
const MOST_WORDS: usize = 20_000;
/// Longest word put together from single letters.
const LONGEST_SPELT: usize = 48;
/// A letter written so often in a row is drawn out.
const DRAWN_OUT: usize = 3;
/// Longest part of a word that was cut in two.
const SHORT_PART: usize = 3;
/// Parts of cut words that are no words themselves; these are.
const SHORT_WORDS: &str = " a i an as at be by do go he if in is it me my no of on or so to up us we all and any are art bad big boy \
    but can car cat cup cut day dog dry eye far few for fun get gun guy had has hat her hey him his hot how ice its joy key kid \
    let low man map men mix new not now old one our out own pen per pet pie pig pop put red run sad say sea see set she sit sky \
    son sun tea ten the tie tin too top toy two use van war was way web wet who why win yes yet you zoo re x y z la le de un et \
    en el il lo mi tu ma al es se si te ya ed tan cum con sin des der das die ist im am um in zu den dem ein \
    а в и к о с у я бы во да до ее ей ему если же за из им их как кто ли мы на не ни но об он от по под при про со так то ты уж \
    чем что эта это без был вот все всю где дом для ещё еще или лес мир мой над нас нет них она они ость пар раз сад сам сын \
    там тем тот три тут ты ура чай час эти юг яд ко ан ар ту ба ха дым сон нос рот ром кот кит пол дно рак бок бак ";

/// One reading of a stretch of words.
pub(super) struct Edge {
    /// The word after it.
    pub(super) end: usize,
    pub(super) letters: Vec<Glyph>,
    pub(super) kind: Kind,
    /// Letters may be written more often than the term has them.
    pub(super) drawn_out: bool,
    /// In the spelling of [`scripts::romanised`].
    pub(super) romanised: bool,
}

/// How far a reading is from what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// As it stands, or with letters of other scripts for those they look like.
    Plain,
    /// Figures for letters, separators between them, letters drawn out, Russian in Latin letters.
    Disguised,
    /// Put together of what may be words of their own.
    Joined,
}

/// The letters that a sign may be; `ANY` for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glyph([char; 5]);

const NONE: char = '\0';

impl Glyph {
    const ANY: Self = Self(['*', NONE, NONE, NONE, NONE]);

    fn of(letters: impl IntoIterator<Item = char>) -> Self {
        let mut glyph = [NONE; 5];
        for (slot, letter) in glyph.iter_mut().zip(letters) {
            *slot = letter;
        }
        Self(glyph)
    }

    pub(super) fn may_be(self, letter: char) -> bool {
        self == Self::ANY || self.0.contains(&letter)
    }

    /// What it may be; nothing for any letter.
    pub(super) fn letters(self) -> impl Iterator<Item = char> {
        self.0.into_iter().filter(move |letter| *letter != NONE && self != Self::ANY)
    }
}

/// All readings of a text, by the word that they start at.
pub(super) struct Readings {
    pub(super) from: Vec<Vec<Edge>>,
}

/// A stretch of text between white space.
struct Chunk {
    text: String,
    /// Its first word, and how many it has.
    first: usize,
    words: usize,
}

/// Lower case, compatible forms as one (NFKC), and nothing that is not seen: marks, joiners, directions.
pub(super) fn clean(text: &str) -> String {
    let unseen = |c: &char| {
        use GeneralCategory as G;
        let control = matches!(c.general_category(), G::Control | G::Format | G::NonspacingMark | G::EnclosingMark);
        (control && !c.is_whitespace()) || matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
    };
    text.nfkc().nfd().filter(|c| !unseen(c)).collect::<String>().to_lowercase()
}

/// The words of a cleaned text as they stand.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

impl Readings {
    pub(super) fn of(text: &str) -> Self {
        let text = clean(text);
        let mut readings = Self { from: Vec::new() };
        let mut chunks = Vec::new();
        for chunk in text.split_whitespace() {
            let first = readings.from.len();
            if first >= MOST_WORDS {
                break;
            }
            for word in words(chunk) {
                let at = readings.from.len();
                readings.from.push(Vec::new());
                readings.read_word(at, word);
            }
            let mut words = readings.from.len() - first;
            if words == 0 && !signs(chunk).is_empty() {
                // Signs alone may be letters of a word that is spelt out.
                readings.from.push(Vec::new());
                words = 1;
            }
            if words > 0 {
                chunks.push(Chunk { text: chunk.to_owned(), first, words });
            }
        }
        for chunk in &chunks {
            readings.read_chunk(chunk);
        }
        readings.read_spelt(&chunks);
        readings.read_cut(&chunks);
        readings
    }

    fn add(&mut self, first: usize, words: usize, letters: Vec<Glyph>, kind: Kind, drawn_out: bool) {
        if !letters.is_empty() {
            self.from[first].push(Edge { end: first + words, letters, kind, drawn_out, romanised: false });
        }
    }

    /// A word as it stands, with lookalikes, drawn out, and as Russian.
    fn read_word(&mut self, at: usize, word: &str) {
        let plain: Vec<Glyph> = word.chars().map(|c| Glyph::of([c])).collect();
        let drawn_out = has_run(word);
        self.add(at, 1, plain.clone(), Kind::Plain, false);
        let letters = word.chars().filter(|c| c.is_alphabetic());
        let (mut latin, mut russian, mut other) = (0, 0, 0);
        for letter in letters {
            match letter {
                'a'..='z' => latin += 1,
                'а'..='я' => russian += 1,
                _ => other += 1,
            }
        }
        let has_figures = word.chars().any(|c| c.is_ascii_digit());
        if has_figures && latin + russian + other > 0 {
            self.add(at, 1, word.chars().map(glyph).collect(), Kind::Disguised, drawn_out);
        } else if other > 0 || (latin > 0 && russian > 0) {
            self.add(at, 1, word.chars().map(glyph).collect(), Kind::Plain, drawn_out);
        } else if drawn_out {
            self.add(at, 1, plain, Kind::Disguised, true);
        }
        if russian == 0 && other == 0 && latin > 1 {
            // Letters that all look Russian, as in `cyka`.
            let like: Option<Vec<Glyph>> = word
                .chars()
                .map(|c| {
                    scripts::russian(c).filter(|_| !matches!(c, 'i' | 'u' | 'n' | 'r' | 's')).map(|c| Glyph::of([c]))
                })
                .collect();
            if let Some(like) = like {
                self.add(at, 1, like, Kind::Joined, drawn_out);
            }
            self.romanise(at, 1, &primary(word), drawn_out);
        }
    }

    fn romanise(&mut self, first: usize, words: usize, latin: &str, drawn_out: bool) {
        let letters: Vec<Glyph> = scripts::romanised_latin(latin).chars().map(|c| Glyph::of([c])).collect();
        if letters.len() > 2 {
            self.from[first].push(Edge {
                end: first + words,
                letters,
                kind: Kind::Disguised,
                drawn_out,
                romanised: true,
            });
        }
    }

    /// What is written between two spaces as one word: figures and signs for letters, separators left out.
    fn read_chunk(&mut self, chunk: &Chunk) {
        let trimmed = trim(&chunk.text);
        if trimmed.chars().all(char::is_alphanumeric) || !trimmed.chars().any(char::is_alphanumeric) {
            return;
        }
        let letters = signs(trimmed);
        let known = letters.iter().filter(|glyph| **glyph != Glyph::ANY).count();
        if 2 * known <= letters.len() || letters.first() == Some(&Glyph::ANY) {
            return;
        }
        self.add(chunk.first, chunk.words, letters, Kind::Disguised, has_run(trimmed));
        let latin = primary(trimmed);
        if latin.chars().all(|c| c.is_ascii_lowercase()) {
            self.romanise(chunk.first, chunk.words, &latin, has_run(trimmed));
        }
    }

    /// Words that are spelt out letter by letter.
    fn read_spelt(&mut self, chunks: &[Chunk]) {
        let single: Vec<Option<Glyph>> = chunks
            .iter()
            .map(|chunk| match signs(trim(&chunk.text)).as_slice() {
                [glyph] => Some(*glyph),
                _ => None,
            })
            .collect();
        let mut start = 0;
        while start < chunks.len() {
            let length = single[start..].iter().take(LONGEST_SPELT).take_while(|glyph| glyph.is_some()).count();
            if length >= 3 {
                let letters: Vec<Glyph> = single[start..start + length].iter().flatten().copied().collect();
                let part = |from: usize, to: usize| {
                    let words =
                        chunks[start + to - 1].first + chunks[start + to - 1].words - chunks[start + from].first;
                    (chunks[start + from].first, words, letters[from..to].to_vec())
                };
                let (first, words, all) = part(0, length);
                self.add(first, words, all, Kind::Disguised, false);
                for cut in 3..length {
                    for (from, to) in [(0, cut), (length - cut, length)] {
                        let (first, words, letters) = part(from, to);
                        self.add(first, words, letters, Kind::Joined, false);
                    }
                }
            }
            start += length.max(1);
        }
    }

    /// Words that are cut in two, where one part is short and no word itself.
    fn read_cut(&mut self, chunks: &[Chunk]) {
        for pair in chunks.windows(2) {
            let [a, b] = [&pair[0], &pair[1]].map(|chunk| trim(&chunk.text));
            let is_part =
                |text: &str| text.chars().count() <= SHORT_PART && !SHORT_WORDS.contains(&format!(" {text} "));
            let whole = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
            if whole(a) && whole(b) && (is_part(a) || is_part(b)) {
                let letters = a.chars().chain(b.chars()).map(glyph).collect();
                self.add(pair[0].first, pair[0].words + pair[1].words, letters, Kind::Joined, false);
            }
        }
    }
}

thread_local! {
    /// Signs that were looked up before: tables of lookalikes are slow.
    static GLYPHS: RefCell<HashMap<char, Glyph>> = RefCell::default();
}

/// All that a letter or a figure may stand for.
fn glyph(sign: char) -> Glyph {
    /// No script has as many.
    const KEPT: usize = 4096;
    GLYPHS.with_borrow_mut(|known| {
        if known.len() > KEPT {
            known.clear();
        }
        *known.entry(sign).or_insert_with(|| look_up(sign))
    })
}

fn look_up(sign: char) -> Glyph {
    let like = [scripts::latin(sign), scripts::russian(sign)].into_iter().flatten().filter(|c| *c != sign);
    Glyph::of([sign].into_iter().chain(scripts::leet(sign).iter().copied()).chain(like))
}

/// The letters in a stretch of text, with drawn ones as one and separators left out.
fn signs(text: &str) -> Vec<Glyph> {
    let mut text = text.to_owned();
    for (drawn, letter) in DRAWN {
        text = text.replace(drawn, letter);
    }
    text.chars()
        .filter_map(|c| match c {
            '*' => Some(Glyph::ANY),
            _ if c.is_alphanumeric() || !scripts::leet(c).is_empty() => Some(glyph(c)),
            _ => None,
        })
        .collect()
}

/// With figures and signs as the letter that they most often are, in Latin letters where there are any.
fn primary(text: &str) -> String {
    text.chars().filter_map(|c| scripts::leet(c).first().copied().or(c.is_alphanumeric().then_some(c))).collect()
}

/// Without what stands around a word.
fn trim(text: &str) -> &str {
    let text = text.trim_end_matches('!');
    text.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '@' | '$' | '|' | '!' | '€' | '+'))
}

fn has_run(text: &str) -> bool {
    let (mut last, mut run) = (NONE, 0);
    text.chars().any(|c| {
        run = if c == last { run + 1 } else { 1 };
        last = c;
        run >= DRAWN_OUT
    })
}
