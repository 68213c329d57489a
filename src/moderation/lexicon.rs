//! Words and phrases per category, in any number of files.
//!
//! Invariant: a text is judged as a person reads it, not as it is spelt; whole words count, and what an exception explains
//! counts for nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

use super::moderator::{Moderator, Unavailable};
use super::reading::{Edge, Kind, Readings};
use super::term::{Term, Text};
use crate::domain::Finding;

/// The files that ship with the program.
const BUILT_IN: [(&str, &str); 2] = [
    ("en.toml", include_str!("../../config/moderation/en.toml")),
    ("ru.toml", include_str!("../../config/moderation/ru.toml")),
];
/// The list of what excuses terms.
const EXCEPTIONS: &str = "except";
/// How often it is looked whether files have changed.
const LOOK: Duration = Duration::from_secs(1);
/// Texts above this many bytes are read off the async threads.
const LONG: usize = 4096;

/// Terms per category, and what excuses them.
#[derive(Default)]
pub struct Lexicon {
    categories: Vec<String>,
    /// With the number of their category.
    terms: Vec<(usize, Term)>,
    exceptions: Vec<Term>,
    index: Index,
    excused: Index,
}

/// Terms by the letter that they start with.
#[derive(Default)]
struct Index {
    by_start: BTreeMap<char, Vec<usize>>,
    open: Vec<usize>,
}

impl Index {
    fn of<'a>(terms: impl Iterator<Item = &'a Term>) -> Self {
        let mut index = Self::default();
        for (number, term) in terms.enumerate() {
            for start in term.words[0].starts() {
                match start {
                    Some(letter) => index.by_start.entry(letter).or_default().push(number),
                    None => index.open.push(number),
                }
            }
        }
        index
    }

    /// Those that a reading may be the start of.
    fn may_start(&self, edge: &Edge) -> impl Iterator<Item = usize> {
        let letters = edge.letters.first().into_iter().flat_map(|glyph| glyph.letters());
        let known = letters.filter_map(|letter| self.by_start.get(&letter)).flatten();
        known.chain(&self.open).copied()
    }
}

impl Lexicon {
    /// From files: lists of terms by category, those of `except` excuse others. The error names the term.
    pub fn new(files: &[BTreeMap<String, Vec<String>>]) -> Result<Self, String> {
        let mut lexicon = Self::default();
        for (name, terms) in files.iter().flatten() {
            for term in terms {
                let parsed = Term::parse(term)?;
                if name == EXCEPTIONS {
                    lexicon.exceptions.extend(parsed);
                    continue;
                }
                let known = lexicon.categories.iter().position(|known| known == name);
                let category = known.unwrap_or_else(|| {
                    lexicon.categories.push(name.clone());
                    lexicon.categories.len() - 1
                });
                lexicon.terms.extend(parsed.into_iter().map(|term| (category, term)));
            }
        }
        lexicon.index = Index::of(lexicon.terms.iter().map(|(_, term)| term));
        lexicon.excused = Index::of(lexicon.exceptions.iter());
        Ok(lexicon)
    }

