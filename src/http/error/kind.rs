//! The kinds of problems.
//!
//! Invariant: the names of kinds are part of the contract, as the last part of a problem's `type`; a kind has one status.

use axum::http::StatusCode;

/// The kind of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::EnumIter))]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum ProblemKind {
    BadSignature,
    BodyTimeout,
    Busy,
    Canceled,
    Concurrency,
    Draining,
    Expired,
    ForeignHost,
    ForeignOrigin,
    IdempotencyConflict,
    Internal,
    InvalidKey,
    KeyMissing,
    Malformed,
    MethodNotAllowed,
    MissingScope,
    ModelNotFound,
    ModerationBlocked,
    ModerationUnavailable,
    NotFound,
    OverQuota,
    PriorityNotAllowed,
    QueueFull,
    Quota,
    RateLimit,
    StorageFull,
    StorageUnavailable,
    TooLarge,
    TranslationUnavailable,
    Unavailable,
    Unsupported,
    UnsupportedMediaType,
    Validation,
}

impl ProblemKind {
    /// The name in `type`.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::ModerationBlocked => StatusCode::BAD_REQUEST,
            Self::InvalidKey | Self::KeyMissing => StatusCode::UNAUTHORIZED,
            Self::BadSignature
            | Self::ForeignOrigin
            | Self::MissingScope
            | Self::OverQuota
            | Self::PriorityNotAllowed => StatusCode::FORBIDDEN,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ModelNotFound | Self::NotFound => StatusCode::NOT_FOUND,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Canceled => StatusCode::CONFLICT,
            Self::Expired => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyConflict | Self::Unsupported | Self::Validation => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Concurrency | Self::Quota | Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy
            | Self::Draining
            | Self::ModerationUnavailable
            | Self::QueueFull
            | Self::StorageFull
            | Self::StorageUnavailable
            | Self::TranslationUnavailable
            | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
