//! The line in the log of a request that is refused.
//!
//! Invariant: it says what was refused and why, and nothing of what the request contains: fields by name, never by value.

use crate::http::error::kind::ProblemKind;
use crate::http::error::problem::Problem;
use crate::http::log_rate::LogRate;

/// Of refusals that any client can cause without a key or a body.
static CHEAP: LogRate = LogRate::per_second(5);
/// Of all others.
static OTHERS: LogRate = LogRate::per_second(50);

/// Most fields that are named, and most bytes of a name: a client may make up names.
const MAX_FIELDS: usize = 8;
const MAX_NAME: usize = 60;

/// Log a refusal: in the span of its request, which has the id, the key, the method and the route.
pub(super) fn log_refusal(problem: &Problem) {
    let rate = match problem.kind() {
        // These have a line of their own, with the key's id and the client's address.
        ProblemKind::InvalidKey => return,
        ProblemKind::KeyMissing | ProblemKind::NotFound | ProblemKind::MethodNotAllowed | ProblemKind::RateLimit => {
            &CHEAP
        }
        _ => &OTHERS,
    };
    let Some(suppressed) = rate.allow() else { return };
    let (status, kind, fields) = (problem.status().as_u16(), problem.kind().name(), fields(problem));
    if problem.status().is_server_error() {
        tracing::warn!(http.status = status, problem.kind = kind, log.suppressed = suppressed, "refused");
    } else {
        tracing::info!(
            http.status = status,
            problem.kind = kind,
            problem.fields = fields,
            log.suppressed = suppressed,
            "refused"
        );
    }
}

/// The names of the fields at fault.
fn fields(problem: &Problem) -> String {
    let is_name =
        |name: &str| name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/.".contains(&b));
    let names = problem.errors().iter().take(MAX_FIELDS).map(|error| error.pointer.as_str());
    names.map(|name| if is_name(name) { name } else { "(another)" }).collect::<Vec<_>>().join(" ")
}
