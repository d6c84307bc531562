//! What one of something costs over its size, beside a baseline, and whether that is worse than
//! linear.

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::super::figure::{Figure, number};

/// How far a fitted exponent may be above that of linear growth without being worse: a tenth of a
/// decade a decade is within what a busy machine does to a figure.
const TOLERANCE: f64 = 0.15;

/// Where a benchmark's result has a figure: a JSON pointer to a number, or to a [`Figure`].
#[derive(Debug, Clone)]
pub struct Source {
    pub ours: String,
    pub baseline: Option<String>,
}

/// One curve.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// What it shows.
    pub name: &'static str,
    pub unit: &'static str,
    /// The exponent at which the whole would grow in proportion to its size.
    pub linear_exponent: f64,
    pub ours: Series,
    pub baseline: Option<Series>,
    /// Whether ours grows faster than that; unknown with a single size.
    pub worse_than_linear: Option<bool>,
    #[serde(skip)]
    source: Source,
}

/// Figures over sizes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    pub name: &'static str,
    pub points: Vec<Point>,
    /// Of a least-squares fit through the logarithms.
    pub exponent: Option<f64>,
}

/// A figure at a size.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Point {
    pub size: u32,
    #[serde(flatten)]
    pub figure: Figure,
}

impl Curve {
    pub fn new(
        name: &'static str,
        unit: &'static str,
        linear_exponent: f64,
        source: Source,
        baseline: &'static str,
    ) -> Self {
        let series = |name| Series {
            name,
            ..Series::default()
        };
        Self {
            name,
            unit,
            linear_exponent,
            ours: series("natterjack"),
            baseline: source.baseline.as_ref().map(|_| series(baseline)),
            worse_than_linear: None,
            source,
        }
    }

    /// Adds what a benchmark found at a size.
    ///
    /// # Errors
    /// Its result has no such figure.
    pub fn add(&mut self, size: u32, result: &Value) -> anyhow::Result<()> {
        let Source { ours, baseline } = &self.source;
        let point = |pointer: &str| {
            let value = result
                .pointer(pointer)
                .with_context(|| format!("the result has no {pointer}"))?;
            let figure = figure(value).with_context(|| format!("{pointer} is no figure: {value}"))?;
            anyhow::Ok(Point { size, figure })
        };
        self.ours.points.push(point(ours)?);
        if let (Some(series), Some(pointer)) = (&mut self.baseline, baseline) {
            series.points.push(point(pointer)?);
        }
        Ok(())
    }

    /// To be called when all sizes are there.
    pub fn fit(&mut self) {
        let (median, min) = (|figure: &Figure| figure.median, |figure: &Figure| figure.min);
        self.ours.exponent = exponent(&self.ours.points, median);
        if let Some(baseline) = &mut self.baseline {
            baseline.exponent = exponent(&baseline.points, median);
        }
        // What disturbs a repetition only ever makes it worse: what is really there is in the best
        // of them too.
        let exponents = self.ours.exponent.zip(exponent(&self.ours.points, min));
        self.worse_than_linear =
            exponents.map(|(median, min)| median.min(min) > self.linear_exponent + TOLERANCE);
    }

    /// All that is to be drawn.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        std::iter::once(&self.ours).chain(&self.baseline)
    }
}

/// What the curves say at the last size, in a line.
pub fn last(curves: &[Curve]) -> String {
    let of = |curve: &Curve| {
        let point = curve.ours.points.last()?;
        Some(format!(
            "{} {} {}",
            curve.name,
            number(point.figure.median),
            curve.unit
        ))
    };
    curves.iter().filter_map(of).collect::<Vec<_>>().join("; ")
}

fn figure(value: &Value) -> Option<Figure> {
    if let Some(one) = value.as_f64() {
        return Some(Figure::of([one]));
    }
    let of = |name: &str| value.get(name)?.as_f64();
    Some(Figure {
        median: of("median")?,
        min: of("min")?,
        max: of("max")?,
    })
}

/// The slope of the least-squares line through the logarithms of sizes and figures; `None` unless
/// there are two sizes, and nothing is zero.
fn exponent(points: &[Point], of: fn(&Figure) -> f64) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points
        .iter()
        .map(|point| (f64::from(point.size).ln(), of(&point.figure).ln()))
        .collect();
    let count = f64::from(u32::try_from(logs.len()).ok()?);
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|one| one.0), mean(|one| one.1));
    let along: f64 = logs.iter().map(|one| (one.0 - x) * (one.1 - y)).sum();
    let across: f64 = logs.iter().map(|one| (one.0 - x).powi(2)).sum();
    let slope = along / across;
    slope.is_finite().then_some(slope)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn curve(of: impl Fn(f64) -> f64) -> Curve {
        let source = Source {
            ours: "/ours".into(),
            baseline: Some("/bare".into()),
        };
        let mut curve = Curve::new("cost", "µs", 0.0, source, "bare");
        for size in [1_u32, 3, 10, 100] {
            let cost = of(f64::from(size));
            let result = json!({"ours": cost, "bare": {"median": 5.0, "min": 4.0, "max": 6.0}});
            curve.add(size, &result).expect("both figures");
        }
        curve.fit();
        curve
    }

    #[test]
    fn flat_is_linear_and_growing_is_worse() {
        for (power, worse) in [
            (-0.5, false),
            (0.0, false),
            (0.1, false),
            (0.3, true),
            (1.0, true),
        ] {
            let curve = curve(|size| 7.0 * size.powf(power));
            let fitted = curve.ours.exponent.expect("four sizes");
            assert!((fitted - power).abs() < 1e-9, "{fitted} and not {power}");
            assert_eq!(curve.worse_than_linear, Some(worse), "{power}");
            assert!(
                curve
                    .baseline
                    .and_then(|bare| bare.exponent)
                    .is_some_and(|flat| flat.abs() < 1e-9)
            );
        }
    }

    #[test]
    fn nothing_is_said_of_one_size_or_of_nothing() {
        assert_eq!(exponent(&[], |figure| figure.median), None);
        let curve = curve(|_| 0.0);
        assert_eq!((curve.ours.exponent, curve.worse_than_linear), (None, None));
    }

    #[test]
    fn what_disturbed_some_repetitions_is_not_growth() {
        let mut curve = curve(|_| 7.0);
        let disturbed = json!({
            "ours": {"median": 900.0, "min": 7.0, "max": 950.0},
            "bare": 5.0,
        });
        curve.add(1_000, &disturbed).expect("both figures");
        curve.fit();
        assert!(curve.ours.exponent.is_some_and(|exponent| exponent > TOLERANCE));
        assert_eq!(curve.worse_than_linear, Some(false));
    }

    #[test]
    fn a_missing_figure_is_named() {
        let mut curve = curve(|size| size);
        let error = curve.add(5, &json!({"ours": 1})).expect_err("no baseline");
        assert!(error.to_string().contains("/bare"), "{error}");
    }
}
