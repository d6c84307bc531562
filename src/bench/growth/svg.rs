//! The few elements of SVG that a chart needs.
//!
//! Written here rather than with a crate: what draws charts in Rust gives every element a fixed
//! colour, where this picture follows the reader's light or dark theme by a style sheet, and its
//! share of it (lines, dots, words) is smaller than the binding to a backend would be.

use std::fmt::Write as _;

/// Colours by class, for a light and for a dark page. Blue and orange are told apart by everybody;
/// dots and squares tell the series apart without colour.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}\
.title{font-size:16px;font-weight:600}.panel{font-weight:600}.small{font-size:11px;fill:#59636e}\
.page{fill:#fff}.grid{stroke:#d8dee4}.frame{fill:none;stroke:#8c959f}\
.linear{stroke:#8c959f;stroke-dasharray:5 4;fill:none}\
.ours{stroke:#0969da;fill:#0969da}.bare{stroke:#bc4c00;fill:#bc4c00}.line{fill:none;stroke-width:2}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.small{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#2b3138}\
.ours{stroke:#58a6ff;fill:#58a6ff}.bare{stroke:#f0883e;fill:#f0883e}.line{fill:none}}";

/// A drawing that grows.
#[derive(Debug)]
pub struct Svg(String);

/// Where a text stands from its place.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// An empty page.
    #[must_use]
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self(String::new());
        svg.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>",
            escaped(title)
        ));
        svg
    }

    /// A text.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(text)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A line through points.
    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!(
            "<polyline class=\"{class}\" points=\"{}\"/>",
            points.join(" ")
        ));
    }

    /// A rectangle.
    pub fn frame(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// A round dot, or a square one.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), round: bool) {
        const RADIUS: f64 = 3.5;
        if round {
            self.add(format_args!(
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\"/>"
            ));
        } else {
            self.frame(class, (x - RADIUS, y - RADIUS), (2.0 * RADIUS, 2.0 * RADIUS));
        }
    }

    /// The file.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{element}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
