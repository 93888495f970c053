//! The names of the lines in a plot.

use egui::Ui;

use crate::app::{
    chart::{lane_color, legend_entry, line_style},
    state::RunState,
};

/// The name of the selected chain: its class and its position in the row.
pub(super) fn selected_name(run: &RunState) -> Option<String> {
    let (record, selected) = (run.record.as_ref()?, run.selected?);
    let labels = &record.request.labels;
    let label = *labels.get(selected.chain)?;
    let nth = labels[..=selected.chain].iter().filter(|&&other| other == label).count();
    let model = run.model.as_ref()?;
    let class = model.class_names.get(label as usize)?;
    Some(format!("selected: {class}, chain {nth}"))
}

/// Draws the names of the lines: the lanes, if there are several, and the selected chain.
pub(super) fn legend(ui: &mut Ui, names: &[String], selected: Option<String>) {
    if names.len() > 1 {
        for (lane, name) in names.iter().enumerate() {
            legend_entry(ui, name, lane_color(lane), line_style(lane));
        }
    }
    if let Some(name) = selected {
        legend_entry(ui, &name, ui.visuals().strong_text_color(), egui_plot::LineStyle::Solid);
    }
}
