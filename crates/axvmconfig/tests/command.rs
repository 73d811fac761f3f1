//! The `axvmconfig` command: exit statuses, output, bundles.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use axvmconfig::{Arch, bundle::Bundle, parse};

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axvmconfig"));
    command.args(args).output().unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder of a test's own, with two VMs that share a kernel.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("vms")).unwrap();
    std::fs::create_dir_all(folder.join("images")).unwrap();
    std::fs::write(folder.join("images/kernel.bin"), [7; 1001]).unwrap();
    for (id, name) in [(1, "b"), (2, "a")] {
        let vm = format!(
            "[base]\nid = {id}\nname = \"{name}\"\n[kernel]\n\
             kernel_path = \"../images/kernel.bin\"\nmemory_regions = [{{ size = \"1MiB\" }}]\n"
        );
        std::fs::write(folder.join(format!("vms/{name}.toml")), vm).unwrap();
    }
    folder
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn checks_folders_and_files() {
    let folder = folder("check");
    let vms = file(&folder, "vms");
    let good = run(&["check", "--images", "--together", &vms]);
    assert_eq!(status(&good), 0, "{}", text(&good.stderr));
    assert!(good.stdout.is_empty() && good.stderr.is_empty());

    std::fs::write(folder.join("vms/c.toml"), "[base]\nid = 1\n").unwrap();
    let bad = run(&["check", &vms]);
    assert_eq!(status(&bad), 1);
    assert!(
        text(&bad.stderr).contains("error[E0102]"),
        "{}",
        text(&bad.stderr)
    );
    assert!(text(&bad.stderr).contains("c.toml:1:1"));

    let json = run(&["check", "--json", &vms]);
    assert_eq!(status(&json), 1);
    assert!(text(&json.stdout).starts_with("[{\"file\":\""));
    assert!(text(&json.stdout).contains("\"code\":\"E0102\""));
    assert!(json.stderr.is_empty());
}

#[test]
fn checks_vms_against_each_other_and_images() {
    let folder = folder("together");
    let (a, b) = (file(&folder, "vms/a.toml"), file(&folder, "vms/b.toml"));
    let twice = run(&["check", "--together", &a, &b, &a]);
    assert_eq!(status(&twice), 1);
    for code in ["E0601", "E0602"] {
        assert!(
            text(&twice.stderr).contains(code),
            "{}",
            text(&twice.stderr)
        );
    }
    // Not together: each may run alone.
    assert_eq!(status(&run(&["check", &a, &b, &a])), 0);

    std::fs::write(folder.join("images/kernel.bin"), vec![0; (1 << 20) + 1]).unwrap();
    let large = run(&["check", "--images", &a]);
    assert!(
        text(&large.stderr).contains("error[E0415]"),
        "{}",
        text(&large.stderr)
    );
    std::fs::remove_file(folder.join("images/kernel.bin")).unwrap();
    let missing = run(&["check", "--images", &a]);
    assert_eq!(status(&missing), 1);
    assert!(text(&missing.stderr).contains("error[E0606]"));
}

/// 500 files within a second, also by a build without optimization.
#[test]
fn many_files() {
    let folder = folder("many");
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/vms/aarch64");
    let linux = std::fs::read_to_string(format!("{configs}/linux.toml")).unwrap();
    for n in 0..500 {
        // Every tenth is wrong.
        let text = linux.replace("cpu_num", if n % 10 == 0 { "cpus" } else { "cpu_num" });
        std::fs::write(folder.join(format!("vms/{n}.toml")), text).unwrap();
    }
    let start = std::time::Instant::now();
    let checked = run(&["check", &file(&folder, "vms")]);
    let took = start.elapsed();
    assert_eq!(status(&checked), 1);
    assert_eq!(text(&checked.stderr).matches("error[E0101]").count(), 50);
    assert!(took.as_millis() < 1000, "{took:?}");
}

