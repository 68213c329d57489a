//! Server-sent events, read from bytes as they come.
//!
//! Invariant: an event is given once it is complete, however its bytes were cut.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerEvent {
    pub name: String,
    pub id: Option<String>,
    pub data: String,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub(super) struct SseReader {
    /// Bytes after the last line's end.
    rest: Vec<u8>,
    event: ServerEvent,
}

impl SseReader {
    /// Read more bytes: the events that are complete now.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.rest.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.rest);
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    events.push(event);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event.name),
                "id" => self.event.id = Some(value.to_owned()),
                "data" => {
                    if !self.event.data.is_empty() {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                // Comments keep the connection open; `retry` is the client's to choose here.
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_they_are_cut() {
        let stream = ": hello\n\nevent: queued\nid: 7\ndata: {\"a\":\ndata: 1}\r\n\r\nevent: progress\ndata:x\n\n";
        let want = [
            ServerEvent { name: "queued".to_owned(), id: Some("7".to_owned()), data: "{\"a\":\n1}".to_owned() },
            ServerEvent { name: "progress".to_owned(), id: None, data: "x".to_owned() },
        ];
        for cut in 1..stream.len() {
            let mut reader = SseReader::default();
            let mut events = Vec::new();
            for part in stream.as_bytes().chunks(cut) {
                events.extend(reader.read(part));
            }
            assert_eq!(events, want, "in parts of {cut}");
        }
    }
}
