//! Fields of AUTOMATIC1111's API that this server does not have.
//!
//! Invariant: a field with the value that means nothing is passed over; another one is refused where the image would be of
//! another kind without it, and reported otherwise.

use serde_json::{Map, Value};

use crate::domain::{Violations, Warning, WarningCode, excerpt};

/// Most names that one warning has.
const MAX_NAMES: usize = 12;

/// Fields that say nothing of the image: where it is to be saved, who asks, what belongs to another field.
const NOT_ABOUT_IMAGES: [&str; 14] = [
    "auth",
    "do_not_save_grid",
    "do_not_save_samples",
    "firstphase_height",
    "firstphase_width",
    "force_task_id",
    "image_cfg_scale",
    "override_settings_restore_afterwards",
    "s_tmax",
    "save_images",
    "script_args",
    "subseed",
    "url",
    "user",
];
/// Fields without which the image would be of another kind.
const NEEDED: [(&str, &str); 7] = [
    ("controlnet_units", "there is no ControlNet here"),
    ("init_images", "is for img2img"),
    ("infotext", "is not read; send the fields themselves"),
    ("latent_mask", "is not read; send a mask"),
    ("mask", "is for img2img"),
    ("refiner_checkpoint", "there is no refiner here"),
    ("tiling", "seamless tiles cannot be made"),
];
/// Values that mean nothing, beside false, 0 and what is empty.
const NEUTRAL: [(&str, &[f64]); 8] = [
    ("CLIP_stop_at_last_layers", &[1.0]),
    ("clip_skip", &[1.0]),
    ("eta", &[1.0]),
    ("initial_noise_multiplier", &[1.0]),
    ("refiner_switch_at", &[1.0]),
    ("s_noise", &[1.0]),
    ("seed_resize_from_h", &[-1.0]),
    ("seed_resize_from_w", &[-1.0]),
];
/// Texts that mean nothing.
const NEUTRAL_TEXTS: [&str; 4] = ["", "none", "automatic", "use same checkpoint"];

/// Refuse or report the fields in `others`; `place` is before their names: `/`, or `/override_settings/`.
pub(super) fn read_others(
    others: &Map<String, Value>,
    place: &str,
    violations: &mut Violations,
    warnings: &mut Vec<Warning>,
) {
    let mut ignored = Vec::new();
    let meant =
        others.iter().filter(|(name, value)| !NOT_ABOUT_IMAGES.contains(&name.as_str()) && !is_neutral(name, value));
    for (name, _) in meant {
        match NEEDED.iter().find(|(needed, _)| needed == name) {
            Some((_, message)) => violations.add(format!("{place}{name}"), *message),
            None => ignored.push(name.as_str()),
        }
    }
    let place = place.trim_end_matches('/');
    let warning = list_names("without effect here", ignored.into_iter())
        .map(|message| Warning::new(WarningCode::FieldIgnored, message));
    warnings.extend(warning.map(|warning| if place.is_empty() { warning } else { warning.at(place) }));
}

/// A sentence of names, such as `not kept: a, b and 3 more`; `None` without any.
pub(super) fn list_names<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    let shown: Vec<String> = names.iter().take(MAX_NAMES).map(|name| excerpt(name)).collect();
    let rest = match names.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    (!names.is_empty()).then(|| format!("{what}: {}{rest}", shown.join(", ")))
}

/// Whether a value asks for nothing.
pub(super) fn is_neutral(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(0.0);
            let usual = NEUTRAL.iter().find(|(other, _)| *other == name).map_or(&[][..], |(_, values)| values);
            number == 0.0 || usual.contains(&number)
        }
        Value::String(text) => NEUTRAL_TEXTS.iter().any(|neutral| text.trim().eq_ignore_ascii_case(neutral)),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(others: Value) -> (Vec<String>, Vec<String>) {
        let (mut violations, mut warnings) = (Violations::default(), Vec::new());
        let others: Map<String, Value> = serde_json::from_value(others).unwrap();
        read_others(&others, "/", &mut violations, &mut warnings);
        let pointers = violations.0.into_iter().map(|violation| violation.pointer).collect();
        (pointers, warnings.into_iter().map(|warning| warning.message).collect())
    }

    #[test]
    fn what_clients_always_send_is_passed_over() {
        let usual = json!({
            "restore_faces": false, "tiling": false, "s_churn": 0, "s_tmax": 0, "s_noise": 1, "subseed": -1,
            "subseed_strength": 0.0, "seed_resize_from_h": -1, "script_args": [], "save_images": true, "clip_skip": 1,
            "auth": "user:password", "refiner_checkpoint": "", "infotext": null, "firstphase_width": 512,
        });
        assert_eq!(read(usual), (vec![], vec![]));
    }

    #[test]
    fn what_would_change_the_kind_of_image_is_refused_and_the_rest_is_reported() {
        let (refused, reported) =
            read(json!({"tiling": true, "restore_faces": true, "subseed_strength": 0.5, "magic": 7}));
        assert_eq!(refused, ["/tiling"]);
        assert_eq!(reported, ["without effect here: magic, restore_faces, subseed_strength"]);
        let many: Map<String, Value> = (0..500).map(|i| (format!("{i}{}", "x".repeat(500)), json!(1))).collect();
        let (_, reported) = read(json!(many));
        assert!(reported.concat().len() < 2000, "{reported:?}");
    }
}