#[test]
fn wrong_usage() {
    for args in [
        &[][..],
        &["frobnicate"],
        &["check"],
        &["new"],
        &["new", "--guest", "dos"],
    ] {
        assert_eq!(status(&run(args)), 2, "{args:?}");
    }
    assert_eq!(status(&run(&["check", "/nonexistent.toml"])), 1);
    assert_eq!(status(&run(&["--help"])), 0);
}

#[test]
fn bundles() {
    let folder = folder("bundle");
    let (a, b) = (file(&folder, "vms/a.toml"), file(&folder, "vms/b.toml"));
    let out = file(&folder, "out.cpio");
    let packed = run(&["bundle", "--out", &out, &b, &a]);
    assert_eq!(status(&packed), 0, "{}", text(&packed.stderr));
    let archive = std::fs::read(&out).unwrap();
    let bundle = Bundle::new(&archive).unwrap();
    let names: Vec<_> = bundle.iter().map(|e| e.name).collect();
    // In the order given; the shared kernel once.
    assert_eq!(names, ["vms/b.toml", "images/kernel.bin", "vms/a.toml"]);
    for entry in bundle.descriptions() {
        let config = parse(text(entry.data), Arch::Aarch64).unwrap();
        let kernel = bundle.resolve(entry.name, &config.kernel.kernel_path.value);
        assert_eq!(kernel.unwrap().data, [7; 1001]);
    }
    // The same again gives the same bytes.
    run(&["bundle", "--out", &out, &b, &a]);
    assert_eq!(std::fs::read(&out).unwrap(), archive);

    // What isn't right isn't packed.
    std::fs::remove_file(&out).unwrap();
    assert_eq!(status(&run(&["bundle", "--out", &out, &a, &a])), 1);
    std::fs::remove_file(folder.join("images/kernel.bin")).unwrap();
    assert_eq!(status(&run(&["bundle", "--out", &out, &a])), 1);
    assert!(!Path::new(&out).exists());
}

#[test]
fn other_tools_read_bundles() {
    let folder = folder("cpio");
    let out = file(&folder, "out.cpio");
    run(&["bundle", "--out", &out, &file(&folder, "vms/a.toml")]);
    let archive = std::fs::File::open(&out).unwrap();
    // Where GNU cpio isn't installed there is nothing to compare with.
    let Ok(listed) = Command::new("cpio")
        .args(["-t", "--quiet"])
        .stdin(archive)
        .output()
    else {
        return;
    };
    assert_eq!(text(&listed.stdout), "vms/a.toml\nimages/kernel.bin\n");
}

#[test]
fn new_files_pass() {
    let folder = folder("new");
    std::fs::write(folder.join("guest.bin"), "x").unwrap();
    std::fs::write(folder.join("Image"), "x").unwrap();
    std::fs::write(folder.join("initramfs.cpio.gz"), "x").unwrap();
    for arch in ["aarch64", "riscv64"] {
        for guest in ["linux", "baremetal"] {
            let out = file(&folder, &format!("{guest}.toml"));
            let new = [
                "new", "--arch", arch, "--guest", guest, "--name", guest, "--out", &out,
            ];
            assert_eq!(status(&run(&new)), 0);
            let checked = run(&["check", "--arch", arch, "--images", &out]);
            assert_eq!(status(&checked), 0, "{}", text(&checked.stderr));
        }
    }
    let spaced = run(&["new", "--guest", "linux", "--name", "two words"]);
    assert_eq!(status(&spaced), 1);
}

