//! `axvmconfig`: checks, explains, converts and packs VM descriptions.
//!
//! Exit status: 0 all is well (warnings included), 1 a description or image is wrong or can't be
//! read or written, 2 wrong usage.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use axvmconfig::{
    Arch, AxVMCrateConfig, Code, Diagnostic, Severity, board::Board, check_board, check_bundle,
    check_images, check_memory, cli, cli::board, parse, resolve_devices,
};
use clap::{Parser, Subcommand, ValueEnum};

/// Checks, explains, converts and packs VM descriptions.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The architecture the descriptions are for. Default: the one that a file's folder is called
    /// after, as under configs/vms; else the board's; else aarch64.
    #[arg(long, global = true, value_enum)]
    arch: Option<ArchArg>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum ArchArg {
    Aarch64,
    Riscv64,
}

impl From<ArchArg> for Arch {
    fn from(arch: ArchArg) -> Self {
        match arch {
            ArchArg::Aarch64 => Self::Aarch64,
            ArchArg::Riscv64 => Self::Riscv64,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum GuestArg {
    Linux,
    Baremetal,
}

#[derive(Clone, Copy, ValueEnum)]
enum Page {
    Schema,
    Errors,
}

#[derive(Subcommand)]
enum Command {
    /// Check descriptions; folders are searched for `.toml` files.
    Check {
        /// Descriptions or folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print a JSON list of diagnostics instead of text.
        #[arg(long)]
        json: bool,
        /// Check also that the images exist and fit.
        #[arg(long)]
        images: bool,
        #[arg(long, help = board::help())]
        board: Option<PathBuf>,
        /// The VMs are to run together: check them against each other too.
        #[arg(long)]
        together: bool,
    },
    /// Show what a description means, or what a code like E0101 means.
    Explain {
        /// A description, or a code.
        what: String,
    },
    /// Rewrite a description in today's form (comments are lost).
    Convert {
        /// The description.
        file: PathBuf,
        /// Where to write it; default: standard output.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Write a commented description to start from.
    New {
        /// What runs in the VM.
        #[arg(long, value_enum)]
        guest: GuestArg,
        /// The VM's number.
        #[arg(long, default_value_t = 1)]
        id: usize,
        /// The VM's name.
        #[arg(long, default_value = "guest")]
        name: String,
        /// Where to write it; default: standard output.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Check descriptions and pack them and their images into a boot bundle.
    Bundle {
        /// Descriptions, in the order in which the VMs start.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The archive to write.
        #[arg(long)]
        out: PathBuf,
        #[arg(long, help = board::help())]
        board: Option<PathBuf>,
    },
    /// Print a generated page of the documentation.
    Reference {
        /// Which.
        page: Page,
    },
}

/// What went wrong, if it is not a matter of a description.
type Failure = String;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(1)
        }
    }
}

/// Whether all is well.
fn run(args: Args) -> Result<bool, Failure> {
    let arch = args.arch.map(Arch::from);
    match args.command {
        Command::Check {
            files,
            json,
            images,
            board,
            together,
        } => {
            let board = board.as_deref().map(board::read).transpose()?;
            let files = expand(files)?;
            let mut session = Session::read(&files, arch, board.as_ref())?;
            if let Some(board) = &board {
                session.board(board)?;
            }
            if together {
                session.together(board.as_ref())?;
            }
            if images {
                session.images();
            }
            session.report(json);
            Ok(session.good())
        }
        Command::Explain { what } => explain(&what, arch),
        Command::Convert { file, out } => {
            let session = Session::read(&[file], arch, None)?;
            session.report(false);
            let Some(config) = session.files.first().and_then(|f| f.config.as_ref()) else {
                return Ok(false);
            };
            write(out.as_deref(), cli::to_toml(config).as_bytes())?;
            Ok(true)
        }
        Command::New {
            guest,
            id,
            name,
            out,
        } => {
            let guest = match guest {
                GuestArg::Linux => cli::Guest::Linux,
                GuestArg::Baremetal => cli::Guest::Baremetal,
            };
            let folder = out.as_deref().and_then(folder_arch);
            let arch = arch.or(folder).unwrap_or(DEFAULT_ARCH);
            let text = cli::template(arch, guest, id, &name);
            parse(&text, arch).map_err(|all| {
                let first = all.0.first().map(|d| d.sentence(&text).to_string());
                first.unwrap_or_default()
            })?;
            write(out.as_deref(), text.as_bytes())?;
            Ok(true)
        }
        Command::Bundle { files, out, board } => bundle(&files, &out, board.as_deref(), arch),
        Command::Reference { page } => {
            let text = match page {
                Page::Schema => cli::schema_markdown(),
                Page::Errors => cli::errors_markdown(),
            };
            write(None, text.as_bytes())?;
            Ok(true)
        }
    }
}

fn explain(what: &str, arch: Option<Arch>) -> Result<bool, Failure> {
    let named = |code: &&Code| code.to_string().eq_ignore_ascii_case(what);
    if let Some(code) = Code::ALL.iter().find(named) {
        write(None, cli::explain_code(*code).as_bytes())?;
        return Ok(true);
    }
    let session = Session::read(&[PathBuf::from(what)], arch, None)?;
    session.report(false);
    for config in session.files.iter().filter_map(|f| f.config.as_ref()) {
        write(None, cli::memory_map(config).as_bytes())?;
    }
    Ok(session.good())
}

fn bundle(
    files: &[PathBuf],
    out: &Path,
    board: Option<&Path>,
    arch: Option<Arch>,
) -> Result<bool, Failure> {
    let board = board.map(board::read).transpose()?;
    let mut session = Session::read(files, arch, board.as_ref())?;
    if let Some(board) = &board {
        session.board(board)?;
    }
    session.together(board.as_ref())?;
    let images = session.images();
    session.report(false);
    if !session.good() {
        return Ok(false);
    }
    let read = session.files.into_iter().zip(images);
    let vms = read.map(|(file, images)| (file.path, file.text, images));
    let archive = cli::pack(vms.collect()).map_err(|error| error.to_string())?;
    write(Some(out), &archive)?;
    Ok(true)
}

/// Writes to a file or to standard output. A reader that has gone away is no failure.
fn write(out: Option<&Path>, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    match out {
        Some(path) => {
            std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
        }
        None => match std::io::stdout().write_all(content) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
            _ => Ok(()),
        },
    }
}

/// Folders are replaced by the `.toml` files in them, sorted, at any depth.
fn expand(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    let mut out = Vec::new();
    for path in paths {
        if !path.is_dir() {
            out.push(path);
            continue;
        }
        let entries = std::fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| format!("{}: {error}", path.display()))?;
        let mut inside: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        inside.retain(|p| p.is_dir() || p.extension().is_some_and(|e| e == "toml"));
        inside.sort();
        out.extend(expand(inside)?);
    }
    Ok(out)
}

