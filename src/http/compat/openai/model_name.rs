//! The names of models that clients of OpenAI's API send.
//!
//! Invariant: OpenAI's own names are aliases of the loaded model, which then answers as the model of that name does.

/// Prefixes of OpenAI's model names.
const ALIASES: [&str; 3] = ["dall-e", "gpt-image", "chatgpt-image"];
/// What routers such as LiteLLM put before a name.
const PROVIDER: &str = "openai/";
/// Longest prompts of OpenAI's models, characters, as its reference says.
const MAX_PROMPT_CHARS: [(&str, usize); 4] =
    [("dall-e-2", 1000), ("dall-e-3", 4000), ("gpt-image", 32_000), ("chatgpt-image", 32_000)];

/// The name that a request has for its model; `None`: it has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelName(Option<String>);

impl ModelName {
    pub(super) fn new(name: Option<String>) -> Self {
        Self(name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()))
    }

    /// The name without a provider.
    fn plain(&self) -> Option<&str> {
        self.0.as_deref().map(|name| name.strip_prefix(PROVIDER).unwrap_or(name))
    }

    /// The name, unless it is that of the loaded model or an alias of it.
    pub(super) fn unknown(&self, loaded: &str) -> Option<&str> {
        let sent = self.0.as_deref()?;
        let is_known = |name: &str| name == loaded || ALIASES.iter().any(|alias| name.starts_with(alias));
        let known = is_known(sent) || self.plain().is_some_and(is_known);
        (!known).then_some(sent)
    }

    /// Whether the model of this name answers with URLs unless it is told otherwise.
    pub(super) fn answers_url(&self) -> bool {
        self.plain().is_some_and(|name| name.starts_with("dall-e"))
    }

    /// The longest prompt of OpenAI's model of this name, characters.
    pub(super) fn max_prompt_chars(&self) -> Option<usize> {
        let name = self.plain()?;
        MAX_PROMPT_CHARS.into_iter().find_map(|(prefix, most)| name.starts_with(prefix).then_some(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_with_and_without_their_provider() {
        let unknown = |name: &str| ModelName::new(Some(name.to_owned())).unknown("kandinsky-mini").map(str::to_owned);
        for name in ["", " ", "kandinsky-mini", "openai/kandinsky-mini", "dall-e-3", "openai/gpt-image-1", "dall-e-2"] {
            assert_eq!(unknown(name), None, "{name}");
        }
        assert_eq!(unknown("midjourney"), Some("midjourney".to_owned()));
        assert_eq!(unknown("someone/kandinsky-mini"), Some("someone/kandinsky-mini".to_owned()));
        let owned = ModelName::new(Some("openai/model".to_owned()));
        assert_eq!(owned.unknown("openai/model"), None, "the id of a hub model may begin so");
    }
}