    /// From TOML texts with the names of their files.
    fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut read = Vec::new();
        for (name, text) in files {
            let file: BTreeMap<String, Vec<String>> =
                toml::from_str(text).map_err(|error| format!("{name}: {}", error.message()))?;
            // Each on its own, so that an error names its file.
            Self::new(std::slice::from_ref(&file)).map_err(|error| format!("{name}: {error}"))?;
            read.push(file);
        }
        Self::new(&read)
    }

    /// The one that ships with the program.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(BUILT_IN)
    }

    /// What there is to object to in a text: of each category what is surest.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let readings = Readings::of(text).from;
        let excused = self.excused(&readings);
        let text = Text { readings: &readings, excused: &excused };
        let mut found: BTreeMap<usize, (f32, &str)> = BTreeMap::new();
        for (at, edge) in edges(&readings) {
            for number in self.index.may_start(edge) {
                let (category, term) = &self.terms[number];
                let Some((_, kind)) = term.find(&text, at, edge) else { continue };
                let score = match kind {
                    Kind::Plain => 1.0,
                    Kind::Disguised => 0.9,
                    Kind::Joined => 0.8,
                };
                let surest = found.entry(*category).or_insert((score, &term.source));
                if score > surest.0 {
                    *surest = (score, &term.source);
                }
            }
        }
        let finding = |(category, (score, term)): (usize, (f32, &str))| Finding {
            category: self.categories[category].clone(),
            score,
            rule: format!("lexicon: {term}"),
        };
        found.into_iter().map(finding).collect()
    }

    /// Whether each word is part of something harmless.
    fn excused(&self, readings: &[Vec<Edge>]) -> Vec<bool> {
        let mut excused = vec![false; readings.len()];
        for (at, edge) in edges(readings) {
            for number in self.excused.may_start(edge) {
                let found = self.exceptions[number].find(&Text { readings, excused: &[] }, at, edge);
                for (from, to) in found.into_iter().flat_map(|(path, _)| path) {
                    excused[from..to].fill(true);
                }
            }
        }
        excused
    }
}

fn edges(readings: &[Vec<Edge>]) -> impl Iterator<Item = (usize, &Edge)> {
    readings.iter().enumerate().flat_map(|(at, edges)| edges.iter().map(move |edge| (at, edge)))
}

/// A lexicon in files, which are read again when they change.
pub struct LexiconFiles {
    /// None: the built-in one.
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    lexicon: Arc<Lexicon>,
    files: Files,
    looked: Instant,
}

/// Names, sizes and times of change.
type Files = Vec<(PathBuf, u64, Option<SystemTime>)>;

impl From<Lexicon> for LexiconFiles {
    fn from(lexicon: Lexicon) -> Self {
        let state = State { lexicon: Arc::new(lexicon), files: Files::new(), looked: Instant::now() };
        Self { folder: None, state: Mutex::new(state) }
    }
}

impl LexiconFiles {
    /// Read all `*.toml` files of a folder, or take the built-in lexicon.
    pub fn open(folder: Option<&Path>) -> Result<Self, String> {
        let Some(folder) = folder else { return Ok(Lexicon::built_in()?.into()) };
        let files = list(folder)?;
        let state = State { lexicon: Arc::new(load(&files)?), files, looked: Instant::now() };
        Ok(Self { folder: Some(folder.to_owned()), state: Mutex::new(state) })
    }

    /// The lexicon as the files have it now.
    fn current(&self) -> Arc<Lexicon> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = &self.folder else { return state.lexicon.clone() };
        if state.looked.elapsed() < LOOK {
            return state.lexicon.clone();
        }
        state.looked = Instant::now();
        match list(folder) {
            Ok(files) if files == state.files => {}
            Ok(files) => {
                match load(&files) {
                    Ok(lexicon) => {
                        tracing::info!(terms = lexicon.terms.len(), "the lexicon was read again");
                        state.lexicon = Arc::new(lexicon);
                    }
                    Err(error) => tracing::error!(error, "the lexicon cannot be read; the one before stays"),
                }
                // A broken file is told about once.
                state.files = files;
            }
            Err(error) => tracing::error!(error, "the lexicon cannot be read; the one before stays"),
        }
        state.lexicon.clone()
    }
}

fn list(folder: &Path) -> Result<Files, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let meta = std::fs::metadata(&path).map_err(failed)?;
            files.push((path, meta.len(), meta.modified().ok()));
        }
    }
    if files.is_empty() {
        return Err(format!("{}: no *.toml files", folder.display()));
    }
    files.sort();
    Ok(files)
}

