//! Ids: of one repository of the hub, and of the three that make up a Kandinsky 2.1 family.
//!
//! Invariant: a [`RepoId`] is safe to use as a folder name and in a URL path.

use std::fmt;

use super::error::HubError;

/// The hub's own limit on the length of an id.
const LONGEST_ID: usize = 96;
const PRIOR: &str = "-prior";
const INPAINT: &str = "-inpaint";

/// One repository: `owner/name`, or `name` alone for the hub's oldest ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RepoId(String);

impl RepoId {
    /// The id, if it is one.
    pub(super) fn parse(id: &str) -> Result<Self, HubError> {
        let wrong = |reason| HubError::InvalidId { id: id.to_owned(), reason };
        if id.len() > LONGEST_ID {
            return Err(wrong("it is longer than 96 characters"));
        }
        if id.split('/').count() > 2 {
            return Err(wrong("it has more than one slash"));
        }
        for part in id.split('/') {
            if part.is_empty() {
                return Err(wrong("it has an empty part"));
            }
            if !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                return Err(wrong("only letters, digits, '-', '_' and '.' are allowed"));
            }
            // `--` separates owner and name in the cache's folder names.
            if part.contains("--") || part.contains("..") || part.starts_with(['-', '.']) || part.ends_with(['-', '.'])
            {
                return Err(wrong("'-' and '.' may neither be doubled nor stand at an end"));
            }
        }
        Ok(Self(id.to_owned()))
    }

    /// The parts between the slashes, for URLs and folder names.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last part, which is enough to tell the repositories of a family apart.
    pub(super) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The three repositories that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FamilyId {
    prior: RepoId,
    main: RepoId,
    inpaint: RepoId,
}

impl FamilyId {
    /// Takes the id of any of the three.
    pub(super) fn parse(id: &str) -> Result<Self, HubError> {
        let stem = id.strip_suffix(PRIOR).or_else(|| id.strip_suffix(INPAINT)).unwrap_or(id);
        Ok(Self {
            prior: RepoId::parse(&format!("{stem}{PRIOR}"))?,
            main: RepoId::parse(stem)?,
            inpaint: RepoId::parse(&format!("{stem}{INPAINT}"))?,
        })
    }

    pub(super) fn prior(&self) -> &RepoId {
        &self.prior
    }

    pub(super) fn main(&self) -> &RepoId {
        &self.main
    }

    pub(super) fn inpaint(&self) -> &RepoId {
        &self.inpaint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_member_names_the_family() {
        let family = FamilyId::parse("kandinsky-community/kandinsky-2-1").unwrap();
        assert_eq!(family.prior().to_string(), "kandinsky-community/kandinsky-2-1-prior");
        assert_eq!(family.main().to_string(), "kandinsky-community/kandinsky-2-1");
        assert_eq!(family.inpaint().to_string(), "kandinsky-community/kandinsky-2-1-inpaint");
        for member in ["kandinsky-community/kandinsky-2-1-prior", "kandinsky-community/kandinsky-2-1-inpaint"] {
            assert_eq!(FamilyId::parse(member).unwrap(), family);
        }
    }

    #[test]
    fn ids_that_are_paths_are_refused() {
        for id in
            ["", "/", "../x", "a/..", "a/b/c", "a//b", "a\\b", "a/b?c", "-prior", "a--b/c", "a/b\0", "https://x/y"]
        {
            assert!(matches!(FamilyId::parse(id), Err(HubError::InvalidId { .. })), "{id:?} was accepted");
        }
    }
}
