//! The part of the section about samples that shows FID.

use maud::{Markup, html};

use super::parts::{Model, name_of, notes, with};
use crate::counts::{counted, grouped};
use crate::eval::results::{Fid, unknown_fid_network};
use crate::page::{parts::table, text::Unit};

/// The numbers and what they can be compared with; nothing if FID was not measured.
pub(super) fn subsection(models: &[Model]) -> Markup {
    let found = with(models, |results| results.fid.as_ref());
    let is_named = models.len() > 1;
    let head = html! {
        tr { th scope="col" { "Set" } th scope="col" { "Images" } th scope="col" { "FID" } }
    };
    let body = html! {
        @for (model, fid) in &found {
            @if is_named {
                tr.group { th scope="rowgroup" colspan="3" { (name_of(model)) } }
            }
            @for (index, set) in fid.sets.iter().enumerate() {
                tr {
                    th.inner[is_named] scope="row" { (set.name) @if index == 0 { ", the floor" } }
                    td { (grouped(set.count)) }
                    td { (Unit::Digits.text(set.fid)) }
                }
            }
        }
    };
    html! {
        @if !found.is_empty() {
            h3 { "FID" }
            p {
                "The squared Fréchet distance in 2,048 features of the Inception network that everyone uses "
                "(arXiv:1706.08500), computed as pytorch-fid does: images as 8-bit pixels, grey ones with three equal "
                "channels, brought to 299 × 299. It is only as small as the number of images allows: published values "
                "mostly use 50,000 samples, and with fewer the same model has a larger FID. There is no interval."
            }
            (notes(found.iter().map(|(model, fid)| (*model, network(fid))), found.len()))
            (table("FID to the training images", head, body))
        }
    }
}

fn network(fid: &Fid) -> String {
    let network = &fid.network;
    let reference = counted(fid.num_reference, "training image", "training images");
    let origin = match network.is_original {
        true => "converted from pt_inception-2015-12-05-6726825d.pth.".to_string(),
        false => format!("of unknown origin. {}.", unknown_fid_network(&network.name)),
    };
    format!(
        "The reference is {reference}. The weights are {}, SHA-256 {}, {origin}",
        network.name, network.sha256
    )
}
