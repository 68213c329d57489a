//! Samplers and noise schedules by the names of AUTOMATIC1111's API.
//!
//! Invariant: which there are is the table of `schedulers`; a name that is not in it is refused, not replaced.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::responses::WebuiErrors;
use crate::domain::Violation;
use crate::schedulers::{self, SchedulerInfo};

/// What stands for "the program's own choice".
const OWN_CHOICE: [&str; 4] = ["", "automatic", "default", "none"];
/// Schedules whose steps are evenly spaced in training time.
const EVEN: [&str; 5] = ["uniform", "normal", "simple", "sgm_uniform", "sgm uniform"];
const KARRAS: &str = "karras";
/// The names of schedules, as they are listed.
const SCHEDULES: [(&str, &str); 3] = [("automatic", "Automatic"), ("uniform", "Uniform"), (KARRAS, "Karras")];

/// A sampler.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SamplerItem {
    #[schema(example = "DPM++ 2M")]
    name: &'static str,
    aliases: Vec<&'static str>,
    /// Always empty.
    #[schema(value_type = Object)]
    options: serde_json::Map<String, serde_json::Value>,
}

/// A noise schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchedulerItem {
    #[schema(example = "karras")]
    name: &'static str,
    #[schema(example = "Karras")]
    label: &'static str,
}

/// List the samplers.
#[utoipa::path(get, path = "/sdapi/v1/samplers", tag = "automatic1111", responses(
    (status = 200, description = "The names for sampler_name", body = Vec<SamplerItem>),
    WebuiErrors,
))]
pub(crate) async fn list_samplers() -> Json<Vec<SamplerItem>> {
    let item = |info: &SchedulerInfo| SamplerItem {
        name: info.label,
        aliases: vec![info.name],
        options: serde_json::Map::default(),
    };
    Json(schedulers::selectable().map(item).collect())
}

/// List the noise schedules.
#[utoipa::path(get, path = "/sdapi/v1/schedulers", tag = "automatic1111", responses(
    (status = 200, description = "The names for scheduler", body = Vec<SchedulerItem>),
    WebuiErrors,
))]
pub(crate) async fn list_schedulers() -> Json<Vec<SchedulerItem>> {
    Json(SCHEDULES.map(|(name, label)| SchedulerItem { name, label }).into())
}

/// The scheduler of a sampler's name and a schedule's; `None`: the model's own.
pub(crate) fn find_scheduler(
    sampler: Option<&str>,
    schedule: Option<&str>,
) -> Result<Option<&'static SchedulerInfo>, Violation> {
    let is_own = |name: &str| OWN_CHOICE.contains(&name);
    let (sampler, schedule) = (sampler.map(plain).unwrap_or_default(), schedule.map(plain).unwrap_or_default());
    let info = if is_own(&sampler) {
        None
    } else {
        let known = || schedulers::selectable().map(|info| info.label).collect::<Vec<_>>().join(", ");
        let found = schedulers::find_by_label(&sampler);
        Some(found.ok_or_else(|| violation("/sampler_name", format!("must be one of {}", known())))?)
    };
    let karras = match schedule.as_str() {
        own if is_own(own) => return Ok(info),
        KARRAS => true,
        even if EVEN.contains(&even) => false,
        _ => {
            let known = SCHEDULES.map(|(_, label)| label).join(", ");
            return Err(violation("/scheduler", format!("must be one of {known}")));
        }
    };
    match info {
        Some(info) => match schedulers::find_sibling(info, karras) {
            Some(sibling) => Ok(Some(sibling)),
            None => Err(violation("/scheduler", format!("the sampler {} has no Karras schedule", info.label))),
        },
        None if karras => Err(violation("/scheduler", "Karras needs a sampler_name".to_owned())),
        None => Ok(None),
    }
}

/// A name without what writers differ in.
fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

fn violation(pointer: &str, message: String) -> Violation {
    Violation { pointer: pointer.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sampler: &str, schedule: &str) -> Option<&'static str> {
        find_scheduler(Some(sampler), Some(schedule)).unwrap().map(|info| info.name)
    }

    #[test]
    fn a_sampler_and_a_schedule_name_one_scheduler() {
        for (sampler, schedule, name) in [
            ("Euler a", "automatic", Some("euler_a")),
            ("DPM++ 2M Karras", "", Some("dpmpp_2m_karras")),
            ("DPM++ 2M", "Karras", Some("dpmpp_2m_karras")),
            ("DPM++ 2M", "Automatic", Some("dpmpp_2m")),
            ("DPM++ 2M Karras", "Uniform", Some("dpmpp_2m")),
            ("Euler", "karras", Some("euler_karras")),
            ("DDIM", "normal", Some("ddim")),
            ("Automatic", "normal", None),
            ("", "", None),
        ] {
            assert_eq!(found(sampler, schedule), name, "{sampler} {schedule}");
        }
        assert!(find_scheduler(None, None).unwrap().is_none());
    }

    #[test]
    fn what_there_is_not_is_refused() {
        for (sampler, schedule, pointer) in [
            ("DPM++ SDE Karras", "", "/sampler_name"),
            ("Euler a", "Karras", "/scheduler"),
            ("Euler", "Exponential", "/scheduler"),
            ("", "Karras", "/scheduler"),
        ] {
            let refused = find_scheduler(Some(sampler), Some(schedule)).unwrap_err();
            assert_eq!(refused.pointer, pointer, "{sampler} {schedule}: {}", refused.message);
        }
    }
}
