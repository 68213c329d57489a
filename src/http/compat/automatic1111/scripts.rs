//! Scripts and extensions, of which there are none here.
//!
//! Invariant: one that would change the image is refused; one that is switched off is no reason to refuse.

use serde_json::{Map, Value};

use crate::domain::{Violations, excerpt};

/// What a unit of an extension calls the switch that turns it on.
const SWITCHES: [&str; 3] = ["enabled", "enable", "is_enabled"];

/// Refuse a script, and extensions that are switched on.
pub(super) fn check_scripts(script: Option<&str>, extensions: &Map<String, Value>, violations: &mut Violations) {
    let script = script.unwrap_or_default().trim();
    let is_none = script.is_empty() || script.eq_ignore_ascii_case("none");
    violations.require(is_none, "/script_name", format!("there is no script {}", excerpt(script)));
    for (name, _) in extensions.iter().filter(|(_, extension)| is_on(extension)) {
        violations.add(
            "/alwayson_scripts",
            format!("there is no extension {}; leave it out or switch it off", excerpt(name)),
        );
    }
}

/// Whether an extension does something with these arguments: `{"args": [...]}`, or the arguments alone.
fn is_on(extension: &Value) -> bool {
    let arguments = extension.get("args").unwrap_or(extension);
    match arguments {
        Value::Array(arguments) => arguments.iter().any(is_active),
        Value::Object(arguments) if arguments.is_empty() => false,
        other => is_active(other),
    }
}

/// Whether an argument is more than a switch that is off.
fn is_active(argument: &Value) -> bool {
    match argument {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !(text.is_empty() || text.eq_ignore_ascii_case("none")),
        Value::Object(unit) => {
            let switch = SWITCHES.iter().find_map(|switch| unit.get(*switch));
            !unit.is_empty() && switch != Some(&Value::Bool(false))
        }
        Value::Array(list) => !list.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_switched_off_is_no_reason_to_refuse() {
        for (extension, on) in [
            (json!({"args": []}), false),
            (json!({"args": [false]}), false),
            (json!({"args": [false, {"ad_model": "face.pt", "enabled": false}]}), false),
            (json!({"args": [{"enabled": false, "module": "canny"}]}), false),
            (json!({}), false),
            (json!({"args": [{"module": "canny", "image": "..."}]}), true),
            (json!({"args": [true]}), true),
            (json!({"args": [1.0, 2]}), true),
            (json!([{"enabled": true}]), true),
        ] {
            assert_eq!(is_on(&extension), on, "{extension}");
        }
        let mut violations = Violations::default();
        let extensions = Map::from_iter([("ControlNet".to_owned(), json!({"args": [{"module": "canny"}]}))]);
        check_scripts(Some("X/Y/Z plot"), &extensions, &mut violations);
        let pointers: Vec<_> = violations.0.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, ["/script_name", "/alwayson_scripts"]);
        let mut none = Violations::default();
        check_scripts(Some("None"), &Map::new(), &mut none);
        assert!(none.0.is_empty());
    }
}
