//! `ofx-conformance`: tests an OpenFX bundle, level by level, and says what it found.

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("ofx-conformance: this host runs on Linux only");
    std::process::ExitCode::from(2)
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(target_os = "linux")]
mod program {
    use clap::Parser;
    use ofx_conformance::effect::Project;
    use ofx_conformance::footage::Footage;
    use ofx_conformance::levels::{LEVELS, Run};
    use ofx_conformance::plugin::Bundle;
    use ofx_conformance::runner::{self, Summary};
    use ofx_conformance::session::{self, Settings};
    use ofx_conformance::{log, watch};
    use std::ffi::c_char;
    use std::path::PathBuf;
    use std::process::{Command, ExitCode};
    use std::sync::Arc;
    use std::time::Duration;

    /// Tests an OpenFX bundle at levels 1 to N, each in a process of its own. Exit codes: 0 nothing failed, 1 something
    /// did, 2 the command is wrong.
    #[derive(Parser)]
    #[command(name = "ofx-conformance", version, max_term_width = 110, args_override_self = true)]
    struct Args {
        /// The `.ofx.bundle` folder, or a plugin's shared library
        bundle: Option<PathBuf>,
        /// The highest level, 1 to 10
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10))]
        level: u32,
        /// Runs only the highest level
        #[arg(long)]
        only: bool,
        /// The seed of all that is random
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Frames for the source: a folder of PNG or JPEG files (else a drawn pattern)
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
        /// A picture for the first optional clip, or the file parameter with "reference" in its name
        #[arg(long, value_name = "FILE")]
        reference: Option<PathBuf>,
        /// Holds a parameter at a value; may be given many times
        #[arg(long, value_name = "PARAM=VALUE")]
        set: Vec<String>,
        /// Seconds that level 10 goes on
        #[arg(long, default_value_t = 120)]
        soak: u64,
        /// Seconds that a level may take (else each level's own limit)
        #[arg(long)]
        timeout: Option<u64>,
        /// Warnings fail, too
        #[arg(long)]
        strict: bool,
        /// The bundle where none is named
        #[arg(long, hide = true)]
        default_bundle: Option<PathBuf>,
        /// Is a level's process
        #[arg(long, hide = true)]
        inside: bool,
    }

    pub fn main() -> ExitCode {
        let args = Args::parse();
        match if args.inside { inside(&args) } else { outside(&args) } {
            Ok(failures) => ExitCode::from(u8::from(failures > 0)),
            Err(e) => {
                eprintln!("ofx-conformance: {e}");
                ExitCode::from(2)
            }
        }
    }

    /// Runs the levels; gives the number of failures.
    fn outside(args: &Args) -> Result<u32, String> {
        let run = prepare(args)?;
        println!("bundle   {}", run.bundle.path.display());
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut total = Summary::default();
        for level in LEVELS.iter().filter(|l| l.number == args.level || !args.only && l.number < args.level) {
            let mut command = Command::new(&program);
            command.args(std::env::args_os().skip(1)).args(["--inside", "--level"]).arg(level.number.to_string());
            let seconds = level.seconds + if level.number == 10 { args.soak } else { 0 };
            let limit = Duration::from_secs(args.timeout.unwrap_or(seconds));
            let one = runner::run(level, args.seed, command, limit, &mut std::io::stdout());
            total.ok += one.ok;
            total.failures += one.failures;
            total.warnings += one.warnings;
        }
        let Summary { ok, failures, warnings } = total;
        println!("summary  {ok} checks passed, {failures} failures, {warnings} warnings; seed {}", args.seed);
        Ok(failures + if args.strict { warnings } else { 0 })
    }

    /// Is the process of one level.
    fn inside(args: &Args) -> Result<u32, String> {
        let run = prepare(args)?;
        if let Some(level) = LEVELS.iter().find(|l| l.number == args.level) {
            (level.body)(&run);
        }
        Ok(log::failures())
    }

    fn prepare(args: &Args) -> Result<Run, String> {
        let mut project = session::pattern();
        if let Some(path) = &args.source {
            let source = Footage::read(path)?;
            // Enough to move, few enough to go round often.
            let frames = source.frames().min(12);
            project = Project { source: Arc::new(source), reference: None, frames, ..project };
        }
        let reference = args.reference.as_ref().map(|p| p.canonicalize().map_err(|e| format!("{}: {e}", p.display())));
        let reference = reference.transpose()?;
        if let Some(path) = &reference {
            project.reference = Some(Arc::new(Footage::read(path)?));
        }
        let pair = |s: &String| {
            let (name, value) = s.split_once('=').ok_or_else(|| format!("--set {s}: write PARAM=VALUE"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        let pinned = args.set.iter().map(pair).collect::<Result<_, String>>()?;
        let settings = Settings { seed: args.seed, project, reference, pinned };
        let bundle = args.bundle.as_ref().or(args.default_bundle.as_ref()).ok_or("name a bundle: see --help")?;
        if args.bundle.is_none() && !bundle.exists() {
            return Err(format!("{}: not there: make it (cargo xtask bundle) or name a bundle", bundle.display()));
        }
        Ok(Run { bundle: Bundle::find(bundle)?, settings, soak: Duration::from_secs(args.soak) })
    }

    /// Stands before libc's: see `watch`.
    ///
    /// # Safety
    /// As libc's.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
        // SAFETY: the caller's.
        unsafe { watch::getenv(name) }
    }

    /// Stands before libc's, which reads nothing only in programs with raised rights.
    ///
    /// # Safety
    /// As libc's.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn secure_getenv(name: *const c_char) -> *mut c_char {
        // SAFETY: the caller's.
        unsafe { watch::getenv(name) }
    }
}
