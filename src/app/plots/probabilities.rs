//! A plot of the class probabilities of the selected chain over the run.

use egui::Ui;
use egui_plot::{HoverPosition, VLine};

use super::{
    legend::selected_name,
    series::{Series, XAxis},
};
use crate::app::{
    chart::{
        COLORS, chart, legend_entry, legend_row, line, line_style, line_width, note, steps_sense,
    },
    state::RunState,
};

/// The maximum number of classes that are drawn.
const NUM_CLASSES: usize = 5;

/// The class probabilities p(y|x) of a chain, (steps, classes).
struct Seen {
    steps: Vec<u64>,
    rows: Vec<Vec<f32>>,
}

fn seen(run: &RunState, series: &Series) -> Option<Seen> {
    let (record, selected) = (run.record.as_ref()?, run.selected?);
    let mut seen = Seen { steps: Vec::new(), rows: Vec::new() };
    for column in series.columns() {
        let Some((step, lanes)) = record.numbers.at(column.step) else { continue };
        let numbers = lanes.get(selected.lane)?;
        let num_classes = numbers.probabilities.len() / numbers.energy.len().max(1);
        let first = selected.chain * num_classes;
        let row = numbers.probabilities.get(first..first + num_classes)?;
        if *step == column.step {
            seen.steps.push(*step);
            seen.rows.push(row.iter().map(|p| p.to_f32()).collect());
        }
    }
    Some(seen)
}

/// The classes with the highest mean probability, most probable first.
fn likeliest(rows: &[Vec<f32>], most: usize) -> Vec<usize> {
    let num_classes = rows.first().map_or(0, Vec::len);
    let mut sums = vec![0.0f64; num_classes];
    for row in rows {
        for (sum, p) in sums.iter_mut().zip(row).filter(|(_, p)| p.is_finite()) {
            *sum += f64::from(*p);
        }
    }
    let mut classes: Vec<usize> = (0..num_classes).collect();
    classes.sort_by(|&a, &b| sums[b].total_cmp(&sums[a]));
    classes.truncate(most);
    classes
}

/// Draws the plot. Returns the step that was clicked.
pub(super) fn ui(
    ui: &mut Ui,
    run: &RunState,
    series: &Series,
    axis: XAxis,
    height: f32,
) -> Option<u64> {
    let (Some(selected), Some(model)) = (run.selected, &run.model) else {
        ui.weak("Select a chain: click one in the Chains tab.");
        return None;
    };
    let seen = seen(run, series)?;
    let classes = likeliest(&seen.rows, NUM_CLASSES);
    let name = |class: usize| model.class_names.get(class).map_or("?", String::as_str);
    legend_row(ui, |ui| {
        if let Some(name) = selected_name(run) {
            note(ui, format!("{name}:"));
        }
        for (nth, &class) in classes.iter().enumerate() {
            legend_entry(ui, name(class), COLORS[nth], line_style(nth));
        }
    });
    let x = |step: u64| series.x_of_step(axis, selected.lane, step);
    let x_end = seen.steps.last().map_or(1.0, |&step| x(step)).max(1e-6);
    let playhead = ui.visuals().strong_text_color().gamma_multiply(0.75);
    let plot = chart("probabilities", height, axis.name(), "p(y|x)")
        .sense(steps_sense(ui))
        .label_formatter(|position| {
            let (HoverPosition::Elsewhere { position }
            | HoverPosition::NearDataPoint { position, .. }) = position;
            let step = series.nearest(axis, selected.lane, position.x)?.step;
            let row = &seen.rows[seen.steps.iter().position(|&at| at == step)?];
            let lines =
                classes.iter().map(|&class| format!("\n{}: {:.2}", name(class), row[class]));
            Some(format!("step {step}{}", lines.collect::<String>()))
        });
    let response = plot.show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * x_end..=1.01 * x_end);
        plot.set_plot_bounds_y(-0.04..=1.04);
        // The most probable class last, on top of the others.
        for (nth, &class) in classes.iter().enumerate().rev() {
            let values = seen.steps.iter().zip(&seen.rows);
            let values = values.map(|(&step, row)| (x(step), f64::from(row[class])));
            let (width, style) = (line_width(nth, 2.0), line_style(nth));
            line(plot, values, |line| line.color(COLORS[nth]).width(width).style(style));
        }
        let line = VLine::new("", x(run.shown_step())).color(playhead).width(1.5);
        plot.vline(line.allow_hover(false));
    });
    let is_moved = response.response.clicked() || response.response.dragged();
    let pointer = response.response.interact_pointer_pos().filter(|_| is_moved)?;
    let at = response.transform.value_from_position(pointer).x;
    series.nearest(axis, selected.lane, at).map(|column| column.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first() {
        let rows = vec![vec![0.1, 0.2, 0.7], vec![0.5, f32::NAN, 0.5]];
        assert_eq!(likeliest(&rows, 2), [2, 0]);
        assert!(likeliest(&[], 5).is_empty());
    }
}
