//! The table of schedulers: a line each.
//!
//! Invariant: names are unique.

use super::info::SchedulerInfo;
use super::{ddim, ddpm, dpmpp_2m, euler, euler_ancestral, unclip, unipc};
use crate::domain::Scheduler;

/// All schedulers, in the order in which they are listed to users.
pub(super) static SCHEDULERS: [&SchedulerInfo; 9] = [
    &ddim::DDIM,
    &ddpm::DDPM,
    &dpmpp_2m::DPMPP_2M,
    &dpmpp_2m::DPMPP_2M_KARRAS,
    &euler::EULER,
    &euler::EULER_KARRAS,
    &euler_ancestral::EULER_ANCESTRAL,
    &unipc::UNIPC,
    &unclip::UNCLIP,
];

/// The schedulers that requests can choose from.
pub fn selectable() -> impl Iterator<Item = &'static SchedulerInfo> {
    SCHEDULERS.into_iter().filter(|info| info.selectable)
}

/// Their names.
#[must_use]
pub fn names() -> Vec<&'static str> {
    selectable().map(|info| info.name).collect()
}

/// The scheduler of this name that requests can choose; `None` if there is no such scheduler.
#[must_use]
pub fn find(name: &str) -> Option<&'static SchedulerInfo> {
    selectable().find(|info| info.name == name)
}

/// A name from outside, checked. The error says which names there are.
pub fn parse(name: &str) -> Result<Scheduler, String> {
    find(name).map(SchedulerInfo::scheduler).ok_or_else(|| format!("must be one of {}", names().join(", ")))
}

/// The scheduler of a name as people write it: the one in requests or the shown one, whatever its case and punctuation, such as
/// `DPM++ 2M Karras` or `k_euler_a`.
#[must_use]
pub fn find_by_label(label: &str) -> Option<&'static SchedulerInfo> {
    let wanted = fold(label);
    selectable().find(|info| fold(info.name) == wanted || fold(info.label) == wanted)
}

/// A scheduler's name without what writers differ in.
fn fold(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase().replace("++", "pp").replace("ancestral", "a");
    let name = name.strip_prefix("k_").unwrap_or(&name);
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The same sampler with, or without, the sigmas of Karras et al.; `None` if requests cannot choose that.
#[must_use]
pub fn find_sibling(info: &SchedulerInfo, karras: bool) -> Option<&'static SchedulerInfo> {
    selectable().find(|other| other.class == info.class && other.needs_karras() == karras)
}

/// The scheduler that a class of diffusers is with its default configuration.
#[must_use]
pub fn find_by_class(class: &str) -> Option<&'static SchedulerInfo> {
    selectable().find(|info| info.class == class && !info.needs_karras())
}

/// The name here of a scheduler that other software calls differently: by diffusers' class, or as people write it
/// (`Euler a`, `DPM++ 2M Karras`). A name that is not known stays as it is.
#[must_use]
pub fn own_name(name: String) -> String {
    find_by_class(&name).or_else(|| find_by_label(&name)).map_or(name, |info| info.name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::schedulers::config::SchedulerConfig;
    use crate::schedulers::info::SamplerOptions;
    use crate::schedulers::unclip::UNCLIP;

    #[test]
    fn names_are_unique_and_read_back() {
        let unique: BTreeSet<&str> = SCHEDULERS.iter().map(|info| info.name).collect();
        assert_eq!(unique.len(), SCHEDULERS.len());
        assert!(selectable().all(|info| parse(info.name) == Ok(info.scheduler())));
        assert!(parse(UNCLIP.name).unwrap_err().starts_with("must be one of "));
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        for (written, name) in [
            ("Euler a", "euler_a"),
            ("k_euler_ancestral", "euler_a"),
            ("EULER", "euler"),
            ("DPM++ 2M", "dpmpp_2m"),
            ("dpm++_2m_karras", "dpmpp_2m_karras"),
            (" DPM++ 2M Karras ", "dpmpp_2m_karras"),
            ("DDIM", "ddim"),
            ("UniPC", "unipc"),
        ] {
            assert_eq!(find_by_label(written).map(|info| info.name), Some(name), "{written}");
        }
        for unknown in ["", "DPM++ SDE Karras", "Heun", "DPM++ 2M SDE", "unCLIP", "Euler b"] {
            assert_eq!(find_by_label(unknown), None, "{unknown}");
        }
        let euler = find("euler").unwrap();
        assert_eq!(find_sibling(euler, true).map(|info| info.name), Some("euler_karras"));
        assert_eq!(find_sibling(find("euler_a").unwrap(), true), None);
    }

    #[test]
    fn a_class_stands_for_its_plain_scheduler() {
        for info in selectable() {
            let found = find_by_class(info.class).unwrap();
            assert!(found.class == info.class && !found.needs_karras());
        }
        assert_eq!(find_by_class(UNCLIP.class), None);
    }

    #[test]
    fn a_configuration_names_one_scheduler() {
        for info in SCHEDULERS {
            let use_karras_sigmas = info.needs_karras();
            let config =
                SchedulerConfig { class_name: info.class.to_owned(), use_karras_sigmas, ..SchedulerConfig::default() };
            assert_eq!(config.info().unwrap(), info);
        }
    }

    #[test]
    fn samplers_say_whether_their_noise_levels_follow_karras() {
        for info in selectable() {
            for use_karras_sigmas in [false, true] {
                let config = SchedulerConfig { use_karras_sigmas, ..SchedulerConfig::default() };
                let sampler = config.sampler_of(info, 20, SamplerOptions::default()).unwrap();
                let (steps, first) = (sampler.timesteps(), sampler.timesteps()[0]);
                // Theirs come to low noise sooner.
                let is_low = steps[steps.len() * 3 / 4] < 0.15 * first;
                assert_eq!(sampler.follows_karras(), is_low, "{}: {steps:?}", info.name);
            }
        }
    }
}
