//! What this process has used of the processor: on a machine that others use, too, the only measure that means something.

/// Seconds that all threads have computed, in user and system mode; `None` where the system does not say.
pub(super) fn processor_seconds() -> Option<f64> {
    /// Clock ticks a second, on every Linux that there is.
    const TICKS: f64 = 100.0;
    let line = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process, in brackets, may have spaces.
    let mut fields = line.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS)
}
