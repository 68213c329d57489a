//! Schemas of values that have names. Requests take them as texts, so that an unknown name is one violation among others.
//!
//! Invariant: every list of names is the one that parses them, or that they are written from.

use crate::domain::{
    Anchor, FailureKind, Format, JobState, MaskConvention, PriorKind, PromptSyntax, Region, TranslateWhen,
    VariantArray as _, WebhookEvent,
};
use crate::modes::Mode;
use crate::schedulers;

/// Sides of images by aspect ratio: name, width, height.
pub const ASPECT_RATIOS: [(&str, u32, u32); 5] =
    [("1:1", 1, 1), ("2:3", 2, 3), ("3:2", 3, 2), ("9:16", 9, 16), ("16:9", 16, 9)];
/// Where the images of an answer can be.
pub const RESPONSE_FORMATS: [&str; 2] = ["b64_json", "url"];

/// Declares a type for the contract alone: a string with one of the names.
macro_rules! name_schema {
    ($type:ident, $description:literal, $names:expr) => {
        #[doc = $description]
        pub struct $type;

        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($description))
                    .enum_values(Some($names))
                    .into()
            }
        }

        impl utoipa::ToSchema for $type {}
    };
}
pub(crate) use name_schema;

name_schema!(SchedulerName, "Samplers of the decoder.", schedulers::names());
name_schema!(PriorName, "How text becomes an image embedding.", PriorKind::names());
name_schema!(PromptSyntaxName, "How brackets in prompts are read.", PromptSyntax::names());
name_schema!(TranslateName, "Which texts are translated before they are drawn.", TranslateWhen::names());
name_schema!(FormatName, "File formats.", Format::names());
name_schema!(ResponseFormatName, "Where the images of an answer are.", RESPONSE_FORMATS);
name_schema!(PriorityName, "Scheduling priority.", ["high", "normal", "low"]);
name_schema!(AspectRatioName, "Aspect ratios.", ASPECT_RATIOS.map(|(name, ..)| name));
name_schema!(MaskConventionName, "Which mask pixels are repainted.", MaskConvention::names());
name_schema!(RegionName, "How much of an image the model works on.", Region::names());
name_schema!(AnchorName, "Where an image lies on a larger canvas.", Anchor::names());
name_schema!(WebhookEventName, "Events of webhooks.", WebhookEvent::names());
name_schema!(ModeName, "Generation modes.", Mode::ALL.map(Mode::name));
name_schema!(StatusName, "The state of a job.", JobState::names());
name_schema!(
    EndName,
    "How a job ended.",
    JobState::VARIANTS.iter().filter(|state| state.is_final()).map(|state| state.name())
);
name_schema!(FailureName, "Why a job failed.", FailureKind::names());

#[cfg(test)]
mod tests {
    use crate::domain::Priority;

    #[test]
    fn priorities_are_listed_from_the_highest() {
        let mut names = Priority::names();
        names.reverse();
        assert_eq!(names, ["high", "normal", "low"]);
    }
}
