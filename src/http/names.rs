//! Values that have names, as the contract lists them. Requests take them as texts, so that an unknown one is a violation
//! among others; a test holds the lists against what the domain knows.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::engine::schedulers;

/// A schema for named values.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "for the contract alone")]
        pub(super) enum $type {
            $(#[schema(rename = $name)] $variant,)*
        }

        #[cfg(test)]
        impl $type {
            pub(super) const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

/// The schedulers that requests can choose: the list is the table of schedulers itself.
pub(super) struct SchedulerName;

impl ToSchema for SchedulerName {}

impl PartialSchema for SchedulerName {
    fn schema() -> RefOr<Schema> {
        let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(schedulers::names()));
        names.description(Some("Decoder samplers.")).into()
    }
}

names!(
    /// How text becomes an image embedding.
    PriorName { Diffusion = "diffusion", Linear = "linear", Residual = "residual", None = "none" }
);
names!(
    /// File formats.
    FormatName { Png = "png", Jpeg = "jpeg", Webp = "webp" }
);
names!(
    /// Where pictures of an answer are.
    ResponseFormatName { B64Json = "b64_json", Url = "url" }
);
names!(
    /// Who goes first.
    PriorityName { High = "high", Normal = "normal", Low = "low" }
);
names!(
    /// Proportions of pictures.
    AspectRatioName { Square = "1:1", Portrait = "2:3", Landscape = "3:2", Tall = "9:16", Wide = "16:9" }
);
names!(
    /// What of a mask is repainted.
    MaskConventionName { White = "white", Black = "black", Alpha = "alpha" }
);
names!(
    /// What a webhook may be told.
    WebhookEventName { Succeeded = "job.succeeded", Failed = "job.failed", Canceled = "job.canceled" }
);
names!(
    /// Where a job is.
    StatusName {
        Queued = "queued",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Canceled = "canceled",
    }
);
names!(
    /// The ways of making a picture.
    ModeName {
        TextToImage = "text-to-image",
        ImageToImage = "image-to-image",
        ImageVariations = "image-variations",
        ImageFusion = "image-fusion",
        TextImageFusion = "text-image-fusion",
        Inpainting = "inpainting",
        Outpainting = "outpainting",
    }
);
names!(
    /// Stages of a job.
    StageNameSchema { Encode = "encode", Prior = "prior", Decoder = "decoder", Decode = "decode" }
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{Format, JobState, MaskConvention, Mode, PriorKind, Priority, WebhookEvent};
    use crate::engine::StageName;
    use crate::http::common::ASPECT_RATIOS;

    fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        names.into_iter().collect()
    }

    #[test]
    fn the_contract_lists_what_requests_take() {
        for (listed, known) in [
            (PriorName::NAMES, set(PriorKind::ALL.map(PriorKind::name))),
            (FormatName::NAMES, set(Format::ALL.map(Format::name))),
            (PriorityName::NAMES, set(Priority::ALL.map(Priority::name))),
            (AspectRatioName::NAMES, set(ASPECT_RATIOS.map(|(name, ..)| name))),
            (WebhookEventName::NAMES, set(WebhookEvent::ALL.map(WebhookEvent::name))),
            (StatusName::NAMES, set(JobState::ALL.map(JobState::name))),
            (ModeName::NAMES, set(Mode::ALL.map(Mode::name))),
            (StageNameSchema::NAMES, set(StageName::ALL.map(StageName::name))),
        ] {
            assert_eq!(set(listed.iter().copied()), known);
        }
        assert!(MaskConventionName::NAMES.iter().all(|name| name.parse::<MaskConvention>().is_ok()));
        assert_eq!(ResponseFormatName::NAMES, ["b64_json", "url"]);
    }
}
