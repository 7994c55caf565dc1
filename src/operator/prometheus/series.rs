//! A series as Prometheus writes it, and as it is kept: numbers as numbers, and each word of a label once.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use serde::{Deserialize, Deserializer, de};
use serin_judge::Sample;

use super::QueryError;

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct RawSeries {
    /// Labels.
    pub metric: Labels,
    /// Samples. Text that is no number is NaN, which the judge counts as not scraped.
    pub values: Vec<Sample>,
    /// Seconds and value, of an answer for one moment.
    pub value: Option<(f64, String)>,
    /// Milliseconds and native histogram; a series has these or `values`.
    pub histograms: Vec<(i64, RawHistogram)>,
}

/// A native histogram at a moment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RawHistogram {
    /// Observations.
    pub count: String,
    /// Rule of the boundaries, lower and upper one, and observations between them. Empty ones are left out.
    #[serde(default)]
    pub buckets: Vec<(u8, String, String, String)>,
}

/// Labels, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Vec<(Arc<str>, Arc<str>)>);

impl Labels {
    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&*self.0[at].1)
    }

    /// All but one.
    pub fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(known, _)| **known != *name).cloned().collect())
    }
}

impl<K: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let mut all: Vec<_> = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        all.sort();
        Self(all)
    }
}

/// The words of one answer. Thousands of series say the same few.
#[derive(Debug, Default)]
pub struct Words(HashSet<Arc<str>>);

impl Words {
    fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let word: Arc<str> = text.into();
        self.0.insert(Arc::clone(&word));
        word
    }
}

impl RawSeries {
    /// Reads one series of an answer.
    pub fn read(json: &[u8], words: &mut Words) -> Result<Self, QueryError> {
        let wire: Wire<'_> = serde_json::from_slice(json).map_err(|_| QueryError::NotJson)?;
        let metric =
            wire.metric.0.iter().map(|(name, value)| (words.keep(name), words.keep(value))).collect();
        Ok(Self {
            metric,
            values: wire.values.into_iter().map(|Point(sample)| sample).collect(),
            value: wire.value,
            histograms: wire.histograms.into_iter().map(|(at, h)| (milliseconds(at), h)).collect(),
        })
    }

    /// Leaves only samples after `from` and until `until`, in milliseconds; `false` if none is left. Versions of
    /// Prometheus differ in whether a range has its first moment in it; here it has not.
    pub fn trim(&mut self, from: i64, until: i64) -> bool {
        let within = |at: i64| from < at && at <= until;
        self.values.retain(|sample| within(sample.at_ms));
        self.histograms.retain(|(at, _)| within(*at));
        !self.values.is_empty() || !self.histograms.is_empty()
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    metric: Pairs<'a>,
    #[serde(default)]
    values: Vec<Point>,
    #[serde(default)]
    value: Option<(f64, String)>,
    #[serde(default)]
    histograms: Vec<(f64, RawHistogram)>,
}

/// Labels as they stand in the answer.
struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Text, copied only where it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("labels")
            }
            fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'de>, M::Error> {
                let mut all = Vec::with_capacity(8);
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    all.push((name, value));
                }
                Ok(Pairs(all))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Seconds and a value, which is text because of NaN.
struct Point(Sample);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, Number(value)) = <(f64, Number)>::deserialize(deserializer)?;
        Ok(Self(Sample { at_ms: milliseconds(at), value }))
    }
}

struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number as text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.parse().unwrap_or(f64::NAN)))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[allow(clippy::cast_possible_truncation)] // a time of day in milliseconds; anything else saturates
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RawSeries, QueryError> {
        RawSeries::read(text.as_bytes(), &mut Words::default())
    }

    #[test]
    fn a_series_is_read_as_it_is() {
        let text = r#"{"metric":{"pod":"w\"1","code":"200"},"values":[[1.5,"3"],[2.25,"NaN"],[3,"x"]]}"#;
        let series = read(text).unwrap();
        assert_eq!((series.metric.get("pod"), series.metric.get("job")), (Some("w\"1"), None));
        assert_eq!(series.metric.without("pod"), [("code", "200")].into_iter().collect());
        assert_eq!(series.values[0], Sample { at_ms: 1500, value: 3.0 });
        assert_eq!((series.values[1].at_ms, series.values[2].at_ms), (2250, 3000));
        assert!(series.values[1..].iter().all(|sample| sample.value.is_nan()));
        for other in [r#"{"values":[]}"#, r#"{"metric":{},"values":[[1,2]]}"#, r#"{"metric":{"a":1}}"#, "{"] {
            assert_eq!(read(other).unwrap_err(), QueryError::NotJson, "{other}");
        }
    }

    #[test]
    fn a_range_begins_after_its_first_moment() {
        let text = r#"{"metric":{},"values":[[1,"1"],[2,"2"],[3,"3"],[4,"4"]]}"#;
        let mut series = read(text).unwrap();
        assert!(series.trim(1000, 3000));
        assert_eq!(series.values.iter().map(|s| s.at_ms).collect::<Vec<_>>(), [2000, 3000]);
        assert!(!series.trim(3000, 9000));
    }

    #[test]
    fn a_word_is_kept_once() {
        let mut words = Words::default();
        let text = br#"{"metric":{"pod":"a","job":"a"}}"#;
        let (one, two) =
            (RawSeries::read(text, &mut words).unwrap(), RawSeries::read(text, &mut words).unwrap());
        assert!(Arc::ptr_eq(&one.metric.0[0].1, &two.metric.0[1].1));
        assert_eq!(words.0.len(), 3);
    }
}
