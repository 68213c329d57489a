//! `kandinsky keys`: who may use a server.
//!
//! Invariant: a key is printed once, when it is created; it is not stored, so it cannot be shown again.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};
use secrecy::ExposeSecret as _;

use super::error::CommandError;
use super::print::{print, print_line};
use crate::app;
use crate::auth::{NewKey, read_given};
use crate::config::{Config, Overrides};
use crate::domain::Priority;
use crate::records::{ApiKey, KeyDigest, KeyLimits, Scope};

/// Create, list and revoke API keys.
#[derive(Args)]
pub(super) struct Keys {
    /// A configuration file; config/default.toml lists every key.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Folder of the database and of images [default: ./data].
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a key and print it, once. A running server accepts it immediately.
    Create(Box<Create>),
    /// List all keys, without their secrets.
    List,
    /// Revoke a key permanently. A running server rejects it within seconds, and cancels its jobs.
    Revoke {
        /// As `list` shows it: the part of the key between the underscores.
        id: String,
        /// Let its jobs that are queued or running go on. Otherwise a running server cancels them within seconds.
        #[arg(long)]
        keep_jobs: bool,
    },
}

#[derive(Args)]
struct Create {
    /// Take the key from this file in place of a random one: at least 32 random characters, or what `create` printed
    /// elsewhere. It is not printed, and one that is there already is no error.
    #[arg(long, value_name = "FILE", conflicts_with = "from_env")]
    from_file: Option<PathBuf>,
    /// Take the key from this variable of the environment.
    #[arg(long, value_name = "VARIABLE")]
    from_env: Option<String>,
    /// A name for lists.
    #[arg(long, default_value = "", value_parser = short_text)]
    name: String,
    /// What it may do: generate (all modes), a mode such as text-to-image, metrics, or admin (everything, and the jobs of
    /// all keys). May be repeated [default: generate].
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// Requests a minute of any kind, to a server or to a whole fleet; also the size of a burst [default: no limit].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Jobs queued or running at once, on a server or in a whole fleet [default: no limit].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Images a day (UTC) [default: no limit].
    #[arg(long, alias = "daily-pictures", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    daily_images: Option<u32>,
    /// The highest priority that it may request: high, normal or low.
    #[arg(long, value_name = "PRIORITY", default_value = "high")]
    max_priority: Priority,
    /// The moderation policy of its prompts and images [default: the server's].
    #[arg(long, value_name = "NAME", value_parser = short_text)]
    moderation_policy: Option<String>,
    /// How long it is valid, such as 90d or 12h, or until when (UTC), such as 2030-01-31 [default: until it is revoked].
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    expires: Option<Timestamp>,
}

fn short_text(text: &str) -> Result<String, String> {
    if text.len() <= 100 && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err("must be one line of at most 100 bytes".to_owned())
}

/// A time to come: a span from now, a day, or a point in time.
fn expiry(text: &str) -> Result<Timestamp, String> {
    let after = |span: Span| {
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Timestamp::now().checked_add(duration).ok()
    };
    let day = |day: Date| day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).ok();
    let at = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<Date>().ok().and_then(day))
        .or_else(|| text.parse::<Span>().ok().and_then(after));
    match at {
        Some(at) if at > Timestamp::now() => Ok(at),
        Some(_) => Err("must be in the future".to_owned()),
        None => Err("must be a time such as 90d, 12h, 2030-01-31 or 2030-01-31T12:00:00Z".to_owned()),
    }
}

impl Keys {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let overrides = Overrides { data: self.data, ..Overrides::default() };
        let config = Config::load(self.config.as_deref(), &overrides)?;
        let store = app::keys::open(&config).await?;
        let now = Timestamp::now().as_millisecond();
        match self.command {
            Command::Create(create) => {
                let place = app::keys::place(&config);
                if let Some((id, digest)) = create.given()? {
                    if let Some((known, kept)) = store.find_key(&id).await? {
                        if kept != digest {
                            return Err(CommandError::Failed(anyhow::anyhow!("another key has the id {id}")));
                        }
                        if !known.is_good(now) {
                            return Err(CommandError::Failed(anyhow::anyhow!(
                                "the key {id} was revoked or has expired"
                            )));
                        }
                        eprintln!("the key {id} is in {place} already, and stays as it is");
                        return Ok(());
                    }
                    store.insert_key(&create.key(id.clone(), now), &digest).await?;
                    eprintln!("took the key {id} into {place}");
                } else {
                    let secret =
                        NewKey::generate().map_err(|error| anyhow::anyhow!(error)).context("no random numbers")?;
                    let key = create.key(secret.id, now);
                    store.insert_key(&key, &secret.digest).await?;
                    eprintln!("made the key {} in {place}; keep what follows, it is not shown again", key.id);
                    writeln!(std::io::stdout(), "{}", secret.text.expose_secret())
                        .with_context(|| format!("it could not be printed; revoke it with `keys revoke {}`", key.id))?;
                }
            }
            Command::List => {
                let given = app::keys::given_keys(&config).unwrap_or_else(|message| {
                    eprintln!("warning: {message}");
                    Vec::new()
                });
                let mut kept = store.list_keys().await?;
                kept.retain(|key| given.iter().all(|given| given.id != key.id));
                print(table(&kept, &given, now))?;
            }
            Command::Revoke { id, keep_jobs } => {
                if app::keys::given_keys(&config).is_ok_and(|given| given.iter().any(|key| key.id == id)) {
                    return Err(CommandError::Failed(anyhow::anyhow!(
                        "the key {id} is good as long as it is in the file of auth.keys_file: take it out there, and start the \
                         servers again"
                    )));
                }
                if keep_jobs {
                    store.keep_jobs(&id).await?;
                }
                if !store.revoke_key(&id, now).await? {
                    return Err(CommandError::Failed(anyhow::anyhow!(
                        "there is no key {id}; `kandinsky keys list` shows them"
                    )));
                }
                print_line(format_args!("revoked the key {id}"))?;
            }
        }
        Ok(())
    }
}