#[test]
fn explains() {
    let folder = folder("explain");
    let map = run(&["explain", &file(&folder, "vms/a.toml")]);
    assert_eq!(status(&map), 0);
    insta::assert_snapshot!(text(&map.stdout), @r"
    VM 2 `a` (rtos), interrupts: emulated
      vCPU 0: affinity 0x0, runs on any CPU
      0x000008000000..0x00000800ffff    64KiB  gicd: GICv3 distributor
      0x0000080a0000..0x0000080bffff   128KiB  gicr: GICv3 redistributors
      0x000009000000..0x000009000fff     4KiB  console: PL011 console, SPI 1 (INTID 33)
      0x000040000000..0x0000400fffff     1MiB  memory, rwx, alloc
      kernel: ../images/kernel.bin where its format wants it
      device tree: generated where there is room
      vCPU 0 starts where the image says
    ");
    let code = run(&["explain", "e0305"]);
    assert_eq!(status(&code), 0);
    assert!(text(&code.stdout).starts_with("E0305: an empty CPU mask"));
}

#[test]
fn riscv64() {
    let folder = folder("riscv64");
    let a = file(&folder, "vms/a.toml");
    let map = run(&["explain", "--arch", "riscv64", &a]);
    assert_eq!(status(&map), 0);
    insta::assert_snapshot!(text(&map.stdout), @r"
    VM 2 `a` (rtos), interrupts: emulated
      vCPU 0: hart id 0x0, runs on any CPU
      0x00000c000000..0x00000fffffff    64MiB  plic: PLIC
      0x000010000000..0x0000100000ff     256B  console: 16550 console, PLIC source 10
      0x000080000000..0x0000800fffff     1MiB  memory, rwx, alloc
      kernel: ../images/kernel.bin where its format wants it
      device tree: generated where there is room
      vCPU 0 starts where the image says
    ");

    // Without `--arch` the folder says what a file is for.
    let vms = folder.join("vms/riscv64");
    std::fs::create_dir_all(&vms).unwrap();
    let old = "[base]\nid = 3\ncpu_num = 2\n[kernel]\nkernel_path = \"Image\"\n\
        memory_regions = [[0x9000_0000, 0x1000_0000, 0x7, 0]]\n[devices]\n\
        emu_devices = [[\"plic\", 0x0c00_0000, 0x60_0000, 0, 0x30, [4]],\n\
        [\"uart\", 0x1000_0000, 0x100, 10, 2, []]]\ninterrupt_mode = \"emu\"\n";
    let path = file(&vms, "old.toml");
    std::fs::write(&path, old).unwrap();
    assert_eq!(status(&run(&["check", &path])), 0);
    let wrong = run(&["check", "--arch", "aarch64", &path]);
    assert!(text(&wrong.stderr).contains("error[E0206]"));
    let new = run(&["convert", &path]);
    assert_eq!(status(&new), 0, "{}", text(&new.stderr));
    assert!(text(&new.stderr).is_empty());
    let new = parse(text(&new.stdout), Arch::Riscv64).unwrap();
    assert_eq!(new.warnings, []);
    assert_eq!(new.devices, parse(old, Arch::Riscv64).unwrap().devices);

    // One machine, one architecture.
    let both = run(&["check", "--together", &a, &path]);
    assert_eq!(status(&both), 1);
    assert!(text(&both.stderr).contains("different architectures"));
}

#[test]
fn converts() {
    let folder = folder("convert");
    let old = "[base]\nid = 1\nname = \"linux-qemu\"\nvm_type = 1\ncpu_num = 1\nphys_cpu_ids = [0]\n\
        [kernel]\nentry_point = 0x8020_0000\nimage_location = \"memory\"\nkernel_path = \"Image\"\n\
        kernel_load_addr = 0x8020_0000\ndtb_load_addr = 0x8000_0000\n\
        memory_regions = [[0x8000_0000, 0x1000_0000, 0x7, 1]]\n\
        [devices]\npassthrough_devices = [[\"rtc\", 0x9010000, 0x9010000, 0x1000, 2]]\n\
        interrupt_mode = \"emu\"\n";
    let path = file(&folder, "old.toml");
    std::fs::write(&path, old).unwrap();
    let new = run(&["convert", &path]);
    assert_eq!(status(&new), 0);
    assert!(text(&new.stderr).contains("warning[W0902]"));
    let new = text(&new.stdout);
    assert!(new.contains("{ gpa = 0x8000_0000, size = \"256MiB\", map_type = \"identical\" }"));
    let new = parse(new, Arch::Aarch64).unwrap();
    assert_eq!(new.warnings, []);
    let mut old = parse(old, Arch::Aarch64).unwrap();
    old.warnings.clear();
    assert_eq!(new, old);
}
