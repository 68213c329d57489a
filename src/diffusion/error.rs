//! A scheduler that cannot be used is an error of the model.

use crate::schedulers::SchedulerError;
use crate::tensor::error::Error;

impl From<SchedulerError> for Error {
    fn from(error: SchedulerError) -> Self {
        Self::Request(error.to_string())
    }
}