/// What a description is for if nothing says otherwise.
const DEFAULT_ARCH: Arch = Arch::Aarch64;

/// The architecture that the folder of `file` is called after.
fn folder_arch(file: &Path) -> Option<Arch> {
    let file = std::path::absolute(file).ok()?;
    let folder = file.parent()?.file_name()?;
    let mut all = Arch::ALL.iter().copied();
    all.find(|arch| folder == arch.name())
}

/// A description and what there is to say about it.
struct File {
    path: PathBuf,
    text: String,
    config: Option<AxVMCrateConfig>,
    diagnostics: Vec<Diagnostic>,
    arch: Arch,
}

/// All descriptions of a call.
struct Session {
    files: Vec<File>,
}

impl Session {
    fn read(paths: &[PathBuf], arch: Option<Arch>, board: Option<&Board>) -> Result<Self, Failure> {
        let otherwise = board.and_then(|board| board.arch).unwrap_or(DEFAULT_ARCH);
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let arch = arch.or_else(|| folder_arch(path)).unwrap_or(otherwise);
            let (config, diagnostics) = match parse(&text, arch) {
                Ok(config) => {
                    let warnings = config.warnings.clone();
                    (Some(config), warnings)
                }
                Err(diagnostics) => (None, diagnostics.0),
            };
            Ok(File {
                path: path.clone(),
                text,
                config,
                diagnostics,
                arch,
            })
        };
        let files = paths.iter().map(read).collect::<Result<_, Failure>>()?;
        Ok(Self { files })
    }

    /// The checks against a board; its devices take the place of their names.
    fn board(&mut self, board: &Board) -> Result<(), Failure> {
        if let Some(arch) = board.arch
            && let Some(file) = self.files.iter().find(|file| file.arch != arch)
        {
            let (path, other) = (file.path.display(), file.arch.name());
            let arch = arch.name();
            return Err(format!(
                "{path} is for {other}, and the board's CPUs are {arch}"
            ));
        }
        for file in &mut self.files {
            let Some(config) = &mut file.config else {
                continue;
            };
            let unknown = resolve_devices(config, &board.facts());
            let found = check_board(config, &board.facts());
            for diagnostic in unknown.0.into_iter().chain(found.0) {
                if !file.diagnostics.contains(&diagnostic) {
                    file.diagnostics.push(diagnostic);
                }
            }
        }
        Ok(())
    }

    /// The checks between VMs.
    fn together(&mut self, board: Option<&Board>) -> Result<(), Failure> {
        self.one_arch()?;
        let good = self.files.iter().enumerate();
        let good: Vec<_> = good
            .filter_map(|(n, f)| Some((n, f.config.as_ref()?)))
            .collect();
        let configs: Vec<_> = good.iter().map(|(_, config)| *config).collect();
        let memory = board.map(|board| check_memory(&configs, &board.facts()));
        let found: Vec<_> = check_bundle(&configs)
            .into_iter()
            .chain(memory.into_iter().flatten())
            .filter_map(|(n, diagnostic)| Some((good.get(n)?.0, diagnostic)))
            .collect();
        for (n, diagnostic) in found {
            if let Some(file) = self.files.get_mut(n) {
                file.diagnostics.push(diagnostic);
            }
        }
        Ok(())
    }

    /// A machine has one architecture.
    fn one_arch(&self) -> Result<(), Failure> {
        for pair in self.files.windows(2) {
            if let [a, b] = pair
                && a.arch != b.arch
            {
                let said = |file: &File| format!("{} ({})", file.path.display(), file.arch.name());
                let (a, b) = (said(a), said(b));
                return Err(format!("{a} and {b} are for different architectures"));
            }
        }
        Ok(())
    }

    /// Reads the images of the good descriptions, and checks that they fit.
    fn images(&mut self) -> Vec<cli::Images> {
        let mut out = Vec::new();
        for file in &mut self.files {
            let Some(config) = &file.config else {
                continue;
            };
            match cli::load_images(&file.path, config) {
                Ok(images) => {
                    let fit = check_images(config, cli::sizes(&images));
                    file.diagnostics.extend(fit.0);
                    out.push(images);
                }
                Err(missing) => file.diagnostics.extend(missing.0),
            }
        }
        out
    }

    fn good(&self) -> bool {
        let mut all = self.files.iter().flat_map(|file| &file.diagnostics);
        all.all(|d| d.severity() == Severity::Warning)
    }

    /// Text goes to standard error, JSON to standard output.
    fn report(&self, json: bool) {
        let mut lines = Vec::new();
        for file in &self.files {
            let path = file.path.display().to_string();
            for diagnostic in &file.diagnostics {
                if json {
                    lines.push(cli::json(&path, &file.text, diagnostic));
                } else {
                    eprintln!("{}", cli::render(&path, &file.text, diagnostic));
                }
            }
        }
        if json {
            println!("[{}]", lines.join(",\n "));
        }
    }
}
