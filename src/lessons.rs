//! The lessons: Markdown files in `assets/lessons`, whose links set up the states that they are about.
//!
//! A lesson has a `# Title` and a `## Heading` for every step. A link to `?…` contains a state of the window,
//! in the format of `Copy link`. The first such link of a step is set up when the step is opened. A quoted
//! block is the answer to the step's question, and stays hidden until the user asks for it.

use std::path::Path;

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use crate::{
    assets::{self, AssetError},
    files,
};

/// The maximum size of a user's own lesson file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The maximum number of steps of a lesson.
pub const MAX_STEPS: usize = 99;
/// The titles, by number starting at 1, for use before the texts are loaded.
pub const TITLES: [&str; 8] = [
    "A classifier hides an energy",
    "Following the gradient: modes",
    "Noise and temperature",
    "Too large a step",
    "Where chains start",
    "Has it converged?",
    "What PYLD reuses",
    "How it learns, and how it goes wrong",
];

/// The files, by number starting at 1.
const FILES: [&str; TITLES.len()] = [
    "lessons/1.md",
    "lessons/2.md",
    "lessons/3.md",
    "lessons/4.md",
    "lessons/5.md",
    "lessons/6.md",
    "lessons/7.md",
    "lessons/8.md",
];

/// The text of a lesson, with numbers starting at 1. Numbers past the last lesson mean the last one. `folder`
/// contains the user's own texts, named `1.md` and so on.
///
/// # Errors
/// In a browser, the text cannot be loaded. The other lessons follow by themselves, so that the next lesson needs no
/// connection. With `folder`, the file cannot be read.
pub async fn text(number: usize, folder: Option<&Path>) -> Result<String, AssetError> {
    let file = FILES[number.clamp(1, FILES.len()) - 1];
    if let Some(folder) = folder {
        let path = folder.join(file.trim_start_matches("lessons/"));
        return match files::read_at_most(&path, MAX_BYTES) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                Err(AssetError { name: path.display().to_string(), reason: error.to_string() })
            }
        };
    }
    assets::bring(&[file]).await?;
    assets::bring_later(&FILES);
    Ok(String::from_utf8_lossy(assets::get(file).unwrap_or_default()).into_owned())
}

/// A parsed lesson.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lesson {
    /// The title of the lesson.
    pub title: String,
    /// The steps of the lesson; there is at least one.
    pub steps: Vec<LessonStep>,
}

/// One step of a lesson.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LessonStep {
    /// The heading of this step.
    pub title: String,
    /// The paragraphs of this step.
    pub blocks: Vec<Block>,
    /// The answer to the question of this step.
    pub answer: Vec<Block>,
}

impl LessonStep {
    /// The state that this step sets up: the query of its first link.
    pub fn state(&self) -> Option<&str> {
        let spans = self.blocks.iter().flat_map(|block| &block.spans);
        spans.filter_map(|span| span.link.as_deref()).find(|link| link.starts_with('?'))
    }
}

/// A paragraph, or an item of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Whether this is an item of a list.
    pub is_item: bool,
    /// The text of the paragraph, in parts of one style.
    pub spans: Vec<Span>,
}

/// Text in one style.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// The text in this style.
    pub text: String,
    /// Whether the text is bold.
    pub is_strong: bool,
    /// Whether the text is emphasised (italic).
    pub is_emphasis: bool,
    /// Whether the text is a formula or a key.
    pub is_code: bool,
    /// The target of a link: `?` and the query of a state, or an address.
    pub link: Option<String>,
}

impl Lesson {
    /// Parses a lesson. Markdown that this format does not support is kept as text.
    pub fn parse(markdown: &str) -> Self {
        let mut lesson = Self::default();
        let mut style = Span::default();
        let mut heading = None;
        let mut is_answer = false;
        let mut is_item = false;
        for event in Parser::new(markdown) {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    heading = Some(level);
                    if level != HeadingLevel::H1 {
                        lesson.steps.push(LessonStep::default());
                    }
                }
                Event::End(TagEnd::Heading(_)) => heading = None,
                Event::Start(Tag::BlockQuote(_)) => is_answer = true,
                Event::End(TagEnd::BlockQuote(_)) => is_answer = false,
                Event::Start(Tag::Item) => {
                    is_item = true;
                    lesson.blocks(is_answer).push(Block { is_item, ..Block::default() });
                }
                Event::End(TagEnd::Item) => is_item = false,
                Event::Start(Tag::Paragraph) if !is_item => {
                    lesson.blocks(is_answer).push(Block::default());
                }
                Event::Start(Tag::Strong) => style.is_strong = true,
                Event::End(TagEnd::Strong) => style.is_strong = false,
                Event::Start(Tag::Emphasis) => style.is_emphasis = true,
                Event::End(TagEnd::Emphasis) => style.is_emphasis = false,
                Event::Start(Tag::Link { dest_url, .. }) => style.link = Some(dest_url.to_string()),
                Event::End(TagEnd::Link) => style.link = None,
                Event::Text(text) => lesson.add(&text, heading, is_answer, &style),
                Event::Code(text) => {
                    let style = Span { is_code: true, ..style.clone() };
                    lesson.add(&text, heading, is_answer, &style);
                }
                Event::SoftBreak | Event::HardBreak => {
                    lesson.add(" ", heading, is_answer, &style);
                }
                _ => {}
            }
        }
        if lesson.steps.is_empty() {
            lesson.steps.push(LessonStep::default());
        }
        lesson
    }

    /// The blocks that the next text belongs to.
    fn blocks(&mut self, is_answer: bool) -> &mut Vec<Block> {
        if self.steps.is_empty() {
            self.steps.push(LessonStep::default());
        }
        let last = self.steps.len() - 1;
        let step = &mut self.steps[last];
        if is_answer { &mut step.answer } else { &mut step.blocks }
    }

    fn add(&mut self, text: &str, heading: Option<HeadingLevel>, is_answer: bool, style: &Span) {
        match (heading, self.steps.last_mut()) {
            (Some(HeadingLevel::H1), _) => self.title += text,
            (Some(_), Some(step)) => step.title += text,
            _ => {
                let blocks = self.blocks(is_answer);
                if blocks.is_empty() {
                    blocks.push(Block::default());
                }
                if let Some(block) = blocks.last_mut() {
                    block.spans.push(Span { text: text.to_string(), ..style.clone() });
                }
            }
        }
    }
}
