//! The plot of growth: CPU time a query and memory against Pods, as SVG. Two small panels need no library.

use std::fmt::Write as _;

/// One server's points: Pods, and µs of CPU a query or MiB.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) cpu: Vec<(f64, f64)>,
    pub(crate) memory: Vec<(f64, f64)>,
}

/// One colour for each server. They differ in lightness too, for readers who see no colours.
const COLOURS: [&str; 5] = ["#0b3c8c", "#d1780a", "#3f9d5a", "#8e2a8e", "#888888"];

/// How far below its point each server's number is, so that the numbers of neighbouring points do not overlap.
const ASIDE: [f64; 5] = [-5.0, 14.0, -12.0, -6.0, 14.0];

const PANEL_WIDTH: f64 = 460.0;
const HEIGHT: f64 = 460.0;
const MARGIN: f64 = 52.0;

/// Draws two panels side by side, with logarithmic axes.
pub(crate) fn svg(lines: &[Line]) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        2.0 * PANEL_WIDTH
    );
    let cpu: Vec<_> = lines.iter().map(|line| (line.name, line.cpu.as_slice())).collect();
    let memory: Vec<_> = lines.iter().map(|line| (line.name, line.memory.as_slice())).collect();
    panel(&mut text, 0.0, "CPU µs a query", &cpu);
    panel(&mut text, PANEL_WIDTH, "MiB", &memory);
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, left: f64, title: &str, lines: &[(&str, &[(f64, f64)])]) {
    let scale = |value: f64| value.max(1.0).log10();
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let most = points().map(|(_, value)| scale(value)).fold(0.0, f64::max) * 1.1;
    let pods = |value: f64| value.log10();
    let [least_pods, most_pods] = [f64::min, f64::max].map(|pick| points().map(|(at, _)| pods(at)).reduce(pick));
    let (least_pods, most_pods) = (least_pods.unwrap_or(0.0), most_pods.unwrap_or(1.0));
    let x = |at: f64| {
        let share = (pods(at) - least_pods) / (most_pods - least_pods);
        left + MARGIN + share * (PANEL_WIDTH - 2.0 * MARGIN)
    };
    let y = |value: f64| HEIGHT - MARGIN - scale(value) / most * (HEIGHT - 2.0 * MARGIN);

    let (base, right) = (HEIGHT - MARGIN, left + PANEL_WIDTH - MARGIN);
    let start = left + MARGIN;
    let _ = writeln!(text, "<path d=\"M{start} {MARGIN}V{base}H{right}\" fill=\"none\" stroke=\"#888\"/>");
    let _ = writeln!(text, "<text x=\"{start}\" y=\"20\" font-size=\"14\">{title}</text>");
    for &(at, _) in lines.first().map_or(&[][..], |(_, points)| points) {
        let (x, y) = (x(at), base + 18.0);
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{at} Pods</text>");
    }
    for (number, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<String> = points.iter().map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
        let path = path.join(" ");
        let _ = writeln!(text, "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        for &(at, value) in *points {
            let (x, y) = (x(at), y(value));
            let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            let digits = if value < 100.0 { 1 } else { 0 };
            let y = y + ASIDE[number % ASIDE.len()];
            let _ = writeln!(
                text,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"10\" text-anchor=\"middle\" fill=\"{colour}\">{value:.digits$}</text>"
            );
        }
        let (x, y) = (start + [0.0, 62.0, 100.0, 140.0, 290.0][number % 5], 38.0);
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y}\" fill=\"{colour}\">{name}</text>");
    }
}
