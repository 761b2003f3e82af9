//! Faults of the status line: errors, retry hints, redirects.

use std::borrow::Cow;
use std::time::Duration;

use super::{Context, Effect, FaultInfo, number};
use crate::clock;
use crate::mock::answer::{Answer, Body, Framing};
use crate::mock::ask::Wire;
use crate::mock::failure::Failure;

/// The name that stands for every three-digit status.
pub(super) const ANY_STATUS: &str = "status";
/// Where a redirect points without argument: a cloud's metadata address, which no gateway may ever call.
const METADATA_URL: &str = "http://169.254.169.254/latest/meta-data/";

pub(super) const FAULTS: &[FaultInfo] = &[
    FaultInfo {
        name: ANY_STATUS,
        argument: "NNN, also written as the bare number (`!503`)",
        rows: "U17 U18 U19 U20 U21 U22 U23",
        does: "answers with that status: 4xx and 5xx with the provider's error body, 204 and 304 without body, \
               206 with a part, 100 and 103 as interim answers before the normal one, others with the normal body",
        effect: Effect::Answer(any_status),
    },
    FaultInfo {
        name: "429",
        argument: "Retry-After verbatim, or `date`, `past-date`, `two`; without argument no hint",
        rows: "U10 U11 U13 U14",
        does: "refuses for the rate limit with that Retry-After",
        effect: Effect::Answer(rate_limited),
    },
    FaultInfo {
        name: "429-ms",
        argument: "milliseconds (350)",
        rows: "U12",
        does: "refuses for the rate limit with retry-after-ms, and a longer Retry-After that must lose",
        effect: Effect::Answer(|answer, context, argument| {
            let wait = number(argument, 350)?;
            *answer = Failure::of_status(context.wire, 429).answer(context.wire, &context.request_id());
            answer
                .header("retry-after-ms", wait.to_string())
                .header("retry-after", (wait / 1000 + 5).to_string());
            Some(())
        }),
    },
    FaultInfo {
        name: "quota",
        argument: "",
        rows: "U15",
        does: "refuses with 429 because the account's quota is spent (`insufficient_quota`)",
        effect: Effect::Answer(|answer, context, _| {
            spent(
                answer,
                context,
                "insufficient_quota",
                "You exceeded your current quota, please check your plan and billing details.",
            )
        }),
    },
    FaultInfo {
        name: "spend-cap",
        argument: "",
        rows: "U15",
        does: "refuses with 429 because a spend limit is reached (`enforced_spend_limit_reached`)",
        effect: Effect::Answer(|answer, context, _| {
            spent(
                answer,
                context,
                "enforced_spend_limit_reached",
                "Your organization has reached its enforced spend limit.",
            )
        }),
    },
    FaultInfo {
        name: "credit",
        argument: "",
        rows: "U15",
        does: "refuses with 400 because the credit balance is too low, as Anthropic words it",
        effect: Effect::Answer(|answer, context, _| {
            let message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing \
                           to upgrade or purchase credits.";
            *answer = Failure::invalid(message).answer(context.wire, &context.request_id());
            Some(())
        }),
    },
    FaultInfo {
        name: "context-length",
        argument: "",
        rows: "U21",
        does: "refuses with 400 because the prompt is longer than the model's context",
        effect: Effect::Answer(|answer, context, _| {
            let failure = match context.wire {
                Wire::OpenAi => Failure::invalid(
                    "This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 \
                     tokens. Please reduce the length of the messages.",
                )
                .param("messages", "context_length_exceeded"),
                Wire::Anthropic => Failure::invalid("prompt is too long: 212000 tokens > 200000 maximum"),
            };
            *answer = failure.answer(context.wire, &context.request_id());
            Some(())
        }),
    },
    FaultInfo {
        name: "flaky",
        argument: "N: so many first calls fail (1), or a share such as 0.5",
        rows: "U16",
        does: "fails with 500 and then, or otherwise, answers; calls are counted by full model name",
        effect: Effect::Answer(flaky),
    },
    FaultInfo {
        name: "html",
        argument: "status (200)",
        rows: "U24",
        does: "answers with an HTML page",
        effect: Effect::Answer(|answer, _, argument| {
            let status = u16::try_from(number(argument, 200)?).ok()?;
            let page = "<!DOCTYPE html>\n<html><head><title>Gateway</title></head><body><h1>Bad gateway</h1></body></html>\n";
            *answer = Answer::new(status, "text/html; charset=utf-8", Body::Whole(page.into()));
            Some(())
        }),
    },
    FaultInfo {
        name: "error-200",
        argument: "",
        rows: "U43",
        does: "answers 200 whose whole JSON body is an error object",
        effect: Effect::Answer(|answer, context, _| {
            *answer = Failure::of_status(context.wire, 500).answer(context.wire, &context.request_id());
            answer.status = 200;
            Some(())
        }),
    },
    FaultInfo {
        name: "echo-auth",
        argument: "status (400)",
        rows: "U47",
        does: "repeats the credential that it was sent in the error message",
        effect: Effect::Answer(|answer, context, argument| {
            let status = u16::try_from(number(argument, 400)?).ok()?;
            let message = format!("Incorrect API key provided: {}.", context.credential);
            *answer =
                Failure { status, ..Failure::invalid(message) }.answer(context.wire, &context.request_id());
            Some(())
        }),
    },
    FaultInfo {
        name: "redirect",
        argument: "URL (a cloud's metadata address)",
        rows: "U45",
        does: "redirects with 307",
        effect: Effect::Answer(|answer, _, argument| {
            let target = if argument.is_empty() { METADATA_URL } else { argument };
            *answer = Answer::new(307, "text/plain", Body::Whole(Vec::new()));
            answer.header("location", target.to_owned());
            Some(())
        }),
    },
    FaultInfo {
        name: "should-retry",
        argument: "true or false (false)",
        rows: "U15",
        does: "adds x-should-retry to whatever is answered",
        effect: Effect::Answer(|answer, _, argument| {
            let value = if argument.is_empty() { "false" } else { argument };
            answer.remove_header("x-should-retry").header("x-should-retry", value.to_owned());
            Some(())
        }),
    },
    FaultInfo {
        name: "early",
        argument: "",
        rows: "U49",
        does: "answers 413 before the request body is read (when it comes in more than one piece)",
        effect: Effect::Answer(|answer, context, _| {
            *answer = Failure::of_status(context.wire, 413).answer(context.wire, &context.request_id());
            Some(())
        }),
    },
];

