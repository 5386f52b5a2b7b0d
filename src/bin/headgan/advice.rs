//! What an error of the library asks for, in the words of the command line.

use headgan::Error;
use headgan::error::Advice;

/// An error as one line, with what to type.
pub fn message_with_advice(error: &Error) -> String {
    let advice = error.advice().and_then(advice).map_or(String::new(), |a| format!(" ({a})"));
    // One line, whatever a library's text holds.
    format!("{error}{advice}").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn advice(advice: &Advice) -> Option<String> {
    Some(match advice {
        Advice::ImportModel(kind) => format!("`headgan models import {kind} --from DIR`"),
        Advice::CheckPack => "`headgan models info`".into(),
        Advice::ChoosePack => "--pack".into(),
        Advice::ChooseGenerator => "--generator".into(),
        Advice::ChooseDraft => "`headgan models import headgan-official --from DIR`, or --quality draft".into(),
        Advice::ChooseDevice => "without --precision, or with --device cuda or torch_cpu".into(),
        Advice::ChooseSound => "another --audio, or --no-audio".into(),
        Advice::GiveAsSound => "--audio".into(),
        Advice::ChooseCache => "--cache DIR, or --no-cache".into(),
        Advice::MakeMotion => "`headgan analyse CLIP --motion FILE.hgm`".into(),
        Advice::ListPresets => "`headgan presets list`".into(),
        Advice::ListControls => "`headgan presets show --controls`".into(),
        Advice::SetControl(id) => format!("--set {id}=value"),
        Advice::NameFile => "--from FILE".into(),
        // What this program has no words for.
        _ => return None,
    })
}

/// What gets the networks that read a performance off a picture.
pub const GET_TRACKER: &str = "`headgan models get mediapipe`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_what_to_type() {
        let error =
            Error::model("no pack\nhas a speech; import one").with_advice(Advice::ImportModel("deepspeech2".into()));
        let line = "no pack has a speech; import one (`headgan models import deepspeech2 --from DIR`)";
        assert_eq!(message_with_advice(&error), line);
        assert_eq!(message_with_advice(&Error::usage("no")), "no");
    }
}
