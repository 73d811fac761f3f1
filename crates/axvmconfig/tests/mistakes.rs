//! Every code, with files that make the mistake on purpose: `tests/mistakes/CODE/*.toml`. Each file
//! gives its code and no other error; what is shown is kept in `tests/snapshots`. Files are for
//! aarch64 unless their name begins with another architecture's.

// One range is what is meant.
#![allow(clippy::single_range_in_vec_init)]

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use axvmconfig::{
    Arch, BoardDevice, BoardFacts, Code, Diagnostic, ImageSizes, MAX_TEXT, Severity, check_board,
    check_bundle, check_images, cli, parse, resolve_devices,
};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mistakes");

fn device(path: &str, base: usize, size: usize, spis: &[u32]) -> BoardDevice {
    BoardDevice {
        path: path.into(),
        registers: vec![base..base + size],
        spis: spis.to_vec(),
        ..BoardDevice::default()
    }
}

/// What E07.. are checked against: 2 GiB at 1 GiB, of which the hypervisor has some.
fn on_board(config: &mut axvmconfig::AxVMCrateConfig) -> Vec<Diagnostic> {
    let mut uart = device("/pl011@9000000", 0x900_0000, 0x1000, &[1]);
    uart.alias = Some("serial0".into());
    uart.owned = true;
    let mut ethernet = device("/ethernet@9050000", 0x905_0000, 0x1000, &[]);
    ethernet.dma = true;
    let mut soc = device("/soc", 0, 0, &[]);
    soc.registers.clear();
    let devices = [
        uart,
        ethernet,
        soc,
        device("/rtc@9010000", 0x901_0000, 0x1000, &[2]),
        device("/a@9040000", 0x904_0000, 0x200, &[]),
        device("/a@9040200", 0x904_0200, 0x200, &[]),
        // More interrupts than registers, one of them the hypervisor's.
        device("/odd@9060000", 0x906_0000, 0x100, &[6, 5]),
    ];
    let facts = BoardFacts {
        ram: &[0x4000_0000..0xc000_0000],
        reserved: &[0xc000_0000..0xc100_0000],
        hypervisor: &[0x4020_0000..0x4060_0000, 0x0a00_0100..0x0a00_0200],
        hypervisor_spis: &[5],
        cpus: 4,
        address_bits: 40,
        devices: &devices,
        iommu: false,
    };
    let mut out = resolve_devices(config, &facts).0;
    if out.is_empty() {
        out = check_board(config, &facts).0;
    }
    out
}

/// Everything there is to say about a file that is in the folder of `code`.
fn diagnose(path: &Path, text: &str, code: &str) -> Vec<Diagnostic> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut all = Arch::ALL.iter().copied();
    let named = all.find(|arch| name.starts_with(arch.name()));
    let mut config = match parse(text, named.unwrap_or(Arch::Aarch64)) {
        Ok(config) => config,
        Err(diagnostics) => return diagnostics.0,
    };
    let mut out = config.warnings.clone();
    match &code[..3] {
        "E06" if code == "E0606" => {
            if let Err(missing) = cli::load_images(path, &config) {
                out.extend(missing.0);
            }
        }
        "E06" => {
            let first = std::fs::read_to_string(format!("{DIR}/first.toml")).unwrap();
            let first = parse(&first, Arch::Aarch64).unwrap();
            out.extend(check_bundle(&[&first, &config]).into_iter().map(|(n, d)| {
                assert_eq!(n, 1);
                d
            }));
        }
        "E07" => out.extend(on_board(&mut config)),
        _ if code == "E0415" => {
            let sizes = ImageSizes {
                kernel: Some(32 << 20),
                ramdisk: Some(8 << 20),
                ..ImageSizes::default()
            };
            out.extend(check_images(&config, sizes).0);
        }
        _ => {}
    }
    out
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_code() {
    let mut count = 0;
    let mut bad = Vec::new();
    for code in Code::ALL {
        // Its files would be long: see `too_long`.
        if *code == Code::TooLong {
            continue;
        }
        let name = code.to_string();
        let files = files(&Path::new(DIR).join(&name));
        assert!(files.len() >= 3, "{name} has too few files");
        let mut shown = String::new();
        for path in files {
            count += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let file = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
            let diagnostics = diagnose(&path, &text, &name);
            for diagnostic in &diagnostics {
                writeln!(shown, "{}", cli::render(&file, &text, diagnostic)).unwrap();
                assert!(diagnostic.span.end as usize <= text.len(), "{file}");
                let other = diagnostic.code != *code;
                if other && diagnostic.severity() == Severity::Error {
                    bad.push(format!("{file}: {}", diagnostic.line(&file, &text)));
                }
            }
            if !diagnostics.iter().any(|d| d.code == *code) {
                bad.push(format!("{file}: passes, or for another reason"));
            }
        }
        insta::assert_snapshot!(name, shown);
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(count >= 200, "{count} files");
}

#[test]
fn too_long() {
    for filler in ["#", "\n", "[base]\n"] {
        let text = filler.repeat(MAX_TEXT / filler.len() + 1);
        let errors = parse(&text, Arch::Aarch64).unwrap_err();
        assert_eq!(errors.0.len(), 1);
        assert_eq!(errors.0[0].code, Code::TooLong);
    }
    let longest = "#".repeat(MAX_TEXT);
    assert_eq!(
        parse(&longest, Arch::Aarch64).unwrap_err().0[0].code,
        Code::MissingKey
    );
}

/// The one line the image prints.
#[test]
fn image_line() {
    let text = "[base]\nid = 1\ncpu_nums = 2\n";
    let errors = parse(text, Arch::Aarch64).unwrap_err().0;
    let line = errors.iter().find(|d| d.code == Code::UnknownKey).unwrap();
    insta::assert_snapshot!(
        line.line("vm.toml", text).to_string(),
        @"E0101 vm.toml:3:1: unknown key: `cpu_nums`; did you mean `cpu_num`?"
    );
}

#[test]
fn codes_are_unique_and_ordered() {
    assert!(Code::ALL.windows(2).all(|pair| pair[0] < pair[1]));
}

/// Linux on riscv64 takes shorter command lines.
#[test]
fn command_line() {
    let text = |length| {
        let cmdline = "x".repeat(length);
        format!(
            "[base]\nid = 1\n[kernel]\nkernel_path = \"k\"\ncmdline = \"{cmdline}\"\n\
             memory_regions = [{{ size = \"1MiB\" }}]\n"
        )
    };
    for (arch, longest) in [(Arch::Aarch64, 2047), (Arch::Riscv64, 1023)] {
        assert!(parse(&text(longest), arch).is_ok());
        let errors = parse(&text(longest + 1), arch).unwrap_err();
        assert_eq!(errors.0[0].code, Code::OutOfLimits);
    }
}
