//! Curves as SVG.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::{
    BLUE, ChartBuilder, Circle, Color as _, IntoDrawingArea as _, LineSeries, SVGBackend, WHITE,
};

/// Pixels.
const SIZE: (u32, u32) = (640, 400);

/// A curve.
pub struct Plot {
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// What a direction means.
#[derive(Clone, Copy)]
pub struct Axis {
    name: &'static str,
    logarithmic: bool,
    bytes: bool,
}

impl Axis {
    /// Each step doubles.
    pub fn log(name: &'static str) -> Self {
        Self { name, logarithmic: true, bytes: false }
    }

    /// From zero.
    pub fn linear(name: &'static str) -> Self {
        Self { name, logarithmic: false, bytes: false }
    }

    /// The same, of bytes.
    pub fn log_bytes(name: &'static str) -> Self {
        Self { bytes: true, ..Self::log(name) }
    }

    fn place(self, value: f64) -> f64 {
        if self.logarithmic { value.log2() } else { value }
    }

    fn range(self, values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
        let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
        match self.logarithmic {
            true => values.fold(f64::INFINITY, f64::min).floor()..most.ceil(),
            false => 0.0..most * 1.1,
        }
    }

    fn label(self, place: f64) -> String {
        let value = if self.logarithmic { place.exp2() } else { place };
        match value {
            1_048_576.0.. if self.bytes => format!("{:.0} MiB", value.round() / 1_048_576.0),
            1024.0.. if self.bytes => format!("{:.0} KiB", value.round() / 1024.0),
            _ if self.bytes => format!("{value:.0} B"),
            1e6.. => format!("{:.3} M", value / 1e6),
            1e4.. => format!("{:.0} k", value / 1e3),
            _ if value >= 10.0 || (value - value.round()).abs() < 0.01 => format!("{value:.0}"),
            _ => format!("{value:.1}"),
        }
    }
}

/// Writes a plot to a file.
pub fn draw(file: &Path, plot: &Plot) -> anyhow::Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", file.display());
    let Plot { x, y, points } = plot;
    let places: Vec<(f64, f64)> = points.iter().map(|p| (x.place(p.0), y.place(p.1))).collect();
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(
            x.range(places.iter().map(|p| p.0)),
            y.range(places.iter().map(|p| p.1)),
        )
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(x.name)
        .y_desc(y.name)
        .x_label_formatter(&|place| x.label(*place))
        .y_label_formatter(&|place| y.label(*place))
        .draw()
        .map_err(|error| failed(&error))?;
    chart
        .draw_series(LineSeries::new(places.iter().copied(), BLUE))
        .map_err(|error| failed(&error))?;
    let dots = places.iter().map(|place| Circle::new(*place, 3, BLUE.filled()));
    chart.draw_series(dots).map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))
}
