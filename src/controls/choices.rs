//! The controls that choose one of several options, as types.

/// One option of a choice. Hosts store its index in the list: options are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceOption {
    /// Written in files and on the command line (snake_case).
    pub id: &'static str,
    /// Shown to the user.
    pub label: &'static str,
    /// What it does.
    pub hint: &'static str,
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $id:literal $label:literal $hint:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $hint] $variant,)+ }

        impl $name {
            /// Every option, in the order of [`Self::OPTIONS`].
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];
            /// Ids, labels and hints.
            pub const OPTIONS: &'static [ChoiceOption] =
                &[$(ChoiceOption { id: $id, label: $label, hint: $hint },)+];

            /// The id of this option.
            pub fn id(self) -> &'static str {
                Self::OPTIONS[self as usize].id
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.id())
            }
        }
    };
}

choice! {
    /// Which of several faces in a picture is meant.
    FaceChoice {
        Largest "largest" "Largest" "The face with the largest box.",
        Nearest "nearest" "Nearest to a point" "The face nearest to the point Face X, Face Y.",
        Index "index" "By number" "The face with the number Face number, counted from the left.",
    }
}

choice! {
    /// How the expressions of the group Expression meet the performance.
    OverrideMode {
        Add "add" "Add" "They come on top of the performance.",
        Replace "replace" "Replace" "What the performance has of them is taken away first: the value alone counts.",
    }
}

choice! {
    /// What counts as the driver's face at rest.
    Neutral {
        Automatic "automatic" "Automatic" "The median of each coefficient of the expression over the shot.",
        Average "average" "Average" "The average expression of the shot.",
        Frame "frame" "A frame" "The expression of the driving frame Neutral frame.",
    }
}

choice! {
    /// What becomes of the new head.
    Composite {
        Paste "paste" "Into the plate" "The head goes back into the plate; outside the mask the plate stays untouched.",
        Crop "crop" "Crop alone" "The square crop around the head alone, without the plate.",
    }
}

choice! {
    /// What of a reference clip is used.
    ReferenceUses {
        Frame "frame" "One frame" "The reference frame alone.",
        Clip "clip" "The clip" "The frames of the clip that show most of what the reference frame hides: teeth, closed lids, far cheeks.",
    }
}

choice! {
    /// What becomes of what is behind the person.
    Background {
        Still "still" "Holds still" "The person moves, what is behind holds still; with a pack that knows where the person is, or a reference with alpha.",
        Moves "moves" "Moves with the head" "What is around the head moves along, as in earlier versions.",
    }
}

choice! {
    /// What says which pixels of the reference are the person.
    MatteSource {
        Automatic "automatic" "Automatic" "The reference's own alpha where it cuts the person out, else the pack's network; what lacks pixels elsewhere moves with the head.",
        Alpha "alpha" "Alpha" "The reference's own alpha; an opaque reference's background moves with the head.",
        Network "network" "Network" "The pack's network; what is behind in a reference that is not opaque moves with the head.",
    }
}

choice! {
    /// What moves the mouth.
    MouthFrom {
        Driver "driver" "Driver" "The driver's lips and jaw.",
        Sound "sound" "Sound" "What is spoken in the sound; everything but lips and jaw stays the driver's.",
    }
}

choice! {
    /// Which picture comes out.
    View {
        Result "result" "Result" "The finished picture.",
        Crop "crop" "Crop" "The crop around the head, before it is composited.",
        Pncc "pncc" "PNCC" "The face's shape as colours (what the generator is driven by).",
        Landmarks "landmarks" "Landmarks" "The plate with the fitted landmarks drawn on it.",
        Flow "flow" "Flow" "Where each pixel comes from in the reference, as colours.",
        Mask "mask" "Mask" "The soft mask through which the head goes into the plate.",
        Confidence "confidence" "Confidence" "How certain the fit is.",
        Matte "matte" "Matte" "How much of each pixel of the result is the person, over what is behind.",
    }
}

choice! {
    /// How the head is made.
    Quality {
        Draft "draft" "Draft" "Moves the reference's pixels along with the mesh: fast, needs no generator.",
        Full "full" "Full" "Paints eyes and mouth over the moved picture where a model pack has windows and faces are fitted to dense points; else runs the generator of the model pack.",
    }
}

choice! {
    /// What computes.
    Device {
        Auto "auto" "Automatic" "A CUDA device where one can be used, else the CPU.",
        Cpu "cpu" "CPU" "The CPU.",
        Cuda "cuda" "CUDA" "A CUDA device; an error where there is none.",
        TorchCpu "torch_cpu" "CPU (torch)" "The CPU with the torch engine, to compare engines; an error where it is not installed.",
    }
}
