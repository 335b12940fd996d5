/* Strings to bytes and back. */
#include "glue.h"

/* The bytes of a string without magic; *wide is set where it has code points above 0xFF. */
pagi_text glue_text(pTHX_ SV *sv, int *wide) {
    pagi_text text;
    STRLEN len;
    if (SvROK(sv) || SvUTF8(sv)) {
        /* A copy: what is stringified or downgraded here must not change in the caller's hands. */
        STRLEN given;
        const char *chars = SvPV_nomg(sv, given);
        SV *copy = newSVpvn_flags(chars, given, SVs_TEMP | (SvUTF8(sv) ? SVf_UTF8 : 0));
        if (SvUTF8(copy) && !sv_utf8_downgrade(copy, TRUE)) {
            *wide = 1;
        }
        sv = copy;
    }
    text.ptr = SvPV_nomg(sv, len);
    text.len = len;
    return text;
}

#if PERL_VERSION_GE(5, 26, 0)
#define is_unicode(s, len) is_c9strict_utf8_string(s, len)
#else
#define is_unicode(s, len) is_utf8_string(s, len)
#endif

/* The characters of a string without magic, as UTF-8. Programs pass strings that they have encoded
 * already: bytes that are UTF-8 stay as they are, others are Latin-1. */
pagi_text glue_chars(pTHX_ SV *sv) {
    pagi_text text;
    STRLEN len;
    text.ptr = SvPV_nomg(sv, len);
    if (!SvUTF8(sv) && !is_unicode((const U8 *)text.ptr, len)) {
        SV *copy = newSVpvn_flags(text.ptr, len, SVs_TEMP);
        text.ptr = SvPVutf8(copy, len);
    }
    text.len = len;
    return text;
}

SV *glue_string(pTHX_ pagi_text text) {
    return newSVpvn(text.len ? text.ptr : "", text.len);
}

/* Takes over a string from the core. */
SV *glue_owned(pTHX_ pagi_owned owned) {
    SV *sv = newSVpvn(owned.ptr ? owned.ptr : "", owned.len);
    pagi_owned_free(owned);
    return sv;
}

void glue_put(pTHX_ HV *hash, const char *name, SV *value) {
    (void)hv_store(hash, name, (I32)strlen(name), value, 0);
}

/* The names by which PAGI::Server::Dispatch knows how a call ended. */
const char *glue_ended(U8 how) {
    switch (how) {
    case PAGI_COMPLETE: return "complete";
    case PAGI_NO_RESPONSE: return "no response";
    case PAGI_UNFINISHED: return "unfinished";
    case PAGI_FAILED_BEFORE_START: return "failed before start";
    case PAGI_FAILED_AFTER_START: return "failed after start";
    case PAGI_FAILED_AFTER_END: return "failed after end";
    default: return "client gone";
    }
}
