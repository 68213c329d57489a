//! Log lines, as text for people or as one JSON object each.
//!
//! Invariant: a field has the same name in a JSON line as in the code.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use super::asked::Asked;
use super::settings::{LogFormat, LogSettings};

/// The library that signs images logs every step at the level info. Its failures come back as errors; a filter that names
/// the library takes precedence.
const QUIET: &str = "c2pa=off";

pub(super) fn layer<S, W>(settings: &LogSettings, writer: W) -> Result<Box<dyn Layer<S> + Send + Sync>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(format!("{QUIET},{}", settings.level)).map_err(|error| format!("log.level: {error}"))?;
    let filter = Asked(filter);
    // Colours are for people at a terminal, not for files.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(std::io::stderr().is_terminal());
    Ok(match settings.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        // Flat, so that a field has the same name in a query as in the code.
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(level: &str, format: LogFormat) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = layer(&LogSettings { level: level.to_owned(), format }, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _span = tracing::info_span!("request", request.id = "r1").entered();
            tracing::info!(job.id = 7, "job accepted");
            tracing::debug!("not shown");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_are_flat_and_name_the_span() {
        let text = written("info", LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "job accepted");
        assert_eq!(line["job.id"], 7);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["span"]["request.id"], "r1");
    }

    #[test]
    fn text_lines_are_filtered() {
        let text = written("warn", LogFormat::Text);
        assert!(text.is_empty(), "{text}");
        let text = written("info", LogFormat::Text);
        assert!(text.contains("job accepted") && !text.contains("not shown"), "{text}");
    }
}
