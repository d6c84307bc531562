//! What `bench growth` found, and how a person reads it.

use serde::Serialize;

use super::{
    super::{
        figure::number,
        page::Page,
        report::{About, Report},
        table::Table,
    },
    axis::Axis,
    curve::{Curve, Series},
};

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub about: About,
    pub axes: Vec<AlongAxis>,
}

/// What came out along one axis.
#[derive(Debug, Serialize)]
pub struct AlongAxis {
    pub axis: Axis,
    pub label: &'static str,
    pub curves: Vec<Curve>,
}

impl AlongAxis {
    pub const fn of(axis: Axis, curves: Vec<Curve>) -> Self {
        Self {
            axis,
            label: axis.label(),
            curves,
        }
    }

    fn table(&self) -> Table {
        let sizes = self.curves.first().map_or(&[][..], |curve| &curve.ours.points);
        let sizes = sizes.iter().map(|point| match point.size {
            small if small < 1_000 => small.to_string(),
            large => number(f64::from(large)),
        });
        let mut table = Table::new(
            ["what one costs".to_owned(), "way".to_owned()]
                .into_iter()
                .chain(sizes)
                .chain(["exponent", "linear is", "worse than linear"].map(String::from)),
        );
        for curve in &self.curves {
            for (index, series) in curve.series().enumerate() {
                let worse = match curve.worse_than_linear {
                    _ if index > 0 => "",
                    Some(true) => "YES",
                    Some(false) => "no",
                    None => "unknown",
                };
                let name = format!("{}, {}", curve.name, curve.unit);
                table.row(
                    [name, series.name.to_owned()]
                        .into_iter()
                        .chain(series.points.iter().map(|point| number(point.figure.median)))
                        .chain([
                            exponent(series),
                            format!("{:.0}", curve.linear_exponent),
                            worse.to_owned(),
                        ])
                        .collect(),
                );
            }
        }
        table
    }
}

fn exponent(series: &Series) -> String {
    series.exponent.map_or_else(
        || "–".into(),
        |exponent| format!("{exponent:.2}").replace('-', "−"),
    )
}

impl Report for Result {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        for along in &self.axes {
            page = page.table(format!("Over {}:", along.label), along.table());
        }
        let curves = self.axes.iter().flat_map(|along| &along.curves);
        let worse: Vec<_> = curves
            .filter(|curve| curve.worse_than_linear == Some(true))
            .collect();
        page.text(if worse.is_empty() {
            "No curve is worse than linear.".to_owned()
        } else {
            let names: Vec<_> = worse.iter().map(|curve| curve.name).collect();
            format!("Worse than linear: {}.", names.join("; "))
        })
    }
}