fn load(files: &Files) -> Result<Lexicon, String> {
    let read = |(path, ..): &(PathBuf, u64, Option<SystemTime>)| {
        let name = path.display().to_string();
        std::fs::read_to_string(path).map(|text| (name.clone(), text)).map_err(|error| format!("{name}: {error}"))
    };
    let texts = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Lexicon::parse(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

#[async_trait]
impl Moderator for LexiconFiles {
    fn name(&self) -> &'static str {
        "lexicon"
    }

    async fn review(&self, texts: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable> {
        let lexicon = self.current();
        let mut findings = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let found = if text.len() > LONG {
                let (lexicon, text) = (lexicon.clone(), (*text).to_owned());
                tokio::task::spawn_blocking(move || lexicon.find(&text))
                    .await
                    .map_err(|error| Unavailable { link: "lexicon", why: error.to_string() })?
            } else {
                lexicon.find(text)
            };
            findings.extend(found.into_iter().map(|finding| (i, finding)));
        }
        Ok(findings)
    }

    fn categories(&self) -> Vec<String> {
        self.current().categories.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexicon(terms: &[(&str, &[&str])]) -> Lexicon {
        let file = terms
            .iter()
            .map(|(category, terms)| ((*category).to_owned(), terms.iter().map(|term| (*term).to_owned()).collect()));
        Lexicon::new(&[file.collect()]).unwrap()
    }

    fn categories(lexicon: &Lexicon, text: &str) -> Vec<String> {
        lexicon.find(text).into_iter().map(|finding| finding.category).collect()
    }

    #[test]
    fn terms_are_found_as_whole_words_in_any_case_and_language() {
        let lexicon = lexicon(&[("weapons", &["Pipe bomb", "взрывчатк*"]), ("gore", &["ass"])]);
        for (text, want) in [
            ("how to draw a PIPE-BOMB", vec!["weapons"]),
            ("ВЗРЫВЧАТКА на столе", vec!["weapons"]),
            ("a pipe and a bomb", vec![]),
            ("a classic glass assembly", vec![]),
        ] {
            assert_eq!(categories(&lexicon, text), want, "{text}");
        }
    }

    #[test]
    fn disguises_are_taken_off() {
        let lexicon = lexicon(&[("x", &["teapot", "чайник", "cup!"])]);
        for text in [
            "tеаpоt",
            "t3ap0t",
            "t.e.a.p.o.t",
            "t e a p o t",
            "te\u{200b}apot",
            "teeeapot",
            "ｔｅａｐｏｔ",
            "𝐭𝐞𝐚𝐩𝐨𝐭",
            "TeApOt",
            "t*apot",
            "chainik",
            "чaйник",
            "ча1ник",
            "ч а й н и к",
            "c u p",
            "cu p",
            "cuuuup",
            "te\u{336}apot",
        ] {
            assert_eq!(categories(&lexicon, text), ["x"], "{text}");
        }
        for text in ["tea pots", "steapot", "t e a", "cupola", "4 cups", "tea-party"] {
            assert_eq!(categories(&lexicon, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn phrases_may_have_words_between_and_exceptions_excuse() {
        let lexicon =
            lexicon(&[("x", &["boil .. egg*", "salt <> pepper"]), ("except", &["pepper mill", "quail egg*"])]);
        for (text, want) in [
            ("boil the small white eggs", 1),
            ("boil the one small little white egg", 0),
            ("eggs to boil", 0),
            ("pepper, salt", 1),
            ("boil quail eggs", 0),
            ("boil some eggs", 1),
            ("pepper mill and quail eggs", 0),
            // A word that is explained is no part of anything else.
            ("boil one mill and quail eggs", 0),
            ("boil quail eggs and eggs", 1),
        ] {
            assert_eq!(categories(&lexicon, text).len(), want, "{text}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "x = [\"teapot\"]").unwrap();
        let files = LexiconFiles::open(Some(folder.path())).unwrap();
        let look_again = || files.state.lock().unwrap().looked = Instant::now().checked_sub(LOOK).unwrap();
        assert_eq!(files.current().find("a teapot").len(), 1);
        std::fs::write(&path, "x = [\"saucer\", \"cup\"]").unwrap();
        look_again();
        assert_eq!((files.current().find("a teapot").len(), files.current().find("a cup").len()), (0, 1));
        std::fs::write(&path, "x = [\"two words in ** one\"]").unwrap();
        look_again();
        assert_eq!(files.current().find("a cup").len(), 1);
        assert!(LexiconFiles::open(Some(folder.path())).is_err());
    }
}