impl Create {
    /// The key that was given, if one was: its id and digest.
    fn given(&self) -> Result<Option<(String, KeyDigest)>, CommandError> {
        let (source, text) = match (&self.from_file, &self.from_env) {
            (Some(file), _) => (file.display().to_string(), std::fs::read_to_string(file).context("cannot be read")),
            (None, Some(name)) => (name.clone(), std::env::var(name).context("is not set, or not text")),
            (None, None) => return Ok(None),
        };
        let given = text.and_then(|text| read_given(text.trim()).map_err(|message| anyhow::anyhow!(message)));
        given.map(Some).map_err(|error| CommandError::Usage(error.context(source)))
    }

    fn key(self, id: String, now: i64) -> ApiKey {
        let mut scopes: BTreeSet<Scope> = self.scopes.into_iter().collect();
        if scopes.is_empty() {
            scopes.insert(Scope::Generate);
        }
        ApiKey {
            id,
            name: self.name,
            scopes,
            limits: KeyLimits {
                rate: self.rate,
                concurrency: self.concurrency,
                daily_images: self.daily_images,
                max_priority: self.max_priority,
            },
            moderation_policy: self.moderation_policy,
            created_at: now,
            expires_at: self.expires.map(Timestamp::as_millisecond),
            last_used_at: None,
            revoked_at: None,
        }
    }
}

const HEAD: [&str; 7] = ["ID", "NAME", "SCOPES", "LIMITS", "CREATED", "LAST USED", "STATE"];

/// A line a key: those of the database, and those of `auth.keys_file`, of which nothing is recorded.
fn table(keys: &[ApiKey], given: &[ApiKey], now: i64) -> String {
    let head = std::iter::once(HEAD.map(str::to_owned));
    let rows = head.chain(keys.iter().map(|key| row(key, now))).chain(given.iter().map(given_row));
    let rows: Vec<[String; 7]> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn given_row(key: &ApiKey) -> [String; 7] {
    let [id, name, scopes, limits, ..] = row(key, 0);
    [id, name, scopes, limits, "-".to_owned(), "-".to_owned(), "good (auth.keys_file)".to_owned()]
}

fn row(key: &ApiKey, now: i64) -> [String; 7] {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", minute(at)),
        (None, Some(at)) if at <= now => format!("expired {}", minute(at)),
        (None, Some(at)) => format!("good until {}", minute(at)),
        (None, None) => "good".to_owned(),
    };
    [
        key.id.clone(),
        or_dash(key.name.clone()),
        scopes.join(","),
        or_dash(limits(key)),
        minute(key.created_at),
        key.last_used_at.map_or_else(|| "never".to_owned(), minute),
        state,
    ]
}

fn limits(key: &ApiKey) -> String {
    let KeyLimits { rate, concurrency, daily_images, max_priority } = key.limits;
    let parts = [
        rate.map(|n| format!("{n}/min")),
        concurrency.map(|n| format!("{n} at once")),
        daily_images.map(|n| format!("{n} images/day")),
        (max_priority < Priority::High).then(|| format!("priority {}", max_priority.name())),
        key.moderation_policy.as_ref().map(|name| format!("policy {name}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// To the minute, UTC.
fn minute(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|at| at.strftime("%Y-%m-%dT%H:%MZ").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_expire_after_a_while_or_on_a_day() {
        for (text, hours) in [("12h", 12), ("90d", 90 * 24), ("1d12h", 36)] {
            let seconds = expiry(text).unwrap().as_second() - Timestamp::now().as_second();
            assert!((hours * 3600 - 5..=hours * 3600).contains(&seconds), "{text}: {seconds}");
        }
        assert_eq!(expiry("2100-01-31").unwrap().to_string(), "2100-01-31T00:00:00Z");
        assert_eq!(expiry("2100-01-31T12:00:00Z").unwrap().to_string(), "2100-01-31T12:00:00Z");
        for wrong in ["", "soon", "-5d", "2001-01-01", "99999999999999d"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }
}
