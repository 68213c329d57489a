//! When to stop: Ctrl-C, SIGTERM as container engines send it, or SIGHUP as a terminal sends it that is closed.
//!
//! Invariant: once it is listened to them, no signal that can be caught ends the process before it has put its jobs in order, and
//! none is missed that comes while nothing waits for it.

/// Requests to stop, from the moment on at which this was made.
pub struct StopSignals {
    #[cfg(unix)]
    streams: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl StopSignals {
    /// Begin to listen: what comes before this ends the process, so a process that has something to put in order does it
    /// first of all. Within a runtime.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        // They mean nothing here, and would end the process.
        for meaningless in [SignalKind::user_defined1(), SignalKind::user_defined2(), SignalKind::alarm()] {
            drop(signal(meaningless)?);
        }
        let mut kinds = vec![SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        // Under `nohup`, the terminal's end is to be ignored.
        if !is_ignored(SignalKind::hangup()) {
            kinds.push(SignalKind::hangup());
        }
        Ok(Self { streams: kinds.into_iter().map(signal).collect::<Result<_, _>>()? })
    }

    /// Resolves when the process is asked to stop, once each time. Can be dropped.
    pub async fn requested(&mut self) {
        std::future::poll_fn(|context| {
            let is_asked = self.streams.iter_mut().any(|stream| stream.poll_recv(context).is_ready());
            if is_asked { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
impl StopSignals {
    /// Begin to listen.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Resolves when the process is asked to stop, once each time. Can be dropped.
    pub async fn requested(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Whether the process was started so that it ignores this signal.
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    let bit = kind.as_raw_value().saturating_sub(1);
    ignored >> bit & 1 == 1
}
