//! From verdicts to what to do, with the time that may pass.

use crate::{State, TrafficState};

/// What happens when the horizon passes without a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtHorizon {
    /// Promote a canary that nothing speaks against.
    Promote,
    /// Leave it to a person.
    #[default]
    Hold,
    /// Roll back.
    RollBack,
}

/// How long an analysis may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Horizon {
    /// Time from the start of the analysis, milliseconds.
    pub after_ms: i64,
    /// Then.
    pub then: AtHorizon,
    /// With fewer canary requests than this the analysis has seen nothing, and nothing follows from it.
    pub least_requests: f64,
}

/// What is known about an analysis at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The verdict over all metrics.
    pub state: State,
    /// Whether the evidence against the canary is below 3 in every metric.
    pub unsuspicious: bool,
    /// Whether traffic is as configured.
    pub traffic: TrafficState,
    /// Time since the analysis began, milliseconds.
    pub elapsed_ms: i64,
    /// The canary's requests.
    pub canary_requests: f64,
    /// Canary requests still needed for promotion, if known.
    pub requests_needed: Option<u64>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Evidence, or the horizon's policy, says so.
    RollBack,
    /// Evidence, or the horizon's policy, says so.
    Promote,
    /// More evidence is needed, and there is time.
    Wait,
    /// The horizon has passed; a person has to decide.
    Hold,
    /// Nothing can be concluded.
    Inconclusive(Inconclusive),
}

/// Why nothing can be concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inconclusive {
    /// The canary's share of traffic is not the configured one.
    TrafficNotAsConfigured,
    /// The horizon has passed with too few requests; so many more canary requests are needed, if that is known.
    TooFewRequests(Option<u64>),
}

/// What follows from a verdict at this time. Evidence for a rollback counts whatever the time and the traffic; a wrong
/// traffic share stops everything else.
pub fn conclude(progress: &Progress, horizon: &Horizon) -> Conclusion {
    let off = progress.traffic == TrafficState::Off;
    let over = progress.elapsed_ms >= horizon.after_ms;
    match progress.state {
        // The comparison behind a failure is per request, which a wrong share does not change.
        State::Fail => Conclusion::RollBack,
        _ if off => Conclusion::Inconclusive(Inconclusive::TrafficNotAsConfigured),
        State::Pass => Conclusion::Promote,
        State::Undecided | State::NoData if !over => Conclusion::Wait,
        State::Undecided | State::NoData if progress.canary_requests < horizon.least_requests => {
            Conclusion::Inconclusive(Inconclusive::TooFewRequests(progress.requests_needed))
        }
        State::NoData => Conclusion::Hold,
        State::Undecided => match horizon.then {
            AtHorizon::Promote if progress.unsuspicious => Conclusion::Promote,
            AtHorizon::Promote | AtHorizon::Hold => Conclusion::Hold,
            AtHorizon::RollBack => Conclusion::RollBack,
        },
    }
}
