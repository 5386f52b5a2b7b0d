//! The plugin's own parameters, which the command line has no controls for: files, the shot's analysis, presets. Projects
//! store their names, which must never change. `values.rs` handles the library's controls.

use crate::host::{Effect, Param};
use headgan::frame::Color;

pub const GROUP: &str = "shot_group";
pub const STATUS: &str = "status";
pub const ENABLED: &str = "enabled";
pub const REFERENCE_FILE: &str = "reference_file";
pub const REFERENCE_TIME: &str = "reference_time";
pub const AUDIO_FILE: &str = "audio_file";
pub const PERFORMANCE_FILE: &str = "performance_file";
pub const ANALYSE: &str = "analyse";
pub const ALLOW_UNANALYSED: &str = "allow_unanalysed";
pub const CACHE_FOLDER: &str = "cache_folder";
pub const COLOR: &str = "color";
pub const DRAFT_WHILE_EDITING: &str = "draft_while_editing";
pub const PRESET: &str = "preset";
pub const PRESET_FILE: &str = "preset_file";
pub const PRESET_LOAD: &str = "preset_load";
pub const PRESET_SAVE: &str = "preset_save";
/// What the last analysis is stored under; hidden.
pub const SHOT: &str = "shot_record";

/// Options of [`COLOR`].
pub const COLORS: [(&str, Color); 3] = [("sRGB", Color::Srgb), ("Linear", Color::Linear), ("Rec.709", Color::Rec709)];
/// Options of [`REFERENCE_TIME`].
pub const REFERENCE_TIMES: [&str; 2] = ["Held frame", "Follows time"];

/// Their values in an instance.
pub struct PluginParams {
    pub enabled: bool,
    /// Empty where none is chosen.
    pub reference_file: String,
    /// The reference moves with time instead of standing still.
    pub reference_follows: bool,
    /// Empty where none is chosen.
    pub audio_file: String,
    /// A recording that performs instead of Source; empty where none is chosen.
    pub performance_file: String,
    pub allow_unanalysed: bool,
    /// Empty for the usual one.
    pub cache_folder: String,
    pub color: Color,
    pub draft_while_editing: bool,
    /// As [`ShotRecord::to_text`] wrote it; empty before the first analysis.
    pub shot: String,
}

impl PluginParams {
    /// Defaults stand for what a host does not tell.
    pub fn read(effect: &Effect) -> headgan::Result<PluginParams> {
        let params = effect.params()?;
        let int = |name: &str| params.get(name).and_then(|p: Param| p.int());
        let text = |name: &str| params.get(name).and_then(|p| p.string()).unwrap_or_default();
        let color = int(COLOR).and_then(|i| COLORS.get(usize::try_from(i).ok()?)).map_or(COLORS[0].1, |(_, c)| *c);
        Ok(PluginParams {
            enabled: int(ENABLED) != Some(0),
            reference_file: text(REFERENCE_FILE).trim().into(),
            reference_follows: int(REFERENCE_TIME) == Some(1),
            audio_file: text(AUDIO_FILE).trim().into(),
            performance_file: text(PERFORMANCE_FILE).trim().into(),
            allow_unanalysed: int(ALLOW_UNANALYSED) == Some(1),
            cache_folder: text(CACHE_FOLDER).trim().into(),
            color,
            draft_while_editing: int(DRAFT_WHILE_EDITING) == Some(1),
            shot: text(SHOT),
        })
    }
}

/// What a project remembers of a shot's analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShotRecord {
    /// What the cache has it under.
    pub key: headgan::key::Key,
    /// The host's time of its first frame.
    pub first: i64,
    /// Number of frames.
    pub frames: usize,
}

impl ShotRecord {
    pub fn to_text(self) -> String {
        format!("1 {} {} {}", self.key.hex(), self.first, self.frames)
    }

    /// `None` where there is none, or one of another version.
    pub fn from_text(text: &str) -> Option<ShotRecord> {
        let mut parts = text.split_whitespace();
        (parts.next()? == "1").then_some(())?;
        Some(ShotRecord {
            key: headgan::key::Key::from_hex(parts.next()?)?,
            first: parts.next()?.parse().ok()?,
            frames: parts.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back() {
        let record = ShotRecord { key: headgan::key::Key::new("x", &[]), first: -12, frames: 300 };
        assert_eq!(ShotRecord::from_text(&record.to_text()), Some(record));
        let other = record.to_text().replacen('1', "2", 1);
        for bad in ["", "1", "1 xyz 0 1", other.as_str()] {
            assert_eq!(ShotRecord::from_text(bad), None, "{bad}");
        }
    }
}
