//! The pictures: one file an axis, a panel a curve, both scales logarithmic.
//!
//! On such scales a power of the size is a straight line and its exponent the slope, so that the
//! dashed line of linear growth is to be compared with at a glance.

use std::{fs, io, path::Path};

use super::{
    super::{figure::number, report::About},
    curve::{Curve, Point, Series},
    result::AlongAxis,
    svg::{Anchor, Svg},
};

const PANEL: (f64, f64) = (480.0, 344.0);
/// Around the plot in a panel: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (64.0, 40.0, 18.0, 92.0);
const HEAD: f64 = 72.0;
const COLUMNS: usize = 2;
/// At least so many times between bottom and top: noise on a flat curve is to look flat.
const SPAN_MIN: f64 = 10.0;

/// Writes `growth-<axis>.svg` for each axis.
pub fn write_all(dir: &Path, about: &About, axes: &[AlongAxis]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for along in axes {
        let file = dir.join(format!("growth-{}.svg", along.axis.name()));
        fs::write(file, draw(about, along))?;
    }
    Ok(())
}

fn draw(about: &About, along: &AlongAxis) -> String {
    let count = along.curves.len().max(1);
    let (columns, rows) = (count.min(COLUMNS), count.div_ceil(COLUMNS));
    let (width, height) = (PANEL.0 * float(columns), HEAD + PANEL.1 * float(rows));
    let title = format!("What one costs over {}", along.label);
    let mut svg = Svg::new(width, height, &title);
    svg.text("title", (20.0, 28.0), Anchor::Start, &title);
    let machine = &about.machine;
    let commit = machine
        .commit
        .map_or_else(String::new, |commit| format!(" at {commit}"));
    let versions = format!(
        "natterjack {}{commit}, nats-server {}",
        machine.natterjack, about.cluster.nats_server
    );
    svg.text("small", (20.0, 47.0), Anchor::Start, &about.machine_line());
    svg.text("small", (20.0, 63.0), Anchor::Start, &versions);
    for (index, curve) in along.curves.iter().enumerate() {
        let corner = (
            PANEL.0 * float(index % COLUMNS),
            HEAD + PANEL.1 * float(index / COLUMNS),
        );
        panel(&mut svg, corner, curve, along.label);
    }
    svg.finish()
}

/// From figures to places on the page.
struct Scale {
    /// Logarithms at the left and the right, at the bottom and the top.
    x: (f64, f64),
    y: (f64, f64),
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Scale {
    fn of(curve: &Curve, corner: (f64, f64)) -> Option<Self> {
        let points = || curve.series().flat_map(|series| &series.points);
        let sizes = points().map(|point| f64::from(point.size).log10());
        let figures = points().flat_map(|point| [point.figure.min, point.figure.median, point.figure.max]);
        let logs = figures.filter(|figure| *figure > 0.0).map(f64::log10);
        let (x, y) = (ends(sizes)?, ends(logs)?);
        let missing = (SPAN_MIN.log10() - (y.1 - y.0)).max(0.0) / 2.0;
        let air = 0.08 * (y.1 - y.0 + 2.0 * missing);
        Some(Self {
            x: (x.0 - 0.05, x.1 + 0.05),
            y: (y.0 - missing - air, y.1 + missing + air),
            left: corner.0 + MARGIN.0,
            right: corner.0 + PANEL.0 - MARGIN.2,
            top: corner.1 + MARGIN.1,
            bottom: corner.1 + PANEL.1 - MARGIN.3,
        })
    }

    fn x(&self, size: f64) -> f64 {
        self.left + (self.right - self.left) * (size.log10() - self.x.0) / (self.x.1 - self.x.0)
    }

    fn y(&self, figure: f64) -> f64 {
        let log = figure.max(f64::MIN_POSITIVE).log10().clamp(self.y.0, self.y.1);
        self.bottom - (self.bottom - self.top) * (log - self.y.0) / (self.y.1 - self.y.0)
    }

    /// 1, 2, 5, 10, … as far as they are in sight.
    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.y.0.floor());
        while decade.log10() < self.y.1 {
            ticks.extend([1.0, 2.0, 5.0].map(|step| step * decade));
            decade *= 10.0;
        }
        ticks.retain(|tick| (self.y.0..=self.y.1).contains(&tick.log10()));
        ticks
    }
}

