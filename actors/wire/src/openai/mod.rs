//! OpenAI Chat Completions and everything compatible: the client's own dialect, so bytes pass where nothing must change.

mod encode;
mod stream;
mod unary;
mod usage;

pub(crate) use encode::encode;
pub(crate) use stream::OpenAiStream;
pub(crate) use unary::decode;
