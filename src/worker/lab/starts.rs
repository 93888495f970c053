//! The starts of the lab's chains.

use burn::tensor::Tensor;
use rand::RngExt;

use super::{Analytic, EnergySource, JobError, Lab, POINT};
use crate::{
    class_centers::ClassCentersData,
    config::{ClassCentersConfig, StartKind, ViewStart},
    data::Dataset,
    diagnostics::cells,
    kernels,
    replay_buffer::Start,
    starts::{self, SampleStart},
    streams,
    trainer::TrainerError,
};

/// The number of draws from which the class centres of a formula are estimated.
const NUM_DRAWS: usize = 4000;

impl Lab {
    /// The starts (N, 2, 1, 1) of the chains, and the class of each.
    pub(super) async fn starts(&self, start: ViewStart) -> Result<(Tensor<4>, Vec<u8>), JobError> {
        let config = &self.state.config;
        let (count, seed) = (config.num_chains, config.seed);
        let num_classes = self.surface.num_classes;
        let labels: Vec<u32> = (0..count as u32).map(|chain| chain % num_classes).collect();
        let noise = streams::CHAIN_STARTS.key(seed, 0);
        let bytes = |labels: &[u32]| labels.iter().map(|&label| label as u8).collect::<Vec<u8>>();
        let x = match (start, &self.source, &self.learner) {
            (ViewStart::Uniform, ..) => {
                kernels::uniform_start([count, 2, 1, 1], noise, &self.device)
            }
            (ViewStart::Image, ..) => self.points(config.start_point().repeat(count)),
            (ViewStart::Data, EnergySource::Analytic(analytic), _) => {
                let (points, labels) = self.draws(analytic, count);
                return Ok((self.points(points), bytes(&labels)));
            }
            (ViewStart::ClassCenters, EnergySource::Analytic(analytic), _) => {
                let (points, labels_drawn) = self.draws(analytic, NUM_DRAWS);
                let names = (0..num_classes).map(|class| format!("class {class}")).collect();
                let draws = Dataset::unchecked(points, labels_drawn, POINT, names);
                let config = ClassCentersConfig { max_components: 2, ..Default::default() };
                let centers = ClassCentersData::estimate(&draws, &config)
                    .map_err(TrainerError::from)?
                    .to_device(POINT, &self.device);
                Start::ClassCenters(centers).draw(&labels, noise, &self.device)
            }
            (ViewStart::Buffer, EnergySource::Analytic(_), _) => {
                return Err(JobError::Request(
                    "a formula has no replay buffer to start from".into(),
                ));
            }
            (_, EnergySource::Trained(checkpoint), _) => {
                starts::draw(checkpoint, &wanted(start), &labels, seed, &self.device)?
            }
            (_, EnergySource::Learned, Some(learner)) => {
                let checkpoint = learner.checkpoint().await?;
                starts::draw(&checkpoint, &wanted(start), &labels, seed, &self.device)?
            }
            (_, EnergySource::Learned, None) => {
                return Err(JobError::Request("no model is being trained".into()));
            }
        };
        Ok((x, bytes(&labels)))
    }

    /// Exact draws from the density at temperature 1, and the class of each.
    fn draws(&self, analytic: &Analytic, count: usize) -> (Vec<f32>, Vec<u32>) {
        let mut rng = streams::LAB_DRAWS.rng(self.state.config.seed, 0);
        let uniforms = std::iter::from_fn(|| Some(std::array::from_fn(|_| rng.random::<f64>())));
        let points = cells::draw(&self.surface.energy, &self.surface.around, uniforms.take(count));
        let (points, labels): (Vec<[f32; 2]>, Vec<u32>) =
            points.map(|point| (point, analytic.class_of(point))).unzip();
        (points.concat(), labels)
    }
}

/// The start that a network's chains use for a start of the viewer.
fn wanted(start: ViewStart) -> SampleStart {
    match start {
        ViewStart::Data => SampleStart::Data,
        ViewStart::Buffer => SampleStart::Buffer,
        _ => SampleStart::Fresh(StartKind::ClassCenters),
    }
}
