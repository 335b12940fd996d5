//! The loadable object's entry: rustc exports Rust symbols only, so this one calls C's.

#[cfg(feature = "perl")]
mod perl {
    use std::ffi::c_void;

    unsafe extern "C" {
        fn pagi_boot(interpreter: *mut c_void, cv: *mut c_void);
    }

    /// Called by XSLoader. On a perl without threads there is no interpreter argument and the
    /// first argument is the CV; C sorts that out.
    #[allow(non_snake_case, reason = "the name that XSLoader derives from the package's")]
    // SAFETY: the name is the package's own and defined once.
    #[unsafe(no_mangle)]
    pub extern "C-unwind" fn boot_PAGI__Server(first: *mut c_void, second: *mut c_void) {
        // SAFETY: C's boot function takes exactly what perl passes to this one; nothing of
        // Rust's is alive in this frame should it longjmp.
        unsafe { pagi_boot(first, second) }
    }
}