fn any_status(answer: &mut Answer, context: &Context<'_>, argument: &str) -> Option<()> {
    let status: u16 = if argument.is_empty() { 500 } else { argument.parse().ok()? };
    match status {
        100 => answer.interim = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
        103 => {
            answer.interim = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n".to_vec()
        }
        204 | 304 => {
            answer.status = status;
            answer.body = Body::Whole(Vec::new());
            answer.framing = Framing::Absent;
        }
        206 => {
            answer.status = status;
            let whole = answer.joined_body();
            let half = whole.len() / 2;
            answer.header("content-range", format!("bytes 0-{}/{}", half.saturating_sub(1), whole.len()));
            answer.body = Body::Whole(whole.into_iter().take(half).collect());
            answer.framing = Framing::Length(0);
        }
        400..=999 => {
            *answer = Failure::of_status(context.wire, status).answer(context.wire, &context.request_id())
        }
        101..=399 => answer.status = status,
        _ => return None,
    }
    Some(())
}

fn rate_limited(answer: &mut Answer, context: &Context<'_>, argument: &str) -> Option<()> {
    *answer = Failure::of_status(context.wire, 429).answer(context.wire, &context.request_id());
    let now = clock::unix_now();
    match argument {
        "" => {}
        "date" => {
            answer.header("retry-after", clock::http_date(now + Duration::from_secs(2)));
        }
        "past-date" => {
            answer.header("retry-after", clock::http_date(now.saturating_sub(Duration::from_secs(60))));
        }
        "two" => {
            answer.header("retry-after", "1").header("retry-after", "3");
        }
        "empty" => {
            answer.header("retry-after", "");
        }
        verbatim => {
            answer.header("retry-after", Cow::Owned(verbatim.to_owned()));
        }
    }
    Some(())
}

fn spent(
    answer: &mut Answer,
    context: &Context<'_>,
    code: &'static str,
    message: &'static str,
) -> Option<()> {
    let failure = Failure {
        status: 429,
        kind: "insufficient_quota",
        anthropic_kind: None,
        message: Cow::Borrowed(message),
        param: None,
        code: Some(code),
    };
    *answer = failure.answer(context.wire, &context.request_id());
    answer.remove_header("x-should-retry").header("x-should-retry", "false");
    Some(())
}

fn flaky(answer: &mut Answer, context: &Context<'_>, argument: &str) -> Option<()> {
    let fails = if argument.contains('.') {
        let share: f64 = argument.parse().ok()?;
        // 53 bits are what a float holds exactly.
        let random = (context.board.random() >> 11) as f64 / (1_u64 << 53) as f64;
        random < share
    } else {
        let first = number(argument, 1)?;
        context.board.count_call(&format!("flaky {}", context.model)) < first
    };
    if fails {
        *answer = Failure::of_status(context.wire, 500).answer(context.wire, &context.request_id());
    }
    Some(())
}
