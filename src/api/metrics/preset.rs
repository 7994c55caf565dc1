//! What is measured when a spec leaves it to the server's preset.

use super::{
    Counter, ErrorRatio, Except, Failures, Histogram, Latency, MeanLatency, Metric, RequestCounter, Sum,
};
use crate::preset::{Errors, Left, Preset, Times};

/// The metrics of a spec with every series named. The error is one line that says what to change.
pub fn filled(preset: Option<Preset>, metrics: Option<&[Metric]>) -> Result<Vec<Metric>, String> {
    let errors =
        Metric { name: "errors".to_owned(), error_ratio: Some(ErrorRatio::default()), ..Metric::default() };
    let named = match (preset, metrics) {
        (_, Some(metrics)) => metrics.to_vec(),
        (None, None) => vec![errors],
        (Some(preset), None) => {
            let mut latency = Metric { name: "latency".to_owned(), ..Metric::default() };
            match preset.profile().times {
                Times::Histogram(..) => latency.latency = Some(Latency::default()),
                Times::Mean(..) => latency.mean_latency = Some(MeanLatency::default()),
            }
            vec![errors, latency]
        }
    };
    named.into_iter().map(|metric| fill(preset, metric)).collect()
}

fn fill(preset: Option<Preset>, mut metric: Metric) -> Result<Metric, String> {
    let name = metric.name.clone();
    let said = |what: &str| match preset {
        Some(preset) => format!("metric {name}: the preset {} has no {what}", preset.name()),
        None => format!("metric {name}: {what} must be named"),
    };
    if let Some(errors) = &mut metric.error_ratio
        && errors.requests.is_none()
        && errors.failures.is_none()
    {
        match preset.map(|preset| &preset.profile().errors) {
            None => errors.requests = Some(RequestCounter::default()),
            Some(Errors::ByCode { series, label, codes, except }) => {
                errors.requests = Some(RequestCounter {
                    series: (*series).to_owned(),
                    code_label: (*label).to_owned(),
                    error_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
                    except: left(except),
                });
            }
            Some(Errors::Apart { failed, except, succeeded }) => {
                let (failed, succeeded) = (Some(counter(failed, except)), Some(counter(succeeded, &[])));
                errors.failures = Some(Failures { failed, succeeded, all: None });
            }
            Some(Errors::Failed { failed, all }) => {
                let (failed, all) = (Some(counter(failed, &[])), Some(counter(all, &[])));
                errors.failures = Some(Failures { failed, succeeded: None, all });
            }
            Some(Errors::Succeeded { succeeded, all }) => {
                let (succeeded, all) = (Some(counter(succeeded, &[])), Some(counter(all, &[])));
                errors.failures = Some(Failures { failed: None, succeeded, all });
            }
        }
    }
    let times = preset.map(|preset| &preset.profile().times);
    if let Some(latency) = &mut metric.latency
        && latency.histogram.is_none()
    {
        latency.histogram = Some(match times {
            None => Histogram::default(),
            Some(Times::Histogram(series, unit, except)) => {
                Histogram { series: (*series).to_owned(), unit: *unit, except: left(except) }
            }
            Some(Times::Mean(..)) => {
                return Err(said("histogram: take meanLatency, or name one in latency.histogram"));
            }
        });
    }
    if let Some(mean) = &mut metric.mean_latency
        && mean.sum.is_none()
    {
        mean.sum = Some(match times {
            None => return Err(said("meanLatency.sum")),
            Some(Times::Histogram(series, unit, except)) => {
                Sum { series: (*series).to_owned(), count: None, unit: *unit, except: left(except) }
            }
            Some(Times::Mean(sum, count, unit)) => Sum {
                series: (*sum).to_owned(),
                count: Some((*count).to_owned()),
                unit: *unit,
                except: Vec::new(),
            },
        });
    }
    Ok(metric)
}

fn counter(series: &str, except: Left) -> Counter {
    Counter { series: series.to_owned(), except: left(except) }
}

fn left(except: Left) -> Vec<Except> {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    except.iter().map(|(label, all)| Except { label: (*label).to_owned(), values: values(all) }).collect()
}