fn panel(svg: &mut Svg, corner: (f64, f64), curve: &Curve, label: &str) {
    let name = format!("{} [{}]", curve.name, curve.unit);
    svg.text("panel", (corner.0 + 20.0, corner.1 + 26.0), Anchor::Start, &name);
    let Some(scale) = Scale::of(curve, corner) else {
        return;
    };
    for tick in scale.ticks() {
        let y = scale.y(tick);
        svg.line("grid", (scale.left, y), (scale.right, y));
        svg.text("small", (scale.left - 6.0, y + 4.0), Anchor::End, &short(tick));
    }
    for point in &curve.ours.points {
        let x = scale.x(f64::from(point.size));
        svg.line("grid", (x, scale.top), (x, scale.bottom));
        let size = short(f64::from(point.size));
        svg.text("small", (x, scale.bottom + 16.0), Anchor::Middle, &size);
    }
    let (width, height) = (scale.right - scale.left, scale.bottom - scale.top);
    svg.frame("frame", (scale.left, scale.top), (width, height));
    let middle = f64::midpoint(scale.left, scale.right);
    svg.text("small", (middle, scale.bottom + 32.0), Anchor::Middle, label);
    linear(svg, &scale, curve);
    let classes = [("ours", true), ("bare", false)];
    for (row, ((class, round), series)) in classes.into_iter().zip(curve.series()).enumerate() {
        let place = |point: &Point| (scale.x(f64::from(point.size)), scale.y(point.figure.median));
        let places: Vec<_> = series.points.iter().map(place).collect();
        svg.polyline(&format!("{class} line"), &places);
        for (point, place) in series.points.iter().zip(places) {
            let (low, high) = (scale.y(point.figure.min), scale.y(point.figure.max));
            svg.line(class, (place.0, low), (place.0, high));
            svg.dot(class, place, round);
        }
        legend(
            svg,
            (scale.left, scale.bottom + 54.0 + 18.0 * float(row)),
            class,
            round,
            series,
        );
    }
    let (x, y) = (scale.right - 112.0, scale.bottom + 50.0);
    svg.line("linear", (x, y), (x + 24.0, y));
    svg.text("small", (x + 30.0, y + 4.0), Anchor::Start, "linear growth");
}

/// Where it would go in proportion, from our first point, as far as it is in sight.
fn linear(svg: &mut Svg, scale: &Scale, curve: &Curve) {
    let points = &curve.ours.points;
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        let (from, start) = (f64::from(first.size), first.figure.median);
        let top = 10_f64.powf(scale.y.1) / start;
        let in_sight = if curve.linear_exponent > 0.0 {
            top.powf(1.0 / curve.linear_exponent)
        } else {
            f64::MAX
        };
        let times = (f64::from(last.size) / from).min(in_sight);
        let end = start * times.powf(curve.linear_exponent);
        svg.line(
            "linear",
            (scale.x(from), scale.y(start)),
            (scale.x(from * times), scale.y(end)),
        );
    }
}

/// A series' name and exponent.
fn legend(svg: &mut Svg, (x, y): (f64, f64), class: &str, round: bool, series: &Series) {
    let exponent = series.exponent.map_or_else(String::new, |exponent| {
        format!(", exponent {exponent:.2}").replace('-', "−")
    });
    let text = format!("{}{exponent}", series.name);
    svg.dot(class, (x + 4.0, y - 4.0), round);
    svg.text("small", (x + 14.0, y), Anchor::Start, &text);
}

fn ends(logs: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    logs.fold(None, |ends, log| {
        let (low, high) = ends.unwrap_or((log, log));
        Some((low.min(log), high.max(log)))
    })
}

/// A tick without digits that say nothing.
fn short(value: f64) -> String {
    let text = number(value);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "panels and letters are few")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::curve::Source, *};

    #[test]
    fn a_flat_curve_looks_flat_and_everything_is_in_its_panel() {
        let source = Source {
            ours: "/cost".into(),
            baseline: None,
        };
        let mut curve = Curve::new("cost", "µs", 0.0, source, "");
        for (size, cost) in [(1, 100.0), (10, 110.0), (100, 95.0)] {
            curve.add(size, &json!({"cost": cost})).expect("a figure");
        }
        let scale = Scale::of(&curve, (480.0, 72.0)).expect("points");
        let ys: Vec<f64> = curve
            .ours
            .points
            .iter()
            .map(|point| scale.y(point.figure.median))
            .collect();
        let (low, high) = ends(ys.iter().copied()).expect("three");
        assert!(high - low < 0.1 * (scale.bottom - scale.top), "{ys:?}");
        assert!(low > scale.top && high < scale.bottom);
        assert!(scale.x(1.0) > 480.0 && scale.x(100.0) < 960.0);
        assert_eq!(scale.ticks(), [50.0, 100.0, 200.0]);
        assert_eq!(["1,000", "0.5", "10"], [1_000.0, 0.5, 10.0].map(short));
    }

    #[test]
    fn nothing_to_draw_is_no_panic() {
        let source = Source {
            ours: "/cost".into(),
            baseline: None,
        };
        let curve = Curve::new("a < b", "µs", 0.0, source, "");
        let mut svg = Svg::new(10.0, 10.0, "nothing");
        panel(&mut svg, (0.0, 0.0), &curve, "sizes");
        assert!(svg.finish().contains("a &lt; b [µs]"));
    }
}
