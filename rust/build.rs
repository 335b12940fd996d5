//! Builds the C half of the loadable object: xsubpp over `xs/*.xs`, the C compiler over the
//! result and over `xs/*.c`, with the flags of the perl that will load it.
//!
//! Only the cdylib refers to Perl's symbols, so the object files are handed to its link line
//! alone (`rustc-cdylib-link-arg`): the rlib, and with it `cargo test`, links without Perl.

#![allow(clippy::expect_used, reason = "a build script fails by panicking")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the C half needs to know of the perl it is built for.
struct Perl {
    ccflags: String,
    cccdlflags: String,
    core: PathBuf,
    xsubpp: PathBuf,
    typemap: PathBuf,
    program: String,
}

fn main() {
    println!("cargo:rerun-if-changed=rust/build.rs");
    println!("cargo:rerun-if-changed=xs");
    println!("cargo:rerun-if-env-changed=PAGI_PERL");
    if env::var_os("CARGO_FEATURE_PERL").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let perl = Perl::ask();
    println!("cargo:rerun-if-changed={}", perl.core.join("config.h").display());
    let xs = root.join("xs");
    let generated = perl.xsubpp(&xs.join("Server.xs"), &out);
    for object in perl.compile(&xs, &generated) {
        println!("cargo:rustc-cdylib-link-arg={}", object.display());
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("macos") {
        println!("cargo:rustc-cdylib-link-arg=-undefined");
        println!("cargo:rustc-cdylib-link-arg=dynamic_lookup");
    }
}

impl Perl {
    fn ask() -> Perl {
        let program = env::var("PAGI_PERL").unwrap_or_else(|_| "perl".into());
        let script = "use Config; use ExtUtils::ParseXS; \
            my ($inc) = grep { -e qq($_/ExtUtils/xsubpp) } @INC; \
            my ($map) = grep { -e qq($_/ExtUtils/typemap) } @INC; \
            print join qq(\\n), $Config{ccflags}, $Config{cccdlflags}, \
            qq($Config{archlibexp}/CORE), qq($inc/ExtUtils/xsubpp), qq($map/ExtUtils/typemap)";
        let out = run(Command::new(&program).args(["-e", script]));
        let mut line = out.lines().map(str::to_owned);
        let mut next = || line.next().expect("perl answered too little");
        Perl {
            ccflags: next(),
            cccdlflags: next(),
            core: next().into(),
            xsubpp: next().into(),
            typemap: next().into(),
            program,
        }
    }

    fn xsubpp(&self, xs: &Path, out: &Path) -> PathBuf {
        let target = out.join("Server.c");
        let code = run(Command::new(&self.program)
            .arg(&self.xsubpp)
            .args(["-noprototypes", "-nolinenumbers", "-typemap"])
            .arg(&self.typemap)
            .arg(xs));
        // rustc exports the name that perl looks for from Rust (see ffi/boot.rs).
        let code = code.replace("boot_PAGI__Server)", "boot_PAGI__Server__glue)");
        std::fs::write(&target, code).expect("OUT_DIR is writable");
        target
    }

    fn compile(&self, xs: &Path, generated: &Path) -> Vec<PathBuf> {
        let mut build = cc::Build::new();
        let flags = self.ccflags.split_whitespace().chain(self.cccdlflags.split_whitespace());
        for flag in flags {
            build.flag_if_supported(flag);
        }
        // A pointer that C takes for an int, as nothing declares its function, loses its upper half.
        build.flag_if_supported("-Werror=implicit-function-declaration");
        build.include(&self.core).include(xs).file(generated).opt_level(2).warnings(false);
        for entry in std::fs::read_dir(xs).expect("xs/ is there").flatten() {
            if entry.path().extension().is_some_and(|e| e == "c") {
                build.file(entry.path());
            }
        }
        build.define("XS_VERSION", "\"0.003000\"").flag_if_supported("-fvisibility=hidden");
        build.compile_intermediates()
    }
}

fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    if !out.status.success() {
        panic!("{command:?} failed:\n{}", String::from_utf8_lossy(&out.stderr));
    }
    String::from_utf8_lossy(&out.stdout).into_owned()
}
