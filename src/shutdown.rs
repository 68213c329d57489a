//! When to stop: Ctrl-C, SIGTERM as container engines send it, or SIGHUP as a terminal sends it that is closed.
//!
//! Invariant: no signal that can be caught ends the process before it has put its jobs in order.

/// Resolves when the process is asked to stop.
pub async fn requested() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminated() => {}
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::SignalKind;

    // Under `nohup`, the terminal's end is to be ignored.
    let hangup = async {
        if is_ignored(SignalKind::hangup()) {
            std::future::pending::<()>().await;
        }
        received(SignalKind::hangup()).await;
    };
    // They mean nothing here, and would end the process.
    let meaningless = async {
        loop {
            tokio::select! {
                () = received(SignalKind::user_defined1()) => {}
                () = received(SignalKind::user_defined2()) => {}
                () = received(SignalKind::alarm()) => {}
            }
        }
    };
    tokio::select! {
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::quit()) => {}
        () = hangup => {}
        () = meaningless => {}
    }
}

#[cfg(unix)]
async fn received(kind: tokio::signal::unix::SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
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
