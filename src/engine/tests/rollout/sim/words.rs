//! Effects, a line each.

use serin_api::{ModelDeploymentStatus, Phase};
use serin_engine::Write;

pub fn describe(write: &Write) -> String {
    match write {
        Write::CreateDeployment { spec, slot, replicas, .. } => {
            format!("create {} at {slot:?} with {replicas}", serin_engine::revision::version_of(spec))
        }
        Write::Scale { name, replicas, .. } => format!("scale {name} to {replicas}"),
        Write::DeleteDeployment { name, .. } => format!("delete {name}"),
        Write::ConfirmNoTraffic(slot) => format!("confirm that {slot:?} has no traffic"),
        Write::CreateSlotService(slot) => format!("service {slot:?}"),
        Write::SetBar { version, bar: Some(_), .. } => format!("bar {version}"),
        Write::SetBar { version, bar: None, .. } => format!("lift the bar of {version}"),
        Write::SetBudget { max_unavailable, .. } => format!("budget {max_unavailable:?}"),
        Write::DeleteBudget { .. } => "delete the budget".to_owned(),
        Write::SetWeights { weights, journal, .. } | Write::PatchWeights { weights, journal, .. } => {
            let copies = weights
                .mirror
                .map_or_else(String::new, |m| format!(", {} % copied to {:?}", m.percent, m.to));
            format!("weights {}/{}{copies} for {journal}", weights.a, weights.b)
        }
    }
}

pub fn summary(status: &ModelDeploymentStatus) -> String {
    let stable = status.stable.as_ref().map_or("-", |s| &s.version);
    let candidate = status.candidate.as_ref().map_or_else(String::new, |c| {
        let phase = match c.phase {
            Phase::Starting => "starting",
            Phase::Canary => "canary",
            Phase::Retreating => "retreating",
        };
        let fits = c.fits.map_or_else(String::new, |fits| format!(", {fits} fit"));
        format!(", {} {phase} {} at {} %{fits}", c.version, c.step, c.weight)
    });
    let reasons: Vec<_> = status.conditions.iter().map(|c| format!("{}={}", c.type_, c.reason)).collect();
    format!("status: {stable}{candidate}; {:?}; {}", status.verdict, reasons.join(" "))
}
