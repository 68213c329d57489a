//! Which letters stand for which: lookalikes between scripts, figures and signs for letters, Russian in Latin letters.
//!
//! Invariant: what is compared has been cleaned ([`super::reading::clean`]): lower case, without marks (so `й` is `и`, and
//! `ё` is `е`).

use unicode_security::confusable_detection::skeleton;

/// The Latin letter that a letter of another script looks like.
pub(super) fn latin(letter: char) -> Option<char> {
    Some(match letter {
        'a'..='z' => letter,
        'г' => 'r',
        'и' | 'п' => return Some(if letter == 'и' { 'u' } else { 'n' }),
        'в' | 'ь' => 'b',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'н' | 'η' | 'π' => 'n',
        'т' | 'τ' => 't',
        'у' | 'υ' | 'μ' => {
            if letter == 'у' {
                'y'
            } else {
                'u'
            }
        }
        'х' | 'χ' => 'x',
        'α' => 'a',
        'ε' | 'є' => 'e',
        'δ' => 'd',
        'σ' | 'ο' | 'о' | 'θ' => 'o',
        'ω' => 'w',
        'λ' => 'l',
        'ρ' => 'p',
        'ν' => 'v',
        'γ' => 'y',
        'ι' => 'i',
        'ζ' => 'z',
        'ᴜ' => 'u',
        _ if letter.is_ascii() => return None,
        _ => {
            // Unicode's table of lookalikes (UTS 39), where it leads to a letter.
            let mut like = skeleton(letter.encode_utf8(&mut [0; 4]))
                .map(|c| c.to_ascii_lowercase())
                .collect::<Vec<_>>()
                .into_iter();
            match (like.next(), like.next()) {
                (Some(first), None) if first.is_ascii_lowercase() => first,
                _ => return small_capital(letter),
            }
        }
    })
}

/// Small capitals that the table does not have.
fn small_capital(letter: char) -> Option<char> {
    const SMALL: &str = "ᴀaʙbᴄcᴅdᴇeꜰfɢgʜhɪiᴊjᴋkʟlᴍmɴnᴏoᴘpǫqʀrꜱsᴛtᴜuᴠvᴡwʏyᴢz";
    let mut pairs = SMALL.chars();
    while let (Some(small), Some(plain)) = (pairs.next(), pairs.next()) {
        if small == letter {
            return Some(plain);
        }
    }
    None
}

/// The Russian letter that a letter of another script looks like.
pub(super) fn russian(letter: char) -> Option<char> {
    Some(match letter {
        'а'..='я' => letter,
        'a' | 'α' => 'а',
        'b' => 'в',
        'c' | 'ѕ' | 's' => 'с',
        'e' | 'ε' | 'є' => 'е',
        'h' => 'н',
        'i' | 'u' | 'і' | 'ι' | 'υ' => 'и',
        'k' | 'κ' => 'к',
        'm' => 'м',
        'n' | 'π' => 'п',
        'o' | 'ο' | 'σ' => 'о',
        'p' | 'ρ' => 'р',
        'r' | 'ґ' => 'г',
        't' | 'τ' => 'т',
        'x' | 'χ' => 'х',
        'y' | 'γ' => 'у',
        _ => return None,
    })
}

/// Letters that a figure or a sign may stand for; the one it most often does comes first.
pub(super) fn leet(sign: char) -> &'static [char] {
    match sign {
        '0' => &['o', 'о'],
        '1' | '!' | '|' => &['i', 'l', 'и'],
        '3' => &['e', 'е', 'з'],
        '4' => &['a', 'а', 'ч'],
        '5' | '$' => &['s', 'с'],
        '6' => &['b', 'б', 'g'],
        '7' | '+' => &['t', 'т'],
        '8' => &['b', 'в'],
        '9' => &['g', 'д'],
        '@' => &['a', 'а'],
        '€' => &['e', 'е'],
        _ => &[],
    }
}

/// Letters drawn with several signs.
pub(super) const DRAWN: [(&str, &str); 5] = [("|\\/|", "m"), ("|\\|", "n"), ("\\/", "v"), ("/\\", "a"), ("()", "o")];

/// A Russian word in a spelling that all ways to write it in Latin letters share.
pub(super) fn romanised(word: &str) -> String {
    let mut out = String::new();
    for letter in word.chars() {
        let sound = match letter {
            'а' | 'я' => 'a',
            'б' => 'b',
            'в' => 'v',
            'г' => 'g',
            'д' => 'd',
            'е' | 'э' => 'e',
            'ж' => 'Z',
            'з' => 'z',
            'и' | 'ы' => 'i',
            'к' => 'k',
            'л' => 'l',
            'м' => 'm',
            'н' => 'n',
            'о' => 'o',
            'п' => 'p',
            'р' => 'r',
            'с' => 's',
            'т' => 't',
            'у' | 'ю' => 'u',
            'ф' => 'f',
            'х' => 'h',
            'ц' => 'c',
            'ч' => 'C',
            'ш' | 'щ' => 'S',
            _ => continue,
        };
        push_sound(&mut out, sound);
    }
    out
}

/// What Latin letters say if they are Russian, in the same spelling.
pub(super) fn romanised_latin(word: &str) -> String {
    /// Longest first.
    const SOUNDS: [(&str, char); 34] = [
        ("shch", 'S'),
        ("sch", 'S'),
        ("sh", 'S'),
        ("zh", 'Z'),
        ("ch", 'C'),
        ("kh", 'h'),
        ("ts", 'c'),
        ("tz", 'c'),
        ("yo", 'e'),
        ("jo", 'e'),
        ("a", 'a'),
        ("b", 'b'),
        ("v", 'v'),
        ("w", 'v'),
        ("g", 'g'),
        ("d", 'd'),
        ("e", 'e'),
        ("z", 'z'),
        ("i", 'i'),
        ("j", 'i'),
        ("y", 'i'),
        ("k", 'k'),
        ("q", 'k'),
        ("l", 'l'),
        ("m", 'm'),
        ("n", 'n'),
        ("o", 'o'),
        ("p", 'p'),
        ("r", 'r'),
        ("s", 's'),
        ("t", 't'),
        ("u", 'u'),
        ("f", 'f'),
        ("c", 'c'),
    ];
    let mut out = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let found = SOUNDS.iter().find(|(letters, _)| rest.starts_with(letters));
        let (length, sound) = match (found, first) {
            (Some((letters, sound)), _) => (letters.len(), Some(*sound)),
            (None, 'h' | 'x') => (1, Some('h')),
            (None, other) => (other.len_utf8(), None),
        };
        if let Some(sound) = sound {
            push_sound(&mut out, sound);
        }
        rest = &rest[length..];
    }
    out
}

/// `iya`, `ia` and `ya` are one, and so are `iy` and `y`.
fn push_sound(out: &mut String, sound: char) {
    if out.ends_with('i') && matches!(sound, 'a' | 'e' | 'i' | 'o' | 'u') {
        out.pop();
    }
    // `тс` is written as `ц` is.
    if out.ends_with('t') && sound == 's' {
        out.pop();
        return out.push('c');
    }
    out.push(sound);
}
