//! Every chain as a thin translucent line. There may be tens of thousands of points, so the triangles are built
//! once and drawn again until something changes.

use std::{cell::RefCell, ops::RangeInclusive, sync::Arc};

use egui::{Color32, Mesh, Pos2, Rect, Shape, Ui, pos2, vec2};
use egui_plot::{PlotBounds, PlotGeometry, PlotItem, PlotItemBase, PlotTransform};

use super::series::{Series, XAxis};
use crate::app::{chart::lane_color, fit::fit};

/// The minimum distance between two points of a line, in screen points.
const POINTS_APART: f32 = 8.0;

/// The inputs that the triangles were built from.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    revision: u64,
    axis: XAxis,
    frame: Rect,
    min: [f64; 2],
    max: [f64; 2],
}

/// A cache of the last triangles.
#[derive(Default)]
pub(super) struct FaintCache(RefCell<Option<(Key, Arc<Mesh>)>>);

/// The chains of all lanes as one plot item.
pub(super) struct FaintChains<'a> {
    base: PlotItemBase,
    series: &'a Series,
    axis: XAxis,
    cache: &'a FaintCache,
}

impl<'a> FaintChains<'a> {
    /// Creates the plot item for these series.
    pub(super) fn new(series: &'a Series, axis: XAxis, cache: &'a FaintCache) -> Self {
        Self { base: PlotItemBase::new(String::new()), series, axis, cache }
    }

    fn mesh(&self, transform: &PlotTransform) -> Mesh {
        let columns = self.series.columns();
        let frame = transform.frame();
        let most = (frame.width() / POINTS_APART).max(2.0) as usize;
        let every = columns.len().div_ceil(most).max(1);
        // The newest column is never skipped.
        let last = columns.len().saturating_sub(1);
        let kept = || (0..columns.len()).filter(|index| index % every == 0 || *index == last);
        let far = frame.height() + 1.0;
        let mut mesh = Mesh::default();
        let mut line: Vec<Pos2> = Vec::new();
        let num_faint = self.series.faint_chains().len();
        // Many overlapping lines must not hide what is drawn on them.
        let strength = fit(6.0 / num_faint.max(1) as f32, 0.13, 0.5);
        for lane in 0..self.series.num_lanes() {
            let color = lane_color(lane).gamma_multiply(strength);
            let xs: Vec<f32> = kept()
                .map(|index| transform.position_from_point_x(columns[index].x(self.axis, lane)))
                .collect();
            for chain in 0..num_faint {
                for (index, &x) in kept().zip(&xs) {
                    let energy = columns[index].lanes[lane].energies[chain];
                    if energy.is_finite() {
                        let y = transform.position_from_point_y(f64::from(energy));
                        line.push(pos2(x, fit(y, frame.top() - far, frame.bottom() + far)));
                    } else {
                        add_line(&mut mesh, &line, color);
                        line.clear();
                    }
                }
                add_line(&mut mesh, &line, color);
                line.clear();
            }
        }
        mesh
    }
}

/// Adds a line that fades out within one point on both sides.
fn add_line(mesh: &mut Mesh, line: &[Pos2], color: Color32) {
    if line.len() < 2 {
        return;
    }
    let first = mesh.vertices.len() as u32;
    for (index, &point) in line.iter().enumerate() {
        let (before, after) =
            (line[index.saturating_sub(1)], line[(index + 1).min(line.len() - 1)]);
        let along = (after - before).normalized();
        let across = vec2(-along.y, along.x);
        mesh.colored_vertex(point + across, Color32::TRANSPARENT);
        mesh.colored_vertex(point, color);
        mesh.colored_vertex(point - across, Color32::TRANSPARENT);
    }
    for segment in 0..line.len() as u32 - 1 {
        let a = first + 3 * segment;
        for side in [0, 1] {
            mesh.add_triangle(a + side, a + side + 1, a + side + 3);
            mesh.add_triangle(a + side + 1, a + side + 4, a + side + 3);
        }
    }
}

impl PlotItem for FaintChains<'_> {
    fn shapes(&self, _ui: &Ui, transform: &PlotTransform, shapes: &mut Vec<Shape>) {
        let bounds = transform.bounds();
        let key = Key {
            revision: self.series.revision,
            axis: self.axis,
            frame: *transform.frame(),
            min: bounds.min(),
            max: bounds.max(),
        };
        let mut cache = self.cache.0.borrow_mut();
        let mesh = match &*cache {
            Some((old, mesh)) if *old == key => mesh.clone(),
            _ => {
                let mesh = Arc::new(self.mesh(transform));
                *cache = Some((key, mesh.clone()));
                mesh
            }
        };
        shapes.push(Shape::Mesh(mesh));
    }

    fn initialize(&mut self, _x_range: RangeInclusive<f64>) {}

    fn color(&self) -> Color32 {
        Color32::TRANSPARENT
    }

    fn allow_hover(&self) -> bool {
        false
    }

    fn geometry(&self) -> PlotGeometry<'_> {
        PlotGeometry::None
    }

    fn bounds(&self) -> PlotBounds {
        PlotBounds::NOTHING
    }

    fn base(&self) -> &PlotItemBase {
        &self.base
    }

    fn base_mut(&mut self) -> &mut PlotItemBase {
        &mut self.base
    }
}
