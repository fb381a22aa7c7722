//! A plot as SVG: recall to the right, queries per second upwards on a logarithmic scale, a line per method.
//!
//! The scale of recall is the logarithm of what is missing to 1, so that 0.99 and 0.995 are as far apart as 0.90 and 0.95.

use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// Colours that people with colour blindness can tell apart (Okabe and Ito), and more for further lines.
const COLOURS: [&str; 9] = [
    "#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#000000", "#999999", "#7f6000",
];

/// Recalls that are labelled; the axis begins at one of them.
const TICKS: [f64; 10] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0];
/// Added to what is missing to 1, so that 1 has a place too.
const OFFSET: f64 = 5e-4;

/// A line: points of (recall, queries per second).
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What the legend says.
    pub(crate) name: String,
    /// Number of its colour; the same method has the same in every plot.
    pub(crate) colour: usize,
    /// Ascending by recall.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Where a recall lies on the axis, in units that mean nothing.
fn stretched(recall: f64) -> f64 {
    -(1.0 + OFFSET - recall.min(1.0)).log10()
}

/// The plot. Recall starts at a round value below the least of the points, between 0.5 and 0.9.
pub(crate) fn plot(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().map(|point| point.0).fold(1.0, f64::min);
    let first = TICKS
        .into_iter()
        .rfind(|&tick| tick <= least.min(0.9))
        .unwrap_or(0.5);
    let speeds = || points().map(|point| point.1.max(0.1).log10());
    let (mut low, mut high) = (
        speeds().fold(f64::INFINITY, f64::min).floor(),
        speeds().fold(f64::NEG_INFINITY, f64::max).ceil(),
    );
    if low >= high {
        (low, high) = if low.is_finite() {
            (low - 1.0, low + 1.0)
        } else {
            (0.0, 1.0)
        };
    }
    let (left, right) = (stretched(first), stretched(1.0));
    let x = |recall: f64| LEFT + (stretched(recall) - left) / (right - left) * (WIDTH - LEFT - RIGHT);
    let y = |speed: f64| {
        let share = (speed.max(0.1).log10() - low) / (high - low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\">{}</text>\n",
        escaped(title)
    );
    axes(&mut svg, first, (low, high), &x, &y);
    for (position, line) in lines.iter().enumerate() {
        draw(&mut svg, line, position, first, &x, &y);
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(
    svg: &mut String,
    first: f64,
    (low, high): (f64, f64),
    x: &impl Fn(f64) -> f64,
    y: &impl Fn(f64) -> f64,
) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for recall in TICKS.into_iter().filter(|&tick| tick >= first) {
        let at = x(recall);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#dddddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{recall}</text>",
            bottom + 20.0
        );
    }
    for power in low as i32..=high as i32 {
        for digit in [1.0, 2.0, 5.0] {
            let speed = digit * 10f64.powi(power);
            if speed.log10() > high + 1e-9 {
                continue;
            }
            let at = y(speed);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{speed}</text>",
                LEFT - 8.0,
                at + 4.0
            );
        }
    }
    let middle = (LEFT + right) / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">recall@10</text>\
         <text x=\"20\" y=\"{:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {:.1})\">queries per second</text>",
        HEIGHT - 15.0,
        HEIGHT / 2.0,
        HEIGHT / 2.0
    );
}

fn draw(
    svg: &mut String,
    line: &Line,
    position: usize,
    first: f64,
    x: &impl Fn(f64) -> f64,
    y: &impl Fn(f64) -> f64,
) {
    let colour = COLOURS
        .get(line.colour % COLOURS.len())
        .copied()
        .unwrap_or("#000000");
    // Points left of the axis are in the table.
    let points: Vec<(f64, f64)> = line
        .points
        .iter()
        .filter(|point| point.0 >= first)
        .map(|&(recall, speed)| (x(recall), y(speed)))
        .collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    for (x, y) in points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
        );
    }
    let (left, top) = (WIDTH - RIGHT + 20.0, TOP + 10.0 + 22.0 * position as f64);
    let _ = writeln!(
        svg,
        "<line x1=\"{left}\" y1=\"{top}\" x2=\"{:.1}\" y2=\"{top}\" stroke=\"{colour}\" stroke-width=\"3\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        left + 24.0,
        left + 32.0,
        top + 4.0,
        escaped(&line.name)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{Line, plot};

    fn line(points: &[(f64, f64)]) -> Line {
        Line {
            name: "a < b".to_owned(),
            colour: 11,
            points: points.to_vec(),
        }
    }

    #[test]
    fn points_are_within_the_frame_and_text_is_escaped() {
        let svg = plot(
            "R&D",
            &[line(&[(0.3, 10.0), (0.9, 1500.0), (1.0, 12.0)]), line(&[])],
        );
        assert!(svg.contains("R&amp;D") && svg.contains("a &lt; b"));
        // The point below the first recall of the axis is left out.
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        for piece in svg.split("cy=\"").skip(1) {
            let value: f64 = piece
                .split('"')
                .next()
                .unwrap_or_default()
                .parse()
                .unwrap_or(-1.0);
            assert!((50.0..=500.0).contains(&value), "{value}");
        }
    }

    #[test]
    fn a_plot_of_nothing_or_of_one_point_has_axes() {
        for lines in [vec![], vec![line(&[(1.0, 100.0)])]] {
            let svg = plot("t", &lines);
            assert!(svg.contains("recall@10") && !svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
