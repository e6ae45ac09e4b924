//! The Prometheus text: families of figures that were gathered for one answer, encoded as OpenMetrics.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::latency::Snapshot;
use super::{Face, Metrics, process};

/// The labels of a figure. Their values come from bounded sets only: faces, kinds, declared namespaces, sources.
type Labels = Vec<(&'static str, String)>;

/// A family of figures.
#[derive(Debug)]
pub(crate) struct Described {
    name: &'static str,
    help: &'static str,
    figures: Figures,
}

#[derive(Debug)]
enum Figures {
    Totals(Vec<(Labels, u64)>),
    Gauges(Vec<(Labels, f64)>),
    Histograms(Vec<(Labels, Snapshot)>),
}

impl Described {
    /// A total that only grows; its name gets `_total`.
    pub(crate) fn total(name: &'static str, help: &'static str, total: u64) -> Self {
        Self::totals(name, help, vec![(Labels::new(), total)])
    }

    /// Totals by labels.
    pub(crate) fn totals(name: &'static str, help: &'static str, totals: Vec<(Labels, u64)>) -> Self {
        Self {
            name,
            help,
            figures: Figures::Totals(totals),
        }
    }

    /// A figure that goes up and down.
    pub(crate) fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::gauges(name, help, vec![(Labels::new(), value)])
    }

    /// Figures by labels.
    pub(crate) fn gauges(name: &'static str, help: &'static str, values: Vec<(Labels, f64)>) -> Self {
        Self {
            name,
            help,
            figures: Figures::Gauges(values),
        }
    }
}

#[derive(Debug)]
struct Gathered(Vec<Described>);

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for Described { name, help, figures } in &self.0 {
            let kind = match figures {
                Figures::Totals(_) => MetricType::Counter,
                Figures::Gauges(_) => MetricType::Gauge,
                Figures::Histograms(_) => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            match figures {
                Figures::Totals(totals) => {
                    for (labels, total) in totals {
                        let none = None::<&Exemplar<NoLabelSet, f64>>;
                        if labels.is_empty() {
                            family.encode_counter(total, none)?;
                        } else {
                            family.encode_family(&labels.as_slice())?.encode_counter(total, none)?;
                        }
                    }
                }
                Figures::Gauges(values) => {
                    for (labels, value) in values {
                        if labels.is_empty() {
                            family.encode_gauge(value)?;
                        } else {
                            family.encode_family(&labels.as_slice())?.encode_gauge(value)?;
                        }
                    }
                }
                Figures::Histograms(histograms) => {
                    for (labels, Snapshot { sum_s, count, buckets }) in histograms {
                        family
                            .encode_family(&labels.as_slice())?
                            .encode_histogram::<NoLabelSet>(*sum_s, *count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Everything as text: what the front ends counted, what the process takes, and `more`.
pub(crate) fn text(metrics: &Metrics, more: Vec<Described>) -> Result<String, std::fmt::Error> {
    let mut families = faces(metrics);
    families.extend(
        process::resident_bytes()
            .map(|bytes| Described::gauge("process_resident_memory_bytes", "Memory of this process.", bytes as f64)),
    );
    families.extend(
        process::open_files().map(|files| Described::gauge("process_open_fds", "Open file descriptors.", files as f64)),
    );
    families.extend(more);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Gathered(families)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn faces(metrics: &Metrics) -> Vec<Described> {
    use std::sync::atomic::Ordering::Relaxed;
    let labels = |face: Face| vec![("face", face.word().to_owned())];
    let mut requests = Vec::new();
    for face in Face::ALL {
        let figures = metrics.face(face);
        let result = |word: &str| [labels(face), vec![("result", word.to_owned())]].concat();
        requests.push((result("ok"), figures.done.load(Relaxed)));
        // Several kinds share a word; a label set may stand only once.
        let mut by_word: Vec<(&str, u64)> = Vec::new();
        for (kind, count) in figures.refusals() {
            match by_word.iter_mut().find(|(word, _)| *word == kind.word()) {
                Some((_, sum)) => *sum = sum.saturating_add(count),
                None => by_word.push((kind.word(), count)),
            }
        }
        requests.extend(by_word.into_iter().map(|(word, count)| (result(word), count)));
    }
    let each =
        |read: fn(&super::FaceMetrics) -> u64| Face::ALL.map(|face| (labels(face), read(metrics.face(face)))).to_vec();
    let latencies = Face::ALL.map(|face| (labels(face), metrics.face(face).latency.snapshot()));
    vec![
        Described::totals("tally_requests", "Requests and commands, by face and result.", requests),
        Described::totals(
            "tally_reads",
            "Counters read, by face.",
            each(|face| face.reads.load(Relaxed)),
        ),
        Described::gauges(
            "tally_connections",
            "Open connections, by face.",
            each(|face| face.connections.load(Relaxed))
                .into_iter()
                .map(|(labels, count)| (labels, count as f64))
                .collect(),
        ),
        Described {
            name: "tally_request_seconds",
            help: "How long requests took, from the whole request to its answer; a pipeline counts as one.",
            figures: Figures::Histograms(latencies.into()),
        },
    ]
}
