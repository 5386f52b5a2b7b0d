//! What an error of the library asks for, in the words of the panel.

use headgan::Error;
use headgan::controls::tree;
use headgan::error::Advice;

/// An error's text, with what to do in the panel.
pub fn message_with_advice(error: &Error) -> String {
    let advice = error.advice().and_then(advice).map_or(String::new(), |a| format!(" ({a})"));
    format!("{error}{advice}")
}

fn advice(advice: &Advice) -> Option<String> {
    Some(match advice {
        // Packs are imported by the program, whose folder of packs is the plugin's too.
        Advice::ImportModel(kind) => format!("with the program: headgan models import {kind} --from DIR"),
        Advice::CheckPack => "with the program: headgan models info".into(),
        Advice::ChooseDraft => {
            "with the program: headgan models import headgan-official --from DIR; or Quality: Draft".into()
        }
        Advice::ChooseDevice => "Device".into(),
        Advice::ChooseSound => "Audio file".into(),
        Advice::GiveAsSound => "Audio file".into(),
        Advice::ChooseCache => "Cache folder".into(),
        Advice::ListPresets => "Preset".into(),
        Advice::SetControl(id) => tree::find(id)?.label.into(),
        // What the panel has nothing for.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_the_panel_has() {
        let told = |advice| message_with_advice(&Error::model("it fails").with_advice(advice));
        assert_eq!(told(Advice::ChooseCache), "it fails (Cache folder)");
        assert_eq!(told(Advice::SetControl("quality".into())), "it fails (Quality)");
        assert_eq!(told(Advice::ChooseGenerator), "it fails");
    }
}
